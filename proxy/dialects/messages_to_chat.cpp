#include "dialects/messages_to_chat.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "dialects/chat_messages.h"
#include "dialects/raw_json.h"
#include "dialects/refusals.h"
#include "nutgate/base/bytes.h"
#include "nutgate/crypto/hash.h"
#include "nutgate/proxy/usage.h"

namespace nutgate::proxy {
namespace {

using Done = Result<void, http::ApiError>;

constexpr std::size_t kMessagesMax = 100'000;  // Anthropic's own.
constexpr std::size_t kUserBytesMax = 64;      // OpenAI's, for a user's name.

constexpr std::array<std::string_view, 18> kFields{
    "model", "max_tokens", "messages", "system", "stream", "stop_sequences", "temperature", "top_p",
    "top_k", "tools", "tool_choice", "metadata", "thinking", "output_config",
    // Left out, each a hint to Anthropic's servers.
    "cache_control", "context_management", "service_tier", "diagnostics"};

class Translator {
public:
    Translator(const RawObject& asked, const MessagesToChat& options)
        : asked_{asked}, options_{options} {}

    Result<ChatBody, http::ApiError> run() {
        TRY_VOID(check_fields());
        TRY_VOID(read_model());
        TRY_VOID(read_limit());
        TRY_VOID(read_messages());
        TRY_VOID(read_tools());
        TRY_VOID(read_tool_choice());
        TRY_VOID(read_sampling());
        TRY_VOID(read_stops());
        TRY_VOID(read_thinking());
        TRY_VOID(read_format());
        read_user();
        const RawJson* stream = asked_.given("stream");
        const bool streams = stream != nullptr && stream->is_true();
        if (streams) {
            out_.raw("stream", "true").raw("stream_options", R"({"include_usage":true})");
        }
        return ChatBody{.body = out_.end(), .stream = streams, .image_bytes = image_bytes_};
    }

private:
    Done check_fields() const {
        for (const RawObject::Member& member : asked_.members()) {
            const bool known = std::any_of(
                kFields.begin(), kFields.end(),
                [&member](std::string_view field) { return key_is(member.key, field); });
            const RawJson& value = member.value;
            if (known || value.is_null() || value.is_false() || value.raw() == "[]") continue;
            if (key_is(member.key, "speed") && value.text() == "standard") continue;
            return fail(not_carried(
                member.key, "'" + std::string{member.key} + "' can't be sent to this model."));
        }
        return {};
    }

    Done read_model() {
        const RawJson* model = asked_.given("model");
        if (model == nullptr || !model->is_string()) {
            return fail(wrong_value("model", "a model's id"));
        }
        out_.raw("model", model->raw());
        return {};
    }

    Done read_limit() {
        const RawJson* given = asked_.given("max_tokens");
        const auto limit = given != nullptr ? given->integer() : std::nullopt;
        if (!limit || *limit < 1 || *limit > kTokensMax) {
            return fail(wrong_value("max_tokens", "an integer of at least 1"));
        }
        max_tokens_ = *limit;
        out_.number(
            options_.limit_field == LimitField::MaxTokens ? "max_tokens" : "max_completion_tokens",
            *limit);
        return {};
    }

    Done read_messages() {
        ChatMessages messages;
        if (const RawJson* system = asked_.given("system")) {
            TRY_VOID(messages.add_system(*system));
        }
        const RawJson* given = asked_.given("messages");
        if (given == nullptr || !given->is_array()) {
            return fail(wrong_value("messages", "an array of messages"));
        }
        const auto turns = given->items();
        if (turns.empty() || turns.size() > kMessagesMax) {
            return fail(wrong_value("messages", "1 to " + std::to_string(kMessagesMax)));
        }
        for (const RawJson& turn : turns) TRY_VOID(messages.add_turn(turn));
        if (messages.empty()) return fail(wrong_value("messages", "at least one with content"));
        if (messages.ends_with_assistant()) {
            return fail(not_carried("messages",
                                    "This model can't go on from an answer that was begun: the "
                                    "last message must be the user's."));
        }
        out_.raw("messages", messages.json());
        image_bytes_ = messages.image_bytes();
        return {};
    }

    Done read_tools() {
        const RawJson* given = asked_.given("tools");
        if (given == nullptr) return {};
        if (!given->is_array()) return fail(wrong_value("tools", "an array of tools"));
        std::string list;
        for (const RawJson& item : given->items()) {
            const auto tool = RawObject::make(item);
            if (!tool) return fail(wrong_value("tools", "an array of tools"));
            const std::string type = tool->text("type");
            if (!type.empty() && type != "custom") {
                return fail(not_carried("tools", "Tools of type '" + type.substr(0, 64) +
                                                     "' can't be sent to this model."));
            }
            TRY(const auto function, function_of(*tool));
            add_item(list, function);
        }
        has_tools_ = !list.empty();
        if (has_tools_) out_.raw("tools", '[' + list + ']');
        return {};
    }

    static Result<std::string, http::ApiError> function_of(const RawObject& tool) {
        const RawJson* name = tool.given("name");
        const RawJson* schema = tool.given("input_schema");
        if (name == nullptr || name->letters().empty() || schema == nullptr ||
            !schema->is_object()) {
            return fail(wrong_value("tools", "tools with a name and an input_schema"));
        }
        ObjectText function;
        function.raw("name", name->raw());
        const RawJson* description = tool.given("description");
        if (description != nullptr && description->is_string()) {
            function.raw("description", description->raw());
        }
        function.raw("parameters", schema->raw());
        const RawJson* strict = tool.given("strict");
        if (strict != nullptr && strict->is_true()) function.raw("strict", "true");
        return ObjectText{}.raw("type", R"("function")").raw("function", function.end()).end();
    }

