#include "node.h"

#include <algorithm>
#include <utility>

#include "known_mints.h"
#include "nutgate/base/log.h"
#include "nutgate/crypto/hash.h"
#include "nutgate/crypto/mnemonic.h"
#include "nutgate/proxy/routes.h"
#include "nutgate/store/open.h"

namespace nutgate::app {
namespace {

constexpr Milliseconds kWatchPeriod{1'000};    // Invoices and quotes: pushes make it sooner.
constexpr Milliseconds kRecoverPeriod{5'000};  // What a mint left unanswered; backs off by itself.
constexpr Milliseconds kConsolidatePeriod{60'000};
constexpr Milliseconds kReservePeriod{10'000};
constexpr Milliseconds kTendPeriod{1'000};      // Holds of requests that live.
constexpr Milliseconds kExpirePeriod{10'000};   // Holds of requests that don't.
constexpr Milliseconds kSealPeriod{3'600'000};  // Checkpoints: what the next start need not check.
constexpr int kExpireAtOnceMax = 1'000;
constexpr std::int64_t kDemoMsatPer1k = 1'000;

Network network_of(const std::string& name) {
    if (name == "testnet") return Network::Testnet;
    if (name == "signet") return Network::Signet;
    if (name == "regtest") return Network::Regtest;
    return Network::Bitcoin;
}

// A write whose failure ends in the database's own words.
template <class Body>
Result<void, store::StoreFailure> write(store::Database& database, Body body) {
    const auto done = database.transact([&](store::Tx& tx) -> Result<bool, store::StoreFailure> {
        body(tx);
        return true;
    });
    if (!done) return fail(done.error());
    return {};
}

Result<proxy::Price, proxy::PriceError> price_of(const PriceConfig& price,
                                                 const std::string& btc_usd) {
    if (!price.input_usd.empty()) {
        proxy::UsdPrices usd{.input = price.input_usd,
                             .output = price.output_usd,
                             .btc_usd = btc_usd,
                             .free = price.free};
        if (!price.cached_input_usd.empty()) usd.input_cached = price.cached_input_usd;
        if (!price.margin.empty()) usd.margin = price.margin;
        return proxy::Price::make(usd);
    }
    proxy::MsatPrices msat{.input_per_1k = price.input_msat_per_1k,
                           .output_per_1k = price.output_msat_per_1k,
                           .free = price.free};
    if (price.cached_input_msat_per_1k >= 0) {
        msat.input_cached_per_1k = price.cached_input_msat_per_1k;
    }
    return proxy::Price::make(msat);
}

}  // namespace

Node::Node(Config config, DataDir folder)
    : config_{std::move(config)}, folder_{std::move(folder)} {}

Result<std::unique_ptr<Node>, StartError> Node::start(const Config& config, DataDir folder,
                                                      const Environment& environment) {
    std::unique_ptr<Node> node{new Node{config, std::move(folder)}};
    TRY_VOID(node->open(environment));
    return node;
}

Node::~Node() { drain(Milliseconds{0}); }

Result<void, StartError> Node::open(const Environment& environment) {
    TRY_VOID(open_store());
    TRY_VOID(make_money());
    TRY_VOID(make_models(environment));
    make_gateway();
    TRY_VOID(recover());
    TRY_VOID(listen());
    watch();
    return {};
}

Result<void, StartError> Node::open_store() {
    TRY(const auto words, folder_.words());
    seed_ = crypto::mnemonic_seed(as_text(words.reveal()));
    TRY(operator_token_, folder_.operator_token());
    TRY(database_, store::open(folder_.database_url()));
    TRY_VOID(stamp(*database_, config_.dev ? Money::Dev : Money::Bitcoin));
    TRY_VOID(Ledger::migrate(*database_));
    TRY_VOID(Keyring::migrate(*database_));
    TRY_VOID(CashierBooks::migrate(*database_));
    TRY_VOID(cashu::Wallet::migrate(*database_));
    TRY_VOID(cashu::Mint::migrate(*database_));
    TRY_VOID(SimulatedLightning::migrate(*database_));
    return {};
}

Result<void, StartError> Node::make_money() {
    public_url_ =
        config_.public_url.empty() ? "http://" + config_.public_listen : config_.public_url;
    scheduler_ = std::make_unique<Scheduler>();
    watcher_ = std::make_unique<Scheduler>();
    auditor_ = std::make_unique<Scheduler>();
    mover_ = std::make_unique<Scheduler>();
    client_ = http::make_client({.connections_per_host_max = cashu::PatientMintOptions{}.calls_max,
                                 .open_transactions = &store::open_on_this_thread});
    ledger_.emplace(clock_);
    keyring_.emplace(seed_, clock_);
    till_ = std::make_unique<proxy::Till>(
        proxy::Till::Books{*database_, *ledger_, *keyring_, clock_, random_},
        proxy::Till::Options{.hold_time = Seconds{config_.hold_ttl_s}}, metrics_);
    if (config_.mint_enabled) {
        const auto key = crypto::Scalar::reduce(
            crypto::hkdf_sha256(seed_.reveal(), {}, "nutgate simulated lightning node", 32));
        VERIFY(key.has_value());
        mint_backend_ = std::make_unique<SimulatedLightning>(
            *database_, clock_, *watcher_, random_,
            SimulatedLightning::Options{.node_key = *key,
                                        .settle_after = Milliseconds{config_.simulated_settle_ms}});
    }
    books_.emplace(*ledger_, *keyring_, seed_, clock_, random_,
                   mint_backend_ ? mint_backend_->name() : std::string{});
    if (config_.mint_enabled) {
        make_mint();
        TRY_VOID(mint_->start());
    }
    TRY_VOID(make_wallet());
    make_cashier();
    return {};
}

void Node::make_mint() {
    const Secret mint_secret{crypto::hkdf_sha256(seed_.reveal(), {}, "nutgate mint keys", 32)};
    cashu::Mint::Options options;
    options.name = config_.mint_name;
    options.url = public_url_ + "/mint";
    options.input_fee_ppk = static_cast<std::uint64_t>(config_.mint_input_fee_ppk);
    options.mint_amount_max = static_cast<cashu::Amount>(config_.mint_amount_max_sat);
    options.melt_amount_max = options.mint_amount_max;
    mint_ = std::make_unique<cashu::Mint>(*database_, *mint_backend_, *books_, mint_secret, clock_,
                                          random_, options, metrics_);
}

Result<void, StartError> Node::make_wallet() {
    std::vector<cashu::WalletMint> mints;
    for (const std::string& name : config_.mints) {
        const auto url = cashu::MintUrl::parse(name);
        if (!url) return fail(StartError{"wallet.mints: \"" + name + "\" is not a mint's URL"});
        mint_clients_.push_back(way_to(*url));
        if (!mint_clients_.back()) return fail(StartError{"wallet.mints: no way to " + name});
        if (!url->is_embedded()) {
            mint_clients_.push_back(cashu::make_patient_mint(
                *mint_clients_.back(), {.name = url->text()}, clock_, random_, metrics_));
        }
        cashu::WalletMint line{*url, {}, url->text(), mint_clients_.back().get()};
        if (url->is_embedded()) {
            line.token_url = public_url_ + "/mint";
            const auto known = cashu::MintUrl::parse(line.token_url);
            if (known) line.also_known_as.push_back(*known);
        }
        mints.push_back(std::move(line));
    }
    TRY_VOID(publish_mints(*database_, config_));
    mint_ways_ = std::make_unique<MintWays>(*client_, config_.dev ? Roads::Play : Roads::Real);
    cashu::Wallet::Options options;
    options.connector = mint_ways_.get();
    options.guests_max = static_cast<int>(config_.guest_mints_max);
    options.exposure_max = exposure_max(config_);
    options.payers = payers();
    wallet_ = std::make_unique<cashu::Wallet>(*database_, std::move(mints), seed_, *books_, clock_,
                                              random_, metrics_, std::move(options));
    return {};
}

std::unique_ptr<cashu::MintClient> Node::way_to(const cashu::MintUrl& mint) {
    if (!mint.is_embedded()) return cashu::make_remote_mint(mint, *client_);
    return mint_ ? cashu::make_local_mint(*mint_) : nullptr;
}

std::unique_ptr<cashu::MintClient> Node::way_of_operator(const cashu::MintUrl& mint) {
    return mint.is_embedded() ? way_to(mint) : mint_ways_->connect(mint, cashu::MintRole::Trusted);
}

// "mint" pays nothing from here: a mint's ecash is not at Lightning.
std::vector<LightningBackend*> Node::payers() const {
    std::vector<LightningBackend*> all;
    const auto& names = config_.lightning_pay;
    if (mint_backend_ && std::ranges::find(names, mint_backend_->name()) != names.end()) {
        all.push_back(mint_backend_.get());
    }
    return all;
}

void Node::make_cashier() {
    methods_.add(payment::make_cashu_method());
    if (config_.lightning_receive.front() == "mint") {
        std::optional<cashu::MintHints> hints;
        if (!wallet_->primary().is_embedded()) {
            websockets_ = std::make_unique<http::WebSockets>(http::WebSockets::Options{}, metrics_);
            mint_events_ = cashu::make_mint_events(wallet_->primary(), *websockets_, {}, metrics_);
            if (mint_events_) hints.emplace(cashu::MintHints{*mint_events_, clock_});
        }
        receive_backend_ = cashu::make_mint_lightning(
            *wallet_, wallet_->primary(), network_of(config_.lightning_network), *database_, hints);
        methods_.add(payment::make_lightning_method(*receive_backend_, {}));
    } else {
        payment::LightningMethodOptions at_node;
        at_node.funds = payment::Funds::AtMethod;
        methods_.add(payment::make_lightning_method(*mint_backend_, at_node));
    }
    Cashier::Options options;
    options.invoice_expiry = Seconds{config_.invoice_expiry_s};
    options.invoices_open_max = static_cast<int>(config_.open_invoices_max);
    options.memo = config_.node_name;
    options.foreign_mints =
        config_.foreign_mints == "swap" ? ForeignMints::Swap : ForeignMints::Refuse;
    for (const LightningBackend* payer : payers()) options.payers.push_back(payer->name());
    options.reserve = to_msat(Sat::from_raw(config_.reserve_sat).value_or(Sat{}));
    cashier_ = std::make_unique<Cashier>(*database_, *ledger_, *keyring_, *books_, *till_, *wallet_,
                                         methods_, seed_, clock_, random_, options, metrics_);
}

Result<void, StartError> Node::make_models(const Environment& environment) {
    std::vector<proxy::Model> models;
    if (config_.demo_enabled) {
        upstreams_.push_back(
            proxy::make_demo_upstream({.token_time = Milliseconds{config_.demo_token_ms}}, clock_));
        const auto price = proxy::Price::make(
            proxy::MsatPrices{.input_per_1k = kDemoMsatPer1k, .output_per_1k = kDemoMsatPer1k});
        VERIFY(price.has_value());
        models.push_back(
            {.id = *ModelId::parse("demo"),
             .name = "Demonstration",
             .description = "No model: text derived from the prompt, to try things out.",
             .price = *price,
             .upstreams = {upstreams_.back().get()}});
    }
    std::vector<std::pair<std::string, proxy::Upstream*>> by_name;
    for (const UpstreamConfig& upstream : config_.upstreams) {
        const auto url = http::parse_url(upstream.url);
        auto key = read_api_key(upstream, environment);
        if (!url || !key) return fail(StartError{"upstream " + upstream.name + " is malformed"});
        const bool drain = upstream.on_disconnect == "drain";
        upstreams_.push_back(proxy::make_openai_upstream(
            {.traits = {.name = upstream.name,
                        .client_gone = drain ? proxy::ClientGone::Drain : proxy::ClientGone::Cancel,
                        .drain_bytes_max = static_cast<std::size_t>(upstream.drain_bytes_max),
                        .drain_time_max = Milliseconds{upstream.drain_timeout_ms}},
             .url = *url,
             .api_key = *std::move(key),
             .head_timeout = Milliseconds{upstream.head_timeout_ms},
             .gap_timeout = Milliseconds{upstream.gap_timeout_ms},
             .ca_file = upstream.ca_file},
            metrics_));
        by_name.emplace_back(upstream.name, upstreams_.back().get());
    }
    for (const ModelConfig& model : config_.models) {
        const auto price = price_of(model.price, config_.btc_usd);
        const auto id = ModelId::parse(model.id);
        if (!price || !id) return fail(StartError{"model " + model.id + " has no valid price"});
        proxy::Model sold{.id = *id,
                          .description = model.description,
                          .context = model.context,
                          .output_max = model.output_max,
                          .choices_max = config_.choices_max,
                          .price = *price,
                          .upstream_model = model.upstream_model};
        for (const std::string& name : model.upstreams) {
            for (const auto& [known, upstream] : by_name) {
                if (known == name) sold.upstreams.push_back(upstream);
            }
        }
        models.push_back(std::move(sold));
    }
    auto made = proxy::Models::make(std::move(models), proxy::parse_decimal(config_.btc_usd));
    if (!made) return fail(StartError{"the list of models is not valid"});
    models_.emplace(*std::move(made));
    return {};
}

void Node::make_gateway() {
    redeemers_ = std::make_unique<RedeemPool>(*cashier_);
    proxy::Gateway::Options options;
    options.methods_json = R"([{"id":"cashu","mints":)" + mints_json() +
                           R"(},{"id":"lightning","invoice_url":)" +
                           http::json_quote(public_url_ + "/lightning/invoice") + "}]";
    gateway_ =
        std::make_unique<proxy::Gateway>(proxy::Gateway::Services{.keyring = *keyring_,
                                                                  .till = *till_,
                                                                  .redeemer = redeemers_.get(),
                                                                  .models = *models_,
                                                                  .clock = clock_,
                                                                  .metrics = metrics_},
                                         options);
}

std::vector<std::string> Node::mint_urls() const {
    std::vector<std::string> urls;
    for (const auto& mint : wallet_->mints()) urls.push_back(wallet_->token_url(mint));
    return urls;
}

std::string Node::mints_json() const {
    std::string json = "[";
    for (const std::string& url : mint_urls()) {
        if (json.size() > 1) json += ",";
        json += http::json_quote(url);
    }
    return json + "]";
}

Result<void, StartError> Node::recover() {
    // What requests of a process that is gone had held goes back before anything is promised anew.
    TRY_VOID(write(*database_, [&](store::Tx& tx) {
        ledger_->release_holds_of_requests(tx);
        keyring_->release_admissions(tx);
    }));
    // Mints may be away: what can't be finished yet is tried again by the watcher.
    const auto recovered = wallet_->recover();
    if (!recovered) return fail(StartError{"wallet: " + recovered.error().detail});
    if (const auto done = cashier_->recover(); !done) {
        return fail(StartError{"cashier: " + done.error().detail});
    }
    log::info("recovered", {{"finished", recovered->finished},
                            {"failed", recovered->failed},
                            {"waiting", recovered->waiting}});
    const auto audit = cashier_->audit_report(Ledger::Depth::SinceCheckpoint);
    if (!audit) return fail(StartError{"audit: " + audit.error().detail});
    read_only_ = !audit->sound();
    for (const std::string& fault : audit->faults) log::error("books", {{"fault", fault}});
    if (read_only_) log::error("read only: the books do not add up; see nutgate audit --full");
    return {};
}

void Node::make_public_face() {
    const auto address = parse_host_port(config_.public_listen);
    VERIFY(address.has_value());
    http::Server::Options server;
    server.name = "public";
    server.host = address->host;
    server.port = address->port;
    server.data_threads = static_cast<std::size_t>(config_.data_threads);
    server.control_threads = static_cast<std::size_t>(config_.control_threads);
    server.connections_max = static_cast<std::size_t>(config_.connections_max);
    server.body_bytes_max = static_cast<std::size_t>(config_.body_bytes_max);
    server.trusted_proxies = config_.trusted_proxies;
    server.on_data_thread_start = &store::forbid_waiting_on_this_thread;
    public_ = std::make_unique<http::Server>(server, metrics_);

    api::Options options;
    options.name = config_.node_name;
    options.description = config_.node_description;
    options.version = NUTGATE_VERSION;
    options.http_url = public_url_;
    options.mints = [this] { return mint_urls(); };
    options.foreign_mints = config_.foreign_mints;
    options.p2pk_pubkey = to_hex(wallet_->receive_key().compressed());
    options.cors_origin = config_.cors_origin;
    options.invoices_per_client_per_minute = config_.invoices_per_client_per_minute;
    options.creates_per_client_per_minute = config_.creates_per_client_per_minute;
    options.status_per_client_per_minute = config_.status_per_client_per_minute;
    if (read_only_) options.not_ready = "the books do not add up: read only";
    options.touch = [this](store::Tx& tx) {
        tx.execute(
            "INSERT INTO node (name, value) VALUES ('touched', $1) "
            "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            std::to_string(to_unix_milliseconds(clock_.now())));
    };
    api_ = std::make_unique<api::Api>(api::Services{.cashier = *cashier_,
                                                    .wallet = *wallet_,
                                                    .keyring = *keyring_,
                                                    .methods = methods_,
                                                    .mint = mint_.get(),
                                                    .clock = clock_,
                                                    .database = *database_},
                                      options);
    if (read_only_) {
        api_->add_health_routes(*public_);
        return;
    }
    api_->add_routes(*public_);
    proxy::add_routes(*public_, *gateway_,
                      {.request_bytes_max = static_cast<std::size_t>(config_.body_bytes_max)});
}

void Node::make_operator_face() {
    const auto address = parse_host_port(config_.operator_listen);
    VERIFY(address.has_value());
    http::Server::Options server;
    server.name = "operator";
    server.host = address->host;
    server.port = address->port;
    server.data_threads = 1;
    server.control_threads = 2;
    server.connections_max = 256;
    server.on_data_thread_start = &store::forbid_waiting_on_this_thread;
    // A page of another origin that a browser on this machine shows can send requests here, but
    // not under these names.
    for (const std::string& host : {address->host, std::string{"localhost"},
                                    std::string{"127.0.0.1"}, std::string{"[::1]"}}) {
        server.hosts.push_back(host + ":" + std::to_string(address->port));
    }
    operator_ = std::make_unique<http::Server>(server, metrics_);
    admin::add_routes(*operator_,
                      {.cashier = *cashier_,
                       .wallet = *wallet_,
                       .way_to = [this](const auto& mint) { return way_of_operator(mint); },
                       .metrics = metrics_,
                       .operator_token = operator_token_,
                       .refresh_metrics = {},
                       .read_only = read_only_});
}

Result<void, StartError> Node::listen() {
    make_public_face();
    make_operator_face();
    for (http::Server* server : {operator_.get(), public_.get()}) {
        if (const auto started = server->start(); !started) {
            return fail(StartError{started.error().detail});
        }
    }
    folder_.publish_operator_address(config_.operator_listen);
    return {};
}

void Node::watch() {
    if (read_only_) return;
    // The mint learns first that an invoice was paid; what we issue against it comes next.
    if (mint_backend_) {
        mint_backend_->on_change([this](const PaymentHash& payment) {
            mint_->poll(payment);
            cashier_->hint(payment);
        });
        watcher_->every(kWatchPeriod, "mint", [this](std::stop_token) { mint_->poll(); });
    }
    if (receive_backend_) {
        receive_backend_->on_change(
            [this](const PaymentHash& payment) { cashier_->hint(payment); });
    }
    watcher_->every(kWatchPeriod, "invoices", [this](std::stop_token) {
        if (const auto paid = cashier_->settle_invoices(); !paid) {
            log::warn("invoices", {{"error", paid.error().detail}});
        }
    });
    watcher_->every(kRecoverPeriod, "recover", [this](std::stop_token) {
        if (const auto done = wallet_->recover(); !done) {
            log::warn("wallet", {{"error", done.error().detail}});
        }
        if (const auto done = cashier_->recover(); !done) {
            log::warn("cashier", {{"error", done.error().detail}});
        }
    });
    mover_->every(kConsolidatePeriod, "consolidate", [this](std::stop_token) {
        if (const auto done = wallet_->consolidate(); !done) {
            log::warn("wallet", {{"error", done.error().detail}});
        }
    });
    mover_->every(kReservePeriod, "reserve", [this](std::stop_token) {
        if (const auto done = cashier_->keep_reserve(); !done) {
            log::warn("cashier", {{"error", done.error().detail}});
        }
    });
    scheduler_->every(kTendPeriod, "tend", [this](std::stop_token) { till_->tend(); });
    scheduler_->every(kExpirePeriod, "expire", [this](std::stop_token) {
        (void)write(*database_,
                    [this](store::Tx& tx) { ledger_->expire_holds(tx, kExpireAtOnceMax); });
    });
    auditor_->every(kSealPeriod, "seal", [this](const std::stop_token& stop) { seal(stop); });
}

void Node::seal(const std::stop_token& stop) {
    const auto audit = cashier_->audit_and_seal(stop);
    if (!audit) return log::warn("audit", {{"error", audit.error().detail}});
    for (const std::string& fault : audit->faults) log::error("books", {{"fault", fault}});
}

void Node::drain(Milliseconds deadline) {
    if (public_) public_->drain(deadline);
    if (operator_) operator_->drain(Milliseconds{0});
    // Jobs end before what they refer to does.
    if (mint_events_) mint_events_->stop();
    if (websockets_) websockets_->stop();
    if (scheduler_) scheduler_->stop();
    if (watcher_) watcher_->stop();
    if (auditor_) auditor_->stop();
    if (mover_) mover_->stop();
}

}  // namespace nutgate::app
