// Names of Nostr keys (NIP-19): "npub1…" of a key alone, "nprofile1…" of a key and its relays.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nutgate/base/bytes.h"

namespace nutgate::cashu {

struct NostrName {
    ByteArray<32> key{};  // x-only. Not checked: nothing is computed with it here.
    std::vector<std::string> relays;
};

std::optional<NostrName> parse_nostr_name(std::string_view text);
// An npub if there are no relays. Relays are at most 255 bytes long.
std::string write_nostr_name(const NostrName& name);

}  // namespace nutgate::cashu
