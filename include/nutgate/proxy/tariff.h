// What a model costs at any time of the day and at any exchange rate.
//
// Prices are decimals, in msat or in USD, of one of each kind. From what is left out follows:
//   - Cached input, cache writes (an hour's as five minutes'), audio and images in a prompt cost
//     what input costs; reasoning, audio and images in an answer what output costs.
//   - Requests have no price of their own.
//   - Images made, searches, characters and seconds are not sold.
// An override puts other prices in the place of these for prompts beyond a size, for some hours of
// the day, or for both; where several apply, the later wins, kind by kind.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "nutgate/base/amount.h"
#include "nutgate/base/clock.h"
#include "nutgate/base/result.h"
#include "nutgate/proxy/decimal.h"
#include "nutgate/proxy/price_kind.h"
#include "nutgate/proxy/pricing.h"
#include "nutgate/rates/btc_usd.h"

namespace nutgate::proxy {

enum class Currency { Msat, Usd };

// For one: a token, a request, an image, a search, a character, a second.
using PriceLines = ByKind<std::optional<Decimal>>;

// Minutes of a day in UTC, from the first until the last, which is not in it. One that ends before
// it begins goes on past midnight.
struct DayWindow {
    static constexpr int kDayMinutes = 24 * 60;
    int from = 0;
    int until = 0;

    bool holds(int minute) const {
        return from < until ? minute >= from && minute < until : minute >= from || minute < until;
    }
    friend bool operator==(const DayWindow&, const DayWindow&) = default;
};

struct PriceOverride {
    std::int64_t above_input = 0;  // Of prompts with more tokens than that. 0: of all.
    std::optional<DayWindow> window = std::nullopt;  // Without one: at all hours.
    PriceLines lines{};

    friend bool operator==(const PriceOverride&, const PriceOverride&) = default;
};

// A price list's entry, or an operator's.
struct PriceTable {
    Currency currency = Currency::Usd;
    PriceLines lines{};
    std::vector<PriceOverride> overrides = {};
    Decimal margin{.units = 1, .places = 0};  // A factor on all of it.
    Msat floor = {};                          // No request is charged less.
    bool free = false;                        // A price of zero is meant.

    friend bool operator==(const PriceTable&, const PriceTable&) = default;
};

// Immutable, so thread-safe.
class Tariff {
public:
    static constexpr std::size_t kOverridesMax = 16;

    // The same at all times. Implicit: a price is a tariff.
    Tariff(const Price& price) : parts_{{.from = 0, .price = price}} {}
    static Result<Tariff, PriceError> make(const PriceTable& table);

    // For a request that begins now. Empty if it is in USD and nobody knows what a bitcoin is
    // worth.
    std::optional<Price> at(Time now, const std::optional<rates::BtcUsd>& rate) const;

    bool in_usd() const { return currency_ == Currency::Usd; }
    bool changes_with_the_hour() const { return parts_.size() > 1; }
    // Whether there is ever a price for it.
    bool sells(PriceKind kind) const { return parts_.front().price.sells(kind); }
    // The prices of a day at that rate, which one in msat does not look at.
    std::vector<Price> all(rates::BtcUsd rate) const;

private:
    struct Part {
        int from;  // Minute of the day.
        Price price;
    };
    explicit Tariff(Currency currency) : currency_{currency} {}
    static Price at_rate(const Price& price, rates::BtcUsd rate);
    const Price& part_at(Time now) const;

    Currency currency_ = Currency::Msat;
    std::vector<Part> parts_;  // Of the day, by their beginnings; the first begins it.
};

// The time of the day, in minutes, in UTC.
int minute_of_day(Time now);

}  // namespace nutgate::proxy
