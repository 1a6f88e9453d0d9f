// A node as main wires one: an embedded mint on a scripted Lightning, a wallet, a cashier; and a
// customer outside, with a wallet of his own at that mint. Ends in an audit.
#pragma once

#include <doctest/doctest.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "nutgate/cashier/cashier.h"
#include "nutgate/cashu/mint.h"
#include "nutgate/cashu/mint_client.h"
#include "nutgate/cashu/mint_offers.h"
#include "nutgate/cashu/wallet.h"
#include "nutgate/payment/methods.h"
#include "nutgate/store/open.h"
#include "support/fake_lightning.h"
#include "support/fixed_clock.h"
#include "support/held_spending.h"

namespace nutgate::test {

inline const cashu::MintUrl kPublicMint = *cashu::MintUrl::parse("http://node.example/mint");

// The way to a mint, with faults in it. Thread-safe, but for what arrives late.
class FaultyMint final : public cashu::MintClient {
public:
    enum class Fault {
        None,
        Away,         // Refused before a byte left us.
        RequestLost,  // On the way there: a time-out.
        AnswerLost,   // Done, and a time-out all the same.
        Twice,        // Arrives twice; the second answer comes back.
        Late,         // A time-out; it arrives just before the next call.
        Later,        // Just before the one after that.
        ServerError,  // Not done: 500.
        ProxyError,   // Done, and in front of it something says 502.
        TooMany,      // Not done: 429.
        Cut,          // Done; half of the answer comes back.
        Refused,      // The mint itself says no to a swap, for good.
    };
    // What is still on its way, whoever sent it.
    struct Straggler {
        cashu::MintMethod method;
        std::string path;
        std::string body;
        int calls_before = 0;
    };

    explicit FaultyMint(std::unique_ptr<cashu::MintClient> real) : real_{std::move(real)} {}
    void set(Fault fault) { fault_ = fault; }
    // Of the n-th call from now on, and of no other.
    void fault_at(int n, Fault fault) {
        fault_once_ = fault;
        at_ = n;
    }
    bool came_so_far() const { return at_ <= 0; }
    int calls() const { return calls_; }
    std::optional<Straggler> take_straggler() { return std::exchange(straggler_, std::nullopt); }
    void bring(std::optional<Straggler> straggler) { straggler_ = std::move(straggler); }

