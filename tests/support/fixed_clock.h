// A clock that stands still until a test moves it.
#pragma once

#include <atomic>

#include "nutgate/base/clock.h"

namespace nutgate::test {

// Thread-safe.
class FixedClock final : public Clock {
public:
    FixedClock() = default;
    explicit FixedClock(Time start) : now_{start} {}

    Time now() const override { return now_.load(); }
    void set(Time now) { now_.store(now); }
    void advance(Milliseconds by) { now_.store(now_.load() + by); }

private:
    // Some day in 2026, since zero is a time at which nothing of ours is ever created.
    std::atomic<Time> now_ = Time{Seconds{1'790'000'000}};
};

}  // namespace nutgate::test
