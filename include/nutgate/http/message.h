// Requests and answers as plain values, the same for both servers' handlers and both clients.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <optional>
#include <ranges>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace nutgate::http {

enum class Method { Get, Head, Post, Put, Patch, Delete, Options };
std::string_view to_text(Method method);

// In the order of the wire. Names compare without regard to case.
//
// All names and values lie in one string, one after another: a head has a dozen of them, and each
// request has four heads. So what find() and entries() show is valid until the next change.
class Headers {
public:
    using Entry = std::pair<std::string_view, std::string_view>;  // Name and value.

    Headers() = default;
    Headers(std::initializer_list<Entry> entries) {
        for (const auto& [name, value] : entries) add(name, value);
    }

    // The first of that name.
    std::optional<std::string_view> find(std::string_view name) const;
    // Neither of the two may be a part of what is here already.
    void add(std::string_view name, std::string_view value);
    void set(std::string_view name, std::string_view value);  // In place of all of that name.
    void remove(std::string_view name);
    void clear();
    std::size_t count(std::string_view name) const;
    auto entries() const {
        return std::views::transform(places_, [this](const Place& place) {
            return Entry{name_of(place), value_of(place)};
        });
    }

private:
    struct Place {  // The value lies behind the name.
        std::size_t begin;
        std::size_t name_size;
        std::size_t value_size;
    };
    std::string_view name_of(const Place& place) const {
        return {text_.data() + place.begin, place.name_size};
    }
    std::string_view value_of(const Place& place) const {
        return {text_.data() + place.begin + place.name_size, place.value_size};
    }

    std::string text_;
    std::vector<Place> places_;
};

struct Request {
    Method method = Method::Get;
    std::string target;  // As it came: "/v1/models?x=1".
    std::string path;    // Percent-decoded, without query, always begins with '/'.
    std::string query;   // As it came, without '?'.
    Headers headers;
    std::string body;
    std::string client_ip;   // Of the peer, or what a trusted proxy says of it.
    std::string request_id;  // Made here, or a well-formed x-request-id of the client's.
    std::vector<std::pair<std::string, std::string>> path_values;  // Of a route's "{name}"s.

    std::string_view path_value(std::string_view name) const;  // Empty if there is none.
    // Decoded; empty if it does not occur.
    std::optional<std::string> query_value(std::string_view name) const;
};

struct Response {
    int status = 200;
    Headers headers;
    std::string body;
};
Response json_response(int status, std::string body);

// Percent-decoding; '+' stays as it is unless `form`. Empty if malformed.
enum class Encoding { Path, Form };
std::optional<std::string> percent_decode(std::string_view text, Encoding encoding);
std::string percent_encode(std::string_view text);

// How much at the front may stand in a header's value: nothing below ' ' but tab, and no DEL.
std::size_t header_value_run(std::string_view text);
inline bool is_header_value(std::string_view text) { return header_value_run(text) == text.size(); }
// How much at the front may be a header's name: a token as RFC 9110 has it.
std::size_t header_name_run(std::string_view text);
inline bool is_header_name(std::string_view text) {
    return !text.empty() && header_name_run(text) == text.size();
}

// Without regard to the case of ASCII letters.
bool equal_without_case(std::string_view a, std::string_view b);

}  // namespace nutgate::http
