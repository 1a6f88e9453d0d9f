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

Result<std::string, http::ApiError> change_of(Cashier& cashier, const KeyId& key) {
    using Code = CashierError::Code;
    const auto refund = cashier.refund(key);
    if (refund) return refund->token;
    const Code why = refund.error().code;
    if (why == Code::NoBalance || why == Code::BalanceTooSmall) return std::string{};
    return fail(api::to_api_error(refund.error()));
}

}  // namespace

RedeemPool::RedeemPool(Cashier& cashier, Scheduler& scheduler, Admit admit)
    : cashier_{cashier},
      admit_{std::move(admit)},
      change_{[&cashier](const KeyId& key) { return change_of(cashier, key); }, scheduler},
      pool_{"redeem", kThreads, kWaitingMax} {}

void RedeemPool::redeem(std::string token, std::string client_ip, proxy::TokenUse use,
                        Redeemed done) {
    const bool taken = pool_.submit([this, token = std::move(token), ip = std::move(client_ip), use,
                                     done](WorkPool::Turn turn) {
        if (turn == WorkPool::Turn::Closing) return done(fail(busy()));
        done(redeem_now(token, ip, use));
    });
    if (!taken) done(fail(busy()));
}

Result<KeyId, http::ApiError> RedeemPool::redeem_now(const std::string& token,
                                                     std::string_view client_ip,
                                                     proxy::TokenUse use) {
    const auto known = cashier_.key_of_token(token);
    if (known && use == proxy::TokenUse::AsKey) return *known;
    // What is under way is finished, whoever asks for it.
    const bool is_begun = !known && known.error().code == CashierError::Code::InProgress;
    if (!is_begun) TRY_VOID(admit_(client_ip));
    if (known) return *known;
    const auto deposit = cashier_.deposit_token(token, Bearer{});
    if (!deposit) return fail(api::to_api_error(deposit.error()));
    return deposit->key;
}

}  // namespace nutgate::app
