// Tokens that come in place of a key, redeemed on threads of their own, and the change of those
// that paid for one request: it takes a call to a mint, which neither a data thread nor a Lightning
// watcher may wait for. Bounded: a token beyond the queue is answered 503 at once, untouched, and
// change stays on its balance.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "nutgate/base/work_pool.h"
#include "nutgate/cashier/cashier.h"
#include "nutgate/proxy/gateway.h"

namespace nutgate::app {

class RedeemPool final : public proxy::TokenRedeemer {
public:
    static constexpr std::size_t kThreads = 4;
    static constexpr std::size_t kWaitingMax = 256;

    // Says of a client's address why it may hand in no more tokens now; nothing: it may. A token
    // that is known already is no other key's, and asks nobody.
    using Admit = std::function<Result<void, http::ApiError>(std::string_view client_ip)>;

    // Its end answers what still waits with 503.
    RedeemPool(Cashier& cashier, Admit admit);

    void redeem(std::string token, std::string client_ip, Redeemed done) override;
    void give_change(KeyId key, Changed done) override;

private:
    Result<KeyId, http::ApiError> redeem_now(const std::string& token, std::string_view client_ip);
    Result<std::string, http::ApiError> change_now(const KeyId& key);

    Cashier& cashier_;
    const Admit admit_;
    WorkPool pool_;
};

}  // namespace nutgate::app
