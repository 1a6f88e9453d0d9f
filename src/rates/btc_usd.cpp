#include "nutgate/rates/btc_usd.h"

namespace nutgate::rates {

std::optional<BtcUsd> BtcUsd::parse(std::string_view text) {
    const auto is_number = [](std::string_view digits) {
        return !digits.empty() && digits.find_first_not_of("0123456789") == std::string_view::npos;
    };
    const std::size_t point = text.find('.');
    const std::string_view whole = text.substr(0, point);
    std::string_view places;
    if (!is_number(whole)) return std::nullopt;
    if (point != std::string_view::npos) {
        places = text.substr(point + 1);
        if (!is_number(places)) return std::nullopt;
    }
    std::int64_t value = 0;
    for (const char digit : whole) {
        value = value * 10 + (digit - '0');
        if (value > kMax) return std::nullopt;
    }
    for (std::size_t i = 0; i < kPlaces; ++i) {
        value = value * 10 + (i < places.size() ? places[i] - '0' : 0);
    }
    return from_raw(value);
}

std::string BtcUsd::text() const {
    std::string text = std::to_string(value_ / kPerUsd);
    std::string places = std::to_string(kPerUsd + value_ % kPerUsd).substr(1);
    while (!places.empty() && places.back() == '0') places.pop_back();
    return places.empty() ? text : text + '.' + places;
}

}  // namespace nutgate::rates
