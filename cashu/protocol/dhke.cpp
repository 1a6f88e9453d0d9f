#include "nutgate/cashu/dhke.h"

#include "nutgate/crypto/hash.h"
#include "protocol/dleq.h"

namespace nutgate::cashu {

namespace {

constexpr std::string_view kCurveTag = "Secp256k1_HashToCurve_Cashu_";
constexpr std::string_view kNonceTag = "Cashu_DLEQ_R_v1";
constexpr std::uint32_t kCurveTries = 1U << 16;
constexpr int kNonceTries = 256;

}  // namespace

crypto::Hash256 dleq_challenge(const crypto::Point& r1, const crypto::Point& r2,
                               const crypto::Point& key, const crypto::Point& signature) {
    const std::string text = to_hex(r1.uncompressed()) + to_hex(r2.uncompressed()) +
                             to_hex(key.uncompressed()) + to_hex(signature.uncompressed());
    return crypto::sha256(as_bytes(text));
}

std::optional<crypto::Point> hash_to_curve(BytesView message) {
    const auto digest = crypto::sha256({as_bytes(kCurveTag), message});
    for (std::uint32_t counter = 0; counter < kCurveTries; ++counter) {
        ByteArray<4> little_endian;
        for (std::size_t i = 0; i < little_endian.size(); ++i) {
            little_endian[i] = static_cast<std::byte>(counter >> (8 * i));
        }
        const auto x = crypto::sha256({digest, little_endian});
        ByteArray<33> encoded;
        encoded[0] = std::byte{0x02};
        for (std::size_t i = 0; i < x.size(); ++i) encoded[i + 1] = x[i];
        if (auto point = crypto::Point::from_bytes(encoded)) return point;
    }
    return std::nullopt;
}

std::optional<crypto::Point> hash_to_curve(std::string_view secret) {
    return hash_to_curve(as_bytes(secret));
}

std::optional<crypto::Point> blind(const crypto::Point& y, const crypto::Scalar& r) {
    return crypto::add(y, crypto::generator_times(r));
}

crypto::Point sign_blinded(const crypto::Point& blinded, const crypto::Scalar& key) {
    return crypto::multiply(blinded, key);
}

std::optional<crypto::Point> unblind(const crypto::Point& signature, const crypto::Scalar& r,
                                     const crypto::Point& key) {
    return crypto::subtract(signature, crypto::multiply(key, r));
}

bool verify_proof(const crypto::Scalar& key, std::string_view secret, const crypto::Point& c) {
    const auto y = hash_to_curve(secret);
    return y && crypto::multiply(*y, key) == c;
}

Dleq prove_dleq(const crypto::Scalar& key, const crypto::Point& public_key,
                const crypto::Point& blinded, const crypto::Point& signature) {
    const auto a65 = public_key.uncompressed();
    const auto b65 = blinded.uncompressed();
    const auto c65 = signature.uncompressed();
    for (int counter = 0; counter < kNonceTries; ++counter) {
        const ByteArray<1> tail{static_cast<std::byte>(counter)};
        const auto nonce = crypto::Scalar::from_bytes(
            crypto::hmac_sha256(key.bytes(), {as_bytes(kNonceTag), a65, b65, c65, tail}));
        if (!nonce) continue;
        const auto e = dleq_challenge(crypto::generator_times(*nonce),
                                      crypto::multiply(blinded, *nonce), public_key, signature);
        const auto e_scalar = crypto::Scalar::reduce(e);
        if (!e_scalar) continue;
        const auto product = crypto::multiply(*e_scalar, key);
        if (!product) continue;
        const auto s = crypto::add(*nonce, *product);
        if (!s) continue;
        return Dleq{.e = e, .s = s->bytes(), .r = std::nullopt};
    }
    // 256 hashes in a row outside of the group: nobody will ever see it.
    VERIFY(false);
    return {};
}

bool verify_dleq(const Dleq& dleq, const crypto::Point& key, const crypto::Point& blinded,
                 const crypto::Point& signature) {
    const auto s = crypto::Scalar::from_bytes(dleq.s);
    const auto e = crypto::Scalar::reduce(dleq.e);
    if (!s || !e) return false;
    const auto r1 = crypto::subtract(crypto::generator_times(*s), crypto::multiply(key, *e));
    const auto r2 =
        crypto::subtract(crypto::multiply(blinded, *s), crypto::multiply(signature, *e));
    if (!r1 || !r2) return false;
    return equal_in_constant_time(dleq_challenge(*r1, *r2, key, signature), dleq.e);
}

bool verify_dleq(const Proof& proof, const crypto::Point& key) {
    if (!proof.dleq || !proof.dleq->r) return false;
    const auto r = crypto::Scalar::from_bytes(*proof.dleq->r);
    const auto y = hash_to_curve(proof.secret);
    if (!r || !y) return false;
    const auto blinded = blind(*y, *r);
    const auto signature = crypto::add(proof.C, crypto::multiply(key, *r));
    return blinded && signature && verify_dleq(*proof.dleq, key, *blinded, *signature);
}

}  // namespace nutgate::cashu
