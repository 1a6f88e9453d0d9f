// A gateway over real books, with clients and upstreams that do what a test says.
#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <doctest/doctest.h>

#include <atomic>
#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "nutgate/cashier/books.h"
#include "nutgate/keyring/keyring.h"
#include "nutgate/ledger/ledger.h"
#include "nutgate/proxy/gateway.h"
#include "nutgate/proxy/usage_rows.h"
#include "nutgate/store/open.h"
#include "support/fixed_clock.h"
#include "support/seeded_random.h"
#include "support/temp_dir.h"

namespace nutgate::test {

inline Secret test_seed() { return Secret{Bytes(64, std::byte{7})}; }

// Runs coroutines to their end on so many threads.
inline void run_all(std::vector<std::function<http::Task<void>()>> tasks, int threads = 1) {
    boost::asio::io_context context{threads};
    std::atomic<std::size_t> left = tasks.size();
    for (auto& task : tasks) {
        boost::asio::co_spawn(context, task(), [&](const std::exception_ptr& failure) {
            if (failure) std::rethrow_exception(failure);
            // Pooled connections would keep the loop running.
            if (--left == 0) context.stop();
        });
    }
    std::vector<std::jthread> workers;
    for (int i = 1; i < threads; ++i) workers.emplace_back([&context] { context.run(); });
    context.run();
}

inline http::Task<void> for_ever() {
    boost::asio::steady_timer timer{co_await boost::asio::this_coro::executor};
    timer.expires_at(boost::asio::steady_timer::time_point::max());
    co_await timer.async_wait(http::use_task);
}

// Until the call is abandoned, which cuts it, or its coroutine is cancelled.
inline http::Task<void> silence(http::Abandonment* abandonment) {
    boost::asio::steady_timer timer{co_await boost::asio::this_coro::executor};
    timer.expires_at(boost::asio::steady_timer::time_point::max());
    if (abandonment == nullptr || !abandonment->is_abandoned()) {
        if (abandonment != nullptr) abandonment->set_cut([&timer] { timer.cancel(); });
        co_await timer.async_wait(boost::asio::as_tuple(http::use_task));
        if (abandonment != nullptr) abandonment->set_cut(nullptr);
    }
}

// A client: keeps what it is sent, and leaves when it is told to.
class FakeExchange final : public http::Exchange {
public:
    explicit FakeExchange(http::Request request) : request_{std::move(request)} {}

    const http::Request& request() const override { return request_; }
    http::Task<bool> respond(http::Response response) override {
        REQUIRE_FALSE(answered);
        answered = true;
        status = response.status;
        headers = std::move(response.headers);
        body = std::move(response.body);
        ended = true;
        co_return !left_;
    }
    http::Task<bool> begin(http::Response response) override {
        REQUIRE_FALSE(answered);
        answered = true;
        status = response.status;
        headers = std::move(response.headers);
        co_return take(response.body);
    }
    http::Task<bool> write(std::string_view piece) override {
        REQUIRE(answered);
        co_return take(piece);
    }
    http::Task<bool> end(std::string_view last_piece) override {
        REQUIRE(answered);
        REQUIRE_FALSE(ended);
        ended = true;
        co_return take(last_piece);
    }
    http::Task<void> client_gone() override { co_await for_ever(); }
    void on_client_gone(std::function<void()> gone) override {
        gone_ = std::move(gone);
        if (left_ && gone_) gone_();
    }
    // Time passes when a test says so.
    void set_alarm(Milliseconds delay, std::function<void()> ring) override {
        alarm = delay;
        ring_ = std::move(ring);
    }

    // Told from within an upstream's script, so on the exchange's own thread.
    void leave() {
        left_ = true;
        if (gone_) gone_();
    }
    // The time that the alarm was set for is over.
    void ring() {
        REQUIRE(ring_);
        std::exchange(ring_, nullptr)();
    }

    bool answered = false;
    bool ended = false;
    int status = 0;
    http::Headers headers;
    std::string body;
    std::optional<std::size_t> leave_after_bytes;
    Milliseconds alarm{};

private:
    bool take(std::string_view piece) {
        if (left_) return false;
        body += piece;
        if (leave_after_bytes && body.size() >= *leave_after_bytes) leave();
        return !left_;
    }

