#include <memory>

#include "contract/upstream_contract.h"
#include "fixture.h"
#include "nutgate/http/server.h"
#include "nutgate/proxy/routes.h"

using namespace nutgate;
using namespace nutgate::test;
using nlohmann::json;

namespace {

UpstreamRun run_here(proxy::Upstream& upstream, proxy::UpstreamCall call) {
    UpstreamRun run;
    run_all({[&] { return run_upstream(upstream, std::move(call), run); }});
    return run;
}

std::unique_ptr<proxy::Upstream> demo(const Clock& clock) {
    return proxy::make_demo_upstream({.token_time = Milliseconds{0}}, clock);
}

http::Server::Options server_options() {
    http::Server::Options options;
    options.data_threads = 2;
    options.control_threads = 1;
    return options;
}

std::unique_ptr<proxy::Upstream> adapter(const http::Url& url, std::string api_key,
                                         metrics::Registry& metrics) {
    proxy::OpenAiOptions options;
    options.traits.name = "adapter";
    options.url = url;
    options.api_key = std::move(api_key);
    return proxy::make_openai_upstream(std::move(options), metrics);
}

// Serves an upstream as OpenAI would, and keeps what it was asked.
class OpenAiServer {
public:
    explicit OpenAiServer(proxy::Upstream& upstream) : server_{server_options(), metrics_} {
        server_.route({http::Method::Post, "/base/v1/chat/completions"},
                      [&](http::Exchange& exchange) { return answer(exchange, upstream); });
        REQUIRE(server_.start());
    }
    http::Url url() const {
        return http::parse_url("http://127.0.0.1:" + std::to_string(server_.port()) + "/base/v1")
            .value();
    }
    // Of the last request; read after its answer.
    http::Headers seen;
    std::string seen_target;

private:
    http::Task<void> answer(http::Exchange& exchange, proxy::Upstream& upstream) {
        seen = exchange.request().headers;
        seen_target = exchange.request().target;
        const json body = json::parse(exchange.request().body, nullptr, false);
        proxy::UpstreamCall call;
        call.body = exchange.request().body;
        call.stream = body.value("stream", false);
        const auto found = co_await upstream.call(std::move(call));
        http::Response head;
        head.status = (*found)->status();
        head.headers.set("Content-Type", std::string{*(*found)->headers().find("content-type")});
        co_await exchange.begin(std::move(head));
        for (;;) {
            const auto piece = co_await (*found)->read();
            if (!piece || piece->empty()) break;
            co_await exchange.write(*piece);
        }
        co_await exchange.end();
    }

    metrics::Registry metrics_;
    http::Server server_;
};

}  // namespace

TEST_CASE("upstream: the demonstration keeps the contract") {
    const FixedClock clock;
    const auto upstream = demo(clock);
    check_upstream_contract(*upstream, run_here);
}

TEST_CASE("upstream: the adapter for OpenAI's dialect keeps the contract, over HTTP") {
    const FixedClock clock;
    const auto behind = demo(clock);
    OpenAiServer server{*behind};
    metrics::Registry metrics;
    const auto upstream = adapter(server.url(), "sk-upstream", metrics);
    check_upstream_contract(*upstream, run_here);
    CHECK(server.seen.find("authorization") == "Bearer sk-upstream");
    CHECK(server.seen.find("content-type") == "application/json");
    CHECK(server.seen.find("accept-encoding") == "identity");
    CHECK_FALSE(server.seen.find("x-request-id").has_value());
}

