#include "upstream_gate.h"

#include <algorithm>

#include "nutgate/base/log.h"
#include "nutgate/base/verify.h"

namespace nutgate::proxy {
namespace {

constexpr Milliseconds kProbeWait{1'000};  // While somebody else finds out.
constexpr Milliseconds kBusyWait{1'000};

}  // namespace

UpstreamGate::Counts UpstreamGate::counts_of(const std::string& upstream,
                                             metrics::Registry& metrics) {
    const auto calls = [&](const char* outcome) -> metrics::Counter& {
        return metrics.counter("nutgate_upstream_calls_total", "Calls by what came of them.",
                               {{"upstream", upstream}, {"outcome", outcome}});
    };
    return {
        .answered = calls("answered"),
        .failed = calls("failed"),
        .rate_limited = calls("rate_limited"),
        .skipped = metrics.counter("nutgate_upstream_skipped_total",
                                   "Requests that passed it by: it was busy, resting, or had asked "
                                   "to be left alone.",
                                   {{"upstream", upstream}}),
        .open = metrics.gauge("nutgate_upstream_calls_open", "Calls under way.",
                              {{"upstream", upstream}}),
        .resting =
            metrics.gauge("nutgate_upstream_resting", "1 from its failures until it answers again.",
                          {{"upstream", upstream}})};
}

UpstreamGate::UpstreamGate(const UpstreamTraits& traits, const Clock& clock,
                           metrics::Registry& metrics)
    : calls_max_{traits.calls_max},
      failures_max_{traits.failures_max},
      rest_time_min_{traits.rest_time_min},
      rest_time_max_{traits.rest_time_max},
      clock_{clock},
      counts_{counts_of(traits.name, metrics)},
      rest_time_{traits.rest_time_min} {
    VERIFY(calls_max_ > 0 && failures_max_ > 0 && rest_time_min_ > Milliseconds{});
}

bool UpstreamGate::take_place() {
    std::size_t calls = calls_.load(std::memory_order_relaxed);
    do {
        if (calls >= calls_max_) return false;
    } while (!calls_.compare_exchange_weak(calls, calls + 1, std::memory_order_relaxed));
    counts_.open.add(1);
    return true;
}

void UpstreamGate::give_place() {
    VERIFY(calls_.fetch_sub(1, std::memory_order_relaxed) > 0);
    counts_.open.add(-1);
}

// Whether it is the probe.
Result<bool, UpstreamGate::Away> UpstreamGate::enter_with_care() {
    const Time now = clock_.now();
    const std::lock_guard lock{mutex_};
    if (asked_wait_) {
        if (asked_wait_->has(now))
            return fail(Away{Away::Why::AskedToWait, asked_wait_->end - now});
        asked_wait_.reset();
        is_calm_ = !is_tripped_ && failures_ == 0;
    }
    if (!is_tripped_) return false;
    if (rest_ && rest_->has(now)) return fail(Away{Away::Why::Resting, rest_->end - now});
    if (is_probed_) return fail(Away{Away::Why::Resting, kProbeWait});
    is_probed_ = true;
    return true;
}

Result<UpstreamGate::Call, UpstreamGate::Away> UpstreamGate::enter() {
    if (!take_place()) {
        counts_.skipped.add();
        return fail(Away{Away::Why::Busy, kBusyWait});
    }
    if (is_calm_) return Call{*this, false};
    const auto is_probe = enter_with_care();
    if (is_probe) return Call{*this, *is_probe};
    give_place();
    counts_.skipped.add();
    return fail(is_probe.error());
}

void UpstreamGate::leave(bool is_probe) {
    give_place();
    if (!is_probe) return;
    const std::lock_guard lock{mutex_};
    is_probed_ = false;
}

void UpstreamGate::rest(Time now) {
    if (is_tripped_) rest_time_ = std::min(2 * rest_time_, rest_time_max_);
    is_tripped_ = true;
    rest_ = Interval{now, now + rest_time_};
    counts_.resting.set(1);
}

UpstreamGate::Call::~Call() {
    if (gate_ != nullptr) gate_->leave(is_probe_);
}

void UpstreamGate::Call::answered() {
    gate_->counts_.answered.add();
    if (gate_->is_calm_) return;
    const std::lock_guard lock{gate_->mutex_};
    gate_->failures_ = 0;
    gate_->is_calm_ = !gate_->asked_wait_;
    if (!gate_->is_tripped_) return;
    gate_->is_tripped_ = false;
    gate_->rest_time_ = gate_->rest_time_min_;
    gate_->rest_.reset();
    gate_->counts_.resting.set(0);
}

void UpstreamGate::Call::failed() {
    gate_->counts_.failed.add();
    const Time now = gate_->clock_.now();
    const std::lock_guard lock{gate_->mutex_};
    ++gate_->failures_;
    gate_->is_calm_ = false;
    // Of those that were under way when the rest began the failures say nothing new.
    const bool begins = gate_->is_tripped_ ? is_probe_ : gate_->failures_ >= gate_->failures_max_;
    if (begins) gate_->rest(now);
}

void UpstreamGate::Call::asked_to_wait(Milliseconds wait) {
    gate_->counts_.rate_limited.add();
    const Time now = gate_->clock_.now();
    const Time end = now + std::min(wait, gate_->rest_time_max_);
    const std::lock_guard lock{gate_->mutex_};
    gate_->is_calm_ = false;
    auto& asked = gate_->asked_wait_;
    if (!asked || !asked->has(now) || asked->end < end) asked = Interval{now, end};
}

}  // namespace nutgate::proxy
