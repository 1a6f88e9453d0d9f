// What an OpenAI client asks, as Anthropic's reference has it: expectations written by hand from
// the two references, never by the translator.
#include "dialects/chat_to_messages.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <string>

using namespace nutgate::proxy;
using nlohmann::json;

namespace {

constexpr const char* kHello = R"([{"role":"user","content":"Hello"}])";

// A request with the fields that every one has.
std::string ask(const std::string& more, const std::string& messages = kHello) {
    return R"({"model":"claude","max_tokens":4096,"messages":)" + messages +
           (more.empty() ? "" : "," + more) + "}";
}

json translate(const std::string& body, ChatToMessages options = {}) {
    const auto asked = chat_to_messages(body, options);
    if (!asked) FAIL(asked.error().message);
    return json::parse(asked->body);
}

std::string refusal(const std::string& body) {
    const auto asked = chat_to_messages(body, {});
    REQUIRE_FALSE(asked.has_value());
    CHECK(asked.error().status == 400);
    CHECK(asked.error().type == "invalid_request_error");
    CHECK_FALSE(asked.error().message.empty());
    return asked.error().code + ' ' + asked.error().param.value_or("-");
}

}  // namespace

TEST_CASE("chat to messages: text goes as text, and nothing else is added") {
    CHECK(translate(ask("")) == json::parse(R"({"model":"claude","max_tokens":4096,"messages":[
        {"role":"user","content":[{"type":"text","text":"Hello"}]}]})"));
}

TEST_CASE("chat to messages: what system and developer say goes to the front, in order") {
    const json body = translate(ask("", R"([
        {"role":"system","content":"Be brief."},
        {"role":"user","content":"Hi"},
        {"role":"assistant","content":"Hello."},
        {"role":"developer","content":[{"type":"text","text":"Speak French."}]},
        {"role":"user","content":"Again?"}])"));
    CHECK(body["system"] == json::parse(R"([{"type":"text","text":"Be brief."},
                                            {"type":"text","text":"Speak French."}])"));
    CHECK(body["messages"] == json::parse(R"([
        {"role":"user","content":[{"type":"text","text":"Hi"}]},
        {"role":"assistant","content":[{"type":"text","text":"Hello."}]},
        {"role":"user","content":[{"type":"text","text":"Again?"}]}])"));
}

TEST_CASE(
    "chat to messages: results of parallel calls stand together in the turn after the calls") {
    const json body = translate(ask("", R"([
        {"role":"user","content":"Weather in Paris and Rome?"},
        {"role":"assistant","content":null,"tool_calls":[
            {"id":"call_1","type":"function","function":{"name":"weather","arguments":"{\"city\":\"Paris\"}"}},
            {"id":"call_2","type":"function","function":{"name":"weather","arguments":"{\"city\":\"Rome\"}"}}]},
        {"role":"tool","tool_call_id":"call_1","content":"18 degrees"},
        {"role":"tool","tool_call_id":"call_2","content":[{"type":"text","text":"25 degrees"}]},
        {"role":"user","content":"So?"}])"));
    CHECK(body["messages"] == json::parse(R"([
        {"role":"user","content":[{"type":"text","text":"Weather in Paris and Rome?"}]},
        {"role":"assistant","content":[
            {"type":"tool_use","id":"call_1","name":"weather","input":{"city":"Paris"}},
            {"type":"tool_use","id":"call_2","name":"weather","input":{"city":"Rome"}}]},
        {"role":"user","content":[
            {"type":"tool_result","tool_use_id":"call_1","content":[{"type":"text","text":"18 degrees"}]},
            {"type":"tool_result","tool_use_id":"call_2","content":[{"type":"text","text":"25 degrees"}]},
            {"type":"text","text":"So?"}]}])"));
}

TEST_CASE("chat to messages: no number changes on its way") {
    const auto asked = chat_to_messages(
        ask(R"("temperature":0.30000000000000004,"top_p":1e-05,"tools":[{"type":"function",)"
            R"("function":{"name":"f","parameters":{"type":"object","maximum":123456789012345678901234567890}}}])",
            R"([{"role":"user","content":"x"},{"role":"assistant","tool_calls":[{"id":"a",)"
            R"("type":"function","function":{"name":"f","arguments":"{\"n\": 12345678901234567890123, \"x\": 1.10}"}}]},)"
            R"({"role":"tool","tool_call_id":"a","content":"ok"}])"),
        {});
    REQUIRE(asked.has_value());
    CHECK(asked->body.find(R"("temperature":0.30000000000000004)") != std::string::npos);
    CHECK(asked->body.find(R"("top_p":1e-05)") != std::string::npos);
    CHECK(asked->body.find(R"("maximum":123456789012345678901234567890)") != std::string::npos);
    CHECK(asked->body.find(R"({"n": 12345678901234567890123, "x": 1.10})") != std::string::npos);
}

