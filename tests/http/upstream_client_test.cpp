#include "nutgate/http/upstream_client.h"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <latch>
#include <string>
#include <vector>

#include "nutgate/base/metrics.h"
#include "support/raw_server.h"
#include "support/run_task.h"

using namespace nutgate;
using namespace nutgate::http;
using namespace nutgate::test;

namespace {

UpstreamClient::Options options_for(const RawServer& server) {
    UpstreamClient::Options options;
    options.base = *parse_url(server.url());
    options.head_timeout = Milliseconds{20'000};
    options.gap_timeout = Milliseconds{20'000};
    return options;
}

UpstreamRequest post(std::string body) {
    UpstreamRequest request;
    request.target = "/v1/x";
    request.body = std::move(body);
    return request;
}

struct Whole {
    int status = 0;
    std::string body;
    std::optional<UpstreamFailure> failure;  // Of the head if status is 0, else of the body.
};

Task<Whole> call(UpstreamClient& client, UpstreamRequest request) {
    Whole whole;
    auto answer = co_await client.send(std::move(request));
    if (!answer) {
        whole.failure = answer.error();
        co_return whole;
    }
    whole.status = (*answer)->status();
    for (;;) {
        const auto piece = co_await (*answer)->read();
        if (!piece) {
            whole.failure = piece.error();
            co_return whole;
        }
        if (piece->empty()) co_return whole;
        whole.body += *piece;
    }
}

// What becomes of an upstream that reads a request and answers with these bytes, then closes.
Whole call_with(const std::string& bytes, Method method = Method::Post) {
    RawServer server{[&bytes](RawSocket& socket, std::size_t) {
        RawServer::read_request(socket);
        socket.send(bytes);
    }};
    metrics::Registry metrics;
    const auto client = make_upstream_client(options_for(server), metrics);
    auto request = post("{}");
    request.method = method;
    return run_task(call(*client, std::move(request)));
}

}  // namespace

TEST_CASE("upstream: a request goes out whole, with the headers that are ours to write") {
    std::string seen;
    RawServer server{[&seen](RawSocket& socket, std::size_t) {
        seen = RawServer::read_request(socket);
        socket.send(RawServer::answer(200, "hello"));
    }};
    metrics::Registry metrics;
    const auto client = make_upstream_client(options_for(server), metrics);
    auto request = post("body");
    request.headers = {{"X-One", "1"}, {"Host", "evil"}, {"Transfer-Encoding", "chunked"}};
    const auto whole = run_task(call(*client, std::move(request)));
    CHECK(whole.status == 200);
    CHECK(whole.body == "hello");
    CHECK_FALSE(whole.failure);
    CHECK(seen == "POST /v1/x HTTP/1.1\r\nhost: 127.0.0.1:" + std::to_string(server.port()) +
                      "\r\nX-One: 1\r\ncontent-length: 4\r\n\r\nbody");
}

TEST_CASE("upstream: what would break out of a head is never sent") {
    const RawServer server{[](RawSocket&, std::size_t) {}};
    metrics::Registry metrics;
    const auto client = make_upstream_client(options_for(server), metrics);
    auto header = post("");
    header.headers.add("X-One", "a\r\nInjected: yes");
    CHECK(run_task(call(*client, std::move(header))).failure == UpstreamFailure::Unreachable);
    auto target = post("");
    target.target = "/a HTTP/1.1\r\nInjected: yes\r\n";
    CHECK(run_task(call(*client, std::move(target))).failure == UpstreamFailure::Unreachable);
    CHECK(server.accepted() == 0);
}

TEST_CASE("upstream: what came before nonsense is passed on before the failure") {
    const auto cut = call_with(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\nnonsense\r\n");
    CHECK(cut.status == 200);
    CHECK(cut.body == "12345");
    CHECK(cut.failure == UpstreamFailure::Broken);
}

TEST_CASE("upstream: bodies by length, by chunks, and to the end of the connection") {
    CHECK(call_with("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").body == "hello");
    CHECK(call_with("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nT: t\r\n\r\n")
              .body == "abcde");
    const auto closed = call_with("HTTP/1.1 200 OK\r\n\r\nto the end");
    CHECK(closed.body == "to the end");
    CHECK_FALSE(closed.failure);
    CHECK(call_with("HTTP/1.1 204 No Content\r\n\r\n").status == 204);
    const auto head = call_with("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Method::Head);
    CHECK(head.status == 200);
    CHECK_FALSE(head.failure);
    const auto late = call_with(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nA: b\r\n\r\n"
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    CHECK(late.status == 200);
    CHECK(late.body == "ok");
}

TEST_CASE("upstream: an answer that is cut is Broken, never an end") {
    for (const std::string bytes :
         {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345",
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n",
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n123"}) {
        CAPTURE(bytes);
        const auto whole = call_with(bytes);
        CHECK(whole.status == 200);
        CHECK(whole.failure == UpstreamFailure::Broken);
    }
    for (const std::string bytes : {"", "HTTP/1.1 200 OK\r\nContent-"}) {
        CHECK(call_with(bytes).status == 0);
        CHECK(call_with(bytes).failure == UpstreamFailure::Broken);
    }
}

TEST_CASE("upstream: an answer whose end is not well-defined is refused") {
    for (const std::string head :
         {"Content-Length: 3\r\nContent-Length: 3", "Content-Length: 3\r\nContent-Length: 4",
          "Content-Length: 3\r\nTransfer-Encoding: chunked",
          "Transfer-Encoding: chunked\r\nContent-Length: 3", "Transfer-Encoding: gzip, chunked",
          "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "Content-Length: 3, 3",
          "Transfer-Encoding: xchunked", "Content-Length: -3", "Content-Length: 3abc",
          "Content-Length: 99999999999999999999", "A: b\r\n continued", "A : b", "\tA: b"}) {
        CAPTURE(head);
        const auto whole = call_with("HTTP/1.1 200 OK\r\n" + head + "\r\n\r\nabc");
        CHECK(whole.status == 0);
        CHECK(whole.failure == UpstreamFailure::Broken);
    }
    CHECK(call_with("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n").failure ==
          UpstreamFailure::Broken);
    CHECK(call_with("HTTP/1.1 101 Switching\r\n\r\n").failure == UpstreamFailure::Broken);
    CHECK(call_with("SSH-2.0-x\r\n\r\n").failure == UpstreamFailure::Broken);
    CHECK(call_with("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n").failure ==
          UpstreamFailure::Broken);
}

TEST_CASE("upstream: an endless head is TooLarge") {
    RawServer server{[](RawSocket& socket, std::size_t) {
        RawServer::read_request(socket);
        socket.send("HTTP/1.1 200 OK\r\n");
        while (socket.send("X-Header: " + std::string(1000, 'x') + "\r\n")) {
        }
    }};
    metrics::Registry metrics;
    const auto client = make_upstream_client(options_for(server), metrics);
    CHECK(run_task(call(*client, post(""))).failure == UpstreamFailure::TooLarge);
}

TEST_CASE(
    "upstream: chunk extensions, trailers, interim answers and headers without end are no answer") {
    const auto ends = [](const std::string& begin, const std::string& for_ever) {
        RawServer server{[&](RawSocket& socket, std::size_t) {
            RawServer::read_request(socket);
            socket.send(begin);
            while (socket.send(for_ever)) {
            }
        }};
        metrics::Registry metrics;
        const auto client = make_upstream_client(options_for(server), metrics);
        return run_task(call(*client, post(""))).failure;
    };
    const std::string ok = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    const std::string much(65536, 'x');
    CHECK(ends(ok + "3;", much) == UpstreamFailure::Broken);
    CHECK(ends(ok + "3\r\nabc\r\n0\r\nT: ", much) == UpstreamFailure::Broken);
    CHECK(ends(ok + "3\r\nabc\r\n0\r\n", "T: x\r\n") == UpstreamFailure::Broken);
    CHECK(ends(ok + "0000000000000000000", "00000000") == UpstreamFailure::Broken);
    CHECK(ends("", "HTTP/1.1 100 Continue\r\n\r\n") == UpstreamFailure::Broken);
    CHECK(ends("HTTP/1.1 200 OK\r\n", "A: b\r\n") == UpstreamFailure::TooLarge);
    CHECK(ends("HTTP/1.1 200 ", much) == UpstreamFailure::TooLarge);
    std::string many = "HTTP/1.1 200 OK\r\n";
    for (int i = 0; i < 201; ++i) many += "A: b\r\n";
    CHECK(call_with(many + "Content-Length: 0\r\n\r\n").failure == UpstreamFailure::Broken);
}

TEST_CASE("upstream: a redirect is an answer, and what is packed stays packed") {
    const RawServer elsewhere{[](RawSocket&, std::size_t) {}};
    const auto redirect =
        call_with("HTTP/1.1 308 Permanent Redirect\r\nLocation: " + elsewhere.url() +
                  "/\r\nContent-Length: 0\r\n\r\n");
    CHECK(redirect.status == 308);
    CHECK_FALSE(redirect.failure);
    CHECK(elsewhere.accepted() == 0);
    const auto packed = call_with(
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x01");
    CHECK(packed.body == "\x1f\x8b\x08\x01");
}

TEST_CASE("upstream: time-outs of the head, which drips do not renew, and of gaps, which they do") {
    RawServer server{[](RawSocket& socket, std::size_t number) {
        RawServer::read_request(socket);
        if (number == 0) {
            while (socket.send("x") && !socket.ends(Milliseconds{20})) {
            }
            return;
        }
        socket.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n");
        for (int i = 0; i < 10; ++i) {
            socket.send("x");
            if (socket.ends(Milliseconds{40})) return;
        }
        CHECK(socket.ends());  // And then nothing more.
    }};
    metrics::Registry metrics;
    auto options = options_for(server);
    options.head_timeout = options.gap_timeout = Milliseconds{300};
    const auto client = make_upstream_client(options, metrics);
    Loop loop;
    const auto head = loop.run(call(*client, post("")));
    CHECK(head.status == 0);
    CHECK(head.failure == UpstreamFailure::Timeout);
    const auto gap = loop.run(call(*client, post("")));
    CHECK(gap.status == 200);
    CHECK(gap.body == "xxxxxxxxxx");
    CHECK(gap.failure == UpstreamFailure::Timeout);
}

TEST_CASE("upstream: connections are used again, and one that was closed idle is replaced unseen") {
    std::vector<std::string> seen;
    std::latch first_closed{1};
    RawServer server{[&](RawSocket& socket, std::size_t number) {
        for (int i = 0; i < 3; ++i) {
            RawServer::read_request(socket);
            socket.send(RawServer::answer(200, std::to_string(number)));
        }
        socket.close();
        if (number == 0) first_closed.count_down();
    }};
    metrics::Registry metrics;
    const auto client = make_upstream_client(options_for(server), metrics);
    Loop loop;
    for (int i = 0; i < 3; ++i) CHECK(loop.run(call(*client, post(""))).body == "0");
    first_closed.wait();
    CHECK(loop.run(call(*client, post(""))).body == "1");
    CHECK(server.accepted() == 2);
}

TEST_CASE(
    "upstream: a kept connection that is reset at the request is replaced once, a fresh never") {
    std::atomic<int> requests = 0;
    RawServer server{[&](RawSocket& socket, std::size_t number) {
        RawServer::read_request(socket);
        ++requests;
        if (number == 0) {
            socket.send(RawServer::answer(200, "first"));
            RawServer::read_request(socket);
            socket.reset();  // Not a byte of the second answer.
        } else if (number == 1) {
            socket.send(RawServer::answer(200, "second"));
            RawServer::read_request(socket);
            socket.send("HTTP/1.1 2");  // A byte of it: no second try.
        }
    }};
    metrics::Registry metrics;
    const auto client = make_upstream_client(options_for(server), metrics);
    Loop loop;
    CHECK(loop.run(call(*client, post(""))).body == "first");
    CHECK(loop.run(call(*client, post(""))).body == "second");
    CHECK(loop.run(call(*client, post(""))).failure == UpstreamFailure::Broken);
    CHECK(server.accepted() == 2);
    CHECK(loop.run(call(*client, post(""))).failure == UpstreamFailure::Broken);  // Fresh.
    CHECK(server.accepted() == 3);
}

TEST_CASE("upstream: what is left unread, or says more than it should, is not used again") {
    RawServer server{[](RawSocket& socket, std::size_t number) {
        RawServer::read_request(socket);
        socket.send(RawServer::answer(200, "abc") + (number == 0 ? "more" : ""));
        CHECK(socket.ends());
    }};
    metrics::Registry metrics;
    const auto client = make_upstream_client(options_for(server), metrics);
    Loop loop;
    CHECK(loop.run(call(*client, post(""))).body == "abc");
    const auto drops = [](UpstreamClient& to) -> Task<bool> {
        const auto answer = co_await to.send(post(""));
        co_return answer.has_value();
    };
    CHECK(loop.run(drops(*client)));
    CHECK(loop.run(drops(*client)));
    CHECK(server.accepted() == 3);
}

TEST_CASE("upstream: nobody listens: unreachable") {
    metrics::Registry metrics;
    UpstreamClient::Options options;
    {
        const RawServer server{[](RawSocket&, std::size_t) {}};
        options.base = *parse_url(server.url());
    }
    const auto client = make_upstream_client(options, metrics);
    CHECK(run_task(call(*client, post(""))).failure == UpstreamFailure::Unreachable);
    options.base = *parse_url("http://no-such-host.invalid");
    const auto nowhere = make_upstream_client(options, metrics);
    CHECK(run_task(call(*nowhere, post(""))).failure == UpstreamFailure::Unreachable);
}

TEST_CASE("upstream: a call is cancelled by first_of(), and abandoned from beside it") {
    std::latch both_ended{2};
    RawServer server{[&](RawSocket& socket, std::size_t) {
        RawServer::read_request(socket);
        socket.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx");
        CHECK(socket.ends());
        both_ended.count_down();
    }};
    metrics::Registry metrics;
    const auto client = make_upstream_client(options_for(server), metrics);
    Loop loop;
    const auto first = loop.run(first_of(call(*client, post("")), after(Milliseconds{50})));
    CHECK(first.index() == 1);

    Abandonment abandonment;
    const auto leaves = [](Abandonment& what) -> Task<void> {
        co_await after(Milliseconds{50});
        what.abandon();
        co_await after(Milliseconds{20'000});
    };
    auto request = post("");
    request.abandonment = &abandonment;
    const auto second = loop.run(first_of(call(*client, std::move(request)), leaves(abandonment)));
    REQUIRE(second.index() == 0);
    CHECK(std::get<0>(second).failure == UpstreamFailure::Broken);
    CHECK(std::get<0>(second).body == "x");
    both_ended.wait();
}

TEST_CASE("upstream: a call that is abandoned before it was sent is Unreachable, and is not sent") {
    std::atomic<int> asked = 0;
    RawServer server{[&](RawSocket& socket, std::size_t) {
        if (!RawServer::read_request(socket).empty()) ++asked;
    }};
    metrics::Registry metrics;
    auto options = options_for(server);
    options.base.host = "localhost";  // To be resolved, which takes another thread.
    const auto client = make_upstream_client(options, metrics);
    Abandonment abandonment;
    const auto leaves = [](Abandonment& what) -> Task<void> {
        what.abandon();
        co_await after(Milliseconds{20'000});
    };
    auto request = post("{}");
    request.abandonment = &abandonment;
    SUBCASE("before it began") { abandonment.abandon(); }
    SUBCASE("while the name is looked up") {}
    Loop loop;
    const auto ended = loop.run(first_of(call(*client, std::move(request)), leaves(abandonment)));
    REQUIRE(ended.index() == 0);
    CHECK(std::get<0>(ended).failure == UpstreamFailure::Unreachable);
    CHECK(asked == 0);
}

TEST_CASE("upstream: large bodies both ways, and pieces that are taken slowly") {
    const std::string large(5'000'000, 'x');
    RawServer server{[&](RawSocket& socket, std::size_t) {
        const auto request = RawServer::read_request(socket);
        socket.send(RawServer::answer(200, request.substr(request.size() - large.size())));
    }};
    metrics::Registry metrics;
    const auto client = make_upstream_client(options_for(server), metrics);
    CHECK(run_task(call(*client, post(large))).body == large);
}
