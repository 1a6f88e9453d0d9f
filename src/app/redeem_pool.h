// Tokens that come in place of a key, redeemed on threads of their own: it takes a call to a mint,
// which neither a data thread nor a Lightning watcher may wait for. Bounded: a token beyond the
// queue is answered 503 at once, untouched.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "nutgate/cashier/cashier.h"
#include "nutgate/proxy/gateway.h"

namespace nutgate::app {

class RedeemPool final : public proxy::TokenRedeemer {
public:
    static constexpr std::size_t kThreads = 4;
    static constexpr std::size_t kWaitingMax = 256;

    explicit RedeemPool(Cashier& cashier);
    // Answers what still waits with 503.
    ~RedeemPool() override;

    void redeem(std::string token,
                std::function<void(Result<KeyId, http::ApiError>)> done) override;

private:
    struct Job {
        std::string token;
        std::function<void(Result<KeyId, http::ApiError>)> done;
    };

    void run(std::stop_token stop);

    Cashier& cashier_;
    std::mutex mutex_;
    std::condition_variable_any changed_;
    std::deque<Job> waiting_;  // Guarded by mutex_.
    std::vector<std::jthread> threads_;
};

}  // namespace nutgate::app
