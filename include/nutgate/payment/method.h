// A way to pay: one interface, one file per rail. A method opens a payment, and says what became of
// it; it never credits anything. The cashier does, once per money event, in its own transaction.
//
// A payment is planned and stored before it is opened, so that an answer which got lost is asked
// for again under the same label. Pushes are hints to poll(); no amount in one is ever believed.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nutgate/base/amount.h"
#include "nutgate/base/clock.h"
#include "nutgate/base/id.h"
#include "nutgate/base/result.h"
#include "nutgate/lightning/backend.h"

namespace nutgate::cashu {
class MintOffers;
}

namespace nutgate::payment {

// What a text that a person pasted is. Decided by its form alone; it may still be invalid.
enum class TextKind {
    Token,             // cashuA… cashuB…: money itself.
    TokenRequest,      // creqA…: asks for a token (NUT-18).
    Invoice,           // lnbc…: asks for a Lightning payment.
    Offer,             // lno1…: BOLT12.
    LightningAddress,  // name@host
    Lnurl,             // lnurl1…
};
std::string_view to_text(TextKind kind);

// Where the money is once poll() says Settled, which decides who books it.
enum class Funds {
    AtMethod,  // At `holder`: the cashier books it when it has seen Settled.
    InWallet,  // As ecash: the wallet told the Settler in the transaction that stored it, before
               // poll() could say Settled. Booking it again would make money.
};

struct Capabilities {
    bool takes_text = false;  // Its money is a text (a token): given to the cashier's deposit.
    bool opens = false;       // open() makes something to be paid.
    bool refunds = false;     // A balance can leave by it.
    bool reversible = false;  // What is settled can be taken back by the payer.
    bool offers = false;      // open_offer() makes something to be paid again and again.
    Msat amount_min;
    Msat amount_max;
    Funds funds = Funds::InWallet;
    std::string holder;  // Of Funds::AtMethod: the backend, as the books name it.
};

struct Plan {
    std::string label;  // Our own name of this payment, stored before open().
    Msat amount;
    std::string memo;
    Seconds expiry;
};

struct Presentation {
    std::string text;       // What the payer's wallet takes: a BOLT11 invoice.
    std::string reference;  // Names the money event: the payment hash, in hex.
    Time expires_at;
};

enum class Phase { Pending, Settled, Failed };

struct Observation {
    Phase phase = Phase::Pending;
    Msat amount;  // Once Settled: what arrived, not what was asked for.
    std::optional<Preimage> preimage;
    // Where it is. Capabilities say where what is opened now will be: what was opened by another
    // configuration may be elsewhere.
    Funds funds = Funds::InWallet;
    std::string holder = {};  // Of Funds::AtMethod.
};

// A lasting way in: what is paid to it, by whom and how often ever, is that key's.
struct OfferPlan {
    std::string label;           // Our own name of it, stored before open_offer().
    std::optional<Msat> amount;  // Of each payment. Empty: the payer says.
    std::string memo;
};

struct OfferPresentation {
    std::string text;       // What the payer's wallet takes: a BOLT12 offer.
    std::string reference;  // Names the offer: its OfferId, in hex.
    std::string holder;     // Of Funds::AtMethod: whose arrivals it is among.
};

struct Arrival {
    std::string offer;      // Its OfferPresentation::reference; perhaps of an offer not ours.
    std::string reference;  // Names the money event: the payment hash, in hex.
    Msat amount;            // What arrived.
};

struct Arrivals {
    std::vector<Arrival> arrivals;
    std::string mark;  // Whence to ask on; stored in the transaction that credits these.
    bool is_more = false;
};

enum class PaymentError {
    Unsupported,  // This method does not do that.
    Rejected,     // Understood and refused.
    Unreachable,  // Nobody answered. For poll(): nothing is known; ask again.
};

// Thread-safe. VERIFYs nothing about its texts: they come from outside.
class PaymentMethod {
public:
    virtual ~PaymentMethod() = default;

    // As settlements are stored under, for ever: "cashu", "lightning".
    virtual std::string_view id() const = 0;
    virtual std::string_view title() const = 0;
    virtual std::string description() const = 0;  // One sentence, for /v1/info and people.
    virtual Capabilities capabilities() const = 0;
    // Empty if the text is not of this rail.
    virtual std::optional<TextKind> detect(std::string_view text) const = 0;

    // Repeatable: the same plan does not have to be paid twice.
    virtual Result<Presentation, PaymentError> open(const Plan& plan) = 0;
    // The only source of truth about a payment.
    virtual Result<Observation, PaymentError> poll(std::string_view reference) = 0;

    // As open(). Only of a method that has Capabilities::offers, as all below.
    virtual Result<OfferPresentation, PaymentError> open_offer(const OfferPlan&) {
        return fail(PaymentError::Unsupported);
    }
    // Who has arrivals to tell of, which are Funds::AtMethod, and what came in there since `mark`,
    // which is an earlier answer's or empty. The same may be told again.
    virtual std::vector<std::string> offer_holders() { return {}; }
    virtual Result<Arrivals, PaymentError> arrivals(std::string_view /*holder*/,
                                                    std::string_view /*mark*/) {
        return fail(PaymentError::Unsupported);
    }
    // Of one of those holders: nobody can begin to pay that offer any more. Repeatable.
    virtual Result<void, PaymentError> close_offer(std::string_view /*holder*/,
                                                   std::string_view /*reference*/) {
        return fail(PaymentError::Unsupported);
    }
    // Of one without a holder: has what was paid to it become ecash, of which the wallet tells the
    // Settler.
    virtual Result<void, PaymentError> bring_in(std::string_view /*reference*/) {
        return fail(PaymentError::Unsupported);
    }
};

std::unique_ptr<PaymentMethod> make_cashu_method();

struct LightningMethodOptions {
    Funds funds = Funds::InWallet;  // AtMethod for a node of ours.
    Msat amount_min = *Msat::from_raw(1'000);
    Msat amount_max = *Msat::from_raw(1'000'000'000);
    // The mint that makes offers where funds are InWallet, and has made some where they were once.
    cashu::MintOffers* mint_offers = nullptr;
    // Of the other Funds: who made invoices and offers as long as the configuration named it. It
    // makes none, but what it made is still paid. Null: nobody.
    LightningBackend* before = nullptr;
};
// All that it is given outlives the method.
std::unique_ptr<PaymentMethod> make_lightning_method(LightningBackend& backend,
                                                     const LightningMethodOptions& options);

}  // namespace nutgate::payment
