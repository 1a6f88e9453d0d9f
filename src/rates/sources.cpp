#include <nlohmann/json.hpp>

#include <array>
#include <charconv>

#include "nutgate/base/json_depth.h"
#include "nutgate/http/url.h"
#include "nutgate/rates/source.h"

namespace nutgate::rates {
namespace {

using Json = nlohmann::json;

Json parsed(std::string_view body) {
    return nests_too_deep(body) ? Json{} : Json::parse(body, nullptr, false);
}

// All of these write their decimals as text, so nothing passes through binary fractions.
std::optional<BtcUsd> rate_of(const Json& value) {
    if (!value.is_string()) return std::nullopt;
    return BtcUsd::parse(value.get_ref<const std::string&>());
}

std::optional<BtcUsd> member(const Json& object, const char* name) {
    const auto found = object.find(name);
    return found == object.end() ? std::nullopt : rate_of(*found);
}

// Between what is bid and asked, if that makes sense, else the last trade.
std::optional<BtcUsd> middle(const std::optional<BtcUsd>& bid, const std::optional<BtcUsd>& ask,
                             const std::optional<BtcUsd>& last) {
    if (bid && ask && *bid <= *ask) return BtcUsd::middle(*bid, *ask);
    return last;
}

// "1643640186" and "1444253422.348340958": whole seconds will do.
std::optional<Time> unix_time(const Json& object, const char* name) {
    const auto found = object.find(name);
    if (found == object.end() || !found->is_string()) return std::nullopt;
    const auto& text = found->get_ref<const std::string&>();
    constexpr std::int64_t kSecondsMax = 100'000'000'000;
    std::int64_t seconds = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (read.ec != std::errc{} || seconds < 0 || seconds > kSecondsMax) return std::nullopt;
    return from_unix_seconds(seconds);
}

// "2026-11-20T15:40:01.123456Z": whole seconds will do.
std::optional<Time> iso_time(const Json& object, const char* name) {
    const auto found = object.find(name);
    if (found == object.end() || !found->is_string()) return std::nullopt;
    const std::string_view text = found->get_ref<const std::string&>();
    if (text.size() < 20 || !text.ends_with('Z')) return std::nullopt;
    const auto number = [&text](std::size_t at, std::size_t size) -> std::optional<int> {
        int value = 0;
        const char* begin = text.data() + at;
        const auto read = std::from_chars(begin, begin + size, value);
        if (read.ec != std::errc{} || read.ptr != begin + size) return std::nullopt;
        return value;
    };
    const auto year = number(0, 4), month = number(5, 2), day = number(8, 2);
    const auto hour = number(11, 2), minute = number(14, 2), second = number(17, 2);
    if (!year || !month || !day || !hour || !minute || !second || text[10] != 'T') {
        return std::nullopt;
    }
    const std::chrono::year_month_day date{std::chrono::year{*year},
                                           std::chrono::month{static_cast<unsigned>(*month)},
                                           std::chrono::day{static_cast<unsigned>(*day)}};
    if (!date.ok()) return std::nullopt;
    return Time{std::chrono::sys_days{date}} + std::chrono::hours{*hour} +
           std::chrono::minutes{*minute} + Seconds{*second};
}

std::optional<Quote> quote(const std::optional<BtcUsd>& rate, std::optional<Time> at) {
    if (!rate) return std::nullopt;
    return Quote{.rate = *rate, .at = at};
}

// {"error":[],"result":{"XXBTZUSD":{"a":["62345.1","1","1.0"],"b":[…],"c":["62345.0","0.1"]}}}. The
// pair is named otherwise than it was asked for, so it is the only member.
std::optional<Quote> parse_kraken(std::string_view body) {
    const Json json = parsed(body);
    if (!json.is_object()) return std::nullopt;
    const auto error = json.find("error");
    const auto result = json.find("result");
    if (error == json.end() || !error->is_array() || !error->empty()) return std::nullopt;
    if (result == json.end() || !result->is_object() || result->size() != 1) return std::nullopt;
    const Json& pair = *result->begin();
    if (!pair.is_object()) return std::nullopt;
    const auto first = [&pair](const char* name) -> std::optional<BtcUsd> {
        const auto found = pair.find(name);
        if (found == pair.end() || !found->is_array() || found->empty()) return std::nullopt;
        return rate_of(found->front());
    };
    return quote(middle(first("b"), first("a"), first("c")), std::nullopt);
}

// {"ask":"62345.2","bid":"62345.1","price":"62345.12","time":"2026-11-20T15:40:01.123456Z",…}
std::optional<Quote> parse_coinbase(std::string_view body) {
    const Json json = parsed(body);
    if (!json.is_object()) return std::nullopt;
    const auto at = iso_time(json, "time");
    if (!at) return std::nullopt;  // It always has one, and without it an old answer looks new.
    return quote(middle(member(json, "bid"), member(json, "ask"), member(json, "price")), at);
}

// {"last":"62345","bid":"62344","ask":"62346","timestamp":"1643640186",…}
std::optional<Quote> parse_bitstamp(std::string_view body) {
    const Json json = parsed(body);
    if (!json.is_object()) return std::nullopt;
    const auto at = unix_time(json, "timestamp");
    if (!at) return std::nullopt;
    return quote(middle(member(json, "bid"), member(json, "ask"), member(json, "last")), at);
}

// {"mid":"62345.5","bid":"62345","ask":"62346","last_price":"62345","timestamp":"1444253422.3"}
std::optional<Quote> parse_bitfinex(std::string_view body) {
    const Json json = parsed(body);
    if (!json.is_object()) return std::nullopt;
    const auto at = unix_time(json, "timestamp");
    if (!at) return std::nullopt;
    return quote(middle(member(json, "bid"), member(json, "ask"), member(json, "last_price")), at);
}

constexpr std::array kTickers{
    Ticker{"kraken", "https://api.kraken.com/0/public/Ticker?pair=XBTUSD", &parse_kraken},
    Ticker{"coinbase", "https://api.exchange.coinbase.com/products/BTC-USD/ticker",
           &parse_coinbase},
    Ticker{"bitstamp", "https://www.bitstamp.net/api/v2/ticker/btcusd/", &parse_bitstamp},
    Ticker{"bitfinex", "https://api.bitfinex.com/v1/pubticker/btcusd", &parse_bitfinex}};

}  // namespace

std::span<const Ticker> tickers() { return kTickers; }

std::optional<Source> parse_source(std::string_view text) {
    const std::size_t equals = text.find('=');
    const std::string_view name = text.substr(0, equals);
    for (const Ticker& ticker : kTickers) {
        if (ticker.name != name) continue;
        std::string url{equals == std::string_view::npos ? ticker.url : text.substr(equals + 1)};
        if (!http::parse_url(url)) return std::nullopt;
        return Source{.name = std::string{name}, .url = std::move(url), .parse = ticker.parse};
    }
    return std::nullopt;
}

}  // namespace nutgate::rates
