#include "answers.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <chrono>
#include <utility>

#include "answer_form.h"
#include "nutgate/base/json_depth.h"
#include "nutgate/base/log.h"

namespace nutgate::proxy {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMessageBytesMax = 2000;

// "20320" is "20.32": whole satoshis, and what is left of a thousand.
std::string sats(Msat amount) {
    const std::int64_t whole = to_sat_floor(amount).raw();
    const Msat rest = *subtract(amount, to_msat(*Sat::from_raw(whole)));
    std::string text = std::to_string(whole);
    if (rest == Msat{}) return text;
    std::string places = std::to_string(rest.raw());
    places.insert(0, 3 - places.size(), '0');
    while (places.back() == '0') places.pop_back();
    return text + '.' + places;
}

http::ApiError ours(int status, std::string code, std::string message) {
    http::ApiError error{.status = status,
                         .type = "api_error",
                         .code = std::move(code),
                         .message = std::move(message)};
    if (status == 503) error.headers.set("Retry-After", "1");
    return error;
}

http::ApiError upstream_error(int status, std::string code, std::string message) {
    return {.status = status,
            .type = "upstream_error",
            .code = std::move(code),
            .message = std::move(message)};
}

http::ApiError upstream_busy(Seconds wait) {
    auto error = upstream_error(429, "UPSTREAM_RATE_LIMIT", "The model is busy. Try again.");
    error.type = "rate_limit_error";
    error.headers.set("Retry-After", std::to_string(wait.count()));
    return error;
}

// Pay this much, in one of these ways.
http::ApiError payment_required(std::string code, std::string message, const DrawRefusal& refusal,
                                std::string_view model, Msat needed,
                                const Gateway::Options& options) {
    http::ApiError error{.status = 402,
                         .type = "insufficient_quota",
                         .code = std::move(code),
                         .message = std::move(message)};
    error.detail = {{"type", R"("minimum_balance_required")"},
                    {"reason", R"("Insufficient balance")"},
                    {"amount_required_msat", std::to_string(needed.raw())},
                    {"available_msat", std::to_string(refusal.available.raw())},
                    {"model", http::json_quote(model)},
                    {"methods", options.methods_json()}};
    if (!options.payment_request) return error;
    const std::string request = options.payment_request(needed);
    if (request.empty()) return error;
    error.detail.emplace_back("payment_request", http::json_quote(request));
    error.headers.set(kPaymentHeader, request);
    return error;
}

std::string text_member(const Json& object, const char* name) {
    const auto found = object.find(name);
    if (found == object.end()) return {};
    if (found->is_string()) return found->get<std::string>();
    return {};
}

bool is_anthropic(Endpoint endpoint) {
    return endpoint == Endpoint::Messages || endpoint == Endpoint::CountTokens;
}

// What their SDKs tell apart.
std::string_view anthropic_type(int status) {
    constexpr std::array<std::pair<int, std::string_view>, 8> kTypes{{
        {401, "authentication_error"},
        {402, "billing_error"},
        {403, "permission_error"},
        {404, "not_found_error"},
        {413, "request_too_large"},
        {429, "rate_limit_error"},
        {503, "overloaded_error"},
        {504, "timeout_error"},
    }};
    for (const auto& [known, type] : kTypes) {
        if (known == status) return type;
    }
    return status < 500 ? "invalid_request_error" : "api_error";
}

// The error object, wherever the dialect keeps it.
Json error_of(std::string_view body) {
    if (nests_too_deep(body)) return Json::object();
    const Json parsed = Json::parse(body, nullptr, false);
    if (!parsed.is_object()) return Json::object();
    const auto error = parsed.find("error");
    if (error == parsed.end()) return parsed;
    if (error->is_string()) return Json{{"message", *error}};
    return error->is_object() ? *error : Json::object();
}

}  // namespace

std::string redacted(std::string_view text) {
    return without_names(text.substr(0, kMessageBytesMax));
}

std::string without_names(std::string_view text) {
    const std::string clean = log::redact(text);
    std::string shown;
    for (std::size_t i = 0; i < clean.size();) {
        bool hidden = false;
        for (const std::string_view prefix : {"org-", "proj_", "user-"}) {
            const bool at_start =
                i == 0 || std::isalnum(static_cast<unsigned char>(clean[i - 1])) == 0;
            if (!at_start || !std::string_view{clean}.substr(i).starts_with(prefix)) continue;
            std::size_t end = i + prefix.size();
            while (end < clean.size() &&
                   std::isalnum(static_cast<unsigned char>(clean[end])) != 0) {
                ++end;
            }
            constexpr std::size_t kIdMin = 6;
            if (end - i < prefix.size() + kIdMin) continue;
            shown += prefix;
            shown += "[…]";
            i = end;
            hidden = true;
            break;
        }
        if (!hidden) shown += clean[i++];
    }
    return shown;
}

