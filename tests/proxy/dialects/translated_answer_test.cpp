// An answer in translation, as the gateway reads it; and the adapter for Anthropic's dialect,
// against a server written from Anthropic's documents.
#include "dialects/translated_answer.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "contract/upstream_contract.h"
#include "dialogue.h"
#include "fixture.h"
#include "nutgate/http/server.h"

using namespace nutgate;
using namespace nutgate::test;
using nlohmann::json;

namespace {

class ScriptedAnswer final : public http::UpstreamAnswer {
public:
    using Step = std::variant<std::string, http::UpstreamFailure>;
    ScriptedAnswer(int status, http::Headers headers, std::vector<Step> steps)
        : status_{status}, headers_{std::move(headers)}, steps_{std::move(steps)} {}
    int status() const override { return status_; }
    const http::Headers& headers() const override { return headers_; }
    http::Task<Result<std::string_view, http::UpstreamFailure>> read() override {
        if (next_ == steps_.size()) co_return std::string_view{};
        const Step& step = steps_[next_++];
        if (const auto* failure = std::get_if<http::UpstreamFailure>(&step)) {
            co_return fail(*failure);
        }
        co_return std::string_view{std::get<std::string>(step)};
    }

private:
    const int status_;
    const http::Headers headers_;
    const std::vector<Step> steps_;
    std::size_t next_ = 0;
};

struct Read {
    int status = 0;
    http::Headers headers;
    std::string body;
    std::optional<http::UpstreamFailure> failure;
};

Read read_all(std::unique_ptr<http::UpstreamAnswer> answer) {
    Read read;
    run_all({[&]() -> http::Task<void> {
        read.status = answer->status();
        read.headers = answer->headers();
        for (;;) {
            const auto piece = co_await answer->read();
            if (!piece) read.failure = piece.error();
            if (!piece || piece->empty()) co_return;
            read.body += *piece;
        }
    }});
    return read;
}

Read translate(int status, http::Headers headers, std::vector<ScriptedAnswer::Step> steps,
               proxy::TranslationBounds bounds = {}) {
    return read_all(proxy::translated(
        std::make_unique<ScriptedAnswer>(status, std::move(headers), std::move(steps)),
        proxy::make_to_chat({.created = 5, .usage_asked = true}), bounds));
}

const http::Headers kJson{{"Content-Type", "application/json"}, {"Content-Length", "999"}};
const http::Headers kEvents{{"Content-Type", "text/event-stream; charset=utf-8"}};

constexpr const char* kMessage =
    R"({"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{"type":"text",)"
    R"("text":"Hello"}],"stop_reason":"end_turn","stop_sequence":null,)"
    R"("usage":{"input_tokens":40,"output_tokens":12}})";
const std::string kBegun =
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\","
    "\"model\":\"m\",\"usage\":{\"input_tokens\":40,\"output_tokens\":1}}}\n\n"
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,"
    "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,"
    "\"delta\":{\"type\":\"text_delta\",\"text\":\"Hello\"}}\n\n";
const std::string kEnded =
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":"
    "\"end_turn\"},\"usage\":{\"output_tokens\":12}}\n\n"
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

http::Server::Options server_options() {
    http::Server::Options options;
    options.data_threads = 1;
    options.control_threads = 1;
    return options;
}

// Answers as Anthropic's documents say: one word per token, up to max_tokens.
class AnthropicServer {
public:
    AnthropicServer() : server_{server_options(), metrics_} {
        server_.route({http::Method::Post, "/v1/messages"},
                      [&](http::Exchange& exchange) { return answer(exchange); });
        REQUIRE(server_.start());
    }
    http::Url url() const {
        return http::parse_url("http://127.0.0.1:" + std::to_string(server_.port()) + "/v1")
            .value();
    }
    http::Headers seen;  // Of the last request; read after its answer.
    json asked;

private:
    static std::string error(const std::string& type, const std::string& message) {
        return json{{"type", "error"}, {"error", {{"type", type}, {"message", message}}}}.dump();
    }
    // What the reference demands of every request.
    static std::string fault_of(const http::Request& request, const json& body) {
        if (request.headers.find("anthropic-version") != "2023-06-01") return "anthropic-version";
        if (!body.is_object() || !body.contains("model")) return "model: Field required";
        if (!body.contains("max_tokens") || !body["max_tokens"].is_number_unsigned()) {
            return "max_tokens: Field required";
        }
        if (!body.contains("messages") || body["messages"].empty()) return "messages: at least one";
        for (const json& message : body["messages"]) {
            if (message["role"] != "user" && message["role"] != "assistant")
                return "messages: role";
        }
        return "";
    }
    std::vector<std::string> words() const {
        std::vector<std::string> words{"one", " two", " three", " four", " five"};
        words.resize(std::min<std::size_t>(words.size(), asked["max_tokens"]));
        return words;
    }
    std::string whole() const {
        std::string text;
        for (const std::string& word : words()) text += word;
        return json{{"id", "msg_1"},
                    {"type", "message"},
                    {"role", "assistant"},
                    {"model", asked["model"]},
                    {"content", json::array({{{"type", "text"}, {"text", text}}})},
                    {"stop_reason", "end_turn"},
                    {"stop_sequence", nullptr},
                    {"usage", {{"input_tokens", 9}, {"output_tokens", words().size()}}}}
            .dump();
    }
    std::string events() const {
        std::string text;
        const auto add = [&](const json& data) {
            text += "event: " + data["type"].get<std::string>() + "\ndata: " + data.dump() + "\n\n";
        };
        add({{"type", "message_start"},
             {"message",
              {{"id", "msg_1"},
               {"type", "message"},
               {"role", "assistant"},
               {"model", asked["model"]},
               {"content", json::array()},
               {"usage", {{"input_tokens", 9}, {"output_tokens", 1}}}}}});
        add({{"type", "content_block_start"},
             {"index", 0},
             {"content_block", {{"type", "text"}, {"text", ""}}}});
        add({{"type", "ping"}});
        for (const std::string& word : words()) {
            add({{"type", "content_block_delta"},
                 {"index", 0},
                 {"delta", {{"type", "text_delta"}, {"text", word}}}});
        }
        add({{"type", "content_block_stop"}, {"index", 0}});
        add({{"type", "message_delta"},
             {"delta", {{"stop_reason", "end_turn"}, {"stop_sequence", nullptr}}},
             {"usage", {{"output_tokens", words().size()}}}});
        add({{"type", "message_stop"}});
        return text;
    }
    // Empty: it is answered with a stream.
    std::optional<http::Response> answer_at_once(const http::Request& request) const {
        if (request.headers.find("x-api-key") != "sk-ant") {
            return http::json_response(401, error("authentication_error", "invalid x-api-key"));
        }
        if (const std::string fault = fault_of(request, asked); !fault.empty()) {
            return http::json_response(400, error("invalid_request_error", fault));
        }
        if (!asked.value("stream", false)) return http::json_response(200, whole());
        return std::nullopt;
    }
    http::Task<void> answer(http::Exchange& exchange) {
        seen = exchange.request().headers;
        asked = json::parse(exchange.request().body, nullptr, false);
        auto response = answer_at_once(exchange.request());
        if (response) {
            (void)co_await exchange.respond(std::move(*response));
            co_return;
        }
        http::Response head;
        head.headers.set("Content-Type", "text/event-stream");
        (void)co_await exchange.begin(std::move(head));
        const std::string text = events();
        for (std::size_t at = 0; at < text.size(); at += 100) {
            (void)co_await exchange.write(std::string_view{text}.substr(at, 100));
        }
        (void)co_await exchange.end();
    }

