// Streams that the balance ends, in each dialect's own way: completions, responses and messages,
// and what is translated on its way. What all of them share is in elastic_test.cpp.
#include <algorithm>
#include <memory>

#include "dialogue.h"
#include "elastic_world.h"
#include "endpoints_test.h"
#include "scripted_server.h"
#include "till_customer.h"

using namespace nutgate;
using namespace nutgate::test;
using nlohmann::json;
using proxy::Endpoint;

namespace {

const std::string kComplete = R"({"model":"small","prompt":"Hi","max_tokens":400,"stream":true})";
const std::string kRespond = R"({"model":"small","input":"Hi","stream":true})";
const std::string kMessage =
    R"({"model":"small","max_tokens":400,"messages":[{"role":"user","content":"Hi"}],)"
    R"("stream":true})";

Msat charge(std::int64_t input, std::int64_t output) {
    return proxy::cost_of(Node::default_price(), {.in_uncached = input, .out_text = output})
        .value()
        .total;
}

std::string event(const std::string& type, const std::string& members) {
    return "event: " + type + "\ndata: {\"type\":\"" + type + '"' +
           (members.empty() ? "" : "," + members) + "}\n\n";
}

std::string text_chunk(int index, const std::string& finish = "null") {
    return R"(data: {"id":"cmpl-1","object":"text_completion","created":7,"model":"M",)"
           R"("choices":[{"text":"abcd","index":)" +
           std::to_string(index) + R"(,"logprobs":null,"finish_reason":)" + finish + "}]}\n\n";
}

// Numbered as a response's events are.
std::vector<Step> response_steps(const std::string& begun, const std::string& type,
                                 const std::string& delta, int n) {
    std::vector<Step> steps{
        event("response.created", R"("sequence_number":0,"response":)" + begun)};
    for (int i = 1; i <= n; ++i) {
        steps.emplace_back(event(type, R"("item_id":"item_1","output_index":0,"delta":")" + delta +
                                           R"(","sequence_number":)" + std::to_string(i)));
    }
    return steps;
}
const std::string kBegun =
    R"({"id":"resp_1","object":"response","created_at":7,"status":"in_progress","error":null,)"
    R"("incomplete_details":null,"model":"M","output":[],"tools":[],"metadata":{},"usage":null})";

const std::string kMessageStart =
    event("message_start",
          R"("message":{"id":"msg_1","type":"message","role":"assistant","model":"M","content":[],)"
          R"("usage":{"input_tokens":40,"output_tokens":1}})");
std::string block_start(int index, const std::string& block) {
    return event("content_block_start",
                 R"("index":)" + std::to_string(index) + R"(,"content_block":)" + block);
}
std::string block_stop(int index) {
    return event("content_block_stop", R"("index":)" + std::to_string(index));
}
std::string block_delta(int index, const std::string& members) {
    return event("content_block_delta",
                 R"("index":)" + std::to_string(index) + R"(,"delta":{)" + members + '}');
}
const std::string kTextBlock = R"({"type":"text","text":""})";
const std::string kTextDelta = R"("type":"text_delta","text":"abcd")";

// What a customer with so much gets of a stream, and pays.
struct Bought {
    explicit Bought(http::Request request) : client{std::move(request)} {}

    FakeExchange client;
    Msat paid;
    std::vector<SseEvent> events;
    int upstream_steps = 0;

