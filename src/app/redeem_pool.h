// Tokens that come in place of a key, redeemed on threads of their own: it takes a call to a mint,
// which neither a data thread nor a Lightning watcher may wait for. Bounded: a token beyond the
// queue is answered 503 at once, untouched.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "change_desk.h"
#include "nutgate/base/work_pool.h"
#include "nutgate/cashier/cashier.h"
#include "nutgate/proxy/gateway.h"

namespace nutgate::app {

class RedeemPool final : public proxy::TokenRedeemer {
public:
    static constexpr std::size_t kThreads = 4;
    static constexpr std::size_t kWaitingMax = 256;

    // Says of a client's address why it may hand in no more tokens now; nothing: it may. A token
    // that is a key already asks nobody, unless it is to pay for one request: those are new.
    using Admit = std::function<Result<void, http::ApiError>(std::string_view client_ip)>;

    // Its end answers what still waits with 503.
    RedeemPool(Cashier& cashier, Scheduler& scheduler, Admit admit);

    void redeem(std::string token, std::string client_ip, proxy::TokenUse use,
                Redeemed done) override;
    void give_change(KeyId key, Changed done) override { change_.give(key, std::move(done)); }

private:
    Result<KeyId, http::ApiError> redeem_now(const std::string& token, std::string_view client_ip,
                                             proxy::TokenUse use);

    Cashier& cashier_;
    const Admit admit_;
    ChangeDesk change_;
    WorkPool pool_;
};

}  // namespace nutgate::app
