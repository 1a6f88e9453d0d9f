// The threads of blocking handlers ("control-N"), and a bounded queue before them.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace nutgate::http {

// Thread-safe. The destructor runs what is queued, then joins.
class ControlPool {
public:
    ControlPool(const std::string& name, std::size_t threads, std::size_t queue_max);
    ~ControlPool();
    ControlPool(const ControlPool&) = delete;
    ControlPool& operator=(const ControlPool&) = delete;

    // Whether submit() would refuse just now: to be asked before a body is read for nothing.
    bool is_full() const;
    // False if the queue is full; then `job` is not run.
    bool submit(std::function<void()> job);

private:
    void run();

    const std::size_t queue_max_;
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<std::function<void()>> queue_;  // Guarded by mutex_, as is all below.
    std::size_t free_threads_ = 0;
    bool is_closing_ = false;
    std::vector<std::jthread> threads_;
};

void name_this_thread(const std::string& name);

}  // namespace nutgate::http
