// Nostr's events (NIP-01): what a key signed, in the one form that its id is the hash of. What is
// read has the right form; whether it is true is a question of its own, which costs a signature's
// check, so whoever is told events by strangers looks first at whether it wants them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "json_value.h"
#include "nutgate/base/bytes.h"
#include "nutgate/base/result.h"
#include "nutgate/crypto/curve.h"
#include "nutgate/crypto/random.h"

namespace nutgate::lightning {

// A wallet's messages are kilobytes, with a handful of tags.
inline constexpr std::size_t kEventContentMax = 256 * 1024;
inline constexpr std::size_t kEventTagsMax = 256;
inline constexpr std::size_t kEventTagItemsMax = 64;
inline constexpr std::size_t kEventTagItemBytesMax = 4096;
inline constexpr int kEventKindMax = 65'535;

using NostrId = ByteArray<32>;
using NostrTag = std::vector<std::string>;

struct NostrEvent {
    NostrId id{};
    ByteArray<32> author{};  // BIP-340.
    std::int64_t created_at = 0;
    int kind = 0;
    std::vector<NostrTag> tags;
    std::string content;
    ByteArray<64> signature{};

    // The first value of the first tag of that name.
    std::optional<std::string_view> tag(std::string_view name) const;
};

enum class NostrEventError {
    Malformed,       // A member is missing, or not of its type, form or range.
    TooLarge,        // Beyond one of the limits above.
    WrongId,         // It is not the hash of what the event says.
    WrongSignature,  // The author never signed that.
};

// Its form alone.
Result<NostrEvent, NostrEventError> read_event(const Json& json);
// That it is what its author signed.
Result<void, NostrEventError> verify_event(const NostrEvent& event);

// What the hash is of.
std::string event_preimage(const NostrEvent& event);
// With author, id and signature by that key.
NostrEvent sign_event(NostrEvent draft, const crypto::Scalar& key, crypto::Random& random);
Json to_json(const NostrEvent& event);

}  // namespace nutgate::lightning