    Done read_tool_choice() {
        const RawJson* given = asked_.given("tool_choice");
        if (given == nullptr || !has_tools_) return {};
        const auto choice = RawObject::make(*given);
        const std::string type = choice ? choice->text("type") : std::string{};
        if (type == "auto" || type == "none") {
            out_.text("tool_choice", type);
        } else if (type == "any") {
            out_.raw("tool_choice", R"("required")");
        } else if (type == "tool" && !choice->text("name").empty()) {
            out_.raw("tool_choice",
                     ObjectText{}
                         .raw("type", R"("function")")
                         .raw("function", ObjectText{}.text("name", choice->text("name")).end())
                         .end());
        } else {
            return fail(wrong_value("tool_choice", "auto, any, none or a tool's name"));
        }
        const RawJson* alone = choice->given("disable_parallel_tool_use");
        if (alone != nullptr && alone->is_true()) out_.raw("parallel_tool_calls", "false");
        return {};
    }

    Done read_sampling() {
        for (const auto* field : {"temperature", "top_p", "top_k"}) {
            const RawJson* given = asked_.given(field);
            if (given == nullptr) continue;
            if (!given->is_number()) return fail(wrong_value(field, "a number"));
            out_.raw(field, given->raw());
        }
        return {};
    }

    Done read_stops() {
        const RawJson* given = asked_.given("stop_sequences");
        if (given == nullptr) return {};
        const auto stops = given->items();
        const bool texts = std::all_of(stops.begin(), stops.end(),
                                       [](const RawJson& stop) { return stop.is_string(); });
        if (!given->is_array() || !texts) {
            return fail(wrong_value("stop_sequences", "an array of texts"));
        }
        if (!stops.empty()) out_.raw("stop", given->raw());
        return {};
    }

    // A wish: OpenAI's models are told how hard to think, not for how many tokens.
    Done read_thinking() {
        const RawJson* given = asked_.given("thinking");
        if (given == nullptr) return {};
        const auto thinking = RawObject::make(*given);
        if (!thinking) return fail(wrong_value("thinking", "an object"));
        const std::string type = thinking->text("type");
        if (type == "disabled") return {};
        if (type == "adaptive" || type == "between_tools") {
            out_.text("reasoning_effort", adaptive_effort());
            return {};
        }
        const RawJson* budget = thinking->given("budget_tokens");
        const auto tokens = budget != nullptr ? budget->integer() : std::nullopt;
        if (type != "enabled" || !tokens || *tokens < 1) {
            return fail(
                wrong_value("thinking", "enabled with budget_tokens, adaptive or disabled"));
        }
        // The shares by which chat_to_messages() makes budgets of efforts, halfway between.
        const std::int64_t percent = *tokens >= max_tokens_ ? 100 : *tokens * 100 / max_tokens_;
        out_.text("reasoning_effort", percent < 35 ? "low" : percent < 65 ? "medium" : "high");
        return {};
    }

    // What every upstream that thinks knows; what is beyond "high" is known to few.
    std::string adaptive_effort() const {
        const auto config = output_config();
        const std::string effort = config ? config->text("effort") : std::string{};
        if (effort == "low" || effort == "medium") return effort;
        return effort.empty() ? "medium" : "high";
    }

    std::optional<RawObject> output_config() const {
        const RawJson* given = asked_.given("output_config");
        return given != nullptr ? RawObject::make(*given) : std::nullopt;
    }

    Done read_format() {
        const auto config = output_config();
        const RawJson* given = config ? config->given("format") : nullptr;
        if (given == nullptr) return {};
        const auto format = RawObject::make(*given);
        const RawJson* schema = format ? format->given("schema") : nullptr;
        if (schema == nullptr || !schema->is_object() || format->text("type") != "json_schema") {
            return fail(wrong_value("output_config.format", "of type json_schema with a schema"));
        }
        out_.raw("response_format", ObjectText{}
                                        .raw("type", R"("json_schema")")
                                        .raw("json_schema", ObjectText{}
                                                                .raw("name", R"("answer")")
                                                                .raw("strict", "true")
                                                                .raw("schema", schema->raw())
                                                                .end())
                                        .end());
        return {};
    }

    // Equal users stay equal: a name that OpenAI would find too long is told by its hash.
    void read_user() {
        const RawJson* given = asked_.given("metadata");
        const auto metadata = given != nullptr ? RawObject::make(*given) : std::nullopt;
        const std::string user = metadata ? metadata->text("user_id") : std::string{};
        if (user.empty()) return;
        out_.text("user",
                  user.size() <= kUserBytesMax ? user : to_hex(crypto::sha256(as_bytes(user))));
    }

    const RawObject& asked_;
    const MessagesToChat& options_;
    ObjectText out_;
    std::int64_t max_tokens_ = 0;
    std::size_t image_bytes_ = 0;
    bool has_tools_ = false;
};

}  // namespace

Result<ChatBody, http::ApiError> messages_to_chat(std::string_view body,
                                                  const MessagesToChat& options) {
    const auto asked = RawObject::parse(body);
    if (!asked) return fail(not_a_request());
    return Translator{*asked, options}.run();
}

}  // namespace nutgate::proxy
