// Calls that may not leave the public internet, whatever the name service says.
#include "nutgate/http/reach.h"

#include <doctest/doctest.h>

#include <atomic>
#include <latch>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "name_lookup.h"
#include "nutgate/http/client.h"
#include "nutgate/http/url.h"
#include "support/fake_resolver.h"
#include "support/raw_server.h"

using namespace nutgate;
using namespace nutgate::http;
using namespace nutgate::test;
using Kind = ClientError::Kind;

namespace {

ClientRequest get_public(const std::string& url) {
    ClientRequest request;
    request.url = url;
    request.reach = Reach::PublicOnly;
    return request;
}

std::string on_port(const std::string& host, const RawServer& server) {
    return "http://" + host + ":" + std::to_string(server.port()) + "/x";
}

// Answers with the number of the connection.
void answer(RawSocket& socket, std::size_t number) {
    while (!RawServer::read_request(socket).empty()) {
        if (!socket.send(RawServer::answer(200, std::to_string(number)))) return;
    }
}

}  // namespace

TEST_CASE("reach: what the internet routes is public") {
    for (const char* address : {"1.1.1.1",
                                "8.8.8.8",
                                "9.255.255.255",
                                "11.0.0.0",
                                "100.63.255.255",
                                "100.128.0.0",
                                "126.255.255.255",
                                "128.0.0.0",
                                "169.253.255.255",
                                "169.255.0.0",
                                "172.15.255.255",
                                "172.32.0.0",
                                "192.0.1.0",
                                "192.0.3.0",
                                "192.167.255.255",
                                "192.169.0.0",
                                "198.17.255.255",
                                "198.20.0.0",
                                "223.255.255.255",
                                "2001:4860:4860::8888",
                                "2606:4700:4700::1111",
                                "2a00::1",
                                "2001:200::1",
                                "::ffff:8.8.8.8",
                                "64:ff9b::8.8.8.8"}) {
        CAPTURE(address);
        CHECK(is_public_address(address));
    }
}

TEST_CASE("reach: loopback, private, link-local and all other special ranges are not") {
    for (const char* address :
         {"127.0.0.1",       "127.255.255.255", "0.0.0.0",         "0.1.2.3",
          "10.0.0.1",        "10.255.255.255",  "172.16.0.1",      "172.31.255.255",
          "192.168.0.1",     "169.254.169.254", "169.254.0.1",     "100.64.0.1",
          "100.127.255.255", "192.0.0.1",       "192.0.0.171",     "192.0.2.1",
          "198.51.100.1",    "203.0.113.1",     "198.18.0.1",      "198.19.255.255",
          "192.88.99.1",     "224.0.0.1",       "239.255.255.255", "240.0.0.1",
          "255.255.255.255"}) {
        CAPTURE(address);
        CHECK_FALSE(is_public_address(address));
        CHECK_FALSE(is_public_address(std::string{"::ffff:"} + address));
        CHECK_FALSE(is_public_address(std::string{"64:ff9b::"} + address));
    }
    for (const char* address :
         {"::", "::1", "::127.0.0.1", "fe80::1", "febf::1", "fec0::1", "fc00::1", "fd12:3456::1",
          "ff02::1", "2001:db8::1", "2001::1", "2001:2::1", "2001:10::1",
          "2002:7f00:1::", "3fff::1", "100::1", "64:ff9b:1::1", "4000::1", "5f00::1"}) {
        CAPTURE(address);
        CHECK_FALSE(is_public_address(address));
    }
}

TEST_CASE("reach: an address in an odd form is no address, and no name either") {
    for (const char* odd : {"2130706433", "0x7f000001", "0x7f.0.0.1", "127.1", "127.0.1",
                            "0177.0.0.1", "127.0x1", "1.1.1.0x1", "8.8.8.8.", "010.8.8.8",
                            "8.8.8.256", "fe80::1%lo", "2001:4860:4860::8888%1", "::ffff:127.1"}) {
        CAPTURE(odd);
        CHECK_FALSE(is_public_address(odd));
    }
    for (const char* odd : {"2130706433", "0x7f000001", "0x7f.0.0.1", "127.1", "0177.0.0.1",
                            "127.0x1", "1.1.1.0X1", "fe80::1%lo"}) {
        CAPTURE(odd);
        CHECK(is_odd_address(odd));
    }
    for (const char* name : {"mint.example", "0x.example", "1.mint.example", "8.8.8.8", "::1"}) {
        CAPTURE(name);
        CHECK_FALSE(is_odd_address(name));
    }
    // None of them gets as far as the name service.
    FakeResolver names;
    const auto client = make_client({.rules = {.resolver = &names}});
    for (const char* host : {"2130706433", "0x7f000001", "0x7f.1", "127.1", "0177.0.0.1", "127.0x1",
                             "[fe80::1%25lo]", "[::ffff:127.1]", "127.0.0.1."}) {
        CAPTURE(host);
        const auto result = client->call(get_public("http://" + std::string{host} + "/"));
        REQUIRE_FALSE(result);
        CHECK((result.error().kind == Kind::NotSent || result.error().kind == Kind::Invalid));
    }
    CHECK(names.asked() == 0);
}

