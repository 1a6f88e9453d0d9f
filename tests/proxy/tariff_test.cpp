#include "nutgate/proxy/tariff.h"

#include <doctest/doctest.h>

using namespace nutgate;
using namespace nutgate::proxy;

namespace {

Decimal decimal(std::string_view text) { return parse_decimal(text).value(); }

// What one costs: "0.0000025" USD for a token.
struct Line {
    PriceKind kind;
    std::string_view each;
};
PriceLines lines(std::initializer_list<Line> given) {
    PriceLines made;
    for (const Line& line : given) {
        made[index_of(line.kind)] = parse_number(line.each).value().value;
    }
    return made;
}

PriceTable usd(std::initializer_list<Line> given, std::vector<PriceOverride> overrides = {}) {
    return {.currency = Currency::Usd, .lines = lines(given), .overrides = std::move(overrides)};
}

rates::BtcUsd rate(std::string_view text) { return rates::BtcUsd::parse(text).value(); }

Time at(int hour, int minute) {
    return Time{std::chrono::sys_days{std::chrono::year{2026} / 11 / 20}} +
           std::chrono::hours{hour} + std::chrono::minutes{minute};
}

Price price_of(const PriceTable& table, Time now = at(12, 0)) {
    return Tariff::make(table).value().at(now, rate("100000")).value();
}

// At 100,000 USD a dollar is a million msat.
std::int64_t cost(const Price& price, const Usage& usage) {
    return cost_of(price, usage).value().total.raw();
}

}  // namespace

