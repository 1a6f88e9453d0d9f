// POST /v1/embeddings: text in, numbers out. Nothing of what comes out is counted in tokens.
//
// Many texts come in one request, each of which fits into the model's context. All together are
// bounded by kEmbeddingTokensMax: so much is held and advertised at most.
#include <algorithm>
#include <array>
#include <utility>

#include "order.h"

namespace nutgate::proxy {
namespace {

constexpr std::int64_t kInputsMax = 2048;
constexpr std::int64_t kMarksOfText = 4;  // Tokens at its ends.

constexpr auto kKnownFields = sorted(std::array<std::string_view, 10>{
    "model", "input", "encoding_format", "dimensions", "user", "input_type", "truncate",
    "truncation", "truncate_prompt_tokens", "task"});

struct EmbeddingRequest : BodyFields {
    std::int64_t inputs = 1;
    std::int64_t tokens = 0;  // Of inputs that are sent as tokens.
};

class Parser : BodyParser {
public:
    explicit Parser(std::string_view body) : BodyParser{body, kKnownFields, request_} {}

    Result<EmbeddingRequest, http::ApiError> parse() {
        TRY_VOID(walk([this](std::string_view field, JsonToken first) -> Parsed {
            if (field == "model") return read_model(first);
            if (field == "input") return read_input(first);
            return read_other(field, first);
        }));
        if (!has_input_) return bad_input();
        if (request_.inputs > kInputsMax) {
            return fail(bad_value("input", "at most " + std::to_string(kInputsMax) + " texts"));
        }
        return std::move(request_);
    }

private:
    static Failure<http::ApiError> bad_input() {
        return fail(bad_value("input", "text, or texts, or tokens"));
    }

    // Text; texts; tokens of one; tokens of several.
    Parsed read_input(JsonToken first) {
        if (first == JsonToken::String) {
            count_text(first);
            has_input_ = true;
            return {};
        }
        if (first != JsonToken::BeginArray) return bad_input();
        std::int64_t items = 0;
        TRY_VOID(read_items([&](JsonToken item) -> Parsed {
            ++items;
            if (item == JsonToken::Number) {
                ++request_.tokens;
            } else if (item == JsonToken::String) {
                count_text(item);
            } else if (item == JsonToken::BeginArray) {
                return read_items([&](JsonToken token) -> Parsed {
                    if (token != JsonToken::Number) return bad_input();
                    ++request_.tokens;
                    return {};
                });
            } else {
                return bad_input();
            }
            return {};
        }));
        has_input_ = items > 0;
        const bool is_one = request_.tokens == items;
        request_.inputs = is_one ? 1 : items;
        return {};
    }

    EmbeddingRequest request_;
    bool has_input_ = false;
};

class EmbeddingOrder final : public Order {
public:
    explicit EmbeddingOrder(EmbeddingRequest request)
        : Order{Endpoint::Embeddings, request_}, request_{std::move(request)} {}

    Result<void, http::ApiError> check_against(const Model& model) const override {
        const std::int64_t most = static_cast<std::int64_t>(request_.text_bytes) + request_.tokens +
                                  kMarksOfText * request_.inputs + model.template_tokens;
        if (most > kEmbeddingTokensMax) {
            return fail(bad_value(
                "input", "at most " + std::to_string(kEmbeddingTokensMax) + " bytes in all"));
        }
        return check_other_fields(request_, model);
    }

    // Byte-level encodings make at most a token of a byte; the marks at a text's ends stand for its
    // quotes and its comma.
    TokenBounds bounds(std::size_t body_bytes, const Model& model) const override {
        const std::int64_t input = static_cast<std::int64_t>(body_bytes) + model.template_tokens;
        return {.input = std::min(input, kEmbeddingTokensMax), .output = 0};
    }

    std::string body_for(std::string_view body, const Model&,
                         const Destination& to) const override {
        BodyEdits edits{body, request_};
        edits.name_model(to.model);
        return edits.apply();
    }

private:
    const EmbeddingRequest request_;
};

}  // namespace

Ordered read_embedding(std::string_view body) {
    TRY(auto request, Parser{body}.parse());
    return make_order<EmbeddingOrder>(std::move(request));
}

}  // namespace nutgate::proxy
