// Streams that begin before all they can cost is held: what is held grows ahead of them, and where
// the balance can't follow they end cleanly, charged for what came.
#include <nlohmann/json.hpp>

#include <algorithm>

#include "dialogue.h"
#include "elastic_world.h"
#include "till_customer.h"

using namespace nutgate;
using namespace nutgate::test;
using nlohmann::json;

namespace {

constexpr const char* kAskTwo =
    R"({"model":"small","messages":[{"role":"user","content":"Hi there"}],"stream":true,"n":2})";
// A token, by its bytes and by its delta.
const std::string kToken = delta("abcd");

// 3 tokens of prompt, and those.
Msat charge_for(std::int64_t output) {
    return proxy::cost_of(Node::default_price(), {.in_uncached = 3, .out_text = output})
        .value()
        .total;
}

std::vector<json> events(const std::string& body) {
    std::vector<json> found;
    for (std::size_t at = 0; (at = body.find("data: {", at)) != std::string::npos; ++at) {
        found.push_back(json::parse(body.substr(at + 6, body.find("\n\n", at) - at - 6)));
    }
    return found;
}

std::vector<Step> tokens(int n) { return std::vector<Step>(static_cast<std::size_t>(n), kToken); }

// A stream that the balance ended: its ends, its charge and why, and nothing after one [DONE].
void check_stopped(const FakeExchange& client, const std::vector<std::int64_t>& cut, Msat charged,
                   const std::string& why = "insufficient_balance") {
    CHECK(client.status == 200);
    CHECK(client.ended);
    CHECK(client.body.ends_with("\n\n" + kDone));
    CHECK(count(client.body, "[DONE]") == 1);
    const auto said = events(client.body);
    REQUIRE(said.size() > cut.size());
    for (std::size_t i = 0; i < cut.size(); ++i) {
        const json& chunk = said[said.size() - 1 - cut.size() + i];
        CHECK(chunk["object"] == "chat.completion.chunk");
        REQUIRE(chunk["choices"].size() == 1);
        CHECK(chunk["choices"][0]["index"] == cut[i]);
        CHECK(chunk["choices"][0]["finish_reason"] == "length");
        CHECK(chunk["choices"][0]["delta"] == json::object());
    }
    CHECK(count(client.body, R"("finish_reason":"length")") ==
          static_cast<std::int64_t>(cut.size()));
    const json& last = said.back();
    CHECK(last["choices"] == json::array());
    CHECK(last["usage"]["cost"]["total_msats"] == charged.raw());
    CHECK(last["usage"]["cost"]["stopped"] == why);
    CHECK(last["metadata"]["routstr"]["stopped"] == why);
}

}  // namespace

TEST_CASE("elastic: a stream begins when its prompt and a slice are covered, and is not cut") {
    Node node;
    set_slice(node);
    auto steps = tokens(10);
    steps.insert(steps.end(), {kFinish, kUsage, kDone});
    node.upstream.script = sse_script(steps);
    const Msat least = covering(kAskStream, kSlice);
    REQUIRE(least < covering(kAskStream, 512));
    const KeyId key = node.make_key(least);
    FakeExchange client{node.request(key, kAskStream)};
    node.serve(client);
    CHECK(client.status == 200);
    CHECK(count(client.body, "abcd") == 10);
    CHECK(events(client.body).back()["usage"]["cost"]["total_msats"] == 16);
    CHECK_FALSE(events(client.body).back()["usage"]["cost"].contains("stopped"));
    CHECK(stopped(node) == 0);

    const KeyId poor = node.make_key(*subtract(least, 1_msat));
    FakeExchange refused{node.request(poor, kAskStream)};
    node.serve(refused);
    CHECK(refused.status == 402);
    CHECK(json::parse(refused.body)["detail"]["amount_required_msat"] == least.raw());
}