TEST_CASE("tariff: each kind costs its own price") {
    const Price price = price_of(usd({{PriceKind::Input, "0.000001"},
                                      {PriceKind::InputCached, "0.0000001"},
                                      {PriceKind::CacheWrite, "0.00000125"},
                                      {PriceKind::CacheWrite1h, "0.000002"},
                                      {PriceKind::InputAudio, "0.000003"},
                                      {PriceKind::InputImage, "0.000004"},
                                      {PriceKind::Output, "0.000005"},
                                      {PriceKind::Reasoning, "0.000006"},
                                      {PriceKind::OutputAudio, "0.000007"},
                                      {PriceKind::OutputImage, "0.000008"},
                                      {PriceKind::Request, "0.0001"},
                                      {PriceKind::Image, "0.04"},
                                      {PriceKind::Search, "0.01"},
                                      {PriceKind::Character, "0.000015"},
                                      {PriceKind::AudioSecond, "0.0001"}}));
    CHECK(cost(price, {}) == 100);
    CHECK(cost(price, {.in_uncached = 1000}) == 1'100);
    CHECK(cost(price, {.in_cached = 1000}) == 200);
    CHECK(cost(price, {.cache_write_5m = 1000}) == 1'350);
    CHECK(cost(price, {.cache_write_1h = 1000}) == 2'100);
    CHECK(cost(price, {.in_audio = 1000}) == 3'100);
    CHECK(cost(price, {.in_image = 1000}) == 4'100);
    CHECK(cost(price, {.out_text = 1000}) == 5'100);
    CHECK(cost(price, {.out_reasoning = 1000}) == 6'100);
    CHECK(cost(price, {.out_audio = 1000}) == 7'100);
    CHECK(cost(price, {.out_image = 1000}) == 8'100);
    CHECK(cost(price, {.images = 2}) == 80'100);
    CHECK(cost(price, {.searches = 3}) == 30'100);
    CHECK(cost(price, {.characters = 1000}) == 15'100);
    CHECK(cost(price, {.audio_ms = 9'500}) == 1'050);
}

TEST_CASE("tariff: what is left out costs what it is a kind of, or is not sold") {
    const Price price = price_of(usd({{PriceKind::Input, "0.000001"},
                                      {PriceKind::CacheWrite, "0.000002"},
                                      {PriceKind::Output, "0.000005"}}));
    CHECK(price.rate(PriceKind::InputCached) == price.input());
    CHECK(price.rate(PriceKind::CacheWrite1h) == price.rate(PriceKind::CacheWrite));
    CHECK(price.rate(PriceKind::InputAudio) == price.input());
    CHECK(price.rate(PriceKind::InputImage) == price.input());
    CHECK(price.rate(PriceKind::Reasoning) == price.output());
    CHECK(price.rate(PriceKind::OutputAudio) == price.output());
    CHECK(price.rate(PriceKind::OutputImage) == price.output());
    CHECK(price.rate(PriceKind::Request) == 0);
    CHECK(price.sells(PriceKind::Reasoning));
    for (const PriceKind kind :
         {PriceKind::Image, PriceKind::Search, PriceKind::Character, PriceKind::AudioSecond}) {
        CHECK_FALSE(price.sells(kind));
    }
    const Tariff images = Tariff::make(usd({{PriceKind::Image, "0.04"}})).value();
    CHECK(images.sells(PriceKind::Image));
    CHECK_FALSE(images.sells(PriceKind::Input));
}

TEST_CASE("tariff: a request costs its floor at least, and a hold covers it") {
    PriceTable table = usd({{PriceKind::Input, "0.000001"}, {PriceKind::Output, "0.000001"}});
    table.floor = 50_msat;
    const Price price = price_of(table);
    const Cost least = cost_of(price, {.in_uncached = 10, .out_text = 5}).value();
    CHECK(least.total == 50_msat);
    CHECK(least.input == 10_msat);
    CHECK(least.output == 5_msat);
    CHECK(least.base == 35_msat);
    CHECK(cost(price, {.in_uncached = 100}) == 100);
    CHECK(cost_ceiling(price, {.input = 1, .output = 1}).value() == 50_msat);
}

TEST_CASE("tariff: beyond a prompt's size all of the request costs the higher price") {
    const Price price = price_of(usd(
        {{PriceKind::Input, "0.00000125"},
         {PriceKind::InputCached, "0.0000003125"},
         {PriceKind::Output, "0.00001"}},
        {{.above_input = 200'000,
          .lines = lines({{PriceKind::Input, "0.0000025"}, {PriceKind::Output, "0.000015"}})}}));
    CHECK(cost(price, {.in_uncached = 200'000, .out_text = 100}) == 251'000);
    CHECK(cost(price, {.in_uncached = 200'001, .out_text = 100}) == 501'503);
    // The prompt is all that was read, from wherever; what the override does not name stays.
    CHECK(cost(price, {.in_uncached = 100'000, .in_cached = 100'001}) == 281'251);
    CHECK(cost_ceiling(price, {.input = 200'000, .output = 100}).value() == 251'000_msat);
    CHECK(cost_ceiling(price, {.input = 200'001, .output = 100}).value() == 501'503_msat);
}

TEST_CASE("tariff: a ceiling covers the shorter prompt where that is the dearer one") {
    const Price price = price_of(
        usd({{PriceKind::Input, "0.00001"}, {PriceKind::Output, "0.00001"}},
            {{.above_input = 100,
              .lines = lines({{PriceKind::Input, "0.000001"}, {PriceKind::Output, "0.000001"}})}}));
    CHECK(cost(price, {.in_uncached = 100, .out_text = 10}) == 1'100);
    CHECK(cost(price, {.in_uncached = 101, .out_text = 10}) == 111);
    CHECK(cost_ceiling(price, {.input = 101, .output = 10}).value() == 1'100_msat);
}

TEST_CASE(
    "tariff: cheaper hours are cheaper from their first minute to their last, past midnight") {
    const Tariff tariff =
        Tariff::make(usd({{PriceKind::Input, "0.000002"}, {PriceKind::Output, "0.000004"}},
                         {{.window = DayWindow{.from = 16 * 60 + 30, .until = 30},
                           .lines = lines({{PriceKind::Input, "0.000001"}})}}))
            .value();
    CHECK(tariff.changes_with_the_hour());
    const auto input_at = [&](int hour, int minute) {
        const Price price = tariff.at(at(hour, minute), rate("100000")).value();
        CHECK(cost(price, {.out_text = 10}) == 40);
        return cost(price, {.in_uncached = 10});
    };
    CHECK(input_at(16, 29) == 20);
    CHECK(input_at(16, 30) == 10);
    CHECK(input_at(23, 59) == 10);
    CHECK(input_at(0, 0) == 10);
    CHECK(input_at(0, 29) == 10);
    CHECK(input_at(0, 30) == 20);
}

TEST_CASE("tariff: of several overrides that apply the later wins, kind by kind") {
    const DayWindow night{.from = 0, .until = 6 * 60};
    const Tariff tariff =
        Tariff::make(usd({{PriceKind::Input, "0.000001"}, {PriceKind::Output, "0.000001"}},
                         {{.above_input = 1000,
                           .lines = lines(
                               {{PriceKind::Input, "0.000004"}, {PriceKind::Output, "0.000004"}})},
                          {.above_input = 1000,
                           .window = night,
                           .lines = lines({{PriceKind::Input, "0.000002"}})},
                          {.window = night, .lines = lines({{PriceKind::Output, "0.000003"}})}}))
            .value();
    const Price by_day = tariff.at(at(12, 0), rate("100000")).value();
    CHECK(cost(by_day, {.in_uncached = 1001}) == 4'004);
    CHECK(cost(by_day, {.in_uncached = 1000, .out_text = 10}) == 1'010);
    const Price by_night = tariff.at(at(1, 0), rate("100000")).value();
    CHECK(cost(by_night, {.in_uncached = 1001}) == 2'002);
    CHECK(cost(by_night, {.in_uncached = 1001, .out_text = 10}) == 2'032);
    CHECK(cost(by_night, {.in_uncached = 10, .out_text = 10}) == 40);
}

TEST_CASE("tariff: without a rate nothing in USD has a price; a price in msat needs none") {
    const Tariff tariff =
        Tariff::make(usd({{PriceKind::Input, "0.000001"}, {PriceKind::Output, "0.000001"}}))
            .value();
    CHECK_FALSE(tariff.at(at(12, 0), std::nullopt).has_value());
    const Tariff fixed = Price::make(MsatPrices{.input_per_1k = 1, .output_per_1k = 1}).value();
    CHECK(fixed.at(at(12, 0), std::nullopt).has_value());
    CHECK_FALSE(fixed.in_usd());
}

TEST_CASE("tariff: a price keeps the rate that it was made with") {
    const Tariff tariff =
        Tariff::make(usd({{PriceKind::Input, "0.000001"}, {PriceKind::Output, "0.000001"}}))
            .value();
    const Price before = tariff.at(at(12, 0), rate("100000")).value();
    const Price after = tariff.at(at(12, 0), rate("50000")).value();
    CHECK(cost(before, {.in_uncached = 1000}) == 1000);
    CHECK(cost(after, {.in_uncached = 1000}) == 2000);
}

TEST_CASE("tariff: prices are exact to the last digit that a list has") {
    PriceTable table = usd({{PriceKind::Input, "3.75e-08"}, {PriceKind::Output, "1.5e-07"}});
    table.margin = decimal("1.07");
    const Price price = Tariff::make(table).value().at(at(0, 0), rate("63123.45")).value();
    // 10^6 * 3.75e-8 * 1.07 / 63123.45 * 10^11 = 63565.91726…
    CHECK(cost(price, {.in_uncached = 1'000'000}) == 63'566);
    CHECK(cost(price, {.in_uncached = 1'000'000'000}) == 63'565'918);
}

TEST_CASE("tariff: the numbers of proxy/README.md") {
    PriceTable table =
        usd({{PriceKind::Input, "0.00000125"},
             {PriceKind::InputCached, "0.000000125"},
             {PriceKind::Output, "0.00001"}},
            {{.above_input = 200'000, .lines = lines({{PriceKind::Input, "0.0000025"}})},
             {.window = DayWindow{.from = 16 * 60 + 30, .until = 30},
              .lines = lines({{PriceKind::Output, "0.000005"}})}});
    table.margin = decimal("1.10");
    table.floor = 25_msat;
    const Price noon = price_of(table);
    CHECK(cost(noon, {.in_uncached = 1'000, .out_text = 100}) == 2'475);
    CHECK(cost(noon, {.in_uncached = 1}) == 25);
    CHECK(cost(noon, {.in_uncached = 200'000}) == 275'000);
    CHECK(cost(noon, {.in_uncached = 100'001, .in_cached = 100'000}) == 288'753);
    CHECK(cost(price_of(table, at(16, 29)), {.out_text = 100}) == 1'100);
    CHECK(cost(price_of(table, at(17, 0)), {.out_text = 100}) == 550);
}

TEST_CASE("tariff: what can't be sold has a reason") {
    const auto error_of = [](const PriceTable& table) { return Tariff::make(table).error(); };
    CHECK(error_of(usd({})) == PriceError::Missing);
    CHECK(error_of(usd({{PriceKind::Input, "0.1"}, {PriceKind::Output, "0.001"}})) ==
          PriceError::OutOfRange);
    CHECK(error_of(usd({{PriceKind::Input, "0.001"}})) == PriceError::Missing);
    CHECK(error_of(usd({{PriceKind::Output, "0.001"}})) == PriceError::Missing);
    CHECK(error_of(usd({{PriceKind::InputCached, "0.001"}})) == PriceError::Missing);
    CHECK(error_of(usd({{PriceKind::Image, "1000"}})) == PriceError::OutOfRange);
    CHECK(error_of(usd({{PriceKind::Image, "0"}})) == PriceError::ZeroPrice);
    CHECK(error_of(usd({{PriceKind::Input, "0"}, {PriceKind::Output, "0"}})) ==
          PriceError::ZeroPrice);
    // An image's price does not make a conversation with the model free.
    CHECK(error_of(usd(
              {{PriceKind::Input, "0"}, {PriceKind::Output, "0"}, {PriceKind::Image, "0.04"}})) ==
          PriceError::ZeroPrice);
    CHECK(
        Tariff::make(
            usd({{PriceKind::Input, "0"}, {PriceKind::Output, "0"}, {PriceKind::Request, "0.001"}}))
            .has_value());
    CHECK(error_of(usd({{PriceKind::Input, "1e-27"}, {PriceKind::Output, "0.001"}})) ==
          PriceError::OutOfRange);
    PriceTable free = usd({{PriceKind::Input, "0"}, {PriceKind::Output, "0"}});
    free.free = true;
    CHECK(Tariff::make(free).has_value());

    const auto with = [](PriceOverride change) {
        return usd({{PriceKind::Input, "0.000001"}, {PriceKind::Output, "0.000001"}},
                   {std::move(change)});
    };
    const PriceLines some = lines({{PriceKind::Input, "0.000002"}});
    CHECK(error_of(with({.lines = some})) == PriceError::BadOverride);
    CHECK(error_of(with({.above_input = -1, .lines = some})) == PriceError::BadOverride);
    CHECK(error_of(with({.above_input = 5})) == PriceError::BadOverride);
    CHECK(error_of(with({.window = DayWindow{.from = 5, .until = 5}, .lines = some})) ==
          PriceError::BadOverride);
    CHECK(error_of(with({.window = DayWindow{.from = 5, .until = 1440}, .lines = some})) ==
          PriceError::BadOverride);
    CHECK(error_of(with({.above_input = 5,
                         .lines = lines({{PriceKind::Input, "0"}, {PriceKind::Output, "0"}})})) ==
          PriceError::ZeroPrice);
    PriceTable steep = with({.above_input = 1, .lines = some});
    for (std::int64_t above = 2; above <= 4; ++above) {
        steep.overrides.push_back({.above_input = above, .lines = some});
    }
    CHECK(error_of(steep) == PriceError::TooManyTiers);
}

TEST_CASE("tariff: numbers of lists are read exactly, or not at all") {
    const auto text_of = [](std::string_view text) -> std::string {
        const auto number = parse_number(text);
        if (!number) return "none";
        return (number->negative ? "-" : "") + to_text(number->value);
    };
    CHECK(text_of("1.5e-07") == "0.00000015");
    CHECK(text_of("0.00000015") == "0.00000015");
    CHECK(text_of("2.5E-6") == "0.0000025");
    CHECK(text_of("1e2") == "100");
    CHECK(text_of("0.0") == "0");
    CHECK(text_of("-1") == "-1");
    CHECK(text_of("1.0416666666666667e-07") == "0.00000010416666666666667");
    CHECK(text_of("1000000000000000000e-18") == "1");
    for (const char* text : {"", "-", "+1", ".5", "5.", "01", "1e", "1e+", "1e999", "0x1", "1 ",
                             "NaN", "1.2.3", "1e-28", "1e19", "1234567890123456789"}) {
        CAPTURE(text);
        CHECK(text_of(text) == "none");
    }
}
