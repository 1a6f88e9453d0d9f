// The SHA-256 that HmacKey is made of has no other name in OpenSSL: EVP's contexts are made, copied
// and freed for three times the instructions of what they hash, and a key is looked at with each
// request, also of those who have none.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "nutgate/crypto/hash.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/sha.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <tuple>

#include "nutgate/base/verify.h"
#include "raw.h"

namespace nutgate::crypto {
namespace {

using DigestContext = std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)>;
using MacContext = std::unique_ptr<EVP_MAC_CTX, decltype(&EVP_MAC_CTX_free)>;

// Fetched once: looking an algorithm up by name costs more than hashing a short text with it.
const EVP_MD* sha256_algorithm() {
    static const EVP_MD* const kAlgorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    return kAlgorithm;
}

EVP_MAC* hmac_algorithm() {
    // OpenSSL takes no const here: NOLINTNEXTLINE(*-avoid-non-const-global-variables)
    static EVP_MAC* const kAlgorithm = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
    return kAlgorithm;
}

MacContext keyed(const char* digest, BytesView key) {
    MacContext context{EVP_MAC_CTX_new(hmac_algorithm()), &EVP_MAC_CTX_free};
    VERIFY(context != nullptr);
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, const_cast<char*>(digest), 0),
        OSSL_PARAM_construct_end()};
    VERIFY(EVP_MAC_init(context.get(), raw(key), key.size(), params) == 1);
    return context;
}

template <std::size_t N>
ByteArray<N> finish(const MacContext& context, std::initializer_list<BytesView> parts) {
    for (const BytesView part : parts) {
        VERIFY(EVP_MAC_update(context.get(), raw(part), part.size()) == 1);
    }
    ByteArray<N> mac;
    std::size_t size = 0;
    VERIFY(EVP_MAC_final(context.get(), raw_out(mac), &size, N) == 1);
    VERIFY(size == N);
    return mac;
}

}  // namespace

Hash256 sha256(BytesView bytes) { return sha256({bytes}); }

Hash256 sha256(std::initializer_list<BytesView> parts) {
    const DigestContext context{EVP_MD_CTX_new(), &EVP_MD_CTX_free};
    VERIFY(context != nullptr);
    VERIFY(EVP_DigestInit_ex(context.get(), sha256_algorithm(), nullptr) == 1);
    for (const BytesView part : parts) {
        VERIFY(EVP_DigestUpdate(context.get(), raw(part), part.size()) == 1);
    }
    Hash256 hash;
    VERIFY(EVP_DigestFinal_ex(context.get(), raw_out(hash), nullptr) == 1);
    return hash;
}

Hash256 tagged_hash(std::string_view tag, std::initializer_list<BytesView> parts) {
    const Hash256 prefix = sha256(as_bytes(tag));
    const DigestContext context{EVP_MD_CTX_new(), &EVP_MD_CTX_free};
    VERIFY(context != nullptr);
    VERIFY(EVP_DigestInit_ex(context.get(), sha256_algorithm(), nullptr) == 1);
    for (int i = 0; i < 2; ++i) {
        VERIFY(EVP_DigestUpdate(context.get(), prefix.data(), prefix.size()) == 1);
    }
    for (const BytesView part : parts) {
        VERIFY(EVP_DigestUpdate(context.get(), raw(part), part.size()) == 1);
    }
    Hash256 hash;
    VERIFY(EVP_DigestFinal_ex(context.get(), raw_out(hash), nullptr) == 1);
    return hash;
}

Hash256 hmac_sha256(BytesView key, std::initializer_list<BytesView> parts) {
    return finish<32>(keyed("SHA256", key), parts);
}

Hash512 hmac_sha512(BytesView key, std::initializer_list<BytesView> parts) {
    return finish<64>(keyed("SHA512", key), parts);
}

// The two hashes of RFC 2104, each as it is when it has taken its block made of the key.
struct HmacKey::Context {
    ~Context() { wipe(std::as_writable_bytes(std::span{this, 1})); }
    SHA256_CTX inner{};
    SHA256_CTX outer{};
};

HmacKey::HmacKey(BytesView key) : context_{new Context} {
    constexpr std::size_t kBlock = 64;
    ByteArray<kBlock> block{};
    if (key.size() > kBlock) {
        Hash256 short_key = sha256(key);
        std::ranges::copy(short_key, block.begin());
        wipe(short_key);
    } else {
        std::ranges::copy(key, block.begin());
    }
    const auto begin = [&block](SHA256_CTX& digest, std::byte pad) {
        for (std::byte& byte : block) byte ^= pad;
        VERIFY(SHA256_Init(&digest) == 1);
        VERIFY(SHA256_Update(&digest, block.data(), block.size()) == 1);
        for (std::byte& byte : block) byte ^= pad;
    };
    begin(context_->inner, std::byte{0x36});
    begin(context_->outer, std::byte{0x5c});
    wipe(block);
}
HmacKey::~HmacKey() = default;

Hash256 HmacKey::mac(std::initializer_list<BytesView> parts) const {
    Hash256 hash;
    SHA256_CTX digest = context_->inner;
    for (const BytesView part : parts) {
        VERIFY(SHA256_Update(&digest, part.data(), part.size()) == 1);
    }
    VERIFY(SHA256_Final(raw_out(hash), &digest) == 1);  // It wipes what it read.
    digest = context_->outer;
    VERIFY(SHA256_Update(&digest, hash.data(), hash.size()) == 1);
    VERIFY(SHA256_Final(raw_out(hash), &digest) == 1);
    return hash;
}

Hash512 pbkdf2_hmac_sha512(BytesView password, BytesView salt, int iterations) {
    constexpr std::size_t kIntMax = std::numeric_limits<int>::max();
    VERIFY(iterations > 0 && password.size() <= kIntMax && salt.size() <= kIntMax);
    Hash512 key;
    VERIFY(PKCS5_PBKDF2_HMAC(reinterpret_cast<const char*>(raw(password)),
                             static_cast<int>(password.size()), raw(salt),
                             static_cast<int>(salt.size()), iterations, EVP_sha512(),
                             static_cast<int>(key.size()), raw_out(key)) == 1);
    return key;
}

Bytes hkdf_sha256(BytesView secret, BytesView salt, std::string_view label, std::size_t size) {
    constexpr std::size_t kBlock = std::tuple_size_v<Hash256>;
    VERIFY(size <= 255 * kBlock);  // The counter below is one byte.
    Hash256 pseudorandom_key = hmac_sha256(salt, {secret});
    Bytes key;
    key.reserve(size + kBlock);
    Hash256 block{};
    BytesView previous;  // Empty before the first block.
    for (std::uint8_t counter = 1; key.size() < size; ++counter) {
        const std::byte count{counter};
        block = hmac_sha256(pseudorandom_key, {previous, as_bytes(label), BytesView{&count, 1}});
        previous = block;
        key.insert(key.end(), block.begin(), block.end());
    }
    wipe(std::span{key}.subspan(size));
    key.resize(size);
    wipe(block);
    wipe(pseudorandom_key);
    return key;
}

}  // namespace nutgate::crypto
