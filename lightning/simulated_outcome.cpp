#include "simulated_outcome.h"

#include <charconv>
#include <cstdint>

namespace nutgate {
namespace {

constexpr std::int64_t kFeeMax = 1'000'000'000;  // A hundredth of a bitcoin.

// The number behind "word:", from 0 to `max`.
std::optional<std::int64_t> number_after(std::string_view text, std::string_view word,
                                         std::int64_t max) {
    if (!text.starts_with(word)) return std::nullopt;
    text.remove_prefix(word.size());
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    if (number < 0 || number > max) return std::nullopt;
    return number;
}

}  // namespace

SimulatedOutcome simulated_outcome(std::string_view description) {
    if (description == "unpaid") return {.paid_by_itself = false};
    if (description == "fail") return {.paid_by_itself = false, .fails = true};
    if (const auto fee = number_after(description, "fee:", kFeeMax)) {
        return {.paid_by_itself = false, .fee = *Msat::from_raw(*fee)};
    }
    const std::int64_t delay_max = kOutcomeDelayMax.count();
    if (const auto delay = number_after(description, "pending:", delay_max)) {
        return {.paid_by_itself = false, .delay = Milliseconds{*delay}};
    }
    if (const auto delay = number_after(description, "unknown-then-paid:", delay_max)) {
        return {.paid_by_itself = false, .quiet = true, .delay = Milliseconds{*delay}};
    }
    if (const auto delay = number_after(description, "unknown-then-failed:", delay_max)) {
        return {
            .paid_by_itself = false, .fails = true, .quiet = true, .delay = Milliseconds{*delay}};
    }
    return {};
}

}  // namespace nutgate
