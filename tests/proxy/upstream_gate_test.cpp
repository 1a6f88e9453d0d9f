#include "upstream_gate.h"

#include <doctest/doctest.h>

#include <atomic>
#include <map>
#include <optional>
#include <thread>
#include <vector>

#include "support/fixed_clock.h"
#include "upstream_order.h"

using namespace nutgate;
using namespace nutgate::proxy;
using namespace nutgate::test;

namespace {

struct Gate {
    FixedClock clock;
    metrics::Registry metrics;
    UpstreamGate gate{{.name = "fake",
                       .calls_max = 2,
                       .failures_max = 3,
                       .rest_time_min = Milliseconds{1'000},
                       .rest_time_max = Milliseconds{3'000}},
                      clock,
                      metrics};

    void fail_once() {
        auto call = gate.enter();
        REQUIRE(call.has_value());
        call->failed();
    }
    void answer_once() {
        auto call = gate.enter();
        REQUIRE(call.has_value());
        call->answered();
    }
    std::int64_t resting() {
        return metrics.gauge("nutgate_upstream_resting", "", {{"upstream", "fake"}}).value();
    }
};

void check_away(const Result<UpstreamGate::Call, UpstreamGate::Away>& entered,
                UpstreamGate::Away::Why why, Milliseconds wait) {
    REQUIRE_FALSE(entered.has_value());
    CHECK(entered.error().why == why);
    CHECK(entered.error().wait == wait);
}

using Why = UpstreamGate::Away::Why;

Model model_with(std::vector<Route> routes, Routing routing) {
    Model model{.id = *ModelId::parse("small"), .price = *Price::make(MsatPrices{1, 1})};
    model.upstreams = std::move(routes);
    model.routing = routing;
    return model;
}

}  // namespace

TEST_CASE("upstream gate: it has so many calls at a time and no more") {
    Gate g;
    auto first = g.gate.enter();
    std::optional second{g.gate.enter()};
    CHECK(first.has_value());
    CHECK(second->has_value());
    check_away(g.gate.enter(), Why::Busy, Milliseconds{1'000});
    second.reset();
    CHECK(g.gate.enter().has_value());
}

TEST_CASE("upstream gate: of many at once no more are in than may be, and all leave") {
    Gate g;
    constexpr int kThreads = 4;
    constexpr int kTries = 5'000;
    std::atomic<int> inside = 0;
    std::atomic<int> most = 0;
    std::atomic<int> served = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i) {
        threads.emplace_back([&] {
            for (int n = 0; n < kTries; ++n) {
                auto call = g.gate.enter();
                if (!call) continue;
                const int now = ++inside;
                for (int seen = most; seen < now && !most.compare_exchange_weak(seen, now);) {
                }
                ++served;
                // One in four finds it failing: what speaks against it changes meanwhile, too.
                if (n % 4 == 0) {
                    call->failed();
                } else {
                    call->answered();
                }
                --inside;
            }
        });
    }
    for (auto& thread : threads) thread.join();
    CHECK(most <= 2);
    CHECK(served > 0);
    CHECK(g.metrics.gauge("nutgate_upstream_calls_open", "", {{"upstream", "fake"}}).value() == 0);
    // However they came: it rests and is asked again after that, or it works.
    g.clock.advance(Milliseconds{3'000});
    g.answer_once();
    CHECK(g.resting() == 0);
}

TEST_CASE("upstream gate: failures in a row make it rest, an answer in between does not") {
    Gate g;
    g.fail_once();
    g.fail_once();
    g.answer_once();
    g.fail_once();
    g.fail_once();
    CHECK(g.resting() == 0);
    g.fail_once();
    CHECK(g.resting() == 1);
    check_away(g.gate.enter(), Why::Resting, Milliseconds{1'000});
    g.clock.advance(Milliseconds{400});
    check_away(g.gate.enter(), Why::Resting, Milliseconds{600});
}

TEST_CASE("upstream gate: after its rest one call goes alone and decides") {
    Gate g;
    for (int i = 0; i < 3; ++i) g.fail_once();
    g.clock.advance(Milliseconds{1'000});
    {
        auto probe = g.gate.enter();
        REQUIRE(probe.has_value());
        check_away(g.gate.enter(), Why::Resting, Milliseconds{1'000});
        probe->failed();
    }
    check_away(g.gate.enter(), Why::Resting, Milliseconds{2'000});
    g.clock.advance(Milliseconds{2'000});
    g.fail_once();
    check_away(g.gate.enter(), Why::Resting, Milliseconds{3'000});  // No longer than that.
    g.clock.advance(Milliseconds{3'000});
    g.answer_once();
    CHECK(g.resting() == 0);
    for (int i = 0; i < 3; ++i) g.fail_once();
    check_away(g.gate.enter(), Why::Resting, Milliseconds{1'000});  // From the beginning.
}

TEST_CASE("upstream gate: a probe whose client left decides nothing, and the next one goes") {
    Gate g;
    for (int i = 0; i < 3; ++i) g.fail_once();
    g.clock.advance(Milliseconds{1'000});
    CHECK(g.gate.enter().has_value());
    CHECK(g.resting() == 1);
    CHECK(g.gate.enter().has_value());
}

TEST_CASE("upstream gate: failures of calls that began before the rest do not lengthen it") {
    Gate g;
    auto old = g.gate.enter();
    for (int i = 0; i < 3; ++i) g.fail_once();
    g.clock.advance(Milliseconds{500});
    old->failed();
    check_away(g.gate.enter(), Why::Resting, Milliseconds{500});
}

TEST_CASE("upstream gate: what it asks for itself is kept, within bounds, and is no failure") {
    Gate g;
    {
        auto call = g.gate.enter();
        call->asked_to_wait(Milliseconds{2'000});
    }
    check_away(g.gate.enter(), Why::AskedToWait, Milliseconds{2'000});
    CHECK(g.resting() == 0);
    g.clock.advance(Milliseconds{2'000});
    {
        auto call = g.gate.enter();
        call->asked_to_wait(Milliseconds{86'400'000});
    }
    check_away(g.gate.enter(), Why::AskedToWait, Milliseconds{3'000});
    g.clock.advance(Milliseconds{3'000});
    CHECK(g.gate.enter().has_value());
}

TEST_CASE("upstream gate: a clock that is set back does not make it rest for longer") {
    Gate g;
    g.clock.advance(Milliseconds{3'600'000});
    for (int i = 0; i < 3; ++i) g.fail_once();
    CHECK_FALSE(g.gate.enter().has_value());
    g.clock.advance(Milliseconds{-1'800'000});
    CHECK(g.gate.enter().has_value());
}

TEST_CASE("upstream order: as listed, or the first by its weight and the others as listed") {
    const Model listed =
        model_with({Route{nullptr}, Route{nullptr}, Route{nullptr}}, Routing::Order);
    for (std::uint64_t turn = 0; turn < 10; ++turn) {
        const UpstreamOrder order{listed, turn};
        CHECK(std::vector<std::size_t>{order.places().begin(), order.places().end()} ==
              std::vector<std::size_t>{0, 1, 2});
    }
    const Model shared =
        model_with({Route{nullptr, 1}, Route{nullptr, 0}, Route{nullptr, 3}}, Routing::Weight);
    std::map<std::vector<std::size_t>, int> seen;
    for (std::uint64_t turn = 0; turn < 4'000; ++turn) {
        const UpstreamOrder order{shared, turn};
        ++seen[{order.places().begin(), order.places().end()}];
    }
    CHECK(seen.size() == 2);
    const int first = seen[{0, 1, 2}];
    CHECK(first > 900);
    CHECK(first < 1'100);
    CHECK(seen[{2, 0, 1}] == 4'000 - first);
}
