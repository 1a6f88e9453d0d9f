#include "dialects/refusals.h"

namespace nutgate::proxy {
namespace {

http::ApiError bad_request(std::string code, std::string message, std::string_view field) {
    return {.status = 400,
            .type = "invalid_request_error",
            .code = std::move(code),
            .message = std::move(message),
            .param = std::string{field.substr(0, 256)}};
}

}  // namespace

http::ApiError not_a_request() {
    http::ApiError error = bad_request(
        "invalid_json", "The body is not a JSON object in UTF-8 with each name once.", "");
    error.param.reset();
    return error;
}

http::ApiError wrong_value(std::string_view field, std::string_view what) {
    return bad_request("invalid_value", std::string{field} + " must be " + std::string{what} + '.',
                       field);
}

http::ApiError not_carried(std::string_view field, std::string_view why) {
    return bad_request("unsupported_parameter", std::string{why}, field);
}

}  // namespace nutgate::proxy
