// Marks of what is worth a cache, in chats: on their way to Anthropic, in what is held and in what
// is charged. Every figure is worked out by hand.
#include <memory>

#include "dialects/chat_to_messages.h"
#include "endpoints_test.h"
#include "nutgate/proxy/tariff.h"
#include "scripted_server.h"

using namespace nutgate;
using namespace nutgate::test;
using nlohmann::json;
using proxy::PriceKind;

namespace {

std::string ask(const std::string& messages, const std::string& more = "") {
    return R"({"model":"claude","max_tokens":100,"messages":)" + messages + more + "}";
}

json translate(const std::string& body) {
    const auto asked = proxy::chat_to_messages(body, {});
    if (!asked) FAIL(asked.error().message);
    return json::parse(asked->body);
}

std::string refusal(const std::string& mark) {
    const auto asked = proxy::chat_to_messages(
        ask(R"([{"role":"user","content":[{"type":"text","text":"Hi","cache_control":)" + mark +
            "}]}]"),
        {});
    return asked ? "none" : asked.error().code + ' ' + asked.error().param.value_or("-");
}

// Anthropic's proportions: a read costs a tenth of what input does, writes 1.25 and 2 times as
// much.
proxy::Price price() {
    proxy::PriceTable table{.currency = proxy::Currency::Msat};
    const auto put = [&](PriceKind kind, std::uint64_t per_1k) {
        table.lines[proxy::index_of(kind)] = proxy::Decimal{.units = per_1k, .places = 3};
    };
    put(PriceKind::Input, 300);
    put(PriceKind::InputCached, 30);
    put(PriceKind::CacheWrite, 375);
    put(PriceKind::CacheWrite1h, 600);
    put(PriceKind::Output, 1'500);
    return proxy::Tariff::make(table).value().at(Time{}, std::nullopt).value();
}

const std::string kMarked =
    R"({"model":"claude","max_tokens":100,"messages":[{"role":"user","content":[)"
    R"({"type":"text","text":"Hi","cache_control":{"type":"ephemeral","ttl":"1h"}}]}])";
const std::string kUsage =
    R"("usage":{"input_tokens":40,"cache_creation_input_tokens":200,"cache_read_input_tokens":900,)"
    R"("cache_creation":{"ephemeral_5m_input_tokens":150,"ephemeral_1h_input_tokens":50},)"
    R"("output_tokens":)";

struct Bought {
    Msat paid;
    int status = 0;
    std::string body;
    std::vector<std::string> asked;
};

Bought buy(const std::string& body, Msat balance, Script script) {
    ScriptedServer server{std::move(script)};
    proxy::AnthropicOptions options;
    options.traits.endpoints = proxy::kAnthropicEndpoints;
    const FixedClock clock;
    const auto upstream = proxy::make_anthropic_upstream(std::move(options), server, clock);
    proxy::Model model{.id = *ModelId::parse("claude"),
                       .context = 4096,
                       .output_max = 512,
                       .price = price(),
                       .upstreams = {upstream.get()}};
    Node node{Node::default_price(), {model}};
    const KeyId key = node.make_key(balance);
    FakeExchange client{node.request(key, body)};
    node.serve(client);
    return {*subtract(balance, node.balance(key).posted), client.status, client.body,
            server.bodies()};
}

Script whole_answer() {
    return json_script(
        R"({"id":"msg_1","type":"message","role":"assistant","model":"m","content":[)"
        R"({"type":"text","text":"Hello"}],"stop_reason":"end_turn",)" +
        kUsage + "12}}");
}

}  // namespace

TEST_CASE("cache marks: those of parts go to Anthropic where they stand, and nothing else moves") {
    const json body = translate(ask(R"([
        {"role":"system","content":[{"type":"text","text":"One."},
            {"type":"text","text":"Two.","cache_control":{"type":"ephemeral","ttl":"1h"}}]},
        {"role":"user","content":[
            {"type":"image_url","image_url":{"url":"data:image/png;base64,aaaa"},
             "cache_control":{"type":"ephemeral"}},
            {"type":"text","text":"Look.","cache_control":null}]},
        {"role":"assistant","content":[{"type":"text","text":"Seen.",
             "cache_control":{"type":"ephemeral","ttl":"5m"}}]},
        {"role":"user","content":"And?"}])"));
    CHECK(body["system"] == json::parse(R"([{"type":"text","text":"One."},
        {"type":"text","text":"Two.","cache_control":{"type":"ephemeral","ttl":"1h"}}])"));
    CHECK(body["messages"] == json::parse(R"([
        {"role":"user","content":[
            {"type":"image","source":{"type":"base64","media_type":"image/png","data":"aaaa"},
             "cache_control":{"type":"ephemeral"}},
            {"type":"text","text":"Look."}]},
        {"role":"assistant","content":[{"type":"text","text":"Seen.",
             "cache_control":{"type":"ephemeral","ttl":"5m"}}]},
        {"role":"user","content":[{"type":"text","text":"And?"}]}])"));
}

TEST_CASE("cache marks: one of a whole message is on the last block of it") {
    const json body = translate(ask(R"([
        {"role":"system","content":"Be brief.","cache_control":{"type":"ephemeral"}},
        {"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}],
         "cache_control":{"type":"ephemeral","ttl":"1h"}}])"));
    CHECK(body["system"] == json::parse(R"([{"type":"text","text":"Be brief.",
        "cache_control":{"type":"ephemeral"}}])"));
    CHECK(body["messages"][0]["content"] == json::parse(R"([{"type":"text","text":"a"},
        {"type":"text","text":"b","cache_control":{"type":"ephemeral","ttl":"1h"}}])"));

