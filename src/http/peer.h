// Who is at the other end, and what a request is called.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "nutgate/http/message.h"

namespace nutgate::http {

// Addresses and networks ("10.0.0.0/8") whose word on the client's address is believed.
class TrustedProxies {
public:
    // Names what can't be read in `malformed`, if anything.
    explicit TrustedProxies(const std::vector<std::string>& texts);
    const std::string& malformed() const { return malformed_; }

    bool contains(std::string_view address) const;
    // `peer`, or, if that is trusted, the rightmost address of X-Forwarded-For that is not: what
    // stands left of it, the client may have written itself.
    std::string client_of(const std::string& peer, const Headers& headers) const;

private:
    using Address = std::array<std::uint8_t, 16>;  // IPv4 as ::ffff:a.b.c.d.
    struct Network {
        Address address{};
        unsigned bits = 128;
    };
    static bool parse(std::string_view text, Address& address);

    std::vector<Network> networks_;
    std::string malformed_;
};

// Random UUIDs (version 4), from the kernel by the page. Not thread-safe: one per data thread.
class RequestIds {
public:
    std::string next();

private:
    std::array<std::uint8_t, 256> random_{};  // As much as getrandom() gives whole.
    std::size_t used_ = 256;
};

// 8 to 64 of [A-Za-z0-9._-]: what a client may call its request.
bool is_request_id(std::string_view text);

}  // namespace nutgate::http
