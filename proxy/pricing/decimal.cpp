#include "nutgate/proxy/decimal.h"

#include <algorithm>

namespace nutgate::proxy {
namespace {

constexpr int kDigitsMax = 18;
constexpr int kPlacesMax = 15;
constexpr int kExponentMax = 99;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

Decimal without_trailing_zeros(Decimal value) {
    if (value.units == 0) return {};
    while (value.places > 0 && value.units % 10 == 0) {
        value.units /= 10;
        --value.places;
    }
    return value;
}

// Reads JSON's numbers from left to right.
struct Scan {
    std::string_view text;
    std::size_t at = 0;

    char here() const { return at < text.size() ? text[at] : '\0'; }
    bool take(char c) {
        if (here() != c) return false;
        ++at;
        return true;
    }
    std::string_view digits() {
        const std::size_t begin = at;
        while (is_digit(here())) ++at;
        return text.substr(begin, at - begin);
    }
};

// `digits` without what is zero at both ends, as a number; `places` follows.
std::optional<Decimal> significant(std::string_view digits, int places) {
    while (digits.starts_with('0')) digits.remove_prefix(1);
    while (digits.ends_with('0')) {
        digits.remove_suffix(1);
        --places;
    }
    if (digits.size() > kDigitsMax) return std::nullopt;
    Decimal value{.units = 0, .places = places};
    for (const char digit : digits) {
        value.units = value.units * 10 + static_cast<std::uint64_t>(digit - '0');
    }
    if (value.units == 0) return Decimal{};
    if (value.places > kNumberPlacesMax) return std::nullopt;
    if (value.places >= 0) return value;
    return times_power({.units = value.units, .places = 0}, -value.places);
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
        if (!is_digit(c) || ++digits > kDigitsMax) return std::nullopt;
        decimal.units = decimal.units * 10 + static_cast<std::uint64_t>(c - '0');
        if (point) ++decimal.places;
    }
    if (digits == 0 || text.back() == '.' || decimal.places > kPlacesMax) return std::nullopt;
    return without_trailing_zeros(decimal);
}

std::optional<SignedDecimal> parse_number(std::string_view text) {
    Scan scan{.text = text};
    SignedDecimal number;
    number.negative = scan.take('-');
    const std::string_view whole = scan.digits();
    if (whole.empty() || (whole.size() > 1 && whole.front() == '0')) return std::nullopt;
    std::string digits{whole};
    int places = 0;
    if (scan.take('.')) {
        const std::string_view fraction = scan.digits();
        if (fraction.empty() || fraction.size() > 10 * kExponentMax) return std::nullopt;
        digits += fraction;
        places = static_cast<int>(fraction.size());
    }
    if (scan.take('e') || scan.take('E')) {
        const bool negative = scan.take('-');
        if (!negative) (void)scan.take('+');
        const std::string_view exponent = scan.digits();
        if (exponent.empty()) return std::nullopt;
        int value = 0;
        for (const char digit : exponent) value = std::min(1'000, value * 10 + (digit - '0'));
        if (value > kExponentMax) return std::nullopt;
        places += negative ? value : -value;
    }
    if (scan.at != text.size()) return std::nullopt;
    const auto value = significant(digits, places);
    if (!value) return std::nullopt;
    number.value = *value;
    return number;
}

Decimal divided_by_power(Decimal value, int places) {
    return without_trailing_zeros({.units = value.units, .places = value.places + places});
}

std::optional<Decimal> times_power(Decimal value, int places) {
    constexpr std::uint64_t kUnitsMax = 1'000'000'000'000'000'000;
    value.places -= places;
    for (; value.places < 0; ++value.places) {
        if (value.units >= kUnitsMax / 10) return std::nullopt;
        value.units *= 10;
    }
    return without_trailing_zeros(value);
}

bool is_below(const Decimal& a, const Decimal& b) {
    // As text, padded to the same places on both sides of the point: they may be 10^27 apart.
    const auto padded = [](const Decimal& value) {
        std::string text = std::to_string(value.units);
        text.insert(0, static_cast<std::size_t>(2 * kNumberPlacesMax) - text.size(), '0');
        text.append(static_cast<std::size_t>(2 * kNumberPlacesMax - value.places), '0');
        return text;
    };
    const std::string left = padded(a), right = padded(b);
    const std::size_t size = std::max(left.size(), right.size());
    return std::string(size - left.size(), '0') + left <
           std::string(size - right.size(), '0') + right;
}

std::string to_text(const Decimal& value) {
    std::string text = std::to_string(value.units);
    if (value.places == 0) return text;
    const auto places = static_cast<std::size_t>(value.places);
    if (text.size() <= places) text.insert(0, places + 1 - text.size(), '0');
    text.insert(text.size() - places, 1, '.');
    return text;
}

}  // namespace nutgate::proxy
