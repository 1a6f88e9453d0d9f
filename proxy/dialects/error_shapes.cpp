#include "dialects/error_shapes.h"

#include <array>
#include <utility>

namespace nutgate::proxy {
namespace {

constexpr int kOverloaded = 529;  // Anthropic's own; others say 503.

struct Meaning {
    std::string_view anthropic;
    int status;
    std::string_view openai_type;
    std::string_view openai_code;
};
constexpr std::array<Meaning, 10> kMeanings{{
    {"invalid_request_error", 400, "invalid_request_error", "invalid_request"},
    {"authentication_error", 401, "invalid_request_error", "invalid_api_key"},
    {"billing_error", 402, "insufficient_quota", "insufficient_quota"},
    {"permission_error", 403, "invalid_request_error", "permission_denied"},
    {"not_found_error", 404, "invalid_request_error", "not_found"},
    {"request_too_large", 413, "invalid_request_error", "request_too_large"},
    {"rate_limit_error", 429, "rate_limit_error", "rate_limit_exceeded"},
    {"timeout_error", 504, "server_error", "timeout"},
    {"overloaded_error", kOverloaded, "server_error", "overloaded"},
    {"api_error", 500, "server_error", "server_error"},
}};

// Clients of OpenAI look for this code, to shorten what they ask.
bool is_prompt_too_long(std::string_view message) {
    return message.starts_with("prompt is too long") ||
           message.find("exceed context limit") != std::string_view::npos;
}

ToldError error_in(std::string_view body) {
    const auto object = RawObject::parse(body);
    const RawJson* error = object ? object->given("error") : nullptr;
    return error != nullptr ? read_error(*error) : ToldError{};
}

}  // namespace

ToldError read_error(const RawJson& error) {
    if (error.is_string()) return {.type = {}, .code = {}, .message = error.text()};
    const auto object = RawObject::make(error);
    if (!object) return {};
    ToldError told{.type = object->text("type"),
                   .code = object->text("code"),
                   .message = object->text("message")};
    const RawJson* code = object->given("code");
    if (code != nullptr && code->is_number()) told.code = code->raw();
    return told;
}

std::string_view message_error_type(int status) {
    for (const Meaning& meaning : kMeanings) {
        if (meaning.status == status) return meaning.anthropic;
    }
    if (status == 408) return "timeout_error";
    if (status == 503) return "overloaded_error";
    return status >= 400 && status < 500 ? "invalid_request_error" : "api_error";
}

std::string message_error_json(std::string_view type, std::string_view message,
                               std::string_view request_id) {
    ObjectText body;
    body.raw("type", R"("error")")
        .raw("error", ObjectText{}.text("type", type).text("message", message).end());
    if (!request_id.empty()) body.text("request_id", request_id);
    return body.end();
}

std::string chat_error_json(const ToldError& anthropic) {
    const Meaning* found = &kMeanings.back();
    for (const Meaning& meaning : kMeanings) {
        if (meaning.anthropic == anthropic.type) found = &meaning;
    }
    const bool too_long = is_prompt_too_long(anthropic.message);
    return ObjectText{}
        .raw("error", ObjectText{}
                          .text("message", anthropic.message)
                          .text("type", found->openai_type)
                          .raw("param", "null")
                          .text("code", too_long ? "context_length_exceeded" : found->openai_code)
                          .end())
        .end();
}

TranslatedError error_to_chat(int status, std::string_view body) {
    ToldError told = error_in(body);
    if (told.type.empty()) told.type = message_error_type(status);
    if (told.message.empty()) told.message = "The model refused this request.";
    return {.status = status == kOverloaded ? 503 : status, .body = chat_error_json(told)};
}

TranslatedError error_to_message(int status, std::string_view body) {
    ToldError told = error_in(body);
    if (told.message.empty()) told.message = "The model refused this request.";
    return {.status = status == 503 ? kOverloaded : status,
            .body = message_error_json(message_error_type(status), told.message, {})};
}

}  // namespace nutgate::proxy
