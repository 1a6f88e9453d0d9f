// What an Anthropic client asks, as OpenAI's reference has it, by hand from the two references.
#include "dialects/messages_to_chat.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <string>
#include <utility>
#include <vector>

using namespace nutgate::proxy;
using nlohmann::json;

namespace {

constexpr const char* kHello = R"([{"role":"user","content":"Hello, Claude"}])";

std::string ask(const std::string& more, const std::string& messages = kHello) {
    return R"({"model":"m","max_tokens":1024,"messages":)" + messages +
           (more.empty() ? "" : "," + more) + "}";
}

json translate(const std::string& body, MessagesToChat options = {}) {
    const auto asked = messages_to_chat(body, options);
    if (!asked) FAIL(asked.error().message);
    return json::parse(asked->body);
}

std::string refusal(const std::string& body) {
    const auto asked = messages_to_chat(body, {});
    REQUIRE_FALSE(asked.has_value());
    CHECK(asked.error().status == 400);
    CHECK_FALSE(asked.error().message.empty());
    return asked.error().code + ' ' + asked.error().param.value_or("-");
}

}  // namespace

TEST_CASE("messages to chat: text goes as text, and nothing else is added") {
    CHECK(translate(ask("")) == json::parse(R"({"model":"m","max_tokens":1024,"messages":[
        {"role":"user","content":"Hello, Claude"}]})"));
    CHECK(translate(ask(""), {.limit_field = LimitField::MaxCompletionTokens}) ==
          json::parse(R"({"model":"m","max_completion_tokens":1024,"messages":[
        {"role":"user","content":"Hello, Claude"}]})"));
}

TEST_CASE("messages to chat: system is one message at the front, without its cache marks") {
    CHECK(translate(ask(R"("system":"Be brief.")"))["messages"][0] ==
          json::parse(R"({"role":"system","content":"Be brief."})"));
    const json body = translate(ask(R"("system":[{"type":"text","text":"One."},
        {"type":"text","text":"Two.","cache_control":{"type":"ephemeral"}}])",
                                    R"([{"role":"user","content":[{"type":"text","text":"Hi",
        "cache_control":{"type":"ephemeral","ttl":"1h"}}]}])"));
    CHECK(body["messages"] == json::parse(R"([{"role":"system","content":"One.\n\nTwo."},
                                              {"role":"user","content":"Hi"}])"));
    CHECK(body.dump().find("cache_control") == std::string::npos);
}

TEST_CASE("messages to chat: calls, and their results before whatever else the turn says") {
    const json body = translate(ask("", R"([
        {"role":"user","content":"What is the weather?"},
        {"role":"assistant","content":[
            {"type":"thinking","thinking":"Let me see.","signature":"c2ln"},
            {"type":"redacted_thinking","data":"eA=="},
            {"type":"text","text":"I'll look."},
            {"type":"tool_use","id":"toolu_1","name":"get_weather","input":{"location": "Paris", "n": 1.10}},
            {"type":"tool_use","id":"toolu_2","name":"get_time","input":{}}]},
        {"role":"user","content":[
            {"type":"text","text":"Be quick."},
            {"type":"tool_result","tool_use_id":"toolu_1","content":"18 degrees"},
            {"type":"tool_result","tool_use_id":"toolu_2","is_error":true,
             "content":[{"type":"text","text":"no"},{"type":"text","text":"clock"}]}]}])"));
    CHECK(body["messages"] == json::parse(R"([
        {"role":"user","content":"What is the weather?"},
        {"role":"assistant","content":"I'll look.","tool_calls":[
            {"id":"toolu_1","type":"function","function":{"name":"get_weather","arguments":"{\"location\": \"Paris\", \"n\": 1.10}"}},
            {"id":"toolu_2","type":"function","function":{"name":"get_time","arguments":"{}"}}]},
        {"role":"tool","tool_call_id":"toolu_1","content":"18 degrees"},
        {"role":"tool","tool_call_id":"toolu_2","content":"no\nclock"},
        {"role":"user","content":"Be quick."}])"));
}

