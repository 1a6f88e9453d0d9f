#include "client_limit.h"

#include <doctest/doctest.h>

using namespace nutgate;
using namespace nutgate::api;

namespace {
struct StillClock final : Clock {
    Time now() const override { return at; }
    Time at = from_unix_seconds(1'700'000'000);
};
}  // namespace

TEST_CASE("client limit: so many a minute, and then the time to wait is said") {
    StillClock clock;
    ClientLimit limit{3, clock};
    for (int i = 0; i < 3; ++i) CHECK_EQ(limit.admit("192.0.2.1").count(), 0);
    const auto wait = limit.admit("192.0.2.1");
    CHECK_GT(wait.count(), 0);
    CHECK_EQ(limit.admit("192.0.2.2").count(), 0);
    clock.at += wait;
    CHECK_EQ(limit.admit("192.0.2.1").count(), 0);
    CHECK_GT(limit.admit("192.0.2.1").count(), 0);
}

TEST_CASE("client limit: time saved up is worth one minute, not more") {
    StillClock clock;
    ClientLimit limit{2, clock};
    CHECK_EQ(limit.admit("192.0.2.1").count(), 0);
    clock.at += Seconds{86'400};
    for (int i = 0; i < 2; ++i) CHECK_EQ(limit.admit("192.0.2.1").count(), 0);
    CHECK_GT(limit.admit("192.0.2.1").count(), 0);
}

TEST_CASE("client limit: a clock that goes back gives nothing away and breaks nothing") {
    StillClock clock;
    ClientLimit limit{1, clock};
    CHECK_EQ(limit.admit("192.0.2.1").count(), 0);
    clock.at -= Seconds{3'600};
    CHECK_GT(limit.admit("192.0.2.1").count(), 0);
}

TEST_CASE("client limit: IPv6 neighbours share one bucket") {
    StillClock clock;
    ClientLimit limit{1, clock};
    CHECK_EQ(limit.admit("2001:db8::1").count(), 0);
    CHECK_GT(limit.admit("2001:db8::2").count(), 0);
    CHECK_EQ(limit.admit("2001:db8:0:1::1").count(), 0);
}

TEST_CASE("client limit: a flood from many addresses does not grow beyond the bound") {
    StillClock clock;
    ClientLimit limit{1, clock};
    const auto address = [](std::size_t n) {
        return std::to_string(n >> 16) + "." + std::to_string((n >> 8) & 255) + "." +
               std::to_string(n & 255) + ".1";
    };
    for (std::size_t n = 0; n < ClientLimit::kClientsMax; ++n) {
        CHECK_EQ(limit.admit(address(n)).count(), 0);
    }
    CHECK_GT(limit.admit("255.255.255.255").count(), 0);
    clock.at += Seconds{60};  // All buckets are full again, and forgotten.
    CHECK_EQ(limit.admit("255.255.255.255").count(), 0);
}
