#include "nutgate/http/error_envelope.h"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace nutgate::http {

std::string json_quote(std::string_view text) {
    // Nearly every text is as it is, and each error has a handful of them.
    const bool is_plain = std::ranges::all_of(
        text, [](char c) { return c >= ' ' && c <= '~' && c != '"' && c != '\\'; });
    if (is_plain) return std::string{"\""}.append(text).append("\"");
    return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string to_json(const ApiError& error, std::string_view request_id) {
    std::string inner = "{\"message\":" + json_quote(error.message) +
                        ",\"type\":" + json_quote(error.type) +
                        ",\"code\":" + json_quote(error.code);
    if (error.param) inner += ",\"param\":" + json_quote(*error.param);
    inner += '}';

    std::string body = "{\"error\":" + inner + ",\"detail\":{\"error\":" + inner;
    for (const auto& [name, value] : error.detail) body += ',' + json_quote(name) + ':' + value;
    return body + "},\"request_id\":" + json_quote(request_id) + '}';
}

Response to_response(const ApiError& error, std::string_view request_id) {
    Response response = json_response(error.status, to_json(error, request_id));
    for (const auto& [name, value] : error.headers.entries()) response.headers.set(name, value);
    return response;
}

}  // namespace nutgate::http
