#include "receiving.h"

#include <optional>
#include <utility>

#include "nutgate/base/verify.h"

namespace nutgate::app {

using payment::Funds;

Receiving::Receiving(const Config& config, const Ground& ground)
    : funds_{config.lightning_receive.front() == "mint" ? Funds::InWallet : Funds::AtMethod},
      node_{ground.simulated} {
    const auto named = receives_at_nodes(config) ? ground.nodes.find_all(config.lightning_receive)
                                                 : ground.nodes.all();
    if (!named.empty()) {
        nodes_in_order_ = std::make_unique<NodesInOrder>(named, ground.database, ground.metrics);
        node_ = nodes_in_order_.get();
    }
    make_mint_way(config, ground);
    VERIFY(is_by_mint() || node_ != nullptr);
}

void Receiving::make_mint_way(const Config& config, const Ground& ground) {
    const auto& mint = ground.wallet.primary();
    std::optional<cashu::MintHints> hints;
    if (is_by_mint() && !mint.is_embedded()) {
        websockets_ =
            std::make_unique<http::WebSockets>(http::WebSockets::Options{}, ground.metrics);
        mint_events_ = cashu::make_mint_events(mint, *websockets_, {}, ground.metrics);
        if (mint_events_) hints.emplace(cashu::MintHints{*mint_events_, ground.clock});
    }
    const Network network = network_of(config.lightning_network);
    mint_ = cashu::make_mint_lightning(ground.wallet, mint, network, ground.database, hints);
    mint_offers_ = std::make_unique<cashu::MintOffers>(ground.wallet, mint, network,
                                                       ground.database, ground.clock);
}

std::unique_ptr<payment::PaymentMethod> Receiving::method() const {
    return payment::make_lightning_method(is_by_mint() ? *mint_ : *node_,
                                          {.funds = funds_,
                                           .mint_offers = mint_offers_.get(),
                                           .before = is_by_mint() ? node_ : mint_.get()});
}

void Receiving::on_change(std::function<void(const PaymentHash&)> hint) {
    if (is_by_mint()) mint_->on_change(std::move(hint));
}

void Receiving::check_nodes() {
    if (!is_by_mint() && nodes_in_order_) nodes_in_order_->check();
}

void Receiving::look_at_mint() {
    if (is_by_mint()) mint_offers_->look();
}

void Receiving::stop() {
    if (mint_events_) mint_events_->stop();
    if (websockets_) websockets_->stop();
}

}  // namespace nutgate::app