    Result<cashu::MintAnswer, cashu::MintFailure> call(cashu::MintMethod method,
                                                       std::string_view path,
                                                       std::string_view body) override {
        ++calls_;
        if (straggler_ && --straggler_->calls_before == 0) {
            const auto arrived = *take_straggler();
            (void)real_->call(arrived.method, arrived.path, arrived.body);
        }
        const Fault fault = at_ > 0 && --at_ == 0 ? fault_once_.load() : fault_.load();
        if (fault == Fault::Away) return fail(cashu::MintFailure::NotSent);
        if (fault == Fault::RequestLost) return fail(cashu::MintFailure::Ambiguous);
        if (fault == Fault::ServerError) return cashu::MintAnswer{500, "oops"};
        if (fault == Fault::Refused && path == "/v1/swap") {
            return cashu::MintAnswer{400, R"({"detail":"no","code":11005})"};
        }
        if (fault == Fault::TooMany) return cashu::MintAnswer{429, R"({"detail":"slow down"})"};
        if (fault == Fault::Late || fault == Fault::Later) {
            straggler_ = Straggler{.method = method,
                                   .path = std::string{path},
                                   .body = std::string{body},
                                   .calls_before = fault == Fault::Late ? 1 : 2};
            return fail(cashu::MintFailure::Ambiguous);
        }
        auto answer = real_->call(method, path, body);
        if (fault == Fault::Twice) answer = real_->call(method, path, body);
        if (fault == Fault::AnswerLost) return fail(cashu::MintFailure::Ambiguous);
        if (fault == Fault::ProxyError) return cashu::MintAnswer{502, "<html>bad gateway</html>"};
        if (fault == Fault::Cut && answer) answer->body.resize(answer->body.size() / 2);
        return answer;
    }

private:
    std::unique_ptr<cashu::MintClient> real_;
    std::atomic<Fault> fault_ = Fault::None;
    std::atomic<Fault> fault_once_ = Fault::None;
    std::atomic<int> at_ = 0;
    std::atomic<int> calls_ = 0;
    std::optional<Straggler> straggler_;
};

inline Secret test_seed(int n) { return Secret{Bytes(64, static_cast<std::byte>(n))}; }

inline void migrate_all(store::Database& database) {
    REQUIRE(Ledger::migrate(database));
    REQUIRE(Keyring::migrate(database));
    REQUIRE(CashierBooks::migrate(database));
    REQUIRE(cashu::Wallet::migrate(database));
    REQUIRE(cashu::Mint::migrate(database));
}

enum class Receive { OverMint, OverNode };

// A mint somewhere else, in the same Lightning network. It outlives every process of ours.
class OutsideMint {
public:
    OutsideMint(const std::string& address, FakeLightning& lightning, const Clock& clock, int seed,
                std::uint64_t input_fee_ppk = 0,
                std::unique_ptr<store::Database> database = *store::open("sqlite::memory:",
                                                                         {.rehearses = true}))
        : url{*cashu::MintUrl::parse(address)},
          database_{std::move(database)},
          seed_{test_seed(seed)},
          mint{*database_,
               lightning,
               books_,
               seed_,
               clock,
               random_,
               mint_options(address, input_fee_ppk),
               metrics_} {
        REQUIRE(cashu::Mint::migrate(*database_));
        REQUIRE(mint.start());
    }

private:
    class NoMintBooks final : public cashu::MintBooks {
    public:
        void quote_paid(store::Tx&, const PaymentHash&, Msat) override {}
        void issued(store::Tx&, std::string_view, const cashu::KeysetId&, Msat) override {}
        void swapped(store::Tx&, std::string_view, const std::vector<SwapLine>&, Msat) override {}
        void melt_begun(store::Tx&, std::string_view, const std::vector<SwapLine>&) override {}
        void melt_paid(store::Tx&, std::string_view, const MeltEnd&) override {}
        void melt_failed(store::Tx&, std::string_view, const std::vector<SwapLine>&) override {}
    };
    static cashu::Mint::Options mint_options(const std::string& address,
                                             std::uint64_t input_fee_ppk) {
        cashu::Mint::Options made;
        made.url = address;
        made.input_fee_ppk = input_fee_ppk;
        return made;
    }

public:
    const cashu::MintUrl url;

private:
    std::unique_ptr<store::Database> database_;
    crypto::SystemRandom random_;
    metrics::Registry metrics_;
    Secret seed_;
    NoMintBooks books_;

public:
    cashu::Mint mint;
};

// Which of them the node's file names, after the embedded one, and which it can be led to.
struct Outside {
    std::vector<OutsideMint*> trusted;
    std::vector<OutsideMint*> guests;
    bool before_embedded = false;  // Then the first of `trusted` is primary.
};

class TestConnector final : public cashu::MintConnector {
public:
    explicit TestConnector(std::vector<OutsideMint*> mints) : mints_{std::move(mints)} {
        for (OutsideMint* mint : mints_) {
            ways.push_back(std::make_unique<FaultyMint>(cashu::make_local_mint(mint->mint)));
        }
    }

    std::unique_ptr<cashu::MintClient> connect(const cashu::MintUrl& url,
                                               cashu::MintRole) override {
        for (std::size_t i = 0; i < mints_.size(); ++i) {
            if (mints_[i]->url == url) return std::make_unique<Lent>(*ways[i]);
        }
        return nullptr;
    }

    std::vector<std::unique_ptr<FaultyMint>> ways;  // In the order of the mints.

private:
    struct Lent final : cashu::MintClient {
        explicit Lent(FaultyMint& lent) : way{lent} {}
        Result<cashu::MintAnswer, cashu::MintFailure> call(cashu::MintMethod method,
                                                           std::string_view path,
                                                           std::string_view body) override {
            return way.call(method, path, body);
        }
        FaultyMint& way;
    };

