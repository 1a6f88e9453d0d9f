// A mint's offers (NUT-25) for who is to be paid by them: made under a label, and brought in as
// ecash, of which the wallet tells the Settler.
#pragma once

#include <optional>
#include <string>

#include "nutgate/base/clock.h"
#include "nutgate/base/sync.h"
#include "nutgate/cashu/wallet.h"
#include "nutgate/lightning/invoice.h"
#include "nutgate/lightning/offers.h"

namespace nutgate::cashu {

// Thread-safe. All that it refers to outlives it.
class MintOffers {
public:
    MintOffers(Wallet& wallet, MintUrl mint, Network network, store::Database& database,
               const Clock& clock);

    // Whether the mint makes offers, as it said last. False until it was asked, which the embedded
    // one is from the beginning. Never waits.
    bool able() const;
    // Asks it, an hour after it told and sooner where it did not. A timer calls it.
    void look();

    // The same label gives the same offer. Refused where the mint's is not of our network, and
    // where it makes none.
    Result<NodeOffer, BackendError> create_offer(const OfferOrder& order);
    // What was paid to it becomes ecash.
    Result<void, BackendError> bring_in(const OfferId& offer);

private:
    Result<std::optional<NodeOffer>, BackendError> labelled(const OfferOrder& order);

    Wallet& wallet_;
    const MintUrl mint_;
    const Network network_;
    store::Database& database_;
    const Clock& clock_;
    mutable Mutex mutex_;
    bool able_ GUARDED_BY(mutex_) = false;
    Time look_again_at_ GUARDED_BY(mutex_);
};

}  // namespace nutgate::cashu
