// What the reference implementation gets wrong (routstr-contract 10, A and B), as far as no other
// test here shows it: grep for "contract A" and "contract B".
#include <string>

#include "dialogue.h"
#include "endpoints_test.h"

using namespace nutgate;
using namespace nutgate::test;
using nlohmann::json;
using proxy::Endpoint;

TEST_CASE("contract B4: a sealed body is refused, and costs nothing, least of all the maximum") {
    Node node;
    const KeyId key = node.make_key(10'000_msat);
    for (const std::string& body : {std::string{"\x8f\x01sealed\xff"}, std::string{}}) {
        auto request = node.request(key, body);
        request.headers.set("Ehbp-Encapsulated-Key", std::string(64, 'a'));
        request.headers.set("X-Routstr-Model", "small");
        FakeExchange client{std::move(request)};
        node.serve(client);
        CHECK(client.status == 400);
        CHECK(json::parse(client.body)["error"]["type"] == "invalid_request_error");
    }
    CHECK(node.upstream.bodies().empty());
    CHECK(node.balance(key).posted == 10'000_msat);
}

TEST_CASE("contract A7: what a key pays is the seller's, all of it") {
    Node node;
    node.upstream.script = json_script(kAnswer);
    const KeyId key = node.make_key(10'000_msat);
    FakeExchange client{node.request(key, kAsk)};
    node.serve(client);
    const Account revenue{AccountKind::Revenue, "requests"};
    const auto earned =
        node.database
            ->read([&](store::Reader& reader) -> Result<Balance, store::StoreFailure> {
                return node.ledger.balance(reader, revenue);
            })
            .value();
    CHECK(earned.posted == 16_msat);
    CHECK(node.balance(key).posted == 9984_msat);
}

TEST_CASE("contract B3: an upstream's own figure in money charges nobody") {
    Node node;
    node.upstream.script =
        json_script(R"({"choices":[{"message":{"content":"Hi"}}],"usage":{"prompt_tokens":40,)"
                    R"("completion_tokens":12,"total_tokens":52,"cost":0.95,"is_byok":true,)"
                    R"("cost_details":{"upstream_inference_cost":7,"total_cost":8}}})");
    const KeyId key = node.make_key(10'000_msat);
    FakeExchange client{node.request(key, kAsk)};
    node.serve(client);
    const json usage = json::parse(client.body)["usage"];
    CHECK(usage["cost"]["total_msats"] == 16);
    CHECK(usage["upstream_cost"] == 0.95);
    CHECK(node.balance(key).posted == 9984_msat);
}

TEST_CASE("contract B5: a chat holds its own limit, under either name") {
    for (const std::string name : {"max_tokens", "max_completion_tokens"}) {
        Node node;
        node.upstream.script = json_script(kAnswer);
        // 95 bytes or so and 512 tokens at 0.2, 10 at 0.6: less than 130 msat, of a maximum of
        // 1127.
        const KeyId key = node.make_key(130_msat);
        FakeExchange client{
            node.request(key, R"({"model":"small","messages":[{"role":"user","content":"Hi"}],")" +
                                  name + R"(":10})")};
        node.serve(client);
        CHECK(client.status == 200);
    }
}

TEST_CASE("contract B6: counts are shown as the upstream gave them, cached ones too") {
    Node node;
    node.upstream.script = json_script(
        R"({"choices":[{"message":{"content":"Hi"}}],"usage":{"prompt_tokens":40,)"
        R"("completion_tokens":12,"total_tokens":52,"prompt_tokens_details":{"cached_tokens":30}}})");
    const KeyId key = node.make_key(10'000_msat);
    FakeExchange chat{node.request(key, kAsk)};
    node.serve(chat);
    const json usage = json::parse(chat.body)["usage"];
    CHECK(usage["prompt_tokens"] == 40);
    CHECK(usage["prompt_tokens_details"]["cached_tokens"] == 30);
    CHECK(usage["cost"]["cache_read_input_tokens"] == 30);
    CHECK(usage["cost"]["total_msats"] == 16);

    node.upstream.script =
        json_script(R"({"type":"message","content":[],"usage":{"input_tokens":10,)"
                    R"("cache_read_input_tokens":30,"output_tokens":12}})");
    FakeExchange message{node.request(key, R"({"model":"small","max_tokens":20,"messages":[]})")};
    node.serve(message, Endpoint::Messages);
    const json theirs = json::parse(message.body)["usage"];
    CHECK(theirs["input_tokens"] == 10);
    CHECK(theirs["cache_read_input_tokens"] == 30);
    CHECK(theirs["cost"]["total_msats"] == 16);
}
