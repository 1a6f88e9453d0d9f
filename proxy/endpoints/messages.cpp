// POST /v1/messages and /v1/messages/count_tokens, Anthropic's.
//
// Sold: text, images in the request, tools that the client runs, thinking, caches (what is held is
// held at the dearest of what a cached prompt can cost). Refused: tools that Anthropic runs, whose
// searches and containers nobody here counts; documents that are not text, since their pages cost
// more tokens than they have bytes; whatever is named by an id or a URL; speed and places that have
// another price.
#include <algorithm>
#include <array>
#include <utility>

#include "order.h"

namespace nutgate::proxy {
namespace {

// What Anthropic's own description of a tool that the client runs may add to a prompt.
constexpr std::int64_t kToolTokensMax = 2'000;

constexpr auto kKnownFields = sorted(std::array<std::string_view, 16>{
    "model", "messages", "max_tokens", "system", "stream", "temperature", "top_p", "top_k",
    "stop_sequences", "tools", "tool_choice", "metadata", "thinking", "cache_control",
    "output_config", "output_format"});

struct MessageRequest : BodyFields {
    Limit max_tokens;
    std::optional<std::int64_t> thinking_budget;
    std::int64_t images = 0;
    std::int64_t own_tools = 0;  // Anthropic's, run by the client.
};

class Parser : BodyParser {
public:
    Parser(Endpoint endpoint, std::string_view body)
        : BodyParser{body, kKnownFields, request_}, endpoint_{endpoint} {}

    Result<MessageRequest, http::ApiError> parse() {
        TRY_VOID(walk(
            [this](std::string_view field, JsonToken first) { return read_field(field, first); }));
        if (!has_messages_) return fail(bad_value("messages", "an array of messages"));
        if (endpoint_ == Endpoint::CountTokens) {
            request_.stream = false;
            return std::move(request_);
        }
        if (!request_.max_tokens.value) {
            return fail(bad_value("max_tokens", "an integer of at least 1: it is required"));
        }
        if (request_.thinking_budget && *request_.thinking_budget >= *request_.max_tokens.value) {
            return fail(bad_value("thinking.budget_tokens", "less than max_tokens"));
        }
        return std::move(request_);
    }

private:
    Parsed read_field(std::string_view field, JsonToken first) {
        if (field == "model") return read_model(first);
        if (field == "max_tokens") return read_limit(field, first, request_.max_tokens);
        if (field == "stream") return read_flag(field, first, request_.stream);
        if (field == "messages") return read_messages(first);
        if (field == "system") return read_content("system", first);
        if (field == "tools") return read_tools(first);
        if (field == "thinking") return read_thinking(first);
        if (field == "output_format" || field == "output_config") {
            count_text(first);
            return {};
        }
        if (field == "service_tier") {
            const std::string tier = text_of(first);
            return read_other(field, first, tier == "auto" || tier == "standard_only");
        }
        return read_other(field, first);
    }

    Parsed read_messages(JsonToken first) {
        if (first != JsonToken::BeginArray) return bad_messages();
        has_messages_ = true;
        return read_items([this](JsonToken item) -> Parsed {
            if (item != JsonToken::BeginObject) return bad_messages();
            return read_members([this](std::string_view key, JsonToken value) -> Parsed {
                if (is_like(key, "content")) return read_content("messages", value);
                count_text(value);
                return {};
            });
        });
    }

    static Failure<http::ApiError> bad_messages() {
        return fail(bad_value("messages", "an array of messages"));
    }

    // Text, or blocks, which may hold content themselves.
    Parsed read_content(std::string_view field, JsonToken first) {
        if (first == JsonToken::String || first == JsonToken::Null) {
            count_text(first);
            return {};
        }
        if (first != JsonToken::BeginArray) {
            return fail(bad_value(field, "text or an array of blocks"));
        }
        return read_items([&](JsonToken item) -> Parsed {
            if (item != JsonToken::BeginObject) {
                return fail(bad_value(field, "text or an array of blocks"));
            }
            return read_block(field);
        });
    }

    // A block is what its members say, whatever its type claims, so both are looked at.
    Parsed read_block(std::string_view field) {
        std::string type;
        std::string source;
        TRY_VOID(read_members([&](std::string_view key, JsonToken value) -> Parsed {
            if (is_like(key, "type")) return read_type(field, value, type);
            if (is_like(key, "source") && value == JsonToken::BeginObject) {
                if (!source.empty()) return fail(twice(field, "source"));
                return read_source(field, source);
            }
            if (is_like(key, "content")) return read_content(field, value);
            if (is_like(key, "file_id") || is_like(key, "url")) {
                return fail(not_by_name(field));
            }
            count_text(value);
            return {};
        }));
        return check_block(field, type, source);
    }

    // Where the bytes of an image or document come from.
    Parsed read_source(std::string_view field, std::string& type) {
        return read_members([&](std::string_view key, JsonToken value) -> Parsed {
            if (is_like(key, "type")) return read_type(field, value, type);
            if (is_like(key, "url") || is_like(key, "file_id")) return fail(not_by_name(field));
            if (is_like(key, "content")) return read_content(field, value);
            // Of an image these are no letters that anybody reads, and are counted as an image.
            if (value == JsonToken::String && type != "text") return {};
            count_text(value);
            return {};
        });
    }