    json data(std::size_t from_the_end) const {
        REQUIRE(events.size() > from_the_end);
        return json::parse(events[events.size() - 1 - from_the_end].data);
    }
    const std::string& name(std::size_t from_the_end) const {
        return events[events.size() - 1 - from_the_end].name;
    }
};

std::unique_ptr<Bought> buy(Endpoint endpoint, const std::string& ask, Msat balance,
                            std::vector<Step> steps) {
    Node node;
    set_slice(node);
    node.upstream.script = sse_script(std::move(steps));
    const KeyId key = node.make_key(balance);
    auto bought = std::make_unique<Bought>(node.request(key, ask));
    node.serve(bought->client, endpoint);
    bought->paid = *subtract(balance, node.balance(key).posted);
    if (bought->client.status == 200) bought->events = sse_events(bought->client.body);
    bought->upstream_steps = node.upstream.steps_done;
    CHECK(bought->client.ended);
    CHECK(loss(node) == 0);
    return bought;
}

void append(std::vector<Step>& steps, int n, const std::string& frame) {
    steps.insert(steps.end(), static_cast<std::size_t>(n), frame);
}

// The charge as a dialect's own usage tells it.
void check_cost(const json& usage, Msat paid) {
    CHECK(usage["cost"]["total_msats"] == paid.raw());
    CHECK(usage["cost"]["stopped"] == "insufficient_balance");
    CHECK(usage["cost"]["usage_source"] == "estimate");
}

// A message that the balance ended: its blocks closed, its end, its charge.
void check_message_end(const Bought& got, std::vector<std::int64_t> open, Msat charged) {
    CHECK(got.paid == charged);
    REQUIRE(got.events.size() > 3 + open.size());
    CHECK(got.name(0) == "cost");
    CHECK(got.data(0)["cost"]["total_msats"] == charged.raw());
    CHECK(got.name(1) == "message_stop");
    const json last = got.data(2);
    CHECK(got.name(2) == "message_delta");
    CHECK(last["type"] == "message_delta");
    CHECK(last["delta"] == json{{"stop_reason", "max_tokens"}, {"stop_sequence", nullptr}});
    check_cost(last["usage"], charged);
    for (const std::int64_t& block : open) {
        const std::size_t place = 2 + open.size() - static_cast<std::size_t>(&block - open.data());
        CHECK(got.name(place) == "content_block_stop");
        CHECK(got.data(place) == json{{"type", "content_block_stop"}, {"index", block}});
    }
    CHECK(got.name(3 + open.size()) == "content_block_delta");
    CHECK(count(got.client.body, "event: message_stop\n") == 1);
    CHECK(got.client.body.find("[DONE]") == std::string::npos);
}

proxy::Model model_of(proxy::Upstream& upstream) {
    proxy::Model model{.id = *ModelId::parse("other"),
                       .context = 4096,
                       .output_max = 512,
                       .price = Node::default_price(),
                       .upstreams = {&upstream}};
    model.endpoints = {Endpoint::Chat, Endpoint::Messages};
    return model;
}

std::string for_other(std::string ask) { return ask.replace(ask.find("small"), 5, "other"); }

}  // namespace

TEST_CASE("elastic: every dialect's stream begins when its prompt and a slice are covered") {
    struct Case {
        Endpoint endpoint;
        std::string ask;
        std::vector<Step> steps;
    };
    std::vector<Case> cases{{Endpoint::Completions, kComplete, {}},
                            {Endpoint::Responses, kRespond, {}},
                            {Endpoint::Messages, kMessage, {}}};
    append(cases[0].steps, 9, text_chunk(0));
    cases[0].steps.insert(cases[0].steps.end(), {text_chunk(0, "\"stop\""), kDone});
    cases[1].steps = response_steps(kBegun, "response.output_text.delta", "abcd", 10);
    cases[1].steps.emplace_back(event(
        "response.completed", R"("response":{"id":"resp_1","status":"completed","usage":null})"));
    cases[2].steps = {kMessageStart, block_start(0, kTextBlock)};
    append(cases[2].steps, 10, block_delta(0, kTextDelta));
    cases[2].steps.insert(cases[2].steps.end(),
                          {block_stop(0),
                           event("message_delta", R"("delta":{"stop_reason":"end_turn"},)"
                                                  R"("usage":{"output_tokens":10})"),
                           event("message_stop", "")});
    for (const Case& one : cases) {
        CAPTURE(one.ask);
        const Msat least = covering(one.ask, kSlice);
        REQUIRE(least < covering(one.ask, 400));
        const auto got = buy(one.endpoint, one.ask, least, one.steps);
        CHECK(got->client.status == 200);
        CHECK(count(got->client.body, "abcd") == 10);
        CHECK(got->client.body.find("stopped") == std::string::npos);
        CHECK(got->paid == charge(one.endpoint == Endpoint::Messages ? 40 : 1, 10));

        const auto refused = buy(one.endpoint, one.ask, *subtract(least, 1_msat), one.steps);
        CHECK(refused->client.status == 402);
        CHECK(refused->client.body.find(std::to_string(least.raw())) != std::string::npos);
        CHECK(refused->paid == 0_msat);
    }
}

