// An offer of the embedded mint, from the node that is paid to the key: both sides of NUT-25, and
// no HTTP in between. The mint's books, the wallet's and the cashier's are one, and audited.
#include <doctest/doctest.h>

#include "cashier/world.h"
#include "nutgate/lightning/bolt12.h"

using namespace nutgate;
using namespace nutgate::literals;
using test::FaultyMint;
using test::World;
using Code = CashierError::Code;
using Fault = FaultyMint::Fault;

namespace {

// Whose mint makes offers, and has said so.
struct MintOfferWorld : World {
    MintOfferWorld() { look(); }

    void look() {
        (void)lightning.with_offers();
        clock.advance(Seconds{3600});
        node->mint_offers.look();
    }
    OpenOffer open(const OfferRequest& request = {}) {
        const auto opened = cashier().open_offer(request);
        REQUIRE(opened.has_value());
        return *opened;
    }
    void pay(const OpenOffer& offer, Msat amount) {
        (void)lightning.with_offers().pay(OfferId{parse_offer(offer.text)->id}, amount);
    }
    OfferStatus status(const OpenOffer& offer) {
        clock.advance(Seconds{2});
        const auto seen = cashier().offer_status(offer.offer_id);
        REQUIRE(seen.has_value());
        return *seen;
    }
    Msat ecash() { return posted(ecash_account(cashu::MintUrl::embedded(), cashu::Unit::Sat)); }
};

}  // namespace

TEST_CASE("cashier: an offer of the mint makes a key with its first payment, and tops it up") {
    MintOfferWorld world;
    const auto offer = world.open();
    CHECK_FALSE(world.status(offer).key.has_value());
    world.pay(offer, 21'000_msat);
    const auto paid = world.status(offer);
    REQUIRE(paid.key.has_value());
    CHECK(world.balance(*paid.key) == 21'000_msat);
    CHECK(world.ecash() == 21'000_msat);
    world.pay(offer, 3500_msat);
    world.pay(offer, 1000_msat);
    world.clock.advance(Seconds{11});
    CHECK(*world.cashier().settle_offers() == 1);  // Two payments, brought in together.
    CHECK(world.balance(*paid.key) == 25'000_msat);
    CHECK(world.status(offer).credited == 25'000_msat);
    // Half a sat is the mint's to owe, until another half comes.
    CHECK(world.posted(lightning_account("fake")) == 25'500_msat);
    world.node->audit();
    world.pay(offer, 500_msat);
    CHECK(world.status(offer).credited == 26'000_msat);
    CHECK(world.posted(lightning_account("fake")) == 26'000_msat);
    CHECK(world.posted({AccountKind::PaymentInFlight, "unclaimed"}) == Msat{});
}

TEST_CASE("cashier: an offer for a key is that key's, and its balance is refunded as ecash") {
    MintOfferWorld world;
    const KeyId key = world.key_of_token(1000_msat);
    const auto offer = world.open({.amount = 5_sat, .purpose = InvoicePurpose::TopUp, .key = key});
    CHECK(parse_offer(offer.text)->amount == 5'000);
    world.pay(offer, 5000_msat);
    world.pay(offer, 5000_msat);
    CHECK_FALSE(world.status(offer).key.has_value());
    CHECK(world.balance(key) == 11'000_msat);
    const auto refund = world.cashier().refund(key);
    REQUIRE(refund.has_value());
    CHECK(world.customer.redeem(refund->token) == 11'000_msat);
}

TEST_CASE("cashier: an offer outlives the process that opened it, and its mint's silence") {
    MintOfferWorld world;
    const auto offer = world.open();
    world.pay(offer, 8000_msat);
    for (const Fault fault : {Fault::Away, Fault::AnswerLost, Fault::ProxyError}) {
        world.node->client.set(fault);
        (void)world.status(offer);
        world.node->audit();
    }
    world.restart();
    world.pay(offer, 1000_msat);
    world.clock.advance(Seconds{601});
    CHECK(*world.cashier().settle_offers() >= 1);
    REQUIRE(world.node->wallet.recover());
    const auto paid = world.status(offer);
    CHECK(paid.credited == 9000_msat);
    CHECK(world.balance(*paid.key) == 9000_msat);
    CHECK(world.open().text != offer.text);
}

TEST_CASE(
    "cashier: what the embedded mint sees come in is brought in at once, however long it took") {
    MintOfferWorld world;
    const auto offer = world.open();
    CHECK(*world.cashier().settle_offers() == 0);
    world.clock.advance(Seconds{3600});
    CHECK(*world.cashier().settle_offers() == 0);
    world.clock.advance(Seconds{60});
    world.pay(offer, 5000_msat);
    CHECK(*world.cashier().settle_offers() == 0);  // Its turn is minutes ahead.
    world.node->mint.poll();
    CHECK(*world.cashier().settle_offers() == 1);
    CHECK(world.status(offer).credited == 5000_msat);

    // Also where its holder needs it no longer.
    REQUIRE(world.cashier().close_offer(offer.offer_id).has_value());
    world.clock.advance(Seconds{3600});
    CHECK(*world.cashier().settle_offers() == 0);
    world.pay(offer, 2000_msat);
    world.clock.advance(Seconds{3600});
    CHECK(*world.cashier().settle_offers() == 0);
    world.node->mint.poll();
    CHECK(*world.cashier().settle_offers() == 1);
    CHECK(world.balance(*world.status(offer).key) == 7000_msat);
}

TEST_CASE("cashier: a mint that makes no offers is not asked for one") {
    World world;
    world.node->mint_offers.look();
    CHECK(world.cashier().open_offer({}).error().code == Code::OffersOff);
    CHECK(*world.cashier().settle_offers() == 0);
}

TEST_CASE("cashier: what is paid to a mint's offer arrives once, whatever becomes of a call") {
    for (const Fault fault :
         {Fault::Away, Fault::RequestLost, Fault::AnswerLost, Fault::Twice, Fault::Late,
          Fault::Later, Fault::ServerError, Fault::ProxyError, Fault::TooMany, Fault::Cut}) {
        bool came = true;
        for (int n = 1; came; ++n) {
            CAPTURE(static_cast<int>(fault));
            CAPTURE(n);
            MintOfferWorld world;
            const auto offer = world.open();
            world.pay(offer, 21'000_msat);
            world.node->client.fault_at(n, fault);
            (void)world.status(offer);
            came = world.node->client.came_so_far();
            world.node->client.fault_at(0, Fault::None);
            world.pay(offer, 4000_msat);
            for (int i = 0; i < 3; ++i) {
                world.clock.advance(Seconds{601});
                REQUIRE(world.node->wallet.recover());
                (void)world.status(offer);
            }
            const auto paid = world.status(offer);
            CHECK(paid.credited == 25'000_msat);
            CHECK(world.balance(*paid.key) == 25'000_msat);
            CHECK(world.ecash() == 25'000_msat);
            REQUIRE(n < 20);
        }
    }
}
