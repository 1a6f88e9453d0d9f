// Bech32 (BIP-173) and Bech32m (BIP-350) without their limit of 90 characters, as invoices, payment
// requests and Nostr's names use them; and the way between bytes and groups of five bits.
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

// They differ in their checksum, and a text of the one is none of the other.
enum class Bech32Form { Bech32, Bech32m };

enum class Bech32Error { Malformed, Checksum };

// Takes upper or lower case, not both at once.
Result<Bech32, Bech32Error> decode_bech32(std::string_view text,
                                          Bech32Form form = Bech32Form::Bech32);
// Lower case.
std::string encode_bech32(std::string_view prefix, GroupsView data,
                          Bech32Form form = Bech32Form::Bech32);

// Zeros fill up the last group.
Groups to_groups(BytesView bytes);
// Empty if what is left over is a whole group or not zero: then it was not made from bytes.
std::optional<Bytes> to_bytes(GroupsView groups);
// Zeros fill up the last byte: what a signature is made over.
Bytes pack(GroupsView groups);

}  // namespace nutgate
