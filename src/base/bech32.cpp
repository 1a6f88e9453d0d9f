#include "nutgate/base/bech32.h"

#include <algorithm>
#include <array>

namespace nutgate {
namespace {

constexpr std::string_view kAlphabet = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
constexpr std::size_t kChecksumSize = 6;

constexpr std::uint32_t constant_of(Bech32Form form) {
    return form == Bech32Form::Bech32m ? 0x2bc830a3 : 1;
}

bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
char to_lower(char c) { return is_upper(c) ? static_cast<char>(c - 'A' + 'a') : c; }

// BIP-173's checksum, fed group by group.
class Polymod {
public:
    explicit Polymod(std::string_view prefix) {
        for (const char c : prefix) feed(static_cast<std::uint8_t>(c) >> 5);
        feed(0);
        for (const char c : prefix) feed(static_cast<std::uint8_t>(c) & 31);
    }
    void feed(std::uint32_t group) {
        constexpr std::array<std::uint32_t, 5> kGenerator{0x3b6a57b2, 0x26508e6d, 0x1ea119fa,
                                                          0x3d4233dd, 0x2a1462b3};
        const std::uint32_t top = value_ >> 25;
        value_ = ((value_ & 0x1ffffff) << 5) ^ group;
        for (std::size_t i = 0; i < kGenerator.size(); ++i) {
            if (((top >> i) & 1) != 0) value_ ^= kGenerator[i];
        }
    }
    std::uint32_t value() const { return value_; }

private:
    std::uint32_t value_ = 1;
};

// The same bits in groups of another size; zeros fill up the last one.
template <int kFrom, int kTo, class To, class From>
To regroup(std::span<const From> groups) {
    using Group = typename To::value_type;
    constexpr std::uint32_t kMask = (1U << kTo) - 1;
    To regrouped;
    regrouped.reserve((groups.size() * kFrom + kTo - 1) / kTo);
    std::uint32_t bits = 0;
    int count = 0;
    for (const From group : groups) {
        bits = (bits << kFrom) | static_cast<std::uint32_t>(group);
        count += kFrom;
        while (count >= kTo) {
            count -= kTo;
            regrouped.push_back(static_cast<Group>((bits >> count) & kMask));
        }
    }
    if (count > 0) regrouped.push_back(static_cast<Group>((bits << (kTo - count)) & kMask));
    return regrouped;
}

}  // namespace

Result<Bech32, Bech32Error> decode_bech32(std::string_view text, Bech32Form form) {
    const bool printable = std::ranges::all_of(text, [](char c) { return c >= 33 && c <= 126; });
    const bool mixed = std::ranges::any_of(text, is_lower) && std::ranges::any_of(text, is_upper);
    if (!printable || mixed) return fail(Bech32Error::Malformed);

    const auto separator = text.rfind('1');
    if (separator == std::string_view::npos || separator == 0) return fail(Bech32Error::Malformed);
    if (text.size() - separator - 1 < kChecksumSize) return fail(Bech32Error::Malformed);

    Bech32 decoded;
    std::ranges::transform(text.substr(0, separator), std::back_inserter(decoded.prefix), to_lower);
    Polymod polymod{decoded.prefix};
    for (const char c : text.substr(separator + 1)) {
        const auto group = kAlphabet.find(to_lower(c));
        if (group == std::string_view::npos) return fail(Bech32Error::Malformed);
        decoded.data.push_back(static_cast<std::uint8_t>(group));
        polymod.feed(decoded.data.back());
    }
    if (polymod.value() != constant_of(form)) return fail(Bech32Error::Checksum);
    decoded.data.resize(decoded.data.size() - kChecksumSize);
    return decoded;
}

std::string encode_bech32(std::string_view prefix, GroupsView data, Bech32Form form) {
    std::string text{prefix};
    text += '1';
    Polymod polymod{prefix};
    for (const std::uint8_t group : data) {
        polymod.feed(group);
        text += kAlphabet[group];
    }
    for (std::size_t i = 0; i < kChecksumSize; ++i) polymod.feed(0);
    const std::uint32_t checksum = polymod.value() ^ constant_of(form);
    for (std::size_t i = 0; i < kChecksumSize; ++i) {
        text += kAlphabet[(checksum >> (5 * (kChecksumSize - 1 - i))) & 31];
    }
    return text;
}

Groups to_groups(BytesView bytes) { return regroup<8, 5, Groups>(bytes); }

Bytes pack(GroupsView groups) { return regroup<5, 8, Bytes>(groups); }

std::optional<Bytes> to_bytes(GroupsView groups) {
    Bytes bytes = pack(groups);
    const std::size_t left_over = groups.size() * 5 % 8;
    if (left_over == 0) return bytes;
    if (left_over >= 5 || bytes.back() != std::byte{0}) return std::nullopt;
    bytes.pop_back();
    return bytes;
}

}  // namespace nutgate
