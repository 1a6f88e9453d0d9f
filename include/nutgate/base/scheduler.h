// Periodic and one-shot jobs on one thread of their own ("scheduler"). A job that can take long
// hands its work to somebody else's thread; here it would delay all others.
//
// Thread-safe. The destructor asks the running job to stop, waits for it and runs no other.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <stop_token>
#include <string>
#include <thread>

#include "nutgate/base/clock.h"
#include "nutgate/base/sync.h"

namespace nutgate {

class Scheduler {
public:
    using Job = std::function<void(std::stop_token)>;
    using JobId = std::uint64_t;

    Scheduler();
    ~Scheduler();
    Scheduler(const Scheduler&) = delete;
    Scheduler& operator=(const Scheduler&) = delete;

    // First run after one period, then a period after each run ended. `name` is for the log.
    JobId every(Milliseconds period, std::string name, Job job);
    JobId after(Milliseconds delay, std::string name, Job job);

    // Brings the next run of a periodic job forward to now: a hint that there is something to do.
    void hurry(JobId id);
    // Waits for the job that is running now, if one is: after cancelling all of its own, an owner
    // may go. Not from a job. Returns at once when the scheduler has ended.
    void wait_for_running();
    // After it returns the job does not run again; one that is running now may still be at it.
    void cancel(JobId id);
    // Runs no further job and waits for the one that is running. Not from a job. Again: nothing.
    void stop();

private:
    using Monotonic = std::chrono::steady_clock::time_point;
    struct Entry {
        Monotonic due;
        Milliseconds period;  // Zero: once.
        std::string name;
        Job job;
        bool hurried = false;
    };

    void run(std::stop_token stop);

    std::mutex mutex_;
    std::condition_variable_any changed_;
    std::map<JobId, Entry> entries_;  // Guarded by mutex_, as is all below.
    JobId next_id_ = 1;
    bool running_ = false;
    std::uint64_t runs_ = 0;  // How many have ended.
    std::jthread thread_;     // Last: it starts when all above is there, and ends first.
};

}  // namespace nutgate
