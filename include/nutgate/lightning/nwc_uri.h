// The address of a wallet service in Nostr Wallet Connect (NIP-47): who it is, by which relays it
// is reached, and the key that it knows us by. Who has it has the wallet: all of it is a secret.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "nutgate/base/bytes.h"
#include "nutgate/base/result.h"
#include "nutgate/base/secret.h"

namespace nutgate {

inline constexpr std::size_t kNwcUriBytesMax = 4096;
inline constexpr std::size_t kNwcRelaysMax = 8;

// nostr+walletconnect://SERVICE?relay=…&relay=…&secret=…&lud16=…
struct NwcUri {
    ByteArray<32> service{};          // Its public key; a point of the curve.
    std::vector<std::string> relays;  // ws:// or wss://, each once.
    Secret secret;                    // Our private key: 32 bytes, a valid scalar.
    std::string lud16;                // A Lightning address of the same wallet; may be empty.
};

enum class NwcUriError {
    NotAnAddress,  // Of another scheme, or beyond kNwcUriBytesMax.
    EscapeMalformed,
    ServiceMalformed,  // Not 64 digits of hex, or no point of the curve.
    RelayMissing,
    RelayMalformed,  // No URL of ws or wss.
    TooManyRelays,
    SecretMissing,
    SecretMalformed,  // Not 64 digits of hex, or no key.
    Repeated,         // A secret or a lud16 given twice.
};
// In words, without what it is of.
std::string_view to_text(NwcUriError error);

// The "//" may be left out; parameters that it does not know are passed over.
Result<NwcUri, NwcUriError> parse_nwc_uri(std::string_view text);

}  // namespace nutgate
