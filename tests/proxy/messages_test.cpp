// POST /v1/messages and /v1/messages/count_tokens.
#include <string>

#include "dialogue.h"
#include "endpoints_test.h"
#include "scripted_server.h"

using namespace nutgate;
using namespace nutgate::test;
using nlohmann::json;
using proxy::Endpoint;

namespace {

std::string message(const std::string& members) {
    return R"({"model":"small","max_tokens":50,"messages":[{"role":"user","content":"Hi"}])" +
           (members.empty() ? "" : "," + members) + "}";
}

std::string event(const std::string& type, const std::string& members) {
    return "event: " + type + "\ndata: {\"type\":\"" + type + '"' +
           (members.empty() ? "" : "," + members) + "}\n\n";
}

const std::string kStart = event(
    "message_start", R"("message":{"id":"msg_1","type":"message","role":"assistant","content":[],)"
                     R"("usage":{"input_tokens":40,"cache_creation_input_tokens":0,)"
                     R"("cache_read_input_tokens":0,"output_tokens":1}})");
std::string text_delta(const std::string& text) {
    return event("content_block_delta",
                 R"("index":0,"delta":{"type":"text_delta","text":")" + text + "\"}");
}
std::string message_delta(const std::string& usage) {
    return event("message_delta", R"("delta":{"stop_reason":"end_turn"},"usage":)" + usage);
}
const std::string kStop = event("message_stop", "");

struct Streamed {
    int status;
    std::string body;
    std::vector<SseEvent> events;
    Msat left;
};

