// One run of each kind of operation, to its end if the other side lets it.
#pragma once

#include <string_view>

#include "wallet/impl.h"

namespace nutgate::cashu::wallet {

// Notes why it has not ended; answers `outcome`.
Result<Outcome, WalletError> wait_for_mint(Wallet::Impl&, const Operation&, Outcome outcome,
                                           std::string_view why);

Result<Outcome, WalletError> run_melt(Wallet::Impl&, Operation operation, const WalletMint& mint);
Result<Outcome, WalletError> run_fund(Wallet::Impl&, const Operation& operation);

}  // namespace nutgate::cashu::wallet
