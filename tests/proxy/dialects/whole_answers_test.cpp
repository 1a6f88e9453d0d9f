// Whole answers and errors, both ways: bodies from the providers' references, expectations by hand.
#include "dialects/whole_answers.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <string>
#include <utility>
#include <vector>

#include "dialects/error_shapes.h"
#include "nutgate/proxy/meter.h"

using namespace nutgate::proxy;
using nlohmann::json;

namespace {

constexpr std::int64_t kCreated = 1'700'000'000;

json to_completion(const std::string& body) {
    const auto answer = message_to_completion(body, kCreated);
    REQUIRE(answer.has_value());
    return json::parse(*answer);
}

json to_message(const std::string& body) {
    const auto answer = completion_to_message(body, {.input_tokens_estimate = 0});
    REQUIRE(answer.has_value());
    return json::parse(*answer);
}

std::string message_of(const std::string& content, const std::string& stop = "end_turn",
                       const std::string& usage = R"({"input_tokens":10,"output_tokens":5})") {
    return R"({"id":"msg_013Zva2CMHLNnXjNJJKqJ2EF","type":"message","role":"assistant",)"
           R"("model":"claude-x","content":)" +
           content + R"(,"stop_reason":")" + stop + R"(","stop_sequence":null,"usage":)" + usage +
           "}";
}

std::string completion_of(
    const std::string& message, const std::string& finish = "stop",
    const std::string& usage = R"({"prompt_tokens":19,"completion_tokens":10,"total_tokens":29})") {
    return R"({"id":"chatcmpl-B9","object":"chat.completion","created":1741569952,)"
           R"("model":"gpt-x","choices":[{"index":0,"message":)" +
           message + R"(,"logprobs":null,"finish_reason":")" + finish + R"("}],"usage":)" + usage +
           "}";
}

}  // namespace

TEST_CASE("message to completion: the reference's first answer") {
    CHECK(to_completion(message_of(R"([{"type":"text","text":"Hi! My name is Claude."}])")) ==
          json::parse(R"({"id":"msg_013Zva2CMHLNnXjNJJKqJ2EF","object":"chat.completion",
        "created":1700000000,"model":"claude-x","choices":[{"index":0,"message":{"role":"assistant",
        "content":"Hi! My name is Claude.","refusal":null},"logprobs":null,"finish_reason":"stop"}],
        "usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,
        "prompt_tokens_details":{"cached_tokens":0,"cache_write_tokens":0},
        "completion_tokens_details":{"reasoning_tokens":0}}})"));
}

TEST_CASE("message to completion: thoughts, text and calls each have their place") {
    const auto answer = message_to_completion(message_of(R"([
        {"type":"thinking","thinking":"The user\nwants","signature":"EqQBCgIYAg=="},
        {"type":"redacted_thinking","data":"EmwKAhgB"},
        {"type":"text","text":"I'll check ","citations":null},
        {"type":"text","text":"\u00e9."},
        {"type":"tool_use","id":"toolu_1","name":"get_weather","input":{"location":"SF","big":12345678901234567890123}},
        {"type":"tool_use","id":"toolu_2","name":"now","input":{}}])",
                                                         "tool_use"),
                                              kCreated);
    REQUIRE(answer.has_value());
    const json choice = json::parse(*answer)["choices"][0];
    CHECK(choice["finish_reason"] == "tool_calls");
    CHECK(choice["message"] == json::parse(R"({"role":"assistant","refusal":null,
        "content":"I'll check é.","reasoning_content":"The user\nwants",
        "thinking_blocks":[{"type":"thinking","thinking":"The user\nwants","signature":"EqQBCgIYAg=="},
                           {"type":"redacted_thinking","data":"EmwKAhgB"}],
        "tool_calls":[
          {"id":"toolu_1","type":"function","function":{"name":"get_weather",
           "arguments":"{\"location\":\"SF\",\"big\":12345678901234567890123}"}},
          {"id":"toolu_2","type":"function","function":{"name":"now","arguments":"{}"}}]})"));
    CHECK(to_completion(message_of(R"([{"type":"tool_use","id":"t","name":"f","input":{}}])",
                                   "tool_use"))["choices"][0]["message"]["content"]
              .is_null());
}

