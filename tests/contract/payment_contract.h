// What every payment method must do, whatever its rail. A method's test calls these.
#pragma once

#include <doctest/doctest.h>

#include <string>

#include "nutgate/payment/method.h"

namespace nutgate::test {

inline void check_method_describes_itself(payment::PaymentMethod& method) {
    CHECK(is_text_id(method.id()));
    CHECK_FALSE(method.title().empty());
    CHECK_FALSE(method.description().empty());
    const auto capabilities = method.capabilities();
    CHECK(capabilities.amount_min > Msat{});
    CHECK(capabilities.amount_min <= capabilities.amount_max);
    CHECK((capabilities.takes_text || capabilities.opens));
    CHECK((capabilities.funds == payment::Funds::AtMethod) == !capabilities.holder.empty());
}

inline void check_method_leaves_foreign_texts_alone(const payment::PaymentMethod& method) {
    for (const std::string text : {"", " ", "sk-", "hello", "http://example.com", "lnb", "lnbc",
                                   "lnbcrt", "cashu", "creq", "@", "@example.com", "name@",
                                   "name@host", "a b@example.com", "lnbcx1qqqq", "1lnbc10u1"}) {
        CAPTURE(text);
        CHECK_FALSE(method.detect(text).has_value());
    }
    CHECK_FALSE(method.detect(std::string(300 * 1024, 'a')).has_value());
    CHECK_FALSE(method.detect(std::string("\0\xff\xfe", 3)).has_value());
}

// What it can't do it says, and does not half do.
inline void check_method_refuses_what_it_cannot(payment::PaymentMethod& method) {
    const auto capabilities = method.capabilities();
    const payment::Plan plan{.label = "contract-1",
                             .amount = capabilities.amount_min,
                             .memo = "m",
                             .expiry = Seconds{60}};
    if (!capabilities.offers) {
        CHECK(method.open_offer({.label = "contract-1", .amount = {}, .memo = "m"}).error() ==
              payment::PaymentError::Unsupported);
        CHECK(method.offer_holders().empty());
    }
    if (!capabilities.opens) {
        CHECK(method.open(plan).error() == payment::PaymentError::Unsupported);
        CHECK(method.poll("00").error() == payment::PaymentError::Unsupported);
        return;
    }
    auto small = plan;
    small.amount = Msat{};
    CHECK(method.open(small).error() == payment::PaymentError::Rejected);
    CHECK_FALSE(method.poll("no reference").has_value());
}

// For methods that open(): a payment is pending until it is paid, and then what arrived is said, as
// often as one asks. `pay` makes the payment with this reference arrive.
template <class Pay>
void check_method_observes_payment(payment::PaymentMethod& method, Msat amount, Pay pay) {
    const payment::Plan plan{
        .label = "contract-2", .amount = amount, .memo = "m", .expiry = Seconds{600}};
    const auto opened = method.open(plan);
    REQUIRE(opened.has_value());
    CHECK(method.detect(opened->text) == payment::TextKind::Invoice);
    const auto pending = method.poll(opened->reference);
    REQUIRE(pending.has_value());
    CHECK(pending->phase == payment::Phase::Pending);

    pay(opened->reference);
    for (int i = 0; i < 2; ++i) {
        const auto settled = method.poll(opened->reference);
        REQUIRE(settled.has_value());
        CHECK(settled->phase == payment::Phase::Settled);
        CHECK(settled->amount == amount);
    }
    // A reference that nobody opened is not an error: it may be a payment that is to come.
    const auto other = method.poll(std::string(64, '1'));
    REQUIRE(other.has_value());
    CHECK(other->phase == payment::Phase::Pending);
}

}  // namespace nutgate::test
