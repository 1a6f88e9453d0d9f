// The wallet's tables. Nothing in them spends ecash without the seed: secrets of our own derive
// from it and a counter, what others gave us is sealed under a key of it.
#pragma once

#include <cstdint>
#include <span>

#include "nutgate/store/migration.h"

namespace nutgate::cashu::wallet {

std::span<const store::Migration> migrations();

// wallet_proof.state.
enum class ProofState : std::int64_t {
    Unspent = 1,
    Reserved = 2,  // Ours, input of an operation under way.
    Spent = 3,     // By an operation of ours.
    Sent = 4,      // Given away as a token.
    Received = 5,  // Somebody else's, input of a receive or a swap under way.
    Released = 6,  // As Received, but that failed: it may be tried again.
    Dead = 7,      // Spent by somebody else.
};

// wallet_output.purpose.
enum class Purpose : std::int64_t {
    Keep = 1,
    Send = 2,
    Change = 3,  // A blank: the mint says what it is worth, if anything.
};

// wallet_quote.state.
enum class QuoteState : std::int64_t {
    Requested = 1,  // Its lock key is taken; the mint's answer was not seen.
    Open = 2,       // The invoice may be paid.
    Issued = 3,
};

// The counter of NUT-20 lock keys; no keyset id looks like it.
inline constexpr std::string_view kQuoteLockCounter = "quote-lock";

}  // namespace nutgate::cashu::wallet
