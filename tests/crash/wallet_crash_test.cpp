// Receive, send, issue and offers, stopped at every statement and on both sides of every commit;
// what is left is reopened, recovered and audited. The mint goes on living, as another machine
// would. And each of their calls to the mint failing in every way: it keeps no answers, so a
// request that had been done is refused when it comes again.
#include <doctest/doctest.h>

#include "crash/wallet_steps.h"
#include "nutgate/cashu/mint_offers.h"
#include "nutgate/lightning/invoice.h"

using namespace nutgate;
using namespace nutgate::cashu;
using test::CrashDatabase;
using test::Fault;
using test::sats;
using test::Scenario;
using test::WalletWorld;

namespace {

using Driver = void (*)(const Scenario&);

void receive_once(Driver drive) {
    std::optional<Token> token;
    drive({.path = "/v1/swap",
           .prepare =
               [&](WalletWorld& world) {
                   token = world.token({1, 2, 32});
               },
           .act = [&](WalletWorld& world) { (void)world.receive(*token, "a").has_value(); },
           .check =
               [&](WalletWorld& world) {
                   CHECK(world.receive(*token, "a"));
                   CHECK_EQ(world.told("received").size(), 1);
                   CHECK_EQ(test::RecordingSettler::told(*world.database).size(), 1);
                   CHECK_EQ(world.available(), sats(34));
               }});
}

// The mint has rotated, and we have not heard of it: its first answer is a no, and the plan that
// follows has to be the only one that is acted on.
void receive_at_a_rotation_once(Driver drive) {
    std::optional<Token> token;
    drive({.path = "/v1/swap",
           .prepare =
               [&](WalletWorld& world) {
                   REQUIRE(world.receive(world.token({4}), "known"));
                   token = world.token({1, 2, 32});
                   world.mint.rotate();
               },
           .act = [&](WalletWorld& world) { (void)world.receive(*token, "a").has_value(); },
           .check =
               [&](WalletWorld& world) {
                   CHECK(world.receive(*token, "a"));
                   CHECK_EQ(world.told("received").size(), 2);
                   CHECK(world.told("receive_failed").empty());
                   CHECK_EQ(world.available(), sats(37));  // Each token less a fee of one.
               }});
}

void send_once(Driver drive) {
    drive({.path = "/v1/swap",
           .prepare =
               [](WalletWorld& world) {
                   world.fund({64, 16});
               },
           .act = [](WalletWorld& world) { (void)world.send(sats(7), "s").has_value(); },
           .check =
               [](WalletWorld& world) {
                   CHECK(world.send(sats(7), "s"));
                   const auto sent = world.told("sent");
                   REQUIRE_EQ(sent.size(), 1);
                   CHECK(world.told("send_failed").empty());
                   CHECK_EQ(world.reserved(), Msat{});
                   CHECK_EQ(
                       add(add(world.available(), sent[0].amount).value(), sent[0].fee).value(),
                       sats(79));
               }});
}

void issue_once(Driver drive) {
    std::optional<PaymentHash> payment;
    drive(
        {.path = "/v1/mint/bolt11",
         .prepare =
             [&](WalletWorld& world) {
                 const auto quote =
                     world.wallet->request_quote(*MintUrl::parse(test::kFakeMintUrl), sats(21), "");
                 REQUIRE(quote);
                 payment = parse_bolt11(quote->bolt11)->payment_hash;
                 world.mint.pay(*payment);
             },
         .act = [&](WalletWorld& world) { (void)world.wallet->settle_quote(*payment).has_value(); },
         .check =
             [&](WalletWorld& world) {
                 CHECK_EQ(world.wallet->settle_quote(*payment)->state, PaymentState::Settled);
                 CHECK_EQ(world.told("issued").size(), 1);
                 CHECK_EQ(world.available(), sats(21));
             }});
}

// Paid twice before, and once more after: all of it is issued once, and never more.
void offer_once(Driver drive) {
    std::optional<OfferId> offer;
    drive({.path = "/v1/mint/bolt12",
           .prepare =
               [&](WalletWorld& world) {
                   const auto made = world.wallet->request_offer(
                       *MintUrl::parse(test::kFakeMintUrl), std::nullopt, "");
                   REQUIRE(made);
                   offer = made->id;
                   world.mint.offers.pay(*offer, 16);
                   world.mint.offers.pay(*offer, 5);
               },
           .act = [&](WalletWorld& world) { (void)world.wallet->settle_offer(*offer).has_value(); },
           .check =
               [&](WalletWorld& world) {
                   world.mint.offers.pay(*offer, 7);
                   CHECK(world.wallet->settle_offer(*offer));
                   CHECK_EQ(world.wallet->settle_offer(*offer).value(), Msat{});
                   Msat sum;
                   for (const auto& told : world.told("offer_issued")) {
                       sum = add(sum, told.amount).value();
                   }
                   CHECK_EQ(sum, sats(28));
                   CHECK_EQ(world.available(), sats(28));
               }});
}

void open_offer_once(Driver drive) {
    std::optional<OfferId> shown;
    const auto open = [&](WalletWorld& world) -> std::optional<OfferId> {
        MintOffers offers{*world.wallet, *MintUrl::parse(test::kFakeMintUrl), Network::Regtest,
                          world.db(), world.clock};
        const auto made = offers.create_offer({.label = "l", .description = "", .amount = {}});
        return made ? std::optional{made->id} : std::nullopt;
    };
    drive({.path = "/v1/mint/quote/bolt12",
           .prepare = [&](WalletWorld&) { shown.reset(); },
           .act = [&](WalletWorld& world) { shown = open(world); },
           .check =
               [&](WalletWorld& world) {
                   const auto again = open(world);
                   REQUIRE(again);
                   if (shown) CHECK(*shown == *again);
                   CHECK(open(world) == again);
                   world.mint.offers.pay(*again, 3);
                   CHECK_EQ(world.wallet->settle_offer(*again).value(), sats(3));
               }});
}

}  // namespace

