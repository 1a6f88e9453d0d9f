#include <array>

#include "nutgate/cashu/dhke.h"
#include "nutgate/crypto/hash.h"

namespace nutgate::cashu {

namespace {

using crypto::kHardened;

constexpr std::string_view kV2Tag = "Cashu_KDF_HMAC_SHA256";
constexpr std::uint32_t kSecretsPurpose = 129372;
constexpr std::uint32_t kLocksPurpose = 129373;
constexpr std::uint32_t kReceiveLocks = 10;
constexpr std::uint32_t kQuoteLocks = 20;
// BIP-32 has 31 bits for a hardened index, so an 8-byte id is folded into them (NUT-13).
constexpr std::uint64_t kIdModulus = (1ULL << 31) - 1;

ByteArray<8> big_endian(std::uint64_t value) {
    ByteArray<8> bytes;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        bytes[i] = static_cast<std::byte>(value >> (56 - 8 * i));
    }
    return bytes;
}

crypto::ExtendedKey master_of(const Secret& seed) {
    auto master = crypto::master_key(seed.reveal());
    VERIFY(master.has_value());
    return *std::move(master);
}

std::optional<crypto::Scalar> lock_key(const crypto::ExtendedKey& master, std::uint32_t purpose,
                                       std::uint32_t index) {
    if (index >= kHardened) return std::nullopt;
    const std::array<std::uint32_t, 5> path{kLocksPurpose | kHardened, purpose | kHardened,
                                            kHardened, kHardened, index};
    const auto derived = crypto::derive(master, path);
    if (!derived) return std::nullopt;
    return derived->key;
}

}  // namespace

SecretDeriver::SecretDeriver(const Secret& seed64)
    : seed_{seed64.copy()}, master_{master_of(seed64)} {}

std::optional<BlindingSecret> SecretDeriver::derive(const KeysetId& id,
                                                    std::uint64_t counter) const {
    const Bytes id_bytes = id.bytes();
    if (id.version() == 1) {
        VERIFY(!id.is_short());
        const auto digest = [&](std::byte which) {
            return crypto::hmac_sha256(
                seed_.reveal(), {as_bytes(kV2Tag), id_bytes, big_endian(counter), {&which, 1}});
        };
        const auto r = crypto::Scalar::reduce(digest(std::byte{0x01}));
        if (!r) return std::nullopt;
        return BlindingSecret{to_hex(digest(std::byte{0x00})), *r};
    }

    if (counter >= kHardened) return std::nullopt;
    std::uint64_t id_number = 0;
    for (const std::byte byte : id_bytes) {
        id_number = id_number << 8 | std::to_integer<std::uint64_t>(byte);
    }
    const auto id_index = static_cast<std::uint32_t>(id_number % kIdModulus);
    std::array<std::uint32_t, 5> path{kSecretsPurpose | kHardened, kHardened, id_index | kHardened,
                                      static_cast<std::uint32_t>(counter) | kHardened, 0};
    const auto secret = crypto::derive(master_, path);
    path.back() = 1;
    const auto r = crypto::derive(master_, path);
    if (!secret || !r) return std::nullopt;
    return BlindingSecret{to_hex(secret->key.bytes()), r->key};
}

std::optional<crypto::Scalar> SecretDeriver::quote_lock_key(std::uint32_t index) const {
    return lock_key(master_, kQuoteLocks, index);
}

std::optional<crypto::Scalar> SecretDeriver::receive_lock_key(std::uint32_t index) const {
    return lock_key(master_, kReceiveLocks, index);
}

}  // namespace nutgate::cashu
