// The nine mistakes by which others lose money, or take it: metering-and-gateways 4.1, one test
// each, by the numbers of that table. What counts is what stands on the books afterwards.
#include <array>

#include "dialogue.h"
#include "fixture.h"
#include "nutgate/proxy/meter.h"

using namespace nutgate;
using namespace nutgate::test;
using proxy::Endpoint;
using proxy::find_usage;
using proxy::Usage;

namespace {

constexpr Msat kBalance = 10'000_msat;

std::string event(const std::string& type, const std::string& rest) {
    return "event: " + type + "\ndata: {\"type\":\"" + type + "\"," + rest + "}\n\n";
}

constexpr const char* kAskResponse = R"({"model":"small","input":"Hi there","stream":true})";
constexpr const char* kAskMessage =
    R"({"model":"small","max_tokens":100,"messages":[{"role":"user","content":"Hi there"}])";

// What a customer pays for this stream, at 200 and 600 msat per thousand tokens.
std::int64_t price_of(const std::vector<Step>& steps, const std::string& ask = kAskStream,
                      Endpoint endpoint = Endpoint::Chat) {
    Node node;
    node.upstream.script = sse_script(steps);
    const KeyId key = node.make_key(kBalance);
    FakeExchange client{node.request(key, ask)};
    node.serve(client, endpoint);
    CHECK(node.balance(key).held == 0_msat);
    return subtract(kBalance, node.balance(key).posted)->raw();
}

// What he pays who has left once so many bytes of it had come.
std::int64_t price_of_leaving(const std::vector<Step>& steps, std::size_t bytes,
                              const std::string& ask = kAskStream,
                              Endpoint endpoint = Endpoint::Chat) {
    Node node;
    node.upstream.script = sse_script(steps);
    const KeyId key = node.make_key(kBalance);
    FakeExchange client{node.request(key, ask)};
    client.leave_after_bytes = bytes;
    node.serve(client, endpoint);
    CHECK(node.balance(key).held == 0_msat);
    return subtract(kBalance, node.balance(key).posted)->raw();
}

std::int64_t price_of_body(const std::string& body, const std::string& ask = kAsk,
                           Endpoint endpoint = Endpoint::Chat) {
    Node node;
    node.upstream.script = json_script(body);
    const KeyId key = node.make_key(kBalance);
    FakeExchange client{node.request(key, ask)};
    node.serve(client, endpoint);
    CHECK(node.balance(key).held == 0_msat);
    return subtract(kBalance, node.balance(key).posted)->raw();
}

std::string body_of(const std::string& usage) {
    return R"({"choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},)"
           R"("finish_reason":"stop"}],"usage":)" +
           usage + "}";
}

const std::string kMessageStart = event(
    "message_start", R"("message":{"role":"assistant","content":[],"usage":{"input_tokens":25,)"
                     R"("cache_read_input_tokens":0,"output_tokens":1}})");
std::string message_text(const std::string& text) {
    return event("content_block_delta",
                 R"("index":0,"delta":{"type":"text_delta","text":")" + text + "\"}");
}

std::string response_end(const std::string& how, const std::string& usage) {
    return event("response." + how,
                 R"("response":{"status":")" + how + R"(","usage":)" + usage + "}");
}

}  // namespace