http::ApiError missing_key() {
    return {.status = 401,
            .type = "invalid_request_error",
            .code = "missing_api_key",
            .message = "API key or Cashu token required: send 'Authorization: Bearer sk-…'."};
}

http::ApiError invalid_key() {
    return {.status = 401,
            .type = "invalid_request_error",
            .code = "invalid_api_key",
            .message = "Invalid API key. Expected an 'sk-...' API key or a 'cashu...' token."};
}

http::ApiError unsupported_payment() {
    return {.status = 400,
            .type = "invalid_request_error",
            .code = "unsupported_payment",
            .message = "Tokens are not taken here. This one was not touched."};
}

http::ApiError unknown_model(std::string_view name) {
    return {.status = 400,
            .type = "invalid_model",
            .code = "invalid_model",
            .message = "Model '" + std::string{name.substr(0, 256)} + "' not found",
            .param = "model"};
}

http::ApiError unsupported_endpoint(Endpoint endpoint, std::string_view model) {
    return {.status = 400,
            .type = "invalid_request_error",
            .code = "unsupported_endpoint",
            .message = "Model '" + std::string{model} + "' is not sold at /v1" +
                       std::string{path_of(endpoint)} + '.',
            .param = "model"};
}

http::ApiError beyond_all_money() {
    return {.status = 400,
            .type = "invalid_request_error",
            .code = "request_too_expensive",
            .message = "What this request could cost is more money than there is."};
}

http::ApiError rate_unavailable() {
    auto error = ours(503, "rate_unavailable",
                      "This model is priced in USD, and the exchange rate is not known at the "
                      "moment. Try again.");
    error.headers.set("Retry-After", "10");
    return error;
}

http::ApiError refused_draw(const DrawRefusal& refusal, std::string_view model, Msat needed,
                            const Gateway::Options& options) {
    const auto amounts = [&](std::string_view what) {
        return std::string{what} + ": " + sats(needed) + " sats (" + std::to_string(needed.raw()) +
               " msats) required for this request; " + sats(refusal.available) + " sats (" +
               std::to_string(refusal.available.raw()) + " msats) available.";
    };
    switch (refusal.why) {
        case DrawRefusal::Why::KeyUnknown:
            return invalid_key();
        case DrawRefusal::Why::KeyRevoked: {
            auto error = invalid_key();
            error.message = "This API key was revoked.";
            return error;
        }
        case DrawRefusal::Why::KeyExpired:
            return {.status = 403,
                    .type = "invalid_request_error",
                    .code = "key_expired",
                    .message = "This API key has expired. What is left of it can be refunded."};
        case DrawRefusal::Why::LimitExceeded:
            return payment_required("balance_limit_exceeded", amounts("Balance limit exceeded"),
                                    refusal, model, needed, options);
        case DrawRefusal::Why::BalanceShort:
            return payment_required("insufficient_balance", amounts("Insufficient balance"),
                                    refusal, model, needed, options);
        case DrawRefusal::Why::Overloaded:
            return ours(503, "overloaded", "Too many charges are being written. Try again.");
        case DrawRefusal::Why::StoreUnavailable:
            return ours(503, "storage_unavailable", "The books can't be written. Try again.");
        case DrawRefusal::Why::Broken:
            break;
    }
    return ours(500, "internal_error", "The books refused this request.");
}

std::string_view stop_code(DrawRefusal::Why why) {
    switch (why) {
        case DrawRefusal::Why::KeyUnknown:
        case DrawRefusal::Why::KeyRevoked:
            return "invalid_api_key";
        case DrawRefusal::Why::KeyExpired:
            return "key_expired";
        case DrawRefusal::Why::LimitExceeded:
            return "balance_limit_exceeded";
        case DrawRefusal::Why::BalanceShort:
            return "insufficient_balance";
        case DrawRefusal::Why::Overloaded:
            return "overloaded";
        case DrawRefusal::Why::StoreUnavailable:
            return "storage_unavailable";
        case DrawRefusal::Why::Broken:
            return "internal_error";
    }
    return "internal_error";
}

http::ApiError upstream_unreachable() {
    return upstream_error(502, "upstream_unreachable", "The model can't be reached.");
}

