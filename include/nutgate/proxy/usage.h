// What was done for a request, in the terms that a price has: kinds of work that do not overlap.
#pragma once

#include <cstdint>

namespace nutgate::proxy {

// No single count is beyond it: what an upstream claims above is not believed, and sixteen counts
// below it cannot overflow a sum.
constexpr std::int64_t kTokensMax = 1'000'000'000'000;

// The dialects disagree about what includes what; here nothing includes anything. All counts are
// between zero and kTokensMax.
struct Usage {
    std::int64_t in_uncached = 0;
    std::int64_t in_cached = 0;
    std::int64_t cache_write_5m = 0;
    std::int64_t cache_write_1h = 0;
    std::int64_t out_text = 0;
    std::int64_t out_reasoning = 0;
    std::int64_t in_audio = 0;
    std::int64_t in_image = 0;
    std::int64_t out_audio = 0;
    std::int64_t out_image = 0;
    // What is counted by the piece.
    std::int64_t images = 0;  // Made.
    std::int64_t searches = 0;
    std::int64_t characters = 0;  // Of text that was spoken.
    std::int64_t audio_ms = 0;    // Of audio that was listened to.

    std::int64_t input() const {
        return in_uncached + in_cached + cache_write_5m + cache_write_1h + in_audio + in_image;
    }
    std::int64_t output() const { return out_text + out_reasoning + out_audio + out_image; }

    friend bool operator==(const Usage&, const Usage&) = default;
};

// Who says so. It is told to the client with each charge, and counted.
enum class UsageSource {
    UpstreamFinal,    // The upstream's word for an answer that ended by itself.
    UpstreamPartial,  // Its running count, in an answer that was cut.
    Estimate,         // Ours, of what was passed on, because it said nothing.
};

struct MeteredUsage {
    Usage usage;
    UsageSource source = UsageSource::Estimate;
};

}  // namespace nutgate::proxy
