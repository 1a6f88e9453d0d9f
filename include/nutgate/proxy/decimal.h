// Decimal fractions as they were written, without a binary fraction in between.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace nutgate::proxy {

// "0.0600" is 6 units of 10^-2.
struct Decimal {
    std::uint64_t units = 0;
    int places = 0;

    friend bool operator==(const Decimal&, const Decimal&) = default;
};

// What people type. Digits with at most one point, at most 18 digits in all and 15 after the point;
// no sign, no exponent. Trailing zeros after the point do not change the value and are dropped.
std::optional<Decimal> parse_decimal(std::string_view text);

// What programs write: "1.5e-07", "0.00000015", "-1". At most 18 digits that count, at most
// kNumberPlacesMax places and below 10^18; empty if it is no JSON number.
constexpr int kNumberPlacesMax = 27;
struct SignedDecimal {
    Decimal value;
    bool negative = false;
};
std::optional<SignedDecimal> parse_number(std::string_view text);

// A 10^-`places`th of it: of a price per million, the price of one.
Decimal divided_by_power(Decimal value, int places);
// 10^`places` times as much; empty if that has more than 18 digits.
std::optional<Decimal> times_power(Decimal value, int places);

bool is_below(const Decimal& a, const Decimal& b);

// Without exponent and without superfluous zeros: reads back as the same.
std::string to_text(const Decimal& value);

}  // namespace nutgate::proxy
