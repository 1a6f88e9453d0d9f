#pragma once

#include "nutgate/base/bytes.h"
#include "nutgate/cashu/token.h"

namespace nutgate::cashu {

// The JSON behind "cashuA". Checks shape only; bounds and sums are token.cpp's.
Result<Token, TokenError> read_token_v3(BytesView json);

}  // namespace nutgate::cashu
