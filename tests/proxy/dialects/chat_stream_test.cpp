// Chunks as Anthropic's events. The chunks are those that OpenAI and its like send; what becomes of
// them is written by hand from Anthropic's documents.
#include "dialects/chat_stream.h"

#include "dialects/cuts.h"

using namespace nutgate::proxy;
using namespace nutgate::test;
using nlohmann::json;
using State = StreamTranslator::State;

namespace {

std::string chunk(const std::string& delta, const std::string& finish = "null",
                  const std::string& more = "") {
    return R"(data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gpt-x",)"
           R"("choices":[{"index":0,"delta":)" +
           delta + R"(,"finish_reason":)" + finish + "}]" + more + "}\n\n";
}
std::string call(const std::string& body) { return chunk(R"({"tool_calls":[)" + body + "]}"); }
std::string usage_chunk(const std::string& usage) {
    return R"(data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gpt-x",)"
           R"("choices":[],"usage":)" +
           usage + "}\n\n";
}
const std::string kRole = chunk(R"({"role":"assistant","content":""})");
const std::string kUsage =
    usage_chunk(R"({"prompt_tokens":19,"completion_tokens":10,"total_tokens":29})");
const std::string kDone = "data: [DONE]\n\n";

Translated translate(const std::string& stream, std::int64_t estimate = 17) {
    return translate_stream(
        *make_to_messages(
            {.input_tokens_estimate = estimate, .message_id = "msg_own", .model = "own"}),
        stream);
}

// Every event's data, which must be named by the event's name.
std::vector<json> data_of(const Translated& translated) {
    std::vector<json> all;
    for (const SeenEvent& seen : events_of(translated.text)) {
        all.push_back(json::parse(seen.data));
        CHECK(all.back()["type"] == seen.name);
    }
    return all;
}

// As an SDK puts a message together: blocks by their index, one after the other.
json assembled(const Translated& translated) {
    json message;
    std::string input;
    int open = -1;
    for (const json& event : data_of(translated)) {
        const std::string type = event["type"];
        if (type == "message_start") {
            message = event["message"];
        } else if (type == "content_block_start") {
            CHECK(open == -1);
            open = event["index"];
            CHECK(open == static_cast<int>(message["content"].size()));
            message["content"].push_back(event["content_block"]);
            input.clear();
        } else if (type == "content_block_delta") {
            CHECK(event["index"] == open);
            json& block = message["content"].back();
            const json& delta = event["delta"];
            const auto add = [&](const char* field) {
                block[field] = block[field].get<std::string>() + delta[field].get<std::string>();
            };
            if (delta["type"] == "text_delta") add("text");
            if (delta["type"] == "thinking_delta") add("thinking");
            if (delta["type"] == "input_json_delta")
                input += delta["partial_json"].get<std::string>();
        } else if (type == "content_block_stop") {
            CHECK(event["index"] == open);
            open = -1;
            json& block = message["content"].back();
            if (block["type"] == "tool_use" && !input.empty()) {
                block["input"] = json::parse(input, nullptr, false);
            }
        } else if (type == "message_delta") {
            message["stop_reason"] = event["delta"]["stop_reason"];
            message["usage"] = event["usage"];
        }
    }
    return message;
}

}  // namespace

TEST_CASE("chat stream: a plain one, event for event") {
    const Translated translated =
        translate(kRole + chunk(R"({"content":"Hel\u00e9"})") + chunk(R"({"content":"lo"})") +
                  chunk("{}", R"("stop")") + kUsage + kDone);
    CHECK(translated.state == State::Whole);
    CHECK(translated.text ==
          R"(event: message_start
data: {"type":"message_start","message":{"id":"chatcmpl-1","type":"message","role":"assistant","model":"gpt-x","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":17,"output_tokens":0,"usage_source":"estimate"}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hel\u00e9"}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"lo"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"input_tokens":19,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":10,"output_tokens_details":{"thinking_tokens":0}}}

event: message_stop
data: {"type":"message_stop"}

)");
}

