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

RedeemPool::RedeemPool(Cashier& cashier)
    : cashier_{cashier}, pool_{"redeem", kThreads, kWaitingMax} {}

void RedeemPool::redeem(std::string token,
                        std::function<void(Result<KeyId, http::ApiError>)> done) {
    const bool taken = pool_.submit([this, token = std::move(token), done](WorkPool::Turn turn) {
        if (turn == WorkPool::Turn::Closing) return done(fail(busy()));
        const auto deposit = cashier_.deposit_token(token, Bearer{});
        if (deposit) {
            done(deposit->key);
        } else {
            done(fail(api::to_api_error(deposit.error())));
        }
    });
    if (!taken) done(fail(busy()));
}

}  // namespace nutgate::app
