#include "nutgate/cashu/blinded_key.h"

#include "nutgate/crypto/hash.h"

namespace nutgate::cashu {

namespace {

constexpr std::string_view kTag = "Cashu_P2BK_v1";

}  // namespace

std::optional<crypto::Scalar> slot_blinding(const crypto::Point& point, const crypto::Scalar& key,
                                            std::size_t slot) {
    if (slot >= kBlindedSlotsMax) return std::nullopt;
    const auto shared = crypto::multiply(point, key).x_only();
    const ByteArray<2> tail{static_cast<std::byte>(slot), std::byte{0xff}};
    const BytesView first{tail.data(), 1};
    // Not reduced: what is no scalar is hashed once more, with a byte behind it.
    const auto r = crypto::Scalar::from_bytes(crypto::sha256({as_bytes(kTag), shared, first}));
    if (r) return r;
    return crypto::Scalar::from_bytes(crypto::sha256({as_bytes(kTag), shared, tail}));
}

std::optional<crypto::Point> blind_key(const crypto::Point& receiver,
                                       const crypto::Scalar& ephemeral, std::size_t slot) {
    const auto r = slot_blinding(receiver, ephemeral, slot);
    if (!r) return std::nullopt;
    return crypto::add(receiver, crypto::generator_times(*r));
}

std::optional<crypto::Scalar> unblind_key(const crypto::Point& blinded, const crypto::Scalar& key,
                                          const crypto::Point& ephemeral, std::size_t slot) {
    const auto r = slot_blinding(ephemeral, key, slot);
    if (!r) return std::nullopt;
    const auto receiver = crypto::subtract(blinded, crypto::generator_times(*r));
    const auto ours = crypto::generator_times(key);
    if (!receiver || receiver->x_only() != ours.x_only()) return std::nullopt;
    return crypto::add(*receiver == ours ? key : crypto::negate(key), *r);
}

}  // namespace nutgate::cashu
