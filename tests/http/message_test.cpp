#include "nutgate/http/message.h"

#include <doctest/doctest.h>

#include <string>
#include <utility>

using namespace nutgate::http;

TEST_CASE("message: header names compare without regard to case, values stay as they are") {
    Headers headers{{"Content-Type", "a"}, {"X-One", "1"}, {"x-one", "2"}};
    CHECK(headers.find("content-type") == "a");
    CHECK(headers.find("X-ONE") == "1");
    CHECK(headers.count("x-one") == 2);
    CHECK_FALSE(headers.find("x-on"));
    headers.set("X-ONE", "3");
    CHECK(headers.count("x-one") == 1);
    CHECK(headers.find("x-one") == "3");
    headers.remove("CONTENT-TYPE");
    CHECK(headers.entries().size() == 1);
}

TEST_CASE("message: headers keep the order of the wire, however many and long they are") {
    Headers headers;
    for (int round = 0; round < 3; ++round) {
        for (int i = 0; i < 100; ++i) headers.add("x-" + std::to_string(i), std::string(50, 'v'));
        headers.add("x-empty", "");
        const Headers copy = headers;
        int i = 0;
        for (const auto& [name, value] : copy.entries()) {
            CHECK(name == (i < 100 ? "x-" + std::to_string(i) : "x-empty"));
            CHECK(value == (i < 100 ? std::string(50, 'v') : ""));
            ++i;
        }
        CHECK(i == 101);
        headers.clear();
        CHECK(headers.entries().empty());
        CHECK_FALSE(headers.find("x-1"));
    }
}

TEST_CASE("message: what may stand in a header's value is looked at byte by byte") {
    CHECK(is_header_value(""));
    for (std::size_t size = 1; size < 20; ++size) {
        for (std::size_t at = 0; at < size; ++at) {
            for (int byte = 0; byte < 256; ++byte) {
                std::string value(size, 'v');
                value[at] = static_cast<char>(byte);
                const bool is_good = byte == '\t' || (byte >= ' ' && byte != 0x7f);
                if (is_header_value(value) != is_good) FAIL_CHECK(size, " ", at, " ", byte);
            }
        }
    }
}

TEST_CASE("message: what is percent-encoded comes back, what is malformed does not") {
    const std::string all = "a/b c+d%e\xff\n";
    CHECK(percent_decode(percent_encode(all), Encoding::Path) == all);
    CHECK(percent_decode("a+b", Encoding::Path) == "a+b");
    CHECK(percent_decode("a+b", Encoding::Form) == "a b");
    for (const auto* bad : {"%", "%1", "%g1", "a%2", "%-1"}) {
        CHECK_FALSE(percent_decode(bad, Encoding::Path));
    }
}

TEST_CASE("message: a query's value is decoded, its first occurrence counts") {
    Request request;
    request.query = "a=1&b=x%20y+z&a=2&flag&empty=&%61b=3&bad=%";
    CHECK(request.query_value("a") == "1");
    CHECK(request.query_value("b") == "x y z");
    CHECK(request.query_value("flag") == "");
    CHECK(request.query_value("empty") == "");
    CHECK(request.query_value("ab") == "3");
    CHECK_FALSE(request.query_value("bad"));
    CHECK_FALSE(request.query_value("none"));
}

TEST_CASE("message: no control character is a header's value, no separator its name") {
    CHECK(is_header_value("text/plain; q=1\t\xc3\xa9"));
    CHECK_FALSE(is_header_value("a\r\nInjected: yes"));
    CHECK_FALSE(is_header_value(std::string_view{"a\0b", 3}));
    CHECK_FALSE(is_header_value("\x7f"));
    CHECK(is_header_name("x-one"));
    CHECK_FALSE(is_header_name(""));
    CHECK_FALSE(is_header_name("x one"));
    CHECK_FALSE(is_header_name("x:"));
}

TEST_CASE("message: names are the same whatever the case of their letters, and of letters only") {
    for (std::size_t size = 1; size < 40; ++size) {
        const std::string text(size, 'x');
        for (std::size_t at = 0; at < size; ++at) {
            std::string other = text;
            other[at] = 'X';
            CHECK(equal_without_case(text, other));
            CHECK(equal_without_case(other, text));
            other[at] = 'y';
            CHECK_FALSE(equal_without_case(text, other));
        }
        CHECK_FALSE(equal_without_case(text, text + "x"));
    }
    // Apart by the bit that tells cases apart, and no letters.
    for (const auto& [one, other] :
         {std::pair{'@', '`'}, std::pair{'[', '{'}, std::pair{'\x10', '0'}, std::pair{'\r', '-'},
          std::pair{'\xc1', '\xe1'}}) {
        CHECK_FALSE(equal_without_case(std::string(8, one), std::string(8, other)));
        CHECK_FALSE(equal_without_case(std::string(3, one), std::string(3, other)));
    }
}