TEST_CASE("elastic: what is held of a stream grows ahead of it, and nothing is lost or left") {
    Node node;
    set_slice(node);
    const KeyId key = node.make_key(100'000_msat);
    Msat held;
    auto steps = tokens(200);
    steps.insert(steps.begin() + 100, [&] { held = node.till->view(key).open; });
    const std::string said =
        R"(data: {"id":"c1","choices":[],"usage":{"prompt_tokens":40,"completion_tokens":200}})"
        "\n\n";
    steps.insert(steps.end(), {kFinish, said, kDone});
    node.upstream.script = sse_script(steps);
    FakeExchange client{node.request(key, kAskStream)};
    node.serve(client);
    CHECK(count(client.body, "abcd") == 200);
    CHECK(held >= covering(kAskStream, 100));
    CHECK(held <= covering(kAskStream, 100 + kSlice));
    CHECK(node.balance(key).posted == *subtract(100'000_msat, 128_msat));  // 8 + 120.
    CHECK(loss(node) == 0);
}

TEST_CASE("elastic: where the balance ends, a stream does, at a frame, with its charge and why") {
    Node node;
    set_slice(node);
    const Msat balance = covering(kAskStream, 40);
    const std::int64_t most = covered_by(kAskStream, balance);
    node.upstream.script = sse_script(tokens(200));
    SUBCASE("frame by frame") {}
    SUBCASE("all in one piece") {
        std::string all;
        for (int i = 0; i < 200; ++i) all += kToken;
        node.upstream.script = sse_script({all});
    }
    SUBCASE("in pieces that end anywhere") {
        std::string all;
        for (int i = 0; i < 200; ++i) all += kToken;
        std::vector<Step> steps;
        for (std::size_t at = 0; at < all.size(); at += 37) steps.emplace_back(all.substr(at, 37));
        node.upstream.script = sse_script(steps);
    }
    const KeyId key = node.make_key(balance);
    FakeExchange client{node.request(key, kAskStream)};
    node.serve(client);
    std::string passed;
    for (std::int64_t i = 0; i < most; ++i) passed += kToken;
    CHECK(client.body.starts_with(passed));
    CHECK(count(client.body, "abcd") == most);
    check_stopped(client, {0}, charge_for(most));
    CHECK(node.balance(key).posted == *subtract(balance, charge_for(most)));
    CHECK(stopped(node) == 1);
    CHECK(loss(node) == 0);
    CHECK(node.upstream.steps_done < 200);
}

TEST_CASE("elastic: an upstream is cancelled where the balance ends") {
    Node node;
    set_slice(node);
    node.upstream.script = sse_script(tokens(200));
    bool later = false;
    node.upstream.script.steps.insert(node.upstream.script.steps.begin() + 60,
                                      [&] { later = true; });
    const KeyId key = node.make_key(covering(kAskStream, 40));
    FakeExchange client{node.request(key, kAskStream)};
    node.serve(client);
    check_stopped(client, {0}, charge_for(covered_by(kAskStream, covering(kAskStream, 40))));
    CHECK_FALSE(later);
}

TEST_CASE("elastic: a tool call that the balance ends is ended by its length") {
    Node node;
    set_slice(node);
    const std::string begin =
        R"(data: {"id":"c1","model":"M","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,)"
        R"("id":"t1","type":"function","function":{"name":"look","arguments":""}}]},)"
        R"("finish_reason":null}]})"
        "\n\n";
    const std::string part =
        R"(data: {"id":"c1","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,)"
        R"("function":{"arguments":"{\"a\""}}]},"finish_reason":null}]})"
        "\n\n";
    std::vector<Step> steps{begin};
    steps.insert(steps.end(), 100, part);
    node.upstream.script = sse_script(steps);
    const Msat balance = covering(kAskStream, 40);
    const KeyId key = node.make_key(balance);
    FakeExchange client{node.request(key, kAskStream)};
    node.serve(client);
    const std::int64_t most = covered_by(kAskStream, balance);
    CHECK(count(client.body, "arguments") == most);  // One delta is the name.
    check_stopped(client, {0}, charge_for(most));
    CHECK(events(client.body).back()["model"] == "M");
}

