// A Lightning node in a network of its own, for --dev: its invoices are real lnbcrt… invoices with
// real payment hashes, its money is play money. Somebody out there pays each of its invoices by
// themselves a moment later, and whatever it pays arrives at once and costs nothing, unless the
// description of the invoice asks for something else:
//
//     unpaid                     nobody pays it by themselves; only pay() does
//     fail                       paying it fails
//     fee:<msat>                 paying it costs so much
//     pending:<ms>               paying it takes so long
//     unknown-then-paid:<ms>     the same, and no hint comes when it ends: one has to ask
//     unknown-then-failed:<ms>   so too, and then it turns out to have failed
//
// An invoice of ours that carries one of these is not paid by itself either: it is there for pay(),
// which settles an invoice of our own like any other. So it is with an offer: somebody pays it once
// by themselves, 1,000 sat if they may choose.
//
// What it has promised lies in the database before anybody hears of it, and what has come in is a
// matter of stored times and the clock, not of a thread: a restart changes nothing. It spends only
// what it holds: what came in less what went out and what is on its way.
#pragma once

#include <optional>
#include <string>

#include "nutgate/base/scheduler.h"
#include "nutgate/base/secret.h"
#include "nutgate/base/sync.h"
#include "nutgate/crypto/random.h"
#include "nutgate/lightning/backend.h"
#include "nutgate/lightning/offers.h"
#include "nutgate/store/store.h"

namespace nutgate {

// What the node holds: all that came in less all that went out for good, fees included. What is on
// its way out still counts. Reads only, so it works beside a running node and after a killed one.
Result<Msat, store::StoreFailure> simulated_balance(store::Database& database, const Clock& clock);
Msat simulated_balance(store::Reader& reader, Time now);

// Thread-safe. All that it is given outlives it; the scheduler may have been stopped before. The
// destructor waits for a hint that is being given, so no hint may destroy it.
class SimulatedLightning final : public LightningBackend, public OfferBackend {
public:
    struct Options {
        crypto::Scalar node_key;  // Signs the invoices. The preimages are derived from it.
        Milliseconds settle_after{500};
    };
    // More is refused, both ways: play money has no need of it.
    static constexpr Msat kAmountMax = 100'000'000'000_msat;
    static constexpr Seconds kExpiryMax{366 * 24 * 3600};

    static Result<void, store::StoreFailure> migrate(store::Database& database);

    SimulatedLightning(store::Database& database, const Clock& clock, Scheduler& scheduler,
                       crypto::Random& random, const Options& options);
    ~SimulatedLightning() override;
    SimulatedLightning(const SimulatedLightning&) = delete;
    SimulatedLightning& operator=(const SimulatedLightning&) = delete;

    std::string name() const override { return "simulated"; }
    Network network() const override { return Network::Regtest; }

    // Refuses an amount or an expiry of nothing or beyond the limits above, and another amount
    // under a label that was used.
    Result<Invoice, BackendError> create_invoice(const InvoiceOrder& order) override;
    Result<Payment, BackendError> incoming(const PaymentHash& hash) override;

    // Takes invoices of anybody on regtest. Only those of this network reveal a preimage.
    Result<Payment, BackendError> pay(const PaymentOrder& order) override;
    Result<Payment, BackendError> outgoing(const PaymentHash& hash) override;
    Result<Msat, BackendError> estimate_fee(const Bolt11& invoice, Msat amount) override;

    void on_change(std::function<void(const PaymentHash&)> hint) override;

    // An invoice of some other node of this network: something to pay. `description` may ask for
    // an outcome. The amount is within the limit and not zero.
    std::string outside_invoice(Msat amount, const std::string& description) const;

    std::vector<OfferBackend*> offers() override { return {this}; }
    // Refuses as create_invoice() does.
    Result<NodeOffer, BackendError> create_offer(const OfferOrder& order) override;
    Result<OfferPayments, BackendError> payments(std::string_view mark) override;
    Result<void, BackendError> close_offer(const OfferId& offer) override;
    // Somebody pays an offer of ours now, unless it is closed, with `amount` where it names none.
    Result<PaymentHash, BackendError> pay_offer(std::string_view bolt12, Msat amount);

private:
    Time now() const;
    std::optional<Preimage> outside_preimage(const Bolt11& invoice) const;
    void wake_at(Time due);
    void tick(std::uint64_t generation);

    store::Database& database_;
    const Clock& clock_;
    Scheduler& scheduler_;
    crypto::Random& random_;
    const crypto::Scalar node_key_;
    const Secret preimage_key_;
    const Milliseconds settle_after_;

    mutable Mutex time_mutex_;
    mutable Time last_ GUARDED_BY(time_mutex_);
    mutable Milliseconds set_back_ GUARDED_BY(time_mutex_){0};

    Mutex mutex_;
    std::function<void(const PaymentHash&)> hint_ GUARDED_BY(mutex_);
    struct Wake {
        Scheduler::JobId job;
        Time due;
        std::uint64_t generation;
    };
    std::optional<Wake> wake_ GUARDED_BY(mutex_);
    std::uint64_t generation_ GUARDED_BY(mutex_) = 0;
    bool closing_ GUARDED_BY(mutex_) = false;
};

}  // namespace nutgate
