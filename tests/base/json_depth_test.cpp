#include "nutgate/base/json_depth.h"

#include <doctest/doctest.h>

#include <string>

using nutgate::nests_too_deep;

TEST_CASE("json: brackets within brackets are counted, and none in a string") {
    CHECK_FALSE(nests_too_deep("", 0));
    CHECK_FALSE(nests_too_deep("7", 0));
    CHECK(nests_too_deep("[]", 0));
    CHECK_FALSE(nests_too_deep("[{},{},[]]", 2));
    CHECK(nests_too_deep("[{},{},[{}]]", 2));
    CHECK_FALSE(nests_too_deep(R"(["[[[[", "\"[[[", "\\"])", 1));
    CHECK(nests_too_deep(R"(["\\", [1]])", 1));
    CHECK_FALSE(nests_too_deep("]]]][", 1));
    CHECK_FALSE(nests_too_deep(R"("open [[[[ \)", 1));
}

TEST_CASE("json: a million levels are seen at the first that is one too many") {
    const std::string deep(1'000'000, '[');
    CHECK(nests_too_deep(deep));
    CHECK_FALSE(nests_too_deep(std::string(nutgate::kJsonDepthMax, '[')));
}
