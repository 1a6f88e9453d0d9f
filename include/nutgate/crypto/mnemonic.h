// The node's one secret: a BIP-39 mnemonic, its seed, and what is derived from that.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "nutgate/base/secret.h"
#include "nutgate/crypto/curve.h"
#include "nutgate/crypto/random.h"

namespace nutgate::crypto {

// Twelve English words.
std::string new_mnemonic(Random& random);
// Known words in lower case with one space between, a right count (12, 15, 18, 21 or 24) and
// checksum.
bool mnemonic_valid(std::string_view words);
// ASCII only: other text would have to be normalised (NFKD), and a seed that no other wallet finds
// again is worse than a refusal.
bool passphrase_valid(std::string_view passphrase);
// 64 bytes. `words` and `passphrase` must be valid.
Secret mnemonic_seed(std::string_view words, std::string_view passphrase = {});

// BIP-32, private derivation only.
struct ExtendedKey {
    Scalar key;
    ByteArray<32> chain_code;
};
inline constexpr std::uint32_t kHardened = 0x80000000U;
std::optional<ExtendedKey> master_key(BytesView seed);
// Empty with a probability below 2^-127 a step.
std::optional<ExtendedKey> derive(const ExtendedKey& parent, std::span<const std::uint32_t> path);

}  // namespace nutgate::crypto
