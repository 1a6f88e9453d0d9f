// What an answer costs. Pure arithmetic on integers: no clock, no database, no I/O.
//
// A price is a fraction of a millisatoshi per token with one denominator for all kinds of tokens,
// so a request is summed exactly and rounded once, up, at the end. A price in USD carries the
// exchange rate it was made with: a hold and its charge use the same value, whatever the market
// does between them.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "nutgate/base/amount.h"
#include "nutgate/base/result.h"
#include "nutgate/proxy/usage.h"

namespace nutgate::proxy {

// A decimal fraction as it was written: "0.0600" is 600 units of 10^-4.
struct Decimal {
    std::uint64_t units = 0;
    int places = 0;

    friend bool operator==(const Decimal&, const Decimal&) = default;
};
// Digits with at most one point, at most 18 digits in all and 15 after the point; no sign, no
// exponent. Trailing zeros after the point do not change the value and are dropped.
std::optional<Decimal> parse_decimal(std::string_view text);

enum class PriceError {
    Malformed,   // Not a decimal.
    ZeroPrice,   // Nothing is given away unless `free` says so.
    ZeroRate,    // A bitcoin that costs nothing.
    OutOfRange,  // Above kUsdPerMillionMax, or too fine to be exact.
};

// In millisatoshis per thousand tokens. What is left out costs as much as uncached input.
struct MsatPrices {
    std::int64_t input_per_1k = 0;
    std::int64_t output_per_1k = 0;
    std::optional<std::int64_t> input_cached_per_1k = std::nullopt;
    bool free = false;
};

// In USD per million tokens, as the configuration spells it, times the seller's margin.
struct UsdPrices {
    std::string input;
    std::string output;
    std::optional<std::string> input_cached = std::nullopt;
    std::string margin = "1";
    std::string btc_usd;  // USD per bitcoin, pinned in this price.
    bool free = false;
};

class Price {
public:
    static constexpr std::uint64_t kUsdPerMillionMax = 10'000;

    static Result<Price, PriceError> make(const MsatPrices& prices);
    static Result<Price, PriceError> make(const UsdPrices& prices);

    // Millisatoshis per token are each of these over `denominator`.
    std::uint64_t input() const { return input_; }
    std::uint64_t input_cached() const { return input_cached_; }
    std::uint64_t output() const { return output_; }
    std::uint64_t denominator() const { return denominator_; }

    friend bool operator==(const Price&, const Price&) = default;

private:
    // Input, cached input and output, over a common denominator.
    Price(const std::array<std::uint64_t, 3>& over, std::uint64_t denominator)
        : input_{over[0]}, input_cached_{over[1]}, output_{over[2]}, denominator_{denominator} {}

    std::uint64_t input_;
    std::uint64_t input_cached_;
    std::uint64_t output_;
    std::uint64_t denominator_;
};

// The most that a request can use.
struct TokenBounds {
    std::int64_t input = 0;
    std::int64_t output = 0;
};

// What a hold must cover, and, at a model's own bounds, what /v1/models advertises as max_cost.
// Empty if it is more money than there is.
[[nodiscard]] std::optional<Msat> cost_ceiling(const Price& price, const TokenBounds& bounds);

// The parts are rounded so that they add up to the total, which is rounded up once.
struct Cost {
    Msat total;
    Msat input;  // Of uncached input and cache writes.
    Msat input_cached;
    Msat output;

    friend bool operator==(const Cost&, const Cost&) = default;
};
[[nodiscard]] std::optional<Cost> cost_of(const Price& price, const Usage& usage);

// The same split, for a charge that is capped at what was held.
[[nodiscard]] Cost capped(const Cost& cost, Msat most);

// `count` tokens at `per_token` / `denominator` msat, in sat or USD, as decimal text without
// exponent, exact to 15 places and rounded up there.
std::string sats_text(std::uint64_t per_token, std::uint64_t denominator);
std::string usd_text(std::uint64_t per_token, std::uint64_t denominator, const Decimal& btc_usd);

}  // namespace nutgate::proxy
