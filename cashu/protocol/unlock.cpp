#include "nutgate/cashu/unlock.h"

#include <algorithm>
#include <limits>

#include "nutgate/cashu/blinded_key.h"
#include "nutgate/crypto/hash.h"
#include "nutgate/crypto/signature.h"
#include "protocol/witness.h"

namespace nutgate::cashu {

namespace {

using Code = LockFault::Code;
using Digest = ByteArray<32>;
using Condition = std::optional<SpendingCondition>;  // Empty: an ordinary secret.

enum class Path { Main, Refund, Anybody };

// What one pathway comes to for who holds some keys.
struct Attempt {
    std::vector<crypto::Scalar> signers;  // Ours that fit, each for another of its keys.
    std::vector<std::string> given;       // Signatures of others that verify.
    std::size_t missing = 0;
    std::size_t foreign = 0;  // Keys in it that are not ours.
};

// How one proof, or the one that stands for all, will be spent.
struct Plan {
    Path path = Path::Anybody;
    Attempt attempt;
    std::optional<std::string> preimage;
    std::optional<std::int64_t> shared_from;
};

struct OwnKey {
    crypto::Scalar key;
    ByteArray<32> x_only;
};

std::vector<OwnKey> own_keys(std::span<const crypto::Scalar> keys) {
    std::vector<OwnKey> own;
    for (const crypto::Scalar& key : keys) {
        own.push_back({key, crypto::generator_times(key).x_only()});
    }
    return own;
}

Digest digest_of(std::string_view text) { return crypto::sha256(as_bytes(text)); }

bool signed_by(const crypto::Point& key, const Digest& digest, const std::string& hex) {
    const auto signature = array_from_hex<64>(hex);
    return signature && crypto::schnorr_verify(key.x_only(), digest, *signature);
}

LockFault fault(Code code, std::size_t input) {
    return {.code = code,
            .input = input,
            .condition = std::nullopt,
            .signatures_missing = 0,
            .opens_at = std::nullopt};
}

// The first second at which a locktime is over.
std::int64_t opening(std::int64_t locktime) {
    return locktime == std::numeric_limits<std::int64_t>::max() ? locktime : locktime + 1;
}

// What the inputs' secrets say, and whether one witness stands for all of them.
struct Locks {
    std::vector<Condition> conditions;
    bool covers_outputs = false;
};

Result<Locks, LockFault> read_locks(const std::vector<Proof>& inputs) {
    Locks locks;
    for (const Proof& input : inputs) {
        auto condition = parse_condition(input.secret);
        if (!condition) {
            LockFault unspendable = fault(Code::Unspendable, locks.conditions.size());
            unspendable.condition = condition.error();
            return fail(unspendable);
        }
        locks.conditions.push_back(*std::move(condition));
        const Condition& last = locks.conditions.back();
        locks.covers_outputs |= last && last->sigflag == SigFlag::All;
    }
    if (!locks.covers_outputs) return locks;
    const Condition& first = locks.conditions.front();
    for (std::size_t i = 0; i < inputs.size(); ++i) {
        const Condition& other = locks.conditions[i];
        if (!first || !other || other->terms != first->terms) {
            return fail(fault(Code::InputsDiffer, i));
        }
    }
    return locks;
}

// One proof in the hands of who holds these keys, at this time.
class Holder {
public:
    Holder(const Proof& proof, const SpendingCondition& condition, const std::vector<OwnKey>& keys,
           std::int64_t now)
        : proof_{proof},
          condition_{condition},
          keys_{keys},
          now_{now},
          witness_{parse_witness(proof.witness.value_or(""))} {}

    // `digest` is what signatures are over; empty where that is not known yet.
    Result<Plan, LockFault> plan(const std::optional<Digest>& digest, std::size_t input) const {
        // Data is the first slot, also where it is a hash; refund keys come behind all others.
        const std::size_t first = condition_.kind == LockKind::Htlc ? 1 : 0;
        Attempt main = attempt(condition_.main, first, digest);
        const auto preimage = judge_preimage();
        if (main.missing == 0 && !preimage) return on_main(std::move(main));

        std::optional<Attempt> refund;
        if (condition_.refund) {
            refund = attempt(*condition_.refund, first + condition_.main.keys.size(), digest);
        }
        if (condition_.is_expired(now_)) {
            if (!refund) return Plan{Path::Anybody, {}, std::nullopt, 0};
            if (refund->missing == 0) {
                return Plan{Path::Refund, *std::move(refund), witness_.preimage, 0};
            }
        }
        return fail(why_not(main, preimage, refund, input));
    }

private:
    std::optional<crypto::Scalar> own_key_of(const crypto::Point& key, std::size_t slot) const {
        for (const OwnKey& own : keys_) {
            if (key.x_only() == own.x_only) return own.key;
            if (!proof_.p2pk_e) continue;
            auto unblinded = unblind_key(key, own.key, *proof_.p2pk_e, slot);
            if (unblinded) return unblinded;
        }
        return std::nullopt;
    }