    // A part's own goes before it, and nothing that a client wrote is taken for one.
    const json both = translate(ask(R"([
        {"role":"user","content":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}}],
         "cache_control":{"type":"ephemeral","ttl":"1h"}},
        {"role":"assistant","tool_calls":[{"id":"t","type":"function","function":{"name":"f",
            "arguments":"{\"a\":1,\"cache_control\":{\"type\":\"ephemeral\"}}"}}],
         "cache_control":{"type":"ephemeral","ttl":"1h"}}])"));
    CHECK(both["messages"][0]["content"][0]["cache_control"] == json{{"type", "ephemeral"}});
    CHECK(both["messages"][1]["content"][0]["cache_control"]["ttl"] == "1h");
}

TEST_CASE("cache marks: a tool has its own, beside its function or in it, and a result one whole") {
    const json body = translate(ask(
        R"([{"role":"user","content":"Hi"},
            {"role":"assistant","tool_calls":[{"id":"t1","type":"function",
                "function":{"name":"f","arguments":"{}"}}],"cache_control":{"type":"ephemeral"}},
            {"role":"tool","tool_call_id":"t1","content":[{"type":"text","text":"r",
                "cache_control":{"type":"ephemeral","ttl":"1h"}}]}])",
        R"(,"tools":[{"type":"function","function":{"name":"f"},"cache_control":{"type":"ephemeral"}},
            {"type":"function","function":{"name":"g","cache_control":{"type":"ephemeral",
            "ttl":"1h"}}},{"type":"function","function":{"name":"h"}}])"));
    CHECK(body["tools"][0]["cache_control"] == json{{"type", "ephemeral"}});
    CHECK(body["tools"][1]["cache_control"] == json{{"type", "ephemeral"}, {"ttl", "1h"}});
    CHECK_FALSE(body["tools"][2].contains("cache_control"));
    CHECK(body["messages"][1]["content"][0]["cache_control"] == json{{"type", "ephemeral"}});
    const json& result = body["messages"][2]["content"][0];
    CHECK(result["cache_control"] == json{{"type", "ephemeral"}, {"ttl", "1h"}});
    CHECK_FALSE(result["content"][0].contains("cache_control"));
}

