#include "nutgate/proxy/gateway.h"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "dialogue.h"
#include "fixture.h"

using namespace nutgate;
using namespace nutgate::test;
using nlohmann::json;

namespace {

// The data events of a stream that are JSON.
std::vector<json> events(const std::string& body) {
    std::vector<json> found;
    for (std::size_t at = 0; (at = body.find("data: {", at)) != std::string::npos; ++at) {
        found.push_back(json::parse(body.substr(at + 6, body.find("\n\n", at) - at - 6)));
    }
    return found;
}

std::size_t count(const std::string& text, const std::string& what) {
    std::size_t n = 0;
    for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; ++at) ++n;
    return n;
}

void check_error(const FakeExchange& client, int status, const std::string& code) {
    CHECK(client.status == status);
    const json body = json::parse(client.body);
    CHECK(body["error"]["code"] == code);
    CHECK(body["error"].contains("message"));
    CHECK(body["error"]["type"].is_string());
    CHECK(body["detail"]["error"] == body["error"]);
    CHECK(body["request_id"] == "req-1");
}

}  // namespace

TEST_CASE("gateway: a JSON answer is charged by its usage and says so in every place") {
    Node node;
    node.upstream.script = json_script(kAnswer);
    const KeyId key = node.make_key(10'000_msat);
    FakeExchange client{node.request(key, kAsk)};
    node.serve(client);

    CHECK(client.status == 200);
    const json body = json::parse(client.body);
    const json& usage = body["usage"];
    CHECK(usage["prompt_tokens"] == 40);
    CHECK(usage["completion_tokens"] == 12);
    CHECK(usage["cost"]["total_msats"] == 16);
    CHECK(usage["cost"]["input_msats"] == 8);
    CHECK(usage["cost"]["output_msats"] == 8);
    CHECK(usage["cost"]["base_msats"] == 0);
    CHECK(usage["cost_sats"] == 0);
    CHECK(usage["remaining_balance_msats"] == 9984);
    CHECK(body["metadata"]["routstr"]["cost"]["total_msats"] == 16);
    CHECK(body["metadata"]["routstr"]["remaining_balance_msats"] == 9984);
    CHECK(body["provider"] == "nutgate");
    CHECK(client.headers.find("X-Routstr-Cost-Msats") == "16");
    CHECK(client.headers.find("X-Routstr-Input-Cost-Msats") == "8");
    CHECK(client.headers.find("X-Routstr-Output-Cost-Msats") == "8");

    CHECK(node.balance(key).posted == 9984_msat);
    CHECK(node.balance(key).held == 0_msat);
    CHECK(node.record(key).total_spent == 16_msat);
    CHECK(node.record(key).total_requests == 1);
}

TEST_CASE(
    "gateway: an upstream sees its own name for the model, a limit and no more of the client") {
    Node node;
    node.upstream.script = json_script(kAnswer);
    const KeyId key = node.make_key(10'000_msat);
    FakeExchange client{node.request(
        key, R"({"model":"small","messages":[{"role":"user","content":"Hi"}],"n":2})")};
    node.serve(client);
    CHECK(node.upstream.bodies().at(0) ==
          R"({"model":"Vendor/Small-1B","messages":[{"role":"user","content":"Hi"}],"n":2,)"
          R"("max_tokens":256})");
}

TEST_CASE("gateway: a stream passes byte for byte, then the charge, then one [DONE]") {
    Node node;
    const std::string frames = ": ping\n\n" + delta("Hel") + delta("lo") + kFinish;
    node.upstream.script = sse_script({frames.substr(0, 30), frames.substr(30) + kUsage, kDone});
    const KeyId key = node.make_key(10'000_msat);
    FakeExchange client{node.request(key, kAskStream)};
    node.serve(client);

    CHECK(client.status == 200);
    CHECK(client.ended);
    REQUIRE(client.body.starts_with(frames));
    CHECK(client.body.ends_with(kDone));
    CHECK(count(client.body, "[DONE]") == 1);
    CHECK(count(client.body, "\"prompt_tokens\"") == 1);
    const json last = events(client.body).back();
    CHECK(last["id"] == "c1");
    CHECK(last["choices"] == json::array());
    CHECK(last["usage"]["total_tokens"] == 52);
    CHECK(last["usage"]["cost"]["total_msats"] == 16);
    CHECK(last["usage"]["cost"]["usage_source"] == "upstream_final");
    CHECK(last["usage"]["remaining_balance_msats"] == 9984);
    CHECK(last["metadata"]["routstr"]["cost"]["total_msats"] == 16);
    CHECK(node.balance(key).posted == 9984_msat);
    CHECK(json::parse(node.upstream.bodies().at(0))["stream_options"]["include_usage"] == true);
}

TEST_CASE("contract A1: missing usage is estimated, flagged and counted, never zero") {
    Node node;
    node.upstream.script =
        sse_script({delta("Hello world, how"), delta(" are you?"), kFinish, kDone});
    const KeyId key = node.make_key(10'000_msat);
    FakeExchange client{node.request(key, kAskStream)};
    node.serve(client);
    const json usage = events(client.body).back()["usage"];
    CHECK(usage["cost"]["usage_source"] == "estimate");
    // 25 bytes of text are 7 tokens of 4 bytes.
    CHECK(usage["completion_tokens"] == 7);
    CHECK(usage["prompt_tokens"] == 3);        // "user", "Hi there": 12 bytes.
    CHECK(usage["cost"]["total_msats"] == 5);  // 0.6 + 4.2
    CHECK(node.balance(key).posted == 9995_msat);
    CHECK(node.metrics.counter("nutgate_proxy_usage_missing_total", "", {{"model", "small"}})
              .value() == 1);
}

TEST_CASE("gateway: of 64 requests at once on a balance that covers one, one is answered 200") {
    Node node;
    node.upstream.script = json_script(kAnswer);
    // What one of them can cost: its body's bytes and the template's 512 tokens in, 100 out.
    const std::int64_t bytes = static_cast<std::int64_t>(std::string{kAsk}.size()) + 512;
    const Msat one =
        proxy::cost_ceiling(Node::default_price(), {.input = bytes, .output = 100}).value();
    const KeyId key = node.make_key(one);
    // Nobody ends before all have tried: each charge would leave less than another one needs.
    std::deque<FakeExchange> clients;
    std::vector<std::function<http::Task<void>()>> tasks;
    for (int i = 0; i < 64; ++i) {
        auto& client = clients.emplace_back(node.request(key, kAsk));
        tasks.emplace_back([&node, &client] { return node.gateway->chat_completions(client); });
    }
    run_all(std::move(tasks), 4);
    node.settle();
    const auto answered = std::count_if(clients.begin(), clients.end(),
                                        [](const auto& client) { return client.status == 200; });
    const auto refused = std::count_if(clients.begin(), clients.end(),
                                       [](const auto& client) { return client.status == 402; });
    CHECK(answered == 1);
    CHECK(refused == 63);
    CHECK(node.upstream.bodies().size() == 1);
    CHECK(node.balance(key).posted == *subtract(one, 16_msat));
}

TEST_CASE("gateway: an upstream that dies in mid-stream: what came is charged, the end is no end") {
    Node node;
    node.upstream.script = sse_script(
        {delta("Hello world, how"), R"(data: {"choices":[{"del)", http::UpstreamFailure::Broken});
    SUBCASE("by breaking off") {}
    SUBCASE("by an end without its last words") { node.upstream.script.steps.pop_back(); }
    const KeyId key = node.make_key(10'000_msat);
    FakeExchange client{node.request(key, kAskStream)};
    node.serve(client);
    CHECK(client.ended);
    CHECK(client.body.starts_with(delta("Hello world, how")));
    CHECK(count(client.body, "[DONE]") == 0);
    const auto said = events(client.body);
    REQUIRE(said.size() == 3);
    CHECK(said[1]["usage"]["cost"]["total_msats"] == 3);
    CHECK(said[2]["error"]["code"] == "upstream_broken");
    CHECK(node.balance(key).posted == 9997_msat);
}

TEST_CASE("gateway: no answer, no charge: the upstream's refusals in our own words") {
    struct Case {
        int upstream_status;
        int status;
        const char* code;
    };
    for (const Case& c :
         {Case{401, 502, "upstream_error"}, Case{403, 502, "upstream_error"},
          Case{402, 502, "upstream_error"}, Case{404, 502, "upstream_error"},
          Case{429, 429, "UPSTREAM_RATE_LIMIT"}, Case{500, 502, "upstream_error"},
          Case{503, 502, "upstream_error"}, Case{301, 502, "upstream_error"},
          Case{400, 400, "context_length_exceeded"}, Case{422, 422, "context_length_exceeded"}}) {
        CAPTURE(c.upstream_status);
        Node node;
        for (FakeUpstream* upstream : {&node.upstream, &node.second}) {
            upstream->script = json_script(
                R"({"error":{"message":"Too long for sk-abcdefghijklmnop1234 of org-AbCdEf123456",)"
                R"("type":"invalid_request_error","code":"context_length_exceeded"}})",
                c.upstream_status);
            upstream->script.headers.add("Retry-After", "17");
        }
        const KeyId key = node.make_key(10'000_msat);
        FakeExchange client{node.request(key, kAsk)};
        node.serve(client);
        check_error(client, c.status, c.code);
        CHECK(count(client.body, "abcdefghijklmnop") == 0);
        CHECK(count(client.body, "AbCdEf123456") == 0);
        if (c.status == 429) CHECK(client.headers.find("Retry-After") == "17");
        CHECK(node.balance(key).posted == 10'000_msat);
        CHECK(node.record(key).total_requests == 0);
    }
}

TEST_CASE("contract A8: no answer in time, no charge, and nothing stays held") {
    struct Case {
        http::UpstreamFailure failure;
        int status;
        const char* code;
        std::size_t tried_second;
    };
    using enum http::UpstreamFailure;
    for (const Case& c :
         {Case{Unreachable, 502, "upstream_unreachable", 1},
          Case{Timeout, 504, "upstream_timeout", 0}, Case{Broken, 502, "upstream_broken", 0}}) {
        for (const bool stream : {false, true}) {
            Node node;
            node.upstream.script.failure = c.failure;
            node.second.script.failure = c.failure;
            const KeyId key = node.make_key(10'000_msat);
            FakeExchange client{node.request(key, stream ? kAskStream : kAsk)};
            node.serve(client);
            check_error(client, c.status, c.code);
            CHECK(node.second.bodies().size() == c.tried_second);
            CHECK(node.balance(key).posted == 10'000_msat);
        }
    }
}

TEST_CASE("gateway: no answer, no charge: an answer without end, packed, or an error that drips") {
    Node node;
    node.options.answer_bytes_max = 1000;
    node.options.error_time_max = Milliseconds{20};
    node.settle();
    int status = 502;
    const char* code = "upstream_broken";
    SUBCASE("a body beyond its bound") {
        node.upstream.script.steps.assign(20, std::string(100, ' '));
    }
    SUBCASE("a body that nobody here unpacks") {
        node.upstream.script = json_script("\x1f\x8b\x08\x01");
        node.upstream.script.headers.add("Content-Encoding", "gzip");
        code = "upstream_error";
    }
    SUBCASE("the words of a refusal that never end") {
        node.upstream.script = json_script(R"({"error":{"message":")", 400);
        node.upstream.script.steps.emplace_back(Silence{});
        status = 400;
        code = "upstream_refused";
    }
    SUBCASE("the words of a failure that never begin") {
        for (FakeUpstream* upstream : {&node.upstream, &node.second}) {
            upstream->script.status = 500;
            upstream->script.steps.emplace_back(Silence{});
        }
        code = "upstream_error";
    }
    const KeyId key = node.make_key(10'000_msat);
    FakeExchange client{node.request(key, kAsk)};
    node.serve(client);
    check_error(client, status, code);
    CHECK(node.balance(key).posted == 10'000_msat);
}

TEST_CASE("gateway: an upstream that can't be reached is replaced before the first byte") {
    Node node;
    node.upstream.script.failure = http::UpstreamFailure::Unreachable;
    node.second.script = json_script(kAnswer);
    const KeyId key = node.make_key(10'000_msat);
    FakeExchange client{node.request(key, kAsk)};
    node.serve(client);
    CHECK(client.status == 200);
    CHECK(node.balance(key).posted == 9984_msat);
}

TEST_CASE("gateway: an error in place of an answer costs nothing, under a 200 too") {
    Node node;
    const KeyId key = node.make_key(10'000_msat);
    FakeExchange client{node.request(key, kAskStream)};
    SUBCASE("JSON") { node.upstream.script = json_script(R"({"error":{"message":"no"}})"); }
    SUBCASE("not JSON") { node.upstream.script = json_script("<html>"); }
    SUBCASE("an empty stream") { node.upstream.script = sse_script({}); }
    SUBCASE("a stream that breaks at once") {
        node.upstream.script = sse_script({http::UpstreamFailure::Broken});
    }
    node.serve(client);
    CHECK(client.status == 502);
    CHECK(node.balance(key).posted == 10'000_msat);
}

TEST_CASE("gateway: an error event before any text is passed on and costs nothing") {
    Node node;
    const std::string event = "data: {\"error\":{\"message\":\"overloaded\"}}\n\n";
    node.upstream.script = sse_script({event});
    const KeyId key = node.make_key(10'000_msat);
    FakeExchange client{node.request(key, kAskStream)};
    node.serve(client);
    CHECK(client.body == event);
    CHECK(client.ended);
    CHECK(node.balance(key).posted == 10'000_msat);
}

TEST_CASE("gateway: an upstream that fails again and again is passed by, and tried again later") {
    Node node;
    node.upstream.script = json_script(kAnswer);
    node.upstream.script.failure = http::UpstreamFailure::Unreachable;
    node.second.script = json_script(kAnswer);
    const KeyId key = node.make_key(10'000_msat);
    const auto ask = [&] {
        FakeExchange client{node.request(key, kAsk)};
        node.serve_on(client);
        CHECK(client.status == 200);
    };
    const auto most = static_cast<std::size_t>(node.upstream.traits().failures_max);
    for (std::size_t i = 0; i < most + 3; ++i) ask();
    CHECK(node.upstream.bodies().size() == most);
    CHECK(node.second.bodies().size() == most + 3);

    node.upstream.script.failure.reset();
    node.clock.advance(node.upstream.traits().rest_time_min);
    ask();
    ask();
    CHECK(node.upstream.bodies().size() == most + 2);
    CHECK(node.second.bodies().size() == most + 3);
}

TEST_CASE(
    "gateway: while every upstream rests a request is refused at once, with a time, for free") {
    Node node;
    for (FakeUpstream* upstream : {&node.upstream, &node.second}) {
        upstream->script = json_script("{}", 500);
    }
    const KeyId key = node.make_key(10'000_msat);
    for (int i = 0; i < node.upstream.traits().failures_max; ++i) {
        FakeExchange client{node.request(key, kAsk)};
        node.serve_on(client);
        check_error(client, 502, "upstream_error");
    }
    const auto asked = node.second.bodies().size();
    FakeExchange client{node.request(key, kAsk)};
    node.serve_on(client);
    check_error(client, 503, "upstream_unavailable");
    CHECK(client.headers.find("retry-after") == "1");
    CHECK(node.second.bodies().size() == asked);
    CHECK(node.balance(key).posted == 10'000_msat);
}

TEST_CASE("gateway: what an upstream asks for with Retry-After holds for everybody") {
    Node node;
    for (FakeUpstream* upstream : {&node.upstream, &node.second}) {
        upstream->script = json_script("{}", 429);
        upstream->script.headers.set("Retry-After", "7");
    }
    for (int i = 0; i < 3; ++i) {
        const KeyId key = node.make_key(10'000_msat);
        FakeExchange client{node.request(key, kAsk)};
        node.serve_on(client);
        check_error(client, 429, "UPSTREAM_RATE_LIMIT");
        CHECK(client.headers.find("retry-after") == "7");
        CHECK(node.balance(key).posted == 10'000_msat);
    }
    CHECK(node.upstream.bodies().size() == 1);
    CHECK(node.second.bodies().size() == 1);
    node.second.script = json_script(kAnswer);
    node.clock.advance(Milliseconds{7'000});
    FakeExchange client{node.request(node.make_key(10'000_msat), kAsk)};
    node.serve_on(client);
    CHECK(client.status == 200);
}

TEST_CASE("contract B2: nobody pays more than was held, whatever an upstream claims") {
    Node node;
    node.upstream.script = json_script(
        R"({"choices":[],"usage":{"prompt_tokens":999999999999,"completion_tokens":999999999999}})");
    const std::int64_t bytes = static_cast<std::int64_t>(std::string{kAsk}.size()) + 512;
    const Msat most =
        proxy::cost_ceiling(Node::default_price(), {.input = bytes, .output = 100}).value();
    const KeyId key = node.make_key(10'000_msat);
    FakeExchange client{node.request(key, kAsk)};
    node.serve(client);
    CHECK(json::parse(client.body)["usage"]["cost"]["total_msats"] == most.raw());
    CHECK(node.balance(key).posted == *subtract(10'000_msat, most));
    CHECK(node.metrics.counter("nutgate_proxy_loss_msat_total", "", {{"model", "small"}}).value() >
          0);
}

TEST_CASE("gateway: who may not spend is told why, and nothing is held") {
    Node node;
    node.upstream.script = json_script(kAnswer);
    const KeyId key = node.make_key(10'000_msat);
    const auto refused = [&](http::Request request, int status, const char* code) {
        FakeExchange client{std::move(request)};
        node.serve(client);
        check_error(client, status, code);
        return json::parse(client.body);
    };
    auto request = node.request(key, kAsk);

    auto nameless = request;
    nameless.headers.remove("Authorization");
    refused(nameless, 401, "missing_api_key");
    auto wrong = request;
    wrong.headers.set("Authorization", "Bearer sk-" + std::string(64, '0'));
    refused(wrong, 401, "invalid_api_key");
    auto unpaid = node.request(Keyring::random_id(node.random), kAsk);
    refused(unpaid, 401, "invalid_api_key");

    const KeyId expired = node.make_key(10'000_msat, {.valid_until = node.clock.now()});
    refused(node.request(expired, kAsk), 403, "key_expired");
    const KeyId child = node.make_key(0_msat, {.balance_limit = 100_msat}, key);
    const json limited = refused(node.request(child, kAsk), 402, "balance_limit_exceeded");
    CHECK(limited["detail"]["available_msat"] == 100);

    const KeyId poor = node.make_key(100_msat);
    const json broke = refused(node.request(poor, kAsk), 402, "insufficient_balance");
    CHECK(broke["error"]["type"] == "insufficient_quota");
    CHECK(broke["detail"]["type"] == "minimum_balance_required");
    CHECK(broke["detail"]["available_msat"] == 100);
    CHECK(broke["detail"]["amount_required_msat"] > 100);
    CHECK(broke["detail"]["model"] == "small");
    CHECK(broke["detail"].contains("methods"));
    CHECK(broke["detail"].contains("reason"));

    refused(node.request(key, R"({"model":"large","messages":[]})"), 400, "invalid_model");
    refused(node.request(key, "{"), 400, "invalid_json");
    CHECK(node.upstream.bodies().empty());
    CHECK(node.balance(key).posted == 10'000_msat);
}

TEST_CASE("gateway: a child spends its parent's balance within its limit") {
    Node node;
    node.upstream.script = json_script(kAnswer);
    const KeyId parent = node.make_key(10'000_msat);
    const KeyId child = node.make_key(0_msat, {.balance_limit = 300_msat}, parent);
    FakeExchange client{node.request(child, kAsk)};
    node.serve(client);
    CHECK(client.status == 200);
    CHECK(json::parse(client.body)["usage"]["remaining_balance_msats"] == 284);
    CHECK(node.balance(parent).posted == 9984_msat);
    CHECK(node.record(child).limit_spent == 16_msat);
    CHECK(node.record(child).limit_held == 0_msat);
}

TEST_CASE("gateway: a token in the place of a key is redeemed and pays") {
    struct Redeemer final : proxy::TokenRedeemer {
        void redeem(std::string token, std::string client_ip, proxy::TokenUse use,
                    Redeemed done) override {
            CHECK(use == proxy::TokenUse::AsKey);
            seen = std::move(token);
            from = std::move(client_ip);
            thread = std::jthread{[done = std::move(done), this] { done(answer()); }};
        }
        void give_change(KeyId, Changed) override { FAIL("it is nobody's only request"); }
        std::function<Result<KeyId, http::ApiError>()> answer;
        std::string seen;
        std::string from;
        std::jthread thread;
    };
    Node node;
    Redeemer redeemer;
    node.redeemer = &redeemer;
    node.settle();
    node.upstream.script = json_script(kAnswer);
    const KeyId key = node.make_key(10'000_msat);
    auto request = node.request(key, kAsk);
    request.headers.set("Authorization", "bearer cashuBo2F0");
    request.client_ip = "203.0.113.7";
    FakeExchange client{request};
    SUBCASE("taken") {
        redeemer.answer = [&] { return key; };
        node.serve(client);
        CHECK(client.status == 200);
        CHECK(redeemer.seen == "cashuBo2F0");
        CHECK(redeemer.from == "203.0.113.7");
        CHECK(node.balance(key).posted == 9984_msat);
    }
    SUBCASE("refused") {
        redeemer.answer = []() -> Result<KeyId, http::ApiError> {
            return fail(http::ApiError{.status = 400,
                                       .type = "token_already_spent",
                                       .code = "cashu_token_already_spent",
                                       .message = "Spent."});
        };
        node.serve(client);
        check_error(client, 400, "cashu_token_already_spent");
    }
}

TEST_CASE("contract A5: a request that outlives its hold's deadline is renewed, and charged") {
    Node node;
    const KeyId key = node.make_key(10'000_msat);
    FakeExchange client{node.request(key, kAsk)};
    const auto expire = [&] {
        const auto expired =
            node.database->transact([&](store::Tx& tx) -> Result<int, store::StoreFailure> {
                return node.ledger.expire_holds(tx, 100);
            });
        CHECK(expired.value() == 0);
    };
    node.upstream.script = json_script(kAnswer);
    node.upstream.script.before_head = [&] {
        for (int i = 0; i < 10; ++i) {
            node.clock.advance(Milliseconds{300'000});
            node.till->tend();
            expire();
        }
    };
    node.serve(client);
    CHECK(client.status == 200);
    CHECK(node.balance(key).posted == 9984_msat);
}

TEST_CASE(
    "gateway: what counts against a limit ends with its request, though its hold was expired") {
    Node node;
    const KeyId parent = node.make_key(10'000_msat);
    const KeyId child = node.make_key(0_msat, {.balance_limit = 300_msat}, parent);
    FakeExchange client{node.request(child, kAsk)};
    // A machine that slept, or a database that was away for so long.
    Milliseconds asleep{700'000};
    bool is_answered = true;
    SUBCASE("no answer") { is_answered = false; }
    SUBCASE("an answer") {}
    SUBCASE("no answer, and the hold was forgotten") {
        is_answered = false;
        asleep = Milliseconds{7'200'000};
    }
    SUBCASE("an answer, and the hold was forgotten") { asleep = Milliseconds{7'200'000}; }
    if (is_answered) {
        node.upstream.script = json_script(kAnswer);
    } else {
        node.upstream.script.failure = http::UpstreamFailure::Timeout;
    }
    node.upstream.script.before_head = [&] {
        node.clock.advance(asleep);
        const auto expired =
            node.database->transact([&](store::Tx& tx) -> Result<int, store::StoreFailure> {
                return node.ledger.expire_holds(tx, 100);
            });
        CHECK(expired.value() == 1);
    };
    node.serve(client);
    CHECK(client.status == (is_answered ? 200 : 504));
    CHECK(node.record(child).limit_held == 0_msat);
}

TEST_CASE("gateway: a charge that the database failed to take is offered again") {
    Node node;
    const KeyId key = node.make_key(10'000_msat);
    node.upstream.script = json_script(kAnswer);
    node.upstream.script.before_head = [&] { node.faulty.failing = true; };
    FakeExchange client{node.request(key, kAsk)};
    run_all({[&] { return node.gateway->chat_completions(client); }});
    CHECK(client.status == 200);
    CHECK(node.balance(key).posted == 10'000_msat);

    // Too old a charge that is not in the books stops the selling.
    node.clock.advance(Milliseconds{1'001});
    FakeExchange next{node.request(key, kAsk)};
    run_all({[&] { return node.gateway->chat_completions(next); }});
    check_error(next, 503, "overloaded");
    CHECK(next.headers.find("Retry-After").has_value());

    node.faulty.failing = false;
    node.settle();
    CHECK(node.balance(key).posted == 9984_msat);
}

TEST_CASE("gateway: a draw that the database could not take is 503, and leaves nothing held") {
    Node node;
    const KeyId key = node.make_key(10'000_msat);
    node.faulty.failing = true;
    FakeExchange client{node.request(key, kAsk)};
    run_all({[&] { return node.gateway->chat_completions(client); }});
    check_error(client, 503, "storage_unavailable");
    node.faulty.failing = false;
    node.settle();
    CHECK(node.balance(key).held == 0_msat);
}
