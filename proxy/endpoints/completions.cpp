// POST /v1/completions: text that is gone on with. Its answers are chunks like a chat's.
//
// Refused: best_of above n (answers are made and thrown away, and none of them is counted), several
// prompts that could not be read as one.
#include <algorithm>
#include <array>
#include <utility>

#include "order.h"

namespace nutgate::proxy {
namespace {

// Where none is given that is the limit, by the words of the API.
constexpr std::int64_t kMaxTokensUsual = 16;

constexpr auto kKnownFields = sorted(std::array<std::string_view, 41>{"model",
                                                                      "prompt",
                                                                      "suffix",
                                                                      "stream",
                                                                      "stream_options",
                                                                      "max_tokens",
                                                                      "n",
                                                                      "best_of",
                                                                      "echo",
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
                                                                      "seed",
                                                                      "user",
                                                                      "min_tokens",
                                                                      "ignore_eos",
                                                                      "skip_special_tokens",
                                                                      "add_special_tokens",
                                                                      "response_format",
                                                                      "guided_json",
                                                                      "guided_regex",
                                                                      "guided_choice",
                                                                      "guided_grammar",
                                                                      "structured_outputs",
                                                                      "grammar",
                                                                      "json_schema",
                                                                      "cache_prompt",
                                                                      "bad_words"});

struct CompletionRequest : BodyFields, UsageAsked {
    std::int64_t choices = 1;  // n
    std::int64_t best_of = 1;
    std::int64_t prompts = 1;
    bool echo = false;  // The prompt comes again, before what it is gone on with.
    Limit max_tokens;
};

class Parser : BodyParser {
public:
    explicit Parser(std::string_view body) : BodyParser{body, kKnownFields, request_} {}

    Result<CompletionRequest, http::ApiError> parse() {
        TRY_VOID(walk(
            [this](std::string_view field, JsonToken first) { return read_field(field, first); }));
        if (!has_prompt_) return fail(bad_value("prompt", "text, or texts, or tokens"));
        if (request_.best_of > request_.choices) {
            return fail(
                unsupported("best_of", "What is thrown away is not sold: best_of above n."));
        }
        return std::move(request_);
    }

private:
    Parsed read_field(std::string_view field, JsonToken first) {
        if (field == "model") return read_model(first);
        if (field == "prompt") return read_prompt(first);
        if (field == "stream") return read_flag(field, first, request_.stream);
        if (field == "stream_options") return read_stream_options(first, request_);
        if (field == "max_tokens") return read_limit(field, first, request_.max_tokens);
        if (field == "n" || field == "best_of") {
            TRY(const auto count, read_integer(field, first));
            (field == "n" ? request_.choices : request_.best_of) = count.value_or(1);
            return {};
        }
        if (field == "echo") return read_flag(field, first, request_.echo);
        if (field == "suffix") {
            count_text(first);
            return {};
        }
        return read_other(field, first);
    }

    // Text; texts; tokens of one; tokens of several.
    Parsed read_prompt(JsonToken first) {
        has_prompt_ = first == JsonToken::String;
        count_text(first == JsonToken::String ? first : JsonToken::Null);
        if (first != JsonToken::BeginArray) return skip(first);
        bool has_tokens = false;
        std::int64_t items = 0;
        TRY_VOID(read_items([&](JsonToken item) -> Parsed {
            has_tokens = has_tokens || item == JsonToken::Number;
            ++items;
            if (item == JsonToken::Number) {
                ++request_.text_bytes;
            } else if (item == JsonToken::String) {
                count_text(item);
            } else if (item == JsonToken::BeginArray) {
                return read_items([&](JsonToken token) -> Parsed {
                    if (token != JsonToken::Number) return bad_prompt();
                    ++request_.text_bytes;
                    return {};
                });
            } else {
                return bad_prompt();
            }
            return {};
        }));
        has_prompt_ = items > 0;
        if (!has_tokens) request_.prompts = items;
        return {};
    }

    static Parsed bad_prompt() { return fail(bad_value("prompt", "text, or texts, or tokens")); }

    CompletionRequest request_;
    bool has_prompt_ = false;
};

class CompletionOrder final : public Order {
public:
    explicit CompletionOrder(CompletionRequest request)
        : Order{Endpoint::Completions, request_}, request_{std::move(request)} {}

    Result<void, http::ApiError> check_against(const Model& model) const override {
        const std::int64_t most = std::min(model.choices_max, model.output_max);
        if (request_.choices > most || request_.prompts > most / request_.choices) {
            return fail(
                bad_value("n times the number of prompts", "at most " + std::to_string(most)));
        }
        // Beyond its context a model refuses a prompt, but not two that are too long together.
        const std::int64_t all = static_cast<std::int64_t>(request_.text_bytes) +
                                 model.template_tokens * request_.prompts;
        if (request_.prompts > 1 && all > model.context) {
            return fail(bad_value("prompt", "one text, or shorter ones: together at most " +
                                                std::to_string(model.context) + " bytes"));
        }
        return check_other_fields(request_, model);
    }

    TokenBounds bounds(std::size_t body_bytes, const Model& model) const override {
        // Byte-level encodings make at most a token of a byte, and tokens are written in more.
        const std::int64_t input =
            static_cast<std::int64_t>(body_bytes) + model.template_tokens * request_.prompts;
        const std::int64_t limit = limit_of(model);
        return {.input = std::min(input, model.context),
                .output = std::min(limit, request_.max_tokens.value.value_or(kMaxTokensUsual)) *
                          answers()};
    }

    std::string body_for(std::string_view body, const Model& model,
                         const Destination& to) const override {
        BodyEdits edits{body, request_};
        edits.name_model(to.model);
        edits.keep_below("max_tokens", request_.max_tokens, limit_of(model), kMaxTokensUsual);
        if (request_.stream) edits.ask_for_usage(request_);
        return edits.apply();
    }

    // What is only repeated looks like output, so nothing can be held ahead of it.
    std::int64_t stream_choices() const override {
        return request_.stream && !request_.echo ? answers() : 0;
    }

private:
    std::int64_t answers() const { return request_.choices * request_.prompts; }
    // Of each, so that all together stay within what is advertised.
    std::int64_t limit_of(const Model& model) const { return model.output_max / answers(); }

    const CompletionRequest request_;
};

}  // namespace

Ordered read_completion(std::string_view body) {
    TRY(auto request, Parser{body}.parse());
    return make_order<CompletionOrder>(std::move(request));
}

}  // namespace nutgate::proxy