TEST_CASE("chat to messages: images in the request and by URL") {
    const json body = translate(ask("", R"([{"role":"user","content":[
        {"type":"text","text":"What is it?"},
        {"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgo=","detail":"high"}},
        {"type":"image_url","image_url":"data:image\/jpeg;base64,\/9j\/4AAQ"},
        {"type":"image_url","image_url":{"url":"https://example.com/a.webp"}}]}])"));
    CHECK(body["messages"][0]["content"] == json::parse(R"([
        {"type":"text","text":"What is it?"},
        {"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBORw0KGgo="}},
        {"type":"image","source":{"type":"base64","media_type":"image/jpeg","data":"/9j/4AAQ"}},
        {"type":"image","source":{"type":"url","url":"https://example.com/a.webp"}}])"));
    for (const std::string url :
         {"data:image/svg+xml;base64,PHN2Zz4=", "data:image/png,raw",
          "data:image/png;base64,a b c!", "data:image/png;base64,", "file:///etc/passwd", ""}) {
        CAPTURE(url);
        CHECK(refusal(
                  ask("", R"([{"role":"user","content":[{"type":"image_url","image_url":{"url":")" +
                              url + R"("}}]}])")) == "invalid_value image_url");
    }
}

TEST_CASE("chat to messages: tools, and how they are to be used") {
    const std::string tools =
        R"("tools":[{"type":"function","function":{"name":"get_time","description":"Tells the time",)"
        R"("parameters":{"type":"object","properties":{"zone":{"type":"string"}}},"strict":true}},)"
        R"({"type":"function","function":{"name":"ping"}}])";
    const json body = translate(ask(tools));
    CHECK(body["tools"] == json::parse(R"([
        {"name":"get_time","description":"Tells the time","strict":true,
         "input_schema":{"type":"object","properties":{"zone":{"type":"string"}}}},
        {"name":"ping","input_schema":{"type":"object","properties":{}}}])"));
    CHECK_FALSE(body.contains("tool_choice"));

    const auto choice = [&](const std::string& more) {
        return translate(ask(tools + "," + more))["tool_choice"];
    };
    CHECK(choice(R"("tool_choice":"auto")") == json::parse(R"({"type":"auto"})"));
    CHECK(choice(R"("tool_choice":"none")") == json::parse(R"({"type":"none"})"));
    CHECK(choice(R"("tool_choice":"required")") == json::parse(R"({"type":"any"})"));
    CHECK(choice(R"("tool_choice":{"type":"function","function":{"name":"ping"}})") ==
          json::parse(R"({"type":"tool","name":"ping"})"));
    CHECK(choice(R"("parallel_tool_calls":false)") ==
          json::parse(R"({"type":"auto","disable_parallel_tool_use":true})"));
    CHECK(choice(R"("tool_choice":"required","parallel_tool_calls":false)") ==
          json::parse(R"({"type":"any","disable_parallel_tool_use":true})"));

    CHECK_FALSE(translate(ask(R"("tool_choice":"auto","parallel_tool_calls":false)"))
                    .contains("tool_choice"));
    CHECK(refusal(ask(R"("tool_choice":"required")")) == "invalid_value tool_choice");
    CHECK(refusal(ask(tools + R"(,"tool_choice":{"type":"allowed_tools","allowed_tools":{}})")) ==
          "unsupported_parameter tool_choice");
    CHECK(refusal(ask(R"("tools":[{"type":"custom","custom":{"name":"x"}}])")) ==
          "unsupported_parameter tools");
}

