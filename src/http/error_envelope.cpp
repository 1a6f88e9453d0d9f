#include "nutgate/http/error_envelope.h"

#include <nlohmann/json.hpp>

#include "nutgate/base/pen.h"
#include "nutgate/base/plain_run.h"

namespace nutgate::http {

namespace {

// As JSON, quotes included, no byte becomes more than "\u0000".
constexpr std::size_t kByteAsJsonMax = 6;

std::size_t quoted_bytes_max(std::string_view text) { return kByteAsJsonMax * text.size() + 2; }

// Nearly every text is as it is. One beyond ASCII is looked at, since it may not be UTF-8.
bool is_as_it_is(std::string_view text) { return plain_run(text) == text.size(); }

std::string escaped(std::string_view text) {
    return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

void put_quoted(Pen& json, std::string_view text) {
    if (!is_as_it_is(text)) return json.put(escaped(text));
    json.put('"');
    json.put(text);
    json.put('"');
}

using Members = std::vector<std::pair<std::string, std::string>>;

std::size_t members_bytes_max(const Members& members) {
    std::size_t most = 0;
    for (const auto& [name, value] : members) most += quoted_bytes_max(name) + value.size() + 2;
    return most;
}

// Each with a comma before it.
void put_members(Pen& json, const Members& members) {
    for (const auto& [name, value] : members) {
        json.put(',');
        put_quoted(json, name);
        json.put(':');
        json.put(value);
    }
}

std::string error_object(const ApiError& error) {
    constexpr std::size_t kNamesBytesMax = 64;
    std::string json;
    Pen pen{json, kNamesBytesMax + quoted_bytes_max(error.message) + quoted_bytes_max(error.type) +
                      quoted_bytes_max(error.code) +
                      (error.param ? quoted_bytes_max(*error.param) : 0) +
                      members_bytes_max(error.members)};
    pen.put("{\"message\":");
    put_quoted(pen, error.message);
    pen.put(",\"type\":");
    put_quoted(pen, error.type);
    pen.put(",\"code\":");
    put_quoted(pen, error.code);
    if (error.param) {
        pen.put(",\"param\":");
        put_quoted(pen, *error.param);
    }
    put_members(pen, error.members);
    pen.put('}');
    pen.finish();
    return json;
}

}  // namespace

std::string json_quote(std::string_view text) {
    if (!is_as_it_is(text)) return escaped(text);
    std::string json;
    json.reserve(text.size() + 2);
    return json.append(1, '"').append(text).append(1, '"');
}

std::string to_json(const ApiError& error, std::string_view request_id) {
    constexpr std::size_t kNamesBytesMax = 64;
    const std::string object = error_object(error);
    const std::size_t most = kNamesBytesMax + 2 * object.size() + quoted_bytes_max(request_id) +
                             members_bytes_max(error.detail);
    std::string body;
    Pen pen{body, most};
    pen.put("{\"error\":");
    pen.put(object);
    pen.put(",\"detail\":{\"error\":");
    pen.put(object);
    put_members(pen, error.detail);
    pen.put("},\"request_id\":");
    put_quoted(pen, request_id);
    pen.put('}');
    pen.finish();
    return body;
}

Response to_response(const ApiError& error, std::string_view request_id) {
    Response response = json_response(error.status, to_json(error, request_id));
    for (const auto& [name, value] : error.headers.entries()) response.headers.set(name, value);
    return response;
}

}  // namespace nutgate::http