Streamed stream(std::vector<Step> steps) {
    Node node;
    node.upstream.script = sse_script(std::move(steps));
    const KeyId key = node.make_key(10'000_msat);
    FakeExchange client{node.request(key, message(R"("stream":true)"))};
    node.serve(client, Endpoint::Messages);
    CHECK(client.ended);
    return {client.status, client.body,
            client.status == 200 ? sse_events(client.body) : std::vector<SseEvent>{},
            node.balance(key).posted};
}

// What a stream of another dialect's upstream comes to, for who reads it or leaves.
struct Sold {
    int status;
    std::string body;
    Msat paid;
};

Sold sell(proxy::Upstream& upstream, Endpoint endpoint, const std::string& ask,
          std::optional<std::size_t> leave_after = {}) {
    proxy::Model model{.id = *ModelId::parse("other"),
                       .context = 4096,
                       .output_max = 512,
                       .price = Node::default_price(),
                       .upstreams = {&upstream},
                       .tokens_per_image_max = 1000};
    model.endpoints = {Endpoint::Chat, Endpoint::Messages};
    Node node{Node::default_price(), {model}};
    const KeyId key = node.make_key(10'000_msat);
    FakeExchange client{node.request(key, ask)};
    client.leave_after_bytes = leave_after;
    node.serve(client, endpoint);
    return {client.status, client.body, *subtract(10'000_msat, node.balance(key).posted)};
}

}  // namespace

TEST_CASE("messages: a whole answer is charged by its usage, what was cached beside it") {
    Node node;
    // 20 + 15 + 5 in at 0.2, 12 out at 0.6.
    node.upstream.script = json_script(
        R"({"id":"msg_1","type":"message","role":"assistant","content":[{"type":"text",)"
        R"("text":"Hello"}],"stop_reason":"end_turn","usage":{"input_tokens":20,)"
        R"("cache_creation_input_tokens":15,"cache_read_input_tokens":5,"output_tokens":12}})");
    const KeyId key = node.make_key(10'000_msat);
    FakeExchange client{node.request(key, message(""))};
    node.serve(client, Endpoint::Messages);
    CHECK(client.status == 200);
    const json body = json::parse(client.body);
    CHECK(body["usage"]["input_tokens"] == 20);
    CHECK(body["usage"]["cost"]["total_msats"] == 16);
    CHECK(body["usage"]["cost"]["cache_read_input_tokens"] == 5);
    CHECK(body["usage"]["cost"]["cache_creation_input_tokens"] == 15);
    CHECK(client.headers.find("X-Routstr-Cost-Msats") == "16");
    CHECK(node.balance(key).posted == 9984_msat);
    CHECK(node.upstream.calls().at(0).endpoint == Endpoint::Messages);
    CHECK(node.upstream.bodies().at(0) ==
          R"({"model":"Vendor/Small-1B","max_tokens":50,"messages":[{"role":"user",)"
          R"("content":"Hi"}]})");
}

TEST_CASE("messages: a stream passes byte for byte, then comes an event with the charge") {
    const std::string frames = kStart + event("ping", "") + text_delta("Hel") + text_delta("lo") +
                               message_delta(R"({"output_tokens":12})") + kStop;
    for (const std::size_t at : {std::size_t{1}, std::size_t{77}, frames.size() - 1}) {
        const Streamed got = stream({frames.substr(0, at), frames.substr(at)});
        REQUIRE(got.body.starts_with(frames));
        REQUIRE(got.events.size() == 7);
        CHECK(got.events.back().name == "cost");
        const json last = json::parse(got.events.back().data);
        CHECK(last["type"] == "cost");
        CHECK(last["cost"]["total_msats"] == 16);
        CHECK(last["cost"]["usage_source"] == "upstream_final");
        CHECK(last["usage"]["input_tokens"] == 40);
        CHECK(last["usage"]["output_tokens"] == 12);
        CHECK(last["usage"]["remaining_balance_msats"] == 9984);
        CHECK(got.body.find("[DONE]") == std::string::npos);
        CHECK(got.left == 9984_msat);
    }
}

TEST_CASE("messages: what a message_delta restates is overwritten, never added") {
    const Streamed got = stream(
        {kStart + text_delta("x") + message_delta(R"({"output_tokens":3})") +
         message_delta(R"({"input_tokens":45,"cache_read_input_tokens":5,"output_tokens":10})") +
         kStop});
    CHECK(json::parse(got.events.back().data)["usage"]["output_tokens"] == 10);
    CHECK(got.left == 9984_msat);  // 50 * 0.2 + 10 * 0.6
}

TEST_CASE(
    "messages: a stream that breaks off costs what was said, not what its beginning promised") {
    const Streamed got = stream({kStart + text_delta("12345678"), http::UpstreamFailure::Broken});
    REQUIRE(got.events.size() == 4);
    CHECK(got.events[2].name == "cost");
    const json cost = json::parse(got.events[2].data);
    CHECK(cost["usage"]["input_tokens"] == 40);  // The upstream's own word.
    CHECK(cost["usage"]["output_tokens"] == 2);  // 8 bytes.
    CHECK(cost["cost"]["usage_source"] == "estimate");
    CHECK(got.events[3].name == "error");
    const json error = json::parse(got.events[3].data);
    CHECK(error["type"] == "error");
    CHECK(error["error"]["type"] == "api_error");
    CHECK(got.left == 9990_msat);  // 8 + 1.2
}

TEST_CASE("messages: an upstream that is overloaded before it says anything costs nothing") {
    const std::string overloaded =
        event("error", R"("error":{"type":"overloaded_error","message":"Overloaded"})");
    const Streamed got = stream({kStart, overloaded});
    CHECK(got.body == kStart + overloaded);
    CHECK(got.left == 10'000_msat);
}

TEST_CASE(
    "messages: a prompt that no OpenAI upstream counted costs its text, and no image's bytes") {
    const std::string ask =
        R"({"model":"other","max_tokens":50,"stream":true,"messages":[{"role":"user","content":[)"
        R"({"type":"image","source":{"type":"base64","media_type":"image/png","data":")" +
        std::string(2'000'000, 'A') + R"("}},{"type":"text","text":"Hi"}]}]})";
    std::vector<Step> steps{delta("12345678")};
    std::optional<std::size_t> leave_after;
    SUBCASE("cut") { steps.emplace_back(http::UpstreamFailure::Broken); }
    SUBCASE("without usage") { steps.emplace_back(kFinish + kDone); }
    SUBCASE("left by its reader") {
        steps.emplace_back(delta("never read"));
        leave_after = 1;
    }
    ScriptedServer server{sse_script(std::move(steps))};
    const auto upstream = proxy::make_openai_upstream(proxy::OpenAiOptions{}, server);
    const Sold got = sell(*upstream, Endpoint::Messages, ask, leave_after);
    CHECK(got.status == 200);
    // "user", "Hi": 6 bytes, and 8 of the answer: 2 * 0.2 + 2 * 0.6 = 1.6.
    CHECK(got.paid == 2_msat);
    const json told = json::parse(sse_events(got.body).at(0).data)["message"]["usage"];
    CHECK(told["input_tokens"] < 100);
    CHECK(told["usage_source"] == "estimate");
}