TEST_CASE("meter: mistake 1, a stream is recorded at nothing because its usage was dropped") {
    // 40 * 0.2 + 12 * 0.6 = 15.2, so 16, wherever a provider puts it.
    const std::string counts = R"({"prompt_tokens":40,"completion_tokens":12,"total_tokens":52})";
    const std::string beside =
        R"(data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],)";
    CHECK(price_of({delta("Hi"), kFinish, kUsage, kDone}) == 16);
    CHECK(price_of({delta("Hi"), beside + "\"usage\":" + counts + "}\n\n", kDone}) == 16);
    CHECK(price_of({delta("Hi"), beside + "\"x_groq\":{\"usage\":" + counts + "}}\n\n", kDone}) ==
          16);
    CHECK(price_of({delta("Hi"), kFinish, kUsage}) == 16);  // No [DONE].
    const std::string response =
        response_end("completed", R"({"input_tokens":40,"output_tokens":12,"total_tokens":52})");
    CHECK(price_of({response}, kAskResponse, Endpoint::Responses) == 16);
    // On a line that a scanner of 64 KiB gives up at.
    CHECK(price_of({delta(std::string(1 << 20, 'x')), kFinish, kUsage, kDone}) == 16);
    // Nobody says it: 3 tokens of prompt, 2 bytes of answer, so 0.6 + 0.6, and never nothing.
    CHECK(price_of({delta("Hi"), kFinish, kDone}) == 2);
}

TEST_CASE("meter: mistake 2, a client that leaves pays nothing, or for all that might have come") {
    const std::vector<Step> chat{
        delta("Hello world, how"), delta(" are you?"), delta("never"), kFinish, kUsage, kDone};
    // 3 tokens of prompt and 16 bytes of answer: 0.6 + 2.4, where all of it would have been 16.
    CHECK(price_of_leaving(chat, 1) == 3);
    // Gone when the last word had come: it counts, and nothing beyond it.
    const std::vector<Step> told{delta("Hello"), kFinish + kUsage, kDone};
    CHECK(price_of_leaving(told, delta("Hello").size() + kFinish.size()) == 16);
    // What is counted of an answer before it begins is no count of what came: 25 tokens of prompt,
    // 16 bytes: 5 + 2.4, where the 1 of message_start would make it 5.6 for an answer of any
    // length.
    CHECK(price_of_leaving({kMessageStart, message_text("Hello world, how"), message_text("never")},
                           kMessageStart.size() + 1,
                           std::string{kAskMessage} + R"(,"stream":true})",
                           Endpoint::Messages) == 8);
}

TEST_CASE("meter: mistake 3, the usage of a response that is incomplete or failed is ignored") {
    const std::string text = event("response.output_text.delta", R"("delta":"Hello")");
    const std::string usage = R"({"input_tokens":36,"output_tokens":16,"total_tokens":52})";
    // 36 * 0.2 + 16 * 0.6 = 16.8, so 17.
    const auto price = [&](const std::string& end) {
        return price_of({text, end}, kAskResponse, Endpoint::Responses);
    };
    CHECK(price(response_end("completed", usage)) == 17);
    CHECK(price(response_end("incomplete", usage)) == 17);
    CHECK(price(response_end("failed", usage)) == 17);
    // Without: 8 bytes of prompt and 5 of answer, 0.4 + 1.2.
    CHECK(price(response_end("failed", "null")) == 2);
}

TEST_CASE("meter: mistake 4, cached tokens are counted twice, or at the price of others") {
    // One conversation: 40 tokens of prompt, 900 more from a cache, 200 more into it, 12 of answer.
    const Usage truth{.in_uncached = 40, .in_cached = 900, .cache_write_5m = 200, .out_text = 12};
    const std::array<const char*, 4> written{
        // Anthropic: three numbers beside each other.
        R"({"usage":{"input_tokens":40,"cache_read_input_tokens":900,
            "cache_creation_input_tokens":200,"output_tokens":12}})",
        // OpenAI, chat and responses: one number and its parts.
        R"({"usage":{"prompt_tokens":1140,"completion_tokens":12,"total_tokens":1152,
            "prompt_tokens_details":{"cached_tokens":900,"cache_write_tokens":200}}})",
        R"({"response":{"usage":{"input_tokens":1140,"output_tokens":12,"total_tokens":1152,
            "input_tokens_details":{"cached_tokens":900,"cache_write_tokens":200}}}})",
        // litellm: one number and its parts, which have Anthropic's names.
        R"({"usage":{"prompt_tokens":1140,"completion_tokens":12,"total_tokens":1152,
            "prompt_tokens_details":{"cached_tokens":900},"cache_read_input_tokens":900,
            "cache_creation_input_tokens":200}})"};
    for (const char* json : written) {
        CAPTURE(json);
        CHECK(find_usage(json).value().usage() == truth);
    }
    // 240 * 0.25 + 900 * 0.025 + 12 * 1.25 = 60 + 22.5 + 15 = 97.5.
    const auto price = proxy::Price::make(proxy::MsatPrices{.input_per_1k = 250,
                                                            .output_per_1k = 1250,
                                                            .input_cached_per_1k = 25})
                           .value();
    CHECK(cost_of(price, truth)->total == 98_msat);
    const auto deepseek = find_usage(R"({"usage":{"prompt_tokens":940,"completion_tokens":12,
        "prompt_cache_hit_tokens":900,"prompt_cache_miss_tokens":40}})");
    CHECK(deepseek.value().usage() == Usage{.in_uncached = 40, .in_cached = 900, .out_text = 12});
}

