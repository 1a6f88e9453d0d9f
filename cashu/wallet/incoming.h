// Somebody else's proofs, looked at: what a receive spends at a mint that we trust, and a swap at
// one that we don't.
#pragma once

#include <vector>

#include "nutgate/cashu/unlock.h"
#include "wallet/impl.h"

namespace nutgate::cashu::wallet {

struct Incoming {
    Token token;  // With keyset ids in full.
    Unit unit;
    KeysetMap keysets;  // The mint's.
    Amount total = 0;
    Amount fee = 0;  // The mint's, for spending them together. Less than the total.
    std::vector<Input> inputs;
};

WalletError locked(const LockFault& fault);

// Each keyset is the mint's, each amount has a key, each proof of equality that came along holds,
// each spending condition is one that we can meet, and the fee leaves something.
Result<Incoming, WalletError> look_at(Wallet::Impl&, const WalletMint&, const Token&);

}  // namespace nutgate::cashu::wallet
