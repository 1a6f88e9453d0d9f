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
#include "mint_ways.h"
#include "nutgate/admin/admin.h"
#include "nutgate/api/api.h"
#include "nutgate/base/metrics.h"
#include "nutgate/base/scheduler.h"
#include "nutgate/cashier/books.h"
#include "nutgate/cashier/cashier.h"
#include "nutgate/cashu/mint.h"
#include "nutgate/cashu/mint_events.h"
#include "nutgate/cashu/wallet.h"
#include "nutgate/http/client.h"
#include "nutgate/http/server.h"
#include "nutgate/http/websocket.h"
#include "nutgate/keyring/keyring.h"
#include "nutgate/ledger/ledger.h"
#include "nutgate/lightning/simulated.h"
#include "nutgate/payment/methods.h"
#include "nutgate/proxy/gateway.h"
#include "nutgate/proxy/models.h"
#include "nutgate/proxy/till.h"
#include "nutgate/proxy/upstream.h"
#include "redeem_pool.h"

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

    // Stops accepting, lets running requests end, then everything else.
    void drain(Milliseconds deadline);

private:
    Node(Config config, DataDir folder);

    Result<void, StartError> open(const Environment& environment);
    Result<void, StartError> open_store();
    Result<void, StartError> make_money();
    void make_mint();
    Result<void, StartError> make_wallet();
    void make_cashier();
    std::vector<LightningBackend*> payers() const;
    std::unique_ptr<cashu::MintClient> way_to(const cashu::MintUrl& mint);
    std::unique_ptr<cashu::MintClient> way_of_operator(const cashu::MintUrl& mint);
    Result<void, StartError> make_models(const Environment& environment);
    void make_gateway();
    Result<void, StartError> recover();
    void make_public_face();
    void make_operator_face();
    Result<void, StartError> listen();
    void watch();
    void seal(const std::stop_token& stop);
    std::vector<std::string> mint_urls() const;  // As tokens call them.
    std::string mints_json() const;

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
    std::unique_ptr<Scheduler> mover_;  // Of our own money: pays, which may take its time.
    std::unique_ptr<http::Client> client_;
    std::optional<Ledger> ledger_;
    std::optional<Keyring> keyring_;
    std::unique_ptr<LightningBackend> mint_backend_;
    std::unique_ptr<proxy::Till> till_;
    std::optional<CashierBooks> books_;
    std::unique_ptr<cashu::Mint> mint_;
    std::unique_ptr<MintWays> mint_ways_;
    std::vector<std::unique_ptr<cashu::MintClient>> mint_clients_;
    std::unique_ptr<cashu::Wallet> wallet_;
    std::unique_ptr<http::WebSockets> websockets_;
    std::unique_ptr<cashu::MintEvents> mint_events_;
    std::unique_ptr<LightningBackend> receive_backend_;  // Null: a node of ours receives.
    payment::PaymentMethods methods_;
    std::unique_ptr<Cashier> cashier_;
    std::vector<std::unique_ptr<proxy::Upstream>> upstreams_;
    std::optional<proxy::Models> models_;
    std::unique_ptr<RedeemPool> redeemers_;
    std::unique_ptr<proxy::Gateway> gateway_;
    std::unique_ptr<api::Api> api_;
    std::unique_ptr<http::Server> public_;
    std::unique_ptr<http::Server> operator_;
};

}  // namespace nutgate::app
