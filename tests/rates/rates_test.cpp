#include <doctest/doctest.h>

#include <string>

#include "nutgate/rates/feed.h"
#include "support/fixed_clock.h"
#include "support/scripted_http.h"

using namespace nutgate;
using namespace nutgate::rates;
using test::ScriptedHttp;

namespace {

BtcUsd rate(std::string_view text) { return BtcUsd::parse(text).value(); }

std::optional<Quote> parse(std::string_view ticker, std::string_view body) {
    return parse_source(ticker).value().parse(body);
}

std::string kraken(std::string_view last) {
    return R"({"error":[],"result":{"XXBTZUSD":{"a":[],"b":[],"c":[")" + std::string{last} +
           R"(","0.1"]}}})";
}
std::string bitstamp(std::string_view last, Time at) {
    return R"({"last":")" + std::string{last} + R"(","timestamp":")" +
           std::to_string(to_unix_seconds(at)) + R"("})";
}

// Four sources, each at an address of its own, that say what a test tells them to.
class World {
public:
    World() {
        for (std::size_t i = 0; i < 4; ++i) say(i, "60000");
    }

    static std::string url(std::size_t source) {
        return "https://" + std::to_string(source) + ".example/ticker";
    }
    void say(std::size_t source, const std::string& last) {
        client.on(http::Method::Get, url(source),
                  source % 2 == 0 ? ScriptedHttp::Answer{[last](const auto&) {
                      return ScriptedHttp::Outcome{http::json_response(200, kraken(last))};
                  }}
                                  : ScriptedHttp::Answer{[this, last](const auto&) {
                                        return ScriptedHttp::Outcome{http::json_response(
                                            200, bitstamp(last, clock.now() - stamp_age))};
                                    }});
    }
    void say_all(const std::string& last) {
        for (std::size_t i = 0; i < 4; ++i) say(i, last);
    }
    void fall_silent(std::size_t source) {
        client.on(http::Method::Get, url(source),
                  ScriptedHttp::failure(http::ClientError::Kind::Ambiguous));
    }
    Result<BtcUsd, RoundError> refresh() { return feed.refresh(std::stop_token{}); }
    std::optional<BtcUsd> shown() const { return board.at(clock.now()); }

    static std::vector<Source> sources() {
        std::vector<Source> all;
        for (std::size_t i = 0; i < 4; ++i) {
            all.push_back(parse_source((i % 2 == 0 ? "kraken=" : "bitstamp=") + url(i)).value());
            all.back().name += std::to_string(i);
        }
        return all;
    }

    test::FixedClock clock;
    ScriptedHttp client;
    RateBoard board;
    metrics::Registry metrics;
    Milliseconds stamp_age{0};
    RateFeed feed{client, clock, board, sources(), {}, metrics};
};

}  // namespace

TEST_CASE("rates: dollars are read exactly to a ten-thousandth, and cut there") {
    CHECK(rate("62345.1").raw() == 623'451'000);
    CHECK(rate("62345.12349").raw() == 623'451'234);
    CHECK(rate("62345.1234").text() == "62345.1234");
    CHECK(rate("0.0001").raw() == 1);
    CHECK(rate("10000000").raw() == BtcUsd::kMax);
    CHECK(rate("100000").text() == "100000");
    for (const char* text : {"", "0", "0.00009", "-1", "1e5", "1,000", ".5", "5.", "5.x", "nan",
                             "10000000.0001", "99999999999999999999999999"}) {
        CAPTURE(text);
        CHECK_FALSE(BtcUsd::parse(text).has_value());
    }
}

