// POST /v1/moderations: text and images are judged. Its answers tell no usage: charged by the
// request, and by the tokens of its text, by estimate, where the price has them. Only a price that
// says so is free.
#include <algorithm>
#include <array>
#include <utility>

#include "order.h"

namespace nutgate::proxy {
namespace {

constexpr auto kKnownFields = sorted(std::array<std::string_view, 2>{"model", "input"});

struct ModerationRequest : BodyFields {
    std::int64_t images = 0;
};

class Parser : BodyParser {
public:
    explicit Parser(std::string_view body) : BodyParser{body, kKnownFields, request_} {}

    Result<ModerationRequest, http::ApiError> parse() {
        TRY_VOID(walk([this](std::string_view field, JsonToken first) -> Parsed {
            if (field == "model") return read_model(first);
            if (field == "input") return read_input(first);
            return read_other(field, first);
        }));
        if (!has_input_) return bad_input();
        return std::move(request_);
    }

private:
    static Failure<http::ApiError> bad_input() {
        return fail(bad_value("input", "text, or texts, or parts"));
    }

    Parsed read_input(JsonToken first) {
        has_input_ = true;
        if (first == JsonToken::String) {
            count_text(first);
            return {};
        }
        if (first != JsonToken::BeginArray) return bad_input();
        return read_items([this](JsonToken item) -> Parsed {
            if (item == JsonToken::String) {
                count_text(item);
                return {};
            }
            if (item != JsonToken::BeginObject) return bad_input();
            return read_members([this](std::string_view key, JsonToken value) -> Parsed {
                if (!is_like(key, "image_url")) {
                    count_text(value);
                    return {};
                }
                ++request_.images;
                if (value != JsonToken::BeginObject) return bad_input();
                return read_members([this](std::string_view, JsonToken inner) -> Parsed {
                    const bool is_data =
                        inner == JsonToken::String && reader_.raw().starts_with("\"data:");
                    if (is_data) return {};
                    return fail(
                        unsupported("input", "Images are sent within the request, as data: URLs."));
                });
            });
        });
    }

    ModerationRequest request_;
    bool has_input_ = false;
};

class ModerationOrder final : public Order {
public:
    explicit ModerationOrder(ModerationRequest request)
        : Order{Endpoint::Moderations, request_}, request_{std::move(request)} {}

    Result<void, http::ApiError> check_against(const Model& model) const override {
        if (request_.images > 0 && !model.tokens_per_image_max) {
            return fail(unsupported("input", "This model takes no images."));
        }
        // Each text has to fit, but all of them are charged for together.
        const Delivered text{.text_bytes = request_.text_bytes};
        if (estimate_tokens(text, model.bytes_per_token) > model.context) {
            return fail(bad_value("input", "shorter: it is more than this model's context"));
        }
        return check_other_fields(request_, model);
    }

    TokenBounds bounds(std::size_t body_bytes, const Model& model) const override {
        return {.input = std::min(static_cast<std::int64_t>(body_bytes) + model.template_tokens,
                                  model.context)};
    }

    std::string body_for(std::string_view body, const Model&,
                         const Destination& to) const override {
        BodyEdits edits{body, request_};
        edits.name_model(to.model);
        return edits.apply();
    }

private:
    const ModerationRequest request_;
};

}  // namespace

Ordered read_moderation(std::string_view body) {
    TRY(auto request, Parser{body}.parse());
    return make_order<ModerationOrder>(std::move(request));
}

}  // namespace nutgate::proxy