TEST_CASE("message to completion: why it ended") {
    for (const auto& [stop, finish] : std::vector<std::pair<std::string, std::string>>{
             {"end_turn", "stop"},
             {"stop_sequence", "stop"},
             {"pause_turn", "stop"},
             {"max_tokens", "length"},
             {"model_context_window_exceeded", "length"},
             {"tool_use", "tool_calls"},
             {"refusal", "content_filter"}}) {
        CAPTURE(stop);
        CHECK(to_completion(message_of("[]", stop))["choices"][0]["finish_reason"] == finish);
    }
}

TEST_CASE("message to completion: a meter behind it finds every kind of token") {
    // 40 fresh, 900 from the cache, 200 written (150 for 5 minutes, 50 for an hour): 1140 in all.
    const std::string body = *message_to_completion(
        message_of(
            "[]", "end_turn",
            R"({"input_tokens":40,"cache_creation_input_tokens":200,)"
            R"("cache_read_input_tokens":900,"cache_creation":{"ephemeral_5m_input_tokens":150,)"
            R"("ephemeral_1h_input_tokens":50},"output_tokens":12,)"
            R"("output_tokens_details":{"thinking_tokens":5},"service_tier":"standard"})"),
        kCreated);
    CHECK(json::parse(body)["usage"] == json::parse(R"({"prompt_tokens":1140,
        "completion_tokens":12,"total_tokens":1152,
        "prompt_tokens_details":{"cached_tokens":900,"cache_write_tokens":200},
        "completion_tokens_details":{"reasoning_tokens":5},"cache_creation_input_tokens":200,
        "cache_creation":{"ephemeral_5m_input_tokens":150,"ephemeral_1h_input_tokens":50}})"));
    const auto metered = find_usage(body);
    REQUIRE(metered.has_value());
    CHECK(metered->usage().input() == 1140);
    CHECK(metered->usage().in_cached == 900);
    CHECK(metered->usage().out_text == 7);
    CHECK(metered->usage().out_reasoning == 5);
}

TEST_CASE("message to completion: what was not told is not made up") {
    CHECK_FALSE(
        to_completion(R"({"id":"m","type":"message","model":"x","content":[]})").contains("usage"));
    const json half =
        to_completion(message_of("[]", "end_turn", R"({"output_tokens":3})"))["usage"];
    CHECK(half == json::parse(R"({"completion_tokens":3,
                                  "completion_tokens_details":{"reasoning_tokens":0}})"));
    for (const std::string body :
         {"", "null", "[]", R"({"type":"message"})", R"({"type":"error","error":{}})",
          R"({"type":"message","content":"x"})", R"({"type":"message","content":[7]})",
          R"({"type":"message","content":[{"type":"tool_use","id":"t"}]})",
          R"({"choices":[{"message":{"content":"x"}}]})"}) {
        CAPTURE(body);
        CHECK_FALSE(message_to_completion(body, kCreated).has_value());
    }
}

TEST_CASE("completion to message: the reference's first answer") {
    CHECK(
        to_message(completion_of(
            R"({"role":"assistant","content":"Hello! How can I help?","refusal":null,"annotations":[]})")) ==
        json::parse(R"({"id":"chatcmpl-B9","type":"message","role":"assistant","model":"gpt-x",
        "content":[{"type":"text","text":"Hello! How can I help?"}],"stop_reason":"end_turn",
        "stop_sequence":null,"usage":{"input_tokens":19,"cache_creation_input_tokens":0,
        "cache_read_input_tokens":0,"output_tokens":10,"output_tokens_details":{"thinking_tokens":0}}})"));
}

