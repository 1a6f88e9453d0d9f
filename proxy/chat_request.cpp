#include "chat_request.h"

#include <algorithm>
#include <array>
#include <utility>

namespace nutgate::proxy {
namespace {

// What changes an answer but not what its tokens cost, and bounds no less than it says. Everything
// else is refused until the operator lets it pass: a field that nobody here has heard of may buy
// something that no token is counted for.
constexpr auto kKnownFields = sorted(std::array<std::string_view, 56>{"model",
                                                                      "messages",
                                                                      "stream",
                                                                      "stream_options",
                                                                      "max_tokens",
                                                                      "max_completion_tokens",
                                                                      "n",
                                                                      "temperature",
                                                                      "top_p",
                                                                      "top_k",
                                                                      "min_p",
                                                                      "top_a",
                                                                      "typical_p",
                                                                      "stop",
                                                                      "stop_token_ids",
                                                                      "presence_penalty",
                                                                      "frequency_penalty",
                                                                      "repetition_penalty",
                                                                      "repeat_penalty",
                                                                      "repeat_last_n",
                                                                      "length_penalty",
                                                                      "logit_bias",
                                                                      "logprobs",
                                                                      "top_logprobs",
                                                                      "seed",
                                                                      "user",
                                                                      "metadata",
                                                                      "tools",
                                                                      "tool_choice",
                                                                      "parallel_tool_calls",
                                                                      "functions",
                                                                      "function_call",
                                                                      "response_format",
                                                                      "reasoning_effort",
                                                                      "reasoning",
                                                                      "reasoning_format",
                                                                      "include_reasoning",
                                                                      "thinking",
                                                                      "enable_thinking",
                                                                      "think",
                                                                      "verbosity",
                                                                      "safety_identifier",
                                                                      "prompt_cache_key",
                                                                      "min_tokens",
                                                                      "ignore_eos",
                                                                      "skip_special_tokens",
                                                                      "guided_json",
                                                                      "guided_regex",
                                                                      "guided_choice",
                                                                      "guided_grammar",
                                                                      "structured_outputs",
                                                                      "grammar",
                                                                      "json_schema",
                                                                      "chat_template_kwargs",
                                                                      "cache_prompt",
                                                                      "bad_words"});

class Parser : BodyParser {
public:
    explicit Parser(std::string_view body) : BodyParser{body, kKnownFields, request_} {}

    Result<ChatRequest, http::ApiError> parse() {
        TRY_VOID(walk(
            [this](std::string_view field, JsonToken first) { return read_field(field, first); }));
        if (!has_messages_) return fail(bad_value("messages", "an array of messages"));
        return std::move(request_);
    }

private:
    Parsed read_field(std::string_view field, JsonToken first) {
        if (field == "model") return read_model(first);
        if (field == "messages") return read_messages(first);
        if (field == "tools") return read_tools(first);
        if (field == "stream") return read_flag("stream", first, request_.stream);
        if (field == "stream_options") return read_stream_options(first, request_);
        if (field == "n") return read_choices(first);
        if (field == "max_tokens") return read_limit(field, first, request_.max_tokens);
        if (field == "max_completion_tokens") {
            return read_limit(field, first, request_.max_completion_tokens);
        }
        return read_priced(field, first);
    }

    Parsed read_choices(JsonToken first) {
        TRY(const auto choices, read_integer("n", first));
        request_.choices = choices.value_or(1);
        return {};
    }

    Parsed read_messages(JsonToken first) {
        if (first != JsonToken::BeginArray) {
            return fail(bad_value("messages", "an array of messages"));
        }
        has_messages_ = true;
        for (;;) {
            const JsonToken token = reader_.next();
            if (token == JsonToken::EndArray) return {};
            if (token == JsonToken::Error) return fail(bad_json());
            if (token != JsonToken::BeginObject) {
                return fail(bad_value("messages", "an array of messages"));
            }
            while (const auto member = reader_.next_member()) {
                if (is_like(member->key, "content") && member->first == JsonToken::BeginArray) {
                    TRY_VOID(read_parts());
                } else if (is_like(member->key, "content") &&
                           member->first == JsonToken::BeginObject) {
                    return fail(bad_value("content", "text or an array of parts"));
                } else if (is_like(member->key, "audio") && member->first != JsonToken::Null) {
                    request_.unsold_parts.emplace_back("audio");
                    (void)reader_.skip(member->first);
                } else {
                    count_text(member->first);
                }
            }
            if (reader_.failed()) return fail(bad_json());
        }
    }

