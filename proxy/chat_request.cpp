#include "chat_request.h"

#include <algorithm>
#include <array>
#include <utility>

namespace nutgate::proxy {
namespace {

using Parsed = Result<void, http::ApiError>;

constexpr std::size_t kFieldsMax = 256;

// What changes an answer but not what its tokens cost, and bounds no less than it says. Everything
// else is refused until the operator lets it pass: a field that nobody here has heard of may buy
// something that no token is counted for.
constexpr std::array<std::string_view, 56> kKnownFields{"model",
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
                                                        "bad_words"};

http::ApiError bad_request(std::string code, std::string message,
                           std::optional<std::string> param = std::nullopt) {
    return {.status = 400,
            .type = "invalid_request_error",
            .code = std::move(code),
            .message = std::move(message),
            .param = std::move(param)};
}

http::ApiError bad_json() {
    return bad_request("invalid_json", "The body is not a JSON object in UTF-8.");
}

http::ApiError bad_value(std::string_view field, std::string_view what) {
    return bad_request("invalid_value", std::string{field} + " must be " + std::string{what} + '.',
                       std::string{field});
}

http::ApiError unsupported(std::string field, std::string why) {
    return bad_request("unsupported_parameter", std::move(why), std::move(field));
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool equal_but_for_case(std::string_view a, std::string_view b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](char x, char y) { return lower(x) == lower(y); });
}

// A raw key in whatever letters and escapes, which are longer than what they stand for.
bool is_like(std::string_view raw_key, std::string_view name) {
    if (raw_key.size() <= name.size()) return equal_but_for_case(raw_key, name);
    if (raw_key.find('\\') == std::string_view::npos) return false;
    return equal_but_for_case(json_text('"' + std::string{raw_key} + '"'), name);
}

bool is_known(std::string_view field) {
    static constexpr auto kSorted = [] {
        auto fields = kKnownFields;
        std::sort(fields.begin(), fields.end());
        return fields;
    }();
    return std::binary_search(kSorted.begin(), kSorted.end(), field);
}

class Parser {
public:
    explicit Parser(std::string_view body) : reader_{body} {}

    Result<ChatRequest, http::ApiError> parse() {
        if (reader_.next() != JsonToken::BeginObject) return fail(bad_json());
        while (const auto member = reader_.next_member()) {
            TRY_VOID(note(json_text('"' + std::string{member->key} + '"')));
            TRY_VOID(read_field(fields_.back(), member->first));
        }
        if (reader_.failed()) return fail(bad_json());
        request_.end_place = reader_.span().begin;
        if (reader_.next() != JsonToken::End) return fail(bad_json());
        if (request_.model.empty()) return fail(bad_value("model", "a model's id"));
        if (!has_messages_) return fail(bad_value("messages", "an array of messages"));
        return std::move(request_);
    }

private:
    // Twice the same name means different things to different parsers, and so does a name in other
    // letters to those that do not care (Go's): what we check must be what the upstream reads.
    Parsed note(std::string field) {
        if (fields_.size() == kFieldsMax) {
            return fail(bad_request("too_many_fields", "The body has too many fields."));
        }
        for (const char c : field) {
            if (static_cast<unsigned char>(c) >= 0x80) {
                return fail(unsupported(field, "Names of fields are ASCII."));
            }
        }
        for (const std::string& seen : fields_) {
            if (equal_but_for_case(seen, field)) {
                return fail(
                    bad_request("duplicate_field", "'" + field + "' is there twice.", field));
            }
        }
        if (!is_known(field)) {
            for (const auto known : kKnownFields) {
                if (equal_but_for_case(known, field)) {
                    return fail(unsupported(
                        field, "Did you mean '" + std::string{known} + "'? Names are exact."));
                }
            }
        }
        fields_.push_back(std::move(field));
        return {};
    }

    Parsed read_field(const std::string& field, JsonToken first) {
        if (field == "model") return read_model(first);
        if (field == "messages") return read_messages(first);
        if (field == "tools") return read_tools(first);
        if (field == "stream") return read_flag("stream", first, request_.stream);
        if (field == "stream_options") return read_stream_options(first);
        if (field == "n") return read_choices(first);
        if (field == "max_tokens") {
            return read_limit(field, first, request_.max_tokens, request_.max_tokens_place);
        }
        if (field == "max_completion_tokens") {
            return read_limit(field, first, request_.max_completion_tokens,
                              request_.max_completion_tokens_place);
        }
        return read_other(field, first);
    }

    Parsed read_model(JsonToken first) {
        if (first != JsonToken::String) return fail(bad_value("model", "a model's id"));
        request_.model_place = reader_.span();
        request_.model = json_text(reader_.raw());
        return {};
    }

    Parsed read_flag(std::string_view field, JsonToken first, bool& flag) {
        if (first != JsonToken::True && first != JsonToken::False && first != JsonToken::Null) {
            return fail(bad_value(field, "true or false"));
        }
        flag = first == JsonToken::True;
        return {};
    }

    // Null is as good as absent.
    Result<std::optional<std::int64_t>, http::ApiError> read_integer(const std::string& field,
                                                                     JsonToken first) {
        if (first == JsonToken::Null) return std::optional<std::int64_t>{};
        const auto value = first == JsonToken::Number ? json_integer(reader_.raw()) : std::nullopt;
        if (!value || *value < 1 || *value > kTokensMax) {
            return fail(bad_value(field, "an integer of at least 1"));
        }
        return value;
    }

    Parsed read_limit(const std::string& field, JsonToken first, std::optional<std::int64_t>& limit,
                      std::optional<Span>& place) {
        place = reader_.span();
        TRY(limit, read_integer(field, first));
        return {};
    }

