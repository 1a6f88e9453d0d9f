#include "nutgate/base/bytes.h"

#include <doctest/doctest.h>

using namespace nutgate;

TEST_CASE("bytes: hex and base64 read back what they wrote, for every length") {
    Bytes bytes;
    for (int i = 0; i < 70; ++i) {
        CHECK_EQ(from_hex(to_hex(bytes)), bytes);
        CHECK_EQ(from_base64(to_base64(bytes)), bytes);
        CHECK_EQ(from_base64(to_base64url(bytes)), bytes);
        bytes.push_back(static_cast<std::byte>(i * 37));
    }
}

TEST_CASE("bytes: RFC 4648's own examples") {
    CHECK_EQ(to_base64(as_bytes("foobar")), "Zm9vYmFy");
    CHECK_EQ(to_base64(as_bytes("foob")), "Zm9vYg==");
    CHECK_EQ(to_base64url(as_bytes("foob")), "Zm9vYg");
    CHECK_EQ(to_hex(as_bytes("\x01\xff")), "01ff");
}

TEST_CASE("bytes: what is not hex or base64 has no value") {
    CHECK_FALSE(from_hex("abc").has_value());
    CHECK_FALSE(from_hex("0g").has_value());
    CHECK_FALSE(from_base64("a").has_value());
    CHECK_FALSE(from_base64("ab!d").has_value());
    CHECK_FALSE(from_base64("ab=d").has_value());
    CHECK_FALSE(array_from_hex<2>("0102ff").has_value());
}

TEST_CASE("bytes: equality in constant time is equality") {
    CHECK(equal_in_constant_time(as_bytes("same"), as_bytes("same")));
    CHECK_FALSE(equal_in_constant_time(as_bytes("same"), as_bytes("sama")));
    CHECK_FALSE(equal_in_constant_time(as_bytes("same"), as_bytes("samee")));
}
