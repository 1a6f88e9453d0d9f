// Tokens that come in place of a key, redeemed on threads of their own: it takes a call to a mint,
// which neither a data thread nor a Lightning watcher may wait for. Bounded: a token beyond the
// queue is answered 503 at once, untouched.
#pragma once

#include <cstddef>
#include <functional>
#include <string>

#include "nutgate/base/work_pool.h"
#include "nutgate/cashier/cashier.h"
#include "nutgate/proxy/gateway.h"

namespace nutgate::app {

class RedeemPool final : public proxy::TokenRedeemer {
public:
    static constexpr std::size_t kThreads = 4;
    static constexpr std::size_t kWaitingMax = 256;

    // Its end answers what still waits with 503.
    explicit RedeemPool(Cashier& cashier);

    void redeem(std::string token,
                std::function<void(Result<KeyId, http::ApiError>)> done) override;

private:
    Cashier& cashier_;
    WorkPool pool_;
};

}  // namespace nutgate::app
