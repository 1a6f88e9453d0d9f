// URLs of http and https, parsed strictly, and the addresses that must not be called for others.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace nutgate::http {

struct Url {
    bool tls = false;
    std::string host;  // Lower case; an IPv6 address without its brackets.
    std::uint16_t port = 0;
    std::string path;   // Begins with '/' or is empty; never ends with '/'.
    std::string query;  // Without '?'.

    // "https://host:port", the port only where it is not the scheme's own.
    std::string origin() const;
    std::string text() const;
};

// Empty for other schemes, user information, fragments, control characters, an empty host.
std::optional<Url> parse_url(std::string_view text);

// True for 127.0.0.0/8, ::1 and "localhost": by name or literal, nothing is resolved.
bool is_loopback_host(std::string_view host);

// An address, or a network as in "10.0.0.0/8".
bool is_network(std::string_view text);

}  // namespace nutgate::http
