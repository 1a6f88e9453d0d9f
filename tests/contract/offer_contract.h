// What every OfferBackend promises, as one suite: each runs it, and so does the fake that stands
// for them in other modules' tests.
#pragma once

#include <doctest/doctest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "contract/lightning_contract.h"
#include "nutgate/lightning/bolt12.h"
#include "nutgate/lightning/offers.h"

namespace nutgate::test {

// A backend and the network around it.
class OfferRig {
public:
    using Trouble = LightningRig::Trouble;

    virtual ~OfferRig() = default;
    virtual OfferBackend& backend() = 0;
    // Somebody pays that offer.
    virtual void pay(const NodeOffer& offer, Msat amount) = 0;
    // Somebody pays other people's offers and invoices, which the same node made.
    virtual void pay_others() = 0;
    virtual void reopen() = 0;

    // Only of a backend with a node behind a network.
    virtual bool has_node() const { return false; }
    virtual void trouble_at(int, Trouble) {}
    virtual void no_trouble() {}
    virtual void stop_node() {}
    virtual void start_node() {}
    // What proves payments proves none, as long as it is on.
    virtual void lie_about_preimages(bool) {}
};

namespace contract {

inline OfferOrder offer_order(const std::string& label, std::optional<Msat> amount = kAmount) {
    return {.label = label, .description = "top up", .amount = amount};
}

// Of that offer, from `mark` on to the end.
inline std::vector<OfferPayment> payments_of(OfferRig& rig, const NodeOffer& offer,
                                             std::string& mark) {
    std::vector<OfferPayment> found;
    for (bool is_more = true; is_more;) {
        const auto answer = rig.backend().payments(mark);
        REQUIRE(answer.has_value());
        for (const auto& payment : answer->payments) {
            if (payment.offer == offer.id) found.push_back(payment);
        }
        REQUIRE((!answer->is_more || answer->mark != mark));
        mark = answer->mark;
        is_more = answer->is_more;
    }
    return found;
}

inline std::vector<OfferPayment> payments_of(OfferRig& rig, const NodeOffer& offer) {
    std::string mark;
    return payments_of(rig, offer, mark);
}

inline void making_offers(OfferRig& rig) {
    SUBCASE("an offer says what was ordered, on regtest") {
        for (const std::optional<Msat> amount : {std::optional{kAmount}, std::optional<Msat>{}}) {
            const auto made = rig.backend().create_offer(offer_order(amount ? "a" : "b", amount));
            REQUIRE(made.has_value());
            const auto parsed = parse_offer(made->bolt12);
            REQUIRE(parsed.has_value());
            CHECK(parsed->is_for(chain_of(Network::Regtest)));
            CHECK(parsed->amount.has_value() == amount.has_value());
            if (amount) CHECK(*parsed->amount == static_cast<std::uint64_t>(amount->raw()));
            CHECK(parsed->description.value_or("").starts_with("top up"));
            CHECK(OfferId{parsed->id} == made->id);
        }
    }
    SUBCASE("one label makes one offer, and another label another") {
        const auto first = rig.backend().create_offer(offer_order("a"));
        rig.reopen();
        const auto again = rig.backend().create_offer(offer_order("a"));
        const auto other = rig.backend().create_offer(offer_order("b"));
        REQUIRE((first.has_value() && again.has_value() && other.has_value()));
        CHECK(first->bolt12 == again->bolt12);
        CHECK(first->id == again->id);
        CHECK(first->id != other->id);
    }
    SUBCASE("an offer over nothing is refused, as is another amount under a label that was used") {
        CHECK(rig.backend().create_offer(offer_order("a", Msat{})).error() ==
              BackendError::Refused);
        CHECK(rig.backend().create_offer(offer_order("")).error() == BackendError::Refused);
        REQUIRE(rig.backend().create_offer(offer_order("b")).has_value());
        CHECK(rig.backend().create_offer(offer_order("b", 22'000_msat)).error() ==
              BackendError::Refused);
        CHECK(rig.backend().create_offer(offer_order("b", std::nullopt)).error() ==
              BackendError::Refused);
    }
}

inline void paid_offers(OfferRig& rig) {
    const auto offer = *rig.backend().create_offer(offer_order("a", std::nullopt));
    std::string mark;
    CHECK(payments_of(rig, offer, mark).empty());

    SUBCASE("two payments of one offer are two, each of what arrived") {
        rig.pay(offer, 5'000_msat);
        rig.pay(offer, 5'000_msat);
        const auto paid = payments_of(rig, offer, mark);
        REQUIRE(paid.size() == 2);
        CHECK(paid[0].hash != paid[1].hash);
        CHECK(paid[0].amount == 5'000_msat);
        CHECK(paid[1].amount == 5'000_msat);
    }
    SUBCASE("the same mark may tell the same again, and leaves out none that came after it") {
        rig.pay(offer, 1'000_msat);
        const std::string before = mark;
        CHECK(payments_of(rig, offer, mark).size() == 1);
        CHECK(payments_of(rig, offer, mark).empty());
        rig.reopen();
        rig.pay(offer, 2'000_msat);
        const auto later = payments_of(rig, offer, mark);
        REQUIRE(later.size() == 1);
        CHECK(later[0].amount == 2'000_msat);
        std::string again = before;
        CHECK(payments_of(rig, offer, again).size() == 2);
        CHECK(payments_of(rig, offer).size() == 2);
    }
    SUBCASE("other people's payments come along and harm nothing") {
        const auto other = *rig.backend().create_offer(offer_order("b", std::nullopt));
        rig.pay_others();
        rig.pay(offer, 3'000_msat);
        rig.pay_others();
        rig.pay(other, 4'000_msat);
        CHECK(payments_of(rig, offer).size() == 1);
        REQUIRE(payments_of(rig, other, mark).size() == 1);
        CHECK(payments_of(rig, offer, mark).empty());
    }
    SUBCASE("more than fits one answer is told in several") {
        constexpr std::size_t kMany = 120;
        for (std::size_t i = 0; i < kMany; ++i) rig.pay(offer, 1'000_msat);
        CHECK(payments_of(rig, offer, mark).size() == kMany);
        CHECK(payments_of(rig, offer, mark).empty());
    }
    SUBCASE("an offer that is closed, twice, still tells what came in to it") {
        rig.pay(offer, 1'000_msat);
        for (int i = 0; i < 2; ++i) CHECK(rig.backend().close_offer(offer.id).has_value());
        rig.reopen();
        CHECK(payments_of(rig, offer, mark).size() == 1);
    }
    SUBCASE("a mark that is none is refused") {
        CHECK(rig.backend().payments("yesterday").error() == BackendError::Refused);
    }
}

inline void offers_in_trouble(OfferRig& rig) {
    SUBCASE("whatever happens to whichever call, one label shows one offer") {
        for (const auto trouble : kTroubles) {
            for (int n = 1; n <= 3; ++n) {
                CAPTURE(static_cast<int>(trouble));
                CAPTURE(n);
                const std::string label =
                    std::to_string(static_cast<int>(trouble)) + "-" + std::to_string(n);
                rig.trouble_at(n, trouble);
                const auto first = rig.backend().create_offer(offer_order(label));
                rig.no_trouble();
                rig.reopen();
                const auto again = rig.backend().create_offer(offer_order(label));
                REQUIRE(again.has_value());
                if (first) {
                    CHECK(first->bolt12 == again->bolt12);
                } else {
                    CHECK(first.error() == BackendError::Unreachable);
                }
            }
        }
    }
    SUBCASE("a look that came to nothing is made again, and tells all") {
        const auto offer = *rig.backend().create_offer(offer_order("a"));
        rig.pay(offer, kAmount);
        std::string mark;
        for (const auto trouble : kTroubles) {
            if (trouble == OfferRig::Trouble::Double) continue;
            rig.trouble_at(1, trouble);
            CHECK(rig.backend().payments(mark).error() == BackendError::Unreachable);
            rig.no_trouble();
        }
        CHECK(payments_of(rig, offer, mark).size() == 1);
    }
    SUBCASE("a node that is away makes nothing and tells nothing; back again, it tells all") {
        const auto offer = *rig.backend().create_offer(offer_order("a"));
        rig.pay(offer, kAmount);
        rig.stop_node();
        CHECK(rig.backend().create_offer(offer_order("b")).error() == BackendError::Unreachable);
        CHECK(rig.backend().payments("").error() == BackendError::Unreachable);
        CHECK(rig.backend().close_offer(offer.id).error() == BackendError::Unreachable);
        rig.start_node();
        CHECK(payments_of(rig, offer).size() == 1);
    }
    SUBCASE("a payment that does not prove itself is none until it does") {
        const auto offer = *rig.backend().create_offer(offer_order("a"));
        std::string mark;
        rig.pay_others();
        CHECK(payments_of(rig, offer, mark).empty());
        rig.pay(offer, kAmount);
        rig.lie_about_preimages(true);
        CHECK(rig.backend().payments(mark).error() == BackendError::Unreachable);
        rig.lie_about_preimages(false);
        CHECK(payments_of(rig, offer, mark).size() == 1);
    }
}

}  // namespace contract

inline void offer_contract(const std::function<std::unique_ptr<OfferRig>()>& make) {
    const auto rig = make();
    SUBCASE("making offers") { contract::making_offers(*rig); }
    SUBCASE("paid offers") { contract::paid_offers(*rig); }
    if (!rig->has_node()) return;
    SUBCASE("offers in trouble") { contract::offers_in_trouble(*rig); }
}

}  // namespace nutgate::test
