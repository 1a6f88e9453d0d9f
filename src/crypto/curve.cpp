#include "nutgate/crypto/curve.h"

#include <secp256k1_extrakeys.h>

#include <algorithm>
#include <cstdint>

#include "context.h"
#include "nutgate/base/verify.h"

namespace nutgate::crypto {
namespace {

// n, the number of points of the group. Big-endian.
constexpr std::array<std::uint8_t, 32> kOrder{
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe,
    0xba, 0xae, 0xdc, 0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41};

// value - n if that is not negative, else value. No branch depends on the value, which may be a
// secret.
ByteArray<32> subtract_order_once(const ByteArray<32>& value) {
    ByteArray<32> difference;
    std::uint32_t borrow = 0;
    for (std::size_t i = 32; i-- > 0;) {
        const std::uint32_t digit =
            256U + std::to_integer<std::uint32_t>(value[i]) - kOrder[i] - borrow;
        difference[i] = static_cast<std::byte>(digit & 255U);
        borrow = 1U - (digit >> 8U);
    }
    const auto keep = static_cast<std::byte>(0U - borrow);  // All ones if value < n.
    for (std::size_t i = 0; i < 32; ++i) {
        difference[i] = (value[i] & keep) | (difference[i] & ~keep);
    }
    return difference;
}

template <std::size_t N>
ByteArray<N> serialize(const Point& point, unsigned int flags) {
    const auto key = PointAccess::unwrap(point);
    ByteArray<N> bytes;
    std::size_t size = N;
    VERIFY(secp256k1_ec_pubkey_serialize(context(), raw_out(bytes), &size, &key, flags) == 1);
    VERIFY(size == N);
    return bytes;
}

std::optional<Point> combine(const secp256k1_pubkey& a, const secp256k1_pubkey& b) {
    const std::array<const secp256k1_pubkey*, 2> both{&a, &b};
    secp256k1_pubkey sum;
    if (secp256k1_ec_pubkey_combine(context(), &sum, both.data(), both.size()) != 1) {
        return std::nullopt;
    }
    return PointAccess::wrap(sum);
}

}  // namespace

std::optional<Scalar> Scalar::from_bytes(BytesView bytes32) {
    if (bytes32.size() != 32) return std::nullopt;
    if (secp256k1_ec_seckey_verify(context(), raw(bytes32)) != 1) return std::nullopt;
    ByteArray<32> bytes;
    std::copy(bytes32.begin(), bytes32.end(), bytes.begin());
    const Scalar scalar{bytes};
    wipe(bytes);
    return scalar;
}

std::optional<Scalar> Scalar::from_hex(std::string_view hex64) {
    auto bytes = array_from_hex<32>(hex64);
    if (!bytes) return std::nullopt;
    auto scalar = from_bytes(*bytes);
    wipe(*bytes);
    return scalar;
}

std::optional<Scalar> Scalar::reduce(BytesView bytes32) {
    if (bytes32.size() != 32) return std::nullopt;
    ByteArray<32> bytes;
    std::copy(bytes32.begin(), bytes32.end(), bytes.begin());
    bytes = subtract_order_once(bytes);  // Once is enough: 2^256 < 2n.
    auto scalar = from_bytes(bytes);
    wipe(bytes);
    return scalar;
}

Scalar Scalar::random(Random& random) {
    // Drawing again keeps it uniform. The second draw happens once in 2^127.
    for (;;) {
        auto bytes = random.bytes<32>();
        const auto scalar = from_bytes(bytes);
        wipe(bytes);
        if (scalar) return *scalar;
    }
}

std::optional<Scalar> add(const Scalar& a, const Scalar& b) {
    Scalar sum = a;
    const auto done = secp256k1_ec_seckey_tweak_add(context(), raw_out(sum.bytes_), raw(b.bytes_));
    if (done != 1) return std::nullopt;
    return sum;
}

std::optional<Scalar> multiply(const Scalar& a, const Scalar& b) {
    Scalar product = a;
    const auto done =
        secp256k1_ec_seckey_tweak_mul(context(), raw_out(product.bytes_), raw(b.bytes_));
    if (done != 1) return std::nullopt;
    return product;
}

Scalar negate(const Scalar& a) {
    Scalar negative = a;
    VERIFY(secp256k1_ec_seckey_negate(context(), raw_out(negative.bytes_)) == 1);
    return negative;
}

std::optional<Point> Point::from_bytes(BytesView bytes33) {
    // The library would take 65 bytes as well; one point has one spelling here.
    if (bytes33.size() != 33) return std::nullopt;
    secp256k1_pubkey key;
    if (secp256k1_ec_pubkey_parse(context(), &key, raw(bytes33), bytes33.size()) != 1) {
        return std::nullopt;
    }
    return PointAccess::wrap(key);
}

std::optional<Point> Point::from_hex(std::string_view hex66) {
    const auto bytes = array_from_hex<33>(hex66);
    if (!bytes) return std::nullopt;
    return from_bytes(*bytes);
}

ByteArray<33> Point::compressed() const { return serialize<33>(*this, SECP256K1_EC_COMPRESSED); }

ByteArray<65> Point::uncompressed() const {
    return serialize<65>(*this, SECP256K1_EC_UNCOMPRESSED);
}

ByteArray<32> Point::x_only() const {
    const auto bytes = compressed();
    ByteArray<32> x;
    std::copy(bytes.begin() + 1, bytes.end(), x.begin());
    return x;
}

Point generator_times(const Scalar& scalar) {
    secp256k1_pubkey key;
    VERIFY(secp256k1_ec_pubkey_create(context(), &key, raw(scalar.bytes())) == 1);
    return PointAccess::wrap(key);
}

Point multiply(const Point& point, const Scalar& scalar) {
    auto key = PointAccess::unwrap(point);
    VERIFY(secp256k1_ec_pubkey_tweak_mul(context(), &key, raw(scalar.bytes())) == 1);
    return PointAccess::wrap(key);
}

std::optional<Point> add(const Point& a, const Point& b) {
    return combine(PointAccess::unwrap(a), PointAccess::unwrap(b));
}

std::optional<Point> subtract(const Point& a, const Point& b) {
    auto negative = PointAccess::unwrap(b);
    VERIFY(secp256k1_ec_pubkey_negate(context(), &negative) == 1);
    return combine(PointAccess::unwrap(a), negative);
}

}  // namespace nutgate::crypto