TEST_CASE("messages: a chat on an Anthropic upstream that fails before it says anything is free") {
    std::vector<Step> steps{kStart};
    bool has_text = false;
    SUBCASE("an error") {
        steps.emplace_back(
            event("error", R"("error":{"type":"overloaded_error","message":"Overloaded"})"));
    }
    SUBCASE("a connection that broke") { steps.emplace_back(http::UpstreamFailure::Broken); }
    SUBCASE("what it said before costs what was said, and the prompt") {
        has_text = true;
        steps.emplace_back(
            event("content_block_start", R"("index":0,"content_block":{"type":"text","text":""})"));
        steps.emplace_back(text_delta("12345678"));
        steps.emplace_back(http::UpstreamFailure::Broken);
    }
    ScriptedServer server{sse_script(std::move(steps))};
    proxy::AnthropicOptions options;
    options.traits.endpoints = proxy::kAnthropicEndpoints;
    options.url = *http::parse_url("http://127.0.0.1/v1?api-version=1");
    const FixedClock clock;
    const auto upstream = proxy::make_anthropic_upstream(std::move(options), server, clock);
    std::string ask = kAskStream;
    ask.replace(ask.find("small"), 5, "other");
    const Sold got = sell(*upstream, Endpoint::Chat, ask);
    CHECK(server.target() == "/v1/messages?api-version=1");
    CHECK(got.paid == (has_text ? 10_msat : 0_msat));  // 40 * 0.2 + 2 * 0.6
    CHECK(got.body.find("\"error\"") != std::string::npos);
    CHECK(got.body.find("[DONE]") == std::string::npos);
}

