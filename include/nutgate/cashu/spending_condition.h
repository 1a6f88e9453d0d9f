// Spending conditions: secrets that say who may spend them (NUT-10), by signature (P2PK, NUT-11) or
// by a preimage and signature (HTLC, NUT-14).
//
// A secret is hashed and signed as the text that it is. Here it is only read: what
// parse_condition() gives is never written back. It reads as strictly as the strictest mint that we
// know, so a text that mints disagree about (a field or tag twice, a kind that we don't know, no
// JSON behind a '[') is a fault and never an ordinary secret: some mints would let anybody spend
// it, others nobody.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nutgate/base/bytes.h"
#include "nutgate/base/result.h"
#include "nutgate/crypto/curve.h"
#include "nutgate/crypto/random.h"

namespace nutgate::cashu {

enum class LockKind { P2pk, Htlc };

// What signatures are made over.
enum class SigFlag {
    Inputs,  // Each input's own secret.
    All,     // All inputs and outputs at once; the first input carries the witness of all.
};

// One way to spend: so many of these keys must sign, each counted once.
struct Pathway {
    std::vector<crypto::Point> keys;
    std::size_t signatures_needed = 0;
    friend bool operator==(const Pathway&, const Pathway&) = default;
};

// A condition but for its nonce: as a secret has it, or as somebody asks for it (NUT-18's "nut10").
struct LockTerms {
    std::string kind;
    std::string data;
    std::vector<std::vector<std::string>> tags;
    friend bool operator==(const LockTerms&, const LockTerms&) = default;
};

struct SpendingCondition {
    LockTerms terms;  // As they are written.
    LockKind kind = LockKind::P2pk;
    SigFlag sigflag = SigFlag::Inputs;
    std::optional<ByteArray<32>> hash;  // Of an HTLC: SHA-256 of the preimage's 32 bytes.
    // Open for ever. An HTLC's asks for the preimage as well, and for no signature if it has no
    // keys.
    Pathway main;
    // Open beside it once the locktime is over. Without one, everybody may spend from then on.
    std::optional<Pathway> refund;
    std::optional<std::int64_t> locktime;  // Unix seconds. Empty: never over.
    // There is a locktime which is no number to us. By NUT-11 it is never over; a mint with a laxer
    // reader may think otherwise.
    bool locktime_unreadable = false;

    // Strictly after, as the known mints have it.
    bool is_expired(std::int64_t now) const { return locktime && *locktime < now; }
};

// Why nobody should count on being able to spend it.
enum class ConditionFault {
    Malformed,       // Begins like a condition and is none: JSON, fields, or tags of another shape.
    UnknownKind,     // Neither P2PK nor HTLC.
    DuplicateTag,    // Also a field twice.
    UnknownSigFlag,  // Neither SIG_INPUTS nor SIG_ALL.
    KeyInvalid,      // Not a compressed point.
    DuplicateKey,    // One x-coordinate twice in one pathway.
    SignatureCount,  // Not a number from 1 to the count of keys in its pathway.
    HashInvalid,     // Not 64 hex digits.
};

// Empty for an ordinary secret, which whoever knows it may spend.
Result<std::optional<SpendingCondition>, ConditionFault> parse_condition(std::string_view secret);

LockTerms lock_to(const crypto::Point& key);

// The text of a secret under these terms. `nonce` must not be used twice, or two proofs are one;
// derive it where the proof must be found again from the seed.
std::string write_condition(const LockTerms& terms, std::string_view nonce);
std::string write_condition(const LockTerms& terms, crypto::Random& random);

// Whether the secret is locked as the terms say, however it is written; tags that mean nothing to
// NUT-11 don't count. False for terms that are no condition.
bool is_locked_as(std::string_view secret, const LockTerms& terms);

}  // namespace nutgate::cashu
