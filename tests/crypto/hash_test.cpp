#include "nutgate/crypto/hash.h"

#include <doctest/doctest.h>

#include <set>

#include "nutgate/crypto/random.h"

using namespace nutgate;
using namespace nutgate::crypto;

namespace {

std::string hkdf_hex(std::string_view secret, std::string_view salt, std::string_view info,
                     std::size_t size) {
    const auto label = *from_hex(info);
    return to_hex(hkdf_sha256(*from_hex(secret), *from_hex(salt), as_text(label), size));
}

}  // namespace

TEST_CASE("hash: SHA-256 of FIPS 180-4's examples, in one piece and in parts") {
    CHECK_EQ(to_hex(sha256(BytesView{})),
             "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    CHECK_EQ(to_hex(sha256(as_bytes("abc"))),
             "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK_EQ(sha256({as_bytes("a"), BytesView{}, as_bytes("bc")}), sha256(as_bytes("abc")));
}

TEST_CASE("hash: a tagged hash is the hash of the tag's hash twice and the parts") {
    const auto tag = sha256(as_bytes("BIP0340/nonce"));
    CHECK_EQ(tagged_hash("BIP0340/nonce", {as_bytes("ab"), as_bytes("c")}),
             sha256({tag, tag, as_bytes("abc")}));
}

TEST_CASE("hash: HMAC of RFC 4231, cases 1, 2 and 6, and with an empty key") {
    const Bytes key(20, std::byte{0x0b});
    CHECK_EQ(to_hex(hmac_sha256(key, {as_bytes("Hi "), as_bytes("There")})),
             "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    CHECK_EQ(to_hex(hmac_sha512(key, {as_bytes("Hi There")})),
             "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde"
             "daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854");
    CHECK_EQ(to_hex(hmac_sha256(as_bytes("Jefe"), {as_bytes("what do ya want for nothing?")})),
             "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    CHECK_EQ(
        to_hex(hmac_sha256(Bytes(131, std::byte{0xaa}),
                           {as_bytes("Test Using Larger Than Block-Size Key - Hash Key First")})),
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    const HmacKey again{key};
    for (int i = 0; i < 3; ++i) {
        CHECK_EQ(again.mac({as_bytes("Hi "), as_bytes("There")}),
                 hmac_sha256(key, {as_bytes("Hi There")}));
    }
    CHECK_EQ(to_hex(hmac_sha256(BytesView{}, {})),
             "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

TEST_CASE("hash: a kept HMAC key gives the MACs of that key, of texts and keys of any length") {
    for (const std::size_t key_size : {0U, 1U, 63U, 64U, 65U, 131U}) {
        const Bytes key(key_size, std::byte{0x5c});
        const HmacKey kept{key};
        for (std::size_t size = 0; size < 200; ++size) {
            const Bytes text(size, std::byte{0xa5});
            CHECK_EQ(kept.mac({BytesView{text}.first(size / 3), BytesView{text}.subspan(size / 3)}),
                     hmac_sha256(key, {text}));
        }
    }
}

TEST_CASE("hash: HKDF of RFC 5869, appendix A with SHA-256") {
    CHECK_EQ(
        hkdf_hex("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "000102030405060708090a0b0c",
                 "f0f1f2f3f4f5f6f7f8f9", 42),
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
    CHECK_EQ(
        hkdf_hex("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
                 "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"
                 "404142434445464748494a4b4c4d4e4f",
                 "606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f"
                 "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"
                 "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf",
                 "b0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecf"
                 "d0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7e8e9eaebecedeeef"
                 "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
                 82),
        "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e"
        "590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87");
    CHECK_EQ(
        hkdf_hex("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "", "", 42),
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
}

TEST_CASE("hash: PBKDF2 with HMAC-SHA-512, its published vectors") {
    CHECK_EQ(to_hex(pbkdf2_hmac_sha512(as_bytes("password"), as_bytes("salt"), 1)),
             "867f70cf1ade02cff3752599a3a53dc4af34c7a669815ae5d513554e1c8cf252"
             "c02d470a285a0501bad999bfe943c08f050235d7d68b1da55e63f73b60a57fce");
    CHECK_EQ(to_hex(pbkdf2_hmac_sha512(as_bytes("password"), as_bytes("salt"), 2)),
             "e1d9c16aa681708a45f5c7c4e215ceb66e011a2e9f0040713f18aefdb866d53c"
             "f76cab2868a39b9f7840edce4fef5a82be67335c77a6068e04112754f27ccf4e");
}

TEST_CASE("random: the system's bytes do not repeat, and any number of them can be had") {
    SystemRandom random;
    std::set<std::string> seen;
    for (int i = 0; i < 100; ++i) seen.insert(to_hex(random.bytes<16>()));
    CHECK_EQ(seen.size(), 100);
    Bytes many(3'000'000);
    random.fill(many);
    const BytesView last = BytesView{many}.last(32);
    CHECK_NE(to_hex(last), std::string(64, '0'));
    random.fill({});
}
