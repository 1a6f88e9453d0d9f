// Threads for work that blocks, and a bounded queue before them: what must not run on a data
// thread, a watcher's or the scheduler's runs here.
//
// A thread that has had nothing to do for a moment gives back what memory its jobs have left.
//
// Thread-safe. The destructor calls what still waits, as closing, and joins.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace nutgate {

class WorkPool {
public:
    // Each job is called once, on one of the threads: in its turn, or as the pool closes, when it
    // should only say that nothing was done (or do it, if whoever waits for it is still there).
    enum class Turn { Run, Closing };
    using Job = std::function<void(Turn)>;

    // The threads are named `name`-0 and so on, as far as the kernel's 15 bytes go.
    WorkPool(const std::string& name, std::size_t threads, std::size_t queue_max);
    ~WorkPool();
    WorkPool(const WorkPool&) = delete;
    WorkPool& operator=(const WorkPool&) = delete;

    // Whether submit() would refuse just now: to be asked before something is read for nothing.
    bool is_full() const;
    // False if the queue is full; then `job` is not called.
    [[nodiscard]] bool submit(Job job);

private:
    using Lock = std::unique_lock<std::mutex>;
    void run();
    void wait_for_job(Lock& lock);

    const std::size_t queue_max_;
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Job> queue_;  // Guarded by mutex_, as is all below.
    std::size_t free_threads_ = 0;
    bool is_closing_ = false;
    std::vector<std::jthread> threads_;
};

void name_this_thread(const std::string& name);

}  // namespace nutgate
