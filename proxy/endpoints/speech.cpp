// POST /v1/audio/speech: text is spoken. Charged by its characters, which are known before the
// first is spoken, so the charge is in the head of an answer that passes as it comes.
#include <algorithm>
#include <array>
#include <utility>

#include "order.h"

namespace nutgate::proxy {
namespace {

constexpr auto kKnownFields = sorted(
    std::array<std::string_view, 8>{"model", "input", "voice", "instructions", "response_format",
                                    "speed", "stream_format", "language"});

struct SpeechRequest : BodyFields {
    std::int64_t characters = 0;  // Code points, of what is spoken and how.
};

std::int64_t code_points(std::string_view utf8) {
    return std::count_if(utf8.begin(), utf8.end(),
                         [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; });
}

class Parser : BodyParser {
public:
    explicit Parser(std::string_view body) : BodyParser{body, kKnownFields, request_} {}

    Result<SpeechRequest, http::ApiError> parse() {
        TRY_VOID(walk(
            [this](std::string_view field, JsonToken first) { return read_field(field, first); }));
        if (!has_input_) return fail(bad_value("input", "text"));
        if (request_.characters > kSpeechCharactersMax) {
            return fail(bad_value("input", "at most " + std::to_string(kSpeechCharactersMax) +
                                               " characters, with its instructions"));
        }
        return std::move(request_);
    }

private:
    Parsed read_field(std::string_view field, JsonToken first) {
        if (field == "model") return read_model(first);
        if (field == "input" || field == "instructions") {
            if (first == JsonToken::Null && field != "input") return {};
            if (first != JsonToken::String) return fail(bad_value(field, "text"));
            has_input_ = has_input_ || field == "input";
            count_text(first);
            request_.characters += code_points(json_text(reader_.raw()));
            return {};
        }
        if (field == "voice") {
            // One that is an object is of somebody's account.
            if (first == JsonToken::String) return {};
            return fail(unsupported("voice", "A voice is given by its name."));
        }
        if (field == "stream_format") {
            const std::string form = text_of(first);
            request_.stream = form == "sse";
            return read_other(field, first, form == "sse" || form == "audio");
        }
        return read_other(field, first);
    }

    SpeechRequest request_;
    bool has_input_ = false;
};

class SpeechOrder final : public Order {
public:
    explicit SpeechOrder(SpeechRequest request)
        : Order{Endpoint::Speech, request_}, request_{std::move(request)} {
        set_whole_form(WholeForm::Bytes);
    }

    Result<void, http::ApiError> check_against(const Model& model) const override {
        return check_other_fields(request_, model);
    }

    TokenBounds bounds(std::size_t, const Model&) const override {
        return {.characters = request_.characters};
    }

    std::string body_for(std::string_view body, const Model&,
                         const Destination& to) const override {
        BodyEdits edits{body, request_};
        edits.name_model(to.model);
        return edits.apply();
    }

    Pieces pieces_of(std::string_view) const override {
        return {.characters = request_.characters};
    }
    // How far it came nobody knows: what is spoken is no text.
    Pieces pieces_of_stream(bool) const override { return {.characters = request_.characters}; }

private:
    const SpeechRequest request_;
};

}  // namespace

Ordered read_speech(std::string_view body) {
    TRY(auto request, Parser{body}.parse());
    return make_order<SpeechOrder>(std::move(request));
}

}  // namespace nutgate::proxy
