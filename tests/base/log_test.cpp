#include "nutgate/base/log.h"

#include <doctest/doctest.h>

using namespace nutgate;

TEST_CASE("log: what is money is cut out of any text") {
    CHECK_EQ(log::redact("key sk-00112233445566778899aabbccddeeff refused"), "key sk-[…] refused");
    CHECK_EQ(log::redact("{\"token\":\"cashuBo2FteCJodHRwOi8v\"}"), "{\"token\":\"cashuB[…]\"}");
    CHECK_EQ(log::redact("lnbcrt10u1pj9x7xmpp5fu"), "lnbc[…]");
    CHECK_EQ(log::redact("sk-short and plain words"), "sk-short and plain words");
}

TEST_CASE("log: a value can't begin a line of its own") {
    CHECK_EQ(log::redact("a\nb\x7f"), "a\\x0ab\\x7f");
}
