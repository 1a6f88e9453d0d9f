#include "dialects/raw_json.h"
#include "dialects/stop_reasons.h"
#include "dialects/told_usage.h"
#include "dialects/whole_answers.h"

namespace nutgate::proxy {
namespace {

// The letters of strings, raw, joined; and lists of values.
struct Said {
    std::string text;
    std::string thoughts;
    std::string thinking_blocks;
    std::string tool_calls;
};

void take_thought(const RawObject& block, Said& said) {
    ObjectText thought;
    if (block.text("type") == "redacted_thinking") {
        const RawJson* data = block.given("data");
        if (data == nullptr) return;
        thought.raw("type", R"("redacted_thinking")").raw("data", data->raw());
    } else {
        const RawJson* text = block.given("thinking");
        const RawJson* signature = block.given("signature");
        if (text == nullptr) return;
        said.thoughts += text->letters();
        thought.raw("type", R"("thinking")").raw("thinking", text->raw());
        thought.raw("signature", signature != nullptr ? signature->raw() : R"("")");
    }
    add_item(said.thinking_blocks, thought.end());
}

// Whether it can be told: a call without name or id is none.
bool take_call(const RawObject& block, Said& said) {
    const RawJson* id = block.given("id");
    const RawJson* name = block.given("name");
    const RawJson* input = block.given("input");
    if (id == nullptr || name == nullptr || !id->is_string() || !name->is_string()) return false;
    add_item(said.tool_calls,
             ObjectText{}
                 .raw("id", id->raw())
                 .raw("type", R"("function")")
                 .raw("function", ObjectText{}
                                      .raw("name", name->raw())
                                      .text("arguments", input != nullptr ? input->raw() : "{}")
                                      .end())
                 .end());
    return true;
}

bool take_block(const RawJson& item, Said& said) {
    const auto block = RawObject::make(item);
    if (!block) return false;
    const std::string type = block->text("type");
    if (type == "text") {
        const RawJson* text = block->given("text");
        if (text != nullptr) said.text += text->letters();
        return text != nullptr;
    }
    if (type == "tool_use") return take_call(*block, said);
    if (type == "thinking" || type == "redacted_thinking") take_thought(*block, said);
    return true;  // What was not asked for, by a server newer than this.
}

std::string message_json(const Said& said) {
    ObjectText message;
    message.raw("role", R"("assistant")");
    const bool silent = said.text.empty() && !said.tool_calls.empty();
    message.raw("content", silent ? "null" : '"' + said.text + '"');
    message.raw("refusal", "null");
    if (!said.thoughts.empty()) message.raw("reasoning_content", '"' + said.thoughts + '"');
    if (!said.thinking_blocks.empty()) {
        message.raw("thinking_blocks", '[' + said.thinking_blocks + ']');
    }
    if (!said.tool_calls.empty()) message.raw("tool_calls", '[' + said.tool_calls + ']');
    return message.end();
}

}  // namespace

std::optional<std::string> message_to_completion(std::string_view body, std::int64_t created) {
    const auto answer = RawObject::parse(body);
    const RawJson* content = answer ? answer->given("content") : nullptr;
    if (content == nullptr || !content->is_array() || answer->text("type") != "message") {
        return std::nullopt;
    }
    Said said;
    for (const RawJson& item : content->items()) {
        if (!take_block(item, said)) return std::nullopt;
    }
    ObjectText out;
    out.text("id", answer->text("id"));
    out.raw("object", R"("chat.completion")").number("created", created);
    out.text("model", answer->text("model"));
    out.raw("choices", '[' +
                           ObjectText{}
                               .number("index", 0)
                               .raw("message", message_json(said))
                               .raw("logprobs", "null")
                               .text("finish_reason", finish_reason_of(answer->text("stop_reason")))
                               .end() +
                           ']');
    MessageUsage usage;
    if (const RawJson* told = answer->given("usage")) usage.read(*told);
    const std::string counts = chat_usage_json(usage.told());
    if (!counts.empty()) out.raw("usage", counts);
    return out.end();
}

}  // namespace nutgate::proxy
