#include "nutgate/base/pen.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <string>

using nutgate::Pen;

TEST_CASE("pen: writes behind what is there, and leaves nothing behind it") {
    std::string text = "begin ";
    Pen pen{text, 100};
    pen.put("literal");
    pen.put(',');
    pen.put(std::string_view{"view"});
    pen.put(std::string{});
    pen.put(std::string_view{});
    pen.put(-7);
    pen.finish();
    CHECK(text == "begin literal,view-7");
}

TEST_CASE("pen: the room may be filled to its last byte") {
    std::string text;
    Pen pen{text, 45};
    pen.put("12345");
    pen.put(std::numeric_limits<std::int64_t>::min());
    pen.put(std::numeric_limits<std::uint64_t>::max());
    pen.finish();
    CHECK(text == "12345-922337203685477580818446744073709551615");
}
