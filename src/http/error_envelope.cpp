#include "nutgate/http/error_envelope.h"

#include <nlohmann/json.hpp>

#include "nutgate/base/plain_run.h"

namespace nutgate::http {

void append_json_quote(std::string& json, std::string_view text) {
    // Nearly every text is as it is, and each error has a handful of them. One beyond ASCII is
    // looked at, since it may not be UTF-8.
    if (plain_run(text) == text.size()) {
        json.append(1, '"').append(text).append(1, '"');
    } else {
        json += nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    }
}

std::string json_quote(std::string_view text) {
    std::string json;
    json.reserve(text.size() + 2);
    append_json_quote(json, text);
    return json;
}

std::string to_json(const ApiError& error, std::string_view request_id) {
    constexpr std::size_t kUsualBytes = 800;
    std::string body;
    body.reserve(kUsualBytes);
    body += "{\"error\":";
    const auto begin = body.size();
    body += "{\"message\":";
    append_json_quote(body, error.message);
    body += ",\"type\":";
    append_json_quote(body, error.type);
    body += ",\"code\":";
    append_json_quote(body, error.code);
    if (error.param) {
        body += ",\"param\":";
        append_json_quote(body, *error.param);
    }
    body += '}';
    const auto size = body.size() - begin;

    body += ",\"detail\":{\"error\":";
    body.append(body, begin, size);
    for (const auto& [name, value] : error.detail) {
        body += ',';
        append_json_quote(body, name);
        body.append(1, ':').append(value);
    }
    body += "},\"request_id\":";
    append_json_quote(body, request_id);
    body += '}';
    return body;
}

Response to_response(const ApiError& error, std::string_view request_id) {
    Response response = json_response(error.status, to_json(error, request_id));
    for (const auto& [name, value] : error.headers.entries()) response.headers.set(name, value);
    return response;
}

}  // namespace nutgate::http
