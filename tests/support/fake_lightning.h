// A Lightning backend whose world is a script: for the tests of what stands on one. It keeps the
// contract (tests/contract/lightning_contract.h runs against it) and forgets all when it goes.
//
//     fake.mark_paid(invoice.hash, 21'000_msat);         // Somebody paid our invoice.
//     fake.next_pay(FakeLightning::Outcome::Unknown);    // Our next payment: Pending until …
//     fake.conclude(hash, PaymentState::Settled);        // … this.
//     fake.set_down(true);                               // Unreachable, until set_down(false).
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "nutgate/base/clock.h"
#include "nutgate/base/sync.h"
#include "nutgate/base/verify.h"
#include "nutgate/crypto/hash.h"
#include "nutgate/crypto/random.h"
#include "nutgate/lightning/backend.h"
#include "support/fake_offers.h"

namespace nutgate::test {

// Thread-safe.
class FakeLightning final : public LightningBackend {
public:
    enum class Outcome {
        Paid,     // Settled at once. So is what was not scripted.
        Failed,   // Answered as Failed, finally.
        Refused,  // An error; nothing is remembered, so it may be tried again.
        Unknown,  // Pending until conclude().
    };

    explicit FakeLightning(const Clock& clock) : clock_{clock} {}

    // Somebody pays our invoice of that hash, perhaps more than it asks for.
    void mark_paid(const PaymentHash& hash, Msat amount) {
        {
            const Lock lock{mutex_};
            const auto found = incoming_.find(hash);
            VERIFY(found != incoming_.end());
            settle(hash, found->second, amount);
        }
        hint(hash);
    }
    void next_pay(Outcome outcome) {
        const Lock lock{mutex_};
        script_.push_back(outcome);
    }
    // Ends an unknown payment as Settled or Failed.
    void conclude(const PaymentHash& hash, PaymentState state) {
        {
            const Lock lock{mutex_};
            const auto found = outgoing_.find(hash);
            VERIFY(found != outgoing_.end() && found->second.state == PaymentState::Pending);
            if (state == PaymentState::Settled) deliver(hash, found->second);
            found->second.state = state;
        }
        hint(hash);
    }
    void set_down(bool down) {
        const Lock lock{mutex_};
        down_ = down;
    }
    // It makes offers, from now on.
    FakeOffers& with_offers() {
        makes_offers_ = true;
        return offers_;
    }
    // It says of each payment, from now on, that it is at that one of several nodes.
    void set_place(std::string backend) {
        const Lock lock{mutex_};
        place_ = std::move(backend);
    }
    // What each payment costs from now on, beyond its amount.
    void set_fee(Msat fee) {
        const Lock lock{mutex_};
        fee_ = fee;
    }

    // An invoice of somebody else's node, to be paid.
    std::string outside_invoice(std::optional<Msat> amount, const std::string& description = "",
                                Seconds expiry = Seconds{3600}) {
        const Lock lock{mutex_};
        const Preimage preimage{random_.bytes<32>()};
        const PaymentHash hash{crypto::sha256(preimage.bytes())};
        preimages_.emplace(hash, preimage);
        return write(hash, amount, description, expiry, *crypto::Scalar::from_hex(kOutsideKey));
    }

    // How often a payment of that hash really left: more than once is a lost coin.
    int times_paid(const PaymentHash& hash) const {
        const Lock lock{mutex_};
        const auto found = times_paid_.find(hash);
        return found == times_paid_.end() ? 0 : found->second;
    }
    std::size_t invoices_made() const {
        const Lock lock{mutex_};
        return incoming_.size();
    }

    std::string name() const override { return "fake"; }
    Network network() const override { return Network::Regtest; }

    Result<Invoice, BackendError> create_invoice(const InvoiceOrder& order) override {
        const Lock lock{mutex_};
        if (down_) return fail(BackendError::Unreachable);
        if (order.amount == Msat{} || order.expiry <= Seconds{0})
            return fail(BackendError::Refused);
        if (const auto made = invoices_.find(order.label); made != invoices_.end()) {
            if (made->second.amount != order.amount) return fail(BackendError::Refused);
            return made->second.invoice;
        }
        const Preimage preimage{random_.bytes<32>()};
        const PaymentHash hash{crypto::sha256(preimage.bytes())};
        preimages_.emplace(hash, preimage);
        auto text =
            write(hash, order.amount, order.memo, order.expiry, *crypto::Scalar::from_hex(kOurKey));
        const auto expires_at = parse_bolt11(text)->expires_at();
        Made made{.amount = order.amount,
                  .invoice = {.hash = hash, .bolt11 = std::move(text), .expires_at = expires_at}};
        incoming_.emplace(hash, Payment{});
        return invoices_.emplace(order.label, std::move(made)).first->second.invoice;
    }

    Result<Payment, BackendError> incoming(const PaymentHash& hash) override {
        const Lock lock{mutex_};
        return find(incoming_, hash);
    }

