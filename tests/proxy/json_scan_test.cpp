#include "json_scan.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "nutgate/base/plain_run.h"

using namespace nutgate::proxy;
using nutgate::plain_run;
using nutgate::plain_run_portable;

namespace {

bool accepts(std::string_view text) {
    JsonReader reader{text};
    for (;;) {
        const JsonToken token = reader.next();
        if (token == JsonToken::End) return true;
        if (token == JsonToken::Error) return false;
    }
}

// Also of what is no character: surrogates.
std::string in_utf8(std::uint32_t point) {
    const auto byte = [](std::uint32_t bits) { return static_cast<char>(bits); };
    const auto rest = [&](int shift) { return byte(0x80 | ((point >> shift) & 0x3f)); };
    if (point < 0x800) return {byte(0xc0 | point >> 6), rest(0)};
    if (point < 0x10000) return {byte(0xe0 | point >> 12), rest(6), rest(0)};
    return {byte(0xf0 | point >> 18), rest(12), rest(6), rest(0)};
}

}  // namespace

TEST_CASE("json: takes what the standard allows and nothing else") {
    for (const std::string text :
         {R"({})", R"([])", R"(0)", R"(-0.5e+7)", R"("")", R"(null)", R"([1,2,{"a":[]}])",
          R"( { "a" : true , "b" : false } )", R"("\ud83d\ude00\u00e9\"\\\/\b\f\n\r\t")",
          "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"", R"({"":{"":""}})"}) {
        CAPTURE(text);
        CHECK(accepts(text));
        CHECK(nlohmann::json::accept(text));
    }
    for (const std::string text : {"",
                                   " ",
                                   "{",
                                   "}",
                                   "[",
                                   "]",
                                   "{]",
                                   "[}",
                                   "[1,]",
                                   "{\"a\":1,}",
                                   "{,}",
                                   "[,1]",
                                   "{\"a\"}",
                                   "{\"a\":}",
                                   "{a:1}",
                                   "{1:1}",
                                   "01",
                                   "+1",
                                   "-",
                                   "1.",
                                   ".5",
                                   "1e",
                                   "1e+",
                                   "tru",
                                   "nul",
                                   "truee",
                                   "[1 2]",
                                   "{\"a\":1 \"b\":2}",
                                   "1 2",
                                   "{} {}",
                                   "\"",
                                   "\"\\\"",
                                   "\"\\x\"",
                                   "\"\\u12\"",
                                   "\"\\ud83d\"",
                                   "\"\\ude00\"",
                                   "\"\\ud83d\\u0041\"",
                                   "\"\n\"",
                                   "\"\x01\"",
                                   "\"\x80\"",
                                   "\"\xc3\"",
                                   "\"\xc0\xaf\"",
                                   "\"\xe0\x80\xaf\"",
                                   "\"\xed\xa0\x80\"",
                                   "\"\xf4\x90\x80\x80\"",
                                   "\"\xff\"",
                                   "'a'",
                                   "[1]]",
                                   "NaN",
                                   "Infinity",
                                   "/**/1"}) {
        CAPTURE(text);
        CHECK_FALSE(accepts(text));
        CHECK_FALSE(nlohmann::json::accept(text));
    }
}

TEST_CASE("json: depth is bounded") {
    const std::string fits =
        std::string(JsonReader::kDepthMax, '[') + std::string(JsonReader::kDepthMax, ']');
    CHECK(accepts(fits));
    CHECK_FALSE(accepts('[' + fits + ']'));
}

TEST_CASE("json: a skipped value's place is exactly its bytes") {
    const std::string text = R"({ "a" : [1, {"b":"}"} ] , "c" : "x\"y" , "d":-1.5e3})";
    JsonReader reader{text};
    REQUIRE(reader.next() == JsonToken::BeginObject);
    std::vector<std::string> values;
    while (const auto member = reader.next_member()) {
        values.emplace_back(reader.skip(member->first)->of(text));
    }
    CHECK(values == std::vector<std::string>{R"([1, {"b":"}"} ])", R"("x\"y")", "-1.5e3"});
    CHECK(reader.next() == JsonToken::End);
}

TEST_CASE("json: a key is known however it is escaped") {
    CHECK(key_is("model", "model"));
    CHECK(key_is("m\\u006fdel", "model"));
    CHECK_FALSE(key_is("Model", "model"));
    CHECK_FALSE(key_is("m\\u006fdels", "model"));
}

TEST_CASE("json: text is decoded, and measured without decoding") {
    const std::string raw = R"("a\n\u00e9\ud83d\ude00\/")";
    CHECK(json_text(raw) == "a\n\xc3\xa9\xf0\x9f\x98\x80/");
    JsonReader reader{raw};
    REQUIRE(reader.next() == JsonToken::String);
    CHECK(reader.text_size() == json_text(raw).size());
    reader = JsonReader{"{\"k\\u0065y\":1}"};
    REQUIRE(reader.next() == JsonToken::BeginObject);
    REQUIRE(reader.next() == JsonToken::Key);
    CHECK(reader.text_size() == 3);
}

// Blocks are looked at as a whole: each of their places must count, and so must what is left.
TEST_CASE("json: a run of plain text ends at the first character that is not plain, anywhere") {
    for (int c = 0; c < 256; ++c) {
        const bool plain = c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
        for (std::size_t size = 1; size < 50; ++size) {
            for (std::size_t at = 0; at < size; ++at) {
                std::string text(size, 'x');
                text[at] = static_cast<char>(c);
                const std::size_t run = plain ? size : at;
                const bool good = plain_run(text) == run && plain_run_portable(text) == run;
                if (!good) FAIL_CHECK("character " << c << " at " << at << " of " << size);
            }
        }
    }
    CHECK(plain_run("") == 0);
    CHECK(plain_run_portable("") == 0);
}

TEST_CASE("json: every character of Unicode is taken, and none that is cut, wherever it stands") {
    for (std::uint32_t point = 0x80; point < 0x110000; point += point < 0x900 ? 1 : 0x7d) {
        const bool surrogate = point >= 0xd800 && point < 0xe000;
        const std::string character = in_utf8(point);
        for (const std::size_t before : {0U, 13U, 15U}) {
            const std::string text = '"' + std::string(before, 'x') + character;
            const bool good =
                accepts(text + '"') == !surrogate && accepts(text + "yz\"") == !surrogate;
            if (!good) FAIL_CHECK("U+" << point << " behind " << before);
            if (accepts(text.substr(0, text.size() - 1) + '"')) FAIL_CHECK("cut: U+" << point);
        }
    }
}

TEST_CASE("json: an integer is written as one") {
    CHECK(json_integer("12") == 12);
    CHECK(json_integer("-3") == -3);
    for (const auto* text : {"1.0", "1e3", "9223372036854775808", ""}) {
        CHECK_FALSE(json_integer(text).has_value());
    }
}

TEST_CASE("json: edits change their own bytes only, in any order") {
    CHECK(apply_edits("0123456789", {{{7, 8}, "seven"}, {{0, 1}, ""}, {{3, 3}, "|"}}) ==
          "12|3456seven89");
}
