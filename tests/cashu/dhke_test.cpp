#include "nutgate/cashu/dhke.h"

#include "cashu/vectors.h"
#include "nutgate/crypto/mnemonic.h"
#include "protocol/dleq.h"
#include "support/seeded_random.h"

namespace nutgate::cashu {
namespace {

using test::Json;
using test::vectors;

TEST_CASE("dhke: a DLEQ of other points, or changed, does not verify") {
    const Json vector = vectors("nut12")["deterministic_nonce"][0];
    Dleq dleq{test::bytes32(vector["e"]), test::bytes32(vector["s"]), std::nullopt};
    const auto a = test::point(vector["A"]);
    const auto blinded = test::point(vector["B_"]);
    const auto signature = test::point(vector["C_"]);
    CHECK(verify_dleq(dleq, a, blinded, signature));
    CHECK_FALSE(verify_dleq(dleq, blinded, blinded, signature));
    CHECK_FALSE(verify_dleq(dleq, a, a, signature));
    CHECK_FALSE(verify_dleq(dleq, a, blinded, a));
    dleq.s[31] ^= std::byte{1};
    CHECK_FALSE(verify_dleq(dleq, a, blinded, signature));
    dleq = {{}, {}, std::nullopt};
    CHECK_FALSE(verify_dleq(dleq, a, blinded, signature));
}

TEST_CASE("dhke: what one key signed verifies under it and under no other") {
    test::SeededRandom random;
    const auto key = crypto::Scalar::random(random);
    const auto other = crypto::Scalar::random(random);
    const auto r = crypto::Scalar::random(random);
    const std::string secret = "a secret, as text";
    const auto blinded = blind(hash_to_curve(secret).value(), r).value();
    const auto signature = sign_blinded(blinded, key);
    const auto c = unblind(signature, r, crypto::generator_times(key)).value();
    CHECK(verify_proof(key, secret, c));
    CHECK_FALSE(verify_proof(other, secret, c));
    CHECK_FALSE(verify_proof(key, "another secret", c));
    CHECK_FALSE(verify_proof(key, secret, signature));

    Dleq dleq = prove_dleq(key, crypto::generator_times(key), blinded, signature);
    dleq.r = r.bytes();
    const Proof proof{1, KeysetId::parse("009a1f293253e41e").value(), secret, c, {}, dleq, {}};
    CHECK(verify_dleq(proof, crypto::generator_times(key)));
    CHECK_FALSE(verify_dleq(proof, crypto::generator_times(other)));
    Proof without = proof;
    without.dleq->r.reset();
    CHECK_FALSE(verify_dleq(without, crypto::generator_times(key)));
}

TEST_CASE("dhke: a blinding that ends in the identity is refused") {
    test::SeededRandom random;
    const auto r = crypto::Scalar::random(random);
    CHECK_FALSE(blind(crypto::generator_times(crypto::negate(r)), r));
    CHECK_FALSE(unblind(crypto::generator_times(r), r,
                        crypto::generator_times(test::scalar(
                            "0000000000000000000000000000000000000000000000000000000000000001"))));
}

TEST_CASE("secrets: a v1 counter or a lock's index beyond BIP-32's range has none") {
    const Json file = vectors("nut13");
    const SecretDeriver deriver{test::seed(file["bip39_seed_hex"])};
    CHECK_FALSE(deriver.derive(test::keyset_id(file["v1"]["keyset_id"]), 1ULL << 31));
    CHECK(deriver.derive(test::keyset_id(file["v2"]["keyset_id"]), 1ULL << 31));
    CHECK_FALSE(deriver.quote_lock_key(0x80000000U));
    CHECK_FALSE(deriver.receive_lock_key(0x80000000U));
}

}  // namespace
}  // namespace nutgate::cashu
