#include "nutgate/proxy/pricing.h"

#include <doctest/doctest.h>

using namespace nutgate;
using namespace nutgate::proxy;

namespace {

Price msat_price(std::int64_t input, std::int64_t output) {
    return Price::make(MsatPrices{.input_per_1k = input, .output_per_1k = output}).value();
}

Price usd_price(std::string input, std::string output, std::string margin, std::string rate) {
    return Price::make(UsdPrices{.input = std::move(input),
                                 .output = std::move(output),
                                 .margin = std::move(margin),
                                 .btc_usd = std::move(rate)})
        .value();
}

Msat total(const Price& price, std::int64_t in, std::int64_t out) {
    return cost_of(price, {.in_uncached = in, .out_text = out}).value().total;
}

}  // namespace

TEST_CASE("pricing: decimals are read exactly, or not at all") {
    CHECK(parse_decimal("0.20") == Decimal{2, 1});
    CHECK(parse_decimal("100000") == Decimal{100000, 0});
    CHECK(parse_decimal("0.0000000375") == Decimal{375, 10});
    CHECK(parse_decimal("0") == Decimal{0, 0});
    CHECK(parse_decimal("0.000000000000001") == Decimal{1, 15});
    for (const auto* text : {"", ".", "1.", ".5", "-1", "+1", "1e3", "1,5", "0x1", " 1", "1 ",
                             "1.2.3", "0.0000000000000001", "1234567890123456789", "nan"}) {
        CAPTURE(text);
        CHECK_FALSE(parse_decimal(text).has_value());
    }
}

TEST_CASE("pricing: msat per thousand tokens, worked by hand") {
    // 40 in, 12 out at 200 and 600 per thousand: 8 + 7.2 = 15.2 msat.
    CHECK(total(msat_price(200, 600), 40, 12) == 16_msat);
    CHECK(total(msat_price(1000, 1000), 7, 5) == 12_msat);
    CHECK(total(msat_price(200, 600), 0, 0) == 0_msat);
    CHECK(total(msat_price(1, 0), 1, 1'000'000) == 1_msat);
}

TEST_CASE("pricing: USD per million tokens, margin and rate, worked by hand") {
    // 0.20 and 0.60 USD with 10 % on top at 100,000 USD: 1 USD is 10^6 msat, so a token costs 0.22
    // and 0.66 msat.
    const Price price = usd_price("0.20", "0.60", "1.10", "100000");
    CHECK(total(price, 100, 0) == 22_msat);
    CHECK(total(price, 0, 100) == 66_msat);
    CHECK(total(price, 40, 12) == 17_msat);  // 8.8 + 7.92 = 16.72
    // 0.0375 USD per million at 87,654.32: 0.0375 * 10^5 / 87654.32 = 0.04278169199… msat.
    CHECK(total(usd_price("0.0375", "0.15", "1", "87654.32"), 1'000'000, 0) == 42782_msat);
}

TEST_CASE("pricing: one rounding per request, up") {
    // Each line alone would be rounded up to 1: three msat. Together they are 0.9.
    const Price price =
        Price::make(
            MsatPrices{.input_per_1k = 300, .output_per_1k = 300, .input_cached_per_1k = 300})
            .value();
    const auto cost = cost_of(price, {.in_uncached = 1, .in_cached = 1, .out_text = 1}).value();
    CHECK(cost.total == 1_msat);
    CHECK(cost.input == 0_msat);
    CHECK(cost.output == 1_msat);
}

TEST_CASE("pricing: the parts of a cost add up to its total") {
    const Price price = usd_price("0.37", "1.13", "1.07", "63123.45");
    for (std::int64_t in = 0; in < 60; in += 7) {
        for (std::int64_t out = 0; out < 50; out += 3) {
            const auto cost =
                cost_of(price, {.in_uncached = in, .in_cached = out * 2, .out_text = out}).value();
            CHECK(cost.input.raw() + cost.input_cached.raw() + cost.output.raw() ==
                  cost.total.raw());
            const auto cut = capped(cost, 5_msat);
            CHECK(cut.total <= 5_msat);
            CHECK(cut.input.raw() + cut.input_cached.raw() + cut.output.raw() == cut.total.raw());
        }
    }
}

TEST_CASE("pricing: reasoning costs what output costs, cached input its own price") {
    const Price price =
        Price::make(
            MsatPrices{.input_per_1k = 1000, .output_per_1k = 2000, .input_cached_per_1k = 100})
            .value();
    const auto cost =
        cost_of(price, {.in_uncached = 10, .in_cached = 90, .out_text = 5, .out_reasoning = 20})
            .value();
    CHECK(cost.input == 10_msat);
    CHECK(cost.input_cached == 9_msat);
    CHECK(cost.output == 50_msat);
    CHECK(cost.total == 69_msat);
}

TEST_CASE("pricing: a ceiling is never below a cost within its bounds") {
    const Price price = usd_price("0.37", "1.13", "1.07", "63123.45");
    const auto ceiling = cost_ceiling(price, {.input = 500, .output = 100}).value();
    for (std::int64_t cached = 0; cached <= 500; cached += 50) {
        const auto cost = cost_of(price, {.in_uncached = 500 - cached,
                                          .in_cached = cached,
                                          .out_text = 60,
                                          .out_reasoning = 40});
        CHECK(cost.value().total <= ceiling);
    }
}

TEST_CASE("pricing: nothing is free, negative or beyond all money by accident") {
    CHECK(Price::make(MsatPrices{}).error() == PriceError::ZeroPrice);
    CHECK(Price::make(MsatPrices{.free = true}).has_value());
    CHECK(Price::make(MsatPrices{.input_per_1k = -1, .output_per_1k = 1}).error() ==
          PriceError::OutOfRange);
    CHECK(Price::make(UsdPrices{.input = "0.2", .output = "x", .btc_usd = "1"}).error() ==
          PriceError::Malformed);
    CHECK(Price::make(UsdPrices{.input = "0.2", .output = "0.2", .btc_usd = "0"}).error() ==
          PriceError::ZeroRate);
    CHECK(Price::make(UsdPrices{.input = "0", .output = "0", .btc_usd = "1"}).error() ==
          PriceError::ZeroPrice);
    CHECK(Price::make(UsdPrices{.input = "0.2", .output = "0.2", .margin = "0", .btc_usd = "1"})
              .error() == PriceError::ZeroPrice);
    CHECK(Price::make(UsdPrices{.input = "10000", .output = "0.2", .btc_usd = "1"}).error() ==
          PriceError::OutOfRange);
    CHECK_FALSE(cost_ceiling(msat_price(Msat::kMax / 1000, 1), {.input = kTokensMax, .output = 1}));
    CHECK_FALSE(cost_of(msat_price(Msat::kMax / 1000, 1), {.in_uncached = kTokensMax}));
}

TEST_CASE("pricing: prices are shown as decimal text without exponent") {
    const Price price = usd_price("0.20", "0.60", "1.10", "100000");
    // 0.22 msat is 0.00022 sat; 0.22 USD per million tokens.
    CHECK(sats_text(price.input(), price.denominator()) == "0.00022");
    CHECK(usd_text(price.input(), price.denominator(), *parse_decimal("100000")) == "0.00000022");
    CHECK(usd_text(price.output(), price.denominator(), *parse_decimal("100000")) == "0.00000066");
    CHECK(sats_text(1, 3) == "0.000333333333334");
    CHECK(sats_text(3000, 1) == "3");
    CHECK(sats_text(0, 7) == "0");
}
