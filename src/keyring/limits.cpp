// The calendar of limits. In UTC, so that a node's move to another time zone changes nobody's
// limit.
#include <chrono>

#include "nutgate/keyring/keyring.h"

namespace nutgate {

std::optional<LimitReset> parse_limit_reset(std::string_view text) {
    if (text == "daily") return LimitReset::Daily;
    if (text == "weekly") return LimitReset::Weekly;
    if (text == "monthly") return LimitReset::Monthly;
    return std::nullopt;
}

std::string_view to_text(LimitReset reset) {
    switch (reset) {
        case LimitReset::Never:
            return "";
        case LimitReset::Daily:
            return "daily";
        case LimitReset::Weekly:
            return "weekly";
        case LimitReset::Monthly:
            return "monthly";
    }
    VERIFY(false);
    return "";
}

Time period_begin(LimitReset reset, Time now) {
    const auto day = std::chrono::floor<std::chrono::days>(now);
    switch (reset) {
        case LimitReset::Never:
            return Time{};
        case LimitReset::Daily:
            return day;
        case LimitReset::Weekly:
            // Days since Monday: 0 on Mondays.
            return day - (std::chrono::weekday{day} - std::chrono::Monday);
        case LimitReset::Monthly: {
            const std::chrono::year_month_day date{day};
            return std::chrono::sys_days{date.year() / date.month() / 1};
        }
    }
    VERIFY(false);
    return Time{};
}

}  // namespace nutgate
