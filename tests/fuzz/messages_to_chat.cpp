#include "dialects/messages_to_chat.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <string>
#include <string_view>

#include "dialects/raw_json.h"
#include "nutgate/base/verify.h"
#include "proxy/chat_request.h"

// What is taken becomes a chat request that our own strict parser takes, with usage asked for in
// every stream and roles that OpenAI knows.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace nutgate::proxy;
    using nlohmann::json;
    const std::string_view body{reinterpret_cast<const char*>(data), size};
    const auto asked = messages_to_chat(body, {.limit_field = LimitField::MaxCompletionTokens});
    if (!asked) {
        VERIFY(asked.error().status == 400 && !asked.error().message.empty());
        return 0;
    }
    const json request = json::parse(asked->body, nullptr, false);
    if (request.is_discarded()) return 0;  // A number beyond that parser's range.
    VERIFY(request.at("max_completion_tokens").get<std::int64_t>() >= 1);
    VERIFY(request.value("stream", false) == asked->stream);
    VERIFY(request.contains("stream_options") == asked->stream);
    VERIFY(!request.at("messages").empty());
    for (const json& message : request["messages"]) {
        const std::string role = message.at("role");
        VERIFY(role == "system" || role == "user" || role == "assistant" || role == "tool");
        VERIFY(message.contains("content"));
        VERIFY((role == "tool") == message.contains("tool_call_id"));
    }
    // What was as deep as we read is one deeper where OpenAI wraps it.
    if (!RawJson::parse(asked->body)) return 0;
    VERIFY(parse_chat_request(asked->body).has_value() || request["model"] == "");
    return 0;
}
