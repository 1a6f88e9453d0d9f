// Bech32 (BIP-173) without its limit of 90 characters, as BOLT11 uses it; and the way between bytes
// and groups of five bits.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nutgate/base/bytes.h"
#include "nutgate/base/result.h"

namespace nutgate {

using Groups = std::vector<std::uint8_t>;  // Each below 32.
using GroupsView = std::span<const std::uint8_t>;

struct Bech32 {
    std::string prefix;  // Lower case.
    Groups data;         // Without the checksum.
};

enum class Bech32Error { Malformed, Checksum };

// Takes upper or lower case, not both at once.
Result<Bech32, Bech32Error> decode_bech32(std::string_view text);
std::string encode_bech32(std::string_view prefix, GroupsView data);

// Zeros fill up the last group.
Groups to_groups(BytesView bytes);
// Empty if what is left over is a whole group or not zero: then it was not made from bytes.
std::optional<Bytes> to_bytes(GroupsView groups);
// Zeros fill up the last byte: what a signature is made over.
Bytes pack(GroupsView groups);

}  // namespace nutgate
