// Requests whose body is sent on while it comes.
#include <doctest/doctest.h>

#include <deque>
#include <future>
#include <optional>
#include <string>

#include "nutgate/base/metrics.h"
#include "nutgate/http/upstream_client.h"
#include "support/raw_server.h"
#include "support/run_task.h"

using namespace nutgate;
using namespace nutgate::http;
using namespace nutgate::test;

namespace {

UpstreamClient::Options options_for(const RawServer& server) {
    UpstreamClient::Options options;
    options.base = *parse_url(server.url());
    options.head_timeout = options.gap_timeout = Milliseconds{20'000};
    return options;
}

// Gives these pieces; then it ends, fails, or says nothing more.
class Pieces final : public BodySource {
public:
    enum class End { Whole, Lost, Silence };
    explicit Pieces(std::deque<std::string> pieces, End end = End::Whole)
        : pieces_{std::move(pieces)}, end_{end} {}

    Task<std::optional<std::string_view>> read() override {
        if (next_ < pieces_.size()) co_return std::string_view{pieces_[next_++]};
        if (end_ == End::Silence) co_await after(Milliseconds{60'000});
        if (end_ != End::Whole) co_return std::nullopt;
        co_return std::string_view{};
    }
    bool rewind() override {
        next_ = 0;
        ++rewinds;
        return can_rewind;
    }
    std::size_t given() const { return next_; }

    bool can_rewind = true;
    int rewinds = 0;

private:
    std::deque<std::string> pieces_;
    const End end_;
    std::size_t next_ = 0;
};

struct Outcome {
    int status = 0;
    std::string body;
    bool has_whole_request = false;
    std::optional<UpstreamFailure> failure;
};

Task<Outcome> call(UpstreamClient& client, BodySource& rest, std::optional<std::uint64_t> bytes) {
    UpstreamRequest request;
    request.target = "/v1/x";
    request.body = "first,";
    request.rest = &rest;
    request.rest_bytes = bytes;
    Outcome outcome;
    auto answer = co_await client.send(std::move(request));
    if (!answer) {
        outcome.failure = answer.error();
        co_return outcome;
    }
    outcome.status = (*answer)->status();
    outcome.has_whole_request = (*answer)->has_whole_request();
    for (;;) {
        const auto piece = co_await (*answer)->read();
        if (!piece || piece->empty()) co_return outcome;
        outcome.body += *piece;
    }
}

}  // namespace

TEST_CASE("upstream: the rest of a body follows its beginning, with its length or in chunks") {
    std::string sized;
    std::string chunked;
    RawServer server{[&](RawSocket& socket, std::size_t) {
        sized = RawServer::read_request(socket);
        socket.send(RawServer::answer(200, "one"));
        chunked = RawServer::read_request(socket);
        socket.send(RawServer::answer(200, "two"));
    }};
    metrics::Registry metrics;
    const auto client = make_upstream_client(options_for(server), metrics);
    Loop loop;
    Pieces rest{{"second,", "third"}};
    const auto one = loop.run(call(*client, rest, 12));
    CHECK(one.status == 200);
    CHECK(one.has_whole_request);
    CHECK(one.body == "one");
    Pieces again{{"second,", "third"}};
    CHECK(loop.run(call(*client, again, std::nullopt)).body == "two");
    const std::string head =
        "POST /v1/x HTTP/1.1\r\nhost: 127.0.0.1:" + std::to_string(server.port()) + "\r\n";
    CHECK(sized == head + "content-length: 18\r\n\r\nfirst,second,third");
    CHECK(chunked == head +
                         "transfer-encoding: chunked\r\n\r\n6\r\nfirst,\r\n7\r\nsecond,\r\n"
                         "5\r\nthird\r\n0\r\n\r\n");
    CHECK(server.accepted() == 1);  // One connection did for both.
}

TEST_CASE("upstream: one that leaves before the rest was sent is not waited for") {
    // It hears on, or it is gone altogether; either way it says no more.
    for (const bool hears : {true, false}) {
        CAPTURE(hears);
        RawServer server{[hears](RawSocket& socket, std::size_t) {
            socket.read_until("first,");
            socket.finish_sending();
            if (hears) socket.read_to_end();
        }};
        metrics::Registry metrics;
        const auto client = make_upstream_client(options_for(server), metrics);
        Loop loop;
        Pieces rest{{"second,"}, Pieces::End::Silence};
        CHECK(loop.run(call(*client, rest, 1'000'000)).failure == UpstreamFailure::Broken);
    }
}

TEST_CASE("upstream: an answer that comes before the rest was sent ends the sending") {
    // The first never reads more than the head; the second says so and closes at once.
    for (const bool closes : {false, true}) {
        CAPTURE(closes);
        RawServer server{[closes](RawSocket& socket, std::size_t) {
            socket.read_until("first,");
            socket.send(RawServer::answer(413, "too large"));
            if (!closes) socket.read_to_end();
        }};
        metrics::Registry metrics;
        const auto client = make_upstream_client(options_for(server), metrics);
        Loop loop;
        Pieces rest{{"second,"}, Pieces::End::Silence};
        const auto outcome = loop.run(call(*client, rest, 1'000'000));
        CHECK(outcome.status == 413);
        CHECK(outcome.body == "too large");
        CHECK_FALSE(outcome.has_whole_request);
        // Nothing else goes over a connection on which a request was cut.
        Pieces other{{"x"}, Pieces::End::Silence};
        CHECK(loop.run(call(*client, other, 1'000'000)).status == 413);
        CHECK(server.accepted() == 2);
    }
}

TEST_CASE("upstream: an interim answer ends no sending") {
    std::string seen;
    RawServer server{[&seen](RawSocket& socket, std::size_t) {
        socket.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n");
        seen = RawServer::read_request(socket);
        socket.send(RawServer::answer(200, "done"));
    }};
    metrics::Registry metrics;
    const auto client = make_upstream_client(options_for(server), metrics);
    Pieces rest{{"second,", "third"}};
    const auto outcome = run_task(call(*client, rest, 12));
    CHECK(outcome.status == 200);
    CHECK(outcome.has_whole_request);
    CHECK(seen.ends_with("first,second,third"));
}

TEST_CASE("upstream: a body that will have no end is never a whole request") {
    for (const std::optional<std::uint64_t> bytes :
         {std::optional<std::uint64_t>{}, std::optional<std::uint64_t>{7}}) {
        // Lost, and also shorter or longer than was said.
        for (const int how : {0, 1, 2}) {
            if (!bytes && how > 0) continue;
            CAPTURE(how);
            std::promise<std::string> saw;
            RawServer server{[&saw](RawSocket& socket, std::size_t) {
                const auto all = socket.read_to_end();
                saw.set_value(socket.was_closed() ? all : "");
            }};
            metrics::Registry metrics;
            const auto client = make_upstream_client(options_for(server), metrics);
            Pieces rest{how == 2 ? std::deque<std::string>{"more than that"}
                                 : std::deque<std::string>{"less"},
                        how == 0 ? Pieces::End::Lost : Pieces::End::Whole};
            CHECK(run_task(call(*client, rest, bytes)).failure == UpstreamFailure::Broken);
            const std::string seen = saw.get_future().get();
            CHECK(seen.find("first,") != std::string::npos);
            CHECK(seen.find("0\r\n\r\n") == std::string::npos);
            if (bytes) CHECK(seen.substr(seen.find("\r\n\r\n") + 4).size() < 13);
        }
    }
}

TEST_CASE("upstream: a kept connection that was closed is replaced, if the rest is still there") {
    for (const bool can_rewind : {true, false}) {
        CAPTURE(can_rewind);
        std::string seen;
        RawServer server{[&seen](RawSocket& socket, std::size_t number) {
            if (number == 0) {
                RawServer::read_request(socket);
                socket.send(RawServer::answer(200, "one"));
                // Closed once the next request is on its way: what an idle close looks like.
                socket.read_until("first,");
                return;
            }
            seen = RawServer::read_request(socket);
            socket.send(RawServer::answer(200, "two"));
        }};
        metrics::Registry metrics;
        const auto client = make_upstream_client(options_for(server), metrics);
        Loop loop;
        Pieces rest{{"second"}};
        REQUIRE(loop.run(call(*client, rest, 6)).status == 200);
        Pieces next{{"second"}};
        next.can_rewind = can_rewind;
        const auto outcome = loop.run(call(*client, next, 6));
        CHECK(next.rewinds == 1);
        CHECK(outcome.status == (can_rewind ? 200 : 0));
        CHECK(seen.ends_with("first,second") == can_rewind);
    }
}

TEST_CASE("upstream: who leaves while the rest is sent cuts it") {
    RawServer server{[](RawSocket& socket, std::size_t) { socket.read_to_end(); }};
    metrics::Registry metrics;
    const auto client = make_upstream_client(options_for(server), metrics);
    Abandonment abandonment;
    class Leaver final : public BodySource {
    public:
        explicit Leaver(Abandonment& how) : how_{how} {}
        Task<std::optional<std::string_view>> read() override {
            const bool goes_on = ++pieces_ < 3;
            if (!goes_on) how_.abandon();
            co_return std::string_view{"x"};
        }
        bool rewind() override { return false; }

    private:
        Abandonment& how_;
        int pieces_ = 0;
    } rest{abandonment};
    const auto failure = run_task([](UpstreamClient& to, BodySource& source,
                                     Abandonment& how) -> Task<std::optional<UpstreamFailure>> {
        UpstreamRequest request;
        request.target = "/v1/x";
        request.rest = &source;
        request.abandonment = &how;
        const auto answer = co_await to.send(std::move(request));
        std::optional<UpstreamFailure> why;
        if (!answer) why = answer.error();
        co_return why;
    }(*client, rest, abandonment));
    CHECK(failure == UpstreamFailure::Broken);
}
