// Receive, send and issue, stopped at every statement and on both sides of every commit; what is
// left is reopened, recovered and audited. The mint goes on living, as another machine would. And
// each of their calls to the mint failing in every way: it keeps no answers, so a request that had
// been done is refused when it comes again.
#include <doctest/doctest.h>

#include <functional>

#include "nutgate/lightning/invoice.h"
#include "support/crash_database.h"
#include "support/wallet_world.h"

using namespace nutgate;
using namespace nutgate::cashu;
using test::CrashDatabase;
using test::Fault;
using test::sats;
using test::WalletWorld;

namespace {

const std::optional<Fault> kFaults[] = {std::nullopt,     Fault::LoseRequest, Fault::LoseAnswer,
                                        Fault::Duplicate, Fault::CutAnswer,   Fault::NotSent};

using Play = std::function<void(WalletWorld&)>;
// `prepare` runs whole; `act` is interrupted, in another place each time; `check` sees what
// recovery made of it, and does the rest as its caller would, who asks again.
using Driver = void (*)(const std::string& path, const Play& prepare, const Play& act,
                        const Play& check);

// Dies at the n-th step, for each n, and after calls to `path` that fail, too.
void at_every_step(const std::string& path, const Play& prepare, const Play& act,
                   const Play& check) {
    for (const auto fault : kFaults) {
        CAPTURE(fault ? static_cast<int>(*fault) : -1);
        int tried = 0;
        for (std::int64_t n = 1;; ++n, ++tried) {
            CAPTURE(n);
            WalletWorld world{{.input_fee_ppk = 100}};
            prepare(world);
            CrashDatabase crash{*world.database};
            world.reopen(crash);
            if (fault) world.mint.fault(path, *fault);
            crash.crash_at(n);
            act(world);
            const bool crashed = crash.crashed();
            world.reopen();
            world.recover_all();
            check(world);
            world.audit();
            if (!crashed) break;
        }
        CHECK(tried > 10);
    }
}

enum class Afterwards {
    GoesOn,
    StartsAnew,
    FailsAgain,  // So does the first call of the recovery.
};

// The n-th call fails, for each n, in every way.
void at_every_call(const std::string& path, const Play& prepare, const Play& act,
                   const Play& check) {
    for (const Fault fault :
         {Fault::NotSent, Fault::LoseRequest, Fault::LoseAnswer, Fault::Duplicate, Fault::CutAnswer,
          Fault::ServerError, Fault::TooMany, Fault::Down, Fault::Late, Fault::Later}) {
        for (const auto afterwards :
             {Afterwards::GoesOn, Afterwards::StartsAnew, Afterwards::FailsAgain}) {
            CAPTURE(static_cast<int>(fault));
            CAPTURE(static_cast<int>(afterwards));
            bool came = true;
            for (int n = 1; came; ++n) {
                CAPTURE(n);
                WalletWorld world{{.input_fee_ppk = 100}};
                prepare(world);
                world.reopen();
                world.mint.fault_at(n, fault);
                act(world);
                came = world.mint.came_so_far();
                if (afterwards == Afterwards::FailsAgain) {
                    world.mint.fault_at(1, fault);
                    world.clock.advance(Seconds{601});
                    REQUIRE(world.wallet->recover());
                }
                if (afterwards != Afterwards::GoesOn) world.reopen();
                world.recover_all();
                check(world);
                CHECK(world.mint.calls(path) > 0);  // Or it was another operation's.
                world.audit();
                REQUIRE(n < 20);
            }
        }
    }
}

void receive_once(Driver drive) {
    std::optional<Token> token;
    drive(
        "/v1/swap",
        [&](WalletWorld& world) {
            token = world.token({1, 2, 32});
        },
        [&](WalletWorld& world) { (void)world.receive(*token, "a").has_value(); },
        [&](WalletWorld& world) {
            CHECK(world.receive(*token, "a"));
            CHECK_EQ(world.told("received").size(), 1);
            CHECK_EQ(test::RecordingSettler::told(*world.database).size(), 1);
            CHECK_EQ(world.available(), sats(34));
        });
}

void send_once(Driver drive) {
    drive(
        "/v1/swap",
        [](WalletWorld& world) {
            world.fund({64, 16});
        },
        [](WalletWorld& world) { (void)world.send(sats(7), "s").has_value(); },
        [](WalletWorld& world) {
            CHECK(world.send(sats(7), "s"));
            const auto sent = world.told("sent");
            REQUIRE_EQ(sent.size(), 1);
            CHECK(world.told("send_failed").empty());
            CHECK_EQ(world.reserved(), Msat{});
            CHECK_EQ(add(add(world.available(), sent[0].amount).value(), sent[0].fee).value(),
                     sats(79));
        });
}

void issue_once(Driver drive) {
    std::optional<PaymentHash> payment;
    drive(
        "/v1/mint/bolt11",
        [&](WalletWorld& world) {
            const auto quote =
                world.wallet->request_quote(*MintUrl::parse(test::kFakeMintUrl), sats(21), "");
            REQUIRE(quote);
            payment = parse_bolt11(quote->bolt11)->payment_hash;
            world.mint.pay(*payment);
        },
        [&](WalletWorld& world) { (void)world.wallet->settle_quote(*payment).has_value(); },
        [&](WalletWorld& world) {
            CHECK_EQ(world.wallet->settle_quote(*payment)->state, PaymentState::Settled);
            CHECK_EQ(world.told("issued").size(), 1);
            CHECK_EQ(world.available(), sats(21));
        });
}

}  // namespace

TEST_CASE("crash: a token is credited once, wherever the process dies") {
    receive_once(at_every_step);
}

TEST_CASE("network: a token is credited once, whatever becomes of a call") {
    receive_once(at_every_call);
}

TEST_CASE("crash: a token is sent once, wherever the process dies") { send_once(at_every_step); }

TEST_CASE("network: a token is sent once, whatever becomes of a call") { send_once(at_every_call); }

TEST_CASE("crash: a paid quote is issued once, wherever the process dies") {
    issue_once(at_every_step);
}

TEST_CASE("network: a paid quote is issued once, whatever becomes of a call") {
    issue_once(at_every_call);
}

TEST_CASE("crash: proofs that fit are given away once, wherever the process dies") {
    at_every_step(
        "/v1/swap",
        [](WalletWorld& world) {
            world.fund({1, 2, 4});
        },
        [](WalletWorld& world) { (void)world.send(sats(6), "s").has_value(); },
        [](WalletWorld& world) {
            // What its caller finds in the books it does not ask for again.
            if (world.told("sent").empty()) CHECK(world.send(sats(6), "s"));
            CHECK_EQ(world.told("sent").size(), 1);
            CHECK_EQ(world.available(), Msat{});
        });
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
