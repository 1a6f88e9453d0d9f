#include "nutgate/proxy/tariff.h"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <limits>
#include <set>
#include <utility>

#include "nutgate/base/verify.h"
#include "wide.h"

namespace nutgate::proxy {
namespace {

// msat = USD * 10^11 / (USD per bitcoin), and a rate counts in ten-thousandths of a dollar.
constexpr int kUsdScale = 11 + rates::BtcUsd::kPlaces;
constexpr int kPowersMax = 38;  // 10^38 is the largest that Wide holds.
constexpr int kMillisecondPlaces = 3;

// Of one row of prices: what is given, and what follows from it.
using Row = ByKind<std::optional<Decimal>>;

std::optional<Wide> power_of_ten(int exponent) {
    if (exponent < 0 || exponent > kPowersMax) return std::nullopt;
    Wide power = 1;
    for (int i = 0; i < exponent; ++i) power *= 10;
    return power;
}

std::optional<Wide> product(std::initializer_list<std::optional<Wide>> factors) {
    Wide value = 1;
    for (const auto& factor : factors) {
        if (!factor || __builtin_mul_overflow(value, *factor, &value)) return std::nullopt;
    }
    return value;
}

std::optional<std::uint64_t> narrow(const std::optional<Wide>& value) {
    if (!value || *value > std::numeric_limits<std::uint64_t>::max()) return std::nullopt;
    return static_cast<std::uint64_t>(*value);
}

// Whether it is `over` / `under` or more.
bool reaches(const Decimal& price, std::uint64_t over, std::uint64_t under) {
    const auto limit = product({power_of_ten(price.places), over});
    // What no Wide holds is more than any price.
    return limit && static_cast<Wide>(price.units) * under >= *limit;
}

bool is_too_dear(PriceKind kind, const Decimal& price, Currency currency) {
    constexpr std::uint64_t kMsatMax = static_cast<std::uint64_t>(Msat::kMax) / 1000;
    constexpr std::uint64_t kMillion = 1'000'000;
    if (currency == Currency::Msat) return reaches(price, kMsatMax + 1, 1);
    switch (per_of(kind)) {
        case PricePer::Token:
        case PricePer::Character:
            return reaches(price, Price::kUsdPerMillionMax, kMillion);
        case PricePer::Piece:
        case PricePer::Second:
            return reaches(price, Price::kUsdPerPieceMax, 1);
    }
    return true;
}

// What was left out.
void complete(Row& row) {
    const auto follow = [&row](PriceKind kind, PriceKind other) {
        auto& price = row[index_of(kind)];
        if (!price) price = row[index_of(other)];
    };
    follow(PriceKind::InputCached, PriceKind::Input);
    follow(PriceKind::CacheWrite, PriceKind::Input);
    follow(PriceKind::CacheWrite1h, PriceKind::CacheWrite);
    follow(PriceKind::InputAudio, PriceKind::Input);
    follow(PriceKind::InputImage, PriceKind::Input);
    follow(PriceKind::Reasoning, PriceKind::Output);
    follow(PriceKind::OutputAudio, PriceKind::Output);
    follow(PriceKind::OutputImage, PriceKind::Output);
    auto& request = row[index_of(PriceKind::Request)];
    if (!request) request = Decimal{};
}

bool costs(const Row& row, PriceKind kind) {
    const auto& price = row[index_of(kind)];
    return price && price->units > 0;
}

// Whether something that is sold would cost nothing at all.
bool gives_away(const Row& row) {
    if (costs(row, PriceKind::Request)) return false;
    if (row[index_of(PriceKind::Input)] && !costs(row, PriceKind::Input) &&
        !costs(row, PriceKind::Output)) {
        return true;
    }
    return std::ranges::any_of(
        std::array{PriceKind::Image, PriceKind::Search, PriceKind::Character,
                   PriceKind::AudioSecond},
        [&row](PriceKind kind) { return row[index_of(kind)] && !costs(row, kind); });
}

Result<void, PriceError> check_lines(const PriceLines& lines, Currency currency) {
    for (const PriceKind kind : kAllPriceKinds) {
        const auto& price = lines[index_of(kind)];
        if (price && is_too_dear(kind, *price, currency)) return fail(PriceError::OutOfRange);
    }
    return {};
}

Result<void, PriceError> check(const PriceTable& table) {
    TRY_VOID(check_lines(table.lines, table.currency));
    const auto has = [&table](PriceKind kind) { return table.lines[index_of(kind)].has_value(); };
    const bool any = has(PriceKind::Input) || has(PriceKind::Request) || has(PriceKind::Image) ||
                     has(PriceKind::Search) || has(PriceKind::Character) ||
                     has(PriceKind::AudioSecond);
    if (!any || has(PriceKind::Input) != has(PriceKind::Output)) return fail(PriceError::Missing);
    if (table.margin.units == 0 && !table.free) return fail(PriceError::ZeroPrice);
    if (table.overrides.size() > Tariff::kOverridesMax) return fail(PriceError::TooManyTiers);
    for (const PriceOverride& change : table.overrides) {
        TRY_VOID(check_lines(change.lines, table.currency));
        const bool of_nothing =
            std::ranges::none_of(change.lines, [](const auto& line) { return line.has_value(); });
        const auto is_time = [](int minute) {
            return minute >= 0 && minute < DayWindow::kDayMinutes;
        };
        const bool bad_window =
            change.window && (!is_time(change.window->from) || !is_time(change.window->until) ||
                              change.window->from == change.window->until);
        const bool bad_prompt = change.above_input < 0 || change.above_input > kTokensMax ||
                                (change.above_input == 0 && !change.window);
        if (of_nothing || bad_window || bad_prompt) return fail(PriceError::BadOverride);
    }
    return {};
}

bool applies(const PriceOverride& change, int minute, std::int64_t above_input) {
    return change.above_input <= above_input && (!change.window || change.window->holds(minute));
}

// The prompts beyond which another row begins, at that time of the day.
std::vector<std::int64_t> thresholds(const PriceTable& table, int minute) {
    std::set<std::int64_t> found;
    for (const PriceOverride& change : table.overrides) {
        if (change.above_input > 0 && applies(change, minute, change.above_input)) {
            found.insert(change.above_input);
        }
    }
    std::vector<std::int64_t> rising{0};
    rising.insert(rising.end(), found.begin(), found.end());
    return rising;
}

Row row_of(const PriceTable& table, int minute, std::int64_t above_input) {
    Row row = table.lines;
    for (const PriceOverride& change : table.overrides) {
        if (!applies(change, minute, above_input)) continue;
        for (std::size_t i = 0; i < kPriceKinds; ++i) {
            if (change.lines[i]) row[i] = change.lines[i];
        }
    }
    complete(row);
    return row;
}

struct Fractions {
    std::vector<Price::Rates> over;
    std::uint64_t under = 1;
};

// The rows times the margin, over one denominator; that of a price in USD lacks the rate yet.
std::optional<Fractions> fractions(const std::vector<Row>& rows, const PriceTable& table) {
    const bool usd = table.currency == Currency::Usd;
    const auto exponent = [&](std::size_t kind, const Decimal& price) {
        const bool by_second = per_of(kAllPriceKinds[kind]) == PricePer::Second;
        return (usd ? kUsdScale : 0) - table.margin.places - price.places -
               (by_second ? kMillisecondPlaces : 0);
    };
    int finest = 0;
    for (const Row& row : rows) {
        for (std::size_t i = 0; i < kPriceKinds; ++i) {
            if (row[i] && row[i]->units > 0) finest = std::min(finest, exponent(i, *row[i]));
        }
    }
    const auto under = power_of_ten(-finest);
    if (!under) return std::nullopt;
    Wide divisor = *under;
    std::vector<ByKind<Wide>> wide(rows.size());
    for (std::size_t r = 0; r < rows.size(); ++r) {
        for (std::size_t i = 0; i < kPriceKinds; ++i) {
            if (!rows[r][i] || rows[r][i]->units == 0) continue;
            const auto value = product({rows[r][i]->units, table.margin.units,
                                        power_of_ten(exponent(i, *rows[r][i]) - finest)});
            if (!value) return std::nullopt;
            wide[r][i] = *value;
            divisor = greatest_common_divisor(divisor, *value);
        }
    }
    Fractions reduced{.over = std::vector<Price::Rates>(rows.size()), .under = 1};
    for (std::size_t r = 0; r < rows.size(); ++r) {
        for (std::size_t i = 0; i < kPriceKinds; ++i) {
            const auto rate = narrow(wide[r][i] / divisor);
            if (!rate) return std::nullopt;
            reduced.over[r][i] = *rate;
        }
    }
    const auto small = narrow(*under / divisor);
    // With any rate there may be, too.
    const auto largest = usd ? static_cast<std::uint64_t>(rates::BtcUsd::kMax) : 1;
    if (!small || !narrow(product({*small, largest}))) return std::nullopt;
    reduced.under = *small;
    return reduced;
}

Result<Decimal, PriceError> decimal_of(std::string_view text) {
    const auto decimal = parse_decimal(text);
    if (!decimal) return fail(PriceError::Malformed);
    return *decimal;
}

}  // namespace

int minute_of_day(Time now) {
    using Days = std::chrono::days;
    const auto since = now - std::chrono::floor<Days>(now);
    return static_cast<int>(std::chrono::duration_cast<std::chrono::minutes>(since).count());
}

Result<Tariff, PriceError> Tariff::make(const PriceTable& table) {
    TRY_VOID(check(table));
    std::set<int> beginnings{0};
    for (const PriceOverride& change : table.overrides) {
        if (change.window) beginnings.insert({change.window->from, change.window->until});
    }
    Tariff made{table.currency};
    for (const int minute : beginnings) {
        const auto rising = thresholds(table, minute);
        if (rising.size() > Price::kTiersMax) return fail(PriceError::TooManyTiers);
        std::vector<Row> rows;
        for (const std::int64_t above : rising) {
            rows.push_back(row_of(table, minute, above));
            if (gives_away(rows.back()) && !table.free) return fail(PriceError::ZeroPrice);
        }
        const auto reduced = fractions(rows, table);
        if (!reduced) return fail(PriceError::OutOfRange);
        Price price;
        price.tier_count_ = rows.size();
        for (std::size_t i = 0; i < rows.size(); ++i) {
            price.tiers_[i] = {.above_input = i == 0 ? -1 : rising[i], .rates = reduced->over[i]};
        }
        price.denominator_ = reduced->under;
        price.floor_ = table.floor;
        for (const PriceKind kind : kAllPriceKinds) {
            if (rows.front()[index_of(kind)]) price.sold_ |= 1U << index_of(kind);
        }
        made.parts_.push_back({.from = minute, .price = price});
    }
    return made;
}

Price Tariff::at_rate(const Price& price, rates::BtcUsd rate) {
    Price pinned = price;
    pinned.denominator_ *= static_cast<std::uint64_t>(rate.raw());
    return pinned;
}

const Price& Tariff::part_at(Time now) const {
    std::size_t part = parts_.size() - 1;
    if (part == 0) return parts_.front().price;
    const int minute = minute_of_day(now);
    while (parts_[part].from > minute) --part;
    return parts_[part].price;
}

std::optional<Price> Tariff::at(Time now, const std::optional<rates::BtcUsd>& rate) const {
    if (currency_ == Currency::Msat) return part_at(now);
    if (!rate) return std::nullopt;
    return at_rate(part_at(now), *rate);
}

std::vector<Price> Tariff::all(rates::BtcUsd rate) const {
    std::vector<Price> prices;
    for (const Part& part : parts_) {
        prices.push_back(in_usd() ? at_rate(part.price, rate) : part.price);
    }
    return prices;
}

Result<Price, PriceError> Price::make(const MsatPrices& prices) {
    PriceTable table{.currency = Currency::Msat, .free = prices.free};
    const auto put = [&table](PriceKind kind, std::int64_t per_1k) {
        if (per_1k < 0 || per_1k > Msat::kMax / 1000) return false;
        table.lines[index_of(kind)] =
            divided_by_power({.units = static_cast<std::uint64_t>(per_1k), .places = 0}, 3);
        return true;
    };
    if (!put(PriceKind::Input, prices.input_per_1k) ||
        !put(PriceKind::InputCached, prices.input_cached_per_1k.value_or(prices.input_per_1k)) ||
        !put(PriceKind::Output, prices.output_per_1k)) {
        return fail(PriceError::OutOfRange);
    }
    TRY(const auto tariff, Tariff::make(table));
    return *tariff.at(Time{}, std::nullopt);
}

Result<Price, PriceError> Price::make(const UsdPrices& prices) {
    PriceTable table{.currency = Currency::Usd, .free = prices.free};
    const auto put = [&table](PriceKind kind, const std::string& text) -> Result<void, PriceError> {
        TRY(const auto per_million, decimal_of(text));
        table.lines[index_of(kind)] = divided_by_power(per_million, 6);
        return {};
    };
    TRY_VOID(put(PriceKind::Input, prices.input));
    TRY_VOID(put(PriceKind::InputCached, prices.input_cached.value_or(prices.input)));
    TRY_VOID(put(PriceKind::Output, prices.output));
    TRY(table.margin, decimal_of(prices.margin));
    TRY(const auto btc_usd, decimal_of(prices.btc_usd));
    if (btc_usd.units == 0) return fail(PriceError::ZeroRate);
    const auto rate = rates::BtcUsd::parse(prices.btc_usd);
    if (!rate) return fail(PriceError::OutOfRange);
    TRY(const auto tariff, Tariff::make(table));
    return *tariff.at(Time{}, rate);
}

}  // namespace nutgate::proxy