    std::vector<OutsideMint*> mints_;
};

// One run of a node's process. What outlives it is the database and the world outside.
class Node {
public:
    Node(store::Database& db, FakeLightning& outside, const Clock& time,
         Receive receive = Receive::OverMint, Cashier::Options options = {},
         const Outside& mints = {}, cashu::Wallet::Options wallet_options = {})
        : database{db},
          lightning{outside},
          clock{time},
          outside_clients{clients_of(mints)},
          connector{mints.guests},
          wallet{database, wallet_mints(mints),
                 seed,     books,
                 clock,    random,
                 metrics,  with_connector(std::move(wallet_options))} {
        const bool by_node = receive == Receive::OverNode;
        methods.add(payment::make_cashu_method());
        methods.add(payment::make_lightning_method(
            by_node ? static_cast<LightningBackend&>(lightning) : *mint_lightning,
            {.funds = by_node ? payment::Funds::AtMethod : payment::Funds::InWallet,
             .mint_offers = &mint_offers,
             .before = by_node ? mint_lightning.get() : &lightning}));
        cashier = std::make_unique<Cashier>(database, ledger, keyring, books, spending, wallet,
                                            methods, seed, clock, random, options, metrics);
    }

    // As main starts it.
    bool start() {
        if (!mint.start()) return false;
        if (!wallet.recover()) return false;
        return cashier->recover().has_value();
    }

    Msat balance(const KeyId& key) {
        const auto info = cashier->info(key);
        REQUIRE(info.has_value());
        return info->balance;
    }
    void audit() {
        const auto report = cashier->audit_report(Ledger::Depth::Full);
        REQUIRE(report.has_value());
        for (const std::string& fault : report->faults) FAIL_CHECK(fault);
    }

    store::Database& database;
    FakeLightning& lightning;
    const Clock& clock;
    crypto::SystemRandom random;
    metrics::Registry metrics;
    Secret seed = test_seed(1);
    Ledger ledger{clock};
    Keyring keyring{seed, clock};
    CashierBooks books{ledger, keyring, seed, clock, random, "fake"};
    HeldSpending spending{database, ledger};
    cashu::Mint mint{database, lightning, books, seed, clock, random, mint_options(), metrics};
    FaultyMint client{cashu::make_local_mint(mint)};
    std::vector<std::unique_ptr<FaultyMint>> outside_clients;  // Of Outside::trusted.
    TestConnector connector;
    cashu::Wallet wallet;
    std::unique_ptr<LightningBackend> mint_lightning =
        cashu::make_mint_lightning(wallet, cashu::MintUrl::embedded(), Network::Regtest, database);
    cashu::MintOffers mint_offers{wallet, cashu::MintUrl::embedded(), Network::Regtest, database,
                                  clock};
    payment::PaymentMethods methods;
    std::unique_ptr<Cashier> cashier;

private:
    static cashu::Mint::Options mint_options() {
        cashu::Mint::Options options;
        options.url = kPublicMint.text();
        return options;
    }
    static std::vector<std::unique_ptr<FaultyMint>> clients_of(const Outside& mints) {
        std::vector<std::unique_ptr<FaultyMint>> clients;
        for (OutsideMint* mint : mints.trusted) {
            clients.push_back(std::make_unique<FaultyMint>(cashu::make_local_mint(mint->mint)));
        }
        return clients;
    }
    std::vector<cashu::WalletMint> wallet_mints(const Outside& mints) {
        std::vector<cashu::WalletMint> all;
        const cashu::WalletMint embedded{.url = cashu::MintUrl::embedded(),
                                         .also_known_as = {kPublicMint},
                                         .token_url = kPublicMint.text(),
                                         .client = &client};
        if (!mints.before_embedded) all.push_back(embedded);
        for (std::size_t i = 0; i < mints.trusted.size(); ++i) {
            const auto& url = mints.trusted[i]->url;
            all.push_back({.url = url,
                           .also_known_as = {},
                           .token_url = url.text(),
                           .client = outside_clients[i].get()});
        }
        if (mints.before_embedded) all.push_back(embedded);
        return all;
    }
    cashu::Wallet::Options with_connector(cashu::Wallet::Options options) {
        options.connector = &connector;
        return options;
    }
};

// Keeps the tokens that were sent; receives and issues need no books.
class NoBooks final : public cashu::Settler {
public:
    using Outcome = Result<void, cashu::SettlerRefusal>;
    Outcome received(store::Tx&, const Received&) override { return {}; }
    Outcome receive_failed(store::Tx&, std::string_view, const cashu::WalletError&) override {
        return {};
    }
    Outcome sent(store::Tx&, const Sent& event) override {
        tokens[event.reference] = event.token;
        return {};
    }
    Outcome send_failed(store::Tx&, std::string_view, const cashu::WalletError&) override {
        return {};
    }
    Outcome issued(store::Tx&, const Issued&) override { return {}; }
    Outcome offer_issued(store::Tx&, const OfferIssued&) override { return {}; }
    Outcome melted(store::Tx&, const Melted&) override { return {}; }
    Outcome melt_failed(store::Tx&, std::string_view, const cashu::WalletError&) override {
        return {};
    }
    Outcome funded(store::Tx&, const Funded&) override { return {}; }
    Outcome fund_failed(store::Tx&, std::string_view, const cashu::WalletError&) override {
        return {};
    }
    Outcome consolidated(store::Tx&, const Consolidated&) override { return {}; }
    Outcome restored(store::Tx&, const Restored&) override { return {}; }
    Outcome lost(store::Tx&, const Lost&) override { return {}; }

