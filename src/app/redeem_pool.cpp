#include "redeem_pool.h"

#include <utility>

#include "nutgate/api/api.h"

namespace nutgate::app {
namespace {

http::ApiError busy() {
    return {.status = 503,
            .type = "api_error",
            .code = "overloaded",
            .message = "Too many tokens are being redeemed. This one was not touched: try again.",
            .headers = {{"Retry-After", "2"}}};
}

}  // namespace

RedeemPool::RedeemPool(Cashier& cashier) : cashier_{cashier} {
    for (std::size_t i = 0; i < kThreads; ++i) {
        threads_.emplace_back([this](std::stop_token stop) { run(std::move(stop)); });
    }
}

RedeemPool::~RedeemPool() {
    for (std::jthread& thread : threads_) thread.request_stop();
    threads_.clear();
    for (Job& job : waiting_) job.done(fail(busy()));
}

void RedeemPool::redeem(std::string token,
                        std::function<void(Result<KeyId, http::ApiError>)> done) {
    {
        const std::lock_guard lock{mutex_};
        if (waiting_.size() < kWaitingMax) {
            waiting_.push_back({std::move(token), std::move(done)});
            changed_.notify_one();
            return;
        }
    }
    done(fail(busy()));
}

void RedeemPool::run(std::stop_token stop) {
    while (true) {
        Job job;
        {
            std::unique_lock lock{mutex_};
            if (!changed_.wait(lock, stop, [&] { return !waiting_.empty(); })) return;
            if (stop.stop_requested()) return;
            job = std::move(waiting_.front());
            waiting_.pop_front();
        }
        const auto deposit = cashier_.deposit_token(job.token, Bearer{});
        if (deposit) {
            job.done(deposit->key);
        } else {
            job.done(fail(api::to_api_error(deposit.error())));
        }
    }
}

}  // namespace nutgate::app