TEST_CASE("completion to message: thoughts, text and calls become blocks in that order") {
    const json answer = to_message(completion_of(R"({"role":"assistant","content":"Look:",
        "reasoning_content":"Hm.","tool_calls":[
        {"id":"call_1","type":"function","function":{"name":"f","arguments":"{\"x\": 1.0}"}},
        {"id":"","type":"function","function":{"name":"g","arguments":""}},
        {"type":"function","function":{"name":"h","arguments":"{\"cut\": \"of"}}]})",
                                                 "tool_calls"));
    CHECK(answer["stop_reason"] == "tool_use");
    CHECK(answer["content"] == json::parse(R"([
        {"type":"thinking","thinking":"Hm.","signature":""},
        {"type":"text","text":"Look:"},
        {"type":"tool_use","id":"call_1","name":"f","input":{"x":1.0}},
        {"type":"tool_use","id":"call_chatcmpl-B9_1","name":"g","input":{}},
        {"type":"tool_use","id":"call_chatcmpl-B9_2","name":"h","input":{"INVALID_JSON":"{\"cut\": \"of"}}])"));
    CHECK(to_message(completion_of(R"({"content":"","reasoning":"Hm."})"))["content"] ==
          json::parse(R"([{"type":"thinking","thinking":"Hm.","signature":""}])"));
}

TEST_CASE("completion to message: why it ended") {
    const auto stop = [](const std::string& message, const std::string& finish) {
        return to_message(completion_of(message, finish))["stop_reason"].get<std::string>();
    };
    const std::string text = R"({"content":"x"})";
    const std::string call =
        R"({"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}}]})";
    CHECK(stop(text, "stop") == "end_turn");
    CHECK(stop(text, "length") == "max_tokens");
    CHECK(stop(text, "content_filter") == "refusal");
    CHECK(stop(call, "tool_calls") == "tool_use");
    CHECK(stop(call, "stop") == "tool_use");  // Some servers.
    CHECK(stop(call, "length") == "max_tokens");
    const json refused = to_message(completion_of(R"({"content":null,"refusal":"I can't."})"));
    CHECK(refused["stop_reason"] == "refusal");
    CHECK(refused["content"] == json::parse(R"([{"type":"text","text":"I can't."}])"));
}

TEST_CASE("completion to message: cached, written and reasoned tokens stand beside the others") {
    const auto usage = [](const std::string& told) {
        return to_message(completion_of(R"({"content":"x"})", "stop", told))["usage"];
    };
    // 1000 in: 600 of them from the cache, 300 written to it. 50 out: 30 of them thoughts.
    CHECK(usage(R"({"prompt_tokens":1000,"completion_tokens":50,"total_tokens":1050,)"
                R"("prompt_tokens_details":{"cached_tokens":600,"cache_write_tokens":300},)"
                R"("completion_tokens_details":{"reasoning_tokens":30}})") ==
          json::parse(R"({"input_tokens":100,"cache_creation_input_tokens":300,
        "cache_read_input_tokens":600,
        "cache_creation":{"ephemeral_5m_input_tokens":300,"ephemeral_1h_input_tokens":0},
        "output_tokens":50,"output_tokens_details":{"thinking_tokens":30}})"));
    // DeepSeek's words.
    CHECK(usage(R"({"prompt_tokens":100,"completion_tokens":5,"total_tokens":105,)"
                R"("prompt_cache_hit_tokens":64,"prompt_cache_miss_tokens":36})")["input_tokens"] ==
          36);
    // Thoughts that only the total has (metering-and-gateways 3.1, Gemini's face).
    const json total = usage(R"({"prompt_tokens":10,"completion_tokens":5,"total_tokens":45})");
    CHECK(total["output_tokens"] == 35);
    CHECK(total["output_tokens_details"]["thinking_tokens"] == 30);
    // Parts that exceed their whole take nothing below zero.
    const json odd =
        usage(R"({"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,)"
              R"("prompt_tokens_details":{"cached_tokens":99,"cache_write_tokens":7}})");
    CHECK(odd["input_tokens"] == 0);
    CHECK(odd["cache_read_input_tokens"] == 10);
    CHECK(odd["cache_creation_input_tokens"] == 0);
    // Not told is not zero.
    CHECK(usage("null") == json::parse(R"({"input_tokens":null,"output_tokens":null})"));
    CHECK(usage(R"({"prompt_tokens":0,"completion_tokens":0,"total_tokens":0})")["output_tokens"] ==
          0);
}

TEST_CASE("completion to message: what is no completion is none") {
    for (const std::string body : {"", "{}", R"({"choices":[]})", R"({"choices":[{"index":0}]})",
                                   R"({"choices":[{"message":{"tool_calls":[{"id":"a"}]}}]})",
                                   R"({"error":{"message":"no"}})"}) {
        CAPTURE(body);
        CHECK_FALSE(completion_to_message(body, {.input_tokens_estimate = 0}).has_value());
    }
}

TEST_CASE("errors: Anthropic's, as an OpenAI client knows them") {
    const auto translated = [](int status, const std::string& type, const std::string& message) {
        return error_to_chat(status, R"({"type":"error","error":{"type":")" + type +
                                         R"(","message":")" + message +
                                         R"("},"request_id":"req_1"})");
    };
    const auto overloaded = translated(529, "overloaded_error", "Overloaded");
    CHECK(overloaded.status == 503);
    CHECK(json::parse(overloaded.body) ==
          json::parse(R"({"error":{"message":"Overloaded","type":"server_error","param":null,
                                   "code":"overloaded"}})"));
    const auto limited = translated(429, "rate_limit_error", "slow down");
    CHECK(limited.status == 429);
    CHECK(json::parse(limited.body)["error"]["type"] == "rate_limit_error");
    CHECK(json::parse(limited.body)["error"]["code"] == "rate_limit_exceeded");
    CHECK(json::parse(translated(401, "authentication_error", "x").body)["error"]["code"] ==
          "invalid_api_key");
    const auto bad = translated(400, "invalid_request_error", "messages: roles must alternate");
    CHECK(bad.status == 400);
    CHECK(json::parse(bad.body)["error"]["type"] == "invalid_request_error");
    // By this code clients know that they have to shorten what they ask.
    CHECK(json::parse(translated(400, "invalid_request_error",
                                 "prompt is too long: 210000 tokens > 200000 maximum")
                          .body)["error"]["code"] == "context_length_exceeded");
    CHECK(json::parse(error_to_chat(502, "<html>").body)["error"]["type"] == "server_error");
}

