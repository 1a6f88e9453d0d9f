// Spending what is locked: whether the keys at hand suffice, the witnesses, and a mint's check of
// them (NUT-11, NUT-14, NUT-28).
//
// A receiver uses it in two steps: can_spend() before anything is done, and unlock() on the request
// once its outputs are known, before it is written down.
//
// Witnesses that came with the proofs are used: preimages, and signatures of others that verify.
// Nothing is dropped that the spending needs and nothing kept that it does not, for mints bound
// witnesses at 1024 characters; one that is no witness counts as none. Ordinary secrets pass
// through untouched, so any token can go this way.
//
// Of the pathways the main one is taken if it can be, since it never closes and needs no agreement
// on what time it is; then the refund pathway; then the one that is open to everybody.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nutgate/base/result.h"
#include "nutgate/cashu/proof.h"
#include "nutgate/cashu/spending_condition.h"
#include "nutgate/cashu/wire.h"
#include "nutgate/crypto/curve.h"
#include "nutgate/crypto/random.h"

namespace nutgate::cashu {

// NUT-11 has eleven slots for keys, so no honest witness has more.
inline constexpr std::size_t kWitnessSignaturesMax = 11;

// Why an input can't be spent, now or by us.
struct LockFault {
    enum class Code {
        Unspendable,        // The secret is no good: `condition` says why.
        LockedToOther,      // No open pathway has a key of ours.
        SignaturesMissing,  // One has, but that is not enough: so many are missing.
        PreimageMissing,
        PreimageWrong,  // Not 32 bytes in hex, or of another hash.
        NotYetOpen,     // Ours from `opens_at` on, and not before.
        InputsDiffer,   // SIG_ALL, and not all inputs are locked alike: spend each on its own.
    };
    Code code = Code::Unspendable;
    std::size_t input = 0;  // Which one, from 0.
    std::optional<ConditionFault> condition;
    std::size_t signatures_missing = 0;
    std::optional<std::int64_t> opens_at;  // Unix seconds.
};
// For people: "needs 1 more signature".
std::string describe(const LockFault& fault);

struct Spendable {
    bool is_locked = false;       // Some input needs a witness.
    bool covers_outputs = false;  // SIG_ALL: whoever changes an output must sign anew.
    // From then on (Unix seconds, by the mint's clock) somebody else may spend one of them too: the
    // sender by refund, a holder of another key, anybody. 0: already, as with any ordinary secret.
    // Empty: never.
    std::optional<std::int64_t> shared_from;
};

// Whether all of them can be spent, together, by who holds these private keys. `keys` are as the
// lockers know them; what NUT-28 makes of them is worked out. Changes nothing, signs nothing.
Result<Spendable, LockFault> can_spend(const std::vector<Proof>& proofs,
                                       std::span<const crypto::Scalar> keys, std::int64_t now);

// The request with the witnesses that its inputs need. Fails exactly if can_spend() would, but for
// SIG_ALL's signatures of others, which are over the outputs and so can be judged only here.
Result<wire::SwapRequest, LockFault> unlock(wire::SwapRequest request,
                                            std::span<const crypto::Scalar> keys, std::int64_t now,
                                            crypto::Random& random);
Result<wire::MeltRequest, LockFault> unlock(wire::MeltRequest request,
                                            std::span<const crypto::Scalar> keys, std::int64_t now,
                                            crypto::Random& random);

// A mint's check: every input's condition is met by its witness. LockedToOther and
// SignaturesMissing say here that too few signatures verify.
Result<void, LockFault> check_locks(const wire::SwapRequest& request, std::int64_t now);
Result<void, LockFault> check_locks(const wire::MeltRequest& request, std::int64_t now);

// What SIG_ALL signs: the text, of which the SHA-256 is signed. `quote` is empty for a swap.
std::string sig_all_message(const std::vector<Proof>& inputs,
                            const std::vector<BlindedMessage>& outputs, std::string_view quote);

}  // namespace nutgate::cashu