TEST_CASE("crash: a token is credited once, wherever the process dies") {
    receive_once(test::at_every_step);
}

TEST_CASE("network: a token is credited once, whatever becomes of a call") {
    receive_once(test::at_every_call);
}

TEST_CASE("crash: a token is credited once at a rotation, wherever the process dies") {
    receive_at_a_rotation_once(test::at_every_step);
}

TEST_CASE("network: a token is credited once at a rotation, whatever becomes of a call") {
    receive_at_a_rotation_once(test::at_every_call);
}

TEST_CASE("crash: a token is sent once, wherever the process dies") {
    send_once(test::at_every_step);
}

TEST_CASE("network: a token is sent once, whatever becomes of a call") {
    send_once(test::at_every_call);
}

TEST_CASE("crash: a paid quote is issued once, wherever the process dies") {
    issue_once(test::at_every_step);
}

TEST_CASE("network: a paid quote is issued once, whatever becomes of a call") {
    issue_once(test::at_every_call);
}

TEST_CASE("crash: what is paid to an offer is issued once, wherever the process dies") {
    offer_once(test::at_every_step);
}

TEST_CASE("network: what is paid to an offer is issued once, whatever becomes of a call") {
    offer_once(test::at_every_call);
}

TEST_CASE("crash: the offer that was shown is the one that its label has, wherever it dies") {
    open_offer_once(test::at_every_step);
}

TEST_CASE("network: the offer that was shown is the one that its label has, whatever is lost") {
    open_offer_once(test::at_every_call);
}

TEST_CASE("crash: proofs that fit are given away once, wherever the process dies") {
    test::at_every_step(
        {.path = "/v1/swap",
         .prepare =
             [](WalletWorld& world) {
                 world.fund({1, 2, 4});
             },
         .act = [](WalletWorld& world) { (void)world.send(sats(6), "s").has_value(); },
         .check =
             [](WalletWorld& world) {
                 // What its caller finds in the books it does not ask for again.
                 if (world.told("sent").empty()) CHECK(world.send(sats(6), "s"));
                 CHECK_EQ(world.told("sent").size(), 1);
                 CHECK_EQ(world.available(), Msat{});
             }});
}

TEST_CASE("crash: recovery itself may die at every step") {
    for (std::int64_t n = 1;; ++n) {
        CAPTURE(n);
        WalletWorld world;
        const auto token = world.token({1, 2, 32});
        world.mint.fault("/v1/swap", Fault::LoseAnswer, 2);
        world.mint.fault("/v1/checkstate", Fault::LoseRequest);
        (void)world.receive(token, "a").has_value();
        CrashDatabase crash{*world.database};
        world.reopen(crash);
        crash.crash_at(n);
        (void)world.wallet->recover().has_value();
        const bool crashed = crash.crashed();
        world.reopen();
        world.recover_all();
        CHECK_EQ(world.told("received").size(), 1);
        CHECK_EQ(world.available(), sats(35));
        world.audit();
        if (!crashed) break;
    }
}
