#include "nutgate/base/work_pool.h"

#include <chrono>
#include <pthread.h>
#include <utility>

#include "nutgate/base/memory.h"

namespace nutgate {
namespace {

constexpr std::chrono::milliseconds kRestsAfter{100};

}  // namespace

void name_this_thread(const std::string& name) {
    constexpr std::size_t kNameMax = 15;  // The kernel's.
    ::pthread_setname_np(::pthread_self(), name.substr(0, kNameMax).c_str());
}

WorkPool::WorkPool(const std::string& name, std::size_t threads, std::size_t queue_max)
    : queue_max_{queue_max} {
    threads_.reserve(threads);
    for (std::size_t i = 0; i < threads; ++i) {
        threads_.emplace_back([this, label = name + "-" + std::to_string(i)] {
            name_this_thread(label);
            run();
        });
    }
}

WorkPool::~WorkPool() {
    {
        const std::lock_guard lock{mutex_};
        is_closing_ = true;
    }
    changed_.notify_all();
    threads_.clear();
}

bool WorkPool::is_full() const {
    const std::lock_guard lock{mutex_};
    return queue_.size() >= queue_max_ + free_threads_;
}

bool WorkPool::submit(Job job) {
    {
        const std::lock_guard lock{mutex_};
        // What a free thread is about to take does not wait, even if the queue may hold nothing.
        if (queue_.size() >= queue_max_ + free_threads_) return false;
        queue_.push_back(std::move(job));
    }
    changed_.notify_one();
    return true;
}

void WorkPool::wait_for_job(Lock& lock) {
    const auto is_wanted = [this] { return is_closing_ || !queue_.empty(); };
    if (changed_.wait_for(lock, kRestsAfter, is_wanted)) return;
    lock.unlock();
    give_back_free_memory();
    lock.lock();
    changed_.wait(lock, is_wanted);
}

void WorkPool::run() {
    Lock lock{mutex_};
    for (;;) {
        ++free_threads_;
        wait_for_job(lock);
        --free_threads_;
        if (queue_.empty()) return;
        auto job = std::move(queue_.front());
        queue_.pop_front();
        const Turn turn = is_closing_ ? Turn::Closing : Turn::Run;
        lock.unlock();
        job(turn);
        job = nullptr;
        lock.lock();
    }
}

}  // namespace nutgate
