// What an answer costs. Pure arithmetic on integers: no clock, no database, no I/O, no allocation.
//
// A price is a fraction of a millisatoshi for each kind of work, with one denominator for all, so a
// request is summed exactly and rounded once, up, at the end. The exchange rate is within the
// denominator, and the hour is chosen: a request takes a copy when money is held for it, and is
// charged by that copy, whatever the market and the clock do in between.
//
// Where prices come from, and how they vary with the day and the market: tariff.h.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "nutgate/base/amount.h"
#include "nutgate/base/result.h"
#include "nutgate/proxy/decimal.h"
#include "nutgate/proxy/price_kind.h"
#include "nutgate/proxy/usage.h"

namespace nutgate::proxy {

enum class PriceError {
    Malformed,    // Not a decimal.
    Missing,      // Nothing has a price, or only one side of a conversation has.
    ZeroPrice,    // Nothing is given away unless `free` says so.
    ZeroRate,     // A bitcoin that costs nothing.
    OutOfRange,   // Above kUsdPerMillionMax or kUsdPerPieceMax, or too fine to be exact.
    BadOverride,  // Of no prompt, of no time, or of nothing.
    TooManyTiers,
};

// In millisatoshis per thousand tokens. What is left out costs as much as uncached input.
struct MsatPrices {
    std::int64_t input_per_1k = 0;
    std::int64_t output_per_1k = 0;
    std::optional<std::int64_t> input_cached_per_1k = std::nullopt;
    bool free = false;
};

// In USD per million tokens, as people spell it, times the seller's margin.
struct UsdPrices {
    std::string input;
    std::string output;
    std::optional<std::string> input_cached = std::nullopt;
    std::string margin = "1";
    std::string btc_usd;  // USD per bitcoin, pinned in this price.
    bool free = false;
};

// Immutable, small and without an owner elsewhere: copied into each request.
class Price {
public:
    static constexpr std::uint64_t kUsdPerMillionMax = 10'000;  // Of tokens, or of characters.
    static constexpr std::uint64_t kUsdPerPieceMax = 1'000;     // An image, a search, a second …
    static constexpr std::size_t kTiersMax = 4;

    using Rates = ByKind<std::uint64_t>;
    // All of a request whose prompt has more tokens than that costs so much.
    struct Tier {
        std::int64_t above_input = -1;
        Rates rates{};

        friend bool operator==(const Tier&, const Tier&) = default;
    };

    static Result<Price, PriceError> make(const MsatPrices& prices);
    static Result<Price, PriceError> make(const UsdPrices& prices);

    // By rising prompt; the first is for all of them. Millisatoshis for one (a token, a request, a
    // millisecond of audio) are a rate over the denominator.
    std::span<const Tier> tiers() const { return {tiers_.data(), tier_count_}; }
    std::uint64_t denominator() const { return denominator_; }
    // Of the shortest prompts.
    std::uint64_t rate(PriceKind kind) const { return tiers_[0].rates[index_of(kind)]; }
    std::uint64_t input() const { return rate(PriceKind::Input); }
    std::uint64_t input_cached() const { return rate(PriceKind::InputCached); }
    std::uint64_t output() const { return rate(PriceKind::Output); }
    // Whether it was given a price. What was not, and does not cost what something else costs, is
    // not sold: see tariff.h.
    bool sells(PriceKind kind) const { return ((sold_ >> index_of(kind)) & 1U) != 0; }
    // No request that is charged at all is charged less.
    Msat floor() const { return floor_; }

    // For a prompt of so many tokens.
    const Rates& rates_for(std::int64_t input_tokens) const {
        std::size_t tier = tier_count_ - 1;
        while (tier > 0 && input_tokens <= tiers_[tier].above_input) --tier;
        return tiers_[tier].rates;
    }

    friend bool operator==(const Price&, const Price&) = default;

private:
    friend class Tariff;
    Price() = default;

    std::array<Tier, kTiersMax> tiers_{};
    std::size_t tier_count_ = 1;
    std::uint64_t denominator_ = 1;
    Msat floor_;
    std::uint32_t sold_ = 0;
};

// The most that a request can use.
struct TokenBounds {
    std::int64_t input = 0;   // Of all kinds together; any part of it may go through a cache.
    std::int64_t output = 0;  // Of all kinds together.
    // So many of these tokens, and no more, may be audio or images.
    std::int64_t input_audio = 0;
    std::int64_t input_image = 0;
    std::int64_t output_audio = 0;
    std::int64_t output_image = 0;
    std::int64_t images = 0;
    std::int64_t searches = 0;
    std::int64_t characters = 0;
    std::int64_t audio_ms = 0;
};
bool is_within(const Usage& usage, const TokenBounds& bounds);

// What a hold must cover, and, at a model's own bounds, what /v1/models advertises as max_cost: no
// usage within the bounds costs more, whichever tier it falls into. Empty if it is more money than
// there is.
[[nodiscard]] std::optional<Msat> cost_ceiling(const Price& price, const TokenBounds& bounds);

// The parts are rounded so that they add up to the total, which is rounded up once. A part of which
// nothing was used is zero.
struct Cost {
    Msat total;
    Msat input;  // Of tokens that no cache has seen.
    Msat input_cached;
    Msat output;
    Msat cache_writes = {};
    Msat base = {};  // What is counted by the piece, and what is missing to the floor.

    friend bool operator==(const Cost&, const Cost&) = default;
};
[[nodiscard]] std::optional<Cost> cost_of(const Price& price, const Usage& usage);

// The same split, for a charge that is capped at what was held.
[[nodiscard]] Cost capped(const Cost& cost, Msat most);

// How much of a kind that is, in the unit that a rate is for. Each is one request.
std::int64_t count_of(const Usage& usage, PriceKind kind);
// So much for a million of them: for rows, which are read and not charged by.
std::int64_t msat_per_million_ceil(std::uint64_t rate, std::uint64_t denominator);

// `count` tokens at `per_token` / `denominator` msat, in sat or USD, as decimal text without
// exponent, exact to 15 places and rounded up there.
std::string sats_text(std::uint64_t per_token, std::uint64_t denominator);
std::string usd_text(std::uint64_t per_token, std::uint64_t denominator, const Decimal& btc_usd);

}  // namespace nutgate::proxy
