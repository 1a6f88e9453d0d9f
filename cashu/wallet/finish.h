// How operations end: verified signatures become proofs, and one transaction changes the wallet and
// the books.
#pragma once

#include <optional>
#include <set>
#include <string_view>
#include <vector>

#include "wallet/impl.h"

namespace nutgate::cashu::wallet {

// Why a transaction that changes the wallet and the books was rolled back.
struct Setback {
    Setback(SettlerRefusal why) : refusal{std::move(why)} {}       // NOLINT: implicit, for TRY.
    Setback(store::StoreFailure why) : failure{std::move(why)} {}  // NOLINT: implicit, for TRY.

    WalletError as_wallet_error() const {
        if (failure) return *failure;
        return {WalletError::Code::InProgress, "the books refuse it: " + refusal->detail};
    }

    std::optional<SettlerRefusal> refusal;
    std::optional<store::StoreFailure> failure;
};

struct Made {
    std::vector<NewProof> proofs;
    std::vector<Proof> sent;  // Those of them that are given away, as their holder takes them.
};

// Unblinds. Empty if the mint did not sign what it was asked to: wrong count, amount, keyset, or a
// proof of equality that does not hold.
Result<std::optional<Made>, WalletError> make_proofs(Wallet::Impl&, const WalletMint&,
                                                     const std::vector<PlannedOutput>& outputs,
                                                     const std::vector<BlindSignature>& signatures);

// Change, of the blanks in their order (NUT-08). A signature that does not verify is left out, and
// an alarm.
Result<std::vector<NewProof>, WalletError> make_change(
    Wallet::Impl&, const WalletMint&, const std::vector<PlannedOutput>& blanks,
    const std::vector<BlindSignature>& signatures);

// Done. Waiting if the books said no, and the operation is parked.
Result<Outcome, WalletError> finish(Wallet::Impl&, const Operation&, const WalletMint&,
                                    const Made& made);
// A send whose proofs fit: they are given away as they are.
Result<Outcome, WalletError> finish_exact(Wallet::Impl&, const Operation&, const WalletMint&);
// The invoice was paid.
Result<Outcome, WalletError> finish_melt(Wallet::Impl&, const Operation&,
                                         const std::vector<NewProof>& change,
                                         const std::optional<Preimage>& preimage);
Result<Outcome, WalletError> finish_fund(Wallet::Impl&, const Operation&, const Payment&);
// Failed, for good. `spent` are inputs that somebody else has spent; the others are free again.
Result<Outcome, WalletError> finish_refused(Wallet::Impl&, const Operation&, const WalletMint&,
                                            const WalletError& why,
                                            const std::set<ByteArray<33>>& spent);
// Blocked: visible, and tried again.
Result<Outcome, WalletError> park(Wallet::Impl&, const Operation&, std::string_view why);

}  // namespace nutgate::cashu::wallet
