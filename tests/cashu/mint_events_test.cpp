// What a mint pushes of its quotes, and what comes of it: a hint, never money.
#include "nutgate/cashu/mint_events.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <latch>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "client/subscription_text.h"
#include "nutgate/http/websocket.h"
#include "support/raw_server.h"
#include "support/wallet_world.h"
#include "support/websocket_peer.h"

using namespace nutgate;
using namespace nutgate::cashu;
using namespace nutgate::test;
using Json = nlohmann::json;

namespace {

constexpr Seconds kPatience{20};

QuoteId quote_id(const std::string& text) { return *QuoteId::parse(text); }

// A mint's side of NUT-17: takes subscriptions, tells of the present state at once, and then what a
// test has it tell. One thread reads and answers for each connection; telling is done under the
// same lock.
class PushingMint {
public:
    PushingMint()
        : server_{[this](RawSocket& socket, std::size_t number) { serve(socket, number); }} {}
    ~PushingMint() { drop(); }

    MintUrl url() const {
        return *MintUrl::parse("http://127.0.0.1:" + std::to_string(server_.port()) + "/base");
    }
    std::size_t accepted() const { return server_.accepted(); }

    // Whether the n-th connection comes; what the others had subscribed to is gone by then.
    bool is_connected(std::size_t times) {
        return wait([&] { return connected_ >= times; });
    }
    // Whether this many quotes, all in all, come to be subscribed to.
    bool has_filters(std::size_t count) {
        return wait([&] { return all_filters().size() == count; });
    }
    bool has_subscriptions(std::size_t count) {
        return wait([&] { return subscriptions_.size() == count; });
    }
    std::size_t largest() {
        const std::lock_guard lock{mutex_};
        std::size_t most = 0;
        for (const auto& [id, filters] : subscriptions_) most = std::max(most, filters.size());
        return most;
    }
    std::size_t requests() {
        const std::lock_guard lock{mutex_};
        return requests_;
    }
    std::string target() {
        const std::lock_guard lock{mutex_};
        return target_;
    }
    void tell(const std::string& quote, const std::string& state) {
        say(Json{{"jsonrpc", "2.0"},
                 {"method", "subscribe"},
                 {"params", {{"subId", "any"}, {"payload", {{"quote", quote}, {"state", state}}}}}}
                .dump());
    }
    void say(const std::string& text) {
        const std::lock_guard lock{mutex_};
        REQUIRE(socket_ != nullptr);
        socket_->send(frame_of(text));
    }
    void refuse_all() {
        const std::lock_guard lock{mutex_};
        refuses_ = true;
    }
    // Ends the connection; another may come.
    void drop() {
        const std::lock_guard lock{mutex_};
        if (socket_ != nullptr) ::shutdown(socket_->fd(), SHUT_RDWR);
    }

private:
    // Of a server: not masked. By hand, because the peer's own reads are going on meanwhile.
    static std::string frame_of(const std::string& text) {
        VERIFY(text.size() < 65'536);
        const auto size = static_cast<unsigned>(text.size());
        std::string frame{'\x81'};
        if (size < 126) {
            frame.push_back(static_cast<char>(size));
        } else {
            frame.push_back('\x7e');
            frame.push_back(static_cast<char>(size >> 8U));
            frame.push_back(static_cast<char>(size & 0xffU));
        }
        return frame + text;
    }
    void serve(RawSocket& socket, std::size_t) {
        WebSocketPeer peer{socket};
        if (!peer.accept()) return;
        {
            const std::lock_guard lock{mutex_};
            socket_ = &socket;
            target_ = peer.target();
            subscriptions_.clear();
            ++connected_;
            changed_.notify_all();
        }
        while (const auto text = peer.read()) answer(socket, Json::parse(*text));
        const std::lock_guard lock{mutex_};
        if (socket_ != &socket) return;
        socket_ = nullptr;
        subscriptions_.clear();
        changed_.notify_all();
    }
    void answer(RawSocket& socket, const Json& request) {
        const std::lock_guard lock{mutex_};
        if (socket_ != &socket) return;
        ++requests_;
        const auto& params = request.at("params");
        const std::string id = params.at("subId");
        Json answer{{"jsonrpc", "2.0"}, {"id", request.at("id")}};
        if (refuses_) {
            answer["error"] = {{"code", -32601}, {"message", "no"}};
        } else {
            answer["result"] = {{"status", "OK"}, {"subId", id}};
            change(request.at("method"), id, params);
        }
        socket.send(frame_of(answer.dump()));
        changed_.notify_all();
    }
    void change(const std::string& method, const std::string& id, const Json& params) {
        if (method == "unsubscribe") {
            CHECK(subscriptions_.erase(id) == 1);
            return;
        }
        CHECK(method == "subscribe");
        CHECK(params.at("kind") == "bolt11_mint_quote");
        for (const std::string filter : params.at("filters")) subscriptions_[id].insert(filter);
    }
    std::set<std::string> all_filters() const {
        std::set<std::string> all;
        for (const auto& [id, filters] : subscriptions_) all.insert(filters.begin(), filters.end());
        return all;
    }
    template <class Condition>
    bool wait(const Condition& condition) {
        std::unique_lock lock{mutex_};
        return changed_.wait_for(lock, kPatience, condition);
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    std::map<std::string, std::set<std::string>> subscriptions_;  // Guarded by mutex_, as is all.
    RawSocket* socket_ = nullptr;
    std::string target_;
    std::size_t requests_ = 0;
    std::size_t connected_ = 0;
    bool refuses_ = false;
    RawServer server_;  // Last: its threads use all above.
};

// What was hinted, as a listener has it.
class Hints {
public:
    std::function<void(const QuoteId&)> listener() {
        return [this](const QuoteId& quote) {
            const std::lock_guard lock{mutex_};
            ++counts_[quote.text()];
            changed_.notify_all();
        };
    }
    bool come(const std::string& quote, int times = 1) {
        std::unique_lock lock{mutex_};
        return changed_.wait_for(lock, kPatience, [&] { return counts_[quote] >= times; });
    }
    int count(const std::string& quote) {
        const std::lock_guard lock{mutex_};
        return counts_[quote];
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::map<std::string, int> counts_;  // Guarded by mutex_.
};

struct World {
    explicit World(const MintUrl& mint, MintEventsOptions options = {}) {
        options.backoff_first = Milliseconds{5};
        options.backoff_max = Milliseconds{20};
        events = make_mint_events(mint, sockets, options, metrics);
        REQUIRE(events);
        events->on_hint(hints.listener());
    }
    bool shows(const std::string& name, int value) const {
        const auto text = metrics.text();
        const auto at = text.find("\n" + name + "{");
        const auto end = text.find('\n', at + 1);
        return at != std::string::npos &&
               text.substr(at, end - at).ends_with("} " + std::to_string(value));
    }

    Hints hints;
    metrics::Registry metrics;
    http::WebSockets sockets{{}, metrics};
    std::unique_ptr<MintEvents> events;
};

}  // namespace

TEST_CASE("mint events: the text of a subscription is NUT-17's") {
    CHECK_EQ(Json::parse(write_subscribe(7, 3, {"a", "b"})),
             Json::parse(R"({"jsonrpc":"2.0","id":7,"method":"subscribe","params":{
                 "kind":"bolt11_mint_quote","subId":"quotes-3","filters":["a","b"]}})"));
    CHECK_EQ(Json::parse(write_unsubscribe(8, 3)),
             Json::parse(R"({"jsonrpc":"2.0","id":8,"method":"unsubscribe",
                 "params":{"subId":"quotes-3"}})"));
}

TEST_CASE("mint events: what a mint sends is read, and what is no message of NUT-17 is not") {
    using Kind = MintMessage::Kind;
    CHECK(parse_mint_message(R"({"jsonrpc":"2.0","result":{"status":"OK","subId":"x"},"id":0})")
              ->kind == Kind::Taken);
    CHECK(parse_mint_message(R"({"jsonrpc":"2.0","error":{"code":-32601,"message":"m"},"id":"1"})")
              ->kind == Kind::Refused);
    const auto told = parse_mint_message(
        R"({"jsonrpc":"2.0","method":"subscribe","params":{"subId":"x","payload":{"quote":"q",
            "request":"lnbc1","state":"PAID","expiry":null,"more":[1]}}})");
    REQUIRE(told);
    CHECK(told->kind == Kind::Notification);
    CHECK(told->quote == "q");
    for (const std::string bad :
         {"", "x", "[]", "1", "null", "{", "{}", R"({"method":"other","params":{}})",
          R"({"method":"subscribe"})", R"({"method":"subscribe","params":"{}"})",
          R"({"method":"subscribe","params":{"payload":[]}})",
          R"({"method":"subscribe","params":{"payload":{"quote":1}}})",
          R"({"method":"subscribe","params":{"payload":{"Y":"02","state":"SPENT"}}})",
          R"({"method":["subscribe"],"params":{"payload":{"quote":"q"}}})"}) {
        CAPTURE(bad);
        CHECK_FALSE(parse_mint_message(bad));
    }
    CHECK_FALSE(parse_mint_message(R"({"method":"subscribe","params":{"payload":{"quote":")" +
                                   std::string(257, 'q') + R"("}}})"));
    CHECK_FALSE(parse_mint_message(std::string(100'000, '[')));
}

TEST_CASE("mint events: a notification becomes a hint within the second") {
    PushingMint mint;
    World world{mint.url()};
    world.events->watch(quote_id("q1"));
    REQUIRE(mint.has_filters(1));
    CHECK_EQ(mint.target(), "/base/v1/ws");
    const auto told = std::chrono::steady_clock::now();
    mint.tell("q1", "PAID");
    REQUIRE(world.hints.come("q1"));
    // Nobody polls here, so it was the push. On a starved machine it may take longer.
    WARN(std::chrono::steady_clock::now() - told < Seconds{1});
}

TEST_CASE("mint events: nobody hears of the same thing twice, nor of quotes that nobody watches") {
    PushingMint mint;
    World world{mint.url()};
    world.events->watch(quote_id("q1"));
    world.events->watch(quote_id("q2"));
    REQUIRE(mint.has_filters(2));
    mint.tell("q1", "UNPAID");
    mint.tell("q1", "UNPAID");
    mint.tell("stranger", "PAID");
    REQUIRE(world.hints.come("q1"));
    mint.tell("q1", "PAID");
    REQUIRE(world.hints.come("q1", 2));
    world.events->forget(quote_id("q1"));
    REQUIRE(mint.has_filters(2));  // Of one subscription; the filter stays in it.
    mint.tell("q1", "ISSUED");
    mint.tell("q2", "PAID");
    REQUIRE(world.hints.come("q2"));
    CHECK_EQ(world.hints.count("q1"), 2);
    CHECK_EQ(world.hints.count("stranger"), 0);
    world.events->forget(quote_id("q2"));
    CHECK(mint.has_subscriptions(0));
    CHECK(world.shows("nutgate_mint_events_watched", 0));
}

TEST_CASE("mint events: after a reconnect all that is watched is subscribed to again, in batches") {
    PushingMint mint;
    World world{mint.url(), {.filters_max = 10, .subscriptions_max = 5}};
    for (int i = 0; i < 25; ++i) world.events->watch(quote_id("q" + std::to_string(i)));
    REQUIRE(mint.has_filters(25));
    CHECK(mint.largest() <= 10);
    mint.drop();
    REQUIRE(mint.is_connected(2));
    REQUIRE(mint.has_subscriptions(3));
    REQUIRE(mint.has_filters(25));
    CHECK_EQ(mint.largest(), 10);
    CHECK_EQ(mint.accepted(), 2);
    mint.tell("q24", "PAID");
    CHECK(world.hints.come("q24"));
}

TEST_CASE("mint events: many quotes are few subscriptions, and what is too much is not watched") {
    PushingMint mint;
    World world{mint.url(), {.filters_max = 10, .subscriptions_max = 5}};
    for (int i = 0; i < 60; ++i) world.events->watch(quote_id("q" + std::to_string(i)));
    REQUIRE(mint.has_filters(50));
    CHECK(mint.has_subscriptions(5));
    CHECK(world.shows("nutgate_mint_events_watched", 50));
    CHECK(world.shows("nutgate_mint_events_unwatched_total", 10));
    // A quote is subscribed to anew a few times at most: with each of 60, that would be 1830 lines.
    CHECK(mint.requests() < 200);
    // There is room again once others have gone.
    for (int i = 0; i < 50; i += 2) world.events->forget(quote_id("q" + std::to_string(i)));
    for (int i = 100; i < 110; ++i) world.events->watch(quote_id("q" + std::to_string(i)));
    mint.drop();
    REQUIRE(mint.is_connected(2));
    REQUIRE(mint.has_filters(35));
    mint.tell("q109", "PAID");
    CHECK(world.hints.come("q109"));
}

TEST_CASE("mint events: bad messages are counted, and do no harm") {
    PushingMint mint;
    World world{mint.url()};
    world.events->watch(quote_id("q1"));
    REQUIRE(mint.has_filters(1));
    for (const char* bad : {"x", "{}", "[]", R"({"method":"subscribe","params":[]})"})
        mint.say(bad);
    mint.say(R"({"jsonrpc":"2.0","error":{"code":-1,"message":"too many"},"id":99})");
    mint.tell("q1", "PAID");
    REQUIRE(world.hints.come("q1"));
    CHECK(world.shows("nutgate_mint_events_bad_total", 4));
    CHECK_EQ(mint.accepted(), 1);
}

TEST_CASE("mint events: a mint without NUT-17 is asked once, and then left alone") {
    for (const char* status : {"404 Not Found", "405 X", "501 X", "200 OK", "301 X", "403 X"}) {
        CAPTURE(status);
        std::latch is_asked{1};
        RawServer server{[&](RawSocket& socket, std::size_t number) {
            RawServer::read_request(socket);
            socket.send("HTTP/1.1 " + std::string{status} + "\r\nContent-Length: 0\r\n\r\n");
            if (number == 0) is_asked.count_down();
        }};
        World world{*MintUrl::parse(server.url())};
        world.events->watch(quote_id("q1"));
        is_asked.wait();
        // Long enough for another attempt, were there one: the next of these would come first.
        std::mutex mutex;
        std::condition_variable never;
        std::unique_lock lock{mutex};
        never.wait_for(lock, Milliseconds{150}, [&] { return server.accepted() > 1; });
        CHECK_EQ(server.accepted(), 1);
    }
}

TEST_CASE("mint events: a mint that takes no subscription is left alone") {
    PushingMint mint;
    mint.refuse_all();
    World world{mint.url()};
    world.events->watch(quote_id("q1"));
    const auto closed = [&] {
        return world.metrics.text().find("why=\"by_us\"} 1") != std::string::npos;
    };
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (!closed() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
    CHECK(closed());
    CHECK_EQ(mint.accepted(), 1);
}

TEST_CASE(
    "mint events: a socket that fails five times in a row is left alone, and tried again later") {
    std::latch five{5};
    std::latch six{6};
    RawServer server{[&](RawSocket& socket, std::size_t number) {
        RawServer::read_request(socket);
        if (number < 5) five.count_down();
        if (number < 6) six.count_down();
        socket.send("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n");
    }};
    const MintUrl url = *MintUrl::parse(server.url());
    {
        World world{url};
        five.wait();
        std::mutex mutex;
        std::condition_variable never;
        std::unique_lock lock{mutex};
        never.wait_for(lock, Milliseconds{150}, [&] { return server.accepted() > 5; });
        CHECK_EQ(server.accepted(), 5);
    }
    World again{url, {.rest = Milliseconds{30}}};
    six.wait();
    CHECK(server.accepted() >= 6);
}

TEST_CASE("mint events: after stop no hint comes, and nothing more is watched") {
    PushingMint mint;
    World world{mint.url()};
    world.events->watch(quote_id("q1"));
    REQUIRE(mint.has_filters(1));
    world.events->stop();
    world.events->watch(quote_id("q2"));
    mint.tell("q1", "PAID");
    world.sockets.stop();
    CHECK_EQ(world.hints.count("q1"), 0);
}

namespace {

// A wallet whose mint answers by call and pushes by socket, as one.
struct Node {
    Node() {
        make();
        world.mint.set_away(false);
    }
    void make() {
        lightning.reset();
        events = make_mint_events(mint.url(), sockets, {.backoff_first = Milliseconds{5}}, metrics);
        REQUIRE(events);
        lightning =
            make_mint_lightning(*world.wallet, *MintUrl::parse(kFakeMintUrl), Network::Regtest,
                                *world.database, MintHints{*events, world.clock});
        lightning->on_change([this](const PaymentHash& payment) {
            // As the cashier does: the hint's only effect is that somebody asks.
            const auto asked = lightning->incoming(payment);
            const std::lock_guard lock{mutex};
            if (asked) states[payment] = asked->state;
            ++hints;
            changed.notify_all();
        });
    }
    Invoice invoice(std::int64_t amount, const std::string& label) {
        const auto made = lightning->create_invoice(
            {.amount = sats(amount), .memo = "", .expiry = Seconds{3600}, .label = label});
        REQUIRE(made);
        return *made;
    }
    std::string quote_of(const PaymentHash& payment) {
        return world.database
            ->read([&](store::Reader& reader) -> Result<std::string, store::StoreFailure> {
                return reader
                    .query_one("SELECT quote FROM wallet_quote WHERE payment_hash = $1", payment)
                    ->text(0);
            })
            .value();
    }
    bool is(const PaymentHash& payment, PaymentState state) {
        std::unique_lock lock{mutex};
        return changed.wait_for(lock, kPatience, [&] {
            return states.contains(payment) && states.at(payment) == state;
        });
    }

    WalletWorld world;
    PushingMint mint;
    std::mutex mutex;
    std::condition_variable changed;
    std::map<PaymentHash, PaymentState> states;  // Guarded by mutex, as is hints.
    int hints = 0;
    metrics::Registry metrics;
    http::WebSockets sockets{{}, metrics};
    std::unique_ptr<MintEvents> events;
    std::unique_ptr<LightningBackend> lightning;
};

}  // namespace

TEST_CASE("mint lightning: a push makes a paid invoice ecash within the second, without a poll") {
    Node node;
    const auto invoice = node.invoice(21, "a");
    REQUIRE(node.mint.has_filters(1));
    node.world.mint.pay(invoice.hash);
    const auto told = std::chrono::steady_clock::now();
    node.mint.tell(node.quote_of(invoice.hash), "PAID");
    REQUIRE(node.is(invoice.hash, PaymentState::Settled));
    // Nobody polls here, so it was the push. On a starved machine it may take longer.
    WARN(std::chrono::steady_clock::now() - told < Seconds{1});
    CHECK_EQ(node.world.available(), sats(21));
    CHECK(node.mint.has_subscriptions(0));  // It is over, and forgotten.
    node.world.audit();
}

TEST_CASE("mint lightning: a push that lies credits nothing") {
    Node node;
    const auto invoice = node.invoice(21, "a");
    REQUIRE(node.mint.has_filters(1));
    node.mint.tell(node.quote_of(invoice.hash), "PAID");
    REQUIRE(node.is(invoice.hash, PaymentState::Pending));
    CHECK_EQ(node.world.available(), Msat{});
    CHECK(node.world.told("issued").empty());
    // And is still listened for.
    node.world.mint.pay(invoice.hash);
    node.mint.tell(node.quote_of(invoice.hash), "ISSUED");
    REQUIRE(node.is(invoice.hash, PaymentState::Settled));
    CHECK_EQ(node.world.available(), sats(21));
    node.world.audit();
}

TEST_CASE("mint lightning: a new process listens for what the one before was waiting for") {
    Node node;
    const auto open = node.invoice(21, "open");
    const auto paid = node.invoice(5, "paid");
    node.world.mint.pay(paid.hash);
    CHECK_EQ(node.lightning->incoming(paid.hash)->state, PaymentState::Settled);
    node.world.clock.advance(Seconds{1800});
    node.make();
    REQUIRE(node.mint.is_connected(2));
    REQUIRE(node.mint.has_filters(1));
    node.world.mint.pay(open.hash);
    node.mint.tell(node.quote_of(open.hash), "PAID");
    REQUIRE(node.is(open.hash, PaymentState::Settled));
    CHECK_EQ(node.world.available(), sats(26));
    node.world.audit();
}

TEST_CASE(
    "mint lightning: an invoice long expired is listened for no more; a poll still finds it") {
    Node node;
    const auto old = node.invoice(21, "old");
    REQUIRE(node.mint.has_filters(1));
    node.world.clock.advance(Seconds{3600 + 3600 + 1});
    const auto young = node.lightning->create_invoice(
        {.amount = sats(5), .memo = "", .expiry = Seconds{3600}, .label = "young"});
    REQUIRE(young);
    node.mint.drop();
    REQUIRE(node.mint.is_connected(2));
    REQUIRE(node.mint.has_filters(1));
    node.mint.tell(node.quote_of(old.hash), "PAID");
    node.mint.tell(node.quote_of(young->hash), "UNPAID");
    REQUIRE(node.is(young->hash, PaymentState::Pending));
    CHECK_EQ(node.hints, 1);
    node.world.mint.pay(old.hash);
    CHECK_EQ(node.lightning->incoming(old.hash)->state, PaymentState::Settled);
    CHECK_EQ(node.world.available(), sats(21));
    node.world.audit();
}
