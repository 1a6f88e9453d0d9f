// Hints on their way to whoever asks on them: on a thread of their own, since that of the sockets,
// on which they come, may not wait for the answer that it would bring.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>

#include "nutgate/base/id.h"

namespace nutgate::lightning {

inline constexpr std::size_t kHintsMax = 1'000;  // More are dropped: what is asked is the truth.

// Thread-safe.
class HintQueue {
public:
    explicit HintQueue(std::string thread_name);  // At most 15 characters.
    ~HintQueue();
    HintQueue(const HintQueue&) = delete;
    HintQueue& operator=(const HintQueue&) = delete;

    void set(std::function<void(const PaymentHash&)> hint);
    // One that waits already says all there is to say.
    void push(const PaymentHash& hash);
    // Waits for a hint that is being acted on. None comes afterwards.
    void stop();

private:
    void run(const std::stop_token& stop);

    std::mutex mutex_;
    std::condition_variable_any changed_;
    std::function<void(const PaymentHash&)> hint_;  // Guarded by mutex_, as is waiting_.
    std::deque<PaymentHash> waiting_;
    std::jthread thread_;
};

}  // namespace nutgate::lightning
