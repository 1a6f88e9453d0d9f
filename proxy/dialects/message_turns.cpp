#include "dialects/message_turns.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <utility>

#include "dialects/cache_mark.h"
#include "dialects/refusals.h"
#include "nutgate/base/bytes.h"
#include "nutgate/crypto/hash.h"

namespace nutgate::proxy {
namespace {

using Blocks = Result<std::string, http::ApiError>;

std::string text_block(std::string_view raw_text) {
    return ObjectText{}.raw("type", R"("text")").raw("text", raw_text).end();
}

// Anthropic refuses text without a letter, so it is left out. Only what begins with an escape has
// to be decoded to be known.
void add_text(std::string& blocks, const RawJson& text, std::string_view mark) {
    const std::size_t first = text.letters().find_first_not_of(' ');
    if (first == std::string_view::npos) return;
    if (text.letters()[first] == '\\' && is_blank(text.text())) return;
    add_item(blocks, marked(text_block(text.raw()), mark));
}

bool is_base64_digit(char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' ||
           c == '/';
}

bool is_base64(std::string_view text) {
    const std::size_t size = std::min(text.size(), text.find_last_not_of('=') + 1);
    return size >= 2 && text.size() - size <= 2 &&
           std::all_of(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(size),
                       is_base64_digit);
}

Blocks image_source(const std::string& url) {
    if (url.starts_with("https://") || url.starts_with("http://")) {
        return ObjectText{}.raw("type", R"("url")").text("url", url).end();
    }
    constexpr std::array<std::string_view, 4> kTypes{"image/jpeg", "image/png", "image/gif",
                                                     "image/webp"};
    const std::string_view view{url};
    for (const auto type : kTypes) {
        const std::string head = "data:" + std::string{type} + ";base64,";
        if (!view.starts_with(head)) continue;
        const std::string_view data = view.substr(head.size());
        if (!is_base64(data)) break;
        return ObjectText{}
            .raw("type", R"("base64")")
            .text("media_type", type)
            .text("data", data)
            .end();
    }
    return fail(wrong_value("image_url",
                            "a data: URL with base64 of a JPEG, PNG, GIF or WebP, or a URL of "
                            "http or https"));
}

Blocks image_block(const RawObject& part) {
    const RawJson* image = part.given("image_url");
    std::string url = image != nullptr ? image->text() : std::string{};
    if (image != nullptr && image->is_object()) {
        const auto object = RawObject::make(*image);
        if (!object) return fail(not_a_request());
        url = object->text("url");
    }
    TRY(const auto source, image_source(url));
    return ObjectText{}.raw("type", R"("image")").raw("source", source).end();
}

// Content that is text, or parts of text and images. The marks of its parts are on their blocks,
// or, where there is a place for it, the last of them is put there.
Blocks content_blocks(const RawJson& content, bool images, std::string* apart = nullptr) {
    std::string blocks;
    if (content.is_string()) {
        add_text(blocks, content, {});
        return blocks;
    }
    if (!content.is_array()) return fail(wrong_value("content", "text or an array of parts"));
    for (const RawJson& item : content.items()) {
        const auto part = RawObject::make(item);
        if (!part) return fail(wrong_value("content", "text or an array of parts"));
        const std::string type = part->text("type");
        TRY(auto mark, cache_mark(*part));
        if (apart != nullptr && !mark.empty()) *apart = std::exchange(mark, {});
        if (type == "text" || type == "refusal") {
            const RawJson* text = part->given(type);
            if (text == nullptr || !text->is_string()) return fail(wrong_value(type, "text"));
            add_text(blocks, *text, mark);
        } else if (type == "image_url" && images) {
            TRY(const auto block, image_block(*part));
            add_item(blocks, marked(block, mark));
        } else {
            return fail(not_carried("messages", "Content of type '" + type.substr(0, 64) +
                                                    "' can't be sent to this model."));
        }
    }
    return blocks;
}

// The text in which a model wrote its arguments, as the object that it is.
Result<std::string, http::ApiError> call_input(const RawJson* arguments) {
    const std::string text = arguments != nullptr ? arguments->text() : std::string{};
    if (is_blank(text)) return std::string{"{}"};
    const auto input = RawJson::parse(text);
    if (!input || !input->is_object()) {
        return fail(wrong_value("arguments", "a JSON object in a string"));
    }
    return std::string{input->raw()};
}

Blocks tool_use_block(const RawJson& item) {
    const auto call = RawObject::make(item);
    if (!call) return fail(wrong_value("tool_calls", "an array of calls"));
    const RawJson* type = call->given("type");
    if (type != nullptr && type->text() != "function") {
        return fail(
            not_carried("tool_calls", "Only calls of functions can be sent to this model."));
    }
    const RawJson* given = call->given("function");
    const auto function = given != nullptr ? RawObject::make(*given) : std::nullopt;
    const std::string id = call->text("id");
    if (!function || id.empty() || function->text("name").empty()) {
        return fail(wrong_value("tool_calls", "calls with an id and a function's name"));
    }
    TRY(const auto input, call_input(function->given("arguments")));
    return ObjectText{}
        .raw("type", R"("tool_use")")
        .text("id", tool_use_id(id))
        .text("name", function->text("name"))
        .raw("input", input)
        .end();
}

// As this translator gave them out: signed, so that the upstream believes them.
Blocks thinking_blocks(const RawJson& thoughts) {
    std::string blocks;
    for (const RawJson& item : thoughts.items()) {
        const auto thought = RawObject::make(item);
        if (!thought) return fail(wrong_value("thinking_blocks", "an array of blocks"));
        const std::string type = thought->text("type");
        const RawJson* data = thought->given("data");
        const RawJson* text = thought->given("thinking");
        const RawJson* signature = thought->given("signature");
        if (type == "redacted_thinking" && data != nullptr && data->is_string()) {
            add_item(blocks, ObjectText{}.text("type", type).raw("data", data->raw()).end());
        } else if (type == "thinking" && text != nullptr && text->is_string() &&
                   signature != nullptr && !signature->letters().empty()) {
            add_item(blocks, ObjectText{}
                                 .text("type", type)
                                 .raw("thinking", text->raw())
                                 .raw("signature", signature->raw())
                                 .end());
        }
    }
    return blocks;
}

}  // namespace

std::string tool_use_id(std::string_view id) {
    constexpr std::size_t kMarkBytes = 8;
    std::string clean{id};
    bool changed = false;
    for (char& c : clean) {
        const bool fits = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                          (c >= '0' && c <= '9') || c == '_' || c == '-';
        if (!fits) c = '_';
        changed = changed || !fits;
    }
    if (!changed) return clean;
    const crypto::Hash256 mark = crypto::sha256(as_bytes(id));
    return clean + '_' + to_hex(BytesView{mark}.first(kMarkBytes));
}

MessageTurns::Added MessageTurns::add(const RawJson& message) {
    const auto object = RawObject::make(message);
    if (!object) return fail(wrong_value("messages", "an array of messages"));
    const std::string role = object->text("role");
    if (role == "user") return add_user(*object);
    if (role == "assistant") return add_assistant(*object);
    if (role == "tool") return add_tool_result(*object);
    if (role == "system" || role == "developer") return add_system(*object);
    if (role == "function") {
        return fail(not_carried("messages", "'function' messages are not taken; use 'tool'."));
    }
    return fail(wrong_value("role", "one of system, developer, user, assistant and tool"));
}

MessageTurns::Added MessageTurns::add_system(const RawObject& message) {
    const RawJson* content = message.given("content");
    if (content == nullptr) return fail(wrong_value("content", "text or an array of parts"));
    TRY(const auto blocks, content_blocks(*content, false));
    TRY(const auto mark, cache_mark(message));
    if (!blocks.empty()) add_item(system_, marked(blocks, mark));
    return {};
}

MessageTurns::Added MessageTurns::add_user(const RawObject& message) {
    const RawJson* content = message.given("content");
    if (content == nullptr) return fail(wrong_value("content", "text or an array of parts"));
    TRY(const auto blocks, content_blocks(*content, true));
    TRY(const auto mark, cache_mark(message));
    put(Side::User, marked(blocks, mark));
    return {};
}

MessageTurns::Added MessageTurns::add_assistant(const RawObject& message) {
    for (const auto* field : {"audio", "function_call"}) {
        if (message.given(field) != nullptr) {
            return fail(not_carried("messages", "'" + std::string{field} +
                                                    "' of a message can't be sent to this model."));
        }
    }
    std::string blocks;
    if (const RawJson* thoughts = message.given("thinking_blocks")) {
        TRY(const auto signed_thoughts, thinking_blocks(*thoughts));
        blocks = signed_thoughts;
    }
    const bool thought = !blocks.empty();
    bool has_said = false;
    for (const auto* field : {"content", "refusal"}) {
        const RawJson* content = message.given(field);
        if (content == nullptr) continue;
        TRY(const auto said, content_blocks(*content, false));
        if (said.empty()) continue;
        add_item(blocks, said);
        has_said = true;
    }
    bool called = false;
    if (const RawJson* calls = message.given("tool_calls")) {
        if (!calls->is_array()) return fail(wrong_value("tool_calls", "an array of calls"));
        for (const RawJson& call : calls->items()) {
            TRY(const auto block, tool_use_block(call));
            add_item(blocks, block);
            called = has_said = true;
        }
    }
    lost_thoughts_ = called && !thought;
    TRY(const auto mark, cache_mark(message));
    // Thoughts alone take none.
    put(Side::Assistant, has_said ? marked(blocks, mark) : blocks);
    return {};
}

MessageTurns::Added MessageTurns::add_tool_result(const RawObject& message) {
    const std::string id = message.text("tool_call_id");
    if (id.empty()) return fail(wrong_value("tool_call_id", "the id of a call"));
    const RawJson* content = message.given("content");
    if (content == nullptr) return fail(wrong_value("content", "text or an array of parts"));
    // A result is kept whole.
    TRY(auto mark, cache_mark(message));
    TRY(const auto blocks, content_blocks(*content, true, mark.empty() ? &mark : nullptr));
    ObjectText result;
    result.raw("type", R"("tool_result")").text("tool_use_id", tool_use_id(id));
    if (!blocks.empty()) result.raw("content", '[' + blocks + ']');
    put(Side::User, marked(result.end(), mark));
    return {};
}

void MessageTurns::put(Side side, std::string_view block) {
    if (block.empty()) return;
    if (turns_.empty() || turns_.back().side != side) turns_.push_back({side, {}});
    add_item(turns_.back().blocks, block);
}

std::string MessageTurns::messages_json() const {
    std::string list;
    for (const Turn& turn : turns_) {
        add_item(list, ObjectText{}
                           .text("role", turn.side == Side::User ? "user" : "assistant")
                           .raw("content", '[' + turn.blocks + ']')
                           .end());
    }
    return '[' + list + ']';
}

}  // namespace nutgate::proxy
