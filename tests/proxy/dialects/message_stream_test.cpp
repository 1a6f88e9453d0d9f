// Anthropic's streams as chunks. The events are those of Anthropic's documents; what becomes of
// them is written by hand from OpenAI's.
#include "dialects/message_stream.h"

#include "dialects/cuts.h"
#include "nutgate/proxy/meter.h"

using namespace nutgate::proxy;
using namespace nutgate::test;
using nlohmann::json;
using State = StreamTranslator::State;

namespace {

std::string event(const std::string& name, const std::string& data) {
    return "event: " + name + "\ndata: " + data + "\n\n";
}

std::string start(const std::string& usage = R"({"input_tokens":25,"output_tokens":1})") {
    return event("message_start",
                 R"({"type": "message_start", "message": {"id": "msg_1", "type": "message", )"
                 R"("role": "assistant", "content": [], "model": "claude-x", "stop_reason": null, )"
                 R"("stop_sequence": null, "usage": )" +
                     usage + "}}");
}
std::string block_start(int index, const std::string& block) {
    return event("content_block_start", R"({"type": "content_block_start", "index": )" +
                                            std::to_string(index) + R"(, "content_block": )" +
                                            block + "}");
}
std::string delta(int index, const std::string& type, const std::string& field,
                  const std::string& json_string) {
    return event("content_block_delta", R"({"type": "content_block_delta", "index": )" +
                                            std::to_string(index) + R"(, "delta": {"type": ")" +
                                            type + R"(", ")" + field + "\": " + json_string + "}}");
}
std::string block_stop(int index) {
    return event("content_block_stop",
                 R"({"type": "content_block_stop", "index": )" + std::to_string(index) + "}");
}
std::string message_delta(const std::string& reason, const std::string& usage) {
    return event("message_delta", R"({"type": "message_delta", "delta": {"stop_reason": ")" +
                                      reason + R"(", "stop_sequence":null}, "usage": )" + usage +
                                      "}");
}
const std::string kStop = event("message_stop", R"({"type": "message_stop"})");
const std::string kPing = event("ping", R"({"type": "ping"})");
const std::string kTextStart = block_start(0, R"({"type": "text", "text": ""})");

