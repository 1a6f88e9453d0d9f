#include "nutgate/rates/feed.h"

#include <algorithm>
#include <utility>

#include "nutgate/base/log.h"

namespace nutgate::rates {
namespace {

// Of an even number, the middle of the two in the middle.
BtcUsd median(std::vector<BtcUsd>& quotes) {
    std::ranges::sort(quotes);
    const std::size_t half = quotes.size() / 2;
    if (quotes.size() % 2 == 1) return quotes[half];
    return BtcUsd::middle(quotes[half - 1], quotes[half]);
}

}  // namespace

std::optional<BtcUsd> agreed(std::vector<BtcUsd> quotes, const FeedOptions& options) {
    if (quotes.empty()) return std::nullopt;
    const BtcUsd of_all = median(quotes);
    std::erase_if(quotes,
                  [&](BtcUsd quote) { return quote.is_far_from(of_all, options.outlier_percent); });
    if (quotes.empty() || quotes.size() < options.sources_min) return std::nullopt;
    return median(quotes);
}

RateFeed::RateFeed(http::Client& client, const Clock& clock, RateBoard& board,
                   std::vector<Source> sources, FeedOptions options, metrics::Registry& metrics)
    : client_{client},
      clock_{clock},
      board_{board},
      options_{options},
      shown_{metrics.gauge("nutgate_rates_btc_usd", "USD per bitcoin that prices are made with.")},
      failed_rounds_{metrics.counter("nutgate_rates_failed_rounds_total",
                                     "Rounds in which too few sources agreed.")} {
    for (Source& source : sources) {
        const metrics::Labels labels{{"source", source.name}};
        lines_.push_back({.source = std::move(source),
                          .failures = metrics.counter("nutgate_rates_source_failures_total",
                                                      "Calls without a quote.", labels),
                          .outliers = metrics.counter("nutgate_rates_source_outliers_total",
                                                      "Quotes too far off the rate.", labels)});
    }
}

std::optional<BtcUsd> RateFeed::ask(Line& line) {
    http::ClientRequest request;
    request.url = line.source.url;
    request.timeout = options_.call_timeout;
    request.response_bytes_max = options_.answer_bytes_max;
    request.headers.set("Accept", "application/json");
    request.headers.set("User-Agent", "nutgate");
    const auto answer = client_.call(request);
    if (!answer) {
        log::warn("rates_source", {{"source", line.source.name}, {"error", answer.error().detail}});
        return std::nullopt;
    }
    if (answer->status != 200) {
        log::warn("rates_source", {{"source", line.source.name}, {"status", answer->status}});
        return std::nullopt;
    }
    const auto quote = line.source.parse(answer->body);
    if (!quote) {
        log::warn("rates_source", {{"source", line.source.name}, {"error", "no quote"}});
        return std::nullopt;
    }
    if (quote->at) {
        const Milliseconds age = clock_.now() - *quote->at;
        if (age > options_.quote_age_max || -age > options_.quote_age_max) {
            log::warn("rates_source", {{"source", line.source.name}, {"age_ms", age.count()}});
            return std::nullopt;
        }
    }
    return quote->rate;
}

Result<BtcUsd, RoundError> RateFeed::refresh(const std::stop_token& stop) {
    std::vector<std::pair<Line*, BtcUsd>> answers;
    std::vector<BtcUsd> quotes;
    for (Line& line : lines_) {
        if (stop.stop_requested()) return fail(RoundError::TooFewSources);
        if (const auto quote = ask(line)) {
            answers.emplace_back(&line, *quote);
            quotes.push_back(*quote);
        } else {
            line.failures.add();
        }
    }
    const auto rate = agreed(std::move(quotes), options_);
    if (!rate) {
        failed_rounds_.add();
        log::warn("rates", {{"error", "too few sources agree"},
                            {"answered", answers.size()},
                            {"needed", options_.sources_min}});
        return fail(RoundError::TooFewSources);
    }
    for (const auto& [line, quote] : answers) {
        if (quote.is_far_from(*rate, options_.outlier_percent)) line->outliers.add();
    }
    const Time now = clock_.now();
    const auto shown = board_.at(now);
    const auto doubted = std::exchange(doubted_, std::nullopt);
    const bool seen_before = doubted && !rate->is_far_from(*doubted, options_.jump_percent);
    if (shown && rate->is_far_from(*shown, options_.jump_percent) && !seen_before) {
        doubted_ = rate;
        log::warn("rates", {{"error", "a jump, which the next round has to confirm"},
                            {"from", shown->text()},
                            {"to", rate->text()}});
        return fail(RoundError::Jumped);
    }
    board_.publish(*rate, now + options_.age_max);
    shown_.set(rate->raw() / BtcUsd::kPerUsd);
    return *rate;
}

}  // namespace nutgate::rates