    std::map<std::string, std::string> tokens;
};

// Somebody with a wallet. Not thread-safe.
class Customer {
public:
    explicit Customer(const Clock& clock, int seed = 99) : clock_{clock}, seed_{seed} {
        REQUIRE(cashu::Wallet::migrate(*database_));
    }

    // The node's mint is another object after a restart.
    void connect(Node& node) { connect(kPublicMint, node.mint); }
    void connect(OutsideMint& outside) { connect(outside.url, outside.mint); }
    void connect(const cashu::MintUrl& url, cashu::Mint& mint) {
        wallet_.reset();
        client_ = cashu::make_local_mint(mint);
        wallet_ = std::make_unique<cashu::Wallet>(
            *database_,
            std::vector<cashu::WalletMint>{{.url = url,
                                            .also_known_as = {},
                                            .token_url = url.text(),
                                            .client = client_.get()}},
            test_seed(seed_), books_, clock_, random_, metrics_);
    }

    void fund(FakeLightning& lightning, Msat amount) {
        const auto quote = wallet_->request_quote(wallet_->primary(), amount, "");
        REQUIRE(quote.has_value());
        const auto payment = parse_bolt11(quote->bolt11)->payment_hash;
        lightning.mark_paid(payment, amount);
        const auto settled = wallet_->settle_quote(payment);
        REQUIRE(settled.has_value());
        REQUIRE(settled->state == PaymentState::Settled);
    }

    std::string token(Msat amount) {
        const auto prepared = wallet_->prepare_send(amount, std::nullopt);
        REQUIRE(prepared.has_value());
        const std::string reference = "send:" + std::to_string(++operations_);
        const auto id =
            database_->transact([&](store::Tx& tx) -> Result<OperationId, cashu::WalletError> {
                return wallet_->begin_send(tx, **prepared, reference);
            });
        REQUIRE(id.has_value());
        REQUIRE(wallet_->execute(*id).has_value());
        return books_.tokens.at(reference);
    }

    // Redeems it at the mint: what it was worth, or nothing.
    Msat redeem(const std::string& text) {
        const auto token = wallet_->read_token(text);
        REQUIRE(token.has_value());
        const auto prepared = wallet_->prepare_receive(*token);
        REQUIRE(prepared.has_value());
        const std::string reference = "receive:" + std::to_string(++operations_);
        const auto id =
            database_->transact([&](store::Tx& tx) -> Result<OperationId, cashu::WalletError> {
                return wallet_->begin_receive(tx, **prepared, reference);
            });
        if (!id) return Msat{};
        return wallet_->execute(*id) ? wallet_->worth(**prepared) : Msat{};
    }