    http::Request request_;
    bool left_ = false;
    std::function<void()> gone_;
    std::function<void()> ring_;
};

// What an upstream does next: sends a piece, fails, is silent until it is cancelled, or does
// something and goes on.
struct Silence {};
using Step = std::variant<std::string, http::UpstreamFailure, Silence, std::function<void()>>;

struct Script {
    int status = 200;
    http::Headers headers{{"Content-Type", "application/json"}};
    std::vector<Step> steps;
    std::optional<http::UpstreamFailure> failure;  // In place of any answer.
    std::function<void()> before_head;
    bool silent_head = false;  // It never comes: until the call is abandoned or cancelled.
    bool is_our_own = false;   // Refused by what stands before the upstream.
};

inline Script json_script(std::string body, int status = 200) {
    Script script;
    script.status = status;
    script.steps.emplace_back(std::move(body));
    return script;
}
inline Script sse_script(std::vector<Step> steps) {
    Script script;
    script.headers.set("Content-Type", "text/event-stream");
    script.steps = std::move(steps);
    return script;
}

class FakeUpstream final : public proxy::Upstream {
public:
    // Serves everything, unless a test says otherwise before its node is made.
    explicit FakeUpstream(std::string name = "fake") {
        traits_.name = std::move(name);
        for (const proxy::Endpoint endpoint : proxy::kAllEndpoints) traits_.endpoints.add(endpoint);
    }

    const proxy::UpstreamTraits& traits() const override { return traits_; }
    proxy::UpstreamTraits& traits() { return traits_; }

    http::Task<Result<std::unique_ptr<http::UpstreamAnswer>, http::UpstreamFailure>> call(
        proxy::UpstreamCall call) override {
        {
            const std::lock_guard lock{mutex_};
            bodies_.push_back(call.body);
            calls_.push_back({call.endpoint, call.content_type, call.betas, call.stream});
        }
        if (script.before_head) script.before_head();
        if (script.silent_head) {
            co_await silence(call.abandonment);
            if (call.abandonment->is_abandoned()) co_return fail(http::UpstreamFailure::Broken);
            co_await for_ever();  // Cancelled: does not begin.
        }
        if (script.failure) co_return fail(*script.failure);
        co_return std::make_unique<Answer>(*this, call.abandonment);
    }

    std::vector<std::string> bodies() const {
        const std::lock_guard lock{mutex_};
        return bodies_;
    }
    // What it was asked for besides, in the same order.
    struct Call {
        proxy::Endpoint endpoint;
        std::string content_type;
        std::string betas;
        bool stream;
    };
    std::vector<Call> calls() const {
        const std::lock_guard lock{mutex_};
        return calls_;
    }

    Script script;
    std::atomic<int> steps_done = 0;

private:
    class Answer final : public http::UpstreamAnswer {
    public:
        Answer(FakeUpstream& upstream, http::Abandonment* abandonment)
            : upstream_{upstream}, script_{upstream.script}, abandonment_{abandonment} {}
        int status() const override { return script_.status; }
        const http::Headers& headers() const override { return script_.headers; }
        bool is_our_own() const override { return script_.is_our_own; }
        http::Task<Result<std::string_view, http::UpstreamFailure>> read() override {
            while (next_ < script_.steps.size()) {
                const Step& step = script_.steps[next_++];
                ++upstream_.steps_done;
                if (const auto* act = std::get_if<std::function<void()>>(&step)) {
                    (*act)();
                    continue;
                }
                if (abandonment_ != nullptr && abandonment_->is_abandoned()) {
                    co_return fail(http::UpstreamFailure::Broken);
                }
                if (std::holds_alternative<Silence>(step)) {
                    co_await silence(abandonment_);
                    if (abandonment_->is_abandoned()) co_return fail(http::UpstreamFailure::Broken);
                    co_await for_ever();  // Cancelled: does not begin.
                }
                if (const auto* failure = std::get_if<http::UpstreamFailure>(&step)) {
                    co_return fail(*failure);
                }
                co_return std::string_view{std::get<std::string>(step)};
            }
            if (abandonment_ != nullptr && abandonment_->is_abandoned()) {
                co_return fail(http::UpstreamFailure::Broken);
            }
            co_return std::string_view{};
        }

    private:
        FakeUpstream& upstream_;
        const Script script_;
        http::Abandonment* abandonment_;
        std::size_t next_ = 0;
    };

