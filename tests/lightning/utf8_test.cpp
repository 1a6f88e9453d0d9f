#include "utf8.h"

#include <doctest/doctest.h>

#include <string>

using namespace nutgate;

TEST_CASE("utf8: a text is cut between characters, and what is no UTF-8 is replaced") {
    CHECK_EQ(cut_utf8("abc", 3), "abc");
    CHECK_EQ(cut_utf8("abc", 2), "ab");
    CHECK_EQ(cut_utf8("a\xe6\x9d\xaf", 3), "a");
    CHECK_EQ(cut_utf8("a\xe6\x9d\xaf", 4), "a\xe6\x9d\xaf");
    CHECK_EQ(cut_utf8("\xff"
                      "a\xe6\x9d",
                      10),
             "?a??");
    for (const std::string bad : {"\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                                  "\xf8\x88\x80\x80\x80", "\x80", "\xe6\x9d"}) {
        CHECK_FALSE(is_utf8(bad));
        CHECK(is_utf8(cut_utf8(bad, 100)));
    }
    CHECK(is_utf8("\xf0\x9f\xa5\x9c nut \xc3\xa9"));
}