    Attempt attempt(const Pathway& pathway, std::size_t slot,
                    const std::optional<Digest>& digest) const {
        Attempt result;
        std::vector<crypto::Point> others;
        for (const crypto::Point& key : pathway.keys) {
            if (auto own = own_key_of(key, slot++)) {
                result.signers.push_back(*std::move(own));
            } else {
                others.push_back(key);
            }
        }
        result.foreign = others.size();
        // Ours first: they cost nothing to check.
        const std::size_t ours = std::min(result.signers.size(), pathway.signatures_needed);
        result.signers.erase(result.signers.begin() + static_cast<std::ptrdiff_t>(ours),
                             result.signers.end());
        result.missing = pathway.signatures_needed - ours;
        for (const crypto::Point& key : others) {
            if (result.missing == 0 || !digest) break;
            const auto given = std::ranges::find_if(
                witness_.signatures,
                [&](const std::string& hex) { return signed_by(key, *digest, hex); });
            if (given == witness_.signatures.end()) continue;
            result.given.push_back(*given);
            --result.missing;
        }
        return result;
    }

    // Why the main pathway's preimage is not there, if it takes one.
    std::optional<Code> judge_preimage() const {
        if (!condition_.hash) return std::nullopt;
        if (!witness_.preimage) return Code::PreimageMissing;
        const auto preimage = array_from_hex<32>(*witness_.preimage);
        if (!preimage || crypto::sha256(*preimage) != *condition_.hash) return Code::PreimageWrong;
        return std::nullopt;
    }

    Plan on_main(Attempt main) const {
        Plan plan{Path::Main, std::move(main), std::nullopt, std::nullopt};
        if (condition_.hash) plan.preimage = witness_.preimage;
        plan.shared_from = shared_from(plan.attempt);
        return plan;
    }

    std::optional<std::int64_t> shared_from(const Attempt& main) const {
        if (main.foreign >= condition_.main.signatures_needed) return 0;
        if (condition_.locktime_unreadable) return 0;
        if (!condition_.locktime) return std::nullopt;
        if (condition_.refund) {
            const auto refund = attempt(*condition_.refund, refund_slot(), std::nullopt);
            if (refund.foreign < condition_.refund->signatures_needed) return std::nullopt;
        }
        return opening(*condition_.locktime);
    }

    std::size_t refund_slot() const {
        return condition_.main.keys.size() + (condition_.kind == LockKind::Htlc ? 1 : 0);
    }

    LockFault why_not(const Attempt& main, std::optional<Code> preimage,
                      const std::optional<Attempt>& refund, std::size_t input) const {
        const bool refund_is_ours = refund && !refund->signers.empty();
        if (refund_is_ours && refund->missing == 0 && condition_.locktime) {
            LockFault later = fault(Code::NotYetOpen, input);
            later.opens_at = opening(*condition_.locktime);
            return later;
        }
        const bool main_is_ours = !main.signers.empty() || condition_.main.keys.empty();
        if (main_is_ours && preimage) return fault(*preimage, input);
        if (main_is_ours || (refund_is_ours && condition_.is_expired(now_))) {
            LockFault few = fault(Code::SignaturesMissing, input);
            few.signatures_missing = main_is_ours ? main.missing : refund->missing;
            return few;
        }
        return fault(Code::LockedToOther, input);
    }