TEST_CASE("chat stream: thoughts, text and calls are blocks, one after the other") {
    const json message = assembled(translate(
        kRole + chunk(R"({"reasoning_content":"Hm"})") +
        chunk(R"({"reasoning_content":"m.","reasoning":"m."})") + chunk(R"({"content":"Look: "})") +
        call(
            R"({"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":""}})") +
        call(R"({"index":0,"function":{"arguments":"{\"city\": "}})") +
        call(R"({"index":0,"function":{"arguments":"\"Paris\"}"}})") +
        call(
            R"({"index":1,"id":"call_2","type":"function","function":{"name":"g","arguments":"{}"}})") +
        chunk("{}", R"("tool_calls")") + kUsage + kDone));
    CHECK(message["stop_reason"] == "tool_use");
    CHECK(message["content"] == json::parse(R"([
        {"type":"thinking","thinking":"Hmm.","signature":""},
        {"type":"text","text":"Look: "},
        {"type":"tool_use","id":"call_1","name":"f","input":{"city":"Paris"}},
        {"type":"tool_use","id":"call_2","name":"g","input":{}}])"));
}

TEST_CASE("chat stream: calls that come interleaved are told one after the other, whole") {
    const auto message = assembled(translate(
        kRole +
        chunk(
            R"({"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":"}},)"
            R"({"index":1,"id":"b","function":{"name":"g","arguments":"{\"s\":\"}"}}]})") +
        call(R"({"index":1,"function":{"arguments":"{\\\"\"}"}})") +
        call(R"({"index":2,"id":"c","function":{"name":"h","arguments":""}})") +
        call(R"({"index":0,"function":{"arguments":"[1,2]}"}})") +
        call(R"({"index":2,"function":{"arguments":"{\"n\":1}"}})") +
        chunk("{}", R"("tool_calls")") + kDone));
    CHECK(message["content"] == json::parse(R"([
        {"type":"tool_use","id":"a","name":"f","input":{"x":[1,2]}},
        {"type":"tool_use","id":"b","name":"g","input":{"s":"}{\""}},
        {"type":"tool_use","id":"c","name":"h","input":{"n":1}}])"));
}

TEST_CASE("chat stream: calls as some servers number them") {
    // All are number 0 (Gemini's face), or have no number, or repeat id and name in every piece.
    const json same = assembled(translate(
        kRole + call(R"({"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":1}"}})") +
        call(R"({"index":0,"id":"b","function":{"name":"f","arguments":"{\"x\":2}"}})") +
        chunk("{}", R"("stop")") + kDone));
    CHECK(same["stop_reason"] == "tool_use");
    CHECK(same["content"] ==
          json::parse(R"([{"type":"tool_use","id":"a","name":"f","input":{"x":1}},
                                             {"type":"tool_use","id":"b","name":"f","input":{"x":2}}])"));
    const json none = assembled(
        translate(kRole + call(R"({"id":"a","function":{"name":"f","arguments":"{\"x\":"}})") +
                  call(R"({"function":{"arguments":"1}"}})") +
                  call(R"({"id":"b","function":{"name":"f","arguments":"{}"}})") +
                  chunk("{}", R"("tool_calls")") + kDone));
    CHECK(none["content"] ==
          json::parse(R"([{"type":"tool_use","id":"a","name":"f","input":{"x":1}},
                                             {"type":"tool_use","id":"b","name":"f","input":{}}])"));
    const json repeated = assembled(translate(
        kRole + call(R"({"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\""}})") +
        call(R"({"index":0,"id":"a","function":{"name":"f","arguments":":1}"}})") +
        call(R"({"index":1,"id":"b","function":{"name":"f","arguments":"{}"}})") +
        call(R"({"index":0,"id":"a","function":{"name":"f","arguments":""}})") +
        chunk("{}", R"("tool_calls")") + kDone));
    CHECK(repeated["content"].size() == 2);
    CHECK(repeated["content"][0]["input"] == json::parse(R"({"x":1})"));
    const json nameless = assembled(
        translate(kRole + call(R"({"index":0,"function":{"name":"f","arguments":"{}"}})") +
                  chunk("{}", R"("tool_calls")") + kDone));
    CHECK(nameless["content"][0]["id"] == "call_chatcmpl-1_0");
}

