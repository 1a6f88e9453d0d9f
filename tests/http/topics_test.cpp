#include "nutgate/http/topics.h"

#include <doctest/doctest.h>

#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "support/run_task.h"

using namespace nutgate;
using namespace nutgate::http;
using namespace nutgate::test;

namespace {
constexpr Milliseconds kLong{20'000};
}

TEST_CASE("topics: what is published after the ticket ends the wait, before or after it began") {
    Topics topics;
    Loop loop;
    const auto before = topics.ticket("a");
    topics.publish("a");
    CHECK(loop.run(topics.wait_for("a", before, kLong)));
    const auto after_it = topics.ticket("a");
    topics.publish("b");
    CHECK_FALSE(loop.run(topics.wait_for("a", after_it, Milliseconds{1})));

    const std::jthread publisher{[&] {
        // Published until the wait is over: it may not have begun at the first.
        for (int i = 0; i < 1000; ++i) topics.publish("a");
    }};
    CHECK(loop.run(topics.wait_for("a", after_it, kLong)));
}

TEST_CASE("topics: everybody who waits is woken, on threads of their own") {
    constexpr int kWaiters = 8;
    Topics topics;
    std::atomic<int> woken = 0;
    std::atomic<int> started = 0;
    std::vector<std::jthread> threads;
    for (int i = 0; i < kWaiters; ++i) {
        threads.emplace_back([&] {
            const auto ticket = topics.ticket("x");
            ++started;
            if (run_task(topics.wait_for("x", ticket, kLong))) ++woken;
        });
    }
    while (started < kWaiters) std::this_thread::yield();
    topics.publish("x");
    threads.clear();
    CHECK(woken == kWaiters);
}

TEST_CASE("topics: beyond the bound a wait ends at once, and places become free again") {
    Topics topics{1};
    Loop loop;
    const auto ticket = topics.ticket("a");
    const auto both = loop.run(
        first_of(topics.wait_for("a", ticket, kLong), topics.wait_for("b", ticket, kLong)));
    CHECK(both.index() == 1);
    CHECK_FALSE(std::get<1>(both));
    // The loser of first_of() has left its place.
    CHECK_FALSE(loop.run(topics.wait_for("a", ticket, Milliseconds{1})));
    topics.publish("a");
    CHECK(loop.run(topics.wait_for("a", ticket, kLong)));
}
