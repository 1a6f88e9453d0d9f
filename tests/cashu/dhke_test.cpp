#include "nutgate/cashu/dhke.h"

#include "cashu/vectors.h"
#include "nutgate/crypto/mnemonic.h"
#include "protocol/dleq.h"
#include "support/seeded_random.h"

namespace nutgate::cashu {
namespace {

using test::Json;
using test::vectors;

TEST_CASE("dhke: hash_to_curve gives the points of NUT-00") {
    for (const Json all = vectors("nut00"); const Json& vector : all["hash_to_curve"]) {
        CAPTURE(vector.dump());
        const auto y = hash_to_curve(test::bytes(vector["message_hex"]));
        REQUIRE(y);
        CHECK(y->hex() == test::text(vector["point"]));
    }
}

TEST_CASE("dhke: blinding gives the messages of NUT-00") {
    for (const Json all = vectors("nut00"); const Json& vector : all["blinded_messages"]) {
        CAPTURE(vector.dump());
        const auto y = hash_to_curve(test::bytes(vector["secret_bytes_hex"]));
        const auto blinded = blind(y.value(), test::scalar(vector["r"]));
        REQUIRE(blinded);
        CHECK(blinded->hex() == test::text(vector["B_"]));
    }
}

TEST_CASE("dhke: signing gives the signatures of NUT-00") {
    for (const Json all = vectors("nut00"); const Json& vector : all["blinded_signatures"]) {
        CAPTURE(vector.dump());
        CHECK(sign_blinded(test::point(vector["B_"]), test::scalar(vector["mint_private_key"]))
                  .hex() == test::text(vector["C_"]));
    }
}

TEST_CASE("dhke: a DLEQ with NUT-12's nonce is the published one to the byte") {
    for (const Json all = vectors("nut12"); const Json& vector : all["deterministic_nonce"]) {
        CAPTURE(vector.dump());
        const auto key = test::scalar(vector["a"]);
        const auto blinded = test::point(vector["B_"]);
        const auto signature = test::point(vector["C_"]);
        CHECK(crypto::generator_times(key).hex() == test::text(vector["A"]));
        const Dleq dleq = prove_dleq(key, crypto::generator_times(key), blinded, signature);
        CHECK(to_hex(dleq.e) == test::text(vector["e"]));
        CHECK(to_hex(dleq.s) == test::text(vector["s"]));
        CHECK_FALSE(dleq.r);
        CHECK(verify_dleq(dleq, test::point(vector["A"]), blinded, signature));
    }
}

TEST_CASE("dhke: the DLEQs of NUT-12 verify as they say") {
    const Json file = vectors("nut12");
    for (const Json& vector : file["blind_signature_dleq"]) {
        CAPTURE(vector.dump());
        const Json& signature = vector["blind_signature"];
        CHECK(verify_dleq(test::dleq(signature).value(), test::point(vector["A"]),
                          test::point(vector["B_"]),
                          test::point(signature["C_"])) == vector["valid"].get<bool>());
    }
    for (const Json& vector : file["proof_dleq"]) {
        CAPTURE(vector.dump());
        const Json& json = vector["proof"];
        CHECK(verify_dleq(test::proof(json, test::keyset_id(json["id"])),
                          test::point(vector["A"])) == vector["valid"].get<bool>());
    }
}

TEST_CASE("dhke: the hash of NUT-12") {
    for (const Json all = vectors("nut12"); const Json& vector : all["hash_e"]) {
        const Json& points = vector["points"];
        CHECK(to_hex(dleq_challenge(test::point(points[0]), test::point(points[1]),
                                    test::point(points[2]), test::point(points[3]))) ==
              test::text(vector["hash"]));
    }
}

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

TEST_CASE("secrets: NUT-13 gives the published secrets and factors, both versions") {
    const Json file = vectors("nut13");
    const Secret seed = crypto::mnemonic_seed(file["mnemonic"].get<std::string>(),
                                              file["bip39_passphrase"].get<std::string>());
    CHECK(to_hex(seed.reveal()) == test::text(file["bip39_seed_hex"]));
    const SecretDeriver deriver{seed};
    for (const char* version : {"v1", "v2"}) {
        const auto id = test::keyset_id(file[version]["keyset_id"]);
        for (const Json& entry : file[version]["entries"]) {
            CAPTURE(entry.dump());
            const auto derived = deriver.derive(id, entry["counter"].get<std::uint64_t>());
            REQUIRE(derived);
            CHECK(derived->secret == test::text(entry["secret"]));
            CHECK(to_hex(derived->r.bytes()) == test::text(entry["r"]));
        }
    }
}

TEST_CASE("secrets: a v1 counter beyond BIP-32's range has no secret") {
    const Json file = vectors("nut13");
    const SecretDeriver deriver{test::seed(file["bip39_seed_hex"])};
    CHECK_FALSE(deriver.derive(test::keyset_id(file["v1"]["keyset_id"]), 1ULL << 31));
    CHECK(deriver.derive(test::keyset_id(file["v2"]["keyset_id"]), 1ULL << 31));
}

TEST_CASE("secrets: the keys that ecash and quotes are locked to are the published ones") {
    const Json p2pk = vectors("nut13_p2pk_keys");
    const SecretDeriver deriver{test::seed(p2pk["bip39_seed_hex"])};
    for (const Json& entry : p2pk["entries"]) {
        CAPTURE(entry.dump());
        const auto key = deriver.receive_lock_key(entry["counter"].get<std::uint32_t>());
        REQUIRE(key);
        CHECK(to_hex(key->bytes()) == test::text(entry["secret_key_computed"]));
        CHECK(crypto::generator_times(*key).hex() == test::text(entry["public_key"]));
    }
    const Json quotes = vectors("nut20_amended")["lock_keys"];
    for (const Json& entry : quotes["entries"]) {
        CAPTURE(entry.dump());
        const auto key = deriver.quote_lock_key(entry["counter"].get<std::uint32_t>());
        REQUIRE(key);
        CHECK(crypto::generator_times(*key).hex() == test::text(entry["public_key"]));
    }
    CHECK_FALSE(deriver.quote_lock_key(0x80000000U));
}

TEST_CASE("interop: the issuance chains of cashu-ts are ours, step by step") {
    const Json file = vectors("interop_cashu_ts");
    const SecretDeriver deriver{crypto::mnemonic_seed(file["mnemonic"].get<std::string>())};
    for (const Json& step : file["issuance"]) {
        CAPTURE(step.dump());
        const auto id = test::keyset_id(step["id"]);
        const std::string amount = std::to_string(step["amount"].get<Amount>());
        const auto mint_key = test::scalar(file["mint_private_keys"][amount]);
        const auto key = test::point(file["keys"][amount]);
        CHECK(crypto::generator_times(mint_key) == key);

        const auto derived = deriver.derive(id, step["counter"].get<std::uint64_t>());
        REQUIRE(derived);
        CHECK(derived->secret == test::text(step["secret"]));
        CHECK(to_hex(derived->r.bytes()) == test::text(step["r"]));
        const auto y = hash_to_curve(derived->secret).value();
        CHECK(y.hex() == test::text(step["Y"]));
        const auto blinded = blind(y, derived->r).value();
        CHECK(blinded.hex() == test::text(step["B_"]));
        const auto signature = sign_blinded(blinded, mint_key);
        CHECK(signature.hex() == test::text(step["C_"]));
        const auto c = unblind(signature, derived->r, key).value();
        CHECK(c.hex() == test::text(step["C"]));
        CHECK(verify_proof(mint_key, derived->secret, c));
        // cashu-ts draws its nonce, so its DLEQ is one of many: verified, not reproduced.
        CHECK(verify_dleq(test::dleq(step).value(), key, blinded, signature));
        CHECK(verify_dleq(prove_dleq(mint_key, key, blinded, signature), key, blinded, signature));
    }
}

}  // namespace
}  // namespace nutgate::cashu
