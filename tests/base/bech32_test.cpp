#include "nutgate/base/bech32.h"

#include <doctest/doctest.h>

using namespace nutgate;

TEST_CASE("bech32: BIP-173's valid strings are read and written back") {
    for (const std::string text :
         {"a12uel5l",
          "an83characterlonghumanreadablepartthatcontainsthenumber1andtheexcludedcharact"
          "ersbio1tt5tgs",
          "abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw",
          "split1checkupstagehandshakeupstreamerranterredcaperred2y9e3w", "?1ezyfcl"}) {
        const auto decoded = decode_bech32(text);
        REQUIRE(decoded.has_value());
        CHECK_EQ(encode_bech32(decoded->prefix, decoded->data), text);
    }
    CHECK_EQ(decode_bech32("A12UEL5L")->prefix, "a");
}

TEST_CASE("bech32: BIP-173's invalid strings are refused") {
    for (const std::string text : {"\x20"
                                   "1nwldj5",
                                   "\x7f"
                                   "1axkwrx",
                                   "\x80"
                                   "1eym55h",
                                   "pzry9x0s0muk", "1pzry9x0s0muk", "x1b4n0q5v", "li1dgmt3",
                                   "10a06t8", "1qzzfhee", "A12uEL5L", "", "1", "a1"}) {
        CHECK_FALSE(decode_bech32(text).has_value());
    }
    // Bech32m's constant is another encoding's, and so is a checksum of capital letters.
    CHECK_EQ(decode_bech32("a1lqfn3a").error(), Bech32Error::Checksum);
    CHECK_EQ(decode_bech32("A1G7SGD8").error(), Bech32Error::Checksum);
}

TEST_CASE("bech32: BIP-350's valid strings are Bech32m and not Bech32") {
    for (const std::string text :
         {"a1lqfn3a",
          "an83characterlonghumanreadablepartthatcontainsthetheexcludedcharactersbioandnumber1"
          "1sg7hg6",
          "abcdef1l7aum6echk45nj3s0wdvt2fg8x9yrzpqzd3ryx",
          "split1checkupstagehandshakeupstreamerranterredcaperredlc445v", "?1v759aa"}) {
        CAPTURE(text);
        const auto decoded = decode_bech32(text, Bech32Form::Bech32m);
        REQUIRE(decoded.has_value());
        CHECK_EQ(encode_bech32(decoded->prefix, decoded->data, Bech32Form::Bech32m), text);
        CHECK_EQ(decode_bech32(text).error(), Bech32Error::Checksum);
    }
    CHECK_EQ(decode_bech32("A1LQFN3A", Bech32Form::Bech32m)->prefix, "a");
}

TEST_CASE("bech32: BIP-350's invalid strings are refused") {
    for (const std::string text :
         {"\x20"
          "1xj0phk",
          "\x7f"
          "1g6xzxy",
          "\x80"
          "1vctc34",
          "qyrz8wqd2c9m", "1qyrz8wqd2c9m", "y1b0jsk6g", "lt1igcx5c0", "in1muywd", "mm1crxm3i",
          "au1s5cgom", "M1VUXWEZ", "16plkw9", "1p2gdwpf", "a12uel5l"}) {
        CAPTURE(text);
        CHECK_FALSE(decode_bech32(text, Bech32Form::Bech32m).has_value());
    }
}

TEST_CASE("bech32: one changed character is always noticed") {
    const std::string text = "split1checkupstagehandshakeupstreamerranterredcaperred2y9e3w";
    for (std::size_t i = 0; i < text.size(); ++i) {
        auto changed = text;
        changed[i] = changed[i] == 'q' ? 'p' : 'q';
        CHECK_FALSE(decode_bech32(changed).has_value());
    }
}

TEST_CASE("bech32: bytes come back from groups, for every length") {
    Bytes bytes;
    for (int i = 0; i < 60; ++i) {
        const auto groups = to_groups(bytes);
        CHECK_EQ(to_bytes(groups), bytes);
        CHECK_EQ(groups.size(), (bytes.size() * 8 + 4) / 5);
        bytes.push_back(static_cast<std::byte>(i * 73 + 11));
    }
}

TEST_CASE("bech32: groups that no bytes can have made are no bytes") {
    CHECK_FALSE(to_bytes(Groups{1}).has_value());          // Five bits are no byte.
    CHECK_FALSE(to_bytes(Groups{31, 29}).has_value());     // The last two bits must be zero.
    CHECK_FALSE(to_bytes(Groups{31, 28, 0}).has_value());  // A whole group too many.
    CHECK_EQ(to_bytes(Groups{31, 28}), Bytes{std::byte{0xff}});
    CHECK_EQ(pack(Groups{31}), Bytes{std::byte{0xf8}});
}
