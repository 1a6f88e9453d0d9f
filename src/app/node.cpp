#include "node.h"

#include <algorithm>
#include <utility>

#include "cost_config.h"
#include "known_mints.h"
#include "nutgate/base/log.h"
#include "nutgate/crypto/hash.h"
#include "nutgate/crypto/mnemonic.h"
#include "nutgate/proxy/routes.h"
#include "nutgate/store/open.h"
#include "price_config.h"

namespace nutgate::app {
namespace {

constexpr Milliseconds kWatchPeriod{1'000};    // Invoices and quotes: pushes make it sooner.
constexpr Milliseconds kOffersPeriod{3'000};   // What came in to offers.
constexpr Milliseconds kRecoverPeriod{5'000};  // What a mint left unanswered; backs off by itself.
constexpr Milliseconds kConsolidatePeriod{60'000};
constexpr Milliseconds kReservePeriod{10'000};
constexpr Milliseconds kNodesPeriod{10'000};    // Whether the Lightning nodes are there.
constexpr Milliseconds kTendPeriod{1'000};      // Holds of requests that live.
constexpr Milliseconds kShowPeriod{1'000};      // Prices that the hour or the rate has changed.
constexpr Milliseconds kExpirePeriod{10'000};   // Holds of requests that don't.
constexpr Milliseconds kSealPeriod{3'600'000};  // Checkpoints: what the next start need not check.
constexpr int kExpireAtOnceMax = 1'000;
constexpr Milliseconds kPrunePeriod{600'000};  // Rows of usage that are too old.
constexpr int kPruneAtOnceMax = 1'000;         // The writer has others to serve in between.

std::string in_words(const std::vector<Mistake>& mistakes) {
    std::string words;
    for (const Mistake& mistake : mistakes) {
        words.append(words.empty() ? "" : "; ")
            .append(mistake.key)
            .append(" ")
            .append(mistake.what);
    }
    return words;
}

proxy::Till::Options till_options(const Config& config) {
    return {.hold_time = Seconds{config.hold_ttl_s},
            .unposted_age_wait = Milliseconds{config.unposted_wait_ms},
            .unposted_age_max = Milliseconds{config.unposted_age_max_ms},
            .unposted_max = static_cast<std::size_t>(config.unposted_charges_max),
            .slices_max = static_cast<std::size_t>(config.keys_in_use_max)};
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
    TRY_VOID(make_money(environment));
    TRY_VOID(make_models(environment));
    TRY_VOID(make_gateway());
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
    TRY_VOID(proxy::migrate_usage(*database_));
    TRY_VOID(CashierBooks::migrate(*database_));
    TRY_VOID(cashu::Wallet::migrate(*database_));
    TRY_VOID(cashu::Mint::migrate(*database_));
    TRY_VOID(SimulatedLightning::migrate(*database_));
    TRY_VOID(migrate_lightning(*database_));
    return {};
}

Result<void, StartError> Node::make_money(const Environment& environment) {
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
        proxy::Till::Books{.database = *database_,
                           .ledger = *ledger_,
                           .keyring = *keyring_,
                           .clock = clock_,
                           .random = random_,
                           .keeps_usage = config_.usage_keep_days > 0},
        till_options(config_), metrics_);
    TRY_VOID(make_lightning(environment));
    books_.emplace(*ledger_, *keyring_, seed_, clock_, random_,
                   mint_backend_ ? mint_backend_->name() : std::string{});
    if (config_.mint_enabled) {
        make_mint();
        TRY_VOID(mint_->start());
    }
    TRY_VOID(make_wallet());
    make_cashier();
    make_remitter();
    return {};
}

Result<void, StartError> Node::make_lightning(const Environment& environment) {
    if (config_.dev) {
        const auto key = crypto::Scalar::reduce(
            crypto::hkdf_sha256(seed_.reveal(), {}, "nutgate simulated lightning node", 32));
        VERIFY(key.has_value());
        simulated_ = std::make_unique<SimulatedLightning>(
            *database_, clock_, *watcher_, random_,
            SimulatedLightning::Options{.node_key = *key,
                                        .settle_after = Milliseconds{config_.simulated_settle_ms}});
    }
    auto nodes = LightningNodes::make(
        config_, environment, seed_,
        {.database = *database_, .metrics = metrics_, .clock = clock_, .random = random_});
    if (!nodes) return fail(StartError{nodes.error().key + " " + nodes.error().what});
    nodes_ = *std::move(nodes);
    if (auto fault = foreign_node(nodes_); !fault.empty()) {
        StartError error{std::move(fault)};
        error.misused = true;
        return fail(std::move(error));
    }
    if (!config_.mint_enabled) return {};
    mint_backend_ =
        config_.mint_backend == "simulated" ? simulated_.get() : nodes_.alone(config_.mint_backend);
    VERIFY(mint_backend_ != nullptr);
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
    if (simulated_ && std::ranges::find(names, simulated_->name()) != names.end()) {
        all.push_back(simulated_.get());
    }
    for (const LightningNode* node : nodes_.find_all(names)) {
        all.push_back(nodes_.alone(node->name()));
    }
    return all;
}

void Node::make_cashier() {
    methods_.add(payment::make_cashu_method());
    receiving_.emplace(config_, Receiving::Ground{.database = *database_,
                                                  .metrics = metrics_,
                                                  .clock = clock_,
                                                  .wallet = *wallet_,
                                                  .nodes = nodes_,
                                                  .simulated = simulated_.get()});
    methods_.add(receiving_->method());
    Cashier::Options options;
    options.invoice_expiry = Seconds{config_.invoice_expiry_s};
    options.invoices_open_max = static_cast<int>(config_.open_invoices_max);
    options.offers_max = static_cast<int>(config_.offers_max);
    options.offers_per_key_max = static_cast<int>(config_.offers_per_key_max);
    options.memo = config_.node_name;
    options.foreign_mints =
        config_.foreign_mints == "swap" ? ForeignMints::Swap : ForeignMints::Refuse;
    for (const LightningBackend* payer : payers()) options.payers.push_back(payer->name());
    options.reserve = to_msat(Sat::from_raw(config_.reserve_sat).value_or(Sat{}));
    cashier_ = std::make_unique<Cashier>(*database_, *ledger_, *keyring_, *books_, *till_, *wallet_,
                                         methods_, seed_, clock_, random_, options, metrics_);
}

void Node::make_remitter() {
    const Network network = network_of(config_.lightning_network);
    lnurl_ = std::make_unique<LnurlClient>(*client_, clock_, network);
    Remitter::Options options;
    options.payers = payers();
    options.lnurl = lnurl_.get();
    options.network = network;
    remitter_ = std::make_unique<Remitter>(*cashier_, std::move(options), metrics_);
}

Result<void, StartError> Node::make_models(const Environment& environment) {
    if (config_.demo_enabled) {
        upstreams_.push_back(
            proxy::make_demo_upstream({.token_time = Milliseconds{config_.demo_token_ms}}, clock_));
    }
    for (const UpstreamConfig& upstream : config_.upstreams) {
        const auto url = http::parse_url(upstream.url);
        auto key = read_api_key(upstream, environment);
        if (!url || !key) return fail(StartError{"upstream " + upstream.name + " is malformed"});
        upstreams_.push_back(open_upstream(upstream, *url, *std::move(key), metrics_, clock_));
        named_upstreams_.push_back({upstream.name, upstreams_.back().get()});
    }
    TRY(auto models, sold(config_));
    make_rates();
    return begin_selling(models);
}

// Nobody is asked for what nobody needs.
void Node::make_rates() {
    if (const auto fixed = rates::BtcUsd::parse(config_.btc_usd)) {
        btc_usd_.emplace(*fixed);
        return;
    }
    btc_usd_.emplace();
    const bool sells_usd = std::ranges::any_of(
        config_.models, [](const ModelConfig& model) { return is_in_usd(model.price); });
    if (!sells_usd && !costs_usd(config_)) return;
    std::vector<rates::Source> sources;
    for (const std::string& name : config_.rate_sources) {
        auto source = rates::parse_source(name);
        VERIFY(source.has_value());  // Or check() would have refused it.
        sources.push_back(*std::move(source));
    }
    rate_feed_ = std::make_unique<rates::RateFeed>(
        *client_, clock_, *btc_usd_, std::move(sources),
        rates::FeedOptions{.sources_min = static_cast<std::size_t>(config_.rate_sources_min),
                           .age_max = Seconds{config_.rate_age_max_s}},
        metrics_);
}

Result<void, StartError> Node::make_gateway() {
    TRY_VOID(write(*database_, [this](store::Tx& tx) {
        proxy::keep_usage(tx, config_.usage_keep_days > 0, ledger_->newest(tx));
    }));
    TRY(auto row_names, proxy::UsageRowNames::intern(*database_, *models_));
    redeemers_ = std::make_unique<RedeemPool>(
        *cashier_, *scheduler_,
        [this](std::string_view client_ip) { return api_->admit_token(client_ip); });
    payment_terms_.emplace(*wallet_, public_url_);
    proxy::Gateway::Options options;
    options.first_slice_tokens = config_.first_slice_tokens;
    options.retries_max = static_cast<int>(config_.retries_max);
    options.retry_wait = Milliseconds{config_.retry_wait_ms};
    options.retry_after_max = Milliseconds{config_.retry_after_max_ms};
    options.methods_json = [this] { return payment_terms_->methods_json(); };
    options.payment_request = [this](Msat amount) { return payment_terms_->request_for(amount); };
    gateway_ = std::make_unique<proxy::Gateway>(
        proxy::Gateway::Services{.keyring = *keyring_,
                                 .till = *till_,
                                 .redeemer = redeemers_.get(),
                                 .models = *models_,
                                 .clock = clock_,
                                 .metrics = metrics_,
                                 .row_names = std::move(row_names)},
        options);
    return {};
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
    if (const auto done = remitter_->settle(); !done) {
        return fail(StartError{"remittances: " + done.error().detail});
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
    server.bodies_bytes_max = static_cast<std::size_t>(config_.bodies_bytes_max);
    server.trusted_proxies = config_.trusted_proxies;
    server.on_data_thread_start = &store::forbid_waiting_on_this_thread;
    public_ = std::make_unique<http::Server>(server, metrics_);

    api::Options options;
    options.name = config_.node_name;
    options.description = config_.node_description;
    options.version = NUTGATE_VERSION;
    options.http_url = public_url_;
    options.mints = [this] { return payment_terms_->mint_urls(); };
    options.foreign_mints = config_.foreign_mints;
    options.p2pk_pubkey = to_hex(wallet_->receive_key().compressed());
    options.cors_origin = config_.cors_origin;
    options.invoices_per_client_per_minute = config_.invoices_per_client_per_minute;
    options.creates_per_client_per_minute = config_.creates_per_client_per_minute;
    options.status_per_client_per_minute = config_.status_per_client_per_minute;
    options.refunds_per_client_per_minute = config_.refunds_per_client_per_minute;
    options.waits_per_client_max = config_.waits_per_client_max;
    options.waits_max = config_.waits_max;
    options.usage_rows_max = config_.usage_page_rows_max;
    options.lightning_nodes = [this] { return nodes_.seen(); };
    if (read_only_) options.not_ready = "the books do not add up: read only";
    options.touch = [this](store::Tx& tx) {
        tx.execute(
            "INSERT INTO node (name, value) VALUES ('touched', $1) "
            "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            std::to_string(to_unix_milliseconds(clock_.now())));
    };
    api_ = std::make_unique<api::Api>(api::Services{.cashier = *cashier_,
                                                    .remitter = *remitter_,
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
                      {.request_bytes_max = static_cast<std::size_t>(config_.body_bytes_max),
                       .upload_bytes_max = static_cast<std::size_t>(config_.upload_bytes_max)});
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
                       .remitter = *remitter_,
                       .wallet = *wallet_,
                       .mint = mint_.get(),
                       .way_to = [this](const auto& mint) { return way_of_operator(mint); },
                       .metrics = metrics_,
                       .operator_token = operator_token_,
                       .refresh_metrics = {},
                       .take_prices = [this]() -> Result<std::size_t, std::string> {
                           const auto taken = take_prices();
                           if (taken) return *taken;
                           return fail(in_words(taken.error()));
                       },
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
    const auto tell = [this](const PaymentHash& payment) {
        if (mint_) mint_->poll(payment);
        cashier_->hint(payment);
        remitter_->hint(payment);
    };
    if (simulated_) simulated_->on_change(tell);
    for (LightningNode* node : nodes_.all()) node->on_change(tell);
    if (!nodes_.all().empty()) {
        mover_->hurry(mover_->every(kNodesPeriod, "lightning nodes", [this](std::stop_token) {
            nodes_.check();
            receiving_->check_nodes();
        }));
    }
    if (mint_) {
        watcher_->every(kWatchPeriod, "mint", [this](std::stop_token) { mint_->poll(); });
    }
    receiving_->on_change([this](const PaymentHash& payment) { cashier_->hint(payment); });
    watcher_->every(kWatchPeriod, "invoices", [this](std::stop_token) {
        if (const auto paid = cashier_->settle_invoices(); !paid) {
            log::warn("invoices", {{"error", paid.error().detail}});
        }
    });
    watcher_->hurry(watcher_->every(kOffersPeriod, "offers", [this](std::stop_token) {
        receiving_->look_at_mint();
        if (const auto paid = cashier_->settle_offers(); !paid) {
            log::warn("offers", {{"error", paid.error().detail}});
        }
    }));
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
    watch_payouts();
    scheduler_->every(kShowPeriod, "prices",
                      [this](std::stop_token) { models_->refresh(clock_.now()); });
    if (rate_feed_) {
        rate_keeper_ = std::make_unique<Scheduler>();
        rate_keeper_->hurry(rate_keeper_->every(
            Seconds{config_.rate_refresh_s}, "rates",
            [this](const std::stop_token& stop) { (void)rate_feed_->refresh(stop); }));
    }
    scheduler_->every(kTendPeriod, "tend", [this](std::stop_token) { till_->tend(); });
    scheduler_->every(kExpirePeriod, "expire", [this](std::stop_token) {
        (void)write(*database_,
                    [this](store::Tx& tx) { ledger_->expire_holds(tx, kExpireAtOnceMax); });
    });
    auditor_->every(kSealPeriod, "seal", [this](const std::stop_token& stop) { seal(stop); });
    auditor_->every(kPrunePeriod, "usage",
                    [this](const std::stop_token& stop) { prune_usage(stop); });
}

// What is under way at nodes of ours, and what the owner wants sent by itself.
void Node::watch_payouts() {
    mover_->every(kRecoverPeriod, "remittances", [this](std::stop_token) {
        if (const auto done = remitter_->settle(); !done) {
            log::warn("remittances", {{"error", done.error().detail}});
        }
    });
    if (config_.payout_target.empty()) return;
    const Msat threshold = to_msat(Sat::from_raw(config_.payout_threshold_sat).value_or(Sat{}));
    mover_->every(Seconds{config_.payout_interval_s}, "payout", [this, threshold](std::stop_token) {
        if (const auto sent = remitter_->remit_revenue(config_.payout_target, threshold); !sent) {
            log::warn("payout", {{"code", static_cast<int>(sent.error().code)},
                                 {"error", sent.error().detail}});
        }
    });
}

void Node::prune_usage(const std::stop_token& stop) {
    const Time before = clock_.now() - std::chrono::days{config_.usage_keep_days};
    std::int64_t pruned = 0;
    do {
        const auto done = write(*database_, [&](store::Tx& tx) {
            pruned = proxy::prune_usage(tx, before, kPruneAtOnceMax);
        });
        if (!done) return log::warn("usage_not_pruned", {{"detail", done.error().detail}});
    } while (pruned > 0 && !stop.stop_requested());
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
    nodes_.stop();
    if (receiving_) receiving_->stop();
    if (scheduler_) scheduler_->stop();
    if (watcher_) watcher_->stop();
    if (auditor_) auditor_->stop();
    if (mover_) mover_->stop();
    if (rate_keeper_) rate_keeper_->stop();
}

}  // namespace nutgate::app
