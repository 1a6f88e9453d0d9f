// Asks public sources what a bitcoin is worth and hangs the median on the board.
//
// A single source is never believed: at least `sources_min` of them must agree within
// `outlier_percent`, after what is old or far off was left out. A rate that jumps by more than
// `jump_percent` must be seen in two rounds. When no round succeeds, the last rate stays until it
// is `age_max` old; then there is none, and whoever sells by it stops selling.
#pragma once

#include <cstddef>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "nutgate/base/clock.h"
#include "nutgate/base/metrics.h"
#include "nutgate/base/result.h"
#include "nutgate/http/client.h"
#include "nutgate/rates/board.h"
#include "nutgate/rates/btc_usd.h"
#include "nutgate/rates/source.h"

namespace nutgate::rates {

struct FeedOptions {
    std::size_t sources_min = 3;          // That must agree.
    Milliseconds age_max{300'000};        // Of a rate to sell by.
    Milliseconds quote_age_max{120'000};  // Of one source's word, and of its time ahead of ours.
    Milliseconds call_timeout{3'000};
    std::size_t answer_bytes_max = 64 * 1024;
    std::int64_t outlier_percent = 2;
    std::int64_t jump_percent = 10;
};

enum class RoundError {
    TooFewSources,  // Answered with a quote that is new enough and near the others.
    Jumped,         // Far from the last rate: the next round decides.
};

// Of one round's quotes: the median of those near the median of all. Empty if that are fewer than
// `sources_min`.
std::optional<BtcUsd> agreed(std::vector<BtcUsd> quotes, const FeedOptions& options);

// One thread at a time, which it keeps for as long as its sources take.
class RateFeed {
public:
    RateFeed(http::Client& client, const Clock& clock, RateBoard& board,
             std::vector<Source> sources, FeedOptions options, metrics::Registry& metrics);

    // One round. What it finds is on the board.
    Result<BtcUsd, RoundError> refresh(const std::stop_token& stop);

private:
    struct Line {
        Source source;
        metrics::Counter& failures;
        metrics::Counter& outliers;
    };
    std::optional<BtcUsd> ask(Line& line);

    http::Client& client_;
    const Clock& clock_;
    RateBoard& board_;
    const FeedOptions options_;
    std::vector<Line> lines_;
    metrics::Gauge& shown_;
    metrics::Counter& failed_rounds_;
    std::optional<BtcUsd> doubted_;  // Of the last round, if it was a jump.
};

}  // namespace nutgate::rates