    metrics::Registry metrics_;
    http::Server server_;
};

std::unique_ptr<proxy::Upstream> adapter(const http::Url& url, std::string api_key,
                                         metrics::Registry& metrics, const Clock& clock) {
    proxy::AnthropicOptions options;
    options.traits.name = "anthropic";
    options.url = url;
    options.api_key = std::move(api_key);
    return proxy::make_anthropic_upstream(std::move(options), metrics, clock);
}

UpstreamRun run_here(proxy::Upstream& upstream, proxy::UpstreamCall call) {
    UpstreamRun run;
    run_all({[&] { return run_upstream(upstream, std::move(call), run); }});
    return run;
}

// A client of an Anthropic server that is scripted.
class ScriptedClient final : public http::UpstreamClient {
public:
    http::Task<Result<std::unique_ptr<http::UpstreamAnswer>, http::UpstreamFailure>> send(
        http::UpstreamRequest request) override {
        asked.push_back(std::move(request));
        co_return std::make_unique<ScriptedAnswer>(status, headers, steps);
    }
    int status = 200;
    http::Headers headers = kJson;
    std::vector<ScriptedAnswer::Step> steps;
    std::vector<http::UpstreamRequest> asked;
};

std::unique_ptr<proxy::Upstream> adapter_over(ScriptedClient& client, const Clock& clock) {
    proxy::AnthropicOptions options;
    options.traits.name = "anthropic";
    options.api_key = "k";
    return proxy::make_anthropic_upstream(std::move(options), client, clock);
}

}  // namespace