TEST_CASE("meter: mistake 5, a subtraction goes below zero and becomes a credit") {
    // 5 * 0.2 + 2 * 0.6 = 2.2, so 3: more cached than there was of the prompt is the prompt.
    CHECK(price_of_body(body_of(R"({"prompt_tokens":5,"completion_tokens":2,)"
                                R"("prompt_tokens_details":{"cached_tokens":9}})")) == 3);
    // More reasoning than output is the output; a total below its parts is none.
    CHECK(price_of_body(body_of(R"({"prompt_tokens":5,"completion_tokens":2,"total_tokens":1,)"
                                R"("completion_tokens_details":{"reasoning_tokens":700}})")) == 3);
    // What is negative is no count: an estimate, 0.6 + 1.2.
    CHECK(price_of_body(body_of(R"({"prompt_tokens":-4000,"completion_tokens":-9})")) == 2);
    const auto usage = find_usage(R"({"usage":{"prompt_tokens":5,"completion_tokens":2,
        "cache_read_input_tokens":9,"cache_creation_input_tokens":9,
        "cache_creation":{"ephemeral_1h_input_tokens":9}}})");
    CHECK(usage.value().usage() == Usage{.in_cached = 5, .out_text = 2});
}

TEST_CASE("meter: mistake 6, a zero that was said is taken for silence") {
    const std::string zero =
        R"(data: {"choices":[],"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}})"
        "\n\n";
    CHECK(price_of({delta("Hello"), kFinish, zero, kDone}) == 0);
    // It replaces what was said before it, and null replaces nothing.
    CHECK(price_of({delta("Hello"), kFinish, kUsage, zero, kDone}) == 0);
    const std::string null = "data: {\"choices\":[],\"usage\":null}\n\n";
    CHECK(price_of({delta("Hello"), kFinish, kUsage, null, kDone}) == 16);
    CHECK(price_of({delta("Hello"), kFinish, null, kDone}) == 2);  // 0.6 + 1.2, by estimate.
    CHECK(find_usage(R"({"usage":{"input_tokens":0,"output_tokens":0}})").value().complete());
}