TEST_CASE(
    "messages to chat: a turn of calls alone has no text, and one of thoughts alone is gone") {
    const json body = translate(ask("", R"([
        {"role":"user","content":"x"},
        {"role":"assistant","content":[{"type":"thinking","thinking":"Hm.","signature":"s"}]},
        {"role":"assistant","content":[{"type":"tool_use","id":"t","name":"f","input":{}}]},
        {"role":"user","content":[{"type":"tool_result","tool_use_id":"t"}]}])"));
    CHECK(body["messages"].size() == 3);
    CHECK(body["messages"][1]["content"].is_null());
    CHECK(body["messages"][2] == json::parse(R"({"role":"tool","tool_call_id":"t","content":""})"));
}

TEST_CASE("messages to chat: images, and those that a tool shows, shown after its result") {
    const json body = translate(ask("", R"([{"role":"user","content":[
        {"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBORw0KGgo="}},
        {"type":"image","source":{"type":"url","url":"https://example.com/a.png"}},
        {"type":"text","text":"Compare."}]}])"));
    CHECK(body["messages"][0]["content"] == json::parse(R"([
        {"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgo="}},
        {"type":"image_url","image_url":{"url":"https://example.com/a.png"}},
        {"type":"text","text":"Compare."}])"));

    const json shown = translate(ask("", R"([{"role":"user","content":"x"},
        {"role":"assistant","content":[{"type":"tool_use","id":"t","name":"f","input":{}}]},
        {"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":[
            {"type":"text","text":"a screen"},
            {"type":"image","source":{"type":"base64","media_type":"image/webp","data":"UklGRg=="}}]}]}])"));
    CHECK(shown["messages"][2]["content"] == "a screen");
    CHECK(shown["messages"][3] == json::parse(R"({"role":"user","content":[
        {"type":"image_url","image_url":{"url":"data:image/webp;base64,UklGRg=="}}]})"));
}

TEST_CASE("messages to chat: tools, and how they are to be used") {
    const std::string tools =
        R"("tools":[{"name":"f","description":"does","input_schema":{"type":"object"},)"
        R"("cache_control":{"type":"ephemeral"}},{"type":"custom","name":"g","input_schema":{}}])";
    CHECK(translate(ask(tools))["tools"] == json::parse(R"([
        {"type":"function","function":{"name":"f","description":"does","parameters":{"type":"object"}}},
        {"type":"function","function":{"name":"g","parameters":{}}}])"));
    const auto with = [&](const std::string& choice) {
        return translate(ask(tools + R"(,"tool_choice":)" + choice));
    };
    CHECK(with(R"({"type":"auto"})")["tool_choice"] == "auto");
    CHECK(with(R"({"type":"any"})")["tool_choice"] == "required");
    CHECK(with(R"({"type":"none"})")["tool_choice"] == "none");
    CHECK(with(R"({"type":"tool","name":"f"})")["tool_choice"] ==
          json::parse(R"({"type":"function","function":{"name":"f"}})"));
    CHECK(with(R"({"type":"any","disable_parallel_tool_use":true})")["parallel_tool_calls"] ==
          false);
    CHECK_FALSE(with(R"({"type":"auto"})").contains("parallel_tool_calls"));
    CHECK(refusal(ask(R"("tools":[{"type":"web_search_20250305","name":"web_search"}])")) ==
          "unsupported_parameter tools");
    CHECK(refusal(ask(R"("tools":[{"name":"f"}])")) == "invalid_value tools");
    CHECK(refusal(ask(tools + R"(,"tool_choice":"auto")")) == "invalid_value tool_choice");
}

