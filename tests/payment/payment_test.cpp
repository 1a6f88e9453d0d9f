#include <doctest/doctest.h>

#include <memory>
#include <string>

#include "contract/payment_contract.h"
#include "nutgate/cashu/mint_offers.h"
#include "nutgate/payment/methods.h"
#include "support/fake_lightning.h"
#include "support/fixed_clock.h"
#include "support/wallet_world.h"

using namespace nutgate;
using namespace nutgate::literals;
using namespace nutgate::payment;

namespace {

struct World {
    test::FixedClock clock;
    test::FakeLightning node{clock};
    PaymentMethods methods;

    World() {
        methods.add(make_cashu_method());
        LightningMethodOptions options;
        options.funds = Funds::AtMethod;
        methods.add(make_lightning_method(node, options));
    }
    PaymentMethod& lightning() const { return *methods.find("lightning"); }
    std::string kind_of(std::string_view text) const {
        const auto detected = methods.detect(text);
        if (!detected) return "none";
        return std::string{detected->method->id()} + ":" + std::string{to_text(detected->kind)};
    }
};

const Plan kPlan{.label = "a", .amount = 1000_msat, .memo = "", .expiry = Seconds{60}};

}  // namespace

TEST_CASE("payment: every method keeps the contract") {
    World world;
    REQUIRE(world.methods.all().size() == 2);
    for (const auto& method : world.methods.all()) {
        CAPTURE(method->id());
        test::check_method_describes_itself(*method);
        test::check_method_leaves_foreign_texts_alone(*method);
        test::check_method_refuses_what_it_cannot(*method);
        CHECK(world.methods.find(method->id()) == method.get());
    }
    CHECK(world.methods.find("stripe") == nullptr);
}

TEST_CASE("payment: lightning says that a payment arrived, as often as it is asked") {
    World world;
    test::check_method_observes_payment(
        world.lightning(), 21'000_msat, [&](const std::string& reference) {
            world.node.mark_paid(*PaymentHash::parse(reference), 21'000_msat);
        });
}

TEST_CASE("payment: lightning says what arrived, not what was asked for") {
    World world;
    const auto opened = world.lightning().open(kPlan);
    world.node.mark_paid(*PaymentHash::parse(opened->reference), 1500_msat);
    CHECK(world.lightning().poll(opened->reference)->amount == 1500_msat);
}

TEST_CASE("payment: one label is one invoice") {
    World world;
    CHECK(world.lightning().open(kPlan)->reference == world.lightning().open(kPlan)->reference);
}

TEST_CASE("payment: a backend that is away proves nothing") {
    World world;
    const auto reference = world.lightning().open(kPlan)->reference;
    world.node.set_down(true);
    CHECK(world.lightning().poll(reference).error() == PaymentError::Unreachable);
    CHECK(world.lightning().open(kPlan).error() == PaymentError::Unreachable);
}

TEST_CASE("payment: lightning tells what came in to an offer, of ours or not, since a mark") {
    World world;
    auto& offers = world.node.with_offers();
    REQUIRE(world.lightning().capabilities().offers);
    CHECK(world.lightning().offer_holders() == std::vector<std::string>{"fake"});
    const OfferPlan plan{.label = "a", .amount = std::nullopt, .memo = "m"};
    const auto opened = world.lightning().open_offer(plan);
    REQUIRE(opened.has_value());
    CHECK(opened->holder == "fake");
    CHECK(world.lightning().open_offer(plan)->reference == opened->reference);
    CHECK(world.lightning().detect(opened->text) == TextKind::Offer);

    const auto hash = offers.pay(*OfferId::parse(opened->reference), 5000_msat);
    offers.pay_others();
    const auto came = world.lightning().arrivals("fake", "");
    REQUIRE(came.has_value());
    REQUIRE(came->arrivals.size() == 2);
    CHECK(came->arrivals[0].offer == opened->reference);
    CHECK(came->arrivals[0].reference == hash.hex());
    CHECK(came->arrivals[0].amount == 5000_msat);
    CHECK(came->arrivals[1].offer != opened->reference);
    CHECK(world.lightning().arrivals("fake", came->mark)->arrivals.empty());
}