    proxy::UpstreamTraits traits_;
    mutable std::mutex mutex_;
    std::vector<std::string> bodies_;
    std::vector<Call> calls_;
};

// Wraps a database whose submitted bodies can be made to fail.
class FaultyDatabase final : public store::Database {
public:
    enum class Fault { Fails, Lies };
    explicit FaultyDatabase(store::Database& inner) : inner_{inner} {}
    void submit(std::function<bool(store::Tx&)> body, Done done) override {
        if (const auto act = std::exchange(before_submit, nullptr)) act();
        const bool now = at_ > 0 && --at_ == 0;
        if (failing || (now && fault_ == Fault::Fails)) {
            return done(store::StoreFailure{"made to fail"});
        }
        if (!lying && !(now && fault_ == Fault::Lies)) {
            return inner_.submit(std::move(body), std::move(done));
        }
        inner_.submit(std::move(body), [done = std::move(done)](const auto&) {
            done(store::StoreFailure{"said to have failed"});
        });
    }
    Result<void, store::StoreFailure> copy_to(const std::string& path) override {
        return inner_.copy_to(path);
    }
    std::atomic<bool> failing = false;
    std::function<void()> before_submit;  // Once. On the submitter's thread, who holds no lock.
    std::atomic<bool> lying = false;      // Commits, and says that it did not.
    // Does so with the n-th submission from now on, and with no other.
    void fault_at(int n, Fault fault) {
        fault_ = fault;
        at_ = n;
    }
    bool came_so_far() const { return at_ <= 0; }

private:
    void run_transaction(const std::function<bool(store::Tx&)>&) override { VERIFY(false); }
    void run_read(const std::function<void(store::Reader&)>&) override { VERIFY(false); }
    store::Database& inner_;
    std::atomic<Fault> fault_ = Fault::Fails;
    std::atomic<int> at_ = 0;
};

class Node {
public:
    explicit Node(proxy::Price price = default_price(), std::vector<proxy::Model> more = {})
        : Node{"", price, std::move(more)} {}
    // `url`: of another database than a file of its own.
    explicit Node(const std::string& url, proxy::Price price = default_price(),
                  std::vector<proxy::Model> more = {})
        : database{
              store::open(url.empty() ? dir.database_url() : url, {.rehearses = true}).value()} {
        REQUIRE(Ledger::migrate(*database));
        REQUIRE(Keyring::migrate(*database));
        REQUIRE(proxy::migrate_usage(*database));
        proxy::Model model{.id = *ModelId::parse("small"),
                           .context = 4096,
                           .output_max = 512,
                           .price = price,
                           .upstreams = {&upstream, &second}};
        model.upstream_model = "Vendor/Small-1B";
        more.insert(more.begin(), std::move(model));
        proxy::Model vectors{.id = *ModelId::parse("vectors"),
                             .context = 512,
                             .output_max = 1,
                             .price = price,
                             .upstreams = {&upstream}};
        vectors.endpoints = {proxy::Endpoint::Embeddings};
        more.push_back(std::move(vectors));
        models.emplace(proxy::Models::make(std::move(more), std::nullopt).value());
        open();
    }
    // Whatever a test did: the books add up, and nothing is held for a request that has ended.
    ~Node() {
        close();
        const auto report = audit();
        CHECK(report.faults == std::vector<std::string>{});
        CHECK(report.holds_open == 0);
        CHECK(usage_faults() == std::vector<std::string>{});
    }
    Node(const Node&) = delete;
    Node& operator=(const Node&) = delete;

    static proxy::Price default_price() {
        return proxy::Price::make(proxy::MsatPrices{.input_per_1k = 200, .output_per_1k = 600})
            .value();
    }

