// Bodies that are read as a handler asks, and what all of them together may take.
#include <chrono>
#include <limits>
#include <string>
#include <thread>

#include "server_fixture.h"

using namespace nutgate;
using namespace nutgate::http;
using namespace nutgate::test;

namespace {

constexpr std::size_t kAll = std::numeric_limits<std::size_t>::max();

Response text(std::string body, int status = 200) {
    return {.status = status, .headers = {}, .body = std::move(body)};
}

// "/asked" refuses who has no key and echoes the rest; "/counted" sheds what comes and counts it;
// "/watched" does so while it watches the client.
std::function<void(Server&)> asking_routes() {
    return [](Server& server) {
        server.route({.method = Method::Post, .pattern = "/asked", .reading = Reading::AsAsked},
                     [](Exchange& exchange) -> Task<void> {
                         if (!exchange.request().headers.find("x-key")) {
                             Response no = text("no key", 401);
                             co_await exchange.respond(std::move(no));
                             co_return;
                         }
                         const auto all = co_await exchange.read_body(kAll);
                         if (!all) co_return;
                         Response answer = text(exchange.request().body);
                         co_await exchange.respond(std::move(answer));
                     });
        for (const bool is_watched : {false, true}) {
            server.route({.method = Method::Post,
                          .pattern = is_watched ? "/watched" : "/counted",
                          .body_bytes_max = 16 * 1024 * 1024,
                          .reading = Reading::AsAsked},
                         [is_watched](Exchange& exchange) -> Task<void> {
                             if (is_watched) exchange.on_client_gone([] {});
                             std::size_t count = exchange.request().body.size();
                             std::size_t sum = 0;
                             for (const char c : exchange.request().body)
                                 sum += static_cast<unsigned char>(c);
                             while (!exchange.has_whole_body()) {
                                 exchange.shed_body();
                                 const auto more = co_await exchange.read_body(1);
                                 if (!more) co_return;
                                 count += exchange.request().body.size();
                                 for (const char c : exchange.request().body) {
                                     sum += static_cast<unsigned char>(c);
                                 }
                             }
                             Response answer =
                                 text(std::to_string(count) + ":" + std::to_string(sum));
                             co_await exchange.respond(std::move(answer));
                         });
        }
    };
}

std::string large_text(std::size_t size) {
    std::string large;
    large.reserve(size + 20);
    for (int i = 0; large.size() < size; ++i) large += std::to_string(i) + ",";
    return large;
}

std::string chunked(std::string_view body, std::size_t size) {
    std::string framed;
    for (std::size_t at = 0; at < body.size(); at += size) {
        const auto piece = body.substr(at, size);
        std::string hex;
        for (auto n = piece.size(); n > 0; n /= 16) hex.insert(0, 1, "0123456789abcdef"[n % 16]);
        framed.append(hex).append("\r\n").append(piece).append("\r\n");
    }
    return framed + "0\r\n\r\n";
}

std::string head(const std::string& path, const std::string& more) {
    return "POST " + path + " HTTP/1.1\r\nHost: a\r\n" + more + "\r\n\r\n";
}
std::string length(std::size_t n) { return "Content-Length: " + std::to_string(n); }

std::int64_t held(ServerFixture& fixture) {
    return fixture.metrics
        .gauge("nutgate_http_body_bytes", "Bytes of bodies held in memory", {{"server", "test"}})
        .value();
}

}  // namespace

