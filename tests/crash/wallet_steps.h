// Plays of wallet operations, interrupted: the process dies at every statement and on both sides of
// every commit, or a call to a mint fails in every way. What is left is reopened, recovered and
// audited. The mints go on living, as other machines would.
#pragma once

#include <doctest/doctest.h>

#include <functional>
#include <optional>
#include <string>

#include "support/crash_database.h"
#include "support/step_stride.h"
#include "support/wallet_world.h"

namespace nutgate::test {

using Play = std::function<void(WalletWorld&)>;

struct Scenario {
    // The request whose failure is the interesting one, and whose mint it is at.
    std::string path;
    FakeMint& (*at)(WalletWorld&) = [](WalletWorld& world) -> FakeMint& { return world.mint; };
    Play prepare;  // Runs whole.
    Play act;      // Is interrupted, in another place each time.
    Play check;    // Sees what recovery made of it, and does the rest as its caller would.
};

// Dies at the n-th step, for each n, and after calls to `path` that fail, too.
inline void at_every_step(const Scenario& scenario) {
    static constexpr std::optional<Fault> kFaults[] = {std::nullopt,      Fault::LoseRequest,
                                                       Fault::LoseAnswer, Fault::Duplicate,
                                                       Fault::CutAnswer,  Fault::NotSent};
    for (const auto fault : kFaults) {
        CAPTURE(fault ? static_cast<int>(*fault) : -1);
        std::int64_t n = 1;
        for (;; n += step_stride()) {
            CAPTURE(n);
            WalletWorld world{{.input_fee_ppk = 100, .key_count = 8}};
            scenario.prepare(world);
            CrashDatabase crash{*world.database};
            world.reopen(crash);
            if (fault) scenario.at(world).fault(scenario.path, *fault);
            crash.crash_at(n);
            scenario.act(world);
            const bool crashed = crash.crashed();
            world.reopen();
            world.recover_all();
            scenario.check(world);
            world.audit();
            if (!crashed) break;
        }
        CHECK(n > 4);  // Or nothing was tried.
    }
}

enum class Afterwards {
    GoesOn,
    StartsAnew,
    FailsAgain,  // So does the first call of the recovery.
};

// The n-th call fails, for each n, in every way.
inline void at_every_call(const Scenario& scenario) {
    for (const Fault fault :
         {Fault::NotSent, Fault::LoseRequest, Fault::LoseAnswer, Fault::Duplicate, Fault::CutAnswer,
          Fault::ServerError, Fault::TooMany, Fault::Down, Fault::Late, Fault::Later}) {
        for (const auto afterwards :
             {Afterwards::GoesOn, Afterwards::StartsAnew, Afterwards::FailsAgain}) {
            CAPTURE(static_cast<int>(fault));
            CAPTURE(static_cast<int>(afterwards));
            bool came = true;
            for (int n = 1; came; n += step_stride()) {
                CAPTURE(n);
                WalletWorld world{{.input_fee_ppk = 100, .key_count = 8}};
                scenario.prepare(world);
                world.reopen();
                auto& mint = scenario.at(world);
                mint.fault_at(n, fault);
                scenario.act(world);
                came = mint.came_so_far();
                if (afterwards == Afterwards::FailsAgain) {
                    mint.fault_at(1, fault);
                    world.clock.advance(Seconds{601});
                    REQUIRE(world.wallet->recover());
                }
                if (afterwards != Afterwards::GoesOn) world.reopen();
                world.recover_all();
                scenario.check(world);
                CHECK(mint.calls(scenario.path) > 0);  // Or it was another operation's.
                world.audit();
                REQUIRE(n < 20);
            }
        }
    }
}

}  // namespace nutgate::test
