// Offers (BOLT12) at a node of ours: one text that is paid any number of times, by anybody, each
// time under a payment hash of its own. The node answers whoever wants to pay one, by onion
// messages; what we do is have it made, and ask what has come in to it.
//
// A payment's hash is the one name of that money event, as with an invoice's. No push is believed,
// and nothing is credited but what payments() answers.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nutgate/base/amount.h"
#include "nutgate/base/id.h"
#include "nutgate/base/result.h"
#include "nutgate/lightning/backend.h"

namespace nutgate {

struct OfferOrder {
    // Our own name of this offer, stored before the call: the same again gives the same offer.
    std::string label;
    std::string description;
    std::optional<Msat> amount;  // Of each payment. Empty: the payer says.
};

struct NodeOffer {
    OfferId id;          // Of `bolt12`, computed by us.
    std::string bolt12;  // "lno1…", parsed: of our network, over that amount, not expiring.
};

struct OfferPayment {
    OfferId offer;  // May be one of somebody else's, who uses the same node.
    PaymentHash hash;
    Msat amount;  // What arrived.
};

struct OfferPayments {
    std::vector<OfferPayment> payments;  // Each proven by its preimage, where the node shows one.
    std::string mark;                    // Whence to ask on; the asker stores it with the credits.
    bool is_more = false;                // There was more than fits one answer: ask on at once.
};

// Thread-safe. Every call returns within the time-out its constructor was given.
class OfferBackend {
public:
    virtual ~OfferBackend() = default;

    // As the books name it; the same as its LightningBackend's.
    virtual std::string name() const = 0;
    virtual Result<NodeOffer, BackendError> create_offer(const OfferOrder&) = 0;
    // What has come in to offers since `mark`, an earlier answer's or empty: since ever. The same
    // mark may answer the same payments again; none that came after it is ever left out.
    virtual Result<OfferPayments, BackendError> payments(std::string_view mark) = 0;
    // Who wants to pay it is given no invoice any more; what is paid to one that was given before
    // is told. Closing twice is closing once.
    virtual Result<void, BackendError> close_offer(const OfferId&) { return {}; }
    // Asks whether our credential is good for offers: for a person. Refused: it is not.
    virtual Result<void, BackendError> check_offers() { return {}; }
};

}  // namespace nutgate
