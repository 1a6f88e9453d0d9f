#include "nutgate/crypto/nostr_cipher.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <fstream>

#include "support/seeded_random.h"

using namespace nutgate;
using namespace nutgate::crypto;
using Json = nlohmann::json;

namespace {

const Json& vectors() {
    static const Json kVectors = [] {
        std::ifstream file{NUTGATE_VECTORS "/nip44.json"};
        REQUIRE(file.good());
        return Json::parse(file).at("v2");
    }();
    return kVectors;
}

// Gives what a vector says was drawn.
class Drawn final : public Random {
public:
    explicit Drawn(const Json& hex) : bytes_{*from_hex(hex.get<std::string>())} {}
    void fill(std::span<std::byte> bytes) override {
        REQUIRE_EQ(bytes.size(), bytes_.size());
        std::ranges::copy(bytes_, bytes.begin());
    }

private:
    const Bytes bytes_;
};

Bytes hex(const Json& text) { return *from_hex(text.get<std::string>()); }
Scalar scalar(const Json& text) { return *Scalar::from_hex(text.get<std::string>()); }
Point public_of(const Json& vector) {
    if (vector.contains("pub2")) return *point_of_x(hex(vector.at("pub2")));
    return *point_of_x(generator_times(scalar(vector.at("sec2"))).x_only());
}

}  // namespace

TEST_CASE("nip44: the conversation's key is the specification's, and there is none of no point") {
    for (const auto& vector : vectors().at("valid").at("get_conversation_key")) {
        const auto key = nip44_conversation_key(scalar(vector.at("sec1")), public_of(vector));
        CHECK_EQ(to_hex(key.reveal()), vector.at("conversation_key").get<std::string>());
    }
    for (const auto& vector : vectors().at("invalid").at("get_conversation_key")) {
        CAPTURE(vector.at("note").get<std::string>());
        const auto secret = Scalar::from_hex(vector.at("sec1").get<std::string>());
        const auto theirs = point_of_x(hex(vector.at("pub2")));
        CHECK_FALSE((secret.has_value() && theirs.has_value()));
    }
}

TEST_CASE("nip44: texts are filled up as the specification says") {
    for (const auto& pair : vectors().at("valid").at("calc_padded_len")) {
        CHECK_EQ(nip44_padded_size(pair.at(0).get<std::size_t>()), pair.at(1).get<std::size_t>());
    }
}

TEST_CASE("nip44: what is written is the specification's, and reads back at both ends") {
    for (const auto& vector : vectors().at("valid").at("encrypt_decrypt")) {
        const auto plain = vector.at("plaintext").get<std::string>();
        const auto payload = vector.at("ciphertext").get<std::string>();
        const auto key = nip44_conversation_key(scalar(vector.at("sec1")), public_of(vector));
        CHECK_EQ(to_hex(key.reveal()), vector.at("conversation_key").get<std::string>());
        Drawn nonce{vector.at("nonce")};
        CHECK_EQ(nip44_encrypt(key, plain, nonce), payload);
        CHECK_EQ(nip44_decrypt(key, payload), plain);
    }
}

TEST_CASE("nip44: what was forged, changed, cut or filled up otherwise does not open") {
    for (const auto& vector : vectors().at("invalid").at("decrypt")) {
        CAPTURE(vector.at("note").get<std::string>());
        const Secret key{hex(vector.at("conversation_key"))};
        CHECK_FALSE(nip44_decrypt(key, vector.at("ciphertext").get<std::string>()).has_value());
    }
    const Secret key{Bytes(32, std::byte{1})};
    for (const auto& size : vectors().at("invalid").at("decrypt_msg_lengths")) {
        CHECK_FALSE(nip44_decrypt(key, to_base64(Bytes(size.get<std::size_t>(), std::byte{2})))
                        .has_value());
    }
    test::SeededRandom random;
    const auto payload = *from_base64(nip44_encrypt(key, "hello", random));
    CHECK_EQ(nip44_decrypt(key, to_base64(payload)), "hello");
    for (std::size_t i = 0; i < payload.size(); ++i) {
        auto changed = payload;
        changed[i] ^= std::byte{1};
        CHECK_FALSE(nip44_decrypt(key, to_base64(changed)).has_value());
    }
    CHECK_FALSE(nip44_decrypt(key, "#" + to_base64(payload)).has_value());
    CHECK_FALSE(nip44_decrypt(Secret{Bytes(32)}, to_base64(payload)).has_value());
}

TEST_CASE("nip44: the longest text of the first form goes through") {
    const Secret key{Bytes(32, std::byte{1})};
    test::SeededRandom random;
    const std::string longest(kNip44PlainMax, 'x');
    CHECK_EQ(nip44_decrypt(key, nip44_encrypt(key, longest, random)), longest);
}

TEST_CASE("nip04: a text of another implementation reads, and ours at the other end") {
    const auto a =
        *Scalar::from_hex("6b911fd37cdf5c81d4c0adb1ab7fa822ed253ab0ad9aa18d77257c88b29b718e");
    const auto b =
        *Scalar::from_hex("7b911fd37cdf5c81d4c0adb1ab7fa822ed253ab0ad9aa18d77257c88b29b718e");
    const auto to_a = *point_of_x(generator_times(a).x_only());
    const auto to_b = *point_of_x(generator_times(b).x_only());
    CHECK_EQ(
        nip04_decrypt(a, to_b,
                      "dJc+WbBgaFCD2/kfg1XCWJParplBDxnZIdJGZ6FCTOg=?iv=M6VxRPkMZu7aIdD+10xPuw=="),
        "Saturn, bringer of old age");
    test::SeededRandom random;
    for (const std::size_t size : {0U, 1U, 15U, 16U, 17U, 1000U}) {
        const std::string plain(size, 'x');
        CHECK_EQ(nip04_decrypt(b, to_a, nip04_encrypt(a, to_b, plain, random)), plain);
    }
}

TEST_CASE("nip04: what is none of it does not open") {
    const auto a = *Scalar::from_hex(std::string(64, '1'));
    const auto to_a = generator_times(a);
    for (const char* content :
         {"", "x", "?iv=", "AAAA?iv=AAAA", "invalidcontentformat", "badbase64?iv=encode",
          "nseh0cQPEFID5C0CxYdcPwp091NhRQ==?iv=8PHy8/T19vf4+fr7/P3+/w==",
          "AAAAAAAAAAAAAAAAAAAAAA==?iv=AAAAAAAAAAAAAAAAAAAAAA=="}) {
        CAPTURE(content);
        CHECK_FALSE(nip04_decrypt(a, to_a, content).has_value());
    }
}