    Parsed read_parts() {
        for (;;) {
            const JsonToken token = reader_.next();
            if (token == JsonToken::EndArray) return {};
            if (token == JsonToken::Error) return fail(bad_json());
            if (token != JsonToken::BeginObject) {
                count_text(token);
                continue;
            }
            TRY_VOID(read_part());
        }
    }

    // A part is what its members say, whatever its `type` claims: upstreams look at either.
    Parsed read_part() {
        std::string type;
        bool image = false;
        while (const auto member = reader_.next_member()) {
            if (key_is(member->key, "type") && member->first == JsonToken::String) {
                type = json_text(reader_.raw());
                image = image || type == "image_url";
            } else if (is_like(member->key, "image_url")) {
                image = true;
                read_image(member->first);
            } else if (is_like(member->key, "input_audio") || is_like(member->key, "file") ||
                       is_like(member->key, "video_url") || is_like(member->key, "audio_url")) {
                request_.unsold_parts.push_back(json_text('"' + std::string{member->key} + '"'));
                (void)reader_.skip(member->first);
            } else {
                count_text(member->first);
            }
        }
        if (reader_.failed()) return fail(bad_json());
        if (image) ++request_.images;
        if (type != "text" && type != "refusal" && type != "image_url" && type != "thinking") {
            request_.unsold_parts.push_back(type.empty() ? "without type" : type);
        }
        return {};
    }

    void read_image(JsonToken first) {
        const auto look = [this] {
            // Mostly it is as it should be, and too long to be decoded for a look at its beginning.
            if (reader_.raw().starts_with("\"data:")) return;
            if (!json_text(reader_.raw()).starts_with("data:")) request_.remote_images = true;
        };
        if (first == JsonToken::String) look();
        if (first != JsonToken::BeginObject) {
            (void)reader_.skip(first);
            return;
        }
        while (const auto member = reader_.next_member()) {
            if (is_like(member->key, "url") && member->first == JsonToken::String) look();
            (void)reader_.skip(member->first);
        }
    }

    // Tools that the model only names cost the tokens of their description. Those that an upstream
    // runs by itself cost by the call.
    Parsed read_tools(JsonToken first) {
        if (first == JsonToken::Null) return {};
        if (first != JsonToken::BeginArray) return fail(bad_value("tools", "an array"));
        for (;;) {
            const JsonToken token = reader_.next();
            if (token == JsonToken::EndArray) return {};
            if (token == JsonToken::Error) return fail(bad_json());
            if (token != JsonToken::BeginObject)
                return fail(bad_value("tools", "an array of tools"));
            bool function = false;
            while (const auto member = reader_.next_member()) {
                if (key_is(member->key, "type")) {
                    const std::string type =
                        member->first == JsonToken::String ? json_text(reader_.raw()) : "";
                    function = type == "function" || type == "custom";
                    if (!function) break;
                } else {
                    count_text(member->first);
                }
            }
            if (reader_.failed()) return fail(bad_json());
            if (!function) {
                return fail(unsupported("tools", "Only tools of type function are sold here."));
            }
        }
    }

