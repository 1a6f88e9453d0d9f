#include "peer.h"

#include <algorithm>
#include <arpa/inet.h>
#include <charconv>
#include <cstring>
#include <netinet/in.h>
#include <ranges>
#include <sys/random.h>

#include "head_reader.h"
#include "nutgate/base/verify.h"
#include "nutgate/http/url.h"

namespace nutgate::http {

bool is_network(std::string_view text) {
    return TrustedProxies{{std::string{text}}}.malformed().empty();
}

TrustedProxies::TrustedProxies(const std::vector<std::string>& texts) {
    for (const std::string& text : texts) {
        const auto slash = text.find('/');
        const std::string_view address{text.data(), std::min(slash, text.size())};
        Network network;
        bool is_good = parse(address, network.address);
        if (is_good && slash != std::string::npos) {
            const bool is_v4 = address.find(':') == std::string_view::npos;
            unsigned bits = 0;
            const char* end = text.data() + text.size();
            const auto parsed = std::from_chars(text.data() + slash + 1, end, bits);
            is_good = parsed.ec == std::errc{} && parsed.ptr == end && bits <= (is_v4 ? 32U : 128U);
            network.bits = is_v4 ? bits + 96 : bits;
        }
        if (is_good) {
            networks_.push_back(network);
        } else {
            malformed_ = text;
        }
    }
}

bool TrustedProxies::parse(std::string_view text, Address& address) {
    const std::string owned{text};
    in_addr v4{};
    if (::inet_pton(AF_INET, owned.c_str(), &v4) == 1) {
        address = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
        std::memcpy(address.data() + 12, &v4, sizeof v4);
        return true;
    }
    return ::inet_pton(AF_INET6, owned.c_str(), address.data()) == 1;
}

bool TrustedProxies::contains(std::string_view text) const {
    Address address{};
    if (networks_.empty() || !parse(text, address)) return false;
    return std::any_of(networks_.begin(), networks_.end(), [&address](const Network& network) {
        const auto bytes = network.bits / 8;
        const auto bits = network.bits % 8;
        if (!std::equal(address.begin(), address.begin() + bytes, network.address.begin())) {
            return false;
        }
        return bits == 0 ||
               (address[bytes] >> (8 - bits)) == (network.address[bytes] >> (8 - bits));
    });
}

std::string TrustedProxies::client_of(const std::string& peer, const Headers& headers) const {
    if (!contains(peer)) return peer;
    std::string believed = peer;
    for (const auto& [name, value] : headers.entries() | std::views::reverse) {
        if (!equal_without_case(name, "x-forwarded-for")) continue;
        std::string_view list = value;
        while (!list.empty()) {
            const auto comma = list.rfind(',');
            const auto text =
                trimmed(comma == std::string_view::npos ? list : list.substr(comma + 1));
            list = comma == std::string_view::npos ? std::string_view{} : list.substr(0, comma);
            Address address{};
            if (!parse(text, address)) return believed;  // Of no use, nor is what is left of it.
            believed = text;
            if (!contains(text)) return believed;
        }
    }
    return believed;
}

std::string RequestIds::next() {
    constexpr std::size_t kBytes = 16;
    if (used_ + kBytes > random_.size()) {
        VERIFY(::getrandom(random_.data(), random_.size(), 0) ==
               static_cast<ssize_t>(random_.size()));
        used_ = 0;
    }
    std::uint8_t* bytes = random_.data() + used_;
    used_ += kBytes;
    bytes[6] = static_cast<std::uint8_t>((bytes[6] & 0x0fU) | 0x40U);
    bytes[8] = static_cast<std::uint8_t>((bytes[8] & 0x3fU) | 0x80U);

    constexpr std::string_view kHex = "0123456789abcdef";
    std::array<char, 36> text;
    char* at = text.data();
    for (std::size_t i = 0; i < kBytes; ++i) {
        if (i == 4 || i == 6 || i == 8 || i == 10) *at++ = '-';
        *at++ = kHex[bytes[i] >> 4U];
        *at++ = kHex[bytes[i] & 15U];
    }
    return {text.data(), text.size()};
}

bool is_request_id(std::string_view text) {
    return text.size() >= 8 && text.size() <= 64 &&
           std::all_of(text.begin(), text.end(), [](char c) {
               return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                      c == '.' || c == '_' || c == '-';
           });
}

}  // namespace nutgate::http