TEST_CASE("chat stream: a call that the limit cut ends as it is") {
    const Translated cut = translate(
        kRole + call(R"({"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\": \"lo"}})") +
        chunk("{}", R"("length")") + kUsage + kDone);
    CHECK(cut.state == State::Whole);
    CHECK(assembled(cut)["stop_reason"] == "max_tokens");
    CHECK(cut.text.find(R"("partial_json":"{\"x\": \"lo")") != std::string::npos);
}

TEST_CASE("chat stream: usage wherever the upstreams put it") {
    const auto usage = [](const std::string& tail) {
        return assembled(translate(kRole + chunk(R"({"content":"x"})") + tail))["usage"];
    };
    const std::string told = R"({"prompt_tokens":100,"completion_tokens":20,"total_tokens":120,)"
                             R"("prompt_tokens_details":{"cached_tokens":60},)"
                             R"("completion_tokens_details":{"reasoning_tokens":8}})";
    const json expected = json::parse(R"({"input_tokens":40,"cache_creation_input_tokens":0,
        "cache_read_input_tokens":60,"output_tokens":20,"output_tokens_details":{"thinking_tokens":8}})");
    CHECK(usage(chunk("{}", R"("stop")") + usage_chunk(told) + kDone) == expected);
    CHECK(usage(chunk("{}", R"("stop")", ",\"usage\":" + told) + kDone) == expected);
    CHECK(usage(chunk("{}", R"("stop")", ",\"usage\":" + told)) == expected);  // No [DONE].
    CHECK(usage(chunk("{}", R"("stop")", ",\"x_groq\":{\"usage\":" + told + "}") + kDone) ==
          expected);
    // The last word counts, and zero is a word.
    CHECK(usage(chunk("{}", R"("stop")", R"(,"usage":{"prompt_tokens":9,"completion_tokens":9})") +
                usage_chunk(told) + kDone) == expected);
    CHECK(usage(chunk("{}", R"("stop")") +
                usage_chunk(R"({"prompt_tokens":0,"completion_tokens":0,"total_tokens":0})") +
                kDone)["output_tokens"] == 0);
    // llama.cpp's: what came from its cache is not in prompt_n.
    const json llama = usage(
        chunk("{}", R"("stop")", R"(,"timings":{"prompt_n":10,"cache_n":5,"predicted_n":7})") +
        kDone);
    CHECK(llama["input_tokens"] == 10);
    CHECK(llama["cache_read_input_tokens"] == 5);
    CHECK(llama["output_tokens"] == 7);
    // Not told is not zero.
    CHECK(usage(chunk("{}", R"("stop")") + kDone) ==
          json::parse(R"({"input_tokens":null,"output_tokens":null})"));
}

TEST_CASE("chat stream: Azure's first chunk says nothing, and begins nothing") {
    const Translated translated = translate(
        "data: {\"id\":\"\",\"model\":\"\",\"choices\":[],\"prompt_filter_results\":[{}]}\n\n" +
        kRole + chunk(R"({"content":"x"})") + chunk("{}", R"("stop")") + kUsage + kDone);
    const json first = data_of(translated).front();
    CHECK(first["message"]["id"] == "chatcmpl-1");
    CHECK(first["message"]["model"] == "gpt-x");
    const json nameless = assembled(translate(
        "data: {\"choices\":[{\"delta\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}]}\n\n" +
        kDone));
    CHECK(nameless["id"] == "msg_own");
    CHECK(nameless["model"] == "own");
}

