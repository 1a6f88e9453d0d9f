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
        .hash = invoice->payment_hash, .bolt11 = bolt11, .amount = kAmount, .fee_max = 1000_msat};
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

}  // namespace contract

inline void lightning_contract(const std::function<std::unique_ptr<LightningRig>()>& make) {
    const auto rig = make();
    SUBCASE("receiving") { contract::receiving(*rig); }
    SUBCASE("paying") { contract::paying(*rig); }
}

}  // namespace nutgate::test