TEST_CASE("elastic: of several choices each that has not ended is ended, and no other") {
    Node node;
    set_slice(node);
    const auto of = [](int index, const char* finish) {
        return R"(data: {"id":"c1","choices":[{"index":)" + std::to_string(index) +
               R"(,"delta":{"content":"abcd"},"finish_reason":)" + finish + "}]}\n\n";
    };
    std::vector<std::int64_t> cut{0, 1};
    std::vector<Step> steps;
    SUBCASE("both") {
        for (int i = 0; i < 100; ++i) steps.emplace_back(of(i % 2, "null"));
    }
    SUBCASE("one has ended by itself") {
        cut = {0};
        for (int i = 0; i < 20; ++i) steps.emplace_back(of(i % 2, i == 19 ? "\"stop\"" : "null"));
        for (int i = 0; i < 100; ++i) steps.emplace_back(of(0, "null"));
    }
    SUBCASE("one has not begun") {
        for (int i = 0; i < 100; ++i) steps.emplace_back(of(1, "null"));
    }
    SUBCASE("the end of one is not covered") {
        for (int i = 0; i < 100; ++i) steps.emplace_back(of(i % 2, i >= 41 ? "\"stop\"" : "null"));
    }
    node.upstream.script = sse_script(steps);
    const Msat balance = covering(kAskTwo, 40);
    const KeyId key = node.make_key(balance);
    FakeExchange client{node.request(key, kAskTwo)};
    node.serve(client);
    check_stopped(client, cut, charge_for(covered_by(kAskTwo, balance)));
}

TEST_CASE("elastic: money that comes in during a stream lets it go on") {
    Node node;
    set_slice(node);
    const KeyId key = node.make_key(covering(kAskStream, 40));
    auto steps = tokens(200);
    bool told = true;
    SUBCASE("told of") {}
    SUBCASE("not told of") { told = false; }
    steps.insert(steps.begin() + 38, [&] {
        credit(node, key, 100'000_msat);
        if (told) node.till->credited(key);
    });
    steps.insert(steps.end(), {kFinish, kDone});
    node.upstream.script = sse_script(steps);
    FakeExchange client{node.request(key, kAskStream)};
    node.serve(client);
    CHECK(count(client.body, "abcd") == 200);
    CHECK(events(client.body).back()["usage"]["cost"]["total_msats"] == charge_for(200).raw());
    CHECK(stopped(node) == 0);
}

TEST_CASE("elastic: who is paid back during a stream is told what it has open, and it goes on") {
    Node node;
    set_slice(node);
    const KeyId key = node.make_key(100'000_msat);
    auto steps = tokens(100);
    std::optional<Spending::Pause> pause;
    steps.insert(steps.begin() + 50, [&] {
        auto paused = node.till->pause(key);
        REQUIRE(paused.has_value());
        CHECK(paused->open() >= covering(kAskStream, 50));
        // All that the books still hold: what a refund is refused for.
        CHECK(node.balance(key).held == paused->open());
        pause.emplace(*std::move(paused));
    });
    steps.insert(steps.begin() + 54, [&] { pause.reset(); });
    steps.insert(steps.end(), {kFinish, kDone});
    node.upstream.script = sse_script(steps);
    FakeExchange client{node.request(key, kAskStream)};
    node.serve(client);
    CHECK(count(client.body, "abcd") == 100);
    CHECK(stopped(node) == 0);
    CHECK(node.balance(key).posted == *subtract(100'000_msat, charge_for(100)));
}

TEST_CASE("elastic: what was thought unseen is charged as far as the balance has it") {
    Node node;
    set_slice(node);
    node.upstream.script =
        sse_script({kToken, kFinish,
                    R"(data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":400}})"
                    "\n\n",
                    kDone});
    const Msat cost = charge_for(400);
    Msat balance = 100'000_msat;
    Msat charged = cost;
    SUBCASE("all of it") {}
    SUBCASE("a part") {
        balance = covering(kAskStream, 40);
        charged = balance;
    }
    const KeyId key = node.make_key(balance);
    FakeExchange client{node.request(key, kAskStream)};
    node.serve(client);
    CHECK(client.body.ends_with(kDone));
    CHECK(count(client.body, "length") == 0);
    CHECK(events(client.body).back()["usage"]["cost"]["total_msats"] == charged.raw());
    CHECK(node.balance(key).posted == *subtract(balance, charged));
    CHECK(loss(node) == subtract(cost, charged)->raw());
}

TEST_CASE("elastic: nobody pays more than a request to the model can cost, whatever is claimed") {
    Node node;
    set_slice(node);
    node.upstream.script = sse_script(
        {kToken, kFinish,
         R"(data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":99999999}})"
         "\n\n",
         kDone});
    const KeyId key = node.make_key(100'000_msat);
    FakeExchange client{node.request(key, kAskStream)};
    node.serve(client);
    CHECK(events(client.body).back()["usage"]["cost"]["total_msats"] ==
          covering(kAskStream, 512).raw());
    CHECK(loss(node) > 0);
}

