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

void RedeemPool::redeem(std::string token, std::string client_ip, Redeemed done) {
    const bool taken = pool_.submit(
        [this, token = std::move(token), ip = std::move(client_ip), done](WorkPool::Turn turn) {
            if (turn == WorkPool::Turn::Closing) return done(fail(busy()));
            done(redeem_now(token, ip));
        });
    if (!taken) done(fail(busy()));
}

void RedeemPool::give_change(KeyId key, Changed done) {
    const bool taken = pool_.submit([this, key, done](WorkPool::Turn turn) {
        if (turn == WorkPool::Turn::Closing) return done(fail(busy()));
        done(change_now(key));
    });
    if (!taken) done(fail(busy()));
}

Result<std::string, http::ApiError> RedeemPool::change_now(const KeyId& key) {
    using Code = CashierError::Code;
    const auto refund = cashier_.refund(key);
    if (refund) return refund->token;
    const Code why = refund.error().code;
    if (why == Code::NoBalance || why == Code::BalanceTooSmall) return std::string{};
    return fail(api::to_api_error(refund.error()));
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
