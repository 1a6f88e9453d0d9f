#include "nutgate/proxy/pricing.h"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "nutgate/base/verify.h"

namespace nutgate::proxy {
namespace {

__extension__ using Wide = unsigned __int128;

constexpr int kDigitsMax = 18;
constexpr int kPlacesMax = 15;
constexpr int kTextPlaces = 15;
constexpr std::uint64_t kMsatPerBtc = 100'000'000'000;
constexpr std::uint64_t kTokensPerMillion = 1'000'000;

constexpr std::uint64_t power_of_ten(int exponent) {
    std::uint64_t power = 1;
    for (int i = 0; i < exponent; ++i) power *= 10;
    return power;
}

// A product of a few factors that says so when it does not fit.
class Product {
public:
    Product& times(Wide factor) {
        if (__builtin_mul_overflow(value_, factor, &value_)) fits_ = false;
        return *this;
    }
    std::optional<Wide> value() const { return fits_ ? std::optional{value_} : std::nullopt; }

private:
    Wide value_ = 1;
    bool fits_ = true;
};

Wide greatest_common_divisor(Wide a, Wide b) {
    while (b != 0) {
        const Wide rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

struct Fractions {
    std::array<std::uint64_t, 3> over{};
    std::uint64_t under = 1;
};

// The same fractions in 64 bits, if they can be written so.
std::optional<Fractions> reduce(const std::array<Wide, 3>& over, Wide under) {
    Wide divisor = under;
    for (const Wide n : over) divisor = greatest_common_divisor(divisor, n);
    Fractions reduced;
    for (std::size_t i = 0; i < over.size(); ++i) {
        if (over[i] / divisor > UINT64_MAX) return std::nullopt;
        reduced.over[i] = static_cast<std::uint64_t>(over[i] / divisor);
    }
    if (under / divisor > UINT64_MAX) return std::nullopt;
    reduced.under = static_cast<std::uint64_t>(under / divisor);
    return reduced;
}

// Tokens times their prices, still over the denominator.
std::optional<Wide> sum_of(std::span<const std::pair<std::int64_t, std::uint64_t>> terms) {
    Wide sum = 0;
    for (const auto& [count, rate] : terms) {
        VERIFY(count >= 0);
        // A count is below 2^63 and a rate below 2^64, so only the sum can overflow.
        if (__builtin_add_overflow(sum, static_cast<Wide>(count) * rate, &sum)) {
            return std::nullopt;
        }
    }
    return sum;
}

std::optional<Msat> to_msat(Wide value) {
    if (value > static_cast<Wide>(Msat::kMax)) return std::nullopt;
    return Msat::from_raw(static_cast<std::int64_t>(value));
}

std::optional<Msat> ceil_to_msat(Wide over, Wide under) {
    return to_msat(over / under + (over % under != 0 ? 1 : 0));
}

// Above all fractions of kTextPlaces; the last place is rounded up, and zeros at the end go.
std::string decimal_text(Wide over, Wide under) {
    std::string text = std::to_string(static_cast<std::uint64_t>(over / under));
    Wide rest = over % under;
    if (rest == 0) return text;
    std::string places;
    for (int i = 0; i < kTextPlaces; ++i) {
        rest *= 10;
        places += static_cast<char>('0' + static_cast<int>(rest / under));
        rest %= under;
    }
    if (rest != 0) {
        std::size_t i = places.size();
        while (i > 0 && places[i - 1] == '9') places[--i] = '0';
        if (i == 0) return std::to_string(static_cast<std::uint64_t>(over / under) + 1);
        ++places[i - 1];
    }
    while (places.back() == '0') places.pop_back();
    return text + '.' + places;
}

Result<Decimal, PriceError> decimal_of(std::string_view text) {
    const auto decimal = parse_decimal(text);
    if (!decimal) return fail(PriceError::Malformed);
    return *decimal;
}

}  // namespace

std::optional<Decimal> parse_decimal(std::string_view text) {
    Decimal decimal;
    int digits = 0;
    bool point = false;
    for (const char c : text) {
        if (c == '.' && !point && digits > 0) {
            point = true;
            continue;
        }
        if (c < '0' || c > '9' || ++digits > kDigitsMax) return std::nullopt;
        decimal.units = decimal.units * 10 + static_cast<std::uint64_t>(c - '0');
        if (point) ++decimal.places;
    }
    if (digits == 0 || text.back() == '.' || decimal.places > kPlacesMax) return std::nullopt;
    while (decimal.places > 0 && decimal.units % 10 == 0) {
        decimal.units /= 10;
        --decimal.places;
    }
    return decimal;
}

Result<Price, PriceError> Price::make(const MsatPrices& prices) {
    const std::int64_t cached = prices.input_cached_per_1k.value_or(prices.input_per_1k);
    const std::array<std::int64_t, 3> given{prices.input_per_1k, cached, prices.output_per_1k};
    std::array<Wide, 3> over{};
    for (std::size_t i = 0; i < given.size(); ++i) {
        if (given[i] < 0 || given[i] > Msat::kMax / 1000) return fail(PriceError::OutOfRange);
        over[i] = static_cast<Wide>(given[i]);
    }
    if (prices.input_per_1k == 0 && prices.output_per_1k == 0 && !prices.free) {
        return fail(PriceError::ZeroPrice);
    }
    const auto reduced = reduce(over, 1000);
    VERIFY(reduced.has_value());
    return Price{reduced->over, reduced->under};
}

// msat per token = USD per million / 10^6 * margin / (USD per bitcoin) * 10^11.
Result<Price, PriceError> Price::make(const UsdPrices& prices) {
    TRY(const auto input, decimal_of(prices.input));
    TRY(const auto cached, decimal_of(prices.input_cached.value_or(prices.input)));
    TRY(const auto output, decimal_of(prices.output));
    TRY(const auto margin, decimal_of(prices.margin));
    TRY(const auto btc_usd, decimal_of(prices.btc_usd));
    if (btc_usd.units == 0) return fail(PriceError::ZeroRate);
    if ((margin.units == 0 || (input.units == 0 && output.units == 0)) && !prices.free) {
        return fail(PriceError::ZeroPrice);
    }

    const std::array<Decimal, 3> given{input, cached, output};
    const int places = std::max({input.places, cached.places, output.places});
    std::array<Wide, 3> over{};
    for (std::size_t i = 0; i < given.size(); ++i) {
        if (given[i].units / power_of_ten(given[i].places) >= kUsdPerMillionMax) {
            return fail(PriceError::OutOfRange);
        }
        const auto product = Product{}
                                 .times(given[i].units)
                                 .times(power_of_ten(places - given[i].places))
                                 .times(margin.units)
                                 .times(power_of_ten(btc_usd.places))
                                 .times(kMsatPerBtc / kTokensPerMillion)
                                 .value();
        if (!product) return fail(PriceError::OutOfRange);
        over[i] = *product;
    }
    const auto under = Product{}
                           .times(power_of_ten(places))
                           .times(power_of_ten(margin.places))
                           .times(btc_usd.units)
                           .value();
    const auto reduced = under ? reduce(over, *under) : std::nullopt;
    if (!reduced) return fail(PriceError::OutOfRange);
    return Price{reduced->over, reduced->under};
}

std::optional<Msat> cost_ceiling(const Price& price, const TokenBounds& bounds) {
    const std::array<std::pair<std::int64_t, std::uint64_t>, 2> terms{{
        {bounds.input, std::max(price.input(), price.input_cached())},
        {bounds.output, price.output()},
    }};
    const auto sum = sum_of(terms);
    if (!sum) return std::nullopt;
    return ceil_to_msat(*sum, price.denominator());
}

std::optional<Cost> cost_of(const Price& price, const Usage& usage) {
    using Term = std::pair<std::int64_t, std::uint64_t>;
    const std::array<Term, 3> terms{{
        {usage.in_uncached + usage.cache_write_5m + usage.cache_write_1h, price.input()},
        {usage.in_cached, price.input_cached()},
        {usage.output(), price.output()},
    }};
    const auto sum = sum_of(terms);
    if (!sum) return std::nullopt;
    const auto total = ceil_to_msat(*sum, price.denominator());
    if (!total) return std::nullopt;
    // Each floor is at most its share of the sum, so what is left for the output is not negative.
    Cost cost{.total = *total, .input = {}, .input_cached = {}, .output = *total};
    for (const auto& [term, part] :
         {std::pair{terms[0], &cost.input}, {terms[1], &cost.input_cached}}) {
        const auto floor =
            to_msat(static_cast<Wide>(term.first) * term.second / price.denominator());
        VERIFY(floor.has_value());
        *part = *floor;
        cost.output = *subtract(cost.output, *floor);
    }
    return cost;
}

Cost capped(const Cost& cost, Msat most) {
    if (cost.total <= most) return cost;
    Cost cut{.total = most, .input = std::min(cost.input, most), .input_cached = {}, .output = {}};
    Msat rest = *subtract(most, cut.input);
    cut.input_cached = std::min(cost.input_cached, rest);
    cut.output = *subtract(rest, cut.input_cached);
    return cut;
}

std::string sats_text(std::uint64_t per_token, std::uint64_t denominator) {
    return decimal_text(per_token, static_cast<Wide>(denominator) * 1000);
}

std::string usd_text(std::uint64_t per_token, std::uint64_t denominator, const Decimal& btc_usd) {
    Wide over = static_cast<Wide>(per_token) * btc_usd.units;
    Wide under = static_cast<Wide>(denominator) * power_of_ten(btc_usd.places);
    const Wide divisor = greatest_common_divisor(over, under);
    over /= divisor;
    under /= divisor;
    // Digits are made by multiplying a rest by ten, which has to fit.
    constexpr Wide kUnderMax = ~Wide{0} / 10 / kMsatPerBtc;
    while (under > kUnderMax) {
        over = over / 2 + over % 2;
        under /= 2;
    }
    return decimal_text(over, under * kMsatPerBtc);
}

}  // namespace nutgate::proxy
