// Who makes the node's invoices and offers by its configuration: the primary mint, a node of ours,
// or the simulated one. And who may have made some by an earlier configuration, which are paid all
// the same: the mint, where a node receives now, and any node that is still named, where the mint
// does. (One node's successor is asked for its own only: who is replaced by another stays in the
// list, behind it.)
#pragma once

#include <functional>
#include <memory>

#include "config.h"
#include "lightning_nodes.h"
#include "nutgate/base/clock.h"
#include "nutgate/base/metrics.h"
#include "nutgate/cashu/mint_events.h"
#include "nutgate/cashu/mint_offers.h"
#include "nutgate/cashu/wallet.h"
#include "nutgate/http/websocket.h"
#include "nutgate/payment/method.h"
#include "nutgate/store/store.h"

namespace nutgate::app {

class Receiving {
public:
    // Outlives it.
    struct Ground {
        store::Database& database;
        metrics::Registry& metrics;
        const Clock& clock;
        cashu::Wallet& wallet;
        const LightningNodes& nodes;
        LightningBackend* simulated;  // Null: this is no node of play money.
    };
    Receiving(const Config& config, const Ground& ground);

    // Refers to this.
    std::unique_ptr<payment::PaymentMethod> method() const;
    // Called with each payment that the mint says has changed, from another thread.
    void on_change(std::function<void(const PaymentHash&)> hint);
    // For timers: whether the nodes are there, and what the mint makes.
    void check_nodes();
    void look_at_mint();
    // No hint comes afterwards.
    void stop();

private:
    bool is_by_mint() const { return funds_ == payment::Funds::InWallet; }
    void make_mint_way(const Config& config, const Ground& ground);

    const payment::Funds funds_;
    std::unique_ptr<NodesInOrder> nodes_in_order_;
    LightningBackend* node_ = nullptr;  // Null: none is named.
    std::unique_ptr<http::WebSockets> websockets_;
    std::unique_ptr<cashu::MintEvents> mint_events_;
    std::unique_ptr<LightningBackend> mint_;
    std::unique_ptr<cashu::MintOffers> mint_offers_;
};

}  // namespace nutgate::app