TEST_CASE("elastic: an upstream's running count is believed where it says more than what is seen") {
    Node node;
    set_slice(node);
    std::vector<Step> steps;
    for (int i = 1; i <= 100; ++i) {
        steps.emplace_back(R"(data: {"choices":[{"index":0,"delta":{"content":"a"}}],"usage":{)"
                           R"("prompt_tokens":3,"completion_tokens":)" +
                           std::to_string(4 * i) + "}}\n\n");
    }
    node.upstream.script = sse_script(steps);
    const Msat balance = covering(kAskStream, 40);
    const std::int64_t most = covered_by(kAskStream, balance);
    const KeyId key = node.make_key(balance);
    FakeExchange client{node.request(key, kAskStream)};
    node.serve(client);
    CHECK(count(client.body, "\"content\"") == most / 4);
    const json cost = events(client.body).back()["usage"]["cost"];
    CHECK(cost["stopped"] == "insufficient_balance");
    CHECK(cost["usage_source"] == "upstream_partial");
    CHECK(cost["total_msats"] <= balance.raw());
    CHECK(loss(node) == 0);
}

TEST_CASE("elastic: a stream whose books are away ends where nothing more is covered") {
    Node node;
    set_slice(node);
    node.till_options.requests_ahead = 1;
    node.settle();
    auto steps = tokens(200);
    steps.insert(steps.begin() + 4, [&] { node.faulty.failing = true; });
    node.upstream.script = sse_script(steps);
    const KeyId key = node.make_key(100'000_msat);
    FakeExchange client{node.request(key, kAskStream)};
    run_all({[&] { return node.gateway->chat_completions(client); }});
    node.faulty.failing = false;
    node.settle();
    const std::int64_t came = count(client.body, "abcd");
    CHECK(came >= kSlice);
    CHECK(came < 200);
    check_stopped(client, {0}, charge_for(came), "storage_unavailable");
    CHECK(node.balance(key).posted == *subtract(100'000_msat, charge_for(came)));
}

TEST_CASE("elastic: a child's stream ends at its limit, and says so") {
    Node node;
    set_slice(node);
    node.upstream.script = sse_script(tokens(200));
    const Msat limit = covering(kAskStream, 40);
    const KeyId parent = node.make_key(100'000_msat);
    const KeyId child = node.make_key(0_msat, {.balance_limit = limit}, parent);
    FakeExchange client{node.request(child, kAskStream)};
    node.serve(client);
    const Msat charged = charge_for(covered_by(kAskStream, limit));
    check_stopped(client, {0}, charged, "balance_limit_exceeded");
    CHECK(node.record(child).limit_spent == charged);
    CHECK(node.record(child).limit_held == 0_msat);
}

TEST_CASE("elastic: what can't end early is held for whole") {
    Node node;
    set_slice(node);
    const char* ask = kAskStream;
    std::int64_t output = 512;
    SUBCASE("a buffered answer") {
        ask = kAsk;
        output = 100;
    }
    SUBCASE("an upstream that charges for what nobody awaits") {
        node.second.traits().client_gone = proxy::ClientGone::Drain;
    }
    SUBCASE("a slice of nothing") {
        node.options.first_slice_tokens = 0;
        node.settle();
    }
    const Msat whole = covering(ask, output);
    const KeyId poor = node.make_key(*subtract(whole, 1_msat));
    FakeExchange refused{node.request(poor, ask)};
    node.serve(refused);
    CHECK(refused.status == 402);
    CHECK(json::parse(refused.body)["detail"]["amount_required_msat"] == whole.raw());
    CHECK(node.upstream.bodies().empty());
}

TEST_CASE("elastic: a model that thinks unseen has all that it can cost held from the start") {
    FakeUpstream upstream;
    proxy::Model thinker{.id = *ModelId::parse("thinker"),
                         .context = 4096,
                         .output_max = 512,
                         .price = Node::default_price(),
                         .upstreams = {&upstream}};
    thinker.elastic = false;
    Node node{Node::default_price(), {thinker}};
    set_slice(node);
    std::string ask = kAskStream;
    ask.replace(ask.find("small"), 5, "thinker");
    const Msat whole = covering(ask, 512);
    const KeyId poor = node.make_key(*subtract(whole, 1_msat));
    FakeExchange refused{node.request(poor, ask)};
    node.serve(refused);
    CHECK(refused.status == 402);
    CHECK(json::parse(refused.body)["detail"]["amount_required_msat"] == whole.raw());
}

TEST_CASE("elastic: an answer in one piece to who asked for a stream is charged whole") {
    Node node;
    set_slice(node);
    node.upstream.script =
        json_script(R"({"choices":[{"index":0,"message":{"content":"x"},"finish_reason":"stop"}],)"
                    R"("usage":{"prompt_tokens":3,"completion_tokens":400}})");
    const KeyId key = node.make_key(100'000_msat);
    FakeExchange client{node.request(key, kAskStream)};
    node.serve(client);
    CHECK(client.status == 200);
    CHECK(node.balance(key).posted == *subtract(100'000_msat, charge_for(400)));
    CHECK(loss(node) == 0);
}

TEST_CASE("elastic: many streams on one balance pay no more together than it had") {
    Node node;
    set_slice(node);
    auto steps = tokens(200);
    steps.insert(steps.end(), {kFinish, kDone});
    node.upstream.script = sse_script(steps);
    const std::int64_t streams = 16;
    const Msat balance = *Msat::from_raw(streams * covering(kAskStream, 60).raw());
    const KeyId key = node.make_key(balance);
    std::deque<FakeExchange> clients;
    std::vector<std::function<http::Task<void>()>> tasks;
    for (std::int64_t i = 0; i < streams; ++i) {
        auto& client = clients.emplace_back(node.request(key, kAskStream));
        tasks.emplace_back([&node, &client] { return node.gateway->chat_completions(client); });
    }
    run_all(std::move(tasks), 4);
    node.settle();
    std::int64_t charged = 0;
    for (const FakeExchange& client : clients) {
        if (client.status != 200) continue;
        const json cost = events(client.body).back()["usage"]["cost"];
        charged += cost["total_msats"].get<std::int64_t>();
        CHECK(client.body.ends_with(kDone));
    }
    CHECK(charged > 0);
    CHECK(charged <= balance.raw());
    CHECK(node.balance(key).posted.raw() == balance.raw() - charged);
    CHECK(loss(node) == 0);
}

TEST_CASE("elastic: whatever comes and is claimed, nobody pays more than was held or advertised") {
    for (std::uint64_t seed = 1; seed <= 60; ++seed) {
        CAPTURE(seed);
        Node node{"sqlite::memory:"};
        SeededRandom random{seed};
        const auto below = [&](std::int64_t most) {
            const auto bytes = random.bytes<4>();
            std::uint32_t value = 0;
            for (const std::byte byte : bytes) value = value << 8 | std::to_integer<unsigned>(byte);
            return static_cast<std::int64_t>(value) % most;
        };
        node.options.first_slice_tokens = 1 + below(100);
        node.till_options.requests_ahead = static_cast<std::size_t>(1 + below(8));
        node.settle();
        const Msat balance = *Msat::from_raw(100 + below(500));
        const KeyId key = node.make_key(balance);
        std::vector<Step> steps;
        Msat open_most;
        for (std::int64_t i = below(80); i >= 0; --i) {
            std::string frame =
                delta(std::string(static_cast<std::size_t>(below(60)), i % 3 == 0 ? 'x' : ' '));
            if (below(4) == 0) {
                frame = R"(data: {"choices":[{"index":0,"delta":{"content":"ab"}}],"usage":{)"
                        R"("prompt_tokens":)" +
                        std::to_string(below(900)) + R"(,"completion_tokens":)" +
                        std::to_string(below(900)) + "}}\n\n";
            }
            steps.emplace_back(frame);
            steps.emplace_back([&] { open_most = std::max(open_most, node.till->view(key).open); });
        }
        if (below(2) == 0) steps.insert(steps.end(), {kFinish, kUsage, kDone});
        node.upstream.script = sse_script(steps);
        FakeExchange client{node.request(key, kAskStream)};
        if (below(5) == 0) client.leave_after_bytes = static_cast<std::size_t>(below(3000));
        node.serve(client);
        const Msat paid = *subtract(balance, node.balance(key).posted);
        CHECK(open_most <= balance);
        CHECK(open_most <= covering(kAskStream, 512));
        CHECK(paid <= covering(kAskStream, 512));
        CHECK(node.metrics.counter("nutgate_proxy_uncollected_msat_total", "").value() == 0);
        if (client.status == 402) CHECK(paid == 0_msat);
    }
}
