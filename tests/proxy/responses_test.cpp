// POST /v1/responses.
#include <string>

#include "endpoints_test.h"

using namespace nutgate;
using namespace nutgate::test;
using nlohmann::json;
using proxy::Endpoint;

namespace {

const std::string kUsageOf52 =
    R"({"input_tokens":40,"input_tokens_details":{"cached_tokens":10},"output_tokens":12,)"
    R"("output_tokens_details":{"reasoning_tokens":4},"total_tokens":52})";

std::string response(const std::string& members) {
    return R"({"model":"small","input":"Hi")" + (members.empty() ? "" : "," + members) + "}";
}

std::string event(const std::string& type, const std::string& members) {
    return "event: " + type + "\ndata: {\"type\":\"" + type + '"' +
           (members.empty() ? "" : "," + members) + "}\n\n";
}

std::string text_delta(const std::string& text) {
    return event("response.output_text.delta",
                 R"("item_id":"msg_1","output_index":0,"delta":")" + text + R"(","logprobs":[])");
}

std::string ended(const std::string& how, const std::string& usage) {
    return event("response." + how,
                 R"("sequence_number":9,"response":{"id":"resp_1","object":"response","status":")" +
                     how + R"(","error":null,"metadata":{},"usage":)" + usage + "}");
}

const std::string kCreated =
    event("response.created", R"("sequence_number":0,"response":{"id":"resp_1","usage":null})");

struct Streamed {
    std::string body;
    std::vector<SseEvent> events;
    Msat left;
};

Streamed stream(std::vector<Step> steps) {
    Node node;
    node.upstream.script = sse_script(std::move(steps));
    const KeyId key = node.make_key(10'000_msat);
    FakeExchange client{node.request(key, response(R"("stream":true,"max_output_tokens":50)"))};
    node.serve(client, Endpoint::Responses);
    CHECK(client.ended);
    return {client.body, client.status == 200 ? sse_events(client.body) : std::vector<SseEvent>{},
            node.balance(key).posted};
}

}  // namespace