TEST_CASE("cache marks: what is none that is known is refused, with its field") {
    CHECK(refusal(R"({"type":"ephemeral"})") == "none");
    CHECK(refusal(R"({"ttl":"5m","type":"ephemeral"})") == "none");
    CHECK(refusal(R"({"type":"ephemeral","ttl":null})") == "none");
    for (const char* wrong :
         {R"("ephemeral")", "true", "[]", "{}", R"({"type":"permanent"})",
          R"({"type":"ephemeral","ttl":"2h"})", R"({"type":"ephemeral","ttl":3600})",
          R"({"type":"ephemeral","scope":"global"})",
          R"({"type":"ephemeral","type":"ephemeral"})"}) {
        CAPTURE(wrong);
        CHECK(refusal(wrong) == "invalid_value cache_control");
    }
}

TEST_CASE("cache marks: what is written for five minutes and for an hour is charged by its price") {
    // 40 at 0.3, 900 at 0.03, 150 at 0.375, 50 at 0.6, 12 at 1.5:
    // 12 + 27 + 56.25 + 30 + 18 = 143.25, so 144.
    const Bought whole = buy(kMarked + "}", 10'000_msat, whole_answer());
    CHECK(whole.status == 200);
    CHECK(whole.paid == 144_msat);
    const json usage = json::parse(whole.body)["usage"];
    CHECK(usage["prompt_tokens"] == 1'140);
    CHECK(usage["cost"]["cache_read_msats"] == 27);
    CHECK(usage["cost"]["cache_creation_msats"] == 86);
    CHECK(usage["cost"]["cache_creation_input_tokens"] == 200);
    REQUIRE(whole.asked.size() == 1);
    CHECK(json::parse(whole.asked[0])["messages"][0]["content"][0]["cache_control"] ==
          json{{"type", "ephemeral"}, {"ttl", "1h"}});

    const std::string events =
        R"(data: {"type":"message_start","message":{"id":"msg_1","model":"m",)" + kUsage +
        "1}}}\n\n"
        R"(data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}})"
        "\n\n"
        R"(data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}})"
        "\n\n"
        R"(data: {"type":"content_block_stop","index":0})"
        "\n\n"
        R"(data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":)"
        R"({"output_tokens":12}})"
        "\n\n"
        R"(data: {"type":"message_stop"})"
        "\n\n";
    const Bought streamed = buy(kMarked + R"(,"stream":true})", 10'000_msat, sse_script({events}));
    CHECK(streamed.status == 200);
    CHECK(streamed.paid == 144_msat);
    CHECK(streamed.body.find(R"("total_msats":144)") != std::string::npos);
}

TEST_CASE("cache marks: what is held covers the dearest write of the whole prompt") {
    const std::string body = kMarked + "}";
    // A token of each byte and 512 of the template, all written for an hour at 0.6; 100 at 1.5 out.
    const auto tokens = static_cast<std::int64_t>(body.size()) + 512;
    const Msat held = *Msat::from_raw((tokens * 600 + 100 * 1'500 + 999) / 1'000);
    const Bought refused = buy(body, *subtract(held, 1_msat), whole_answer());
    CHECK(refused.status == 402);
    CHECK(json::parse(refused.body)["detail"]["amount_required_msat"] == held.raw());
    CHECK(refused.paid == 0_msat);
    const std::string all = std::to_string(tokens);
    const Bought dearest = buy(
        body, held,
        json_script(R"({"id":"msg_1","type":"message","role":"assistant","model":"m","content":[)"
                    R"({"type":"text","text":"Hello"}],"stop_reason":"max_tokens","usage":{)"
                    R"("input_tokens":0,"cache_creation_input_tokens":)" +
                    all + R"(,"cache_creation":{"ephemeral_1h_input_tokens":)" + all +
                    R"(},"output_tokens":100}})"));
    CHECK(dearest.status == 200);
    CHECK(dearest.paid == held);
}
