// Which proofs of ours an operation spends: chosen among what is unspent at one mint in one unit,
// and picked, so that operations which are prepared side by side choose different ones.
#pragma once

#include <vector>

#include "wallet/impl.h"
#include "wallet/selection.h"

namespace nutgate::cashu::wallet {

struct Wish {
    const WalletMint& mint;
    Unit unit;
    Amount amount;
};

enum class Fit {
    MayBeExact,  // Proofs that are worth just the amount are handed on, which costs no fee.
    Spent,       // They are spent at the mint: the amount and the fee of doing so.
};

struct Choice {
    std::vector<Input> inputs;  // In the wallet's picks: whoever owns this releases them.
    Selection selection;
};

// InsufficientFunds: there is not so much, or it does not cover the fee. TokenPending: it would
// suffice once operations under way have ended, or others that are being prepared are dropped.
// The keysets are only needed where there are proofs, and then they are known: check that first.
Result<void, WalletError> check_not_empty(Wallet::Impl&, const Wish&);
Result<Choice, WalletError> pick_proofs(Wallet::Impl&, const Wish&, Fit, const KeysetMap& keysets);

}  // namespace nutgate::cashu::wallet