TEST_CASE("chat stream: a refusal is text, and is called by its name") {
    const json message =
        assembled(translate(kRole + chunk(R"({"refusal":"I can't "})") +
                            chunk(R"({"refusal":"do that."})") + chunk("{}", R"("stop")") + kDone));
    CHECK(message["stop_reason"] == "refusal");
    CHECK(message["content"] == json::parse(R"([{"type":"text","text":"I can't do that."}])"));
}

TEST_CASE("chat stream: one that was cut has no end, and tells what is known") {
    const std::string begun = kRole + chunk(R"({"content":"Hello"})");
    for (const std::string& tail : {std::string{}, std::string{"data: {\"choices\":[{\"del"}}) {
        const Translated cut = translate(begun + tail);
        CHECK(cut.state == State::Open);
        CHECK(cut.text.find("message_stop") == std::string::npos);
        CHECK(cut.text.find("stop_reason\":\"") == std::string::npos);
        CHECK(cut.text.find("message_delta") == std::string::npos);
    }
    // vLLM's continuous usage: what was used until then is told, and that nothing ended.
    const Translated told = translate(
        kRole + chunk(R"({"content":"Hello"})", "null",
                      R"(,"usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13})"));
    CHECK(told.state == State::Open);
    const json last = data_of(told).back();
    CHECK(last["delta"]["stop_reason"].is_null());
    CHECK(last["usage"]["input_tokens"] == 9);
    CHECK(last["usage"]["output_tokens"] == 4);
    // A finish_reason is an end, [DONE] or not.
    CHECK(translate(begun + chunk("{}", R"("stop")")).state == State::Whole);
}

TEST_CASE("chat stream: an error is the last word, without the seller's names") {
    const Translated failed = translate(
        kRole + chunk(R"({"content":"Hel"})") +
        "data: {\"error\":{\"message\":\"Provider gone, org-abcdefgh12345678\",\"code\":502}}\n\n" +
        chunk(R"({"content":"lo"})") + kDone);
    CHECK(failed.state == State::Failed);
    const auto all = data_of(failed);
    CHECK(all.back()["type"] == "error");
    CHECK(all.back()["error"]["type"] == "api_error");
    CHECK(all.back().dump().find("abcdefgh") == std::string::npos);
    CHECK(failed.text.find("message_stop") == std::string::npos);
    CHECK(data_of(translate("data: {\"error\":{\"message\":\"slow\",\"code\":429}}\n\n"))
              .back()["error"]["type"] == "rate_limit_error");
}

TEST_CASE("chat stream: who is silent but there is told as a ping") {
    const Translated translated =
        translate(": OPENROUTER PROCESSING\n\n" + kRole + ": OPENROUTER PROCESSING\n\n" +
                  chunk(R"({"content":"x"})") + chunk("{}", R"("stop")") + kDone);
    CHECK(translated.state == State::Whole);
    const auto all = data_of(translated);
    CHECK(all[0]["type"] == "message_start");
    CHECK(all[1] == json::parse(R"({"type":"ping"})"));
}

TEST_CASE("chat stream: line ends of every kind, and data in several lines") {
    const std::string stream =
        kRole + "data: {\"choices\":[{\"index\":0,\ndata: \"delta\":{\"content\":\"x\"}}]}\n\n" +
        chunk("{}", R"("stop")") + kDone;
    const Translated lf = translate(stream);
    CHECK(lf.state == State::Whole);
    CHECK(assembled(lf)["content"][0]["text"] == "x");
    for (const std::string line_end : {"\r", "\r\n"}) {
        std::string other;
        for (const char c : stream) other += c == '\n' ? line_end : std::string{c};
        CHECK(translate(other) == lf);
    }
}

TEST_CASE("chat stream: only the first choice was asked for") {
    CHECK(
        assembled(translate(kRole + R"(data: {"choices":[{"index":1,"delta":{"content":"no"}}]})" +
                            "\n\n" + chunk(R"({"content":"yes"})") + chunk("{}", R"("stop")") +
                            kDone))["content"] == json::parse(R"([{"type":"text","text":"yes"}])"));
}

TEST_CASE("chat stream: what is not of the dialect ends it, and nothing is made up") {
    for (const std::string& stream :
         {std::string{"data: nonsense\n\n"}, kRole + "data: {\"id\":\"\xff\"}\n\n",
          kRole + chunk("7"), kRole + call("7"),
          kRole + call(R"({"index":0,"function":{"arguments":"{}"}})"),
          // A call goes on that has ended.
          kRole + call(R"({"index":0,"id":"a","function":{"name":"f","arguments":"{}"}})") +
              call(R"({"index":1,"id":"b","function":{"name":"f","arguments":"{}"}})") +
              call(R"({"index":0,"function":{"arguments":"{\"x\":1}"}})")}) {
        CAPTURE(stream);
        const Translated translated = translate(stream);
        CHECK(translated.state == State::Nonsense);
        CHECK(translated.text.find("message_stop") == std::string::npos);
    }
}

TEST_CASE("chat stream: a line of a megabyte passes, and a bound holds") {
    const std::string text(1024 * 1024, 'a');
    const std::string stream =
        kRole + chunk(R"({"content":")" + text + "\"}") + chunk("{}", R"("stop")") + kDone;
    const auto run_with = [&](std::size_t bound) {
        const auto translator =
            make_to_messages({.input_tokens_estimate = 1, .event_bytes_max = bound});
        return run(*translator->stream(), {stream});
    };
    CHECK(run_with(kStreamEventBytesMax).state == State::Whole);
    CHECK(run_with(kStreamEventBytesMax).text.find(text) != std::string::npos);
    CHECK(run_with(1024).state == State::Nonsense);
    CHECK(run_with(1024).text.find("message_stop") == std::string::npos);
}
