#include "nutgate/http/url.h"

#include <doctest/doctest.h>

using namespace nutgate::http;

TEST_CASE("url: the parts of a URL, normalised") {
    const auto url = parse_url("HTTPS://Mint.Example.COM:8443/Bitcoin/v1//?a=b&c");
    REQUIRE(url);
    CHECK(url->tls);
    CHECK(url->host == "mint.example.com");
    CHECK(url->port == 8443);
    CHECK(url->path == "/Bitcoin/v1");
    CHECK(url->query == "a=b&c");
    CHECK(url->text() == "https://mint.example.com:8443/Bitcoin/v1?a=b&c");

    CHECK(parse_url("http://a")->port == 80);
    CHECK(parse_url("http://a:80/")->text() == "http://a");
    CHECK(parse_url("https://a.:443?x")->text() == "https://a?x");
    CHECK(parse_url("http://[::1]:3338/x")->host == "::1");
    CHECK(parse_url("http://[::1]:3338/x")->text() == "http://[::1]:3338/x");
}

TEST_CASE("url: what is not plainly a URL of http is refused") {
    for (const auto* bad : {"",
                            "a",
                            "//a",
                            "ftp://a",
                            "file:///etc/passwd",
                            "http://",
                            "http:///x",
                            "http://:80",
                            "http://user@a",
                            "http://user:pw@a/",
                            "http://a#f",
                            "http://a/#",
                            "http://a b",
                            "http://a/\n",
                            "http://a:0",
                            "http://a:65536",
                            "http://a:+1",
                            "http://a:",
                            "http://a:1x",
                            "http://[::1",
                            "http://[a]",
                            "http://[::1]x",
                            "http://a..b",
                            "http://a../",
                            "http://.a",
                            "http://-a",
                            "http://a..b",
                            "http://a../",
                            "http://a%2fb",
                            "http://127.1",
                            "http://0177.0.0.1.1",
                            "http://2130706433",
                            "http://0x7f000001",
                            "http://\xc3\xa9",
                            "http//a"}) {
        CAPTURE(bad);
        CHECK_FALSE(parse_url(bad));
    }
    CHECK_FALSE(parse_url("http://a/" + std::string(9000, 'x')));
}

TEST_CASE("url: loopback by name and by literal") {
    for (const auto* yes : {"localhost", "LOCALHOST", "localhost.", "a.localhost", "127.0.0.1",
                            "127.255.255.254", "::1", "[::1]", "::ffff:127.0.0.1"}) {
        CAPTURE(yes);
        CHECK(is_loopback_host(yes));
    }
    for (const auto* no :
         {"", "localhost.example.com", "128.0.0.1", "0.0.0.0", "::2", "10.0.0.1"}) {
        CAPTURE(no);
        CHECK_FALSE(is_loopback_host(no));
    }
}