TEST_CASE("elastic: a completion that the balance ends says so in its own form") {
    const Msat balance = covering(kComplete, 40);
    const std::int64_t most = covered_by(kComplete, balance);
    std::vector<Step> steps;
    append(steps, 200, text_chunk(0));
    const auto got = buy(Endpoint::Completions, kComplete, balance, std::move(steps));
    CHECK(got->paid == charge(1, most));
    CHECK(count(got->client.body, "abcd") == most);
    CHECK(got->client.body.ends_with("\n\n" + kDone));
    CHECK(count(got->client.body, "[DONE]") == 1);
    const json last = got->data(2);
    CHECK(last ==
          json::parse(R"({"id":"cmpl-1","object":"text_completion","created":7,"model":"M",)"
                      R"("choices":[{"index":0,"text":"","logprobs":null,)"
                      R"("finish_reason":"length"}]})"));
    const json told = got->data(1);
    CHECK(told["object"] == "text_completion");
    CHECK(told["choices"] == json::array());
    CHECK(told["usage"]["completion_tokens"] == most);
    check_cost(told["usage"], got->paid);
    CHECK(told["metadata"]["routstr"]["stopped"] == "insufficient_balance");
    CHECK(got->upstream_steps < 100);
}

TEST_CASE("elastic: of a completion of several prompts each that has not ended is ended") {
    const std::string ask =
        R"({"model":"small","prompt":["Hi","Ho"],"n":2,"max_tokens":100,"stream":true})";
    const Msat balance = *add(covering(ask, 100), *Msat::from_raw(103));  // A second template's.
    std::vector<Step> steps{text_chunk(2, "\"stop\"")};
    for (int i = 0; i < 200; ++i) steps.emplace_back(text_chunk(i % 4 == 2 ? 0 : i % 4));
    const auto got = buy(Endpoint::Completions, ask, balance, std::move(steps));
    CHECK(got->paid <= balance);
    CHECK(count(got->client.body, R"("finish_reason":"length")") == 3);
    std::vector<int> ended;
    for (const std::size_t place : {4U, 3U, 2U}) {
        const json chunk = got->data(place);
        ended.push_back(chunk["choices"][0]["index"]);
        CHECK(chunk["choices"][0]["finish_reason"] == "length");
    }
    CHECK(ended == std::vector<int>{0, 1, 3});
}

TEST_CASE("elastic: a completion that repeats its prompt is held for whole") {
    std::string ask = kComplete;
    ask.insert(1, R"("echo":true,)");
    const Msat whole = covering(ask, 400);
    const auto refused = buy(Endpoint::Completions, ask, *subtract(whole, 1_msat), {});
    CHECK(refused->client.status == 402);
    CHECK(refused->client.body.find(std::to_string(whole.raw())) != std::string::npos);
}

TEST_CASE("elastic: a response that the balance ends is incomplete, for its length") {
    const Msat balance = covering(kRespond, 40);
    const std::int64_t most = covered_by(kRespond, balance);
    const auto steps = response_steps(kBegun, "response.output_text.delta", "abcd", 200);
    const auto got = buy(Endpoint::Responses, kRespond, balance, steps);
    CHECK(got->paid == charge(1, most));
    CHECK(count(got->client.body, "abcd") == most);
    std::string passed;
    for (std::int64_t i = 0; i <= most; ++i) {
        passed += std::get<std::string>(steps[static_cast<std::size_t>(i)]);
    }
    CHECK(got->client.body.starts_with(passed));
    CHECK(static_cast<std::int64_t>(got->events.size()) == most + 2);
    CHECK(got->name(0) == "response.incomplete");
    const json last = got->data(0);
    CHECK(last["type"] == "response.incomplete");
    CHECK(last["sequence_number"] == most + 1);
    const json& response = last["response"];
    CHECK(response["id"] == "resp_1");
    CHECK(response["created_at"] == 7);
    CHECK(response["model"] == "M");
    CHECK(response["status"] == "incomplete");
    CHECK(response["incomplete_details"] == json{{"reason", "max_output_tokens"}});
    CHECK(response["output"] == json::array());
    CHECK(response["usage"]["input_tokens"] == 1);
    CHECK(response["usage"]["output_tokens"] == most);
    CHECK(response["usage"]["output_tokens_details"]["reasoning_tokens"] == 0);
    check_cost(response["usage"], got->paid);
    CHECK(response["metadata"]["routstr"]["stopped"] == "insufficient_balance");
    CHECK(got->upstream_steps < 100);
}

TEST_CASE("elastic: a response's tool call that the balance ends never looks like a whole one") {
    const Msat balance = covering(kRespond, 40);
    auto steps = response_steps(kBegun, "response.function_call_arguments.delta", R"({\"a)", 200);
    steps.insert(steps.begin() + 1,
                 event("response.output_item.added",
                       R"("output_index":0,"item":{"type":"function_call","id":"item_1",)"
                       R"("call_id":"c","name":"look","arguments":""},"sequence_number":0)"));
    const auto got = buy(Endpoint::Responses, kRespond, balance, std::move(steps));
    CHECK(got->paid == charge(1, covered_by(kRespond, balance)));
    CHECK(got->name(0) == "response.incomplete");
    CHECK(got->data(0)["response"]["output"] == json::array());
    CHECK(got->client.body.find(".done") == std::string::npos);
}