TEST_CASE("rates: each source's form is read, the middle of bid and ask before the last trade") {
    CHECK(parse("kraken",
                R"({"error":[],"result":{"XXBTZUSD":{"a":["62346.10000","1","1.000"],
                    "b":["62346.00000","1","1.000"],"c":["62300.00000","0.01"],"v":["1","2"]}}})")
              ->rate == rate("62346.05"));
    const auto coinbase = parse("coinbase",
                                R"({"ask":"62346.2","bid":"62346","volume":"1","trade_id":5,
                  "price":"62300.48","size":"0.1","time":"2026-11-20T15:40:01.123456Z"})");
    CHECK(coinbase->rate == rate("62346.1"));
    CHECK(to_unix_seconds(coinbase->at.value()) == 1'795'189'201);
    const auto bitstamp = parse("bitstamp",
                                R"({"last":"62345","bid":"62344","ask":"62346",
                  "timestamp":"1795189201","open":"1"})");
    CHECK(bitstamp->rate == rate("62345"));
    CHECK(bitstamp->at == from_unix_seconds(1'795'189'201));
    const auto bitfinex = parse("bitfinex",
                                R"({"mid":"62345.5","bid":"62345","ask":"62346","last_price":"1",
                  "timestamp":"1795189201.348340958"})");
    CHECK(bitfinex->rate == rate("62345.5"));
    CHECK(bitfinex->at == from_unix_seconds(1'795'189'201));
    // A bid above the ask is no market.
    CHECK(parse("bitstamp", R"({"last":"5","bid":"7","ask":"6","timestamp":"1"})")->rate ==
          rate("5"));
}

TEST_CASE("rates: what is no quote is none") {
    for (const char* body :
         {"", "null", "[]", "{}", R"({"error":["EQuery"],"result":{}})",
          R"({"error":[],"result":{"A":{"c":["1"]},"B":{"c":["1"]}}})",
          R"({"error":[],"result":{"A":{"c":[]}}})", R"({"error":[],"result":{"A":{"c":[62345]}}})",
          R"({"error":[],"result":{"A":{"c":["0"]}}})",
          R"({"error":[],"result":{"A":{"c":["-5"]}}})"}) {
        CAPTURE(body);
        CHECK_FALSE(parse("kraken", body).has_value());
    }
    // Without its time an old answer would look new.
    CHECK_FALSE(parse("coinbase", R"({"price":"62345"})").has_value());
    CHECK_FALSE(parse("coinbase", R"({"price":"62345","time":"yesterday"})").has_value());
    CHECK_FALSE(parse("coinbase", R"({"price":"62345","time":"2026-13-20T15:40:01Z"})"));
    CHECK_FALSE(parse("bitstamp", R"({"last":"62345"})").has_value());
    CHECK_FALSE(parse("bitfinex", R"({"last_price":"62345","timestamp":"x"})").has_value());
}

TEST_CASE("rates: a source is a name, or a name and an address") {
    CHECK(parse_source("kraken")->url.starts_with("https://api.kraken.com/"));
    CHECK(parse_source("bitfinex=http://127.0.0.1:9/x")->url == "http://127.0.0.1:9/x");
    for (const char* text : {"", "mtgox", "kraken=", "kraken=ftp://x", "Kraken"}) {
        CHECK_FALSE(parse_source(text).has_value());
    }
    CHECK(tickers().size() >= 4);
}

TEST_CASE("rates: the rate is the median") {
    World world;
    world.say(0, "60000");
    world.say(1, "60100");
    world.say(2, "60200");
    world.say(3, "60900");
    CHECK(world.refresh().value() == rate("60150"));
    CHECK(world.shown() == rate("60150"));
    world.fall_silent(3);
    CHECK(world.refresh().value() == rate("60100"));
}

TEST_CASE("rates: a lying source changes nothing and is counted") {
    World world;
    for (const char* lie : {"1", "30000", "61300", "9000000"}) {
        CAPTURE(lie);
        world.say(2, lie);
        CHECK(world.refresh().value() == rate("60000"));
    }
    CHECK(world.metrics.text().find(R"(nutgate_rates_source_outliers_total{source="kraken2"} 4)") !=
          std::string::npos);
    // Against two liars who do not agree, two honest ones are too few.
    world.say(0, "90000");
    CHECK(world.refresh().error() == RoundError::TooFewSources);
    CHECK(world.shown() == rate("60000"));
}

TEST_CASE("rates: what is old, or ahead of time, is not counted") {
    World world;
    world.stamp_age = Milliseconds{121'000};
    CHECK(world.refresh().error() == RoundError::TooFewSources);
    world.stamp_age = Milliseconds{-121'000};
    CHECK(world.refresh().error() == RoundError::TooFewSources);
    CHECK_FALSE(world.shown().has_value());
    world.stamp_age = Milliseconds{119'000};
    CHECK(world.refresh().has_value());
}

TEST_CASE(
    "rates: when all are down the last rate stays until it is too old, and then there is none") {
    World world;
    REQUIRE(world.refresh().has_value());
    for (std::size_t i = 0; i < 4; ++i) world.fall_silent(i);
    world.clock.advance(Milliseconds{299'999});
    CHECK(world.refresh().error() == RoundError::TooFewSources);
    CHECK(world.shown() == rate("60000"));
    world.clock.advance(Milliseconds{1});
    CHECK_FALSE(world.shown().has_value());
    world.say_all("50000");
    CHECK(world.refresh().value() == rate("50000"));
    CHECK(world.shown() == rate("50000"));
}

TEST_CASE("rates: errors of sources are no quotes") {
    World world;
    world.client.on(http::Method::Get, World::url(0), ScriptedHttp::answer(429, kraken("60000")));
    world.client.on(http::Method::Get, World::url(1), ScriptedHttp::answer(200, "<html>"));
    CHECK(world.refresh().error() == RoundError::TooFewSources);
    for (const auto& call : world.client.calls()) {
        CHECK(call.timeout <= Milliseconds{3'000});
        CHECK(call.response_bytes_max <= 64 * 1024);
    }
}

TEST_CASE("rates: a jump is believed when the next round sees it too") {
    World world;
    REQUIRE(world.refresh().has_value());
    world.say_all("66001");
    CHECK(world.refresh().error() == RoundError::Jumped);
    CHECK(world.shown() == rate("60000"));
    CHECK(world.refresh().value() == rate("66001"));
    CHECK(world.shown() == rate("66001"));
    // One that is gone in the next round was none.
    world.say_all("20000");
    CHECK(world.refresh().error() == RoundError::Jumped);
    world.say_all("66000");
    CHECK(world.refresh().value() == rate("66000"));
    world.say_all("20000");
    CHECK(world.refresh().error() == RoundError::Jumped);
    world.say_all("120000");
    CHECK(world.refresh().error() == RoundError::Jumped);
    CHECK(world.shown() == rate("66000"));
}

TEST_CASE("rates: a rate that its operator has fixed never grows old") {
    const RateBoard board{rate("100000")};
    CHECK(board.at(from_unix_seconds(100'000'000'000)) == rate("100000"));
    CHECK_FALSE(RateBoard{}.at(Time{}).has_value());
}
