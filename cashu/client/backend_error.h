// What a failure of the wallet is to who sees the mint as a Lightning backend.
#pragma once

#include "nutgate/cashu/settler.h"
#include "nutgate/lightning/backend.h"

namespace nutgate::cashu {

BackendError to_backend_error(const WalletError& error);

}  // namespace nutgate::cashu