TEST_CASE(
    "upstream: Anthropic's adapter passes on the betas of a message, and has none of its own") {
    const FixedClock clock;
    ScriptedClient client;
    client.steps = {kMessage};
    const auto upstream = adapter_over(client, clock);
    const std::string body = R"({"model":"m","max_tokens":1,"messages":[]})";
    (void)run_here(*upstream, {.endpoint = proxy::Endpoint::Messages,
                               .body = body,
                               .betas = "effort-2025-11-24,structured-outputs-2025-11-13"});
    (void)run_here(*upstream, {.endpoint = proxy::Endpoint::Messages, .body = body});
    REQUIRE(client.asked.size() == 2);
    CHECK(client.asked[0].headers.find("anthropic-beta") ==
          "effort-2025-11-24,structured-outputs-2025-11-13");
    CHECK(client.asked[0].headers.find("anthropic-version") == "2023-06-01");
    CHECK(client.asked[1].headers.count("anthropic-beta") == 0);
}

TEST_CASE("translated answer: whole, with the headers that still hold") {
    const Read read = translate(
        200, kJson, {std::string{kMessage}.substr(0, 50), std::string{kMessage}.substr(50)});
    CHECK(read.status == 200);
    CHECK_FALSE(read.failure.has_value());
    CHECK(read.headers.find("content-type") == "application/json");
    CHECK_FALSE(read.headers.find("content-length").has_value());
    CHECK(json::parse(read.body)["choices"][0]["message"]["content"] == "Hello");
}

TEST_CASE(
    "translated answer: what is no message, too long or cut is a failure, not half an answer") {
    CHECK(translate(200, kJson, {"{\"type\":\"mess"}).failure == http::UpstreamFailure::Broken);
    CHECK(translate(200, kJson, {"<html>"}).failure == http::UpstreamFailure::Broken);
    const Read large = translate(200, kJson, {kMessage}, {.whole_bytes_max = 100});
    CHECK(large.failure == http::UpstreamFailure::TooLarge);
    CHECK(large.body.empty());
    const Read cut = translate(200, kJson, {"{", http::UpstreamFailure::Timeout});
    CHECK(cut.failure == http::UpstreamFailure::Timeout);
    CHECK(cut.body.empty());
}

