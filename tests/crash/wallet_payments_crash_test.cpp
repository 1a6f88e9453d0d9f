// Melt, swap to another mint, fund, consolidate and restore, stopped at every statement, and each
// of their calls to the mints failing in every way: an invoice is paid once, and what was paid for
// arrives once.
#include <doctest/doctest.h>

#include "crash/wallet_steps.h"
#include "nutgate/lightning/invoice.h"

using namespace nutgate;
using namespace nutgate::cashu;
using test::FakeMint;
using test::sats;
using test::Scenario;
using test::WalletWorld;

namespace {

using Driver = void (*)(const Scenario&);

FakeMint& other(WalletWorld& world) { return world.other; }

// As its caller would, who asks again until there is an end: what failed for good is begun anew.
void until_done(WalletWorld& world, const std::function<Result<void, WalletError>()>& ask) {
    for (int i = 0; i < 5; ++i) {
        const auto done = ask();
        if (done) return;
        CAPTURE(done.error().detail);
        world.clock.advance(Seconds{601});
        world.recover_all();
    }
    FAIL("never done");
}

void melt_once(Driver drive) {
    std::string bolt11;
    drive({.path = "/v1/melt/bolt11",
           .prepare =
               [&](WalletWorld& world) {
                   world.fund({64, 16});
                   bolt11 = world.mint.outside_invoice(20);
               },
           .act = [&](WalletWorld& world) { (void)world.melt(bolt11, "m").has_value(); },
           .check =
               [&](WalletWorld& world) {
                   if (world.told("melted").empty()) {
                       // Its quote may have ended meanwhile; the invoice has not.
                       world.clock.set(Time{Seconds{1'790'000'000}});
                       until_done(world, [&] { return world.melt(bolt11, "m"); });
                   }
                   CHECK_EQ(world.told("melted").size(), 1);
                   CHECK_EQ(world.mint.times_paid(parse_bolt11(bolt11)->payment_hash), 1);
                   CHECK_EQ(world.reserved(), Msat{});
                   const auto told = world.told("melted")[0];
                   CHECK_EQ(add(add(world.available(), told.amount).value(), told.fee).value(),
                            sats(79));
               }});
}

void swap_once(Driver drive, const std::string& path, FakeMint& (*at)(WalletWorld&)) {
    std::optional<Token> token;
    drive({.path = path,
           .at = at,
           .prepare =
               [&](WalletWorld& world) {
                   token = world.other.token({64, 32}, test::kOtherMintUrl);
               },
           .act = [&](WalletWorld& world) { (void)world.swap_in(*token, "d").has_value(); },
           .check =
               [&](WalletWorld& world) {
                   if (world.told("token_melted").empty()) {
                       world.clock.set(Time{Seconds{1'790'000'000}});
                   }
                   until_done(world, [&] { return world.swap_in(*token, "d"); });
                   CHECK_EQ(world.told("token_melted").size(), 1);
                   CHECK_EQ(world.told("issued").size(), 1);
                   CHECK_EQ(world.told("issued")[0].amount, world.told("token_melted")[0].amount);
                   CHECK_EQ(world.available(), sats(93));
                   CHECK_EQ(world.balance(test::kOtherMintUrl).first, sats(1));
               }});
}

void fund_once(Driver drive) {
    std::optional<PaymentHash> quote;
    const auto run = [&](WalletWorld& world) -> Result<void, WalletError> {
        const auto done = world.fund_by(*quote, "f");
        if (world.lightning.times_paid(*quote) > 0) world.mint.pay(*quote);
        return done ? done : world.fund_by(*quote, "f");
    };
    drive({.path = "/v1/mint/bolt11",
           .prepare =
               [&](WalletWorld& world) {
                   quote = world.wallet->request_funding(world.wallet->primary(), sats(40)).value();
               },
           .act = [&](WalletWorld& world) { (void)run(world).has_value(); },
           .check =
               [&](WalletWorld& world) {
                   world.clock.set(Time{Seconds{1'790'000'000}});
                   until_done(world, [&] { return run(world); });
                   CHECK_EQ(world.lightning.times_paid(*quote), 1);
                   CHECK_EQ(world.told("funded").size(), 1);
                   CHECK_EQ(world.told("issued").size(), 1);
                   CHECK_EQ(world.available(), sats(40));
               }});
}

void consolidate_once(Driver drive) {
    drive({.path = "/v1/swap",
           .prepare =
               [](WalletWorld& world) {
                   world.fund({64, 16, 1});
                   world.mint.rotate();
                   world.clock.advance(Seconds{61});
               },
           .act = [](WalletWorld& world) { (void)world.wallet->consolidate().has_value(); },
           .check =
               [](WalletWorld& world) {
                   (void)world.wallet->consolidate().has_value();
                   world.recover_all();
                   CHECK_EQ(world.wallet->consolidate().value(), 0);
                   CHECK_EQ(world.told("consolidated").size(), 1);
                   CHECK_EQ(world.available(), sats(79));
               }});
}

void restore_once(Driver drive) {
    drive({.path = "/v1/restore",
           .prepare =
               [](WalletWorld& world) {
                   world.fund({64, 16});
                   world.wallet.reset();
                   world.database = store::open("sqlite::memory:").value();
                   VERIFY(Wallet::migrate(*world.database).has_value());
                   test::RecordingSettler::migrate(*world.database);
                   world.reopen();
               },
           .act = [](WalletWorld& world) { (void)world.wallet->restore().has_value(); },
           .check =
               [](WalletWorld& world) {
                   REQUIRE(world.wallet->restore());
                   CHECK_EQ(world.told("restored").size(), 1);
                   CHECK_EQ(world.available(), sats(79));
               }});
}

}  // namespace

TEST_CASE("crash: an invoice is paid once, wherever the process dies") {
    melt_once(test::at_every_step);
}

TEST_CASE("network: an invoice is paid once, whatever becomes of a call") {
    melt_once(test::at_every_call);
}

TEST_CASE("crash: a token of another mint arrives once, wherever the process dies") {
    swap_once(test::at_every_step, "/v1/melt/bolt11", other);
}

TEST_CASE("network: a token arrives once, whatever becomes of a call to its mint") {
    swap_once(test::at_every_call, "/v1/melt/bolt11", other);
}

TEST_CASE("network: a token arrives once, whatever becomes of a call to the mint it comes to") {
    swap_once(test::at_every_call, "/v1/mint/bolt11",
              [](WalletWorld& world) -> FakeMint& { return world.mint; });
}

TEST_CASE("crash: a mint is funded once, wherever the process dies") {
    fund_once(test::at_every_step);
}

TEST_CASE("network: a mint is funded once, whatever becomes of a call") {
    fund_once(test::at_every_call);
}

TEST_CASE("crash: proofs are consolidated once, wherever the process dies") {
    consolidate_once(test::at_every_step);
}

TEST_CASE("network: proofs are consolidated once, whatever becomes of a call") {
    consolidate_once(test::at_every_call);
}

TEST_CASE("crash: a restore takes in everything once, wherever the process dies") {
    restore_once(test::at_every_step);
}

TEST_CASE("network: a restore takes in everything once, whatever becomes of a call") {
    restore_once(test::at_every_call);
}