TEST_CASE("reach: a call to a private address, by literal or by name, is not sent") {
    RawServer server{answer};
    FakeResolver names;
    names.set("inside.example", {"127.0.0.1"});
    names.set("mapped.example", {"::ffff:127.0.0.1"});
    names.set("metadata.example", {"169.254.169.254"});
    const auto client = make_client({.rules = {.resolver = &names}});
    for (const char* host :
         {"127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "169.254.169.254",
          "inside.example", "mapped.example", "metadata.example", "localhost"}) {
        CAPTURE(host);
        const auto result = client->call(get_public(on_port(host, server)));
        REQUIRE_FALSE(result);
        CHECK(result.error().kind == Kind::NotSent);
    }
    const auto result = client->call(get_public(on_port("inside.example", server)));
    CHECK(result.error().detail.find("127.0.0.1, which is not a public address") !=
          std::string::npos);
    CHECK(server.accepted() == 0);
}

TEST_CASE("reach: one private address among public ones is enough to refuse them all") {
    FakeResolver names;
    names.set("both.example", {"8.8.8.8", "10.0.0.1"});
    const auto client = make_client({.rules = {.resolver = &names}});
    const auto result = client->call(get_public("http://both.example/"));
    REQUIRE_FALSE(result);
    CHECK(result.error().kind == Kind::NotSent);
    CHECK(result.error().detail.find("10.0.0.1") != std::string::npos);
}

TEST_CASE("reach: DNS rebinding: the connection goes to the address that was checked") {
    std::string seen;
    RawServer server{[&seen](RawSocket& socket, std::size_t) {
        seen = RawServer::read_request(socket);
        socket.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nhere");
    }};
    // A name that nobody but this resolver knows: a second look-up elsewhere would find nothing;
    // a second one here, something else.
    FakeResolver names;
    names.set("mint.example", {"127.0.0.1"});
    names.then("mint.example", {"127.0.0.2"});
    const auto client =
        make_client({.rules = {.resolver = &names, .is_public = [](std::string_view address) {
                                   return address == "127.0.0.1";
                               }}});
    const auto result = client->call(get_public(on_port("mint.example", server)));
    REQUIRE(result);
    CHECK(result->body == "here");
    CHECK(names.asked() == 1);
    CHECK(seen.find("Host: mint.example:" + std::to_string(server.port()) + "\r\n") !=
          std::string::npos);
    // The server closes: the connection is made anew, to the address that was checked.
    const auto again = client->call(get_public(on_port("mint.example", server)));
    REQUIRE(again);
    CHECK(again->body == "here");
    CHECK(names.asked() == 1);
    // And another client, which has none yet, is led elsewhere, and does not go there.
    const auto other =
        make_client({.rules = {.resolver = &names, .is_public = [](std::string_view address) {
                                   return address == "127.0.0.1";
                               }}});
    const auto elsewhere = other->call(get_public(on_port("mint.example", server)));
    REQUIRE_FALSE(elsewhere);
    CHECK(elsewhere.error().kind == Kind::NotSent);
    CHECK(server.accepted() == 2);
}

TEST_CASE("reach: a connection that was made without a check serves no call that wants one") {
    RawServer server{answer};
    FakeResolver names;
    const auto client = make_client({.rules = {.resolver = &names}});
    ClientRequest anywhere;
    anywhere.url = on_port("127.0.0.1", server);
    REQUIRE(client->call(anywhere));
    const auto result = client->call(get_public(anywhere.url));
    REQUIRE_FALSE(result);
    CHECK(result.error().kind == Kind::NotSent);
}

TEST_CASE("reach: a public call keeps its connection, and its name is looked up once") {
    RawServer server{answer};
    FakeResolver names;
    names.set("mint.example", {"127.0.0.1"});
    const auto client = make_client(
        {.rules = {.resolver = &names, .is_public = [](std::string_view) { return true; }}});
    for (int i = 0; i < 3; ++i) {
        const auto result = client->call(get_public(on_port("mint.example", server)));
        REQUIRE(result);
        CHECK(result->body == "0");
    }
    CHECK(names.asked() == 1);
}

TEST_CASE("reach: where nobody answers at one address, the next one is tried") {
    RawServer server{answer};
    FakeResolver names;
    names.set("two.example", {"127.0.0.9", "127.0.0.1"});
    const auto client = make_client(
        {.rules = {.resolver = &names, .is_public = [](std::string_view) { return true; }}});
    const auto result = client->call(get_public(on_port("two.example", server)));
    REQUIRE(result);
    CHECK(result->body == "0");
}

TEST_CASE("reach: a name service that hangs ends a call at its deadline") {
    FakeResolver names;
    std::latch may_answer{1};
    names.hang(may_answer);
    const auto client = make_client({.rules = {.resolver = &names}});
    auto request = get_public("http://slow.example/");
    request.timeout = Milliseconds{50};
    const auto result = client->call(request);
    may_answer.count_down();
    REQUIRE_FALSE(result);
    CHECK(result.error().kind == Kind::NotSent);
}

TEST_CASE("reach: the system's name service knows this host, and it is not public") {
    const auto client = make_client({});
    const auto result = client->call(get_public("http://localhost:9/"));
    REQUIRE_FALSE(result);
    CHECK(result.error().kind == Kind::NotSent);
    CHECK(result.error().detail.find("not a public address") != std::string::npos);
}
