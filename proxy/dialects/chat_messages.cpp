#include "dialects/chat_messages.h"

#include <array>
#include <optional>
#include <vector>

#include "dialects/refusals.h"

namespace nutgate::proxy {
namespace {

using Text = Result<std::string, http::ApiError>;

http::ApiError not_blocks() { return wrong_value("content", "text or an array of content blocks"); }

http::ApiError unknown_block(std::string_view type) {
    return not_carried("messages", "Content of type '" + std::string{type.substr(0, 64)} +
                                       "' can't be sent to this model.");
}

Result<RawObject, http::ApiError> block_of(const RawJson& item) {
    auto block = RawObject::make(item);
    if (!block) return fail(not_blocks());
    return *std::move(block);
}

// The letters of a block's text, raw.
Text text_of(const RawObject& block) {
    const RawJson* text = block.given("text");
    if (text == nullptr || !text->is_string()) return fail(wrong_value("text", "text"));
    return std::string{text->letters()};
}

std::string text_part(std::string_view letters) {
    return ObjectText{}
        .raw("type", R"("text")")
        .raw("text", '"' + std::string{letters} + '"')
        .end();
}

Text image_part(const RawObject& block) {
    const RawJson* given = block.given("source");
    const auto source = given != nullptr ? RawObject::make(*given) : std::nullopt;
    if (!source) return fail(wrong_value("source", "an object"));
    const std::string type = source->text("type");
    const RawJson* media = source->given("media_type");
    const RawJson* data = source->given("data");
    std::string url;
    if (type == "url" && !source->text("url").empty()) {
        url = source->text("url");
    } else if (type == "base64" && media != nullptr && data != nullptr &&
               media->text().starts_with("image/") && !data->letters().empty()) {
        url = "data:" + media->text() + ";base64," + data->text();
    } else {
        return fail(not_carried("source", "Images are sent as base64 or by URL."));
    }
    return ObjectText{}
        .raw("type", R"("image_url")")
        .raw("image_url", ObjectText{}.text("url", url).end())
        .end();
}

// What a user's message is gathered from. One text stays a text, as every upstream takes it.
struct Parts {
    std::string list;
    std::string letters;  // Of the first text.
    std::size_t count = 0;
    std::size_t image_bytes = 0;
    bool only_text = true;

