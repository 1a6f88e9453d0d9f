#include "client_limit.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <iterator>

#include "nutgate/base/bytes.h"

namespace nutgate::api {

std::string client_group(std::string_view client_ip) {
    const std::string text{client_ip};
    std::array<std::byte, 16> address{};
    if (::inet_pton(AF_INET6, text.c_str(), address.data()) != 1) return text;
    return to_hex(std::span{address}.first(8));
}

void ClientLimit::refill(Bucket& bucket, Time now) const {
    const std::int64_t full = per_minute_ * 1000;
    const std::int64_t elapsed_ms = std::max<std::int64_t>(0, (now - bucket.filled_at).count());
    // One minute fills it; more would only overflow.
    const std::int64_t gained = std::min<std::int64_t>(elapsed_ms, 60'000) * per_minute_ / 60;
    bucket.tokens_milli = std::min(full, bucket.tokens_milli + gained);
    bucket.filled_at = now;
}

Seconds ClientLimit::admit(std::string_view client_ip) {
    const std::string group = client_group(client_ip);
    const Time now = clock_.now();
    const Lock lock{mutex_};
    auto found = buckets_.find(group);
    if (found == buckets_.end()) {
        if (buckets_.size() >= kClientsMax) {
            for (auto entry = buckets_.begin(); entry != buckets_.end();) {
                refill(entry->second, now);
                const bool full = entry->second.tokens_milli == per_minute_ * 1000;
                entry = full ? buckets_.erase(entry) : std::next(entry);
            }
            if (buckets_.size() >= kClientsMax) return Seconds{60};
        }
        found = buckets_.emplace(group, Bucket{per_minute_ * 1000, now}).first;
    }
    Bucket& bucket = found->second;
    refill(bucket, now);
    if (bucket.tokens_milli >= 1000) {
        bucket.tokens_milli -= 1000;
        return Seconds{0};
    }
    const std::int64_t missing = 1000 - bucket.tokens_milli;
    return Seconds{std::max<std::int64_t>(1, missing * 60 / (per_minute_ * 1000) + 1)};
}

}  // namespace nutgate::api
