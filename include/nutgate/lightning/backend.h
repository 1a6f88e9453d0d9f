// A Lightning backend makes and pays invoices for us: a node of ours (LND, Core Lightning,
// phoenixd), a wallet service, a mint's quotes, or the simulated network. One interface, one
// contract test, any number of backends.
//
// The contract that keeps money safe: an error of pay() means it is CERTAIN that nothing was paid
// and nothing will be. Where a backend can't be certain (a time-out, a dropped connection, an
// answer that made no sense) it says Pending, and its caller asks again later. No caller gives
// money back on anything but Failed or an error of pay().
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "nutgate/base/amount.h"
#include "nutgate/base/clock.h"
#include "nutgate/base/id.h"
#include "nutgate/base/result.h"
#include "nutgate/lightning/invoice.h"

namespace nutgate {

struct InvoiceOrder {
    Msat amount;
    std::string memo;
    Seconds expiry;
    // Our own name of this invoice, stored before the call: a backend that can be asked by label or
    // derives its preimage from it makes no second invoice for the same one.
    std::string label;
};

struct Invoice {
    PaymentHash hash;  // The invoice's real payment hash, read out of `bolt11`.
    std::string bolt11;
    Time expires_at;
};

struct PaymentOrder {
    PaymentHash hash;  // Of `bolt11`; the caller has parsed it and stored it before it pays.
    std::string bolt11;
    Msat amount;
    Msat fee_max;
};

enum class PaymentState { Pending, Settled, Failed };

struct Payment {
    PaymentState state = PaymentState::Pending;
    Msat amount;  // Once Settled: what arrived, or what was delivered.
    Msat fee;     // Once Settled: what an outgoing payment cost beyond `amount`.
    std::optional<Preimage> preimage;
    std::string backend = {};  // At which of several nodes it is; empty: at the one that was asked.
};

enum class BackendError {
    Unreachable,  // Never for pay() once a request may have left us: that is Pending.
    Refused,      // It understood and said no: no route, no funds, bad invoice, expired.
    NotFound,     // A look-up found no payment of that hash. It may come yet: this proves nothing.
};

class OfferBackend;  // offers.h

// Thread-safe. Every call returns within the time-out its constructor was given.
class LightningBackend {
public:
    virtual ~LightningBackend() = default;

    // As the books name it: "simulated", "lnd", "mint".
    virtual std::string name() const = 0;
    virtual Network network() const = 0;

    virtual Result<Invoice, BackendError> create_invoice(const InvoiceOrder&) = 0;
    virtual Result<Payment, BackendError> incoming(const PaymentHash&) = 0;

    // Pays, or joins the payment of that hash which is under way. Calling it twice pays once.
    virtual Result<Payment, BackendError> pay(const PaymentOrder&) = 0;
    virtual Result<Payment, BackendError> outgoing(const PaymentHash&) = 0;

    // What a payment may cost beyond its amount, for the quote that is shown before it.
    virtual Result<Msat, BackendError> estimate_fee(const Bolt11&, Msat amount) = 0;

    // Calls `hint` from a thread of the backend's whenever a payment may have arrived or ended.
    // Only a hint to ask: nothing is ever credited on it. One listener set; set before the first
    // call.
    virtual void on_change(std::function<void(const PaymentHash&)> hint) = 0;

    // Those of its nodes that can make offers, in the order of preference. Most can't.
    virtual std::vector<OfferBackend*> offers() { return {}; }
};

}  // namespace nutgate
