// The one shape of every error that a client of the public face sees:
//
//     {"error":{"message","type","code","param"?},"detail":{"error":{same},…},"request_id"}
//
// Clients of three generations read it in different places (routstr-contract 1.0, 1.10); it is
// built here and nowhere else.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nutgate/http/message.h"

namespace nutgate::http {

struct ApiError {
    int status = 500;
    std::string type = "api_error";  // "invalid_request_error", "insufficient_quota", …
    std::string code = "internal_error";
    std::string message;
    std::optional<std::string> param = std::nullopt;  // The field of the request that is at fault.
    // Further members of `detail`, and of `error` itself, each a name and its value as JSON text,
    // in order.
    std::vector<std::pair<std::string, std::string>> detail = {};
    std::vector<std::pair<std::string, std::string>> members = {};
    Headers headers = {};  // Retry-After, X-Cashu.
};

std::string to_json(const ApiError& error, std::string_view request_id);
Response to_response(const ApiError& error, std::string_view request_id);

// `text` as a JSON string, quotes included. Bytes that are not UTF-8 become U+FFFD.
std::string json_quote(std::string_view text);

}  // namespace nutgate::http
