// Time as a dependency, so that a test can hold it still and a hold can expire in no time at all.
#pragma once

#include <chrono>
#include <cstdint>

namespace nutgate {

using Seconds = std::chrono::seconds;
using Milliseconds = std::chrono::milliseconds;
using Time = std::chrono::sys_time<Milliseconds>;

// Thread-safe.
class Clock {
public:
    virtual ~Clock() = default;
    virtual Time now() const = 0;
};

class SystemClock final : public Clock {
public:
    Time now() const override;
};

// Unix time, as databases and protocols write it.
constexpr std::int64_t to_unix_seconds(Time time) {
    return std::chrono::duration_cast<Seconds>(time.time_since_epoch()).count();
}
constexpr std::int64_t to_unix_milliseconds(Time time) { return time.time_since_epoch().count(); }
constexpr Time from_unix_seconds(std::int64_t seconds) { return Time{Seconds{seconds}}; }
constexpr Time from_unix_milliseconds(std::int64_t value) { return Time{Milliseconds{value}}; }

}  // namespace nutgate
