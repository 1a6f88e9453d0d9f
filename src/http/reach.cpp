#include "nutgate/http/reach.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cstdint>
#include <netinet/in.h>
#include <optional>
#include <span>

namespace nutgate::http {
namespace {

// An IPv6 address has 16 bytes, an IPv4 address four.
struct Range {
    std::array<std::uint8_t, 16> prefix;
    unsigned bits;
};

// IANA's special-purpose registries, and the ranges that are nobody's. 192.88.99/24 and 2002::/16
// are tunnels: what is behind them is anywhere.
constexpr std::array kSpecialV4{
    Range{{0}, 8},
    Range{{10}, 8},
    Range{{100, 64}, 10},
    Range{{127}, 8},
    Range{{169, 254}, 16},
    Range{{172, 16}, 12},
    Range{{192, 0, 0}, 24},
    Range{{192, 0, 2}, 24},
    Range{{192, 88, 99}, 24},
    Range{{192, 168}, 16},
    Range{{198, 18}, 15},
    Range{{198, 51, 100}, 24},
    Range{{203, 0, 113}, 24},
    Range{{224}, 4},
    Range{{240}, 4},
};
// All that is routed lies here; the rest (loopback, fc00::/7, fe80::/10, ff00::/8 and so on) is
// refused by not being in it.
constexpr Range kGlobalV6{{0x20}, 3};
constexpr std::array kSpecialV6{
    Range{{0x20, 0x01}, 23},  // Protocols: Teredo, benchmarks, ORCHID.
    Range{{0x20, 0x01, 0x0d, 0xb8}, 32},
    Range{{0x20, 0x02}, 16},
    Range{{0x3f, 0xff}, 20},
};
// IPv4 in the last four bytes.
constexpr std::array kHoldV4{
    Range{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96},
    Range{{0, 0x64, 0xff, 0x9b}, 96},
};

bool is_in(std::span<const std::uint8_t> address, const Range& range) {
    const unsigned whole = range.bits / 8;
    if (!std::equal(range.prefix.begin(), range.prefix.begin() + whole, address.begin())) {
        return false;
    }
    const unsigned rest = range.bits % 8;
    if (rest == 0) return true;
    const unsigned difference = address[whole] ^ range.prefix.at(whole);
    return difference >> (8 - rest) == 0;
}

template <std::size_t N>
bool is_in_any(std::span<const std::uint8_t> address, const std::array<Range, N>& ranges) {
    return std::any_of(ranges.begin(), ranges.end(),
                       [address](const Range& range) { return is_in(address, range); });
}

}  // namespace

bool is_public_address(std::string_view text) {
    const std::string address{text};
    std::array<std::uint8_t, 16> bytes{};
    const std::span<const std::uint8_t> all{bytes};
    // inet_pton takes the usual forms only, and no zones.
    if (::inet_pton(AF_INET, address.c_str(), bytes.data()) == 1) {
        return !is_in_any(all.first(4), kSpecialV4);
    }
    if (::inet_pton(AF_INET6, address.c_str(), bytes.data()) != 1) return false;
    if (is_in_any(all, kHoldV4)) return !is_in_any(all.last(4), kSpecialV4);
    return is_in(all, kGlobalV6) && !is_in_any(all, kSpecialV6);
}

}  // namespace nutgate::http
