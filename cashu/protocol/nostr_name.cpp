#include "protocol/nostr_name.h"

#include <algorithm>

#include "nutgate/base/bech32.h"
#include "nutgate/base/verify.h"
#include "protocol/utf8.h"

namespace nutgate::cashu {

namespace {

constexpr std::string_view kKey = "npub";
constexpr std::string_view kProfile = "nprofile";

enum Tag : unsigned { kKeyTag = 0, kRelayTag = 1 };

std::optional<ByteArray<32>> key_of(BytesView bytes) {
    if (bytes.size() != 32) return std::nullopt;
    ByteArray<32> key;
    std::ranges::copy(bytes, key.begin());
    return key;
}

// Tags of one byte, lengths of one byte; the first key counts.
std::optional<NostrName> read_profile(BytesView rest) {
    NostrName name;
    bool has_key = false;
    while (!rest.empty()) {
        if (rest.size() < 2) return std::nullopt;
        const auto tag = std::to_integer<unsigned>(rest[0]);
        const auto size = std::to_integer<std::size_t>(rest[1]);
        if (rest.size() - 2 < size) return std::nullopt;
        const auto value = rest.subspan(2, size);
        rest = rest.subspan(2 + size);
        if (tag == kKeyTag && !has_key) {
            const auto key = key_of(value);
            if (!key) return std::nullopt;
            name.key = *key;
            has_key = true;
        } else if (tag == kRelayTag) {
            if (!is_utf8(as_text(value))) return std::nullopt;
            name.relays.emplace_back(as_text(value));
        }
    }
    if (!has_key) return std::nullopt;
    return name;
}

void append(Bytes& out, Tag tag, BytesView value) {
    VERIFY(value.size() <= 0xff);
    out.push_back(static_cast<std::byte>(tag));
    out.push_back(static_cast<std::byte>(value.size()));
    out.insert(out.end(), value.begin(), value.end());
}

}  // namespace

std::optional<NostrName> parse_nostr_name(std::string_view text) {
    const auto decoded = decode_bech32(text);
    if (!decoded) return std::nullopt;
    const auto bytes = to_bytes(decoded->data);
    if (!bytes) return std::nullopt;
    if (decoded->prefix == kProfile) return read_profile(*bytes);
    if (decoded->prefix != kKey) return std::nullopt;
    const auto key = key_of(*bytes);
    if (!key) return std::nullopt;
    return NostrName{*key, {}};
}

std::string write_nostr_name(const NostrName& name) {
    if (name.relays.empty()) return encode_bech32(kKey, to_groups(name.key));
    Bytes bytes;
    append(bytes, kKeyTag, name.key);
    for (const std::string& relay : name.relays) append(bytes, kRelayTag, as_bytes(relay));
    return encode_bech32(kProfile, to_groups(bytes));
}

}  // namespace nutgate::cashu
