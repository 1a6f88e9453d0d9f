// Offers: lasting ways in, paid any number of times.
#include <doctest/doctest.h>

#include <thread>

#include "cashier/world.h"
#include "nutgate/lightning/bolt12.h"

using namespace nutgate;
using namespace nutgate::literals;
using test::FakeOffers;
using test::Receive;
using test::World;
using Code = CashierError::Code;

namespace {

// Whose node makes offers.
struct OfferWorld : World {
    explicit OfferWorld(const Cashier::Options& options = {}) : World{Receive::OverNode, options} {}

    OpenOffer open(const OfferRequest& request) {
        const auto opened = cashier().open_offer(request);
        REQUIRE(opened.has_value());
        return *opened;
    }
    void pay(const OpenOffer& offer, Msat amount) { (void)offers.pay(id_of(offer), amount); }
    // Later than whatever was asked for last.
    OfferStatus status(const OpenOffer& offer) {
        clock.advance(Seconds{2});
        const auto seen = cashier().offer_status(offer.offer_id);
        REQUIRE(seen.has_value());
        return *seen;
    }
    static OfferId id_of(const OpenOffer& offer) { return OfferId{parse_offer(offer.text)->id}; }

    FakeOffers& offers = lightning.with_offers();
};

OfferRequest for_key(const KeyId& key, std::optional<Sat> amount = {}) {
    return {.amount = amount, .purpose = InvoicePurpose::TopUp, .key = key};
}

}  // namespace

