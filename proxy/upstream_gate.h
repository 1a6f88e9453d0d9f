// Whether an upstream is worth asking now.
//
// It is not while it has as many calls as it may have, while it rests because it failed several
// times in a row, or until the moment that it asked for itself (Retry-After). A rest doubles each
// time that the first call after it, which goes alone, fails again: one request in a minute finds
// out that a dead upstream is dead, and all others are served elsewhere or told to come back.
//
// Thread-safe. It outlives its calls.
#pragma once

#include <atomic>
#include <cstddef>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "nutgate/base/clock.h"
#include "nutgate/base/metrics.h"
#include "nutgate/base/result.h"
#include "nutgate/proxy/upstream.h"

namespace nutgate::proxy {

class UpstreamGate {
public:
    // Why not now, and when it may be worth another try.
    struct Away {
        enum class Why { Busy, Resting, AskedToWait };
        Why why;
        Milliseconds wait;
    };

    // One call, from enter() until it is dropped. Dropped without a word it says nothing about its
    // upstream: its client may have left.
    class Call {
    public:
        Call(Call&& other) noexcept
            : gate_{std::exchange(other.gate_, nullptr)}, is_probe_{other.is_probe_} {}
        Call& operator=(Call&&) = delete;
        ~Call();

        void answered();  // It works, whatever it said to this request.
        void failed();    // It was not reached, broke off, or could not work for anybody.
        // 429, for everybody until then; at most rest_time_max is believed.
        void asked_to_wait(Milliseconds wait);

    private:
        friend class UpstreamGate;
        Call(UpstreamGate& gate, bool is_probe) : gate_{&gate}, is_probe_{is_probe} {}

        UpstreamGate* gate_;
        bool is_probe_;
    };

    UpstreamGate(const UpstreamTraits& traits, const Clock& clock, metrics::Registry& metrics);

    Result<Call, Away> enter();

private:
    struct Interval {
        Time begin;
        Time end;
        bool has(Time now) const { return begin <= now && now < end; }
    };
    struct Counts {
        metrics::Counter& answered;
        metrics::Counter& failed;
        metrics::Counter& rate_limited;
        metrics::Counter& skipped;
        metrics::Gauge& open;
        metrics::Gauge& resting;
    };
    static Counts counts_of(const std::string& upstream, metrics::Registry& metrics);
    Result<bool, Away> enter_with_care();
    bool take_place();
    void give_place();
    void leave(bool is_probe);
    void rest(Time now);

    const std::size_t calls_max_;
    const int failures_max_;
    const Milliseconds rest_time_min_;
    const Milliseconds rest_time_max_;
    const Clock& clock_;
    const Counts counts_;

    // All that a request asks of an upstream that works: threads meet in no lock.
    std::atomic<std::size_t> calls_ = 0;
    std::atomic<bool> is_calm_ = true;  // Nothing of what the mutex guards speaks against it.

    std::mutex mutex_;
    int failures_ = 0;  // Since the last answer.
    bool is_tripped_ = false;
    bool is_probed_ = false;
    Milliseconds rest_time_;
    // Each ends with its time, or by a clock that is set back: what begins in the future is not
    // believed.
    std::optional<Interval> rest_;
    std::optional<Interval> asked_wait_;
};

}  // namespace nutgate::proxy