TEST_CASE("chat to messages: the ids of others' calls stay apart and equal") {
    CHECK(translate(ask("", R"([{"role":"user","content":"x"},{"role":"assistant","tool_calls":[
        {"id":"functions.get:0","type":"function","function":{"name":"f","arguments":""}},
        {"id":"functions_get_0","type":"function","function":{"name":"f","arguments":"{}"}}]},
        {"role":"tool","tool_call_id":"functions.get:0","content":"1"},
        {"role":"tool","tool_call_id":"functions_get_0","content":"2"}])"))["messages"]
              .dump()
              .find("functions.get:0") == std::string::npos);
    const json turns =
        translate(ask("", R"([{"role":"user","content":"x"},{"role":"assistant","tool_calls":[
        {"id":"a:b","type":"function","function":{"name":"f","arguments":""}},
        {"id":"a_b","type":"function","function":{"name":"f","arguments":"{}"}}]},
        {"role":"tool","tool_call_id":"a:b","content":"1"}])"))["messages"];
    CHECK(turns[1]["content"][0]["id"] != turns[1]["content"][1]["id"]);
    CHECK(turns[1]["content"][0]["id"] == turns[2]["content"][0]["tool_use_id"]);
    CHECK(turns[1]["content"][0]["input"] == json::object());
}

TEST_CASE("chat to messages: sampling is kept within Anthropic's scale") {
    const auto temperature = [](const std::string& value) {
        return translate(ask("\"temperature\":" + value))["temperature"].dump();
    };
    CHECK(temperature("0") == "0");
    CHECK(temperature("0.7") == "0.7");
    CHECK(temperature("1.0") == "1.0");
    CHECK(temperature("1.5") == "1");
    CHECK(temperature("2") == "1");
    CHECK(temperature("1.0000001") == "1");
    CHECK(refusal(ask(R"("temperature":-0.5)")) == "invalid_value temperature");
    CHECK(refusal(ask(R"("temperature":"hot")")) == "invalid_value temperature");
    CHECK(refusal(ask(R"("temperature":25e-1)")) == "invalid_value temperature");
    CHECK(translate(ask(R"("top_k":40,"temperature":null)"))["top_k"] == 40);
}

TEST_CASE("chat to messages: stop, structured output, user and stream") {
    CHECK(translate(ask(R"("stop":"END")"))["stop_sequences"] == json::parse(R"(["END"])"));
    CHECK(translate(ask(R"("stop":["a","b"])"))["stop_sequences"] == json::parse(R"(["a","b"])"));
    CHECK_FALSE(translate(ask(R"("stop":null)")).contains("stop_sequences"));
    CHECK(refusal(ask(R"("stop":"\n")")) == "unsupported_parameter stop");
    CHECK(refusal(ask(R"("stop":5)")) == "invalid_value stop");

    CHECK(translate(ask(R"("response_format":{"type":"json_schema","json_schema":{"name":"x",)"
                        R"("strict":true,"schema":{"type":"object"}}})"))["output_config"] ==
          json::parse(R"({"format":{"type":"json_schema","schema":{"type":"object"}}})"));
    CHECK_FALSE(translate(ask(R"("response_format":{"type":"text"})")).contains("output_config"));
    CHECK(refusal(ask(R"("response_format":{"type":"json_object"})")) ==
          "unsupported_parameter response_format");

    CHECK(translate(ask(R"("user":"u-1")"))["metadata"] == json::parse(R"({"user_id":"u-1"})"));

    const auto plain = chat_to_messages(ask(""), {});
    CHECK_FALSE(plain->stream);
    const auto stream =
        chat_to_messages(ask(R"("stream":true,"stream_options":{"include_usage":true})"), {});
    CHECK(stream->stream);
    CHECK(stream->usage_asked);
    CHECK(json::parse(stream->body)["stream"] == true);
    CHECK_FALSE(json::parse(stream->body).contains("stream_options"));
    CHECK_FALSE(chat_to_messages(ask(R"("stream":true)"), {})->usage_asked);
}

TEST_CASE("chat to messages: there is always a limit, and of two the lower one") {
    const std::string messages = std::string{R"("messages":)"} + kHello;
    const auto limit = [&](const std::string& more, ChatToMessages options = {}) {
        return translate("{\"model\":\"m\"," + messages + more + "}", options)["max_tokens"];
    };
    CHECK(limit(R"(,"max_completion_tokens":7)") == 7);
    CHECK(limit(R"(,"max_completion_tokens":7,"max_tokens":9)") == 7);
    CHECK(limit(R"(,"max_completion_tokens":null,"max_tokens":9)") == 9);
    CHECK(limit("", {.max_tokens = 55}) == 55);
    CHECK(limit(R"(,"max_tokens":3)", {.max_tokens = 55}) == 3);
    CHECK(refusal("{\"model\":\"m\"," + messages + "}") == "invalid_value max_tokens");
    for (const std::string bad : {"0", "-1", "1.5", "\"9\"", "1e3", "99999999999999999999"}) {
        CAPTURE(bad);
        CHECK(refusal("{\"model\":\"m\"," + messages + ",\"max_tokens\":" + bad + "}") ==
              "invalid_value max_tokens");
    }
}