    // Fields whose harmless values pass and whose costly ones do not.
    Parsed read_priced(std::string_view field, JsonToken first) {
        const std::string text = first == JsonToken::String ? json_text(reader_.raw()) : "";
        const bool is_null = first == JsonToken::Null;
        const bool harmless =
            is_null || is_known(field) || (field == "store" && first == JsonToken::False) ||
            (field == "service_tier" &&
             (text == "auto" || text == "default" || text == "standard" || text == "flex")) ||
            (field == "best_of" && reader_.raw() == "1");
        if (field == "modalities" && first == JsonToken::BeginArray) {
            bool only_text = true;
            for (JsonToken token = reader_.next(); token != JsonToken::EndArray;
                 token = reader_.next()) {
                if (token == JsonToken::Error) return fail(bad_json());
                if (reader_.raw() != "\"text\"") only_text = false;
                (void)reader_.skip(token);
            }
            if (!only_text) request_.other_fields.emplace_back(field);
            return {};
        }
        if (field == "functions" || field == "response_format") {
            count_text(first);
        } else if (!reader_.skip(first)) {
            return fail(bad_json());
        }
        if (!harmless) request_.other_fields.emplace_back(field);
        return {};
    }

    ChatRequest request_;
    bool has_messages_ = false;
};

// Of each choice, so that all together stay within what is advertised.
std::int64_t limit_per_choice(const ChatRequest& request, const Model& model) {
    return model.output_max / request.choices;
}

}  // namespace

Result<ChatRequest, http::ApiError> parse_chat_request(std::string_view body) {
    return Parser{body}.parse();
}

Result<void, http::ApiError> check_against(const ChatRequest& request, const Model& model) {
    if (!model.price.sells(PriceKind::Input)) {
        return fail(unsupported("model", "This model is not sold for conversations."));
    }
    if (request.choices > std::min(model.choices_max, model.output_max)) {
        return fail(bad_value("n", "at most " + std::to_string(model.choices_max)));
    }
    for (const std::string& part : request.unsold_parts) {
        return fail(unsupported("messages", "Content of type '" + part + "' is not sold here."));
    }
    if (request.images > 0 && !model.tokens_per_image_max) {
        return fail(unsupported("messages", "This model takes no images."));
    }
    if (request.remote_images) {
        return fail(unsupported("messages", "Images are sent within the request, as data: URLs."));
    }
    return check_other_fields(request, model);
}

TokenBounds bounds_of(const ChatRequest& request, std::size_t body_bytes, const Model& model) {
    std::int64_t image_input = 0;
    if (request.images > 0) {
        const auto images = std::min(request.images, model.context);
        image_input = std::min(model.tokens_per_image_max.value_or(0), model.context) * images;
    }
    // Byte-level encodings make at most a token of a byte. Beyond its context a model refuses.
    const std::int64_t input =
        static_cast<std::int64_t>(body_bytes) + model.template_tokens + image_input;
    const std::int64_t limit = limit_per_choice(request, model);
    // Which of two limits an upstream obeys is not known, so the larger one counts.
    std::int64_t output = std::max(request.max_tokens.value.value_or(0),
                                   request.max_completion_tokens.value.value_or(0));
    if (output == 0 || output > limit) output = limit;
    return {.input = std::min(input, model.context),
            .output = output * request.choices,
            .input_image = std::min(image_input, model.context)};
}

namespace {

// What an upstream generates without a limit of its own name, nobody holds money for: so it always
// has one, under the name that it obeys.
void limit_output(BodyEdits& edits, const ChatRequest& request, LimitField field,
                  std::int64_t limit) {
    constexpr std::string_view kOld = "max_tokens";
    constexpr std::string_view kNew = "max_completion_tokens";
    const bool is_old = field == LimitField::MaxTokens;
    const Limit& obeyed = is_old ? request.max_tokens : request.max_completion_tokens;
    const Limit& other = is_old ? request.max_completion_tokens : request.max_tokens;
    const std::string_view name = is_old ? kOld : kNew;
    if (!obeyed.value && other.value) return edits.keep_below_as(name, obeyed, other, limit);
    edits.keep_below(name, obeyed, limit, limit);
    edits.keep_below(is_old ? kNew : kOld, other, limit, std::nullopt);
}

}  // namespace

std::string rewrite(std::string_view body, const ChatRequest& request, const Model& model,
                    const Destination& to) {
    BodyEdits edits{body, request};
    edits.name_model(to.model);
    limit_output(edits, request, to.upstream.limit_field, limit_per_choice(request, model));
    if (request.stream) edits.ask_for_usage(request);
    return edits.apply();
}

}  // namespace nutgate::proxy
