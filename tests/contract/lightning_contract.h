// What every LightningBackend promises, as one suite: each backend runs it, and so does the fake
// that stands for them in other modules' tests.
//
//     TEST_CASE("lightning contract: lnd") { lightning_contract([] { return make_rig(); }); }
#pragma once

#include <doctest/doctest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "nutgate/crypto/hash.h"
#include "nutgate/lightning/backend.h"

namespace nutgate::test {

// A backend, the network around it, and enough money on it for a few payments.
class LightningRig {
public:
    enum class Outcome { Paid, Failed, UnknownThenPaid, UnknownThenFailed };

    virtual ~LightningRig() = default;
    virtual LightningBackend& backend() = 0;
    // Somebody pays our invoice.
    virtual void pay_in(const Invoice& invoice, Msat amount) = 0;
    // An invoice of another node, and what will become of paying it.
    virtual std::string outside_invoice(Msat amount, Outcome outcome) = 0;
    // Until what was unknown is known.
    virtual void wait_for_the_end_of(const PaymentHash& hash, Outcome outcome) = 0;
    // The process ends and begins anew. A backend that keeps nothing itself does nothing here.
    virtual void reopen() = 0;

    // What follows only a backend with a node behind a network has; the suite asks nothing of the
    // kind where has_node() is false.
    enum class Trouble {
        RefuseConnection,  // The node hears nothing, and that is certain.
        LoseRequest,       // It hears nothing, and nobody knows.
        LoseAnswer,        // It does what it was told, and nobody knows: a time-out.
        Double,            // It is told twice.
        ServerError,       // It does what it was told; what comes back is a proxy's 502.
        Nonsense,          // So too, and what comes back can't be read.
    };
    virtual bool has_node() const { return false; }
    // The n-th call to the node from now on.
    virtual void trouble_at(int, Trouble) {}
    // Which call of a pay() it is that tells the node to pay.
    virtual int telling() const { return 1; }
    virtual void no_trouble() {}
    // The node's process ends; it keeps what it knew, and start_node() brings it back.
    virtual void stop_node() {}
    virtual void start_node() {}
    // The node tells of an arrival again, as after a reconnection.
    virtual void tell_again(const Invoice&) {}
    // Our invoice's time runs out unpaid.
    virtual void expire(const Invoice&) {}
    virtual std::string expired_invoice(Msat) { return {}; }
    // How often the node really sent that payment: more than once is a lost coin.
    virtual int times_paid(const PaymentHash&) { return 0; }
};

namespace contract {

inline constexpr Msat kAmount = 21'000_msat;

inline InvoiceOrder invoice_order(const std::string& label) {
    return {.amount = kAmount, .memo = "top up", .expiry = Seconds{600}, .label = label};
}

inline PaymentOrder payment_order(const std::string& bolt11) {
    const auto invoice = parse_bolt11(bolt11);
    REQUIRE(invoice.has_value());
    return {
        .hash = invoice->payment_hash, .bolt11 = bolt11, .amount = kAmount, .fee_max = 5000_msat};
}

inline void check_settled(const Result<Payment, BackendError>& payment, const PaymentHash& hash) {
    REQUIRE(payment.has_value());
    REQUIRE_EQ(payment->state, PaymentState::Settled);
    CHECK_EQ(payment->amount, kAmount);
    REQUIRE(payment->preimage.has_value());
    CHECK_EQ(PaymentHash{crypto::sha256(payment->preimage->bytes())}, hash);
}

inline void receiving(LightningRig& rig) {
    SUBCASE("an invoice says what was ordered, on the backend's own network") {
        const auto invoice = rig.backend().create_invoice(invoice_order("a"));
        REQUIRE(invoice.has_value());
        const auto parsed = parse_bolt11(invoice->bolt11);
        REQUIRE(parsed.has_value());
        CHECK_EQ(parsed->network, rig.backend().network());
        CHECK_EQ(parsed->amount, kAmount);
        CHECK_EQ(parsed->description, "top up");
        CHECK_EQ(parsed->payment_hash, invoice->hash);
        CHECK_EQ(parsed->expires_at(), invoice->expires_at);
    }
    SUBCASE("one label makes one invoice, and another label another") {
        const auto first = rig.backend().create_invoice(invoice_order("a"));
        const auto again = rig.backend().create_invoice(invoice_order("a"));
        const auto other = rig.backend().create_invoice(invoice_order("b"));
        REQUIRE((first.has_value() && again.has_value() && other.has_value()));
        CHECK_EQ(first->bolt11, again->bolt11);
        CHECK_EQ(first->hash, again->hash);
        CHECK_NE(first->hash, other->hash);
    }
    SUBCASE("an invoice over nothing is refused") {
        auto order = invoice_order("a");
        order.amount = Msat{};
        const auto invoice = rig.backend().create_invoice(order);
        REQUIRE_FALSE(invoice.has_value());
        CHECK_EQ(invoice.error(), BackendError::Refused);
    }
    SUBCASE("a hash that nobody ordered is not found") {
        const auto payment = rig.backend().incoming(PaymentHash{ByteArray<32>{std::byte{7}}});
        REQUIRE_FALSE(payment.has_value());
        CHECK_EQ(payment.error(), BackendError::NotFound);
    }
    SUBCASE("an invoice is pending until it is paid, then settled for good with its preimage") {
        const auto invoice = rig.backend().create_invoice(invoice_order("a"));
        REQUIRE(invoice.has_value());
        const auto before = rig.backend().incoming(invoice->hash);
        REQUIRE(before.has_value());
        CHECK_EQ(before->state, PaymentState::Pending);
        CHECK_FALSE(before->preimage.has_value());
        rig.pay_in(*invoice, kAmount);
        check_settled(rig.backend().incoming(invoice->hash), invoice->hash);
        rig.reopen();
        check_settled(rig.backend().incoming(invoice->hash), invoice->hash);
        CHECK_EQ(rig.backend().create_invoice(invoice_order("a"))->hash, invoice->hash);
    }
}

inline void paying(LightningRig& rig) {
    SUBCASE("a payment settles with its preimage, and paying again pays nothing") {
        const auto bolt11 = rig.outside_invoice(kAmount, LightningRig::Outcome::Paid);
        const auto order = payment_order(bolt11);
        const auto paid = rig.backend().pay(order);
        check_settled(paid, order.hash);
        CHECK_LE(paid->fee, order.fee_max);
        check_settled(rig.backend().pay(order), order.hash);
        check_settled(rig.backend().outgoing(order.hash), order.hash);
        rig.reopen();
        check_settled(rig.backend().pay(order), order.hash);
    }
    SUBCASE("a payment that failed stays failed when asked for") {
        const auto order =
            payment_order(rig.outside_invoice(kAmount, LightningRig::Outcome::Failed));
        const auto paid = rig.backend().pay(order);
        if (paid.has_value()) {
            CHECK_EQ(paid->state, PaymentState::Failed);
            CHECK_EQ(rig.backend().outgoing(order.hash)->state, PaymentState::Failed);
        } else {
            CHECK_EQ(paid.error(), BackendError::Refused);
        }
    }
    SUBCASE("a payment that was never begun is not found") {
        const auto payment = rig.backend().outgoing(PaymentHash{ByteArray<32>{std::byte{9}}});
        REQUIRE_FALSE(payment.has_value());
        CHECK_EQ(payment.error(), BackendError::NotFound);
    }
    SUBCASE("what is unknown stays pending, over a restart too, and then is one or the other") {
        for (const auto outcome :
             {LightningRig::Outcome::UnknownThenPaid, LightningRig::Outcome::UnknownThenFailed}) {
            const auto order = payment_order(rig.outside_invoice(kAmount, outcome));
            CHECK_EQ(rig.backend().pay(order)->state, PaymentState::Pending);
            CHECK_EQ(rig.backend().pay(order)->state, PaymentState::Pending);
            rig.reopen();
            CHECK_EQ(rig.backend().outgoing(order.hash)->state, PaymentState::Pending);
            rig.wait_for_the_end_of(order.hash, outcome);
            if (outcome == LightningRig::Outcome::UnknownThenPaid) {
                check_settled(rig.backend().outgoing(order.hash), order.hash);
            } else {
                CHECK_EQ(rig.backend().outgoing(order.hash)->state, PaymentState::Failed);
            }
            rig.reopen();
            CHECK_NE(rig.backend().outgoing(order.hash)->state, PaymentState::Pending);
        }
    }
    SUBCASE("an order that does not fit its invoice is refused, and nothing is begun") {
        const auto bolt11 = rig.outside_invoice(kAmount, LightningRig::Outcome::Paid);
        const auto good = payment_order(bolt11);
        auto wrong_hash = good;
        wrong_hash.hash = PaymentHash{ByteArray<32>{std::byte{5}}};
        auto less = good;
        less.amount = 20'000_msat;
        auto no_invoice = good;
        no_invoice.bolt11 = "lnbcrt1nothing";
        for (const auto& order : {wrong_hash, less, no_invoice}) {
            const auto paid = rig.backend().pay(order);
            REQUIRE_FALSE(paid.has_value());
            CHECK_EQ(paid.error(), BackendError::Refused);
        }
        CHECK_FALSE(rig.backend().outgoing(good.hash).has_value());
    }
    SUBCASE("the fee of a quote is no more than the payment may cost") {
        const auto invoice =
            parse_bolt11(rig.outside_invoice(kAmount, LightningRig::Outcome::Paid));
        const auto fee = rig.backend().estimate_fee(*invoice, kAmount);
        REQUIRE(fee.has_value());
        CHECK_LE(*fee, kAmount);
    }
}

// No payment takes more calls than this.
inline constexpr int kCallsMax = 6;
inline constexpr LightningRig::Trouble kTroubles[] = {
    LightningRig::Trouble::RefuseConnection, LightningRig::Trouble::LoseRequest,
    LightningRig::Trouble::LoseAnswer,       LightningRig::Trouble::Double,
    LightningRig::Trouble::ServerError,      LightningRig::Trouble::Nonsense};

// An error means that nothing was paid and nothing will be, so nothing may have been.
inline void check_honest(LightningRig& rig, const Result<Payment, BackendError>& paid,
                         const PaymentHash& hash) {
    if (paid) {
        if (paid->state == PaymentState::Failed) CHECK_EQ(rig.times_paid(hash), 0);
        if (paid->state == PaymentState::Settled) CHECK_EQ(rig.times_paid(hash), 1);
    } else {
        CHECK_EQ(rig.times_paid(hash), 0);
    }
}

inline void paying_in_trouble(LightningRig& rig) {
    SUBCASE("whatever happens to whichever call, a payment is made once and its answer is honest") {
        for (const auto trouble : kTroubles) {
            for (int n = 1; n <= kCallsMax; ++n) {
                CAPTURE(static_cast<int>(trouble));
                CAPTURE(n);
                const auto order =
                    payment_order(rig.outside_invoice(kAmount, LightningRig::Outcome::Paid));
                rig.trouble_at(n, trouble);
                check_honest(rig, rig.backend().pay(order), order.hash);
                rig.no_trouble();
                check_settled(rig.backend().pay(order), order.hash);
                check_settled(rig.backend().outgoing(order.hash), order.hash);
                CHECK_EQ(rig.times_paid(order.hash), 1);
            }
        }
    }
    SUBCASE("after a time-out the payment is pending until it is known, over a restart of both") {
        for (const auto outcome :
             {LightningRig::Outcome::UnknownThenPaid, LightningRig::Outcome::UnknownThenFailed}) {
            const auto order = payment_order(rig.outside_invoice(kAmount, outcome));
            rig.trouble_at(rig.telling(), LightningRig::Trouble::LoseAnswer);
            CHECK_EQ(rig.backend().pay(order)->state, PaymentState::Pending);
            rig.no_trouble();
            rig.reopen();
            rig.stop_node();
            CHECK_EQ(rig.backend().outgoing(order.hash).error(), BackendError::Unreachable);
            rig.start_node();
            CHECK_EQ(rig.backend().outgoing(order.hash)->state, PaymentState::Pending);
            CHECK_EQ(rig.backend().pay(order)->state, PaymentState::Pending);
            rig.wait_for_the_end_of(order.hash, outcome);
            const auto ended = rig.backend().outgoing(order.hash);
            REQUIRE(ended.has_value());
            CHECK_NE(ended->state, PaymentState::Pending);
            check_honest(rig, ended, order.hash);
            check_honest(rig, rig.backend().pay(order), order.hash);
        }
    }
    SUBCASE("a node that is away is told of no payment, and later pays it once") {
        const auto order = payment_order(rig.outside_invoice(kAmount, LightningRig::Outcome::Paid));
        rig.stop_node();
        CHECK_EQ(rig.backend().pay(order).error(), BackendError::Unreachable);
        rig.start_node();
        CHECK_EQ(rig.backend().outgoing(order.hash).error(), BackendError::NotFound);
        check_settled(rig.backend().pay(order), order.hash);
        CHECK_EQ(rig.times_paid(order.hash), 1);
    }
    SUBCASE("an invoice whose time is over is not paid") {
        const auto order = payment_order(rig.expired_invoice(kAmount));
        const auto paid = rig.backend().pay(order);
        if (paid) {
            CHECK_EQ(paid->state, PaymentState::Failed);
        } else {
            CHECK_EQ(paid.error(), BackendError::Refused);
        }
        CHECK_EQ(rig.times_paid(order.hash), 0);
    }
    SUBCASE("a payment that would cost more than it may is not made") {
        auto order = payment_order(rig.outside_invoice(kAmount, LightningRig::Outcome::Paid));
        order.fee_max = Msat{};
        const auto paid = rig.backend().pay(order);
        if (paid) {
            CHECK_EQ(paid->state, PaymentState::Failed);
        } else {
            CHECK_EQ(paid.error(), BackendError::Refused);
        }
        CHECK_EQ(rig.times_paid(order.hash), 0);
    }
}

inline void receiving_in_trouble(LightningRig& rig) {
    SUBCASE("whatever happens to whichever call, one label shows one invoice") {
        for (const auto trouble : kTroubles) {
            for (int n = 1; n <= 2; ++n) {
                CAPTURE(static_cast<int>(trouble));
                CAPTURE(n);
                const std::string label =
                    std::to_string(static_cast<int>(trouble)) + "-" + std::to_string(n);
                rig.trouble_at(n, trouble);
                const auto first = rig.backend().create_invoice(invoice_order(label));
                rig.no_trouble();
                rig.reopen();
                const auto again = rig.backend().create_invoice(invoice_order(label));
                REQUIRE(again.has_value());
                if (first) {
                    CHECK_EQ(first->bolt11, again->bolt11);
                } else {
                    CHECK_EQ(first.error(), BackendError::Unreachable);
                }
                CHECK_EQ(rig.backend().incoming(again->hash)->state, PaymentState::Pending);
            }
        }
    }
    SUBCASE("what arrived is what counts: less, more, and told twice") {
        for (const Msat arrived : {11'000_msat, 42'000_msat}) {
            const std::string label = "of " + std::to_string(arrived.raw());
            const auto invoice = rig.backend().create_invoice(invoice_order(label));
            REQUIRE(invoice.has_value());
            rig.pay_in(*invoice, arrived);
            rig.tell_again(*invoice);
            for (int i = 0; i < 2; ++i) {
                const auto payment = rig.backend().incoming(invoice->hash);
                REQUIRE(payment.has_value());
                CHECK_EQ(payment->state, PaymentState::Settled);
                CHECK_EQ(payment->amount, arrived);
            }
        }
    }
    SUBCASE("an invoice whose time ran out is not settled") {
        const auto invoice = rig.backend().create_invoice(invoice_order("a"));
        REQUIRE(invoice.has_value());
        rig.expire(*invoice);
        const auto payment = rig.backend().incoming(invoice->hash);
        REQUIRE(payment.has_value());
        CHECK_NE(payment->state, PaymentState::Settled);
    }
    SUBCASE("another amount under a label that was used is refused") {
        REQUIRE(rig.backend().create_invoice(invoice_order("a")).has_value());
        auto other = invoice_order("a");
        other.amount = 22'000_msat;
        CHECK_EQ(rig.backend().create_invoice(other).error(), BackendError::Refused);
    }
    SUBCASE("a node that is away makes no invoice and knows nothing; back again, it knows all") {
        const auto invoice = rig.backend().create_invoice(invoice_order("a"));
        REQUIRE(invoice.has_value());
        rig.pay_in(*invoice, kAmount);
        rig.stop_node();
        CHECK_EQ(rig.backend().create_invoice(invoice_order("b")).error(),
                 BackendError::Unreachable);
        CHECK_EQ(rig.backend().incoming(invoice->hash).error(), BackendError::Unreachable);
        rig.start_node();
        check_settled(rig.backend().incoming(invoice->hash), invoice->hash);
    }
}

}  // namespace contract

inline void lightning_contract(const std::function<std::unique_ptr<LightningRig>()>& make) {
    const auto rig = make();
    SUBCASE("receiving") { contract::receiving(*rig); }
    SUBCASE("paying") { contract::paying(*rig); }
    if (!rig->has_node()) return;
    SUBCASE("paying in trouble") { contract::paying_in_trouble(*rig); }
    SUBCASE("receiving in trouble") { contract::receiving_in_trouble(*rig); }
}

}  // namespace nutgate::test
