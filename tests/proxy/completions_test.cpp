// Completions and embeddings.
#include <string>

#include "dialogue.h"
#include "endpoints_test.h"

using namespace nutgate;
using namespace nutgate::test;
using nlohmann::json;
using proxy::Endpoint;

namespace {

const std::string kTextAnswer =
    R"({"id":"cmpl-1","object":"text_completion","choices":[{"text":" there","index":0,)"
    R"("finish_reason":"stop"}],"usage":{"prompt_tokens":40,"completion_tokens":12,)"
    R"("total_tokens":52}})";

std::string completion(const std::string& members) {
    return R"({"model":"small","prompt":"Hi")" + (members.empty() ? "" : "," + members) + "}";
}

std::string embedding(const std::string& members) { return R"({"model":"small",)" + members + "}"; }

}  // namespace

TEST_CASE("contract A4: a completion is metered and charged as a chat is") {
    Node node;
    node.upstream.script = json_script(kTextAnswer);
    const KeyId key = node.make_key(10'000_msat);
    FakeExchange client{node.request(key, completion(R"("max_tokens":20)"))};
    node.serve(client, Endpoint::Completions);
    CHECK(client.status == 200);
    const json body = json::parse(client.body);
    CHECK(body["choices"][0]["text"] == " there");
    CHECK(body["usage"]["cost"]["total_msats"] == 16);
    CHECK(client.headers.find("X-Routstr-Cost-Msats") == "16");
    CHECK(node.balance(key).posted == 9984_msat);
    CHECK(node.upstream.calls().at(0).endpoint == Endpoint::Completions);
    CHECK(node.upstream.bodies().at(0) ==
          R"({"model":"Vendor/Small-1B","prompt":"Hi","max_tokens":20})");
}

TEST_CASE("completions: a stream is chunks, then the charge, then one [DONE]") {
    Node node;
    const std::string chunk =
        "data: {\"id\":\"cmpl-1\",\"choices\":[{\"text\":\"x\",\"index\":0,"
        "\"finish_reason\":\"stop\"}]}\n\n";
    node.upstream.script = sse_script({chunk + kUsage, kDone});
    const KeyId key = node.make_key(10'000_msat);
    FakeExchange client{node.request(key, completion(R"("stream":true)"))};
    node.serve(client, Endpoint::Completions);
    REQUIRE(client.body.starts_with(chunk));
    CHECK(client.body.ends_with(kDone));
    const json last = json::parse(sse_events(client.body).at(1).data);
    CHECK(last["usage"]["cost"]["total_msats"] == 16);
    CHECK(node.upstream.bodies().at(0).ends_with(
        R"("stream":true,"max_tokens":16,"stream_options":{"include_usage":true}})"));
}

TEST_CASE(
    "completions: a limit that is not given is the API's own, and none is above the model's") {
    CHECK(body_for(Endpoint::Completions, completion("")) ==
          R"({"model":"small","prompt":"Hi","max_tokens":16})");
    CHECK(body_for(Endpoint::Completions, completion(R"("max_tokens":5000)")) ==
          R"({"model":"small","prompt":"Hi","max_tokens":1000})");
    CHECK(body_for(Endpoint::Completions, completion(R"("max_tokens":null)")) ==
          R"({"model":"small","prompt":"Hi","max_tokens":16})");
    CHECK(bounds_for(Endpoint::Completions, completion(R"("max_tokens":7,"n":2)")).output == 14);
    const std::string two = R"({"model":"small","prompt":["a","b"],"n":2,"max_tokens":9999})";
    CHECK(bounds_for(Endpoint::Completions, two).output == 1000);
    CHECK(json::parse(body_for(Endpoint::Completions, two))["max_tokens"] == 250);
}

TEST_CASE("completions: what nobody counts is refused") {
    const auto is = [](const std::string& body) {
        return verdict(Endpoint::Completions, body, order_model());
    };
    CHECK(is(completion("")) == "ok");
    CHECK(is(R"({"model":"small","prompt":[1,2,3]})") == "ok");
    CHECK(is(R"({"model":"small","prompt":[[1,2],[3]]})") == "ok");
    CHECK(is(completion(R"("n":2,"best_of":2)")) == "ok");
    CHECK(is(completion(R"("best_of":3)")) == "unsupported_parameter");
    CHECK(is(completion(R"("n":9)")) == "invalid_value");
    CHECK(is(completion(R"("n":1,"n":2)")) == "duplicate_field");
    CHECK(is(completion(R"("max_tokens":1,"Max_Tokens":9)")) == "duplicate_field");
    CHECK(is(completion(R"("Max_Tokens":9)")) == "unsupported_parameter");
    CHECK(is(completion(R"("max_tokens":1.0)")) == "invalid_value");
    CHECK(is(completion(R"("web_search_options":{})")) == "unsupported_parameter");
    CHECK(is(completion(R"("store":true)")) == "unsupported_parameter");
    CHECK(is(R"({"model":"small"})") == "invalid_value");
    CHECK(is(R"({"model":"small","prompt":{}})") == "invalid_value");
    CHECK(is(R"({"model":"small","prompt":[]})") == "invalid_value");
    CHECK(is(R"({"model":"small","prompt":[["x"]]})") == "invalid_value");
    CHECK(is(R"({"model":"small","prompt":["1","2","3","4","5","6","7","8","9"]})") ==
          "invalid_value");
    // Two that are too long together, though neither is by itself.
    const std::string half(3000, 'x');
    CHECK(is(R"({"model":"small","prompt":[")" + half + R"(",")" + half + R"("]})") ==
          "invalid_value");
}

TEST_CASE("contract B1: an embedding costs what its input costs, and nothing flat") {
    Node node;
    const std::string answer =
        R"({"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.25,-1e-3]}],)"
        R"("model":"v","usage":{"prompt_tokens":8,"total_tokens":8}})";
    node.upstream.script = json_script(answer);
    const KeyId key = node.make_key(10'000_msat);
    FakeExchange client{node.request(key, R"({"model":"vectors","input":["one two","three"]})")};
    node.serve(client, Endpoint::Embeddings);
    CHECK(client.status == 200);
    const json body = json::parse(client.body);
    CHECK(body["data"][0]["embedding"][0] == 0.25);
    CHECK(body["usage"]["cost"]["total_msats"] == 2);  // 8 * 0.2 = 1.6
    CHECK(body["usage"]["cost"]["usage_source"] == "upstream_final");
    CHECK(client.body.starts_with(answer.substr(0, answer.find("\"usage\""))));
    CHECK(node.balance(key).posted == 9998_msat);
}

