#include "nutgate/base/scheduler.h"

#include <utility>

namespace nutgate {

Scheduler::Scheduler() : thread_{[this](std::stop_token stop) { run(std::move(stop)); }} {}

Scheduler::~Scheduler() { stop(); }

void Scheduler::stop() {
    thread_.request_stop();
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
}

Scheduler::JobId Scheduler::every(Milliseconds period, std::string name, Job job) {
    const std::lock_guard lock{mutex_};
    const JobId id = next_id_++;
    entries_.emplace(id, Entry{.due = std::chrono::steady_clock::now() + period,
                               .period = period,
                               .name = std::move(name),
                               .job = std::move(job)});
    changed_.notify_all();
    return id;
}

Scheduler::JobId Scheduler::after(Milliseconds delay, std::string name, Job job) {
    const std::lock_guard lock{mutex_};
    const JobId id = next_id_++;
    entries_.emplace(id, Entry{.due = std::chrono::steady_clock::now() + delay,
                               .period = Milliseconds{0},
                               .name = std::move(name),
                               .job = std::move(job)});
    changed_.notify_all();
    return id;
}

void Scheduler::hurry(JobId id) {
    const std::lock_guard lock{mutex_};
    const auto found = entries_.find(id);
    if (found == entries_.end()) return;
    found->second.due = std::chrono::steady_clock::now();
    found->second.hurried = true;
    changed_.notify_all();
}

void Scheduler::wait_for_running() {
    std::unique_lock lock{mutex_};
    if (!running_) return;
    changed_.wait(lock, [this, seen = runs_] { return runs_ != seen; });
}

void Scheduler::cancel(JobId id) {
    const std::lock_guard lock{mutex_};
    entries_.erase(id);
}

void Scheduler::run(std::stop_token stop) {
    std::unique_lock lock{mutex_};
    while (!stop.stop_requested()) {
        auto next = entries_.end();
        for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
            if (next == entries_.end() || entry->second.due < next->second.due) next = entry;
        }
        if (next == entries_.end()) {
            changed_.wait(lock, stop, [&] { return !entries_.empty(); });
            continue;
        }
        const auto now = std::chrono::steady_clock::now();
        if (next->second.due > now) {
            // Woken by the clock, by a change of the list, or to stop; each begins anew above.
            const auto due = next->second.due;
            changed_.wait_until(lock, stop, due, [&] {
                for (const auto& [id, entry] : entries_) {
                    if (entry.due < due) return true;
                }
                return false;
            });
            continue;
        }
        const JobId id = next->first;
        next->second.hurried = false;
        const Job job = next->second.job;
        running_ = true;
        lock.unlock();
        job(stop);
        lock.lock();
        running_ = false;
        ++runs_;
        changed_.notify_all();
        const auto ran = entries_.find(id);
        if (ran == entries_.end()) continue;
        if (ran->second.period == Milliseconds{0}) {
            entries_.erase(ran);
        } else if (!ran->second.hurried) {
            ran->second.due = std::chrono::steady_clock::now() + ran->second.period;
        }
    }
}

}  // namespace nutgate
