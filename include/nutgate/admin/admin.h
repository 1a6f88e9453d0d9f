// The operator's face: /metrics, and /admin for commands that write. Its own listener, never the
// public one; every /admin route demands the token of the data dir, and the server checks Host.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "nutgate/base/metrics.h"
#include "nutgate/base/result.h"
#include "nutgate/base/secret.h"
#include "nutgate/cashier/cashier.h"
#include "nutgate/cashier/remittance.h"
#include "nutgate/cashu/mint.h"
#include "nutgate/cashu/mint_client.h"
#include "nutgate/cashu/wallet.h"
#include "nutgate/http/server.h"

namespace nutgate::admin {

struct Services {
    Cashier& cashier;
    Remitter& remitter;
    cashu::Wallet& wallet;
    cashu::Mint* mint;  // Null: none is embedded.
    // How to ask a mint about itself, trusted or not; null where this node does not go.
    std::function<std::unique_ptr<cashu::MintClient>(const cashu::MintUrl&)> way_to;
    metrics::Registry& metrics;
    const Secret& operator_token;
    // Brings gauges up to date before they are read; may be empty.
    std::function<void()> refresh_metrics;
    // Sells by what is in the file of prices now: how many models have one, or why not.
    std::function<Result<std::size_t, std::string>()> take_prices;
    bool read_only = false;  // The books do not add up: no money is taken out of them.
};

// What is referred to outlives the server.
void add_routes(http::Server& server, Services services);

}  // namespace nutgate::admin