TEST_CASE("contract B5: an embedding holds what its own input can cost") {
    Node node;
    node.upstream.script =
        json_script(R"({"data":[],"usage":{"prompt_tokens":1,"total_tokens":1}})");
    const KeyId key = node.make_key(120_msat);  // 37 bytes and 512 tokens at 0.2: 110 msat.
    FakeExchange client{node.request(key, R"({"model":"vectors","input":"one two"})")};
    node.serve(client, Endpoint::Embeddings);
    CHECK(client.status == 200);
    CHECK(node.balance(key).posted == 119_msat);
}

TEST_CASE("contract A1: an embedding without usage is charged by estimate") {
    Node node;
    node.upstream.script = json_script(R"({"data":[{"embedding":[1]}]})");
    const KeyId key = node.make_key(10'000_msat);
    FakeExchange client{node.request(key, R"({"model":"vectors","input":"12345678"})")};
    node.serve(client, Endpoint::Embeddings);
    const json usage = json::parse(client.body)["usage"];
    CHECK(usage["prompt_tokens"] == 2);
    CHECK(usage["cost"]["usage_source"] == "estimate");
    CHECK(node.balance(key).posted == 9999_msat);  // 0.4
}

TEST_CASE("embeddings: what can't be bounded is refused") {
    const auto is = [](const std::string& members) {
        return verdict(Endpoint::Embeddings, embedding(members), order_model());
    };
    CHECK(is(R"("input":"x")") == "ok");
    CHECK(is(R"("input":["x","y"],"dimensions":256,"encoding_format":"base64")") == "ok");
    CHECK(is(R"("input":[1,2])") == "ok");
    CHECK(is(R"("input":[[1,2],[3]])") == "ok");
    CHECK(is(R"("input":[])") == "invalid_value");
    CHECK(is(R"("input":{"image":"x"})") == "invalid_value");
    CHECK(is(R"("input":[{"type":"image_url"}])") == "invalid_value");
    CHECK(is(R"("dimensions":1)") == "invalid_value");
    CHECK(is(R"("input":"x","input":"y")") == "duplicate_field");
    CHECK(is(R"("input":"x","store":true)") == "unsupported_parameter");
    std::string list = "\"input\":[\"a\"";
    for (int i = 0; i < 2048; ++i) list += ",\"a\"";
    CHECK(is(list + "]") == "invalid_value");
    CHECK(is("\"input\":\"" + std::string(1'200'000, 'x') + '"') == "invalid_value");
}
