#include "nutgate/http/url.h"

#include <algorithm>
#include <arpa/inet.h>
#include <charconv>
#include <netinet/in.h>

#include "nutgate/http/message.h"

namespace nutgate::http {
namespace {

constexpr std::size_t kUrlBytesMax = 8 * 1024;

bool is_ipv4(const std::string& text) {
    in_addr address{};
    return ::inet_pton(AF_INET, text.c_str(), &address) == 1;
}

bool is_ipv6(const std::string& text) {
    in6_addr address{};
    return ::inet_pton(AF_INET6, text.c_str(), &address) == 1;
}

// Names as DNS has them, underscores too, and IPv4 addresses. What is all digits and dots but not
// an address ("127.1", "0177.0.0.1") is refused: resolvers read such names as addresses.
bool is_host_name(const std::string& host) {
    if (host.empty() || host.size() > 253 || host.front() == '.' || host.back() == '.' ||
        host.front() == '-') {
        return false;
    }
    bool is_numeric = true;
    char before = '.';
    for (const char c : host) {
        const bool is_digit = c >= '0' && c <= '9';
        const bool is_letter = c >= 'a' && c <= 'z';
        if (!is_digit && !is_letter && c != '-' && c != '_' && c != '.') return false;
        if (c == '.' && before == '.') return false;
        if (!is_digit && c != '.') is_numeric = false;
        before = c;
    }
    if (is_numeric || host.starts_with("0x")) return is_ipv4(host);
    return true;
}

std::string to_lower(std::string_view text) {
    std::string lower{text};
    std::transform(lower.begin(), lower.end(), lower.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    return lower;
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (error != std::errc{} || end != text.data() + text.size() || port == 0) return std::nullopt;
    return port;
}

bool parse_authority(std::string_view authority, Url& url) {
    if (authority.find('@') != std::string_view::npos) return false;
    std::string_view port;
    if (authority.starts_with('[')) {
        const auto close = authority.find(']');
        if (close == std::string_view::npos) return false;
        url.host = to_lower(authority.substr(1, close - 1));
        if (!is_ipv6(url.host)) return false;
        port = authority.substr(close + 1);
    } else {
        const auto colon = authority.find(':');
        url.host = to_lower(authority.substr(0, colon));
        if (url.host.ends_with('.')) url.host.pop_back();  // A root dot names the same host.
        if (!is_host_name(url.host)) return false;
        port = colon == std::string_view::npos ? std::string_view{} : authority.substr(colon);
    }
    if (port.empty()) return true;
    const auto number = port.front() == ':' ? parse_port(port.substr(1)) : std::nullopt;
    if (!number) return false;
    url.port = *number;
    return true;
}

}  // namespace

std::optional<Url> parse_url(std::string_view text) {
    if (text.size() > kUrlBytesMax) return std::nullopt;
    const bool is_visible = std::all_of(text.begin(), text.end(), [](char c) {
        return c > ' ' && c < '\x7f' && c != '\\' && c != '"' && c != '<' && c != '>';
    });
    if (!is_visible || text.find('#') != std::string_view::npos) return std::nullopt;

    Url url;
    const auto scheme_end = text.find("://");
    if (scheme_end == std::string_view::npos) return std::nullopt;
    const auto scheme = text.substr(0, scheme_end);
    if (equal_without_case(scheme, "https")) {
        url.tls = true;
    } else if (!equal_without_case(scheme, "http")) {
        return std::nullopt;
    }
    url.port = url.tls ? 443 : 80;

    auto rest = text.substr(scheme_end + 3);
    const auto authority_end = std::min(rest.find_first_of("/?"), rest.size());
    if (!parse_authority(rest.substr(0, authority_end), url)) return std::nullopt;
    rest = rest.substr(authority_end);

    const auto query = rest.find('?');
    if (query != std::string_view::npos) {
        url.query = rest.substr(query + 1);
        rest = rest.substr(0, query);
    }
    while (rest.ends_with('/')) rest.remove_suffix(1);
    url.path = rest;
    return url;
}

std::string Url::origin() const {
    std::string text = tls ? "https://" : "http://";
    const bool is_v6 = host.find(':') != std::string::npos;
    if (is_v6) text += '[';
    text += host;
    if (is_v6) text += ']';
    if (port != (tls ? 443 : 80)) text += ":" + std::to_string(port);
    return text;
}

std::string Url::text() const {
    std::string text = origin() + path;
    if (!query.empty()) text += "?" + query;
    return text;
}

bool is_loopback_host(std::string_view host) {
    std::string name = to_lower(host);
    if (name.starts_with('[') && name.ends_with(']')) name = name.substr(1, name.size() - 2);
    if (name.ends_with('.')) name.pop_back();
    if (name == "localhost" || name.ends_with(".localhost")) return true;

    in_addr v4{};
    if (::inet_pton(AF_INET, name.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24U) == 127;
    in6_addr v6{};
    if (::inet_pton(AF_INET6, name.c_str(), &v6) != 1) return false;
    if (IN6_IS_ADDR_LOOPBACK(&v6)) return true;
    return IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == 127;
}

}  // namespace nutgate::http