Translated translate(const std::string& stream, bool usage = true) {
    return translate_stream(*make_to_chat({.created = 1'700'000'000, .usage_asked = usage}),
                            stream);
}

// The JSON of every chunk.
std::vector<json> chunks_of(const Translated& translated) {
    std::vector<json> chunks;
    for (const SeenEvent& seen : events_of(translated.text)) {
        if (!seen.data.empty() && seen.data != "[DONE]") chunks.push_back(json::parse(seen.data));
    }
    return chunks;
}

// What the gateway's meter makes of the translation.
SseMeter metered(const Translated& translated) {
    SseMeter meter{SseMeter::Options{}};
    std::string passed;
    meter.feed(translated.text, passed);
    meter.finish(passed);
    return meter;
}

}  // namespace

TEST_CASE("message stream: the basic one of Anthropic's documents, chunk for chunk") {
    const std::string stream = start() + kTextStart + kPing +
                               delta(0, "text_delta", "text", R"("Hello")") +
                               delta(0, "text_delta", "text", R"("!")") + block_stop(0) +
                               message_delta("end_turn", R"({"output_tokens": 15})") + kStop;
    const Translated plain = translate(stream, false);
    CHECK(plain.state == State::Whole);
    const std::string head =
        R"(data: {"id":"msg_1","object":"chat.completion.chunk","created":1700000000,)"
        R"("model":"claude-x","choices":[)";
    const auto chunk = [&](const std::string& body, const std::string& finish) {
        return head + R"({"index":0,"delta":)" + body + R"(,"logprobs":null,"finish_reason":)" +
               finish + "}]}\n\n";
    };
    CHECK(plain.text == chunk(R"({"role":"assistant","content":""})", "null") + ": ping\n\n" +
                            chunk(R"({"content":"Hello"})", "null") +
                            chunk(R"({"content":"!"})", "null") + chunk("{}", R"("stop")") +
                            "data: [DONE]\n\n");

    const auto chunks = chunks_of(translate(stream));
    REQUIRE(chunks.size() == 6);
    CHECK(chunks[0]["usage"].is_null());
    CHECK(chunks[0].contains("usage"));
    CHECK(chunks[1]["choices"].empty());
    CHECK(chunks[1]["usage"]["prompt_tokens"] == 25);
    CHECK_FALSE(chunks[1]["usage"].contains("completion_tokens"));
    CHECK(chunks[5]["choices"].empty());
    CHECK(chunks[5]["usage"] == json::parse(R"({"prompt_tokens":25,"completion_tokens":15,
        "total_tokens":40,"prompt_tokens_details":{"cached_tokens":0,"cache_write_tokens":0},
        "completion_tokens_details":{"reasoning_tokens":0}})"));
}

TEST_CASE("message stream: calls come by their number, their arguments as they were written") {
    const auto chunks = chunks_of(translate(
        start() + kTextStart + delta(0, "text_delta", "text", R"("Okay, \u00e9\n")") +
            block_stop(0) +
            block_start(
                1,
                R"({"type": "tool_use", "id": "toolu_01", "name": "get_weather", "input": {}})") +
            delta(1, "input_json_delta", "partial_json", R"("")") +
            delta(1, "input_json_delta", "partial_json", R"("{\"location\":")") +
            delta(1, "input_json_delta", "partial_json", R"(" \"San Francisco\"}")") +
            block_stop(1) +
            block_start(2,
                        R"({"type": "tool_use", "id": "toolu_02", "name": "now", "input": {}})") +
            block_stop(2) + message_delta("tool_use", R"({"output_tokens": 89})") + kStop,
        false));
    REQUIRE(chunks.size() == 8);
    const auto piece = [&](std::size_t at) { return chunks[at]["choices"][0]["delta"]; };
    CHECK(piece(1) == json::parse(R"({"content":"Okay, é\n"})"));
    CHECK(piece(2) == json::parse(R"({"tool_calls":[{"index":0,"id":"toolu_01","type":"function",
        "function":{"name":"get_weather","arguments":""}}]})"));
    CHECK(piece(3)["tool_calls"][0] ==
          json::parse(R"({"index":0,"function":{"arguments":"{\"location\":"}})"));
    CHECK(piece(4)["tool_calls"][0]["function"]["arguments"] == R"( "San Francisco"})");
    CHECK(piece(5)["tool_calls"][0]["index"] == 1);
    // A call without arguments is still JSON to its reader.
    CHECK(piece(6) == json::parse(R"({"tool_calls":[{"index":1,"function":{"arguments":"{}"}}]})"));
    CHECK(chunks[7]["choices"][0]["finish_reason"] == "tool_calls");
}

TEST_CASE("message stream: thoughts are told as they come, and whole with their signatures") {
    const auto chunks = chunks_of(translate(
        start() + block_start(0, R"({"type": "thinking", "thinking": "", "signature": ""})") +
        delta(0, "thinking_delta", "thinking", R"("Let me ")") +
        delta(0, "thinking_delta", "thinking", R"("solve")") +
        delta(0, "signature_delta", "signature", R"("EqQBCgIYAhIM1gbcDa9GJwZA2b3h")") +
        block_stop(0) + block_start(1, R"({"type": "redacted_thinking", "data": "EmwK"})") +
        block_stop(1) + block_start(2, R"({"type": "text", "text": "27"})") +
        delta(2, "text_delta", "text", R"(" * 453")") + block_stop(2) +
        message_delta(
            "end_turn",
            R"({"output_tokens": 30, "output_tokens_details": {"thinking_tokens": 22}})") +
        kStop));
    std::vector<json> deltas;
    for (const json& chunk : chunks) {
        if (!chunk["choices"].empty()) deltas.push_back(chunk["choices"][0]["delta"]);
    }
    REQUIRE(deltas.size() == 6);
    CHECK(deltas[1] == json::parse(R"({"reasoning_content":"Let me "})"));
    CHECK(deltas[2] == json::parse(R"({"reasoning_content":"solve"})"));
    CHECK(deltas[3] == json::parse(R"({"content":"27"})"));
    CHECK(deltas[4] == json::parse(R"({"content":" * 453"})"));
    // Whole and all together, so that a client which keeps the last of a field keeps all of it.
    CHECK(deltas[5] == json::parse(R"({"thinking_blocks":[
        {"type":"thinking","thinking":"Let me solve","signature":"EqQBCgIYAhIM1gbcDa9GJwZA2b3h"},
        {"type":"redacted_thinking","data":"EmwK"}]})"));
    CHECK(chunks.back()["usage"]["completion_tokens_details"]["reasoning_tokens"] == 22);
}