TEST_CASE("cashier: an offer makes a key with its first payment and tops it up with each other") {
    OfferWorld world;
    const auto offer = world.open({.limits = {.balance_limit = 50'000_msat}});
    CHECK(offer.offer_id.size() >= 22);
    CHECK_FALSE(parse_offer(offer.text)->amount.has_value());
    auto seen = world.status(offer);
    CHECK(seen.state == OfferState::Open);
    CHECK_FALSE(seen.key.has_value());
    CHECK(seen.payments == 0);

    world.pay(offer, 21'000_msat);
    seen = world.status(offer);
    REQUIRE(seen.key.has_value());
    CHECK(world.balance(*seen.key) == 21'000_msat);
    CHECK(world.cashier().info(*seen.key)->record.limits.balance_limit == 50'000_msat);
    world.pay(offer, 3000_msat);
    world.pay(offer, 3000_msat);
    CHECK(*world.cashier().settle_offers() == 2);
    seen = world.status(offer);
    CHECK(seen.credited == 27'000_msat);
    CHECK(seen.payments == 3);
    CHECK(world.balance(*seen.key) == 27'000_msat);
    CHECK(world.posted(lightning_account("fake")) == 27'000_msat);
    const auto history = world.cashier().history(*seen.key);
    REQUIRE(history.has_value());
    REQUIRE(history->size() == 3);
    CHECK(history->front().source == HistoryEntry::Source::Lightning);
    CHECK(history->front().incoming);
}

TEST_CASE("cashier: an offer for a key gives no key, and what a child is paid is its parent's") {
    OfferWorld world;
    const KeyId parent = world.key_of_token(1000_msat);
    const KeyId child = world.cashier().create_children(parent, 1, {})->keys.at(0);
    const auto offer = world.open(for_key(child, 5_sat));
    CHECK(parse_offer(offer.text)->amount == 5000U);
    world.pay(offer, 5000_msat);
    const auto seen = world.status(offer);
    CHECK(seen.payments == 1);
    CHECK(seen.amount == 5_sat);
    CHECK_FALSE(seen.key.has_value());
    CHECK(world.balance(parent) == 6000_msat);
}

TEST_CASE("cashier: what is told again is credited once, whatever became of the mark") {
    OfferWorld world;
    const KeyId key = world.key_of_token(1000_msat);
    const auto offer = world.open(for_key(key));
    for (int i = 0; i < 25; ++i) world.pay(offer, 1000_msat);
    CHECK(*world.cashier().settle_offers() == 25);
    CHECK(*world.cashier().settle_offers() == 0);
    world.restart();
    CHECK(*world.cashier().settle_offers() == 0);
    for (const std::string_view mark : {"", "3"}) {
        REQUIRE(world.database->transact([&](store::Tx& tx) -> Result<bool, CashierError> {
            tx.execute("UPDATE offer_mark SET mark = $1", mark);
            return true;
        }));
        CHECK(*world.cashier().settle_offers() == 0);
    }
    CHECK(world.balance(key) == 26'000_msat);
    CHECK(world.status(offer).payments == 25);
}

TEST_CASE("cashier: what is paid to other people's offers at the node is nobody's here") {
    OfferWorld world;
    const KeyId key = world.key_of_token(1000_msat);
    const auto offer = world.open(for_key(key));
    for (int i = 0; i < 12; ++i) world.offers.pay_others();
    world.pay(offer, 2000_msat);
    world.offers.pay_others();
    CHECK(*world.cashier().settle_offers() == 1);
    CHECK(world.balance(key) == 3000_msat);
    const int asked = world.offers.times_asked();
    CHECK(*world.cashier().settle_offers() == 0);
    CHECK(world.offers.times_asked() == asked + 1);  // From the mark on.
}

TEST_CASE("cashier: what is paid to an offer while it is being made waits for it") {
    OfferWorld world;
    const KeyId key = world.key_of_token(1000_msat);
    (void)world.open(for_key(key));
    world.offers.on_made = [&](const NodeOffer& made) {
        (void)world.offers.pay(made.id, 4000_msat);
        CHECK(*world.cashier().settle_offers() == 0);
    };
    const auto offer = world.open(for_key(key));
    world.offers.on_made = {};
    CHECK(*world.cashier().settle_offers() == 1);
    CHECK(world.status(offer).credited == 4000_msat);
    CHECK(world.balance(key) == 5000_msat);
}

TEST_CASE("cashier: watchers at once credit each payment once") {
    OfferWorld world;
    const KeyId key = world.key_of_token(1000_msat);
    const auto offer = world.open(for_key(key));
    for (int i = 0; i < 40; ++i) world.pay(offer, 1000_msat);
    std::atomic<int> credited = 0;
    {
        std::vector<std::jthread> watchers;
        for (int i = 0; i < 4; ++i) {
            watchers.emplace_back([&] {
                const auto settled = world.cashier().settle_offers();
                if (settled) credited += *settled;
            });
        }
    }
    CHECK(credited == 40);
    CHECK(world.balance(key) == 41'000_msat);
    CHECK(*world.cashier().settle_offers() == 0);
}

TEST_CASE("cashier: while the node is away an offer says what is known, and afterwards all") {
    OfferWorld world;
    const KeyId key = world.key_of_token(1000_msat);
    const auto offer = world.open(for_key(key));
    world.pay(offer, 2000_msat);
    world.offers.set_down(true);
    CHECK(world.status(offer).payments == 0);
    CHECK(*world.cashier().settle_offers() == 0);
    CHECK(world.cashier().open_offer(for_key(key)).error().code == Code::LightningUnreachable);
    world.restart();
    world.offers.set_down(false);
    CHECK(world.status(offer).credited == 2000_msat);
}

TEST_CASE("cashier: a hint of a payment that is no invoice's asks about offers") {
    OfferWorld world;
    const KeyId key = world.key_of_token(1000_msat);
    const auto offer = world.open(for_key(key));
    world.cashier().hint(world.offers.pay(OfferWorld::id_of(offer), 2000_msat));
    CHECK(world.balance(key) == 3000_msat);
}

TEST_CASE("cashier: a closed offer makes room for another, and late money is credited") {
    Cashier::Options options;
    options.offers_per_key_max = 1;
    OfferWorld world{options};
    const KeyId key = world.key_of_token(1000_msat);
    const auto offer = world.open(for_key(key));
    CHECK(world.cashier().open_offer(for_key(key)).error().code == Code::KeyHasOffers);
    const auto closed = world.cashier().close_offer(offer.offer_id);
    REQUIRE(closed.has_value());
    CHECK(closed->state == OfferState::Closed);
    CHECK(world.cashier().close_offer(offer.offer_id)->state == OfferState::Closed);
    const auto other = world.open(for_key(key));
    CHECK(other.text != offer.text);
    world.pay(offer, 2000_msat);
    CHECK(*world.cashier().settle_offers() == 1);
    CHECK(world.status(offer).credited == 2000_msat);
    CHECK(world.balance(key) == 3000_msat);
    CHECK(world.offers.is_closed(OfferWorld::id_of(offer)));
    CHECK_FALSE(world.offers.is_closed(OfferWorld::id_of(other)));
}

TEST_CASE("cashier: money for a key that has expired is credited as late money is") {
    OfferWorld world;
    const auto offer = world.open({.limits = {.valid_until = world.clock.now() + Seconds{60}}});
    world.pay(offer, 2000_msat);
    const auto key = world.status(offer).key;
    REQUIRE(key.has_value());
    world.clock.advance(Seconds{3600});
    world.pay(offer, 3000_msat);
    CHECK(*world.cashier().settle_offers() == 1);
    CHECK(world.balance(*key) == 5000_msat);
}

TEST_CASE("cashier: the node has so many offers at most, and those that nobody pays are closed") {
    Cashier::Options options;
    options.offers_max = 2;
    OfferWorld world{options};
    const auto paid = world.open({});
    const auto unpaid = world.open({});
    CHECK(world.cashier().open_offer({}).error().code == Code::TooManyOffers);
    world.pay(paid, 1000_msat);
    CHECK(*world.cashier().settle_offers() == 1);
    world.clock.advance(std::chrono::hours{24 * 31});
    REQUIRE(world.cashier().recover());
    CHECK(world.status(paid).state == OfferState::Open);
    CHECK(world.status(unpaid).state == OfferState::Closed);
    CHECK(world.cashier().open_offer({}).has_value());
    world.pay(unpaid, 1000_msat);
    CHECK(world.status(unpaid).key.has_value());
}

TEST_CASE("cashier: orders that can't be are refused, and nothing is left of them") {
    OfferWorld world;
    CHECK(world.cashier().open_offer({.amount = 1'000'001_sat}).error().code ==
          Code::AmountOutOfRange);
    CHECK(world.cashier().open_offer({.amount = 0_sat}).error().code == Code::AmountOutOfRange);
    CHECK(world.cashier().open_offer({.purpose = InvoicePurpose::TopUp}).error().code ==
          Code::KeyUnknown);
    CHECK(world.cashier().open_offer(for_key(KeyId{ByteArray<16>{}})).error().code ==
          Code::KeyUnknown);
    CHECK(world.cashier()
              .open_offer({.limits = {.valid_until = world.clock.now() - Seconds{1}}})
              .error()
              .code == Code::LimitInvalid);
    CHECK(world.cashier().offer_status("AAAAAAAAAAAAAAAAAAAAAA").error().code ==
          Code::OfferUnknown);
    CHECK(world.cashier().offer_status(std::string(1000, 'A')).error().code == Code::OfferUnknown);
    CHECK(world.cashier().close_offer("").error().code == Code::OfferUnknown);
    CHECK(*world.cashier().settle_offers() == 0);
    CHECK(world.offers.times_asked() == 0);  // Where there are none, nobody is asked.

    World without{Receive::OverNode};
    CHECK(without.cashier().open_offer({}).error().code == Code::OffersOff);
    World over_mint;
    CHECK(over_mint.cashier().open_offer({}).error().code == Code::OffersOff);
    CHECK(*over_mint.cashier().settle_offers() == 0);
}

namespace {

// A rail whose offers' money becomes ours by bring_in(), in a transaction of its own.
class BroughtIn final : public payment::PaymentMethod {
public:
    explicit BroughtIn(World& world) : world_{world} {}

    std::string_view id() const override { return "lightning"; }
    std::string_view title() const override { return "Lightning"; }
    std::string description() const override { return "Brought in."; }
    payment::Capabilities capabilities() const override {
        return {.opens = true,
                .offers = true,
                .amount_min = 1_msat,
                .amount_max = 1'000'000_msat,
                .funds = payment::Funds::InWallet,
                .holder = {}};
    }
    std::optional<payment::TextKind> detect(std::string_view) const override { return {}; }
    Result<payment::Presentation, payment::PaymentError> open(const payment::Plan&) override {
        return fail(payment::PaymentError::Unsupported);
    }
    Result<payment::Observation, payment::PaymentError> poll(std::string_view) override {
        return fail(payment::PaymentError::Unsupported);
    }
    Result<payment::OfferPresentation, payment::PaymentError> open_offer(
        const payment::OfferPlan&) override {
        return payment::OfferPresentation{.text = "lno1", .reference = "quote-1", .holder = {}};
    }
    Result<void, payment::PaymentError> bring_in(std::string_view reference) override {
        ++asked;
        if (is_away) return fail(payment::PaymentError::Unreachable);
        REQUIRE(world_.database->transact([&](store::Tx& tx) -> Result<bool, CashierError> {
            for (int n = 1; n <= paid; ++n) {
                TRY_VOID(world_.node->books.settle_offer(tx, {.name = reference},
                                                         "quote-1 " + std::to_string(n),
                                                         lightning_account("fake"), 2000_msat));
            }
            return true;
        }));
        return {};
    }

    int paid = 0;
    int asked = 0;
    bool is_away = false;

private:
    World& world_;
};

}  // namespace

TEST_CASE("cashier: what is paid to an offer of a mint is brought in, and never given up") {
    World world;
    const KeyId key = world.key_of_token(1000_msat);
    payment::PaymentMethods methods;
    auto made = std::make_unique<BroughtIn>(world);
    BroughtIn& rail = *made;
    methods.add(std::move(made));
    Cashier::Options options;
    options.offer_unpaid_max = std::chrono::hours{24 * 3650};
    Cashier cashier{*world.database,
                    world.node->ledger,
                    world.node->keyring,
                    world.node->books,
                    world.node->spending,
                    world.node->wallet,
                    methods,
                    world.node->seed,
                    world.clock,
                    world.node->random,
                    options,
                    world.node->metrics};
    const auto offer = cashier.open_offer(for_key(key));
    REQUIRE(offer.has_value());
    CHECK(*cashier.settle_offers() == 0);
    CHECK(rail.asked == 0);  // Its turn has not come.
    rail.paid = 2;
    world.clock.advance(Seconds{10});
    CHECK(*cashier.settle_offers() == 2);
    CHECK(*cashier.settle_offers() == 0);
    CHECK(world.balance(key) == 5000_msat);

    rail.is_away = true;
    world.clock.advance(Seconds{600});
    CHECK(*cashier.settle_offers() == 0);
    rail.is_away = false;
    world.clock.advance(std::chrono::hours{24 * 365});
    rail.paid = 3;
    CHECK(*cashier.settle_offers() == 1);
    const int asked = rail.asked;
    for (int i = 0; i < 60; ++i) {
        world.clock.advance(Seconds{60});
        CHECK(*cashier.settle_offers() == 0);
    }
    CHECK(rail.asked - asked >= 6);
    CHECK(rail.asked - asked <= 40);
    rail.paid = 4;
    CHECK(cashier.offer_status(offer->offer_id)->payments == 4);
    CHECK(world.balance(key) == 9000_msat);
}