TEST_CASE("elastic: a response whose beginning is not known ends with what is") {
    const Msat balance = covering(kRespond, 40);
    std::string begun = kBegun;
    SUBCASE("longer than anybody keeps") {
        begun.insert(1, R"("instructions":")" + std::string(20'000, 'x') + R"(",)");
    }
    SUBCASE("none was told") { begun = "null"; }
    const auto got = buy(Endpoint::Responses, kRespond, balance,
                         response_steps(begun, "response.output_text.delta", "abcd", 200));
    const json response = got->data(0)["response"];
    CHECK(got->name(0) == "response.incomplete");
    CHECK(response["object"] == "response");
    CHECK(response["model"] == "small");
    CHECK(response["status"] == "incomplete");
    check_cost(response["usage"], got->paid);
    CHECK(got->paid == charge(1, covered_by(kRespond, balance)));
}

TEST_CASE("elastic: a message that the balance ends closes its block and ends by its length") {
    const Msat balance = covering(kMessage, 40);
    const std::int64_t most = covered_by(kMessage, balance);
    std::vector<Step> steps{kMessageStart};
    std::vector<std::int64_t> open{1};
    SUBCASE("text behind thoughts") {
        steps.emplace_back(block_start(0, R"({"type":"thinking","thinking":"","signature":""})"));
        append(steps, 5, block_delta(0, R"("type":"thinking_delta","thinking":"hmmm")"));
        steps.emplace_back(block_delta(0, R"("type":"signature_delta","signature":"abcdefgh")"));
        steps.insert(steps.end(), {block_stop(0), block_start(1, kTextBlock)});
        append(steps, 200, block_delta(1, kTextDelta));
    }
    SUBCASE("a tool call in the middle of its arguments") {
        steps.insert(steps.end(),
                     {block_start(0, kTextBlock), block_delta(0, kTextDelta), block_stop(0),
                      block_start(1, R"({"type":"tool_use","id":"t1","name":"look",)"
                                     R"("input":{}})")});
        append(steps, 200, block_delta(1, R"("type":"input_json_delta","partial_json":"{\"a")"));
    }
    SUBCASE("several that are open") {
        steps.insert(steps.end(), {block_start(0, kTextBlock), block_start(1, kTextBlock)});
        append(steps, 200, block_delta(1, kTextDelta));
        open = {0, 1};
    }
    const auto got = buy(Endpoint::Messages, kMessage, balance, steps);
    CHECK(count(got->client.body, "event: content_block_delta\n") >= most);
    check_message_end(*got, open, charge(40, most));
    const json usage = got->data(2)["usage"];
    CHECK(usage["input_tokens"] == 40);
    CHECK(usage["output_tokens"] == most);
    CHECK(got->upstream_steps < 100);
}

TEST_CASE("elastic: a message of an OpenAI upstream ends where the balance does") {
    std::vector<Step> steps;
    SUBCASE("in its text") { append(steps, 200, delta("abcd")); }
    SUBCASE("in a tool call") {
        steps.emplace_back(
            R"(data: {"id":"c1","model":"M","choices":[{"index":0,"delta":{"tool_calls":[{)"
            R"("index":0,"id":"t1","type":"function","function":{"name":"look",)"
            R"("arguments":""}}]},"finish_reason":null}]})"
            "\n\n");
        append(steps, 200,
               R"(data: {"id":"c1","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,)"
               R"("function":{"arguments":"{\"a"}}]},"finish_reason":null}]})"
               "\n\n");
    }
    ScriptedServer server{sse_script(std::move(steps))};
    const auto upstream = proxy::make_openai_upstream(proxy::OpenAiOptions{}, server);
    Node node{Node::default_price(), {model_of(*upstream)}};
    set_slice(node);
    const std::string ask = for_other(kMessage);
    const Msat balance = covering(ask, 40);
    const std::int64_t most = covered_by(ask, balance);
    const KeyId key = node.make_key(balance);
    Bought got{node.request(key, ask)};
    node.serve(got.client, Endpoint::Messages);
    got.paid = *subtract(balance, node.balance(key).posted);
    got.events = sse_events(got.client.body);
    // Until the upstream says it, which it does at its end, the prompt is an estimate: 6 bytes of
    // text, whatever the beginning told its reader.
    check_message_end(got, {0}, charge(2, most));
    CHECK(count(got.client.body, "event: content_block_delta\n") == most);
    CHECK(server.steps_done() < 100);
}