TEST_CASE("contract A1: a message without usage is charged by estimate") {
    Node node;
    node.upstream.script =
        json_script(R"({"type":"message","content":[{"type":"text","text":"12345678"},)"
                    R"({"type":"tool_use","id":"t","name":"f","input":{"a":"12345678901"}}]})");
    const KeyId key = node.make_key(10'000_msat);
    FakeExchange client{node.request(key, message(""))};
    node.serve(client, Endpoint::Messages);
    const json usage = json::parse(client.body)["usage"];
    CHECK(usage["input_tokens"] == 2);   // "user", "Hi": 6 bytes.
    CHECK(usage["output_tokens"] == 7);  // 8, 1 and 19 bytes.
    CHECK(usage["cost"]["usage_source"] == "estimate");
    CHECK(node.balance(key).posted == 9995_msat);
}

TEST_CASE("contract A2: a client that leaves a message pays what was said until then") {
    Node node;
    FakeExchange* reader = nullptr;
    node.upstream.script = sse_script({kStart + text_delta("12345678"), [&] { reader->leave(); },
                                       text_delta("never read"), kStop});
    const KeyId key = node.make_key(10'000_msat);
    FakeExchange client{node.request(key, message(R"("stream":true)"))};
    reader = &client;
    node.serve(client, Endpoint::Messages);
    CHECK(node.balance(key).posted == 9990_msat);
}

TEST_CASE("messages: Anthropic's clients send their key in a header of their own") {
    Node node;
    node.upstream.script = json_script(
        R"({"type":"message","content":[],"usage":{"input_tokens":40,"output_tokens":12}})");
    const KeyId key = node.make_key(10'000_msat);
    http::Request request = node.anonymous(message(""));
    request.headers.add("x-api-key", node.keyring.text_of(key));
    FakeExchange client{request};
    node.serve(client, Endpoint::Messages);
    CHECK(client.status == 200);
    CHECK(node.balance(key).posted == 9984_msat);

    // Nowhere else: it may be meant for somebody else there.
    request.body = R"({"model":"small","messages":[]})";
    FakeExchange chat{request};
    node.serve(chat);
    CHECK(chat.status == 401);
}

TEST_CASE("messages: of betas those pass that change only how an answer is written") {
    const auto passed = [](std::initializer_list<std::string_view> sent) {
        Node node;
        node.upstream.script = json_script(R"({"usage":{"input_tokens":1,"output_tokens":1}})");
        auto request = node.request(node.make_key(10'000_msat), message(""));
        for (const auto betas : sent) request.headers.add("Anthropic-Beta", betas);
        FakeExchange client{std::move(request)};
        node.serve(client, Endpoint::Messages);
        CHECK(client.status == 200);
        return node.upstream.calls().at(0).betas;
    };
    CHECK(passed({}).empty());
    CHECK(passed({"interleaved-thinking-2025-05-14"}) == "interleaved-thinking-2025-05-14");
    // What reaches the seller's account, is charged by the call, or asks for a longer prompt than
    // was held for; and what nobody has heard of.
    CHECK(passed({"files-api-2025-04-14,mcp-client-2025-11-20"}).empty());
    CHECK(passed({"context-1m-2025-08-07"}).empty());
    CHECK(passed({"interleaved-thinking-2025-05-14x, ,"}).empty());
    CHECK(passed({"skills-2025-10-02, effort-2025-11-24 ,interleaved-thinking-2025-05-14"}) ==
          "effort-2025-11-24,interleaved-thinking-2025-05-14");
    // Twice is once.
    CHECK(passed({"effort-2025-11-24,effort-2025-11-24"}) == "effort-2025-11-24");
    // In several headers, as HTTP lets a list be sent.
    CHECK(passed({"effort-2025-11-24", "structured-outputs-2025-11-13"}) ==
          "effort-2025-11-24,structured-outputs-2025-11-13");
}

TEST_CASE("messages: errors have Anthropic's form, with ours in it") {
    Node node;
    const KeyId key = node.make_key(1_msat);
    const auto ask = [&](http::Request request, Endpoint endpoint = Endpoint::Messages) {
        FakeExchange client{std::move(request)};
        node.serve(client, endpoint);
        const json body = json::parse(client.body);
        CHECK(body["type"] == "error");
        CHECK(body["error"]["message"].is_string());
        CHECK(body["request_id"] == "req-1");
        return std::pair{client.status, body};
    };
    const auto [missing, missing_body] = ask(node.anonymous(message("")));
    CHECK(missing == 401);
    CHECK(missing_body["error"]["type"] == "authentication_error");
    CHECK(missing_body["error"]["code"] == "missing_api_key");

    const auto [poor, poor_body] = ask(node.request(key, message("")));
    CHECK(poor == 402);
    CHECK(poor_body["error"]["type"] == "billing_error");
    CHECK(poor_body["error"]["code"] == "insufficient_balance");
    CHECK(poor_body["detail"]["amount_required_msat"].is_number());

    const auto [bad, bad_body] = ask(node.request(key, "{}"), Endpoint::CountTokens);
    CHECK(bad == 400);
    CHECK(bad_body["error"]["type"] == "invalid_request_error");
}

TEST_CASE("count_tokens: passes to an upstream that counts, for free") {
    Node node;
    node.upstream.script = json_script(R"({"input_tokens":14})");
    const KeyId key = node.make_key(5_msat);
    const std::string ask = R"({"model":"small","messages":[{"role":"user","content":"Hi"}]})";
    FakeExchange client{node.request(key, ask)};
    node.serve(client, Endpoint::CountTokens);
    CHECK(client.status == 200);
    CHECK(client.body == R"({"input_tokens":14})");
    CHECK(node.balance(key).posted == 5_msat);
    CHECK(node.upstream.calls().at(0).endpoint == Endpoint::CountTokens);
}

TEST_CASE("contract A9: a count that we make ourselves holds nothing and says that it is a guess") {
    Node node;
    node.upstream.script = json_script("{}", 500);
    node.second.script = json_script(R"({"error":"no such path"})", 404);
    const KeyId key = node.make_key(5_msat);
    FakeExchange client{
        node.request(key, R"({"model":"small","messages":[{"role":"user","content":"Hi"}]})")};
    node.serve(client, Endpoint::CountTokens);
    CHECK(client.status == 200);
    const json body = json::parse(client.body);
    CHECK(body["input_tokens"] == 2);
    CHECK(body["usage_source"] == "estimate");
    CHECK(node.balance(key).posted == 5_msat);
    CHECK(node.balance(key).held == 0_msat);
}

TEST_CASE("count_tokens: an upstream that asked to be left alone is not asked for a count either") {
    Node node;
    for (FakeUpstream* upstream : {&node.upstream, &node.second}) {
        upstream->script = json_script("{}", 429);
        upstream->script.headers.set("Retry-After", "7");
    }
    const KeyId key = node.make_key(10'000_msat);
    FakeExchange refused{node.request(key, message(""))};
    node.serve_on(refused, Endpoint::Messages);
    CHECK(refused.status == 429);
    const auto asked = node.upstream.bodies().size() + node.second.bodies().size();
    FakeExchange client{node.request(key, message(""))};
    node.serve_on(client, Endpoint::CountTokens);
    CHECK(client.status == 200);
    CHECK(json::parse(client.body)["usage_source"] == "estimate");
    CHECK(node.upstream.bodies().size() + node.second.bodies().size() == asked);
}

TEST_CASE("count_tokens: is for those who have something to spend") {
    Node node;
    FakeExchange nobody{node.anonymous(message(""))};
    node.serve(nobody, Endpoint::CountTokens);
    CHECK(nobody.status == 401);
    const KeyId key = node.make_key(0_msat);
    FakeExchange poor{node.request(key, message(""))};
    node.serve(poor, Endpoint::CountTokens);
    CHECK(poor.status == 402);
    CHECK(node.upstream.bodies().empty());
}

TEST_CASE("messages: a limit is required, and none is above the model's") {
    const std::string open = R"({"model":"small","messages":[]})";
    CHECK(verdict(Endpoint::Messages, open, order_model()) == "invalid_value");
    const std::string high = R"({"model":"small","messages":[],"max_tokens":9999})";
    CHECK(body_for(Endpoint::Messages, high) ==
          R"({"model":"small","messages":[],"max_tokens":1000})");
    CHECK(bounds_for(Endpoint::Messages, high).output == 1000);
    const auto thinks = [](const std::string& budget) {
        return verdict(Endpoint::Messages,
                       R"({"model":"small","messages":[],"max_tokens":2000,"thinking":)"
                       R"({"type":"enabled","budget_tokens":)" +
                           budget + "}}",
                       order_model());
    };
    CHECK(thinks("500") == "ok");
    CHECK(thinks("1000") == "invalid_value");  // What is left of the limit is that.
    CHECK(thinks("2000") == "invalid_value");
    CHECK(thinks("-1") == "invalid_value");
}

TEST_CASE("messages: what Anthropic runs, keeps or fetches is refused") {
    auto model = order_model();
    const auto is = [&model](const std::string& members) {
        return verdict(Endpoint::Messages, message(members), model);
    };
    CHECK(
        is(R"("system":[{"type":"text","text":"Be kind","cache_control":{"type":"ephemeral"}}])") ==
        "ok");
    CHECK(is(R"("tools":[{"name":"f","input_schema":{"type":"object"}}])") == "ok");
    CHECK(is(R"("tools":[{"type":"bash_20250124","name":"bash"}])") == "ok");
    CHECK(is(R"("service_tier":"standard_only")") == "ok");
    for (const std::string members :
         {R"("container":"c_1")", R"("mcp_servers":[{"type":"url","url":"https://example.com"}])",
          R"("tools":[{"type":"web_search_20250305","name":"web_search"}])",
          R"("tools":[{"type":"web_fetch_20250910","name":"web_fetch"}])",
          R"("tools":[{"type":"code_execution_20250522","name":"x"}])",
          R"("tools":[{"type":"computer_20250124","name":"computer"}])", R"("speed":"fast")",
          R"("inference_geo":"us")", R"("service_tier":"priority")",
          R"("context_management":{"edits":[{"type":"compact_20260112"}]})", R"("store":true)"}) {
        CAPTURE(members);
        CHECK(is(members) == "unsupported_parameter");
    }
    const auto block = [&model](const std::string& content) {
        return verdict(Endpoint::Messages,
                       R"({"model":"small","max_tokens":5,"messages":[{"role":"user","content":[)" +
                           content + "]}]}",
                       model);
    };
    const std::string image =
        R"({"type":"image","source":{"type":"base64","media_type":"image/png","data":"AA=="}})";
    CHECK(block(image) == "unsupported_parameter");
    model.tokens_per_image_max = 1000;
    CHECK(block(image) == "ok");
    CHECK(block(R"({"type":"tool_result","tool_use_id":"t","content":[)" + image + "]}") == "ok");
    CHECK(block(R"({"type":"tool_use","id":"t","name":"f","input":{"type":"x","url":"y"}})") ==
          "ok");
    CHECK(block(R"({"type":"document","source":{"type":"text","media_type":"text/plain",)"
                R"("data":"Hi"}})") == "ok");
    for (
        const std::string content :
        {R"({"type":"image","source":{"type":"url","url":"https://example.com/x.png"}})",
         R"({"type":"image","source":{"type":"file","file_id":"file_1"}})",
         R"({"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"A"}})",
         R"({"type":"document","source":{"type":"file","file_id":"file_1"}})",
         R"({"type":"container_upload","file_id":"file_1"})",
         R"({"type":"server_tool_use","id":"s","name":"web_search","input":{}})",
         R"({"type":"tool_result","tool_use_id":"t","content":[{"type":"document",)"
         R"("source":{"type":"url","url":"https://example.com"}}]})"}) {
        CAPTURE(content);
        CHECK(block(content) == "unsupported_parameter");
    }
    CHECK(block(R"({"type":"text","text":"x","type":"document"})") == "duplicate_field");
    CHECK(block(R"({"text":"no type"})") == "unsupported_parameter");
    CHECK(is(R"("messages":[])") == "duplicate_field");
}

TEST_CASE("endpoints: what no upstream of a model serves is not sold, and no other is asked") {
    FakeUpstream other{"other"};
    other.traits().endpoints = {Endpoint::Chat, Endpoint::Embeddings};
    Node node{
        Node::default_price(),
        {{.id = *ModelId::parse("chatty"), .price = Node::default_price(), .upstreams = {&other}}}};
    const KeyId key = node.make_key(100'000_msat);
    for (const auto& [endpoint, body] :
         {std::pair{Endpoint::Messages, R"({"model":"chatty","max_tokens":5,"messages":[]})"},
          std::pair{Endpoint::Responses, R"({"model":"chatty","input":"x"})"},
          std::pair{Endpoint::Completions, R"({"model":"chatty","prompt":"x"})"},
          // Served, but not sold unless its configuration says so.
          std::pair{Endpoint::Embeddings, R"({"model":"chatty","input":"x"})"}}) {
        FakeExchange client{node.request(key, body)};
        node.serve(client, endpoint);
        CHECK(client.status == 400);
        CHECK(json::parse(client.body)["error"]["code"] == "unsupported_endpoint");
    }
    CHECK(other.bodies().empty());
    CHECK(node.balance(key).posted == 100'000_msat);
}

TEST_CASE("endpoints: of several upstreams those are asked that serve the path") {
    Node node;
    node.upstream.traits().endpoints = {Endpoint::Chat};
    node.second.script = json_script(
        R"({"type":"message","content":[],"usage":{"input_tokens":40,"output_tokens":12}})");
    const KeyId key = node.make_key(10'000_msat);
    FakeExchange client{node.request(key, message(""))};
    node.serve(client, Endpoint::Messages);
    CHECK(client.status == 200);
    CHECK(node.upstream.bodies().empty());
    CHECK(node.second.bodies().size() == 1);
}
