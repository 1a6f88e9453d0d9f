// How Nostr keeps what two keys say to each other: NIP-44 (version 2), and NIP-04, its predecessor,
// for services that know nothing better. A public key is the x of a point, as BIP-340 has it.
//
// NIP-04 has no MAC: only the signature of the event around it protects it, so that one is verified
// first.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "nutgate/base/secret.h"
#include "nutgate/crypto/curve.h"
#include "nutgate/crypto/random.h"

namespace nutgate::crypto {

// Empty for what is no point's x.
std::optional<Point> point_of_x(BytesView x32);

// The same for both sides; one for all their messages.
Secret nip44_conversation_key(const Scalar& ours, const Point& theirs);

inline constexpr std::size_t kNip44PlainMax = 65'535;
// Of 1 to kNip44PlainMax bytes. With a nonce of 32 random bytes, never used twice.
std::string nip44_encrypt(const Secret& conversation_key, std::string_view plain, Random& random);
// Empty if it was not encrypted under that key, was changed, or is of another version. Takes longer
// texts, in their form of 2026, too.
std::optional<std::string> nip44_decrypt(const Secret& conversation_key, std::string_view payload);
// What a text of that size is filled up to.
std::size_t nip44_padded_size(std::size_t size);

std::string nip04_encrypt(const Scalar& ours, const Point& theirs, std::string_view plain,
                          Random& random);
std::optional<std::string> nip04_decrypt(const Scalar& ours, const Point& theirs,
                                         std::string_view content);

}  // namespace nutgate::crypto
