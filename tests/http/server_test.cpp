#include "nutgate/http/server.h"

#include <doctest/doctest.h>

#include "server_fixture.h"

using namespace nutgate;
using namespace nutgate::http;
using namespace nutgate::test;

TEST_CASE("server: answers routes of both planes, and keeps the connection") {
    ServerFixture fixture;
    auto client = fixture.connect();
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    CHECK(body_of(client.read_answer()) == "hello");
    client.send("GET /path/a%20b%2Fc?x=1 HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK(body_of(client.read_answer()) == "name=a b/c");
    client.send(
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: t\r\n\r\n");
    CHECK(body_of(client.read_answer()) == "abcde");
}

TEST_CASE("server: a streamed answer is chunked for 1.1 and ends with the connection for 1.0") {
    ServerFixture fixture;
    const auto chunked = fixture.ask("GET /stream HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK(body_of(chunked) == "4\r\none,\r\n4\r\ntwo,\r\n5\r\nthree\r\n0\r\n\r\n");
    auto old = fixture.connect();
    old.send("GET /stream HTTP/1.0\r\nHost: a\r\n\r\n");
    CHECK(body_of(old.read_to_end()) == "one,two,three");
    CHECK(old.was_closed());
}

TEST_CASE("server: unknown paths and methods") {
    ServerFixture fixture;
    CHECK(has_status(fixture.ask("GET /none HTTP/1.1\r\nHost: a\r\n\r\n"), 404));
    const auto refused = fixture.ask("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK(has_status(refused, 405));
    CHECK(refused.find("allow: POST, OPTIONS\r\n") != std::string::npos);
    CHECK(has_status(fixture.ask("OPTIONS /echo HTTP/1.1\r\nHost: a\r\n\r\n"), 204));
}