TEST_CASE("messages to chat: sampling, stops, user, format and stream") {
    const auto asked = messages_to_chat(
        ask(R"("temperature":0.70,"top_p":0.9,"top_k":5,"stop_sequences":["\n\nHuman:"],)"
            R"("metadata":{"user_id":"u-1"},"stream":true)"),
        {});
    REQUIRE(asked.has_value());
    CHECK(asked->stream);
    CHECK(asked->body.find(R"("temperature":0.70)") != std::string::npos);
    const json body = json::parse(asked->body);
    CHECK(body["stop"] == json::parse(R"(["\n\nHuman:"])"));
    CHECK(body["user"] == "u-1");
    CHECK(body["top_k"] == 5);
    CHECK(body["stream"] == true);
    // What is metered is what the upstream says.
    CHECK(body["stream_options"] == json::parse(R"({"include_usage":true})"));
    CHECK_FALSE(translate(ask("")).contains("stream_options"));

    // OpenAI takes 64 letters: a longer name is told by its SHA-256 (this one of 65 times 'a').
    CHECK(translate(ask(R"("metadata":{"user_id":")" + std::string(65, 'a') + "\"}"))["user"] ==
          "635361c48bb9eab14198e76ea8ab7f1a41685d6ad62aa9146d301d4f17eb0ae0");

    CHECK(translate(ask(
              R"("output_config":{"format":{"type":"json_schema","schema":{"type":"object"}}})"))
              ["response_format"] ==
          json::parse(R"({"type":"json_schema","json_schema":{"name":"answer","strict":true,
                          "schema":{"type":"object"}}})"));
}

TEST_CASE("messages to chat: thinking is a wish, told by its share of the room") {
    const auto effort = [](const std::string& thinking) {
        return translate(R"({"model":"m","max_tokens":10000,"messages":)" + std::string{kHello} +
                         "," + thinking + "}")
            .value("reasoning_effort", "absent");
    };
    CHECK(effort(R"("thinking":{"type":"enabled","budget_tokens":9999})") == "high");
    CHECK(effort(R"("thinking":{"type":"enabled","budget_tokens":5000})") == "medium");
    CHECK(effort(R"("thinking":{"type":"enabled","budget_tokens":1024})") == "low");
    CHECK(effort(R"("thinking":{"type":"disabled"})") == "absent");
    CHECK(effort(R"("thinking":{"type":"adaptive"},"output_config":{"effort":"low"})") == "low");
    CHECK(effort(R"("thinking":{"type":"adaptive"},"output_config":{"effort":"max"})") == "high");
    CHECK(effort(R"("thinking":{"type":"adaptive"})") == "medium");
    CHECK(refusal(ask(R"("thinking":{"type":"enabled"})")) == "invalid_value thinking");
}

TEST_CASE("messages to chat: what only Anthropic can do is refused by its name") {
    for (const auto& [more, code] : std::vector<std::pair<std::string, std::string>>{
             {R"("mcp_servers":[{"type":"url"}])", "unsupported_parameter mcp_servers"},
             {R"("container":"container_1")", "unsupported_parameter container"},
             {R"("speed":"fast")", "unsupported_parameter speed"},
             {R"("inference_geo":"us")", "unsupported_parameter inference_geo"}}) {
        CAPTURE(more);
        CHECK(refusal(ask(more)) == code);
    }
    for (
        const auto& [messages, code] : std::vector<std::pair<std::string, std::string>>{
            {R"([{"role":"user","content":[{"type":"document","source":{}}]}])",
             "unsupported_parameter messages"},
            {R"([{"role":"user","content":[{"type":"image","source":{"type":"file","file_id":"f"}}]}])",
             "unsupported_parameter source"},
            {R"([{"role":"user","content":"Sun in Greek?"},{"role":"assistant","content":"It is ("}])",
             "unsupported_parameter messages"},
            {R"([{"role":"tool","content":"x"}])", "invalid_value role"},
            {R"([{"role":"user","content":[{"type":"tool_result","content":"x"}]}])",
             "invalid_value tool_use_id"},
            {R"([{"role":"user","content":7}])", "invalid_value content"},
            {R"([])", "invalid_value messages"}}) {
        CAPTURE(messages);
        CHECK(refusal(ask("", messages)) == code);
    }
    CHECK(refusal(R"({"model":"m","messages":[{"role":"user","content":"x"}]})") ==
          "invalid_value max_tokens");
    CHECK(refusal("{") == "invalid_json -");
    CHECK(refusal(ask("\"system\":\"\xc3\"")) == "invalid_json -");
}

TEST_CASE("messages to chat: hints to Anthropic's servers are left out") {
    CHECK(translate(ask(R"("cache_control":{"type":"ephemeral"},"service_tier":"auto",)"
                        R"("context_management":{"edits":[]},"diagnostics":null,"container":null,)"
                        R"("speed":"standard","stream":false,"stop_sequences":[],"tools":[])")) ==
          translate(ask("")));
}