    Parsed read_choices(JsonToken first) {
        TRY(const auto choices, read_integer("n", first));
        request_.choices = choices.value_or(1);
        return {};
    }

    Parsed read_stream_options(JsonToken first) {
        if (first != JsonToken::BeginObject && first != JsonToken::Null) {
            return fail(bad_value("stream_options", "an object"));
        }
        Span place = reader_.span();
        request_.stream_options_null = first == JsonToken::Null;
        request_.stream_options_empty = true;
        while (first == JsonToken::BeginObject) {
            const auto member = reader_.next_member();
            if (!member) break;
            request_.stream_options_empty = false;
            if (key_is(member->key, "include_usage")) {
                if (request_.include_usage_place) {
                    return fail(bad_request("duplicate_field", "'include_usage' is there twice.",
                                            "stream_options.include_usage"));
                }
                request_.include_usage_place = reader_.span();
                TRY_VOID(read_flag("include_usage", member->first, request_.usage_asked));
            } else if (is_like(member->key, "include_usage")) {
                return fail(unsupported("stream_options", "Names are exact: 'include_usage'."));
            } else {
                (void)reader_.skip(member->first);
            }
        }
        if (reader_.failed()) return fail(bad_json());
        place.end = reader_.span().end;
        request_.stream_options_place = place;
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
    Parsed read_other(const std::string& field, JsonToken first) {
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
            if (!only_text) request_.other_fields.push_back(field);
            return {};
        }
        if (field == "functions" || field == "response_format") {
            count_text(first);
        } else if (!reader_.skip(first)) {
            return fail(bad_json());
        }
        if (!harmless) request_.other_fields.push_back(field);
        return {};
    }

    // Every string within the value, keys included: a template may print both.
    void count_text(JsonToken first) {
        if (first == JsonToken::String) request_.text_bytes += reader_.text_size();
        if (first != JsonToken::BeginObject && first != JsonToken::BeginArray) return;
        for (int depth = 1; depth > 0;) {
            const JsonToken token = reader_.next();
            if (token == JsonToken::Error) return;
            if (token == JsonToken::BeginObject || token == JsonToken::BeginArray) ++depth;
            if (token == JsonToken::EndObject || token == JsonToken::EndArray) --depth;
            if (token == JsonToken::String || token == JsonToken::Key) {
                request_.text_bytes += reader_.text_size();
            }
        }
    }

    JsonReader reader_;
    ChatRequest request_;
    std::vector<std::string> fields_;
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
    for (const std::string& field : request.other_fields) {
        const auto& extra = model.extra_fields;
        if (std::find(extra.begin(), extra.end(), field) == extra.end()) {
            return fail(unsupported(field, "'" + field + "' is not sold here."));
        }
    }
    return {};
}

TokenBounds bounds_of(const ChatRequest& request, std::size_t body_bytes, const Model& model) {
    // Byte-level encodings make at most a token of a byte. Beyond its context a model refuses.
    std::int64_t input = static_cast<std::int64_t>(body_bytes) + model.template_tokens;
    if (request.images > 0) {
        const auto images = std::min(request.images, model.context);
        input += std::min(model.tokens_per_image_max.value_or(0), model.context) * images;
    }
    const std::int64_t limit = limit_per_choice(request, model);
    // Which of two limits an upstream obeys is not known, so the larger one counts.
    std::int64_t output =
        std::max(request.max_tokens.value_or(0), request.max_completion_tokens.value_or(0));
    if (output == 0 || output > limit) output = limit;
    return {.input = std::min(input, model.context), .output = output * request.choices};
}

std::string rewrite(std::string_view body, const ChatRequest& request, const Model& model,
                    const UpstreamTraits& upstream) {
    std::vector<Edit> edits;
    std::string added;
    const std::string& name = model.upstream_model.empty() ? model.id.text() : model.upstream_model;
    if (name != request.model) edits.push_back({request.model_place, http::json_quote(name)});

    const std::int64_t limit = limit_per_choice(request, model);
    const bool limited = request.max_tokens || request.max_completion_tokens;
    const bool by_max_tokens = upstream.limit_field == LimitField::MaxTokens;
    const auto keep_below = [&](std::string_view field, bool ours,
                                const std::optional<std::int64_t>& given,
                                const std::optional<Span>& place) {
        const bool needed = given ? *given > limit : !limited && ours;
        if (!needed) return;
        if (place) {
            edits.push_back({*place, std::to_string(limit)});
        } else {
            added += ",\"" + std::string{field} + "\":" + std::to_string(limit);
        }
    };
    keep_below("max_tokens", by_max_tokens, request.max_tokens, request.max_tokens_place);
    keep_below("max_completion_tokens", !by_max_tokens, request.max_completion_tokens,
               request.max_completion_tokens_place);

    if (request.stream && !request.usage_asked) {
        if (request.include_usage_place) {
            edits.push_back({*request.include_usage_place, "true"});
        } else if (!request.stream_options_place) {
            added += R"(,"stream_options":{"include_usage":true})";
        } else if (request.stream_options_null) {
            edits.push_back({*request.stream_options_place, R"({"include_usage":true})"});
        } else {
            const std::size_t inside = request.stream_options_place->begin + 1;
            edits.push_back({{inside, inside},
                             request.stream_options_empty ? R"("include_usage":true)"
                                                          : R"("include_usage":true,)"});
        }
    }
    if (!added.empty()) edits.push_back({{request.end_place, request.end_place}, added});
    return apply_edits(body, std::move(edits));
}

}  // namespace nutgate::proxy
