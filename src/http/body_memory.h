// The memory of all bodies that a server holds at a time, with one bound for all of them: each
// alone is bounded by its route, and thousands of connections are not.
//
// What came in one read with its head is not counted: it costs no more than the head's own bound.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "nutgate/base/metrics.h"

namespace nutgate::http {

// Thread-safe.
class BodyMemory {
public:
    BodyMemory(std::size_t bytes_max, metrics::Gauge& held) : bytes_max_{bytes_max}, held_{held} {}

    // False, and nothing is taken, beyond the bound.
    bool take(std::size_t bytes) {
        if (bytes > bytes_max_) return false;
        if (used_.fetch_add(bytes, std::memory_order_relaxed) > bytes_max_ - bytes) {
            used_.fetch_sub(bytes, std::memory_order_relaxed);
            return false;
        }
        held_.add(static_cast<std::int64_t>(bytes));
        return true;
    }
    void give_back(std::size_t bytes) {
        used_.fetch_sub(bytes, std::memory_order_relaxed);
        held_.add(-static_cast<std::int64_t>(bytes));
    }

private:
    const std::size_t bytes_max_;
    std::atomic<std::size_t> used_ = 0;
    metrics::Gauge& held_;
};

// One body's part of it, given back at the latest by the destructor.
class BodyShare {
public:
    explicit BodyShare(BodyMemory& memory) : memory_{memory} {}
    ~BodyShare() { clear(); }
    BodyShare(const BodyShare&) = delete;
    BodyShare& operator=(const BodyShare&) = delete;

    // Whether a body of that size may be held. Taken in steps, so that few reads ask.
    bool cover(std::size_t bytes) {
        if (bytes <= covered_) return true;
        const std::size_t more = (bytes - covered_ + kStep - 1) / kStep * kStep;
        if (!memory_.take(more)) return false;
        covered_ += more;
        return true;
    }
    void clear() {
        if (covered_ > 0) memory_.give_back(std::exchange(covered_, 0));
    }

private:
    static constexpr std::size_t kStep = 16 * 1024;

    BodyMemory& memory_;
    std::size_t covered_ = 0;
};

}  // namespace nutgate::http
