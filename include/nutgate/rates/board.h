// Where the rate hangs that sales go by, for everybody to see. One thread writes, any reads: two
// loads, no lock.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "nutgate/base/clock.h"
#include "nutgate/rates/btc_usd.h"

namespace nutgate::rates {

// Thread-safe; publish() from one thread at a time.
class RateBoard {
public:
    RateBoard() = default;
    // A rate that its operator has fixed: it never grows old.
    explicit RateBoard(BtcUsd fixed) : rate_{fixed.raw()}, until_{INT64_MAX} {}
    RateBoard(const RateBoard&) = delete;
    RateBoard& operator=(const RateBoard&) = delete;

    // Empty if none is known, or if the last one is too old to sell by.
    std::optional<BtcUsd> at(Time now) const {
        if (to_unix_milliseconds(now) >= until_.load(std::memory_order_acquire)) {
            return std::nullopt;
        }
        return BtcUsd::from_raw(rate_.load(std::memory_order_relaxed));
    }

    // Good until then. A reader that sees the new time sees the new rate.
    void publish(BtcUsd rate, Time until) {
        rate_.store(rate.raw(), std::memory_order_relaxed);
        until_.store(to_unix_milliseconds(until), std::memory_order_release);
    }

private:
    std::atomic<std::int64_t> rate_ = 0;
    std::atomic<std::int64_t> until_ = INT64_MIN;  // Unix milliseconds.
};

}  // namespace nutgate::rates