TEST_CASE("elastic: a chat on an Anthropic upstream ends where the balance does") {
    std::vector<Step> steps{kMessageStart};
    std::string said = "abcd";
    SUBCASE("in its text") {
        steps.emplace_back(block_start(0, kTextBlock));
        append(steps, 200, block_delta(0, kTextDelta));
    }
    SUBCASE("in a tool call") {
        steps.emplace_back(
            block_start(0, R"({"type":"tool_use","id":"t1","name":"k","input":{}})"));
        append(steps, 200, block_delta(0, R"("type":"input_json_delta","partial_json":"{\"a")"));
        said = R"("arguments":"{\"a")";
    }
    ScriptedServer server{sse_script(std::move(steps))};
    proxy::AnthropicOptions options;
    options.traits.endpoints = proxy::kAnthropicEndpoints;
    const FixedClock clock;
    const auto upstream = proxy::make_anthropic_upstream(std::move(options), server, clock);
    Node node{Node::default_price(), {model_of(*upstream)}};
    set_slice(node);
    const std::string ask = for_other(kAskStream);
    const Msat balance = covering(ask, 40);
    const KeyId key = node.make_key(balance);
    FakeExchange client{node.request(key, ask)};
    node.serve(client);
    CHECK(client.status == 200);
    CHECK(client.body.ends_with("\n\n" + kDone));
    CHECK(count(client.body, "[DONE]") == 1);
    CHECK(count(client.body, R"("finish_reason":"length")") == 1);
    const auto events = sse_events(client.body);
    const json told = json::parse(events.at(events.size() - 2).data);
    const Msat paid = *subtract(balance, node.balance(key).posted);
    CHECK(told["usage"]["cost"]["stopped"] == "insufficient_balance");
    CHECK(told["usage"]["cost"]["total_msats"] == paid.raw());
    CHECK(told["usage"]["prompt_tokens"] == 40);
    const std::int64_t passed = count(client.body, said);
    CHECK(passed >= covered_by(ask, balance) - 1);  // The name of a call is a token, too.
    CHECK(paid == charge(40, covered_by(ask, balance)));
    CHECK(paid <= balance);
    CHECK(server.steps_done() < 100);
}

TEST_CASE("elastic: an answer in one piece to who asked for another dialect's stream is charged") {
    const auto whole = [](Endpoint endpoint, const std::string& ask, const std::string& answer) {
        Node node;
        set_slice(node);
        node.upstream.script = json_script(answer);
        const KeyId key = node.make_key(100'000_msat);
        FakeExchange client{node.request(key, ask)};
        node.serve(client, endpoint);
        CHECK(client.status == 200);
        CHECK(loss(node) == 0);
        return *subtract(100'000_msat, node.balance(key).posted);
    };
    CHECK(whole(Endpoint::Responses, kRespond,
                R"({"id":"r","output":[{"type":"message","content":[{"type":"output_text",)"
                R"("text":"x"}]}],"usage":{"input_tokens":3,"output_tokens":400}})") ==
          charge(3, 400));
    CHECK(whole(Endpoint::Responses, kRespond,
                R"({"id":"r","output":[{"type":"message","content":[{"type":"output_text",)"
                R"("text":")" +
                    std::string(1200, 'x') + R"("}]}]})") == charge(1, 300));
    CHECK(whole(Endpoint::Messages, kMessage,
                R"({"id":"m","type":"message","content":[{"type":"text","text":"x"}],)"
                R"("usage":{"input_tokens":3,"output_tokens":400}})") == charge(3, 400));
}

TEST_CASE("elastic: money that comes in during a message lets it go on") {
    Node node;
    set_slice(node);
    const KeyId key = node.make_key(covering(kMessage, 40));
    std::vector<Step> steps{kMessageStart, block_start(0, kTextBlock)};
    append(steps, 200, block_delta(0, kTextDelta));
    steps.insert(steps.begin() + 38, [&] {
        credit(node, key, 100'000_msat);
        node.till->credited(key);
    });
    steps.insert(steps.end(), {block_stop(0),
                               event("message_delta", R"("delta":{"stop_reason":"end_turn"},)"
                                                      R"("usage":{"output_tokens":200})"),
                               event("message_stop", "")});
    node.upstream.script = sse_script(steps);
    FakeExchange client{node.request(key, kMessage)};
    node.serve(client, Endpoint::Messages);
    CHECK(count(client.body, "abcd") == 200);
    CHECK(stopped(node) == 0);
    CHECK(client.body.find("max_tokens") == std::string::npos);
}
