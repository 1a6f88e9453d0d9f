#include "nutgate/base/metrics.h"

#include <doctest/doctest.h>

#include <thread>
#include <vector>

using namespace nutgate;

TEST_CASE("metrics: what many threads count at once is counted whole, however often it is read") {
    constexpr int kThreads = 12;  // More than there are parts.
    constexpr int kCounts = 10'000;
    metrics::Registry registry;
    auto& counter = registry.counter("counted_total", "Counted.");
    auto& gauge = registry.gauge("now", "Up and down.");
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i) {
        threads.emplace_back([&] {
            for (int n = 0; n < kCounts; ++n) {
                counter.add();
                gauge.add(n % 2 == 0 ? 3 : -2);
            }
        });
    }
    for (int i = 0; i < 100; ++i) CHECK_FALSE(registry.text().empty());
    for (auto& thread : threads) thread.join();
    CHECK(counter.value() == kThreads * kCounts);
    CHECK(gauge.value() == kThreads * kCounts / 2);
    for (int i = 0; i < 2; ++i) {
        const auto page = registry.text();
        CHECK(page.find("counted_total 120000\n") != std::string::npos);
        CHECK(page.find("now 60000\n") != std::string::npos);
    }
    gauge.set(-7);
    CHECK(registry.text().find("now -7\n") != std::string::npos);
}