TEST_CASE("message stream: usage is cumulative, overwritten field by field, never added") {
    // Anthropic's own example: 2,679 tokens of prompt are 10,682 after its search.
    const Translated translated = translate(
        start(R"({"input_tokens":2679,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,)"
              R"("output_tokens":3})") +
        kTextStart + delta(0, "text_delta", "text", R"("x")") + block_stop(0) +
        message_delta("end_turn", R"({"input_tokens":10682,"cache_creation_input_tokens":7,)"
                                  R"("cache_read_input_tokens":null,"output_tokens":510})") +
        kStop);
    const SseMeter meter = metered(translated);
    CHECK(meter.done());
    CHECK(meter.finished());
    REQUIRE(meter.usage().has_value());
    CHECK(meter.usage()->usage().input() == 10'689);
    CHECK(meter.usage()->usage().output() == 510);
    const json usage = json::parse(meter.usage_chunk())["usage"];
    CHECK(usage["prompt_tokens_details"]["cache_write_tokens"] == 7);
    CHECK(usage["cache_creation"]["ephemeral_5m_input_tokens"] == 7);
    CHECK(usage["total_tokens"] == 11'199);
}

TEST_CASE("message stream: thoughts that its end repeats are metered once") {
    const Translated whole =
        translate(start() + block_start(0, R"({"type":"thinking","thinking":"","signature":""})") +
                      delta(0, "thinking_delta", "thinking", R"("12345678")") +
                      delta(0, "signature_delta", "signature", R"("abc")") + block_stop(0) +
                      block_start(1, R"({"type":"text","text":""})") +
                      delta(1, "text_delta", "text", R"("Hello")") + block_stop(1) +
                      message_delta("end_turn", R"({"output_tokens":15})") + kStop,
                  false);
    CHECK(whole.text.find("thinking_blocks") != std::string::npos);
    const SseMeter meter = metered(whole);
    CHECK_FALSE(meter.usage().has_value());
    CHECK(meter.delivered().text_bytes == 13);
    CHECK(meter.delivered().text_deltas == 2);
}

TEST_CASE("message stream: one that was cut has no end, and tells what is known") {
    const std::string begun = start() + kTextStart + delta(0, "text_delta", "text", R"("Hello")");
    for (const std::string& tail :
         {std::string{}, block_stop(0), std::string{"event: message_st"},
          std::string{"event: message_delta\ndata: {\"type\": \"message_del"}}) {
        CAPTURE(tail);
        const Translated cut = translate(begun + tail);
        CHECK(cut.state == State::Open);
        const SseMeter meter = metered(cut);
        CHECK_FALSE(meter.done());
        CHECK_FALSE(meter.finished());
        // The prompt's tokens are Anthropic's word. Its 1 for the output is none, so the output is
        // estimated from what came.
        REQUIRE(meter.usage().has_value());
        CHECK(meter.usage()->prompt_tokens == 25);
        CHECK_FALSE(meter.usage()->completion_tokens.has_value());
        CHECK(meter.delivered().text_bytes == 5);
    }
    // Behind message_delta the count is known, and still nothing claims that all was said.
    const Translated late =
        translate(begun + block_stop(0) + message_delta("end_turn", R"({"output_tokens":15})"));
    CHECK(late.state == State::Open);
    const SseMeter meter = metered(late);
    CHECK_FALSE(meter.done());
    CHECK_FALSE(meter.finished());
    CHECK(meter.usage()->usage().output() == 15);
}

TEST_CASE("message stream: without usage asked for none is told, whole or cut") {
    const std::string begun = start() + kTextStart + delta(0, "text_delta", "text", R"("Hello")");
    for (const std::string& stream :
         {begun,
          begun + block_stop(0) + message_delta("end_turn", R"({"output_tokens":15})") + kStop}) {
        CHECK(translate(stream, false).text.find("usage") == std::string::npos);
    }
}

TEST_CASE("message stream: an error after the 200 is the last word, without the seller's names") {
    const Translated failed = translate(
        start() + kTextStart + delta(0, "text_delta", "text", R"("Hello")") +
        event("error", R"({"type": "error", "error": {"type": "overloaded_error", )"
                       R"("message": "Overloaded: org-abcdefgh12345678 has too much"}})") +
        kStop);
    CHECK(failed.state == State::Failed);
    const json last = chunks_of(failed).back();
    CHECK(last["error"]["type"] == "server_error");
    CHECK(last["error"]["code"] == "overloaded");
    CHECK(last["error"]["message"].get<std::string>().find("abcdefgh") == std::string::npos);
    const SseMeter meter = metered(failed);
    CHECK(meter.failed());
    CHECK_FALSE(meter.done());
    CHECK(meter.usage()->prompt_tokens == 25);
}

TEST_CASE("message stream: line ends of every kind, comments, and events of a later date") {
    std::string stream = "\xef\xbb\xbf: hello\n\n" + start() +
                         event("fresh", R"({"type":"fresh","x":[1]})") + kTextStart +
                         delta(0, "text_delta", "text", R"("Hi")") +
                         delta(0, "citations_delta", "citation", "{}") + block_stop(0) +
                         message_delta("stop_sequence", R"({"output_tokens":2})") + kStop;
    const Translated lf = translate(stream);
    CHECK(lf.state == State::Whole);
    const auto with = [&](const std::string& line_end) {
        std::string other;
        for (const char c : stream) other += c == '\n' ? line_end : std::string{c};
        return translate(other);
    };
    CHECK(with("\r\n") == lf);
    CHECK(with("\r") == lf);
    // Some leave the last blank line out.
    stream.resize(stream.size() - 2);
    CHECK(translate(stream) == lf);
}

TEST_CASE("message stream: a line of a megabyte passes, and a bound holds") {
    const std::string text(1024 * 1024, 'a');
    const std::string stream = start() + kTextStart +
                               delta(0, "text_delta", "text", '"' + text + '"') + block_stop(0) +
                               message_delta("end_turn", R"({"output_tokens":9})") + kStop;
    const auto run_with = [&](std::size_t bound) {
        const auto translator =
            make_to_chat({.created = 0, .usage_asked = true, .event_bytes_max = bound});
        return run(*translator->stream(), {stream});
    };
    const Translated whole = run_with(kStreamEventBytesMax);
    CHECK(whole.state == State::Whole);
    CHECK(whole.text.find(text) != std::string::npos);
    const Translated bounded = run_with(1024);
    CHECK(bounded.state == State::Nonsense);
    CHECK(bounded.text.find("[DONE]") == std::string::npos);
    CHECK(metered(bounded).usage()->prompt_tokens == 25);
}

TEST_CASE("message stream: what is not of the dialect ends it, and nothing is made up") {
    for (const std::string& stream :
         {event("x", "not json"),
          event("content_block_stop", R"({"type":"content_block_stop","index":0})"),
          start() + start(), start() + event("x", "{\"type\":\"\xff\"}"),
          start() + delta(0, "text_delta", "text", R"("no block")"),
          start() + kTextStart + kTextStart,
          start() + block_start(0, R"({"type":"tool_use","id":"a"})")}) {
        CAPTURE(stream);
        const Translated translated = translate(stream);
        CHECK(translated.state == State::Nonsense);
        CHECK(translated.text.find("[DONE]") == std::string::npos);
        CHECK_FALSE(metered(translated).finished());
    }
}