TEST_CASE("chat to messages: effort becomes a share of the room, where there is room") {
    const auto thinking = [](const std::string& effort, const std::string& limit) {
        const json body = translate(R"({"model":"m","messages":)" + std::string{kHello} +
                                    R"(,"temperature":0.2,"max_tokens":)" + limit +
                                    R"(,"reasoning_effort":")" + effort + "\"}");
        CHECK(body.contains("temperature") ==
              (body.value("thinking", json::object()).value("type", "") != "enabled"));
        return body.value("thinking", json{});
    };
    CHECK(thinking("high", "10000") == json::parse(R"({"type":"enabled","budget_tokens":8000})"));
    CHECK(thinking("medium", "10000") == json::parse(R"({"type":"enabled","budget_tokens":5000})"));
    CHECK(thinking("low", "10000") == json::parse(R"({"type":"enabled","budget_tokens":2000})"));
    // Anthropic's least is 1024, below max_tokens.
    CHECK(thinking("minimal", "2000") == json::parse(R"({"type":"enabled","budget_tokens":1024})"));
    CHECK(thinking("high", "1024").is_null());
    CHECK(thinking("none", "10000") == json::parse(R"({"type":"disabled"})"));
    CHECK(refusal(ask(R"("reasoning_effort":"huge")")) == "invalid_value reasoning_effort");

    const json adaptive =
        translate(ask(R"("reasoning_effort":"high")"), {.thinking = ThinkingStyle::Adaptive});
    CHECK(adaptive["thinking"] == json::parse(R"({"type":"adaptive"})"));
    CHECK(adaptive["output_config"] == json::parse(R"({"effort":"high"})"));

    CHECK(translate(ask(R"("reasoning":{"effort":"low"})"))["thinking"]["budget_tokens"] == 1024);
    CHECK(translate(ask(R"("reasoning":{"enabled":false})"))["thinking"]["type"] == "disabled");
    // Anthropic's own words pass as they are.
    CHECK(translate(ask(R"("thinking":{"type":"enabled","budget_tokens":2000})"))["thinking"] ==
          json::parse(R"({"type":"enabled","budget_tokens":2000})"));
}

TEST_CASE("chat to messages: nobody thinks where Anthropic would refuse it") {
    const std::string tool = R"("tools":[{"type":"function","function":{"name":"f"}}])";
    CHECK_FALSE(translate(ask(tool + R"(,"tool_choice":"required","reasoning_effort":"high")"))
                    .contains("thinking"));
    const auto loop = [&](const std::string& thoughts) {
        return translate(ask(tool + R"(,"reasoning_effort":"high")",
                             R"([{"role":"user","content":"x"},{"role":"assistant",)" + thoughts +
                                 R"("tool_calls":[{"id":"a","type":"function","function":)"
                                 R"({"name":"f","arguments":"{}"}}]},)"
                                 R"({"role":"tool","tool_call_id":"a","content":"1"}])"));
    };
    CHECK_FALSE(loop("").contains("thinking"));
    // With the signed thoughts of the call it goes on thinking, and they stand before the call.
    const json kept =
        loop(R"("reasoning_content":"Hm.","thinking_blocks":[{"type":"thinking","thinking":"Hm.",)"
             R"("signature":"c2ln"},{"type":"redacted_thinking","data":"ZGF0YQ=="}],)");
    CHECK(kept["thinking"]["type"] == "enabled");
    CHECK(kept["messages"][1]["content"] == json::parse(R"([
        {"type":"thinking","thinking":"Hm.","signature":"c2ln"},
        {"type":"redacted_thinking","data":"ZGF0YQ=="},
        {"type":"tool_use","id":"a","name":"f","input":{}}])"));
    // Without a signature nobody would believe them.
    CHECK_FALSE(loop(R"("thinking_blocks":[{"type":"thinking","thinking":"Hm.","signature":""}],)")
                    .contains("thinking"));
}

