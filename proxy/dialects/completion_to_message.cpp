#include "dialects/raw_json.h"
#include "dialects/stop_reasons.h"
#include "dialects/told_usage.h"
#include "dialects/whole_answers.h"

namespace nutgate::proxy {
namespace {

struct Said {
    std::string blocks;
    bool called = false;
    bool refused = false;
};

void add_text(std::string& blocks, std::string_view letters) {
    if (letters.empty()) return;
    add_item(
        blocks,
        ObjectText{}.raw("type", R"("text")").raw("text", '"' + std::string{letters} + '"').end());
}

// Who signs no thoughts gives them an empty signature: nobody can be made to believe them later.
void take_thoughts(const RawObject& message, Said& said) {
    for (const auto* field : {"reasoning_content", "reasoning"}) {
        const RawJson* thoughts = message.given(field);
        if (thoughts == nullptr || thoughts->letters().empty()) continue;
        add_item(said.blocks, ObjectText{}
                                  .raw("type", R"("thinking")")
                                  .raw("thinking", thoughts->raw())
                                  .raw("signature", R"("")")
                                  .end());
        return;
    }
}

bool take_content(const RawJson& content, Said& said) {
    if (content.is_string()) {
        add_text(said.blocks, content.letters());
        return true;
    }
    for (const RawJson& item : content.items()) {
        const auto part = RawObject::make(item);
        if (!part) return false;
        const RawJson* text = part->given("text");
        if (text != nullptr) add_text(said.blocks, text->letters());
    }
    return true;
}

std::string input_of(const RawJson* arguments) {
    const std::string text = arguments != nullptr ? arguments->text() : std::string{};
    if (is_blank(text)) return "{}";
    const auto input = RawJson::parse(text);
    if (input && input->is_object()) return std::string{input->raw()};
    return ObjectText{}.text("INVALID_JSON", text).end();
}

bool take_calls(const RawJson& calls, const std::string& answer_id, Said& said) {
    std::size_t number = 0;
    for (const RawJson& item : calls.items()) {
        const auto call = RawObject::make(item);
        const RawJson* given = call ? call->given("function") : nullptr;
        const auto function = given != nullptr ? RawObject::make(*given) : std::nullopt;
        const std::string name = function ? function->text("name") : std::string{};
        if (name.empty()) return false;
        std::string id = call->text("id");
        if (id.empty()) id = "call_" + answer_id + '_' + std::to_string(number);
        add_item(said.blocks, ObjectText{}
                                  .raw("type", R"("tool_use")")
                                  .text("id", id)
                                  .text("name", name)
                                  .raw("input", input_of(function->given("arguments")))
                                  .end());
        said.called = true;
        ++number;
    }
    return true;
}

bool take_message(const RawObject& message, const std::string& answer_id, Said& said) {
    take_thoughts(message, said);
    const RawJson* content = message.given("content");
    if (content != nullptr && !take_content(*content, said)) return false;
    const RawJson* refusal = message.given("refusal");
    if (refusal != nullptr && !refusal->letters().empty()) {
        add_text(said.blocks, refusal->letters());
        said.refused = true;
    }
    const RawJson* calls = message.given("tool_calls");
    return calls == nullptr || take_calls(*calls, answer_id, said);
}

std::string text_or(const RawObject& object, std::string_view name, const std::string& otherwise) {
    std::string text = object.text(name);
    return text.empty() ? otherwise : text;
}

}  // namespace

std::optional<std::string> completion_to_message(std::string_view body, const ToMessages& options) {
    const auto answer = RawObject::parse(body);
    const RawJson* choices = answer ? answer->given("choices") : nullptr;
    const auto list = choices != nullptr ? choices->items() : std::vector<RawJson>{};
    const auto choice = list.empty() ? std::nullopt : RawObject::make(list.front());
    const RawJson* given = choice ? choice->given("message") : nullptr;
    const auto message = given != nullptr ? RawObject::make(*given) : std::nullopt;
    if (!message) return std::nullopt;
    const std::string id = text_or(*answer, "id", options.message_id);
    Said said;
    if (!take_message(*message, id, said)) return std::nullopt;

    ObjectText out;
    out.text("id", id).raw("type", R"("message")").raw("role", R"("assistant")");
    out.text("model", text_or(*answer, "model", options.model));
    out.raw("content", '[' + said.blocks + ']');
    const std::string finish = choice->text("finish_reason");
    out.text("stop_reason",
             stop_reason_of(
                 {.finish_reason = finish, .called_tools = said.called, .refused = said.refused}));
    out.raw("stop_sequence", "null");
    ChatUsage usage;
    usage.read(body);
    out.raw("usage", message_usage_json(usage.told()));
    return out.end();
}

}  // namespace nutgate::proxy