TEST_CASE("translated answer: errors keep their status, and Retry-After") {
    http::Headers headers = kJson;
    headers.add("retry-after", "7");
    headers.add("anthropic-organization-id", "secret");
    const Read read = translate(
        529, headers,
        {R"({"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}})"});
    CHECK(read.status == 503);
    CHECK(read.headers.find("retry-after") == "7");
    CHECK(read.headers.entries().size() == 2);
    CHECK(json::parse(read.body)["error"]["code"] == "overloaded");
    // Of a long one the beginning is read, and it still says something.
    const Read long_one = translate(500, kJson, {std::string(200'000, 'x'), "never"});
    CHECK(long_one.status == 500);
    CHECK(json::parse(long_one.body)["error"]["type"] == "server_error");
}

TEST_CASE("translated answer: a stream comes as its events come, to its end") {
    const Read read = translate(200, kEvents, {kBegun, kEnded});
    CHECK_FALSE(read.failure.has_value());
    CHECK(read.headers.find("content-type") == "text/event-stream");
    CHECK(read.body.ends_with("data: [DONE]\n\n"));
    // What breaks behind the end takes nothing from it.
    CHECK_FALSE(translate(200, kEvents, {kBegun, kEnded, http::UpstreamFailure::Broken})
                    .failure.has_value());
}

TEST_CASE("translated answer: a stream that breaks tells what it used, then that it broke") {
    for (const auto& [steps, failure] :
         std::vector<std::pair<std::vector<ScriptedAnswer::Step>, http::UpstreamFailure>>{
             {{kBegun}, http::UpstreamFailure::Broken},
             {{kBegun, http::UpstreamFailure::Timeout}, http::UpstreamFailure::Timeout},
             {{kBegun, "data: nonsense\n\n", kEnded}, http::UpstreamFailure::Broken}}) {
        const Read read = translate(200, kEvents, steps);
        CHECK(read.failure == failure);
        CHECK(read.body.find("[DONE]") == std::string::npos);
        proxy::SseMeter meter{proxy::SseMeter::Options{}};
        std::string passed;
        meter.feed(read.body, passed);
        CHECK_FALSE(meter.finished());
        CHECK(meter.usage()->prompt_tokens == 40);
    }
}

TEST_CASE("translated answer: the other way round, for an Anthropic client on an OpenAI upstream") {
    const Read read = read_all(proxy::translated(
        std::make_unique<ScriptedAnswer>(
            200, kEvents,
            std::vector<ScriptedAnswer::Step>{delta("Hello"), kFinish + kUsage, kDone}),
        proxy::make_to_messages({.input_tokens_estimate = 3, .model = "small"})));
    CHECK_FALSE(read.failure.has_value());
    CHECK(read.body.starts_with("event: message_start\n"));
    CHECK(read.body.ends_with("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"));
    const Read refused = read_all(proxy::translated(
        std::make_unique<ScriptedAnswer>(
            429, kJson, std::vector<ScriptedAnswer::Step>{R"({"error":{"message":"slow down"}})"}),
        proxy::make_to_messages({.input_tokens_estimate = 3})));
    CHECK(refused.status == 429);
    CHECK(json::parse(refused.body)["error"]["type"] == "rate_limit_error");
}

TEST_CASE("upstream: the adapter for Anthropic's dialect keeps the contract, over HTTP") {
    const FixedClock clock;
    AnthropicServer server;
    metrics::Registry metrics;
    const auto upstream = adapter(server.url(), "sk-ant", metrics, clock);
    check_upstream_contract(*upstream, run_here, {.choices_max = 1});
    CHECK(server.seen.find("x-api-key") == "sk-ant");
    CHECK(server.seen.find("anthropic-version") == "2023-06-01");
    CHECK(server.seen.find("accept-encoding") == "identity");
    CHECK(server.seen.find("content-type") == "application/json");
    CHECK_FALSE(server.seen.find("authorization").has_value());
    // A wrong key is the seller's trouble: told as the error that it is.
    const auto wrong = adapter(server.url(), "sk-wrong", metrics, clock);
    const auto refused = run_here(
        *wrong,
        {.body = R"({"model":"m","max_tokens":1,"messages":[{"role":"user","content":"x"}]})"});
    CHECK(refused.status == 401);
    CHECK(json::parse(refused.body)["error"]["code"] == "invalid_api_key");
}

TEST_CASE("upstream: what can't be carried to Anthropic is refused before anything is sent") {
    const FixedClock clock;
    ScriptedClient client;
    const auto upstream = adapter_over(client, clock);
    const auto refused =
        run_here(*upstream, {.body = R"({"model":"m","max_tokens":1,"logprobs":true,)"
                                     R"("messages":[{"role":"user","content":"x"}]})"});
    CHECK(refused.status == 400);
    const json error = json::parse(refused.body)["error"];
    CHECK(error["code"] == "unsupported_parameter");
    CHECK(error["param"] == "logprobs");
    CHECK(client.asked.empty());
}

TEST_CASE("gateway: a chat on an Anthropic upstream is charged what Anthropic says") {
    const FixedClock clock;
    ScriptedClient client;
    const auto upstream = adapter_over(client, clock);
    proxy::Model model{.id = *ModelId::parse("claude"),
                       .context = 4096,
                       .output_max = 512,
                       .price = Node::default_price(),
                       .upstreams = {upstream.get()}};
    model.upstream_model = "claude-theirs";
    Node node{Node::default_price(), {model}};
    const KeyId key = node.make_key(10'000_msat);
    std::string body = R"({"model":"claude","messages":[{"role":"user","content":"Hi there"}])";

    SUBCASE("whole") {
        client.steps = {kMessage};
        FakeExchange exchange{node.request(key, body + "}")};
        node.serve(exchange);
        CHECK(exchange.status == 200);
        CHECK(json::parse(exchange.body)["choices"][0]["message"]["content"] == "Hello");
        // 40 * 0.2 + 12 * 0.6 = 15.2, so 16 msat.
        CHECK(node.balance(key).posted == 9'984_msat);
    }
    SUBCASE("a stream") {
        client.headers = kEvents;
        client.steps = {kBegun, kEnded};
        FakeExchange exchange{node.request(key, body + R"(,"stream":true})")};
        node.serve(exchange);
        CHECK(exchange.body.ends_with("data: [DONE]\n\n"));
        CHECK(exchange.body.find("\"total_msats\":16") != std::string::npos);
        CHECK(node.balance(key).posted == 9'984_msat);
    }
    SUBCASE("a stream that broke: the prompt by Anthropic's word, the answer by an estimate") {
        client.headers = kEvents;
        client.steps = {kBegun, http::UpstreamFailure::Broken};
        FakeExchange exchange{node.request(key, body + R"(,"stream":true})")};
        node.serve(exchange);
        CHECK(exchange.body.find("[DONE]") == std::string::npos);
        // "Hello" is 5 bytes, so 2 tokens: 40 * 0.2 + 2 * 0.6 = 9.2, so 10 msat.
        CHECK(node.balance(key).posted == 9'990_msat);
    }
    SUBCASE("a refusal is free, and says what Anthropic said") {
        client.status = 400;
        client.steps = {R"({"type":"error","error":{"type":"invalid_request_error",)"
                        R"("message":"prompt is too long: 210000 tokens > 200000 maximum"}})"};
        FakeExchange exchange{node.request(key, body + "}")};
        node.serve(exchange);
        CHECK(exchange.status == 400);
        CHECK(json::parse(exchange.body)["error"]["code"] == "context_length_exceeded");
        CHECK(node.balance(key).posted == 10'000_msat);
    }
    SUBCASE("what can't be carried is free, and is never sent") {
        FakeExchange exchange{node.request(key, body + R"(,"n":2})")};
        node.serve(exchange);
        CHECK(exchange.status == 400);
        CHECK(client.asked.empty());
        CHECK(node.balance(key).posted == 10'000_msat);
        return;
    }
    REQUIRE(client.asked.size() == 1);
    const json sent = json::parse(client.asked[0].body);
    CHECK(sent["model"] == "claude-theirs");
    CHECK(sent["max_tokens"] == 512);  // The model's, since the client gave none.
    CHECK(client.asked[0].target == "/messages");
}

namespace {

constexpr const char* kAskMessage =
    R"("model":"claude","max_tokens":100,"messages":[{"role":"user","content":"Hi there"}])";

proxy::Model claude(proxy::Upstream& upstream) {
    proxy::Model model{.id = *ModelId::parse("claude"),
                       .context = 4096,
                       .output_max = 512,
                       .price = Node::default_price(),
                       .upstreams = {&upstream}};
    model.upstream_model = "theirs";
    return model;
}

}  // namespace

TEST_CASE("gateway: a message on an upstream of chats is charged what that one says") {
    ScriptedClient client;
    proxy::OpenAiOptions options;
    options.traits.name = "chats";
    options.traits.endpoints = {proxy::Endpoint::Chat};
    const auto upstream = proxy::make_openai_upstream(std::move(options), client);
    Node node{Node::default_price(), {claude(*upstream)}};
    const KeyId key = node.make_key(10'000_msat);
    const std::string open = std::string{"{"} + kAskMessage;

    SUBCASE("whole") {
        client.steps = {kAnswer};
        FakeExchange exchange{node.request(key, open + "}")};
        node.serve(exchange, proxy::Endpoint::Messages);
        REQUIRE(exchange.status == 200);
        const json body = json::parse(exchange.body);
        CHECK(body["type"] == "message");
        CHECK(body["content"][0]["text"] == "Hello");
        CHECK(body["stop_reason"] == "end_turn");
        CHECK(body["usage"]["input_tokens"] == 40);
        CHECK(body["usage"]["output_tokens"] == 12);
        CHECK(body["usage"]["cost"]["total_msats"] == 16);
        CHECK(node.balance(key).posted == 9'984_msat);
    }
    SUBCASE("a stream") {
        client.headers = kEvents;
        client.steps = {delta("Hello"), kFinish + kUsage + kDone};
        FakeExchange exchange{node.request(key, open + R"(,"stream":true})")};
        node.serve(exchange, proxy::Endpoint::Messages);
        CHECK(exchange.body.starts_with("event: message_start\n"));
        CHECK(exchange.body.find("event: message_stop\n") != std::string::npos);
        CHECK(exchange.body.find("event: cost\n") != std::string::npos);
        CHECK(exchange.body.find("\"total_msats\":16") != std::string::npos);
        CHECK(exchange.body.find("[DONE]") == std::string::npos);
        CHECK(node.balance(key).posted == 9'984_msat);
    }
    SUBCASE("a stream that broke is charged for what came, and has no false end") {
        client.headers = kEvents;
        client.steps = {delta("Hello"), http::UpstreamFailure::Broken};
        FakeExchange exchange{node.request(key, open + R"(,"stream":true})")};
        node.serve(exchange, proxy::Endpoint::Messages);
        CHECK(exchange.body.find("message_stop") == std::string::npos);
        const Msat left = node.balance(key).posted;
        CHECK(left < 10'000_msat);
        CHECK(left > 9'900_msat);
    }
    SUBCASE("what can't be carried is free, and is never sent") {
        FakeExchange exchange{node.request(
            key, R"({"model":"claude","max_tokens":100,"messages":[{"role":"user","content":"a"},)"
                 R"({"role":"assistant","content":"b"}]})")};
        node.serve(exchange, proxy::Endpoint::Messages);
        CHECK(exchange.status == 400);
        CHECK(json::parse(exchange.body)["type"] == "error");
        CHECK(client.asked.empty());
        CHECK(node.balance(key).posted == 10'000_msat);
        return;
    }
    REQUIRE(client.asked.size() == 1);
    CHECK(client.asked[0].target == "/chat/completions");
    const json sent = json::parse(client.asked[0].body);
    CHECK(sent["model"] == "theirs");
    CHECK(sent["max_tokens"] == 100);
    CHECK(sent["messages"][0]["content"] == "Hi there");
}

TEST_CASE("gateway: a message on an Anthropic upstream passes as it is, and so does its count") {
    const FixedClock clock;
    ScriptedClient client;
    proxy::AnthropicOptions options;
    options.traits.name = "anthropic";
    options.traits.endpoints = proxy::kAnthropicEndpoints;
    const auto upstream = proxy::make_anthropic_upstream(std::move(options), client, clock);
    Node node{Node::default_price(), {claude(*upstream)}};
    const KeyId key = node.make_key(10'000_msat);
    const std::string body = std::string{"{"} + kAskMessage + "}";

    client.steps = {kMessage};
    FakeExchange message{node.request(key, body)};
    node.serve(message, proxy::Endpoint::Messages);
    CHECK(message.status == 200);
    CHECK(json::parse(message.body)["usage"]["cost"]["total_msats"] == 16);
    CHECK(node.balance(key).posted == 9'984_msat);

    client.steps = {R"({"input_tokens":14})"};
    FakeExchange count{node.request(
        key, R"({"model":"claude","messages":[{"role":"user","content":"Hi there"}]})")};
    node.serve(count, proxy::Endpoint::CountTokens);
    CHECK(count.body == R"({"input_tokens":14})");
    CHECK(node.balance(key).posted == 9'984_msat);

    REQUIRE(client.asked.size() == 2);
    CHECK(client.asked[0].target == "/messages");
    CHECK(json::parse(client.asked[0].body)["model"] == "theirs");
    CHECK(client.asked[1].target == "/messages/count_tokens");
}