http::ApiError upstream_failed(http::UpstreamFailure failure) {
    switch (failure) {
        case http::UpstreamFailure::Unreachable:
            return upstream_unreachable();
        case http::UpstreamFailure::Timeout:
            return upstream_error(504, "upstream_timeout", "The model did not answer in time.");
        case http::UpstreamFailure::Broken:
        case http::UpstreamFailure::TooLarge:
            break;
    }
    return upstream_error(502, "upstream_broken", "The model's answer broke off.");
}

std::optional<Seconds> retry_after_of(const http::Headers& headers) {
    constexpr int kSecondsMax = 86'400;
    const auto text = headers.find("retry-after");
    if (!text) return std::nullopt;
    int seconds = 0;
    const auto* end = text->data() + text->size();
    const auto parsed = std::from_chars(text->data(), end, seconds);
    if (parsed.ec != std::errc{} || parsed.ptr != end || seconds <= 0) return std::nullopt;
    return Seconds{std::min(seconds, kSecondsMax)};
}

http::ApiError upstream_away(const UpstreamGate::Away& away) {
    const auto wait = std::max(std::chrono::ceil<Seconds>(away.wait), Seconds{1});
    if (away.why == UpstreamGate::Away::Why::AskedToWait) return upstream_busy(wait);
    http::ApiError error =
        away.why == UpstreamGate::Away::Why::Busy
            ? upstream_error(503, "upstream_busy",
                             "The model has as much to do as it can. Try again.")
            : upstream_error(503, "upstream_unavailable",
                             "The model does not work at the moment. Try again.");
    error.headers.set("Retry-After", std::to_string(wait.count()));
    return error;
}

http::ApiError upstream_nonsense() {
    return upstream_error(502, "upstream_error", "The model's answer was an error.");
}

bool is_worth_another_try(int status) {
    return status == 401 || status == 402 || status == 403 || status == 404 || status == 429 ||
           status >= 500;
}

http::ApiError upstream_refused(int status, const http::Headers& headers, std::string_view body) {
    if (status == 429) return upstream_busy(retry_after_of(headers).value_or(Seconds{1}));
    if (status == 408 || status == 504) return upstream_failed(http::UpstreamFailure::Timeout);
    if (status < 400 || status >= 500 || is_worth_another_try(status)) {
        return upstream_error(502, "upstream_error", "The model can't answer at the moment.");
    }
    const Json error = error_of(body);
    http::ApiError shown{.status = status,
                         .type = redacted(text_member(error, "type")),
                         .code = redacted(text_member(error, "code")),
                         .message = redacted(text_member(error, "message"))};
    if (shown.type.empty()) shown.type = "invalid_request_error";
    if (shown.code.empty()) shown.code = "upstream_refused";
    if (shown.message.empty()) shown.message = "The model refused this request.";
    if (const std::string param = text_member(error, "param"); !param.empty()) {
        shown.param = redacted(param);
    }
    return shown;
}

std::string error_json(Endpoint endpoint, const http::ApiError& error,
                       std::string_view request_id) {
    if (!is_anthropic(endpoint)) return http::to_json(error, request_id);
    http::ApiError shown = error;
    shown.type = anthropic_type(error.status);
    return http::to_json(shown, request_id).insert(1, R"("type":"error",)");
}

http::Response error_response(Endpoint endpoint, const http::ApiError& error,
                              std::string_view request_id) {
    http::Response response = http::to_response(error, request_id);
    if (is_anthropic(endpoint)) response.body = error_json(endpoint, error, request_id);
    return response;
}

http::Response estimated_count(std::int64_t tokens) {
    return http::json_response(
        200, R"({"input_tokens":)" + std::to_string(tokens) + R"(,"usage_source":"estimate"})");
}

std::string broken_stream_event(Endpoint endpoint, std::string_view request_id) {
    const http::ApiError error = upstream_failed(http::UpstreamFailure::Broken);
    std::string json = error_json(endpoint, error, request_id);
    switch (form_of(endpoint).stream) {
        case StreamForm::Chunks:
            return "data: " + json + "\n\n";
        case StreamForm::LastEvent:
            json.insert(1, R"("type":"error","code":)" + http::json_quote(error.code) +
                               R"(,"message":)" + http::json_quote(error.message) +
                               R"(,"param":null,)");
            break;
        case StreamForm::Messages:
            break;
    }
    return "event: error\ndata: " + json + "\n\n";
}

}  // namespace nutgate::proxy