TEST_CASE("payment: an offer beyond the limits is rejected, and a node that is away makes none") {
    World world;
    auto& offers = world.node.with_offers();
    CHECK(world.lightning().open_offer({.label = "a", .amount = 999_msat, .memo = "m"}).error() ==
          PaymentError::Rejected);
    offers.set_down(true);
    CHECK(world.lightning().open_offer({.label = "b", .amount = {}, .memo = "m"}).error() ==
          PaymentError::Unreachable);
    CHECK(world.lightning().arrivals("fake", "").error() == PaymentError::Unreachable);
    CHECK(world.lightning().arrivals("other", "").error() == PaymentError::Unreachable);
}

TEST_CASE("payment: a text finds its rail") {
    World world;
    const std::string token = "cashuBo2FteBtodHRwczovL21pbnQ";
    CHECK(world.kind_of(token) == "cashu:token");
    CHECK(world.kind_of(" \n" + token + "\n") == "cashu:token");
    CHECK(world.kind_of("cashu:" + token) == "cashu:token");
    CHECK(world.kind_of("creqApWF0gaNhdGVub3N0cmFh") == "cashu:token_request");
    const auto invoice = world.lightning().open(kPlan)->text;
    CHECK(world.kind_of(invoice) == "lightning:invoice");
    CHECK(world.kind_of("lightning:" + invoice) == "lightning:invoice");
    CHECK(world.kind_of("LIGHTNING:LNBC10U1PJQ") == "lightning:invoice");
    CHECK(world.kind_of("lnbc1qqqq") == "lightning:invoice");
    CHECK(world.kind_of("lno1pg257enxv4ezqcneype82um50ynhxgrwdajx283qfwdpl28qqmc78ymlvhmxcsywdk") ==
          "lightning:offer");
    CHECK(world.kind_of("LNURL1DP68GURN8GHJ7UM9WFMXJCM99E3K7MF0V9CXJ0M385EKVCENXC6R2C35XVUKX") ==
          "lightning:lnurl");
    CHECK(world.kind_of("lnurlp://host.example/pay") == "lightning:lnurl");
    CHECK(world.kind_of("satoshi@host.example") == "lightning:lightning_address");
    CHECK(world.kind_of("sk-0011") == "none");
}

TEST_CASE(
    "payment: what is paid to a mint's offer is brought in by its wallet, and is the wallet's") {
    test::WalletWorld world{{.announces_offers = true}};
    const auto mint = *cashu::MintUrl::parse(test::kFakeMintUrl);
    cashu::MintOffers offers{*world.wallet, mint, Network::Regtest, *world.database, world.clock};
    const auto quotes =
        cashu::make_mint_lightning(*world.wallet, mint, Network::Regtest, *world.database);
    LightningMethodOptions options;
    options.mint_offers = &offers;
    const auto method = make_lightning_method(*quotes, options);
    const OfferPlan plan{.label = "a", .amount = std::nullopt, .memo = "m"};
    CHECK_FALSE(method->capabilities().offers);
    test::check_method_refuses_what_it_cannot(*method);
    CHECK(method->open_offer(plan).error() == PaymentError::Unsupported);
    offers.look();
    REQUIRE(method->capabilities().offers);
    CHECK(method->offer_holders().empty());
    CHECK(method->arrivals("mint", "").error() == PaymentError::Unsupported);

    const auto opened = method->open_offer(plan);
    REQUIRE(opened.has_value());
    CHECK(opened->holder.empty());
    CHECK(method->open_offer(plan)->reference == opened->reference);
    CHECK(method->detect(opened->text) == TextKind::Offer);
    CHECK(method->open_offer({.label = "b", .amount = 999_msat, .memo = ""}).error() ==
          PaymentError::Rejected);

    const auto offer = *OfferId::parse(opened->reference);
    world.mint.offers.pay(offer, 5);
    CHECK(method->bring_in(opened->reference));
    CHECK(world.available() == 5'000_msat);
    world.mint.set_away(true);
    CHECK(method->bring_in(opened->reference).error() == PaymentError::Unreachable);
    CHECK(method->bring_in("none").error() == PaymentError::Rejected);
    world.mint.set_away(false);
    world.audit();
}