    void open() {
        till = std::make_unique<proxy::Till>(
            proxy::Till::Books{*till_database, ledger, keyring, clock, random, keeps_usage},
            till_options, metrics);
        gateway = std::make_unique<proxy::Gateway>(
            proxy::Gateway::Services{keyring, *till, redeemer, *models, clock, metrics, row_names},
            options);
    }
    // As a node starts: rows are kept from here on, or none are.
    void keep_usage(bool keeps = true) {
        close();
        keeps_usage = keeps;
        REQUIRE(database->transact([&](store::Tx& tx) -> Result<bool, LedgerOrStore> {
            proxy::keep_usage(tx, keeps, ledger.newest(tx));
            return true;
        }));
        row_names = proxy::UsageRowNames::intern(*database, *models).value();
        open();
    }
    std::vector<std::string> usage_faults() {
        return database
            ->read([&](store::Reader& reader)
                       -> Result<std::vector<std::string>, store::StoreFailure> {
                return proxy::audit_usage(reader, ledger,
                                          {AccountKind::Revenue, std::string{kRevenueRequests}}, 1);
            })
            .value();
    }
    // As a node that stops: what is on its way arrives.
    void close() {
        gateway.reset();
        till.reset();
    }

    AuditReport audit() {
        return database
            ->read([&](store::Reader& reader) -> Result<AuditReport, store::StoreFailure> {
                return ledger.audit(reader, Ledger::Depth::Full);
            })
            .value();
    }

    KeyId make_key(Msat balance, KeyLimits limits = {}, std::optional<KeyId> parent = {}) {
        const KeyId key = Keyring::random_id(random);
        const auto made = database->transact([&](store::Tx& tx) -> Result<KeyId, LedgerOrStore> {
            REQUIRE(keyring.create(
                tx, {.id = key, .parent = parent, .limits = limits, .refund_mint = ""}));
            if (balance > Msat{}) {
                TRY(const auto applied,
                    ledger.transfer(tx, {.id = TransferId{random.bytes<32>()},
                                         .debit = {AccountKind::Ecash, "test:sat"},
                                         .credit = key_account(key),
                                         .amount = balance}));
                REQUIRE(applied == Applied::Now);
            }
            return key;
        });
        REQUIRE(made);
        return key;
    }

    Balance balance(const KeyId& key) {
        return database
            ->read([&](store::Reader& reader) -> Result<Balance, store::StoreFailure> {
                return ledger.balance(reader, key_account(key));
            })
            .value();
    }
    KeyRecord record(const KeyId& key) {
        return database
            ->read([&](store::Reader& reader) -> Result<KeyRecord, store::StoreFailure> {
                return keyring.find(reader, key).value();
            })
            .value();
    }

    http::Request request(const KeyId& key, std::string body) {
        http::Request made;
        made.method = http::Method::Post;
        made.path = "/v1/chat/completions";
        made.headers.add("Authorization", "Bearer " + keyring.text_of(key));
        made.body = std::move(body);
        made.request_id = "req-1";
        return made;
    }

    // The same without a key, for whoever sends it in a way of its own.
    http::Request anonymous(std::string body) {
        http::Request made;
        made.method = http::Method::Post;
        made.body = std::move(body);
        made.request_id = "req-1";
        return made;
    }

    // One request from its beginning to its end, its charge in the books.
    void serve(FakeExchange& client, proxy::Endpoint endpoint = proxy::Endpoint::Chat) {
        serve_on(client, endpoint);
        settle();
    }
    // The same by a node that stays: what it has in memory, it keeps.
    void serve_on(FakeExchange& client, proxy::Endpoint endpoint = proxy::Endpoint::Chat) {
        run_all({[&] { return gateway->serve(client, endpoint); }});
    }
    // Waits for the charges that are on their way, as a restart would.
    void settle() {
        close();
        open();
    }

    struct LedgerOrStore {
        LedgerOrStore(LedgerError) {}          // NOLINT: implicit, for TRY.
        LedgerOrStore(store::StoreFailure) {}  // NOLINT
    };

    TempDir dir;
    FixedClock clock;
    SeededRandom random;
    metrics::Registry metrics;
    std::unique_ptr<store::Database> database;
    FaultyDatabase faulty{*database};
    store::Database* till_database = &faulty;
    Ledger ledger{clock};
    Keyring keyring{test_seed(), clock};
    FakeUpstream upstream;
    FakeUpstream second{"second"};
    proxy::TokenRedeemer* redeemer = nullptr;
    bool keeps_usage = false;
    proxy::UsageRowNames row_names;
    std::optional<proxy::Models> models;
    proxy::Gateway::Options options;
    proxy::Till::Options till_options;
    std::unique_ptr<proxy::Till> till;
    std::unique_ptr<proxy::Gateway> gateway;
};

}  // namespace nutgate::test
