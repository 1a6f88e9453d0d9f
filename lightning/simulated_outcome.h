// What the description of an invoice asks the simulated network to do with it.
#pragma once

#include <optional>
#include <string_view>

#include "nutgate/base/amount.h"
#include "nutgate/base/clock.h"

namespace nutgate {

struct SimulatedOutcome {
    bool paid_by_itself = true;  // As an invoice of ours.
    // As an invoice that we pay:
    bool fails = false;
    bool quiet = false;  // No hint when it ends.
    Milliseconds delay{0};
    Msat fee{};
};

// No outcome takes longer.
inline constexpr Milliseconds kOutcomeDelayMax{24 * 3600 * 1000};

// A text that is none of those in simulated.h, or whose number makes no sense, asks for nothing.
SimulatedOutcome simulated_outcome(std::string_view description);

}  // namespace nutgate
