// What a bitcoin is worth: US dollars, in ten-thousandths, as an integer. So is every price that
// was typed in dollars a fraction of integers, whatever the market does.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace nutgate::rates {

class BtcUsd {
public:
    static constexpr int kPlaces = 4;
    static constexpr std::int64_t kPerUsd = 10'000;
    // Ten million dollars: beyond it a source is mistaken, and a price could no longer be exact.
    static constexpr std::int64_t kMax = 10'000'000 * kPerUsd;

    // Empty if zero, negative or beyond kMax.
    [[nodiscard]] static constexpr std::optional<BtcUsd> from_raw(std::int64_t value) {
        if (value < 1 || value > kMax) return std::nullopt;
        return BtcUsd{value};
    }
    // "62345.1" or "62345.123456789": digits with at most one point between them. What is finer
    // than a ten-thousandth is cut off.
    [[nodiscard]] static std::optional<BtcUsd> parse(std::string_view text);

    // Rounded down.
    [[nodiscard]] static constexpr BtcUsd middle(BtcUsd a, BtcUsd b) {
        return BtcUsd{(a.value_ + b.value_) / 2};
    }
    // Whether they are further apart than that much of the other.
    constexpr bool is_far_from(BtcUsd other, std::int64_t percent) const {
        const std::int64_t apart =
            value_ > other.value_ ? value_ - other.value_ : other.value_ - value_;
        return apart * 100 > other.value_ * percent;
    }

    constexpr std::int64_t raw() const { return value_; }
    std::string text() const;

    friend constexpr auto operator<=>(BtcUsd, BtcUsd) = default;

private:
    explicit constexpr BtcUsd(std::int64_t value) : value_{value} {}

    std::int64_t value_;
};

}  // namespace nutgate::rates
