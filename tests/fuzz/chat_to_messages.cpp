#include "dialects/chat_to_messages.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <string>
#include <string_view>

#include "nutgate/base/verify.h"

namespace {

// What Anthropic's reference demands of content: blocks of a known type, none of them empty.
void check_content(const nlohmann::json& content) {
    VERIFY(content.is_array() && !content.empty());
    for (const auto& block : content) {
        const std::string type = block.at("type");
        if (type == "text") {
            VERIFY(!block.at("text").get<std::string>().empty());
        } else if (type == "image") {
            VERIFY(block.at("source").contains("type"));
        } else if (type == "tool_use") {
            VERIFY(block.at("input").is_object());
            VERIFY(!block.at("id").get<std::string>().empty());
        } else if (type == "tool_result") {
            if (block.contains("content")) check_content(block["content"]);
        } else {
            VERIFY(type == "thinking" || type == "redacted_thinking");
        }
    }
}

}  // namespace

// What is taken is JSON to others too, and what is made of it is a request as Anthropic's reference
// has it: a limit, sides that take turns, content that is some.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace nutgate::proxy;
    using nlohmann::json;
    const std::string_view body{reinterpret_cast<const char*>(data), size};
    for (const auto style : {ThinkingStyle::Budget, ThinkingStyle::Adaptive}) {
        const auto asked = chat_to_messages(body, {.max_tokens = 4096, .thinking = style});
        if (!asked) {
            VERIFY(asked.error().status == 400 && !asked.error().message.empty());
            return 0;
        }
        // A number beyond a parser's range is an error to it, and none to us: it is passed on.
        const json request = json::parse(asked->body, nullptr, false);
        if (request.is_discarded()) return 0;
        VERIFY(request.at("model").is_string());
        VERIFY(request.at("max_tokens").get<std::int64_t>() >= 1);
        VERIFY(request.value("stream", false) == asked->stream);
        std::string side;
        for (const json& turn : request.at("messages")) {
            VERIFY(turn.at("role") == "user" || turn.at("role") == "assistant");
            VERIFY(turn["role"] != side);
            side = turn["role"];
            check_content(turn.at("content"));
        }
        VERIFY(!side.empty());
    }
    return 0;
}