TEST_CASE("meter: mistake 7, thoughts are not paid for") {
    // 20 tokens of prompt, 10 of answer, 90 of thoughts: 4 + 60 = 64, by whatever sum.
    CHECK(price_of_body(body_of(R"({"prompt_tokens":20,"completion_tokens":100,"total_tokens":120,)"
                                R"("completion_tokens_details":{"reasoning_tokens":90}})")) == 64);
    CHECK(price_of_body(body_of(R"({"prompt_tokens":20,"completion_tokens":10,"total_tokens":120,)"
                                R"("completion_tokens_details":{"reasoning_tokens":90}})")) == 64);
    CHECK(price_of_body(body_of(R"({"prompt_tokens":20,"completion_tokens":10,)"
                                R"("total_tokens":120})")) == 64);
    CHECK(price_of_body(R"({"type":"message","content":[{"type":"text","text":"Hello"}],)"
                        R"("usage":{"input_tokens":20,"output_tokens":100,)"
                        R"("output_tokens_details":{"thinking_tokens":90}}})",
                        std::string{kAskMessage} + "}", Endpoint::Messages) == 64);
    const auto gemini = find_usage(R"({"usageMetadata":{"promptTokenCount":20,
        "candidatesTokenCount":10,"thoughtsTokenCount":90}})");
    CHECK(gemini.value().usage() == Usage{.in_uncached = 20, .out_text = 10, .out_reasoning = 90});
}

TEST_CASE("meter: mistake 8, a hold is never given back, or a charge never booked") {
    const std::string error = R"(data: {"error":{"message":"overloaded"}})"
                              "\n\n";
    const std::vector<std::pair<std::vector<Step>, std::int64_t>> endings{
        {{delta("Hi"), kFinish, kUsage, kDone}, 16},
        {{delta("Hi"), kFinish, kUsage, http::UpstreamFailure::Broken}, 16},
        {{delta("Hi"), error}, 2},                           // 0.6 + 0.6
        {{delta("Hi"), http::UpstreamFailure::Timeout}, 2},  // The same.
        {{error}, 0},                                        // No answer, no charge.
        {{http::UpstreamFailure::Broken}, 0},
        {{}, 0}};
    Node node;
    const KeyId key = node.make_key(kBalance);
    Msat left = kBalance;
    for (const auto& [steps, msat] : endings) {
        CAPTURE(msat);
        node.upstream.script = sse_script(steps);
        FakeExchange client{node.request(key, kAskStream)};
        node.serve(client);  // Ends in a restart: what is not on the books by then is lost.
        left = *subtract(left, *Msat::from_raw(msat));
        CHECK(node.balance(key).posted == left);
        CHECK(node.balance(key).held == 0_msat);
    }
    CHECK(node.record(key).total_spent == *subtract(kBalance, left));
}

TEST_CASE("meter: mistake 9, small calls cost nothing, huge ones pay, and budgets race") {
    // A token at a thousandth of a msat is rounded once, up; a thousand such tokens are one msat.
    const auto cheap =
        proxy::Price::make(proxy::MsatPrices{.input_per_1k = 1, .output_per_1k = 1}).value();
    CHECK(cost_of(cheap, {.in_uncached = 1})->total == 1_msat);
    CHECK(cost_of(cheap, {.in_uncached = 600, .out_text = 400})->total == 1_msat);
    CHECK(cost_of(cheap, {.in_uncached = 600, .out_text = 401})->total == 2_msat);

    // What would overflow is no count: an estimate, 0.6 + 1.2. What is a count, and more than was
    // held, costs the hold: 84 bytes and 512 of a template in, 100 out, 119.2 + 60.
    CHECK(price_of_body(body_of(R"({"prompt_tokens":9223372036854775807,)"
                                R"("completion_tokens":9223372036854775807})")) == 2);
    CHECK(price_of_body(body_of(R"({"prompt_tokens":1000000000000,)"
                                R"("completion_tokens":1000000000000})")) == 180);

    // One budget, two requests at once that each need all of it: one is answered.
    Node node;
    node.upstream.script = json_script(kAnswer);
    const KeyId key = node.make_key(180_msat);
    FakeExchange one{node.request(key, kAsk)};
    FakeExchange two{node.request(key, kAsk)};
    run_all({[&] { return node.gateway->chat_completions(one); },
             [&] { return node.gateway->chat_completions(two); }},
            2);
    node.settle();
    CHECK((one.status == 200) != (two.status == 200));
    CHECK((one.status == 402) != (two.status == 402));
    CHECK(node.balance(key).posted == 164_msat);
}
