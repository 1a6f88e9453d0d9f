// NUT-00's curve work, NUT-12's proofs of equality, what comes from a seed (NUT-13, NUT-20,
// NUT-27), blinded keys (NUT-28), and the chains of cashu-ts.
#include "cashu/vector_cases.h"
#include "nutgate/cashu/blinded_key.h"
#include "nutgate/cashu/dhke.h"
#include "nutgate/crypto/hash.h"
#include "nutgate/crypto/mnemonic.h"
#include "protocol/dleq.h"

namespace nutgate::test {
namespace {

using namespace cashu;

void hash_to_curve_gives(const Json&, const Json& vector) {
    const auto y = hash_to_curve(bytes(vector["message_hex"]));
    REQUIRE(y);
    CHECK(y->hex() == text(vector["point"]));
}

void blinding_gives(const Json&, const Json& vector) {
    const auto y = hash_to_curve(bytes(vector["secret_bytes_hex"]));
    const auto blinded = blind(y.value(), scalar(vector["r"]));
    REQUIRE(blinded);
    CHECK(blinded->hex() == text(vector["B_"]));
}

void signing_gives(const Json&, const Json& vector) {
    const auto signature = sign_blinded(point(vector["B_"]), scalar(vector["mint_private_key"]));
    CHECK(signature.hex() == text(vector["C_"]));
}

void challenge_is(const Json&, const Json& vector) {
    const Json& points = vector["points"];
    CHECK(to_hex(dleq_challenge(point(points[0]), point(points[1]), point(points[2]),
                                point(points[3]))) == text(vector["hash"]));
}

void dleq_is(const Json&, const Json& vector) {
    const auto key = scalar(vector["a"]);
    const auto blinded = point(vector["B_"]);
    const auto signature = point(vector["C_"]);
    CHECK(crypto::generator_times(key).hex() == text(vector["A"]));
    const Dleq made = prove_dleq(key, crypto::generator_times(key), blinded, signature);
    CHECK(to_hex(made.e) == text(vector["e"]));
    CHECK(to_hex(made.s) == text(vector["s"]));
    CHECK_FALSE(made.r);
    CHECK(verify_dleq(made, point(vector["A"]), blinded, signature));
}

void signature_dleq_verifies(const Json&, const Json& vector) {
    const Json& signature = vector["blind_signature"];
    CHECK(verify_dleq(dleq(signature).value(), point(vector["A"]), point(vector["B_"]),
                      point(signature["C_"])) == vector["valid"].get<bool>());
}

void proof_dleq_verifies(const Json&, const Json& vector) {
    const Json& json = vector["proof"];
    CHECK(verify_dleq(proof(json, keyset_id(json["id"])), point(vector["A"])) ==
          vector["valid"].get<bool>());
}

SecretDeriver deriver_of(const Json& file) {
    const std::string passphrase = file.value("bip39_passphrase", "");
    const Secret made = crypto::mnemonic_seed(file["mnemonic"].get<std::string>(), passphrase);
    CHECK(to_hex(made.reveal()) == text(file["bip39_seed_hex"]));
    return SecretDeriver{made};
}

void derives(const Json& file, const char* version, const Json& entry) {
    const auto derived = deriver_of(file).derive(keyset_id(file[version]["keyset_id"]),
                                                 entry["counter"].get<std::uint64_t>());
    REQUIRE(derived);
    CHECK(derived->secret == text(entry["secret"]));
    CHECK(to_hex(derived->r.bytes()) == text(entry["r"]));
}

void derives_v1(const Json& file, const Json& entry) { derives(file, "v1", entry); }
void derives_v2(const Json& file, const Json& entry) { derives(file, "v2", entry); }

void receive_key_is(const Json& file, const Json& entry) {
    const auto key = deriver_of(file).receive_lock_key(entry["counter"].get<std::uint32_t>());
    REQUIRE(key);
    CHECK(to_hex(key->bytes()) == text(entry["secret_key_computed"]));
    CHECK(crypto::generator_times(*key).hex() == text(entry["public_key"]));
}

void quote_key_is(const Json& file, const Json& entry) {
    const auto key =
        deriver_of(file["lock_keys"]).quote_lock_key(entry["counter"].get<std::uint32_t>());
    REQUIRE(key);
    CHECK(to_hex(key->bytes()) == text(entry["secret_key_computed"]));
    CHECK(crypto::generator_times(*key).hex() == text(entry["public_key"]));
}

// A node keeps no backup of mint lists at Nostr relays, so there is no code of ours behind NUT-27:
// the vector holds our primitives to what such a code would be made of.
void backup_key_is(const Json& file, const Json&) {
    const Secret made = crypto::mnemonic_seed(file["mnemonic"].get<std::string>(),
                                              file["bip39_passphrase"].get<std::string>());
    CHECK(to_hex(made.reveal()) == text(file["bip39_seed_hex"]));
    const auto key = crypto::Scalar::from_bytes(
        crypto::sha256({made.reveal(), as_bytes(file["domain_separator"].get<std::string>())}));
    REQUIRE(key);
    CHECK(to_hex(key->bytes()) == text(file["secret_key"]));
    CHECK(to_hex(crypto::generator_times(*key).x_only()) == text(file["public_key_xonly"]));
}

void slot_is(const Json& file, const Json& vector) {
    const auto e = scalar(file["sender_ephemeral"]["e"]);
    const auto ephemeral = point(file["sender_ephemeral"]["E"]);
    const auto p = scalar(file["receiver"]["p"]);
    const auto known = point(file["receiver"]["P"]);  // Of the other parity than pG.
    const auto slot = vector["slot"].get<std::size_t>();
    CHECK(crypto::generator_times(e) == ephemeral);
    CHECK(to_hex(crypto::multiply(ephemeral, p).x_only()) == text(file["Zx"]));
    for (const auto& r : {slot_blinding(ephemeral, p, slot), slot_blinding(known, e, slot)}) {
        REQUIRE(r);
        CHECK(to_hex(r->bytes()) == text(vector["r"]));
    }
    const auto blinded = blind_key(known, e, slot).value();
    CHECK(blinded.hex() == text(vector["blinded_pubkey"]));
    const auto negated = unblind_key(blinded, p, ephemeral, slot);
    REQUIRE(negated);
    CHECK(to_hex(negated->bytes()) == text(vector["sk_negated"]));
    CHECK(crypto::generator_times(*negated) == blinded);
    // A sender who knew pG itself gets the other derivation.
    const auto natural = blind_key(point(file["receiver"]["pG"]), e, slot).value();
    const auto standard = unblind_key(natural, p, ephemeral, slot);
    REQUIRE(standard);
    CHECK(to_hex(standard->bytes()) == text(vector["sk_standard"]));
    CHECK(crypto::generator_times(*standard) == natural);
    CHECK_FALSE(unblind_key(blinded, p, ephemeral, (slot + 1) % kBlindedSlotsMax));
}

void blinds_as_cashu_ts(const Json&, const Json& vector) {
    const auto p = scalar(vector["receiver_secret"]);
    const auto e = scalar(vector["ephemeral_secret"]);
    const auto slot = vector["slot"].get<std::size_t>();
    CHECK(crypto::generator_times(e).hex() == text(vector["E"]));
    const auto blinded = blind_key(point(vector["receiver_pubkey"]), e, slot);
    REQUIRE(blinded);
    CHECK(blinded->hex() == text(vector["blinded_pubkey"]));
    const auto key = unblind_key(*blinded, p, point(vector["E"]), slot);
    REQUIRE(key);
    CHECK(crypto::generator_times(*key) == *blinded);
}

void issues_as_cashu_ts(const Json& file, const Json& step) {
    const std::string amount = std::to_string(step["amount"].get<Amount>());
    const auto mint_key = scalar(file["mint_private_keys"][amount]);
    const auto key = point(file["keys"][amount]);
    CHECK(crypto::generator_times(mint_key) == key);

    const auto derived =
        deriver_of(file).derive(keyset_id(step["id"]), step["counter"].get<std::uint64_t>());
    REQUIRE(derived);
    CHECK(derived->secret == text(step["secret"]));
    CHECK(to_hex(derived->r.bytes()) == text(step["r"]));
    const auto y = hash_to_curve(derived->secret).value();
    CHECK(y.hex() == text(step["Y"]));
    const auto blinded = blind(y, derived->r).value();
    CHECK(blinded.hex() == text(step["B_"]));
    const auto signature = sign_blinded(blinded, mint_key);
    CHECK(signature.hex() == text(step["C_"]));
    const auto c = unblind(signature, derived->r, key).value();
    CHECK(c.hex() == text(step["C"]));
    CHECK(verify_proof(mint_key, derived->secret, c));
    // cashu-ts draws its nonce, so its DLEQ is one of many: verified, not reproduced.
    CHECK(verify_dleq(dleq(step).value(), key, blinded, signature));
    CHECK(verify_dleq(prove_dleq(mint_key, key, blinded, signature), key, blinded, signature));
}

}  // namespace

std::vector<VectorSection> curve_vectors() {
    return {
        {"nut00", "/hash_to_curve", hash_to_curve_gives},
        {"nut00", "/blinded_messages", blinding_gives},
        {"nut00", "/blinded_signatures", signing_gives},
        {"nut12", "/hash_e", challenge_is},
        {"nut12", "/deterministic_nonce", dleq_is},
        {"nut12", "/blind_signature_dleq", signature_dleq_verifies},
        {"nut12", "/proof_dleq", proof_dleq_verifies},
        {"nut13", "/v1/entries", derives_v1},
        {"nut13", "/v2/entries", derives_v2},
        {"nut13_p2pk_keys", "/entries", receive_key_is},
        {"nut20_amended", "/lock_keys/entries", quote_key_is},
        {"nut27", "", backup_key_is},
        {"nut28", "/slots", slot_is},
        {"interop_cashu_ts", "/issuance", issues_as_cashu_ts},
        {"interop_cashu_ts", "/p2bk", blinds_as_cashu_ts},
    };
}

}  // namespace nutgate::test
