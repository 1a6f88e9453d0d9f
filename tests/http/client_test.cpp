#include "nutgate/http/client.h"

#include <doctest/doctest.h>

#include <chrono>
#include <latch>
#include <string>
#include <thread>
#include <vector>

#include "server_fixture.h"
#include "support/raw_server.h"

using namespace nutgate;
using namespace nutgate::http;
using namespace nutgate::test;
using Kind = ClientError::Kind;

namespace {

ClientRequest get(const std::string& url) {
    ClientRequest request;
    request.url = url;
    return request;
}

ClientRequest post(const std::string& url, const std::string& body) {
    ClientRequest request = get(url);
    request.method = Method::Post;
    request.body = body;
    return request;
}

// What a client makes of a peer that reads a request and answers with these bytes.
Result<Response, ClientError> call_with(const std::string& bytes,
                                        Milliseconds timeout = Milliseconds{10'000}) {
    RawServer server{[&bytes](RawSocket& socket, std::size_t) {
        RawServer::read_request(socket);
        socket.send(bytes);
    }};
    const auto client = make_client({});
    auto request = post(server.url() + "/x", "{}");
    request.timeout = timeout;
    return client->call(request);
}

}  // namespace

TEST_CASE("client: calls, and goes on over the same connection") {
    std::vector<std::string> seen;
    RawServer server{[&seen](RawSocket& socket, std::size_t) {
        for (;;) {
            const auto request = RawServer::read_request(socket);
            if (request.empty()) return;
            seen.push_back(request);
            socket.send(RawServer::answer(201, "{\"a\":1}"));
        }
    }};
    {
        const auto client = make_client({});
        auto request = post(server.url() + "/v1/x?y=%20z", "body");
        request.headers.add("X-One", "1");
        for (int i = 0; i < 3; ++i) {
            const auto response = client->call(request);
            REQUIRE(response);
            CHECK(response->status == 201);
            CHECK(response->body == "{\"a\":1}");
            CHECK(response->headers.find("content-type") == "application/json");
        }
    }
    CHECK(server.accepted() == 1);
    REQUIRE(seen.size() == 3);
    CHECK(seen[0].starts_with("POST /v1/x?y=%20z HTTP/1.1\r\n"));
    CHECK(seen[0].ends_with("\r\n\r\nbody"));
    CHECK(seen[0].find("X-One: 1\r\n") != std::string::npos);
    CHECK(seen[0].find("Content-Type: application/json\r\n") != std::string::npos);
    CHECK(seen[0].find("Host: 127.0.0.1:" + std::to_string(server.port()) + "\r\n") !=
          std::string::npos);
    CHECK(seen[0].find("Accept-Encoding") == std::string::npos);
}

TEST_CASE(
    "client: CVE-2023-26130, CVE-2026-21428: no control character gets into a head; such a call is "
    "Invalid") {
    RawServer server{
        [](RawSocket& socket, std::size_t) { socket.send(RawServer::answer(200, "")); }};
    const auto client = make_client({});
    const auto refuses = [&](ClientRequest request) {
        const auto result = client->call(request);
        REQUIRE_FALSE(result);
        CHECK(result.error().kind == Kind::Invalid);
    };
    auto value = get(server.url());
    value.headers.add("X-One", "a\r\nInjected: yes");
    refuses(value);
    auto name = get(server.url());
    name.headers.add("X-One: a\r\nInjected", "yes");
    refuses(name);
    auto type = post(server.url(), "x");
    type.content_type = "text/plain\r\nInjected: yes";
    refuses(type);
    auto framing = post(server.url(), "x");
    framing.headers.add("Transfer-Encoding", "chunked");
    refuses(framing);
    refuses(get(server.url() + "/a b"));
    refuses(get(server.url() + "/a\r\nInjected: yes"));
    refuses(get("ftp://127.0.0.1/"));
    CHECK(server.accepted() == 0);
}

TEST_CASE("client: nobody listens: certainly not sent") {
    std::uint16_t port = 0;
    {
        const RawServer server{[](RawSocket&, std::size_t) {}};
        port = server.port();
    }
    const auto client = make_client({});
    const auto result = client->call(get("http://127.0.0.1:" + std::to_string(port)));
    REQUIRE_FALSE(result);
    CHECK(result.error().kind == Kind::NotSent);
    const auto nowhere = client->call(get("http://no-such-host.invalid/"));
    REQUIRE_FALSE(nowhere);
    CHECK(nowhere.error().kind == Kind::NotSent);
}

TEST_CASE("client: an answer that is cut, or is none, is Ambiguous") {
    for (const std::string bytes :
         {"", "HTTP", "HTTP/1.1 200 OK\r\nContent-Le",
          "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345",
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n", "nonsense\r\n\r\n",
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"}) {
        CAPTURE(bytes);
        const auto result = call_with(bytes);
        REQUIRE_FALSE(result);
        CHECK(result.error().kind == Kind::Ambiguous);
    }
}

TEST_CASE("client: a peer that drips or hangs ends at the deadline of the whole call") {
    const auto begin = std::chrono::steady_clock::now();
    RawServer server{[](RawSocket& socket, std::size_t number) {
        RawServer::read_request(socket);
        socket.send(number == 0 ? "" : "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
        // A byte now and then, so that no single read ever waits for long.
        while (!socket.ends(Milliseconds{20}) && socket.send("X")) {
        }
    }};
    const auto client = make_client({});
    for (int i = 0; i < 2; ++i) {
        auto request = get(server.url());
        request.timeout = Milliseconds{200};
        const auto result = client->call(request);
        REQUIRE_FALSE(result);
        CHECK(result.error().kind == Kind::Ambiguous);
    }
    CHECK(std::chrono::steady_clock::now() - begin < Seconds{10});
}

TEST_CASE("client: an endless answer is TooLarge, as is one that inflates") {
    RawServer server{[](RawSocket& socket, std::size_t number) {
        RawServer::read_request(socket);
        const bool is_chunked = number == 0;
        socket.send(is_chunked ? "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                               : "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
        const std::string piece(4096, 'x');
        while (socket.send(is_chunked ? "1000\r\n" + piece + "\r\n" : piece)) {
        }
    }};
    const auto client = make_client({});
    for (int i = 0; i < 2; ++i) {
        auto request = get(server.url());
        request.response_bytes_max = 100'000;
        const auto result = client->call(request);
        REQUIRE_FALSE(result);
        CHECK(result.error().kind == Kind::TooLarge);
    }
    // A gzip header, passed on as it is: nothing is inflated.
    const auto packed = call_with(
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x01");
    REQUIRE(packed);
    CHECK(packed->body == "\x1f\x8b\x08\x01");
}

TEST_CASE(
    "client: CVE-2025-53628: an endless head, of lines or of one line, is TooLarge and soon") {
    std::atomic<std::size_t> sent = 0;
    RawServer server{[&](RawSocket& socket, std::size_t number) {
        RawServer::read_request(socket);
        socket.send("HTTP/1.1 200 OK\r\nX-One: 1");
        const std::string piece =
            (number % 2 == 0 ? "\r\nX-Header: " : "") + std::string(1000, 'x');
        while (socket.send(piece)) sent += piece.size();
    }};
    const auto client = make_client({});
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < 4; ++i) {
        auto request = get(server.url());
        request.timeout = Milliseconds{60'000};
        request.response_bytes_max = 1000;
        const auto result = client->call(request);
        REQUIRE_FALSE(result);
        CHECK(result.error().kind == Kind::TooLarge);
    }
    CHECK(std::chrono::steady_clock::now() - begin < Seconds{30});
}

TEST_CASE("client: what one connection carries in many calls is no endless answer") {
    RawServer server{[](RawSocket& socket, std::size_t) {
        while (!RawServer::read_request(socket).empty()) {
            if (!socket.send(RawServer::answer(200, std::string(900'000, 'x')))) return;
        }
    }};
    const auto client = make_client({});
    for (int i = 0; i < 20; ++i) {
        auto request = get(server.url());
        request.response_bytes_max = 1'000'000;
        const auto result = client->call(request);
        REQUIRE(result);
        CHECK(result->body.size() == 900'000);
    }
    CHECK(server.accepted() == 1);
}

TEST_CASE(
    "client: CVE-2026-45352: chunks that lie, chunk extensions and trailers without end are no "
    "answer") {
    const auto ends = [](const std::string& begin, const std::string& for_ever) {
        RawServer server{[&](RawSocket& socket, std::size_t) {
            RawServer::read_request(socket);
            socket.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + begin);
            while (socket.send(for_ever)) {
            }
        }};
        const auto client = make_client({});
        auto request = get(server.url());
        request.response_bytes_max = 1000;
        const auto result = client->call(request);
        return result ? std::nullopt : std::optional{result.error().kind};
    };
    const std::string much(65536, 'x');
    CHECK(ends("3;", much) == Kind::TooLarge);
    CHECK(ends("3\r\nabc\r\n0\r\nT: ", much) == Kind::TooLarge);
    // Refused by the library, as it happens, at the first of them.
    const std::string trailer = "T: " + std::string(1000, 'x') + "\r\n";
    CHECK(ends("3\r\nabc\r\n0\r\n", trailer).has_value());
    for (const std::string size : {"-1", "ffffffffffffffff", "7fffffffffffffff"}) {
        CAPTURE(size);
        CHECK(ends(size + "\r\n", much).has_value());
    }
}

TEST_CASE("client: a length that lies is cut at what was allowed, or Ambiguous") {
    const auto kind_of = [](const std::string& length, const std::string& body) {
        const auto result =
            call_with("HTTP/1.1 200 OK\r\nContent-Length: " + length + "\r\n\r\n" + body);
        return result ? std::nullopt : std::optional{result.error().kind};
    };
    CHECK(kind_of("99999999999999", "abc") == Kind::Ambiguous);
    CHECK(kind_of("18446744073709551615", "abc") == Kind::Ambiguous);
    // What stands behind a shorter one is not read as the next answer.
    RawServer server{[](RawSocket& socket, std::size_t number) {
        for (int i = 0; !RawServer::read_request(socket).empty(); ++i) {
            const std::string more =
                number == 0 && i == 0 ? RawServer::answer(200, "smuggled") : "";
            if (!socket.send(RawServer::answer(200, "abc") + more)) return;
        }
    }};
    const auto client = make_client({});
    for (int i = 0; i < 3; ++i) {
        const auto result = client->call(get(server.url()));
        if (result) CHECK(result->body == "abc");
    }
}

TEST_CASE(
    "client: a peer that hangs up while we write makes a call Ambiguous, and ends no process") {
    RawServer server{[](RawSocket& socket, std::size_t) {
        socket.read_until("\r\n\r\n");
        socket.reset();
    }};
    const auto client = make_client({});
    for (int i = 0; i < 5; ++i) {
        const auto result = client->call(post(server.url(), std::string(20'000'000, 'x')));
        REQUIRE_FALSE(result);
        CHECK(result.error().kind == Kind::Ambiguous);
    }
}

TEST_CASE(
    "client: CVE-2026-32627, CVE-2026-33745: a redirect is an answer; nobody goes there, and no "
    "credential") {
    const RawServer elsewhere{[](RawSocket&, std::size_t) {}};
    const auto result =
        call_with("HTTP/1.1 307 Temporary Redirect\r\nLocation: " + elsewhere.url() +
                  "/\r\nContent-Length: 0\r\n\r\n");
    REQUIRE(result);
    CHECK(result->status == 307);
    CHECK(elsewhere.accepted() == 0);
}

TEST_CASE(
    "client: a kept connection that was closed meanwhile is replaced before anything is sent") {
    std::latch is_closed{1};
    RawServer server{[&](RawSocket& socket, std::size_t number) {
        RawServer::read_request(socket);
        socket.send(RawServer::answer(200, std::to_string(number)));
        socket.close();
        if (number == 0) is_closed.count_down();
    }};
    const auto client = make_client({});
    CHECK(client->call(get(server.url()))->body == "0");
    is_closed.wait();
    const auto second = client->call(get(server.url()));
    REQUIRE(second);
    CHECK(second->body == "1");
}

TEST_CASE(
    "client: never more connections to a host than it may have; who waits in vain was not sent") {
    std::latch both_there{2};
    std::latch may_answer{1};
    RawServer server{[&](RawSocket& socket, std::size_t) {
        RawServer::read_request(socket);
        both_there.count_down();
        may_answer.wait();
        socket.send(RawServer::answer(200, "late"));
    }};
    const auto client = make_client({.connections_per_host_max = 2});
    std::vector<std::jthread> callers;
    for (int i = 0; i < 2; ++i) {
        callers.emplace_back([&] { CHECK(client->call(get(server.url())).has_value()); });
    }
    both_there.wait();
    auto third = get(server.url());
    third.timeout = Milliseconds{50};
    const auto result = client->call(third);
    may_answer.count_down();
    callers.clear();
    REQUIRE_FALSE(result);
    CHECK(result.error().kind == Kind::NotSent);
    CHECK(server.accepted() == 2);
}

TEST_CASE("client: speaks with our own server") {
    ServerFixture fixture;
    const auto client = make_client({});
    const auto base = "http://127.0.0.1:" + std::to_string(fixture.server.port());
    const std::string large(600'000, 'x');
    CHECK(client->call(post(base + "/echo", large))->body == large);
    CHECK(client->call(get(base + "/stream"))->body == "one,two,three");
    CHECK(client->call(get(base + "/none"))->status == 404);
}

TEST_CASE("client: of a stream without an end the first line is an answer, and its end no wait") {
    RawServer server{[](RawSocket& socket, std::size_t number) {
        RawServer::read_request(socket);
        const bool is_whole = number == 1;
        if (is_whole) {
            socket.send("HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone");
            return;
        }
        // In two pieces, and the second line begun with it; then nothing, for ever.
        socket.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
        socket.send("5\r\n,x\nno\r\n");
        RawServer::read_request(socket);
    }};
    const auto client = make_client({});
    auto request = get(server.url());
    request.first_line_only = true;
    const auto line = client->call(request);
    REQUIRE(line);
    CHECK_EQ(line->status, 200);
    CHECK_EQ(line->body, "one,x");
    // An answer that has no line is taken whole, over a connection of its own.
    const auto whole = client->call(request);
    REQUIRE(whole);
    CHECK_EQ(whole->status, 404);
    CHECK_EQ(whole->body, "none");
}