    // Which of two is meant depends on who reads them.
    static http::ApiError twice(std::string_view field, std::string_view member) {
        return bad_request("duplicate_field", "'" + std::string{member} + "' is there twice.",
                           std::string{field});
    }

    Parsed read_type(std::string_view field, JsonToken value, std::string& type) {
        if (!type.empty()) return fail(twice(field, "type"));
        type = text_of(value);
        if (type.empty()) return fail(bad_value(field, "of things that have a type"));
        return {};
    }

    static http::ApiError not_by_name(std::string_view field) {
        return unsupported(std::string{field},
                           "What is not in the request itself is not sold: no URLs, no file ids.");
    }

    Parsed check_block(std::string_view field, const std::string& type, const std::string& source) {
        constexpr std::array<std::string_view, 6> kPlain{
            "text", "thinking", "redacted_thinking", "tool_use", "tool_result", "search_result"};
        if (source.empty()) {
            if (std::find(kPlain.begin(), kPlain.end(), type) != kPlain.end()) return {};
        } else if (type == "image" && source == "base64") {
            ++request_.images;
            return {};
        } else if (type == "document" && (source == "text" || source == "content")) {
            return {};
        }
        const std::string of = source.empty() ? "" : " from '" + source + "'";
        return fail(unsupported(std::string{field},
                                "Content of type '" + type + "'" + of + " is not sold here."));
    }

    // Tools that the client runs cost the tokens of their description. Those that Anthropic runs
    // cost by the call.
    Parsed read_tools(JsonToken first) {
        if (first == JsonToken::Null) return {};
        if (first != JsonToken::BeginArray) return fail(bad_value("tools", "an array of tools"));
        return read_items([this](JsonToken item) -> Parsed {
            if (item != JsonToken::BeginObject) {
                return fail(bad_value("tools", "an array of tools"));
            }
            std::string type;
            TRY_VOID(read_members([&](std::string_view key, JsonToken value) -> Parsed {
                if (is_like(key, "type") && value != JsonToken::Null) {
                    return read_type("tools", value, type);
                }
                count_text(value);
                return {};
            }));
            if (type.empty() || type == "custom") return {};
            for (const std::string_view own : {"bash_", "text_editor_", "memory_"}) {
                if (!type.starts_with(own)) continue;
                ++request_.own_tools;
                return {};
            }
            return fail(unsupported("tools", "Tools of type '" + type + "' are not sold here."));
        });
    }

    Parsed read_thinking(JsonToken first) {
        if (first == JsonToken::Null) return {};
        if (first != JsonToken::BeginObject) return fail(bad_value("thinking", "an object"));
        return read_members([this](std::string_view key, JsonToken value) -> Parsed {
            if (key_is(key, "budget_tokens")) {
                TRY(request_.thinking_budget, read_integer("thinking.budget_tokens", value));
                return {};
            }
            if (is_like(key, "budget_tokens")) {
                return fail(unsupported("thinking", "Names are exact: 'budget_tokens'."));
            }
            return skip(value);
        });
    }

    const Endpoint endpoint_;
    MessageRequest request_;
    bool has_messages_ = false;
};

class MessageOrder final : public Order {
public:
    MessageOrder(Endpoint endpoint, MessageRequest request)
        : Order{endpoint, request_}, request_{std::move(request)} {}

    Result<void, http::ApiError> check_against(const Model& model) const override {
        if (request_.images > 0 && !model.tokens_per_image_max) {
            return fail(unsupported("messages", "This model takes no images."));
        }
        if (request_.thinking_budget.value_or(0) >= model.output_max) {
            return fail(bad_value("thinking.budget_tokens", "less than " +
                                                                std::to_string(model.output_max) +
                                                                ", which this model says at most"));
        }
        return check_other_fields(request_, model);
    }

    TokenBounds bounds(std::size_t body_bytes, const Model& model) const override {
        // Byte-level encodings make at most a token of a byte. Beyond its context a model refuses.
        const std::int64_t images = std::min(request_.images, model.context) *
                                    std::min(model.tokens_per_image_max.value_or(0), model.context);
        const std::int64_t input = static_cast<std::int64_t>(body_bytes) + model.template_tokens +
                                   kToolTokensMax * request_.own_tools + images;
        const std::int64_t output = request_.max_tokens.value.value_or(1);
        return {.input = std::min(input, model.context),
                .output = std::min(output, model.output_max)};
    }

    std::string body_for(std::string_view body, const Model& model,
                         const Destination& to) const override {
        BodyEdits edits{body, request_};
        edits.name_model(to.model);
        edits.keep_below("max_tokens", request_.max_tokens, model.output_max, std::nullopt);
        return edits.apply();
    }

    std::int64_t stream_choices() const override { return request_.stream ? 1 : 0; }

private:
    const MessageRequest request_;
};

}  // namespace

Ordered read_message(Endpoint endpoint, std::string_view body) {
    TRY(auto request, (Parser{endpoint, body}.parse()));
    return make_order<MessageOrder>(endpoint, std::move(request));
}

}  // namespace nutgate::proxy