    Result<Payment, BackendError> pay(const PaymentOrder& order) override {
        const Lock lock{mutex_};
        if (down_) return fail(BackendError::Unreachable);
        if (const auto known = outgoing_.find(order.hash); known != outgoing_.end()) {
            return known->second;
        }
        const auto invoice = parse_bolt11(order.bolt11);
        if (!invoice || invoice->network != network() || invoice->payment_hash != order.hash ||
            order.amount == Msat{} || (invoice->amount && *invoice->amount != order.amount) ||
            clock_.now() >= invoice->expires_at() || fee_ > order.fee_max) {
            return fail(BackendError::Refused);
        }
        if (const auto own = incoming_.find(order.hash);
            own != incoming_.end() && own->second.state == PaymentState::Settled) {
            return fail(BackendError::Refused);
        }
        const Outcome outcome = next_outcome();
        if (outcome == Outcome::Refused) return fail(BackendError::Refused);
        Payment payment{
            .state = PaymentState::Pending, .amount = order.amount, .fee = fee_, .preimage = {}};
        if (outcome == Outcome::Paid) {
            deliver(order.hash, payment);
            payment.state = PaymentState::Settled;
        }
        if (outcome == Outcome::Failed) payment.state = PaymentState::Failed;
        return outgoing_.emplace(order.hash, payment).first->second;
    }

    Result<Payment, BackendError> outgoing(const PaymentHash& hash) override {
        const Lock lock{mutex_};
        return find(outgoing_, hash);
    }

    Result<Msat, BackendError> estimate_fee(const Bolt11&, Msat) override {
        const Lock lock{mutex_};
        if (down_) return fail(BackendError::Unreachable);
        return fee_;
    }

    void on_change(std::function<void(const PaymentHash&)> hint) override {
        const Lock lock{mutex_};
        hint_ = std::move(hint);
    }

    std::vector<OfferBackend*> offers() override {
        return makes_offers_ ? std::vector<OfferBackend*>{&offers_} : std::vector<OfferBackend*>{};
    }

private:
    struct Made {
        Msat amount;
        Invoice invoice;
    };
    using Payments = std::map<PaymentHash, Payment>;

    static constexpr std::string_view kOurKey =
        "1111111111111111111111111111111111111111111111111111111111111111";
    static constexpr std::string_view kOutsideKey =
        "2222222222222222222222222222222222222222222222222222222222222222";

    // Called without the lock: a listener may ask us.
    void hint(const PaymentHash& hash) {
        std::function<void(const PaymentHash&)> hint;
        {
            const Lock lock{mutex_};
            hint = hint_;
        }
        if (hint) hint(hash);
    }

    Result<Payment, BackendError> find(const Payments& payments, const PaymentHash& hash) const
        REQUIRES(mutex_) {
        if (down_) return fail(BackendError::Unreachable);
        const auto found = payments.find(hash);
        if (found == payments.end()) return fail(BackendError::NotFound);
        Payment payment = found->second;
        payment.backend = place_;
        return payment;
    }

    Outcome next_outcome() REQUIRES(mutex_) {
        if (script_.empty()) return Outcome::Paid;
        const Outcome outcome = script_.front();
        script_.pop_front();
        return outcome;
    }

    void settle(const PaymentHash& hash, Payment& payment, Msat amount) REQUIRES(mutex_) {
        payment.state = PaymentState::Settled;
        payment.amount = amount;
        payment.preimage = preimages_.at(hash);
    }

    // The money arrives: at a node outside, or at an invoice of our own.
    void deliver(const PaymentHash& hash, Payment& payment) REQUIRES(mutex_) {
        ++times_paid_[hash];
        if (const auto known = preimages_.find(hash); known != preimages_.end()) {
            payment.preimage = known->second;
        }
        if (const auto own = incoming_.find(hash); own != incoming_.end()) {
            settle(hash, own->second, payment.amount);
        }
    }

    std::string write(const PaymentHash& hash, std::optional<Msat> amount,
                      const std::string& description, Seconds expiry, const crypto::Scalar& key)
        REQUIRES(mutex_) {
        return write_bolt11({.network = network(),
                             .amount = amount,
                             .created_at = clock_.now(),
                             .expiry = expiry,
                             .payment_hash = hash,
                             .payment_secret = random_.bytes<32>(),
                             .description = description},
                            key);
    }

    const Clock& clock_;
    FakeOffers offers_;
    std::atomic<bool> makes_offers_ = false;
    mutable Mutex mutex_;
    crypto::SystemRandom random_ GUARDED_BY(mutex_);
    std::map<std::string, Made> invoices_ GUARDED_BY(mutex_);  // By label.
    std::map<PaymentHash, Preimage> preimages_ GUARDED_BY(mutex_);
    Payments incoming_ GUARDED_BY(mutex_);
    Payments outgoing_ GUARDED_BY(mutex_);
    std::map<PaymentHash, int> times_paid_ GUARDED_BY(mutex_);
    std::deque<Outcome> script_ GUARDED_BY(mutex_);
    Msat fee_ GUARDED_BY(mutex_);
    bool down_ GUARDED_BY(mutex_) = false;
    std::string place_ GUARDED_BY(mutex_);
    std::function<void(const PaymentHash&)> hint_ GUARDED_BY(mutex_);
};

}  // namespace nutgate::test
