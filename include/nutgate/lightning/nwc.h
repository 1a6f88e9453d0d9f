// Nostr Wallet Connect (NIP-47): a wallet service of anybody's, spoken to through relays, by an
// address that is a secret.
//
// What this protocol can't do, and what is done about it. It has no limit of a fee: a payment whose
// order leaves less than fee_base and fee_ppm of its amount is refused before anybody is told, and
// what the service spends beyond is told afterwards, not prevented. It has no idempotency: a
// payment is told once, with a time after which the service must ignore it, and is not told again
// before that time is over and a look-up has shown that the service knows of none.
#pragma once

#include <memory>

#include "nutgate/base/clock.h"
#include "nutgate/crypto/random.h"
#include "nutgate/lightning/node.h"

namespace nutgate {

struct NwcOptions {
    // A relay that is away is waited for so long before a call says that nobody can be reached.
    Milliseconds relay_patience{5'000};
    // For how much longer than its request may be begun a payment is taken to be perhaps under way
    // although the service knows of none.
    Seconds grace{120};
    Milliseconds backoff_first{1'000};  // Of a relay's connection.
    Milliseconds backoff_max{60'000};
};

// `options`: the credentials are addresses as above, for paying perhaps the same one; `url` is
// unused, `pushes` is what it speaks over and may not be null. What it is given outlives it.
// Empty: an address does not parse.
std::unique_ptr<LightningNode> make_nwc(NodeOptions options, NwcOptions nwc,
                                        store::Database& database, const Clock& clock,
                                        crypto::Random& random);

}  // namespace nutgate