TEST_CASE("upstream: each who speaks OpenAI's dialect keeps the contract, over HTTP") {
    const FixedClock clock;
    const auto behind = demo(clock);
    OpenAiServer server{*behind};
    for (const char* dialect :
         {"openai", "azure", "gemini", "llama.cpp", "ollama", "openrouter", "vllm"}) {
        CAPTURE(dialect);
        metrics::Registry metrics;
        auto options = proxy::openai_options(dialect, server.url());
        REQUIRE(options);
        options->api_key = "sk-upstream";
        const auto upstream = proxy::make_openai_upstream(*std::move(options), metrics);
        check_upstream_contract(*upstream, run_here);
        const bool is_azure = std::string_view{dialect} == "azure";
        CHECK(server.seen.find("authorization").has_value() != is_azure);
        CHECK(server.seen.find("api-key").has_value() == is_azure);
        CHECK(server.seen.find("accept-encoding") == "identity");
    }
    CHECK_FALSE(proxy::openai_options("latin", server.url()));
}

TEST_CASE("upstream: Azure's key stands alone, and its version goes along as the query") {
    const FixedClock clock;
    const auto behind = demo(clock);
    OpenAiServer server{*behind};
    metrics::Registry metrics;
    http::Url url = server.url();
    url.query = "api-version=2024-10-21";
    auto options = proxy::openai_options("azure", url);
    REQUIRE(options);
    options->api_key = "0123456789abcdef";
    const auto upstream = proxy::make_openai_upstream(*std::move(options), metrics);
    check_upstream_contract(*upstream, run_here);
    CHECK(server.seen.find("api-key") == "0123456789abcdef");
    CHECK(server.seen_target == "/base/v1/chat/completions?api-version=2024-10-21");
}

TEST_CASE("upstream: a limit goes under the name that is obeyed") {
    const auto field = [](std::string_view dialect, std::string_view url) {
        return proxy::openai_options(dialect, http::parse_url(url).value())->traits.limit_field;
    };
    using enum proxy::LimitField;
    CHECK(field("openai", "https://api.openai.com/v1") == MaxCompletionTokens);
    CHECK(field("openai", "http://127.0.0.1:8000/v1") == MaxTokens);
    CHECK(field("azure", "https://x.openai.azure.com/openai/v1") == MaxCompletionTokens);
    for (const char* dialect : {"gemini", "llama.cpp", "ollama", "openrouter", "vllm"}) {
        CHECK(field(dialect, "https://example.com/v1") == MaxTokens);
    }
}

TEST_CASE("upstream: who bills a whole answer is read to its end where its client has left") {
    const auto usual = [](std::string_view dialect) {
        return proxy::openai_options(dialect, http::parse_url("https://example.com/v1").value())
            ->traits.client_gone;
    };
    for (const char* dialect : {"gemini", "openrouter"}) {
        CHECK(usual(dialect) == proxy::ClientGone::Drain);
    }
    for (const char* dialect : {"openai", "azure", "llama.cpp", "ollama", "vllm"}) {
        CHECK(usual(dialect) == proxy::ClientGone::Cancel);
    }
}

TEST_CASE("upstream: who serves chats serves messages, and moderations only who has them") {
    metrics::Registry metrics;
    const auto served = [&](std::string_view dialect) {
        auto options =
            proxy::openai_options(dialect, http::parse_url("https://example.com/v1").value());
        return proxy::make_openai_upstream(*std::move(options), metrics)->traits().endpoints;
    };
    using enum proxy::Endpoint;
    for (const char* dialect :
         {"openai", "azure", "gemini", "llama.cpp", "ollama", "openrouter", "vllm"}) {
        CAPTURE(dialect);
        CHECK(served(dialect).contains(Chat));
        CHECK(served(dialect).contains(Messages));
        CHECK(served(dialect).contains(Moderations) == (std::string_view{dialect} == "openai"));
    }
}

TEST_CASE("upstream: nobody listening is unreachable, so another one may be tried") {
    metrics::Registry metrics;
    const auto upstream = adapter(http::parse_url("http://127.0.0.1:1/v1").value(), "", metrics);
    std::optional<http::UpstreamFailure> failure;
    const auto call = [&]() -> http::Task<void> {
        proxy::UpstreamCall empty;
        empty.body = "{}";
        const auto answer = co_await upstream->call(std::move(empty));
        if (!answer) failure = answer.error();
    };
    run_all({call});
    CHECK(failure == http::UpstreamFailure::Unreachable);
}