TEST_CASE("chat to messages: what can't be carried is refused by its name") {
    for (const auto& [more, code] : std::vector<std::pair<std::string, std::string>>{
             {R"("n":2)", "unsupported_parameter n"},
             {R"("logprobs":true)", "unsupported_parameter logprobs"},
             {R"("logit_bias":{"50256":-100})", "unsupported_parameter logit_bias"},
             {R"("audio":{"voice":"alloy","format":"wav"})", "unsupported_parameter audio"},
             {R"("modalities":["text","audio"])", "unsupported_parameter modalities"},
             {R"("presence_penalty":0.5)", "unsupported_parameter presence_penalty"},
             {R"("frequency_penalty":0.5)", "unsupported_parameter frequency_penalty"},
             {R"("functions":[{"name":"f"}])", "unsupported_parameter functions"},
             {R"("prediction":{"type":"content","content":"x"})",
              "unsupported_parameter prediction"},
             {R"("web_search_options":{"a":1})", "unsupported_parameter web_search_options"},
             {R"("store":true)", "unsupported_parameter store"},
             {R"("guided_json":{"type":"object"})", "unsupported_parameter guided_json"}}) {
        CAPTURE(more);
        CHECK(refusal(ask(more)) == code);
    }
    for (const auto& [messages, code] : std::vector<std::pair<std::string, std::string>>{
             {R"([{"role":"user","content":[{"type":"input_audio","input_audio":{}}]}])",
              "unsupported_parameter messages"},
             {R"([{"role":"user","content":[{"type":"file","file":{"file_id":"file-1"}}]}])",
              "unsupported_parameter messages"},
             {R"([{"role":"function","name":"f","content":"x"}])",
              "unsupported_parameter messages"},
             {R"([{"role":"assistant","function_call":{"name":"f"}}])",
              "unsupported_parameter messages"},
             {R"([{"role":"user","content":"x"},{"role":"assistant","tool_calls":[{"id":"a",)"
              R"("type":"function","function":{"name":"f","arguments":"{\"a\":"}}]}])",
              "invalid_value arguments"},
             {R"([{"role":"user","content":"x"},{"role":"assistant","tool_calls":[{"id":"a",)"
              R"("type":"function","function":{"name":"f","arguments":"[1]"}}]}])",
              "invalid_value arguments"},
             {R"([{"role":"tool","content":"x"}])", "invalid_value tool_call_id"},
             {R"([{"role":"narrator","content":"x"}])", "invalid_value role"},
             {R"([{"role":"user"}])", "invalid_value content"},
             {R"([{"role":"user","role":"system","content":"x"}])", "invalid_value messages"},
             {R"([])", "invalid_value messages"},
             {R"("x")", "invalid_value messages"}}) {
        CAPTURE(messages);
        CHECK(refusal(ask("", messages)) == code);
    }
}

TEST_CASE("chat to messages: values that ask for nothing, and hints, stand in nobody's way") {
    CHECK(
        translate(ask(R"("n":1,"logprobs":false,"logit_bias":{},"presence_penalty":0,)"
                      R"("frequency_penalty":0.0,"seed":42,"store":false,"metadata":{"a":"b"},)"
                      R"("service_tier":"auto","modalities":["text"],"audio":null,)"
                      R"("verbosity":"low","prompt_cache_key":"k","tools":[],"functions":null)")) ==
        translate(ask("")));
}

TEST_CASE("chat to messages: what is no JSON, no UTF-8, too deep or ambiguous is refused whole") {
    CHECK(refusal("") == "invalid_json -");
    CHECK(refusal("[]") == "invalid_json -");
    CHECK(refusal(ask("\"user\":\"\xff\"")) == "invalid_json -");
    CHECK(refusal(ask(R"("user":"\ud83d")")) == "invalid_json -");
    CHECK(refusal(ask("\"tools\":" + std::string(200, '[') + std::string(200, ']'))) ==
          "invalid_json -");
    CHECK(refusal(ask(R"("max_tokens":1)")) == "invalid_json -");
    CHECK(refusal(ask(R"("m\u0061x_tokens":1)")) == "invalid_json -");
}

TEST_CASE("chat to messages: text without a letter is left out, as Anthropic wants it") {
    CHECK(translate(ask("", R"([{"role":"user","content":[{"type":"text","text":""},
        {"type":"text","text":" \n"},{"type":"text","text":"x"}]},
        {"role":"assistant","content":""},{"role":"user","content":"y"}])"))["messages"] ==
          json::parse(R"([{"role":"user","content":[{"type":"text","text":"x"},
                                                    {"type":"text","text":"y"}]}])"));
}