TEST_CASE("open door: a handler that asks for a body can answer before it is read") {
    ServerFixture fixture{small_options(), asking_routes()};
    auto client = fixture.connect();
    // Nothing of the body is sent, and there is an answer all the same, without a 100 before it.
    client.send(head("/asked", "Expect: 100-continue\r\n" + length(500'000)));
    const auto answer = client.read_answer();
    CHECK(has_status(answer, 401));
    CHECK(answer.find("connection: close") != std::string::npos);
    CHECK(client.ends());
    CHECK(held(fixture) == 0);

    // What it sends nevertheless is never read as a request.
    auto smuggler = fixture.connect();
    smuggler.send(head("/asked", length(500'000)) + "GET /path/evil HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK(has_status(smuggler.read_answer(), 401));
    CHECK(smuggler.ends());
}

TEST_CASE("body: one that came with its head leaves its connection open, whoever answers it") {
    ServerFixture fixture{small_options(), asking_routes()};
    auto client = fixture.connect();
    client.send(head("/asked", length(3)) + "abc");
    CHECK(has_status(client.read_answer(), 401));
    client.send(head("/asked", "X-Key: 1\r\n" + length(3)) + "abc");
    CHECK(body_of(client.read_answer()) == "abc");
}

TEST_CASE("body: what is asked for comes whole, in either framing, and the next request follows") {
    ServerFixture fixture{small_options(), asking_routes()};
    const auto large = large_text(700'000);
    auto client = fixture.connect();
    client.send(head("/asked", "X-Key: 1\r\nExpect: 100-continue\r\n" + length(large.size())));
    CHECK(client.read_until("\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n");
    {
        const std::jthread sender{[&] { client.send(large); }};
        CHECK(body_of(client.read_answer()) == large);
    }
    {
        const std::jthread sender{[&] {
            client.send(head("/asked", "X-Key: 1\r\nTransfer-Encoding: chunked") +
                        chunked(large, 5'000));
        }};
        CHECK(body_of(client.read_answer()) == large);
    }
    client.send("GET /path/x HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK(body_of(client.read_answer()) == "name=x");
    CHECK(held(fixture) == 0);
}

TEST_CASE("body: what passes through is never held, however long it is, watched or not") {
    auto options = small_options();
    options.bodies_bytes_max = 64 * 1024;
    ServerFixture fixture{options, asking_routes()};
    const auto large = large_text(5'000'000);
    std::size_t sum = 0;
    for (const char c : large) sum += static_cast<unsigned char>(c);
    const auto expected = std::to_string(large.size()) + ":" + std::to_string(sum);
    for (const std::string path : {"/counted", "/watched"}) {
        CAPTURE(path);
        auto client = fixture.connect();
        {
            const std::jthread sender{
                [&] { client.send(head(path, length(large.size())) + large); }};
            CHECK(body_of(client.read_answer()) == expected);
        }
        const std::jthread sender{[&] {
            client.send(head(path, "Transfer-Encoding: chunked") + chunked(large, 50'000) +
                        "GET /path/next HTTP/1.1\r\nHost: a\r\n\r\n");
        }};
        CHECK(body_of(client.read_answer()) == expected);
        CHECK(body_of(client.read_answer()) == "name=next");
    }
    CHECK(held(fixture) == 0);
}

TEST_CASE("body: what comes long after its head is read in order, whoever watches the client") {
    ServerFixture fixture{small_options(), asking_routes()};
    const auto large = large_text(300'000);
    std::size_t sum = 0;
    for (const char c : large) sum += static_cast<unsigned char>(c);
    const auto expected = std::to_string(large.size()) + ":" + std::to_string(sum);
    const auto framed = chunked(large, 700);
    for (const std::string path : {"/counted", "/watched"}) {
        for (const bool is_chunked : {false, true}) {
            CAPTURE(path);
            CAPTURE(is_chunked);
            const std::string& body = is_chunked ? framed : large;
            auto client = fixture.connect();
            client.send(
                head(path, is_chunked ? "Transfer-Encoding: chunked" : length(large.size())));
            // The handler is at a wait by the time of each of these cuts.
            std::size_t from = 0;
            for (const std::size_t cut : {1UL, 2UL, 5UL, 4'096UL, 40'000UL, body.size()}) {
                (void)client.read_bytes(1, std::chrono::milliseconds{20});
                client.send(body.substr(from, cut - from));
                from = cut;
            }
            CHECK(body_of(client.read_answer()) == expected);
        }
    }
}

TEST_CASE("body: one that does not come is answered as on other routes") {
    auto options = small_options();
    options.body_timeout = Milliseconds{200};
    options.body_bytes_max = 20'000;
    ServerFixture fixture{options, asking_routes()};
    const auto answer_to = [&](const std::string& more, const std::string& body) {
        auto client = fixture.connect();
        client.send(head("/asked", "X-Key: 1\r\n" + more) + body);
        auto answer = client.read_answer();
        CHECK(client.ends());
        return answer;
    };
    CHECK(has_status(answer_to(length(1'000), "abc"), 408));
    CHECK(has_status(answer_to("Transfer-Encoding: chunked", "3\r\nabc\r\n"), 408));
    CHECK(has_status(answer_to("Transfer-Encoding: chunked", "3\r\nabcX\r\n0\r\n\r\n"), 400));
    CHECK(has_status(answer_to(length(20'001), ""), 413));
    CHECK(has_status(
        answer_to("Transfer-Encoding: chunked", chunked(std::string(20'001, 'x'), 10'000)), 413));
    // Where it was shed, too, the bound is for all of it.
    auto client = fixture.connect();
    const std::jthread sender{[&] {
        client.send(head("/counted", "Transfer-Encoding: chunked") +
                    chunked(std::string(17'000'000, 'x'), 100'000));
    }};
    CHECK(has_status(client.read_answer(), 413));
    // Who leaves gets nothing.
    auto leaver = fixture.connect();
    leaver.send(head("/asked", "X-Key: 1\r\n" + length(1'000)) + "abc");
    leaver.finish_sending();
    CHECK(leaver.ends());
}

TEST_CASE("body: time that a handler takes is not the client's") {
    auto options = small_options();
    options.body_timeout = Milliseconds{400};
    ServerFixture fixture{
        options, [](Server& server) {
            server.route({.method = Method::Post, .pattern = "/slow", .reading = Reading::AsAsked},
                         [](Exchange& exchange) -> Task<void> {
                             const auto first = co_await exchange.read_body(3);
                             if (!first) co_return;
                             co_await after(Milliseconds{600});
                             const auto all = co_await exchange.read_body(kAll);
                             if (!all) co_return;
                             Response answer = text(exchange.request().body);
                             co_await exchange.respond(std::move(answer));
                         });
        }};
    // It comes while the handler is at something else for longer than a body may take.
    auto client = fixture.connect();
    client.send(head("/slow", length(6)) + "abc");
    client.send("def");
    CHECK(body_of(client.read_answer()) == "abcdef");
    // What does not come is late by its own time.
    auto late = fixture.connect();
    late.send(head("/slow", length(6)) + "abc");
    CHECK(has_status(late.read_answer(), 408));
}

TEST_CASE("body: a wait for it that is cancelled leaves the client to be answered") {
    ServerFixture fixture{
        small_options(), [](Server& server) {
            for (const bool is_watched : {false, true}) {
                server.route({.method = Method::Post,
                              .pattern = is_watched ? "/watched" : "/unwatched",
                              .reading = Reading::AsAsked},
                             [is_watched](Exchange& exchange) -> Task<void> {
                                 if (is_watched) exchange.on_client_gone([] {});
                                 const auto first = co_await first_of(exchange.read_body(kAll),
                                                                      after(Milliseconds{50}));
                                 if (exchange.request().headers.find("x-again")) {
                                     const auto all = co_await exchange.read_body(kAll);
                                     if (!all) co_return;
                                     Response whole = text(exchange.request().body);
                                     co_await exchange.respond(std::move(whole));
                                     co_return;
                                 }
                                 Response answer = text(std::to_string(first.index()), 400);
                                 co_await exchange.respond(std::move(answer));
                             });
            }
        }};
    for (const std::string path : {"/watched", "/unwatched"}) {
        CAPTURE(path);
        auto client = fixture.connect();
        client.send(head(path, length(100'000)) + "abc");
        const auto answer = client.read_answer();
        CHECK(has_status(answer, 400));
        CHECK(body_of(answer) == "1");
        CHECK(client.ends());
        // Who asks again gets all of it, in either framing.
        const auto large = large_text(100'000);
        for (const bool is_chunked : {false, true}) {
            CAPTURE(is_chunked);
            auto again = fixture.connect();
            const auto sent =
                is_chunked
                    ? head(path, "X-Again: 1\r\nTransfer-Encoding: chunked") + chunked(large, 3'000)
                    : head(path, "X-Again: 1\r\n" + length(large.size())) + large;
            again.send(sent.substr(0, 60'000));
            (void)again.read_bytes(1, std::chrono::milliseconds{150});
            again.send(sent.substr(60'000));
            CHECK(body_of(again.read_answer()) == large);
        }
    }
}

TEST_CASE("open door: all bodies together stay within the limit") {
    auto options = small_options();
    options.bodies_bytes_max = 1024 * 1024;
    ServerFixture fixture{options};
    const std::string large(900'000, 'x');
    auto first = fixture.connect();
    first.send(head("/echo", length(large.size())) + large.substr(1));
    // It holds them as soon as they have come, and there is no room for as many again.
    for (int i = 0; i < 2'000 && held(fixture) < 900'000; ++i) {
        (void)first.read_bytes(1, Milliseconds{10});
    }
    CHECK(held(fixture) >= 900'000);
    CHECK(held(fixture) <= 1024 * 1024);
    for (const bool is_chunked : {false, true}) {
        CAPTURE(is_chunked);
        auto second = fixture.connect();
        const std::jthread sender{[&] {
            second.send(is_chunked
                            ? head("/echo", "Transfer-Encoding: chunked") + chunked(large, 4'000)
                            : head("/echo", length(large.size())) + large);
        }};
        const auto answer = second.read_answer();
        CHECK(has_status(answer, 503));
        CHECK(answer.find("retry-after: 1") != std::string::npos);
        CHECK(second.ends());
    }
    // Small ones are served meanwhile.
    auto small = fixture.connect();
    small.send(head("/echo", length(3)) + "abc");
    CHECK(body_of(small.read_answer()) == "abc");
    // Who was first is served, and leaves room for the next.
    first.send("x");
    CHECK(body_of(first.read_answer()).size() == large.size());
    auto third = fixture.connect();
    const std::jthread sender{[&] { third.send(head("/echo", length(large.size())) + large); }};
    CHECK(body_of(third.read_answer()).size() == large.size());
}

TEST_CASE("open door: what is sent to a path that nobody takes is not held") {
    auto options = small_options();
    options.bodies_bytes_max = 64 * 1024;
    ServerFixture fixture{options};
    const std::string large(900'000, 'x');
    auto client = fixture.connect();
    const std::jthread sender{[&] {
        client.send(head("/nowhere", length(large.size())) + large +
                    head("/nowhere", "Transfer-Encoding: chunked") + chunked(large, 10'000) +
                    head("/echo", length(3)) + "abc");
    }};
    CHECK(has_status(client.read_answer(), 404));
    CHECK(has_status(client.read_answer(), 404));
    CHECK(body_of(client.read_answer()) == "abc");
}
