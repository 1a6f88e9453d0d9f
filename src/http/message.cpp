#include "nutgate/http/message.h"

#include <algorithm>

namespace nutgate::http {
namespace {

constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

constexpr int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

constexpr bool is_alphanumeric(char c) {
    return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z');
}

}  // namespace

bool equal_without_case(std::string_view a, std::string_view b) {
    return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(),
                                              [](char x, char y) { return lower(x) == lower(y); });
}

std::string_view to_text(Method method) {
    switch (method) {
        case Method::Get:
            return "GET";
        case Method::Head:
            return "HEAD";
        case Method::Post:
            return "POST";
        case Method::Put:
            return "PUT";
        case Method::Patch:
            return "PATCH";
        case Method::Delete:
            return "DELETE";
        case Method::Options:
            return "OPTIONS";
    }
    return "GET";
}

std::optional<std::string_view> Headers::find(std::string_view name) const {
    for (const auto& [known, value] : entries_) {
        if (equal_without_case(known, name)) return value;
    }
    return std::nullopt;
}

std::size_t Headers::count(std::string_view name) const {
    return static_cast<std::size_t>(std::count_if(
        entries_.begin(), entries_.end(),
        [name](const Entry& entry) { return equal_without_case(entry.first, name); }));
}

void Headers::add(std::string name, std::string value) {
    // As many as most heads have: growing there from one at a time moves each of them four times.
    constexpr std::size_t kUsual = 16;
    if (entries_.capacity() == 0) entries_.reserve(kUsual);
    entries_.emplace_back(std::move(name), std::move(value));
}

void Headers::set(std::string name, std::string value) {
    remove(name);
    add(std::move(name), std::move(value));
}

void Headers::remove(std::string_view name) {
    std::erase_if(entries_,
                  [name](const Entry& entry) { return equal_without_case(entry.first, name); });
}

std::string_view Request::path_value(std::string_view name) const {
    for (const auto& [known, value] : path_values) {
        if (known == name) return value;
    }
    return {};
}

std::optional<std::string> Request::query_value(std::string_view name) const {
    std::string_view rest = query;
    while (!rest.empty()) {
        const auto end = rest.find('&');
        const auto pair = rest.substr(0, end);
        rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);

        const auto equals = pair.find('=');
        const auto key = percent_decode(pair.substr(0, equals), Encoding::Form);
        if (!key || *key != name) continue;
        if (equals == std::string_view::npos) return std::string{};
        return percent_decode(pair.substr(equals + 1), Encoding::Form);
    }
    return std::nullopt;
}

Response json_response(int status, std::string body) {
    return Response{status, {{"content-type", "application/json"}}, std::move(body)};
}

std::optional<std::string> percent_decode(std::string_view text, Encoding encoding) {
    std::string decoded;
    decoded.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '+' && encoding == Encoding::Form) {
            decoded += ' ';
        } else if (text[i] == '%') {
            if (i + 2 >= text.size()) return std::nullopt;
            const int high = hex_value(text[i + 1]);
            const int low = hex_value(text[i + 2]);
            if (high < 0 || low < 0) return std::nullopt;
            decoded += static_cast<char>(high * 16 + low);
            i += 2;
        } else {
            decoded += text[i];
        }
    }
    return decoded;
}

std::string percent_encode(std::string_view text) {
    constexpr std::string_view kHex = "0123456789ABCDEF";
    std::string encoded;
    encoded.reserve(text.size());
    for (const char c : text) {
        if (is_alphanumeric(c) || c == '-' || c == '.' || c == '_' || c == '~') {
            encoded += c;
            continue;
        }
        const auto byte = static_cast<unsigned char>(c);
        encoded += '%';
        encoded += kHex[byte >> 4U];
        encoded += kHex[byte & 15U];
    }
    return encoded;
}

bool is_header_value(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return (byte >= ' ' || byte == '\t') && byte != 0x7f;
    });
}

bool is_header_name(std::string_view text) {
    constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
    return !text.empty() && std::all_of(text.begin(), text.end(), [kMarks](char c) {
        return is_alphanumeric(c) || kMarks.find(c) != std::string_view::npos;
    });
}

}  // namespace nutgate::http
