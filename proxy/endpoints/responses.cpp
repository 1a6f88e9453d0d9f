// POST /v1/responses, without anything that is kept: every response is asked not to be stored, so
// nothing of it can be read by whoever learns its id; and none of what is stored already, or named
// by an id of the operator's account, can be asked for.
//
// Sold: text, images in the request, tools that the client runs, reasoning (also encrypted, to be
// sent along the next time). Refused: what goes on in the background, what refers to earlier
// responses, conversations, prompts or files, and every tool that an upstream runs by itself.
#include <algorithm>
#include <array>
#include <utility>

#include "order.h"

namespace nutgate::proxy {
namespace {

constexpr auto kKnownFields = sorted(std::array<std::string_view, 24>{"model",
                                                                      "input",
                                                                      "instructions",
                                                                      "max_output_tokens",
                                                                      "max_tool_calls",
                                                                      "stream",
                                                                      "stream_options",
                                                                      "temperature",
                                                                      "top_p",
                                                                      "top_k",
                                                                      "top_logprobs",
                                                                      "tools",
                                                                      "tool_choice",
                                                                      "parallel_tool_calls",
                                                                      "reasoning",
                                                                      "text",
                                                                      "metadata",
                                                                      "user",
                                                                      "safety_identifier",
                                                                      "prompt_cache_key",
                                                                      "prompt_cache_retention",
                                                                      "truncation",
                                                                      "include",
                                                                      "store"});

struct ResponseRequest : BodyFields {
    Limit max_output_tokens;
    std::int64_t images = 0;
    std::optional<Span> store_place;
    bool store_refused = false;  // "store": false, by the client itself.
};

class Parser : BodyParser {
public:
    explicit Parser(std::string_view body) : BodyParser{body, kKnownFields, request_} {}

    Result<ResponseRequest, http::ApiError> parse() {
        TRY_VOID(walk(
            [this](std::string_view field, JsonToken first) { return read_field(field, first); }));
        if (!has_input_) return fail(bad_value("input", "text or an array of items"));
        return std::move(request_);
    }

private:
    Parsed read_field(std::string_view field, JsonToken first) {
        if (field == "model") return read_model(first);
        if (field == "max_output_tokens") {
            return read_limit(field, first, request_.max_output_tokens);
        }
        if (field == "stream") return read_flag(field, first, request_.stream);
        if (field == "input") return read_input(first);
        if (field == "tools") return read_tools(first);
        if (field == "store") return read_store(first);
        if (field == "include") return read_include(first);
        if (field == "instructions" || field == "text") {
            count_text(first);
            return {};
        }
        if (field == "background") return read_other(field, first, first == JsonToken::False);
        if (field == "service_tier") {
            const std::string tier = text_of(first);
            return read_other(field, first, tier == "auto" || tier == "default" || tier == "flex");
        }
        return read_other(field, first);
    }

    Parsed read_store(JsonToken first) {
        request_.store_place = reader_.span();
        if (first == JsonToken::True) {
            return fail(unsupported("store", "Nothing is stored here: leave 'store' out."));
        }
        bool store = false;
        TRY_VOID(read_flag("store", first, store));
        request_.store_refused = first == JsonToken::False;
        return {};
    }

    // What more an answer says: of what is sold it may say all.
    Parsed read_include(JsonToken first) {
        if (first == JsonToken::Null) return {};
        if (first != JsonToken::BeginArray) return fail(bad_value("include", "an array"));
        return read_items([this](JsonToken item) -> Parsed {
            const std::string what = text_of(item);
            if (what == "reasoning.encrypted_content" || what == "message.output_text.logprobs") {
                return {};
            }
            return fail(unsupported("include", "'" + what + "' is not sold here."));
        });
    }

    Parsed read_input(JsonToken first) {
        has_input_ = first == JsonToken::String || first == JsonToken::BeginArray;
        if (first != JsonToken::BeginArray) {
            count_text(first);
            return {};
        }
        return read_items([this](JsonToken item) -> Parsed {
            if (item != JsonToken::BeginObject) {
                return fail(bad_value("input", "text or an array of items"));
            }
            return read_item();
        });
    }

    Parsed read_item() {
        std::string type;
        bool has_role = false;
        bool has_content = false;
        TRY_VOID(read_members([&](std::string_view key, JsonToken value) -> Parsed {
            if (is_like(key, "type")) return read_type(value, type);
            has_role = has_role || key_is(key, "role");
            has_content = has_content || key_is(key, "content");
            if (is_like(key, "content") || is_like(key, "output") || is_like(key, "summary")) {
                return read_parts(value);
            }
            return read_member(key, value);
        }));
        constexpr std::array<std::string_view, 9> kItems{
            "message",          "function_call",           "function_call_output",
            "custom_tool_call", "custom_tool_call_output", "reasoning",
            "local_shell_call", "local_shell_call_output", "apply_patch_call"};
        // One that says of itself only its id stands for what the operator's account has stored.
        if (type.empty() && !(has_role && has_content)) {
            return fail(unsupported("input", "An item without a type has a role and content."));
        }
        const bool is_sold = type.empty() || type == "apply_patch_call_output" ||
                             std::find(kItems.begin(), kItems.end(), type) != kItems.end();
        if (is_sold) return {};
        return fail(unsupported("input", "Items of type '" + type + "' are not sold here."));
    }