TEST_CASE("responses: a whole answer is charged by its usage and says so in it") {
    Node node;
    const std::string answer =
        R"({"id":"resp_1","object":"response","status":"completed","error":null,"output":[)"
        R"({"type":"message","content":[{"type":"output_text","text":"Hello"}]}],"usage":)" +
        kUsageOf52 + "}";
    node.upstream.script = json_script(answer);
    const KeyId key = node.make_key(10'000_msat);
    FakeExchange client{node.request(key, response(R"("max_output_tokens":50)"))};
    node.serve(client, Endpoint::Responses);
    CHECK(client.status == 200);
    const json body = json::parse(client.body);
    CHECK(body["output"][0]["content"][0]["text"] == "Hello");
    CHECK(body["usage"]["input_tokens"] == 40);
    CHECK(body["usage"]["cost"]["total_msats"] == 16);
    CHECK(body["metadata"]["routstr"]["cost"]["total_msats"] == 16);
    CHECK(client.headers.find("X-Routstr-Cost-Msats") == "16");
    CHECK(node.balance(key).posted == 9984_msat);
    CHECK(node.upstream.calls().at(0).endpoint == Endpoint::Responses);
}

TEST_CASE("contract A3: the usage in a stream's completed response is charged, and told with it") {
    for (const std::string how : {"completed", "incomplete", "failed"}) {
        CAPTURE(how);
        const std::string frames =
            ": keep-alive\n\n" + kCreated + text_delta("Hel") + text_delta("lo");
        const Streamed got =
            stream({frames.substr(0, 40), frames.substr(40) + ended(how, kUsageOf52)});
        REQUIRE(got.body.starts_with(frames));
        const SseEvent& last = got.events.back();
        CHECK(last.name == "response." + how);
        const json data = json::parse(last.data);
        CHECK(data["type"] == "response." + how);
        CHECK(data["sequence_number"] == 9);
        CHECK(data["response"]["id"] == "resp_1");
        CHECK(data["response"]["usage"]["output_tokens"] == 12);
        CHECK(data["response"]["usage"]["cost"]["total_msats"] == 16);
        CHECK(data["response"]["usage"]["remaining_balance_msats"] == 9984);
        CHECK(data["response"]["metadata"]["routstr"]["cost"]["total_msats"] == 16);
        CHECK(got.events.size() == 5);
        CHECK(got.left == 9984_msat);
    }
}

TEST_CASE("contract A1: a completed response without usage is charged by estimate") {
    const Streamed got = stream({kCreated + text_delta("12345678") + ended("completed", "null")});
    const json usage = json::parse(got.events.back().data)["response"]["usage"];
    CHECK(usage["output_tokens"] == 2);
    CHECK(usage["input_tokens"] == 1);
    CHECK(usage["cost"]["usage_source"] == "estimate");
    CHECK(got.left == 9998_msat);  // 0.2 + 1.2
}

TEST_CASE("responses: one that failed before it said anything costs nothing") {
    const Streamed at_once = stream({ended("failed", "null")});
    CHECK(at_once.body.find("upstream_error") != std::string::npos);
    CHECK(at_once.left == 10'000_msat);

    const std::string failed = ended("failed", "null");
    const Streamed later = stream({kCreated, failed});
    CHECK(later.body == kCreated + failed);
    CHECK(later.left == 10'000_msat);
}

TEST_CASE("responses: a stream that breaks off is charged for what came and says that it broke") {
    const Streamed got = stream({kCreated + text_delta("12345678"), http::UpstreamFailure::Broken});
    REQUIRE(got.events.size() == 4);
    CHECK(got.events[2].name == "cost");
    CHECK(json::parse(got.events[2].data)["cost"]["total_msats"] == 2);
    CHECK(got.events[3].name == "error");
    const json error = json::parse(got.events[3].data);
    CHECK(error["type"] == "error");
    CHECK(error["code"] == "upstream_broken");
    CHECK(error["error"]["code"] == "upstream_broken");
    CHECK(got.left == 9998_msat);
}

TEST_CASE("contract A2: a client that leaves behind the last word pays what was said") {
    Node node;
    FakeExchange* reader = nullptr;
    node.upstream.traits().client_gone = proxy::ClientGone::Drain;
    node.upstream.script = sse_script(
        {kCreated + text_delta("Hello"), [&] { reader->leave(); }, ended("completed", kUsageOf52)});
    const KeyId key = node.make_key(10'000_msat);
    FakeExchange client{node.request(key, response(R"("stream":true,"max_output_tokens":50)"))};
    reader = &client;
    node.serve(client, Endpoint::Responses);
    CHECK(node.balance(key).posted == 9984_msat);
}

TEST_CASE("responses: cut at every byte the same passes and the same is charged") {
    const std::string frames = kCreated + text_delta("Hello") + ended("completed", kUsageOf52);
    const std::string whole = stream({frames}).body;
    for (std::size_t at = 1; at < frames.size(); at += 7) {
        CAPTURE(at);
        CHECK(stream({frames.substr(0, at), frames.substr(at)}).body == whole);
    }
}

TEST_CASE("responses: nothing is stored, whatever the client leaves out") {
    const auto sent = [](const std::string& members) {
        return body_for(Endpoint::Responses, response(members));
    };
    CHECK(sent("") == R"({"model":"small","input":"Hi","max_output_tokens":1000,"store":false})");
    CHECK(sent(R"("store":null,"max_output_tokens":7)") ==
          R"({"model":"small","input":"Hi","store":false,"max_output_tokens":7})");
    CHECK(sent(R"("store":false,"max_output_tokens":9999)") ==
          R"({"model":"small","input":"Hi","store":false,"max_output_tokens":1000})");
    CHECK(bounds_for(Endpoint::Responses, response(R"("max_output_tokens":7)")).output == 7);
}

TEST_CASE("contract B5: a response holds its own limit, not the model's context") {
    Node node;
    node.upstream.script = json_script(R"({"output":[],"usage":)" + kUsageOf52 + "}");
    // 57 bytes and 512 tokens at 0.2, 10 at 0.6: less than 120 msat.
    const KeyId key = node.make_key(125_msat);
    FakeExchange client{node.request(key, response(R"("max_output_tokens":10)"))};
    node.serve(client, Endpoint::Responses);
    CHECK(client.status == 200);
}

TEST_CASE("responses: what is stored, kept, fetched or run elsewhere is refused") {
    const auto is = [](const std::string& members) {
        return verdict(Endpoint::Responses, response(members), order_model());
    };
    CHECK(is("") == "ok");
    CHECK(is(R"("store":false,"include":["reasoning.encrypted_content"],"background":false)") ==
          "ok");
    CHECK(is(R"("previous_response_id":null,"conversation":null,"prompt":null)") == "ok");
    CHECK(is(R"("tools":[{"type":"function","name":"f","parameters":{"type":"object"}}])") == "ok");
    for (const std::string members :
         {R"("store":true)", R"("background":true)", R"("previous_response_id":"resp_1")",
          R"("conversation":"conv_1")", R"("conversation":{"id":"conv_1"})",
          R"("prompt":{"id":"pmpt_1"})", R"("tools":[{"type":"web_search"}])",
          R"("tools":[{"type":"file_search","vector_store_ids":["vs_1"]}])",
          R"("tools":[{"type":"code_interpreter","container":{"type":"auto"}}])",
          R"("tools":[{"type":"mcp","server_url":"https://example.com"}])",
          R"("tools":[{"type":"image_generation"}])", R"("tools":[{"type":"computer"}])",
          R"("tools":[{"type":"shell"}])", R"("tools":[{"name":"x"}])",
          R"("include":["file_search_call.results"])", R"("service_tier":"priority")",
          R"("context_management":[{"type":"compaction"}])", R"("moderation":{})"}) {
        CAPTURE(members);
        CHECK(is(members) == "unsupported_parameter");
    }
    CHECK(is(R"("store":"no")") == "invalid_value");
    CHECK(is(R"("store":false,"Store":true)") == "duplicate_field");
}

TEST_CASE("responses: of what goes in, only what is in the request itself is sold") {
    auto model = order_model();
    const auto is = [&model](const std::string& items) {
        return verdict(Endpoint::Responses, R"({"model":"small","input":)" + items + "}", model);
    };
    const auto part = [](const std::string& content) {
        return R"([{"type":"message","role":"user","content":[)" + content + "]}]";
    };
    CHECK(is(R"([{"role":"user","content":"Hi"}])") == "ok");
    CHECK(is(R"([{"type":"function_call_output","call_id":"c","output":"42"}])") == "ok");
    CHECK(is(R"([{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"x"}])") == "ok");
    CHECK(is(part(R"({"type":"input_text","text":"Hi"})")) == "ok");
    const std::string image = R"({"type":"input_image","image_url":"data:image/png;base64,AA=="})";
    CHECK(is(part(image)) == "unsupported_parameter");
    model.tokens_per_image_max = 1000;
    CHECK(is(part(image)) == "ok");
    for (const std::string content :
         {R"({"type":"input_image","image_url":"https://example.com/x.png"})",
          R"({"type":"input_image","file_id":"file_1"})",
          R"({"type":"input_file","file_id":"file_1"})",
          R"({"type":"input_file","file_url":"https://example.com/x.pdf"})",
          R"({"type":"input_file","file_data":"data:application/pdf;base64,AA=="})",
          R"({"type":"input_text","text":"Hi","file_id":"file_1"})",
          R"({"type":"input_audio","input_audio":{}})", R"({"text":"no type"})"}) {
        CAPTURE(content);
        CHECK(is(part(content)) == "unsupported_parameter");
    }
    CHECK(is(part(R"({"type":"input_text","type":"input_file"})")) == "duplicate_field");
    CHECK(is(R"([{"type":"item_reference","id":"msg_1"}])") == "unsupported_parameter");
    CHECK(is(R"([{"id":"msg_1"}])") == "unsupported_parameter");
    CHECK(is(R"([{"id":"msg_1","role":"user"}])") == "unsupported_parameter");
    CHECK(is(R"([{"type":"web_search_call","id":"ws_1"}])") == "unsupported_parameter");
    CHECK(
        is(R"([{"type":"function_call_output","output":[{"type":"input_file","file_id":"f"}]}])") ==
        "unsupported_parameter");
    CHECK(is(R"({"role":"user"})") == "invalid_value");
    CHECK(is("[7]") == "invalid_value");
}
