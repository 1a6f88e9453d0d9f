#include "nutgate/crypto/signature.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <fstream>

#include "nutgate/crypto/hash.h"

using namespace nutgate;
using namespace nutgate::crypto;

namespace {

class Fixed final : public Random {
public:
    explicit Fixed(const ByteArray<32>& bytes) : bytes_{bytes} {}
    void fill(std::span<std::byte> bytes) override {
        for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = bytes_.at(i);
    }

private:
    ByteArray<32> bytes_;
};

ByteArray<32> hex32(const nlohmann::json& text) {
    return *array_from_hex<32>(text.get<std::string>());
}

// The same signature with n - s in place of s, and the other nonce point.
RecoverableSignature with_high_s(const RecoverableSignature& signature) {
    const auto s = *Scalar::from_bytes(BytesView{signature.compact}.last(32));
    const auto high = negate(s);
    auto result = signature;
    std::copy(high.bytes().begin(), high.bytes().end(), result.compact.begin() + 32);
    result.recovery_id ^= 1;
    return result;
}

}  // namespace

TEST_CASE("signature: BIP-340's published vectors") {
    std::ifstream in{std::string{NUTGATE_VECTORS} + "/bip340.json"};
    const auto vectors = nlohmann::json::parse(in)["vectors"];
    for (const auto& vector : vectors) {
        CAPTURE(vector["index"].get<int>());
        const auto message = hex32(vector["message"]);
        const auto public_key = hex32(vector["public_key"]);
        const auto signature = *from_hex(vector["signature"].get<std::string>());
        CHECK_EQ(schnorr_verify(public_key, message, signature), vector["valid"].get<bool>());
        if (!vector["secret_key"].get<std::string>().empty()) {
            const auto key = *Scalar::from_hex(vector["secret_key"].get<std::string>());
            Fixed random{hex32(vector["aux_rand"])};
            CHECK_EQ(to_hex(schnorr_sign(key, message, random)), to_hex(signature));
            CHECK_EQ(generator_times(key).x_only(), public_key);
        }
    }
    CHECK_EQ(vectors.size(), 15);
}

TEST_CASE("signature: a Schnorr signature holds for its key and digest only") {
    SystemRandom random;
    const auto key = Scalar::random(random);
    const auto digest = sha256(as_bytes("pay 21 sat"));
    const auto signature = schnorr_sign(key, digest, random);
    const auto x_only = generator_times(key).x_only();
    CHECK(schnorr_verify(x_only, digest, signature));
    CHECK_FALSE(schnorr_verify(x_only, sha256(as_bytes("pay 22 sat")), signature));
    CHECK_FALSE(
        schnorr_verify(generator_times(Scalar::random(random)).x_only(), digest, signature));
    CHECK_FALSE(schnorr_verify(x_only, digest, BytesView{signature}.first(63)));
    CHECK_FALSE(schnorr_verify(generator_times(key).compressed(), digest, signature));
}

TEST_CASE("signature: ECDSA recovers its key, and is always made with a low S") {
    SystemRandom random;
    for (int i = 0; i < 30; ++i) {
        const auto key = Scalar::random(random);
        const auto digest = random.bytes<32>();
        const auto signature = ecdsa_sign(key, digest);
        CHECK_EQ(ecdsa_recover(signature, digest), generator_times(key));
        CHECK(ecdsa_verify(generator_times(key), digest, signature.compact));
        CHECK_LT(signature.compact[32], std::byte{0x80});
    }
}

TEST_CASE("signature: a high S can be recovered from but does not verify") {
    SystemRandom random;
    const auto key = Scalar::random(random);
    const auto digest = sha256(as_bytes("invoice"));
    const auto high = with_high_s(ecdsa_sign(key, digest));
    CHECK_EQ(ecdsa_recover(high, digest), generator_times(key));
    CHECK_FALSE(ecdsa_verify(generator_times(key), digest, high.compact));
}

TEST_CASE("signature: what no key can have made recovers to nothing") {
    const auto digest = sha256(as_bytes("x"));
    RecoverableSignature signature{.compact = {}, .recovery_id = 0};
    CHECK_FALSE(ecdsa_recover(signature, digest).has_value());
    signature.compact.fill(std::byte{0xff});
    CHECK_FALSE(ecdsa_recover(signature, digest).has_value());

    SystemRandom random;
    signature = ecdsa_sign(Scalar::random(random), digest);
    const auto right = ecdsa_recover(signature, digest);
    signature.recovery_id ^= 1;
    CHECK_NE(ecdsa_recover(signature, digest), right);
    for (const int id : {-1, 4, 1000}) {
        signature.recovery_id = id;
        CHECK_FALSE(ecdsa_recover(signature, digest).has_value());
    }
    CHECK_FALSE(ecdsa_verify(*right, digest, BytesView{signature.compact}.first(63)));
    CHECK_FALSE(ecdsa_verify(*right, sha256(as_bytes("y")), signature.compact));
}