    void add_text(std::string_view more) {
        if (more.empty()) return;
        if (count++ == 0) letters = more;
        add_item(list, text_part(more));
    }
    void add_image(std::string_view part) {
        ++count;
        image_bytes += part.size();
        only_text = false;
        add_item(list, part);
    }
    std::string content() const {
        return count == 1 && only_text ? '"' + letters + '"' : '[' + list + ']';
    }
};

// OpenAI's tools answer with text, so what a tool shows is shown by the user after it.
struct ToolResult {
    std::string letters;
    std::vector<std::string> images;
};

Result<ToolResult, http::ApiError> result_content(const RawObject& block) {
    ToolResult result;
    const RawJson* content = block.given("content");
    if (content == nullptr) return result;
    if (content->is_string()) {
        result.letters = content->letters();
        return result;
    }
    if (!content->is_array()) return fail(not_blocks());
    for (const RawJson& item : content->items()) {
        TRY(const auto inner, block_of(item));
        const std::string type = inner.text("type");
        if (type == "text") {
            TRY(const auto letters, text_of(inner));
            if (!result.letters.empty() && !letters.empty()) result.letters += "\\n";
            result.letters += letters;
        } else if (type == "image") {
            TRY(const auto part, image_part(inner));
            result.images.push_back(part);
        } else {
            return fail(unknown_block(type));
        }
    }
    return result;
}

Text tool_call(const RawObject& block) {
    const RawJson* id = block.given("id");
    const RawJson* name = block.given("name");
    const RawJson* input = block.given("input");
    if (id == nullptr || id->letters().empty() || name == nullptr || name->letters().empty() ||
        (input != nullptr && !input->is_object())) {
        return fail(wrong_value("tool_use", "a block with id, name and an object as input"));
    }
    return ObjectText{}
        .raw("id", id->raw())
        .raw("type", R"("function")")
        .raw("function", ObjectText{}
                             .raw("name", name->raw())
                             .text("arguments", input != nullptr ? input->raw() : "{}")
                             .end())
        .end();
}

}  // namespace

ChatMessages::Added ChatMessages::add_system(const RawJson& content) {
    std::string letters;
    if (content.is_string()) {
        letters = content.letters();
    } else if (content.is_array()) {
        for (const RawJson& item : content.items()) {
            TRY(const auto block, block_of(item));
            if (block.text("type") != "text") return fail(unknown_block(block.text("type")));
            TRY(const auto more, text_of(block));
            if (!letters.empty() && !more.empty()) letters += "\\n\\n";
            letters += more;
        }
    } else {
        return fail(wrong_value("system", "text or an array of text blocks"));
    }
    if (letters.empty()) return {};
    ends_with_assistant_ = false;
    add(ObjectText{}.raw("role", R"("system")").raw("content", '"' + letters + '"'));
    return {};
}

ChatMessages::Added ChatMessages::add_turn(const RawJson& message) {
    const auto object = RawObject::make(message);
    if (!object) return fail(wrong_value("messages", "an array of messages"));
    const RawJson* content = object->given("content");
    if (content == nullptr || !(content->is_string() || content->is_array())) {
        return fail(not_blocks());
    }
    const std::string role = object->text("role");
    if (role == "user") return add_user(*content);
    if (role == "assistant") return add_assistant(*content);
    if (role == "system") return add_system(*content);
    return fail(wrong_value("role", "user or assistant"));
}

ChatMessages::Added ChatMessages::add_user(const RawJson& content) {
    Parts parts;
    std::vector<std::string> shown;
    if (content.is_string()) parts.add_text(content.letters());
    for (const RawJson& item : content.items()) {
        TRY(const auto block, block_of(item));
        const std::string type = block.text("type");
        if (type == "text") {
            TRY(const auto letters, text_of(block));
            parts.add_text(letters);
        } else if (type == "image") {
            TRY(const auto part, image_part(block));
            parts.add_image(part);
        } else if (type == "tool_result") {
            const RawJson* id = block.given("tool_use_id");
            if (id == nullptr || id->letters().empty()) {
                return fail(wrong_value("tool_use_id", "the id of a call"));
            }
            TRY(const auto result, result_content(block));
            add(ObjectText{}
                    .raw("role", R"("tool")")
                    .raw("tool_call_id", id->raw())
                    .raw("content", '"' + result.letters + '"'));
            ends_with_assistant_ = false;
            shown.insert(shown.end(), result.images.begin(), result.images.end());
        } else {
            return fail(unknown_block(type));
        }
    }
    for (const std::string& image : shown) parts.add_image(image);
    if (parts.count == 0) return {};
    image_bytes_ += parts.image_bytes;
    ends_with_assistant_ = false;
    add(ObjectText{}.raw("role", R"("user")").raw("content", parts.content()));
    return {};
}

ChatMessages::Added ChatMessages::add_assistant(const RawJson& content) {
    std::string letters{content.letters()};
    std::string calls;
    for (const RawJson& item : content.items()) {
        TRY(const auto block, block_of(item));
        const std::string type = block.text("type");
        if (type == "text") {
            TRY(const auto more, text_of(block));
            letters += more;
        } else if (type == "tool_use") {
            TRY(const auto call, tool_call(block));
            add_item(calls, call);
        } else if (type != "thinking" && type != "redacted_thinking") {
            return fail(unknown_block(type));
        }
    }
    if (letters.empty() && calls.empty()) return {};
    ObjectText message;
    message.raw("role", R"("assistant")")
        .raw("content", letters.empty() ? "null" : '"' + letters + '"');
    if (!calls.empty()) message.raw("tool_calls", '[' + calls + ']');
    ends_with_assistant_ = true;
    add(std::move(message));
    return {};
}

}  // namespace nutgate::proxy
