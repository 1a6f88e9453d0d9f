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

RedeemPool::RedeemPool(Cashier& cashier, Admit admit)
    : cashier_{cashier}, admit_{std::move(admit)}, pool_{"redeem", kThreads, kWaitingMax} {}

void RedeemPool::redeem(std::string token, std::string client_ip,
                        std::function<void(Result<KeyId, http::ApiError>)> done) {
    const bool taken = pool_.submit(
        [this, token = std::move(token), ip = std::move(client_ip), done](WorkPool::Turn turn) {
            if (turn == WorkPool::Turn::Closing) return done(fail(busy()));
            done(redeem_now(token, ip));
        });
    if (!taken) done(fail(busy()));
}

Result<KeyId, http::ApiError> RedeemPool::redeem_now(const std::string& token,
                                                     std::string_view client_ip) {
    if (const auto known = cashier_.key_of_token(token)) return *known;
    TRY_VOID(admit_(client_ip));
    const auto deposit = cashier_.deposit_token(token, Bearer{});
    if (!deposit) return fail(api::to_api_error(deposit.error()));
    return deposit->key;
}

}  // namespace nutgate::app