    cashu::Token parsed(const std::string& text) { return *wallet_->read_token(text); }

private:
    const Clock& clock_;
    const int seed_;
    crypto::SystemRandom random_;
    metrics::Registry metrics_;
    std::unique_ptr<store::Database> database_ =
        *store::open("sqlite::memory:", {.rehearses = true});
    NoBooks books_;
    std::unique_ptr<cashu::MintClient> client_;
    std::unique_ptr<cashu::Wallet> wallet_;
    int operations_ = 0;
};

// What there is besides the node and its mint.
struct Surroundings {
    std::vector<std::string> trusted = {};  // URLs of mints.
    std::vector<std::string> guests = {};
    std::uint64_t input_fee_ppk = 0;  // Of all these.
    bool node_pays = false;           // Its Lightning node pays for fundings.
    std::optional<Msat> exposure_max = std::nullopt;
    bool before_embedded = false;
};

struct World {
    explicit World(Receive over = Receive::OverMint, Cashier::Options options = {})
        : World{over, std::move(options), Surroundings{}} {}
    World(Receive over, Cashier::Options options, const Surroundings& around) : receives{over} {
        migrate_all(*database);
        const auto make = [&](const std::vector<std::string>& urls) {
            std::vector<OutsideMint*> made;
            for (const std::string& url : urls) {
                outside.push_back(std::make_unique<OutsideMint>(
                    url, lightning, clock, 50 + static_cast<int>(outside.size()),
                    around.input_fee_ppk));
                made.push_back(outside.back().get());
            }
            return made;
        };
        const Outside mints{.trusted = make(around.trusted),
                            .guests = make(around.guests),
                            .before_embedded = around.before_embedded};
        cashu::Wallet::Options wallet_options;
        wallet_options.exposure_max = around.exposure_max;
        if (around.node_pays) {
            wallet_options.payers = {&lightning};
            options.payers = {lightning.name()};
        }
        restart = [this, options, mints, wallet_options] {
            node.reset();
            node = std::make_unique<Node>(*database, lightning, clock, receives, options, mints,
                                          wallet_options);
            REQUIRE(node->start());
        };
        restart();
        customer.connect(*node);
    }
    ~World() { node->audit(); }
    World(const World&) = delete;
    World& operator=(const World&) = delete;

    std::string token(Msat amount) {
        customer.fund(lightning, amount);
        return customer.token(amount);
    }
    // By somebody new, of a mint elsewhere.
    std::string token_of(OutsideMint& mint, Msat amount) {
        Customer stranger{clock, 101 + strangers_++};
        stranger.connect(mint);
        stranger.fund(lightning, amount);
        return stranger.token(amount);
    }
    Cashier& cashier() { return *node->cashier; }
    Msat balance(const KeyId& key) { return node->balance(key); }
    KeyId key_of_token(Msat amount) {
        const auto deposit = cashier().deposit_token(token(amount), Bearer{});
        REQUIRE(deposit.has_value());
        return deposit->key;
    }
    Msat posted(const Account& account) {
        return *database->read([&](store::Reader& reader) -> Result<Msat, store::StoreFailure> {
            return node->ledger.balance(reader, account).posted;
        });
    }
    // As the proxy does for each request: hold the most, post the cost.
    HoldId begin_request(const KeyId& key, Msat most) {
        const auto hold = node->random.id<HoldId>();
        REQUIRE(database->transact([&](store::Tx& tx) -> Result<bool, CashierError> {
            TRY_VOID(node->ledger.hold(tx, {.id = hold,
                                            .payer = key_account(key),
                                            .amount = most,
                                            .deadline = clock.now() + Seconds{600}}));
            return true;
        }));
        return hold;
    }
    void end_request(const HoldId& hold, Msat cost) {
        REQUIRE(database->transact([&](store::Tx& tx) -> Result<bool, CashierError> {
            TRY_VOID(node->ledger.post(tx, hold, revenue_account(kRevenueRequests), cost));
            return true;
        }));
    }
    void charge(const KeyId& key, Msat cost) { end_request(begin_request(key, cost), cost); }

    FixedClock clock;
    FakeLightning lightning{clock};
    std::unique_ptr<store::Database> database =
        *store::open("sqlite::memory:", {.rehearses = true});
    std::vector<std::unique_ptr<OutsideMint>> outside;  // The trusted ones first.
    std::unique_ptr<Node> node;
    Customer customer{clock};
    Receive receives;               // By the configuration of the next process.
    std::function<void()> restart;  // Another process on what the last one left.

private:
    int strangers_ = 0;
};

}  // namespace nutgate::test
