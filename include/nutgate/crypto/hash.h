// Hashes, MACs and key derivation.
#pragma once

#include <initializer_list>
#include <memory>
#include <string_view>

#include "nutgate/base/bytes.h"

namespace nutgate::crypto {

using Hash256 = ByteArray<32>;
using Hash512 = ByteArray<64>;

Hash256 sha256(BytesView bytes);
// Of the parts put one after another, without copying them together.
Hash256 sha256(std::initializer_list<BytesView> parts);
Hash256 tagged_hash(std::string_view tag, std::initializer_list<BytesView> parts);  // BIP-340.

Hash256 hmac_sha256(BytesView key, std::initializer_list<BytesView> parts);
Hash512 hmac_sha512(BytesView key, std::initializer_list<BytesView> parts);
// HMAC-SHA-256 under one key, many times: a fraction of the time of hmac_sha256(). Thread-safe.
class HmacKey {
public:
    explicit HmacKey(BytesView key);
    ~HmacKey();
    HmacKey(const HmacKey&) = delete;
    HmacKey& operator=(const HmacKey&) = delete;

    Hash256 mac(std::initializer_list<BytesView> parts) const;

private:
    struct Context;
    std::unique_ptr<Context> context_;  // Keyed, and only copied from.
};
Hash512 pbkdf2_hmac_sha512(BytesView password, BytesView salt, int iterations);

// RFC 5869 with SHA-256; one label per purpose keeps derived secrets apart.
Bytes hkdf_sha256(BytesView secret, BytesView salt, std::string_view label, std::size_t size);

}  // namespace nutgate::crypto
