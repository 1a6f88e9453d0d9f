#include "nutgate/lightning/offers.h"

#include <doctest/doctest.h>

#include "contract/offer_contract.h"
#include "fake_cln.h"
#include "node_rig.h"
#include "nutgate/base/scheduler.h"
#include "nutgate/lightning/nodes.h"
#include "nutgate/lightning/simulated.h"
#include "support/fake_lightning.h"
#include "support/fixed_clock.h"
#include "support/seeded_random.h"

using namespace nutgate;
using namespace nutgate::test;
using contract::offer_order;

namespace {

template <class Node>
class ClnOfferRig final : public OfferRig {
public:
    OfferBackend& backend() override { return *rig.backend().offers().at(0); }
    void pay(const NodeOffer& offer, Msat amount) override { rig.node.pay_offer(offer.id, amount); }
    void pay_others() override { rig.node.change_others(); }
    void reopen() override { rig.reopen(); }
    bool has_node() const override { return true; }
    void trouble_at(int n, Trouble trouble) override { rig.trouble_at(n, trouble); }
    void no_trouble() override { rig.no_trouble(); }
    void stop_node() override { rig.stop_node(); }
    void start_node() override { rig.start_node(); }
    void lie_about_preimages(bool lies) override { rig.node.lie_about_preimages(lies); }

    NodeRig<Node> rig{FakeCln::kInvoiceRune, FakeCln::kPayRune,
                      [](NodeOptions options, http::Client& client, store::Database&) {
                          return make_cln(std::move(options), client);
                      }};
};

struct FakeHiddenCln : FakeCln {
    FakeHiddenCln() : FakeCln{Commands::Paths} {}
};

// On a file of its own.
class Simulated {
private:
    TempDir folder_;
    SeededRandom random_;
    Scheduler scheduler_;

public:
    Simulated() { open(); }
    void open() {
        node.reset();
        database.reset();
        database = *store::open(folder_.database_url());
        REQUIRE(SimulatedLightning::migrate(*database).has_value());
        node.emplace(*database, clock, scheduler_, random_,
                     SimulatedLightning::Options{
                         .node_key = *crypto::Scalar::from_hex(std::string(64, '7'))});
    }
    Msat balance() { return *simulated_balance(*database, clock); }

