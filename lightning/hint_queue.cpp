#include "hint_queue.h"

#include <algorithm>
#include <pthread.h>
#include <utility>

namespace nutgate::lightning {

HintQueue::HintQueue(std::string thread_name)
    : thread_{[this, name = std::move(thread_name)](const std::stop_token& stop) {
          ::pthread_setname_np(::pthread_self(), name.c_str());
          run(stop);
      }} {}

HintQueue::~HintQueue() { stop(); }

void HintQueue::set(std::function<void(const PaymentHash&)> hint) {
    const std::lock_guard lock{mutex_};
    hint_ = std::move(hint);
}

void HintQueue::push(const PaymentHash& hash) {
    {
        const std::lock_guard lock{mutex_};
        if (waiting_.size() >= kHintsMax || std::ranges::find(waiting_, hash) != waiting_.end()) {
            return;
        }
        waiting_.push_back(hash);
    }
    changed_.notify_one();
}

void HintQueue::stop() {
    thread_.request_stop();
    if (thread_.joinable()) thread_.join();
}

void HintQueue::run(const std::stop_token& stop) {
    std::unique_lock lock{mutex_};
    while (changed_.wait(lock, stop, [this] { return !waiting_.empty(); }) &&
           !stop.stop_requested()) {
        const PaymentHash hash = waiting_.front();
        waiting_.pop_front();
        const auto hint = hint_;
        lock.unlock();
        if (hint) hint(hash);
        lock.lock();
    }
}

}  // namespace nutgate::lightning
