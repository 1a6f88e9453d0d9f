// The composition root: everything that the node is made of, on one object, bottom layer first, so
// that C++ destroys it in the reverse order. Nothing here decides anything; it connects.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config.h"
#include "data_dir.h"
#include "lightning_nodes.h"
#include "mint_ways.h"
#include "nutgate/admin/admin.h"
#include "nutgate/api/api.h"
#include "nutgate/base/metrics.h"
#include "nutgate/base/scheduler.h"
#include "nutgate/base/sync.h"
#include "nutgate/cashier/books.h"
#include "nutgate/cashier/cashier.h"
#include "nutgate/cashier/remittance.h"
#include "nutgate/cashu/mint.h"
#include "nutgate/cashu/wallet.h"
#include "nutgate/http/client.h"
#include "nutgate/http/server.h"
#include "nutgate/keyring/keyring.h"
#include "nutgate/ledger/ledger.h"
#include "nutgate/lightning/lnurl.h"
#include "nutgate/lightning/nodes.h"
#include "nutgate/lightning/simulated.h"
#include "nutgate/payment/methods.h"
#include "nutgate/proxy/gateway.h"
#include "nutgate/proxy/models.h"
#include "nutgate/proxy/till.h"
#include "nutgate/proxy/upstream.h"
#include "nutgate/rates/board.h"
#include "nutgate/rates/feed.h"
#include "payment_terms.h"
#include "receiving.h"
#include "redeem_pool.h"
#include "sold_models.h"

namespace nutgate::app {

struct StartError {
    StartError(std::string what) : detail{std::move(what)} {}
    StartError(store::StoreFailure failure) : detail{std::move(failure.detail)} {}
    StartError(DataDirError error) : detail{std::move(error.detail)}, misused{error.misused} {}
    std::string detail;
    bool misused = false;
};

class Node {
public:
    // Opens, migrates, recovers, audits, listens. `folder` stays locked as long as this lives.
    static Result<std::unique_ptr<Node>, StartError> start(const Config& config, DataDir folder,
                                                           const Environment& environment);
    ~Node();
    Node(const Node&) = delete;
    Node& operator=(const Node&) = delete;

    std::uint16_t public_port() const { return public_->port(); }
    std::uint16_t operator_port() const { return operator_->port(); }
    // The books did not add up at start: it shows itself and serves nothing.
    bool read_only() const { return read_only_; }

    // Sells by what is in the file of prices by now: all of it at once, while what is held for runs
    // on at its own price. How many models have a price; or each mistake, and then nothing has
    // changed. Both are logged. Thread-safe.
    Result<std::size_t, std::vector<Mistake>> take_prices();

    // Stops accepting, lets running requests end, then everything else.
    void drain(Milliseconds deadline);

private:
    Node(Config config, DataDir folder);

    Result<void, StartError> open(const Environment& environment);
    Result<void, StartError> open_store();
    Result<void, StartError> make_money(const Environment& environment);
    Result<void, StartError> make_lightning(const Environment& environment);
    void make_mint();
    Result<void, StartError> make_wallet();
    void make_cashier();
    void make_remitter();
    std::vector<LightningBackend*> payers() const;
    std::unique_ptr<cashu::MintClient> way_to(const cashu::MintUrl& mint);
    std::unique_ptr<cashu::MintClient> way_of_operator(const cashu::MintUrl& mint);
    Result<void, StartError> make_models(const Environment& environment);
    Result<void, StartError> begin_selling(const std::vector<proxy::Model>& models);
    Result<std::vector<proxy::Model>, StartError> sold(const Config& config) const;
    Result<std::size_t, std::vector<Mistake>> read_prices();
    void make_rates();
    Result<void, StartError> make_gateway();
    void prune_usage(const std::stop_token& stop);
    Result<void, StartError> recover();
    void make_public_face();
    void make_operator_face();
    Result<void, StartError> listen();
    void watch();
    void watch_payouts();
    void seal(const std::stop_token& stop);

    const Config config_;
    DataDir folder_;
    SystemClock clock_;
    crypto::SystemRandom random_;
    metrics::Registry metrics_;
    Secret seed_;
    Secret operator_token_;
    std::string public_url_;
    bool read_only_ = false;

    std::unique_ptr<store::Database> database_;
    // A thread each: what asks nobody is not kept waiting by a mint that does not answer, nor by an
    // audit of millions of accounts.
    std::unique_ptr<Scheduler> scheduler_;
    std::unique_ptr<Scheduler> watcher_;
    std::unique_ptr<Scheduler> auditor_;
    std::unique_ptr<Scheduler> mover_;        // Of our own money: pays, which may take its time.
    std::unique_ptr<Scheduler> rate_keeper_;  // Null: nobody is asked for a rate.
    std::unique_ptr<http::Client> client_;
    std::optional<Ledger> ledger_;
    std::optional<Keyring> keyring_;
    std::unique_ptr<LightningBackend> simulated_;
    LightningNodes nodes_;
    LightningBackend* mint_backend_ = nullptr;  // Null: there is no mint.
    std::unique_ptr<proxy::Till> till_;
    std::optional<CashierBooks> books_;
    std::unique_ptr<cashu::Mint> mint_;
    std::unique_ptr<MintWays> mint_ways_;
    std::vector<std::unique_ptr<cashu::MintClient>> mint_clients_;
    std::unique_ptr<cashu::Wallet> wallet_;
    std::optional<PaymentTerms> payment_terms_;
    std::optional<Receiving> receiving_;
    payment::PaymentMethods methods_;
    std::unique_ptr<Cashier> cashier_;
    std::unique_ptr<LnurlClient> lnurl_;
    std::unique_ptr<Remitter> remitter_;
    std::vector<std::unique_ptr<proxy::Upstream>> upstreams_;  // The demonstration first.
    std::vector<NamedUpstream> named_upstreams_;
    Mutex prices_mutex_;  // Of those who read them anew: one after the other.
    std::optional<rates::RateBoard> btc_usd_;
    std::unique_ptr<rates::RateFeed> rate_feed_;
    std::optional<proxy::Models> models_;
    std::unique_ptr<RedeemPool> redeemers_;
    std::unique_ptr<proxy::Gateway> gateway_;
    std::unique_ptr<api::Api> api_;
    std::unique_ptr<http::Server> public_;
    std::unique_ptr<http::Server> operator_;
};

}  // namespace nutgate::app