    FixedClock clock;
    std::unique_ptr<store::Database> database;
    std::optional<SimulatedLightning> node;
};

class SimulatedOfferRig final : public OfferRig {
public:
    OfferBackend& backend() override { return *world_.node; }
    void pay(const NodeOffer& offer, Msat amount) override {
        REQUIRE(world_.node->pay_offer(offer.bolt12, amount).has_value());
    }
    void pay_others() override {
        const auto theirs = world_.node->create_offer(offer_order("theirs", std::nullopt));
        pay(*theirs, 7'000_msat);
    }
    void reopen() override { world_.open(); }

private:
    Simulated world_;
};

class FakeOfferRig final : public OfferRig {
public:
    OfferBackend& backend() override { return fake_; }
    void pay(const NodeOffer& offer, Msat amount) override { (void)fake_.pay(offer.id, amount); }
    void pay_others() override { fake_.pay_others(); }
    void reopen() override {}

private:
    FakeOffers fake_;
};

}  // namespace

TEST_CASE("offer contract: Core Lightning") {
    offer_contract([] { return std::make_unique<ClnOfferRig<FakeCln>>(); });
}

TEST_CASE("offer contract: Core Lightning that nobody reaches directly") {
    offer_contract([] { return std::make_unique<ClnOfferRig<FakeHiddenCln>>(); });
}

TEST_CASE("offer contract: the simulated network") {
    offer_contract([] { return std::make_unique<SimulatedOfferRig>(); });
}

TEST_CASE("offer contract: the fake keeps it") {
    offer_contract([] { return std::make_unique<FakeOfferRig>(); });
}

TEST_CASE("core lightning: an offer that the node changed is refused") {
    ClnOfferRig<FakeCln> rig;
    const auto issuer =
        crypto::generator_times(*crypto::Scalar::from_hex(std::string(64, '1'))).compressed();
    for (const std::string& shown :
         {write_offer({.amount = 20'000_msat, .issuer_id = issuer}),
          write_offer({.issuer_id = issuer}),
          write_offer({.network = Network::Bitcoin, .amount = 21'000_msat, .issuer_id = issuer}),
          std::string{"lno1nothing"}}) {
        rig.rig.node.show_offers_as(shown);
        CHECK(rig.backend().create_offer(offer_order("a")).error() == BackendError::Refused);
    }
    rig.rig.node.show_offers_as("");
    CHECK(rig.backend().create_offer(offer_order("a")).has_value());
    CHECK(rig.rig.node.offers_made() == 1);
}

TEST_CASE("core lightning: a rune for invoices alone makes no offers, and that is told") {
    ClnOfferRig<FakeCln> rig;
    CHECK(rig.backend().check_offers().has_value());
    rig.rig.node.allow_offers(false);
    CHECK(rig.backend().check_offers().error() == BackendError::Refused);
    CHECK(rig.backend().create_offer(offer_order("a")).error() == BackendError::Refused);
    CHECK(rig.backend().payments("").has_value());
    rig.stop_node();
    CHECK(rig.backend().check_offers().error() == BackendError::Unreachable);
}

TEST_CASE("core lightning: a payment that proves nothing is not passed by for what came after it") {
    ClnOfferRig<FakeCln> rig;
    const auto offer = *rig.backend().create_offer(offer_order("a"));
    rig.rig.node.change_others();
    rig.pay(offer, 1'000_msat);
    rig.lie_about_preimages(true);
    std::string mark;
    CHECK(rig.backend().payments(mark).error() == BackendError::Unreachable);
    rig.lie_about_preimages(false);
    CHECK(contract::payments_of(rig, offer, mark).size() == 1);
}

TEST_CASE("simulated lightning: somebody pays each new offer once, unless it says otherwise") {
    Simulated world;
    auto quiet = offer_order("quiet");
    quiet.description = "unpaid";
    REQUIRE(world.node->create_offer(quiet).has_value());
    const auto fixed = *world.node->create_offer(offer_order("fixed"));
    const auto open = *world.node->create_offer(offer_order("open", std::nullopt));
    CHECK(world.node->payments("")->payments.empty());
    CHECK(world.balance() == Msat{});
    world.clock.advance(Milliseconds{500});
    CHECK(world.balance() == 1'021'000_msat);
    world.open();
    const auto paid = world.node->payments("")->payments;
    REQUIRE(paid.size() == 2);
    for (const auto& payment : paid) {
        CHECK(payment.amount == (payment.offer == fixed.id ? 21'000_msat : 1'000'000_msat));
    }
    CHECK(world.node->pay_offer(open.bolt12, 3'000_msat).has_value());
    CHECK(world.balance() == 1'024'000_msat);
    CHECK(world.node->pay_offer(write_offer({.issuer_id = {}}), 1_msat).error() ==
          BackendError::Refused);
    CHECK(world.node->close_offer(open.id).has_value());
    CHECK(world.node->pay_offer(open.bolt12, 3'000_msat).error() == BackendError::Refused);
    CHECK(world.balance() == 1'024'000_msat);
}

TEST_CASE(
    "simulated lightning: what came in stays told when the clock is set back over a restart") {
    Simulated world;
    const auto offer = *world.node->create_offer(offer_order("a"));
    world.clock.advance(Milliseconds{500});
    const auto first = *world.node->payments("");
    REQUIRE(first.payments.size() == 1);
    world.clock.advance(-Milliseconds{3'600'000});
    world.open();
    CHECK(world.node->payments("")->payments.size() == 1);
    REQUIRE(world.node->pay_offer(offer.bolt12, 1_msat).has_value());
    CHECK(world.node->payments(first.mark)->payments.size() == 1);
}