    // Text, or the parts of a message, of a tool's output, of a reasoning.
    Parsed read_parts(JsonToken first) {
        if (first == JsonToken::String || first == JsonToken::Null) {
            count_text(first);
            return {};
        }
        if (first == JsonToken::BeginObject) {  // Of a tool's own form: nothing is fetched for it.
            count_text(first);
            return {};
        }
        if (first != JsonToken::BeginArray) return fail(bad_value("input", "of text or parts"));
        return read_items([this](JsonToken item) -> Parsed {
            if (item != JsonToken::BeginObject) {
                return fail(bad_value("input", "of text or parts"));
            }
            return read_part();
        });
    }

    // A part is what its members say, whatever its type claims, so both are looked at.
    Parsed read_part() {
        std::string type;
        TRY_VOID(read_members([&](std::string_view key, JsonToken value) -> Parsed {
            if (is_like(key, "type")) return read_type(value, type);
            return read_member(key, value);
        }));
        if (type == "input_image") ++request_.images;
        constexpr std::array<std::string_view, 7> kParts{
            "input_text",   "output_text",    "text",       "refusal",
            "summary_text", "reasoning_text", "input_image"};
        if (std::find(kParts.begin(), kParts.end(), type) != kParts.end()) return {};
        return fail(unsupported("input", "Content of type '" + type + "' is not sold here."));
    }

    Parsed read_type(JsonToken value, std::string& type) {
        if (!type.empty()) {
            return fail(bad_request("duplicate_field", "'type' is there twice.", "input"));
        }
        type = text_of(value);
        if (type.empty()) return fail(bad_value("input", "of items and parts that have a type"));
        return {};
    }

    Parsed read_member(std::string_view key, JsonToken value) {
        if (is_like(key, "file_id") || is_like(key, "file_url") || is_like(key, "file_data")) {
            if (value == JsonToken::Null) return {};
            return fail(unsupported("input", "Files are not sold here, by id, URL or content."));
        }
        if (!is_like(key, "image_url")) {
            count_text(value);
            return {};
        }
        // Too long to be decoded for a look at its beginning.
        const bool is_data = value == JsonToken::String && reader_.raw().starts_with("\"data:");
        if (is_data || value == JsonToken::Null) return {};
        return fail(unsupported("input", "Images are sent within the request, as data: URLs."));
    }

    // Tools that the client runs cost the tokens of their description. Those that an upstream runs
    // by itself cost by the call.
    Parsed read_tools(JsonToken first) {
        if (first == JsonToken::Null) return {};
        if (first != JsonToken::BeginArray) return fail(bad_value("tools", "an array of tools"));
        return read_items([this](JsonToken item) -> Parsed {
            if (item != JsonToken::BeginObject) {
                return fail(bad_value("tools", "an array of tools"));
            }
            std::string type;
            TRY_VOID(read_members([&](std::string_view key, JsonToken value) -> Parsed {
                if (is_like(key, "type")) return read_type(value, type);
                count_text(value);
                return {};
            }));
            constexpr std::array<std::string_view, 4> kClients{"function", "custom", "local_shell",
                                                               "apply_patch"};
            if (std::find(kClients.begin(), kClients.end(), type) != kClients.end()) return {};
            return fail(unsupported("tools", "Tools of type '" + type + "' are not sold here."));
        });
    }

    ResponseRequest request_;
    bool has_input_ = false;
};

class ResponseOrder final : public Order {
public:
    explicit ResponseOrder(ResponseRequest request)
        : Order{Endpoint::Responses, request_}, request_{std::move(request)} {}

    Result<void, http::ApiError> check_against(const Model& model) const override {
        if (request_.images > 0 && !model.tokens_per_image_max) {
            return fail(unsupported("input", "This model takes no images."));
        }
        return check_other_fields(request_, model);
    }

    TokenBounds bounds(std::size_t body_bytes, const Model& model) const override {
        // Byte-level encodings make at most a token of a byte. Beyond its context a model refuses.
        const std::int64_t images = std::min(request_.images, model.context) *
                                    std::min(model.tokens_per_image_max.value_or(0), model.context);
        const std::int64_t input =
            static_cast<std::int64_t>(body_bytes) + model.template_tokens + images;
        const std::int64_t output = request_.max_output_tokens.value.value_or(model.output_max);
        return {.input = std::min(input, model.context),
                .output = std::min(output, model.output_max)};
    }

    std::string body_for(std::string_view body, const Model& model,
                         const Destination& to) const override {
        BodyEdits edits{body, request_};
        edits.name_model(to.model);
        edits.keep_below("max_output_tokens", request_.max_output_tokens, model.output_max,
                         model.output_max);
        // What is stored unless it is refused could be read by others, under the same account.
        if (request_.store_place) {
            if (!request_.store_refused) edits.replace(*request_.store_place, "false");
        } else {
            edits.add("store", "false");
        }
        return edits.apply();
    }

    std::int64_t stream_choices() const override { return request_.stream ? 1 : 0; }

private:
    const ResponseRequest request_;
};

}  // namespace

Ordered read_response(std::string_view body) {
    TRY(auto request, Parser{body}.parse());
    return make_order<ResponseOrder>(std::move(request));
}

}  // namespace nutgate::proxy