TEST_CASE("demo: its text is a function of the prompt, says what it is, and obeys") {
    const FixedClock clock;
    const auto upstream = demo(clock);
    const std::string ask =
        R"({"model":"demo","messages":[{"role":"system","content":"Be brief."},)"
        R"({"role":"user","content":"alpha beta gamma"}]})";
    const auto first = run_here(*upstream, {.body = ask});
    CHECK(first.body == run_here(*upstream, {.body = ask}).body);
    const json answer = json::parse(first.body);
    const std::string text = answer["choices"][0]["message"]["content"];
    CHECK(text.find("demonstration") != std::string::npos);
    CHECK(text.find("alpha beta gamma") != std::string::npos);
    CHECK(answer["choices"][0]["finish_reason"] == "stop");
    CHECK(answer["usage"]["prompt_tokens"] == 5);  // One per word.
    CHECK(answer["usage"]["completion_tokens"] == std::count(text.begin(), text.end(), ' ') + 1);

    std::string words = "x";
    for (int i = 0; i < 8192; ++i) words += " x";
    const json beyond{{"messages", {{{"role", "user"}, {"content", words}}}}};
    const auto refused = run_here(*upstream, {.body = beyond.dump()});
    CHECK(refused.status == 400);
    CHECK(json::parse(refused.body)["error"]["code"] == "context_length_exceeded");

    const json cut = json::parse(
        run_here(*upstream, {.body = R"({"messages":[{"content":"x"}],"max_tokens":3,"n":2})"})
            .body);
    CHECK(cut["choices"].size() == 2);
    CHECK(cut["choices"][1]["finish_reason"] == "length");
    CHECK(cut["usage"]["completion_tokens"] == 6);
}

TEST_CASE("routes: a node sells its demonstration over HTTP, end to end") {
    const FixedClock clock;
    const auto upstream = proxy::make_demo_upstream({.token_time = Milliseconds{1}}, clock);
    proxy::Model demo_model{
        .id = *ModelId::parse("demo"),
        .price = proxy::Price::make(proxy::MsatPrices{.input_per_1k = 1000, .output_per_1k = 1000})
                     .value(),
        .upstreams = {upstream.get()}};
    Node node{Node::default_price(), {demo_model}};
    const KeyId key = node.make_key(100'000_msat);

    http::Server server{server_options(), node.metrics};
    proxy::add_routes(server, *node.gateway);
    REQUIRE(server.start());
    // The node is its own client here: what it sells has the shape of what it buys.
    metrics::Registry metrics;
    const auto url =
        http::parse_url("http://127.0.0.1:" + std::to_string(server.port()) + "/v1").value();
    const auto client = adapter(url, node.keyring.text_of(key), metrics);
    const auto stream = run_here(
        *client, {.body = R"({"model":"demo","messages":[{"role":"user","content":"a b c"}],)"
                          R"("stream":true,"max_tokens":10})",
                  .stream = true});
    CHECK(stream.status == 200);
    CHECK(stream.content_type.starts_with("text/event-stream"));
    CHECK(stream.body.ends_with("data: [DONE]\n\n"));
    CHECK(stream.body.find("\"total_msats\":13") != std::string::npos);  // 3 in, 10 out.
    const auto whole = run_here(
        *client,
        {.body =
             R"({"model":"demo","messages":[{"role":"user","content":"a b c"}],"max_tokens":10})"});
    CHECK(json::parse(whole.body)["usage"]["cost"]["total_msats"] == 13);
    CHECK(json::parse(whole.body)["usage"]["remaining_balance_msats"] == 100'000 - 26);
    server.drain(Milliseconds{1000});
    node.settle();
    CHECK(node.balance(key).posted == 99'974_msat);
}
