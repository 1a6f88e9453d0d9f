#include "qr.h"

#include <doctest/doctest.h>

using namespace nutgate::api;

TEST_CASE("qr: a text becomes an image that has modules and a quiet zone") {
    const auto svg = qr_svg("LNBCRT10U1EXAMPLE");
    REQUIRE(svg.has_value());
    CHECK(svg->starts_with("<svg "));
    CHECK(svg->ends_with("</svg>"));
    // Version 1-L or 2-L with four modules around: 29 or 33. The finder pattern begins at (4, 4).
    CHECK(svg->find("M4 4h1v1h-1z") != std::string::npos);
    CHECK(svg->find("M3 ") == std::string::npos);
}

TEST_CASE("qr: what is empty, too long or has a NUL is refused") {
    CHECK_FALSE(qr_svg("").has_value());
    CHECK_FALSE(qr_svg(std::string(kQrTextBytesMax + 1, 'a')).has_value());
    CHECK_FALSE(qr_svg(std::string{"a\0b", 3}).has_value());
    CHECK(qr_svg(std::string(kQrTextBytesMax, 'a')).has_value());
}