TEST_CASE("errors: OpenAI's, as an Anthropic client knows them") {
    for (const auto& [status, type] :
         std::vector<std::pair<int, std::string>>{{400, "invalid_request_error"},
                                                  {401, "authentication_error"},
                                                  {402, "billing_error"},
                                                  {403, "permission_error"},
                                                  {404, "not_found_error"},
                                                  {413, "request_too_large"},
                                                  {422, "invalid_request_error"},
                                                  {429, "rate_limit_error"},
                                                  {500, "api_error"},
                                                  {502, "api_error"},
                                                  {504, "timeout_error"}}) {
        CAPTURE(status);
        const auto error = error_to_message(
            status, R"({"error":{"message":"why","type":"x","param":null,"code":null}})");
        CHECK(error.status == status);
        CHECK(json::parse(error.body) ==
              json{{"type", "error"}, {"error", {{"type", type}, {"message", "why"}}}});
    }
    const auto overloaded = error_to_message(503, "");
    CHECK(overloaded.status == 529);
    CHECK(json::parse(overloaded.body)["error"]["type"] == "overloaded_error");
    CHECK(json::parse(message_error_json("billing_error", "pay", "req_1")) ==
          json::parse(R"({"type":"error","error":{"type":"billing_error","message":"pay"},
                          "request_id":"req_1"})"));
}
