// How often one client may do what costs us something: a token bucket per address.
//
// Bounded: at most kClientsMax buckets; when full, those that are full again go first, and if none
// is, a newcomer is refused: a flood from many addresses is a flood. IPv6 clients count by /64,
// since whoever has one address there has them all. Thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "nutgate/base/clock.h"
#include "nutgate/base/sync.h"

namespace nutgate::api {

class ClientLimit {
public:
    static constexpr std::size_t kClientsMax = 20'000;

    ClientLimit(std::int64_t per_minute, const Clock& clock)
        : per_minute_{per_minute}, clock_{clock} {}

    // Zero: go ahead. Otherwise the seconds after which it is worth trying again.
    Seconds admit(std::string_view client_ip);

private:
    struct Bucket {
        std::int64_t tokens_milli = 0;  // Thousandths of a permission.
        Time filled_at;
    };

    void refill(Bucket& bucket, Time now) const;

    const std::int64_t per_minute_;
    const Clock& clock_;
    Mutex mutex_;
    std::unordered_map<std::string, Bucket> buckets_ GUARDED_BY(mutex_);
};

// The address itself for IPv4, the first 64 bits for IPv6.
std::string client_group(std::string_view client_ip);

}  // namespace nutgate::api