    const Proof& proof_;
    const SpendingCondition& condition_;
    const std::vector<OwnKey>& keys_;
    std::int64_t now_;
    Witness witness_;
};

std::optional<std::string> witness_of(const SpendingCondition& condition, const Plan& plan,
                                      const Digest& digest, crypto::Random& random) {
    if (plan.path == Path::Anybody) return std::nullopt;
    Witness witness{plan.preimage, plan.attempt.given};
    for (const crypto::Scalar& signer : plan.attempt.signers) {
        witness.signatures.push_back(to_hex(crypto::schnorr_sign(signer, digest, random)));
    }
    // A refund needs no preimage, but one known mint takes a witness without for another kind's.
    if (condition.kind == LockKind::Htlc && !witness.preimage) {
        witness.preimage = std::string(64, '0');
    }
    return write_witness(witness);
}

template <class Request>
Result<Request, LockFault> unlock_all(Request request, std::string_view quote,
                                      std::span<const crypto::Scalar> keys, std::int64_t now,
                                      crypto::Random& random) {
    TRY(const Locks locks, read_locks(request.inputs));
    const auto own = own_keys(keys);
    const std::size_t witnessed = locks.covers_outputs ? 1 : request.inputs.size();
    for (std::size_t i = 0; i < witnessed; ++i) {
        const Condition& condition = locks.conditions[i];
        if (!condition) continue;
        Proof& input = request.inputs[i];
        const Digest digest =
            digest_of(locks.covers_outputs ? sig_all_message(request.inputs, request.outputs, quote)
                                           : input.secret);
        TRY(const Plan plan, Holder(input, *condition, own, now).plan(digest, i));
        input.witness = witness_of(*condition, plan, digest, random);
    }
    for (std::size_t i = witnessed; i < request.inputs.size(); ++i) {
        request.inputs[i].witness.reset();
    }
    return request;
}

Result<void, LockFault> check_all(const std::vector<Proof>& inputs,
                                  const std::vector<BlindedMessage>& outputs,
                                  std::string_view quote, std::int64_t now) {
    TRY(const Locks locks, read_locks(inputs));
    const std::vector<OwnKey> none;  // It is spent by what the witness brings, or not at all.
    const std::size_t witnessed = locks.covers_outputs ? 1 : inputs.size();
    for (std::size_t i = 0; i < witnessed; ++i) {
        const Condition& condition = locks.conditions[i];
        if (!condition) continue;
        const Digest digest = digest_of(
            locks.covers_outputs ? sig_all_message(inputs, outputs, quote) : inputs[i].secret);
        TRY_VOID(Holder(inputs[i], *condition, none, now).plan(digest, i));
    }
    return {};
}

std::string_view text_of(ConditionFault condition) {
    switch (condition) {
        case ConditionFault::Malformed:
            return "it is malformed";
        case ConditionFault::UnknownKind:
            return "its kind is not known";
        case ConditionFault::DuplicateTag:
            return "it says one thing twice";
        case ConditionFault::UnknownSigFlag:
            return "its signature flag is not known";
        case ConditionFault::KeyInvalid:
            return "it has a key that is none";
        case ConditionFault::DuplicateKey:
            return "it has one key twice";
        case ConditionFault::SignatureCount:
            return "it asks for an impossible count of signatures";
        case ConditionFault::HashInvalid:
            return "its hash is none";
    }
    return "it is malformed";
}

std::string reason_of(const LockFault& fault) {
    switch (fault.code) {
        case Code::Unspendable:
            return "its spending condition can't be met: " +
                   std::string{text_of(fault.condition.value_or(ConditionFault::Malformed))};
        case Code::LockedToOther:
            return "it is locked to another key";
        case Code::SignaturesMissing:
            return "it needs " + std::to_string(fault.signatures_missing) +
                   " more signature(s) of others";
        case Code::PreimageMissing:
            return "its preimage is missing";
        case Code::PreimageWrong:
            return "its preimage is another hash's";
        case Code::NotYetOpen:
            return "it opens for us at " + std::to_string(fault.opens_at.value_or(0));
        case Code::InputsDiffer:
            return "it is signed as a whole (SIG_ALL) and locked otherwise than the others";
    }
    return "it is locked";
}

}  // namespace

std::string describe(const LockFault& fault) {
    return "proof " + std::to_string(fault.input) + ": " + reason_of(fault);
}

std::string sig_all_message(const std::vector<Proof>& inputs,
                            const std::vector<BlindedMessage>& outputs, std::string_view quote) {
    std::string message;
    for (const Proof& input : inputs) message += input.secret + input.C.hex();
    for (const BlindedMessage& output : outputs) {
        message += std::to_string(output.amount) + output.B_.hex();
    }
    message += quote;
    return message;
}

Result<Spendable, LockFault> can_spend(const std::vector<Proof>& proofs,
                                       std::span<const crypto::Scalar> keys, std::int64_t now) {
    TRY(const Locks locks, read_locks(proofs));
    const auto own = own_keys(keys);
    Spendable spendable;
    spendable.covers_outputs = locks.covers_outputs;
    const std::size_t witnessed = locks.covers_outputs ? 1 : proofs.size();
    for (std::size_t i = 0; i < witnessed; ++i) {
        const Condition& condition = locks.conditions[i];
        std::optional<std::int64_t> shared_from{0};
        if (condition) {
            std::optional<Digest> digest;
            if (!locks.covers_outputs) digest = digest_of(proofs[i].secret);
            TRY(const Plan plan, Holder(proofs[i], *condition, own, now).plan(digest, i));
            spendable.is_locked |= plan.path != Path::Anybody;
            shared_from = plan.shared_from;
        }
        const auto& least = spendable.shared_from;
        if (i == 0 || (shared_from && (!least || *shared_from < *least))) {
            spendable.shared_from = shared_from;
        }
    }
    return spendable;
}

Result<wire::SwapRequest, LockFault> unlock(wire::SwapRequest request,
                                            std::span<const crypto::Scalar> keys, std::int64_t now,
                                            crypto::Random& random) {
    return unlock_all(std::move(request), "", keys, now, random);
}

Result<wire::MeltRequest, LockFault> unlock(wire::MeltRequest request,
                                            std::span<const crypto::Scalar> keys, std::int64_t now,
                                            crypto::Random& random) {
    const std::string quote = request.quote;
    return unlock_all(std::move(request), quote, keys, now, random);
}

Result<void, LockFault> check_locks(const wire::SwapRequest& request, std::int64_t now) {
    return check_all(request.inputs, request.outputs, "", now);
}

Result<void, LockFault> check_locks(const wire::MeltRequest& request, std::int64_t now) {
    return check_all(request.inputs, request.outputs, request.quote, now);
}

}  // namespace nutgate::cashu
