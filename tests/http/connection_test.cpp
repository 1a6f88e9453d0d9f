// The life of a connection: its limits in time and number, its client leaving, its server draining.
#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <latch>
#include <optional>
#include <string>
#include <sys/resource.h>
#include <thread>
#include <vector>

#include "server_fixture.h"

using namespace nutgate;
using namespace nutgate::http;
using namespace nutgate::test;

namespace {

using Steady = std::chrono::steady_clock;
const std::string kGet = "GET /path/x HTTP/1.1\r\nHost: a\r\n\r\n";

// For what happens on another thread: true once it has, false if it takes far too long.
template <class Condition>
bool comes_true(const Condition& condition) {
    const auto deadline = Steady::now() + Seconds{20};
    while (!condition()) {
        if (Steady::now() > deadline) return false;
        std::this_thread::yield();
    }
    return true;
}

}  // namespace

TEST_CASE("connection: HEAD has the head of GET and no body, OPTIONS of a known path is 204") {
    ServerFixture fixture{
        small_options(), [](Server& server) {
            server.set_head_filter([](const Request& request, int status, Headers& headers) {
                headers.set("x-seen",
                            std::to_string(status) + std::string{to_text(request.method)});
            });
        }};
    auto client = fixture.connect();
    client.send("HEAD /path/abc HTTP/1.1\r\nHost: a\r\n\r\n");
    const auto head = client.read_until("\r\n\r\n");
    CHECK(has_status(head, 200));
    CHECK(head.find("content-length: 8\r\n") != std::string::npos);
    CHECK(head.find("x-seen: 200HEAD\r\n") != std::string::npos);
    client.send("HEAD /stream HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK(has_status(client.read_until("\r\n\r\n"), 200));
    client.send("OPTIONS /path/abc HTTP/1.1\r\nHost: a\r\n\r\n");
    const auto options = client.read_until("\r\n\r\n");
    CHECK(has_status(options, 204));
    CHECK(options.find("allow: GET, HEAD, OPTIONS\r\n") != std::string::npos);
    CHECK(options.find("x-seen: 204OPTIONS\r\n") != std::string::npos);
    CHECK(options.find("content-length") == std::string::npos);
    client.send("OPTIONS /none HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK(has_status(client.read_answer(), 404));
    client.send("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK(has_status(client.read_until("\r\n\r\n"), 204));
    client.send(kGet);
    CHECK(body_of(client.read_answer()) == "name=x");
}

TEST_CASE("connection: what is refused behind a HEAD has its body all the same") {
    ServerFixture fixture{small_options()};
    for (const std::string refused : {"PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n", "GET /\r\n\r\n"}) {
        auto client = fixture.connect();
        client.send("HEAD /path/abc HTTP/1.1\r\nHost: a\r\n\r\n");
        CHECK(has_status(client.read_until("\r\n\r\n"), 200));
        client.send(refused);
        CHECK(client.read_to_end().find("\r\n\r\n{\"error\"") != std::string::npos);
    }
}

TEST_CASE("connection: the client may name its request, if the name is harmless") {
    ServerFixture fixture;
    const auto id_of = [&fixture](const std::string& header) {
        const auto answer =
            fixture.ask("GET /path/x HTTP/1.1\r\nHost: a\r\n" + header + "\r\n\r\n");
        const auto at = answer.find("x-request-id: ");
        REQUIRE(at != std::string::npos);
        return answer.substr(at + 14, answer.find('\r', at) - at - 14);
    };
    CHECK(id_of("X-Request-Id: my.request_1-A") == "my.request_1-A");
    for (const std::string& bad : {std::string{"short"}, std::string{"has space here"},
                                   std::string{"sk-<script>alert"}, std::string(65, 'x')}) {
        const auto made = id_of("X-Request-Id: " + bad);
        CHECK(made.size() == 36);
        CHECK(made[14] == '4');
    }
    CHECK(id_of("X-One: 1") != id_of("X-One: 1"));
}

TEST_CASE("connection: X-Forwarded-For is believed of trusted proxies, up to the first stranger") {
    auto options = small_options();
    options.trusted_proxies = {"127.0.0.1", "10.0.0.0/8"};
    ServerFixture fixture{options, [](Server& server) {
                              server.route_blocking({Method::Get, "/ip"},
                                                    [](const Request& request) {
                                                        Response response;
                                                        response.body = request.client_ip;
                                                        return response;
                                                    });
                          }};
    const auto ip_of = [&fixture](const std::string& headers) {
        return body_of(fixture.ask("GET /ip HTTP/1.1\r\nHost: a\r\n" + headers + "\r\n"));
    };
    CHECK(ip_of("") == "127.0.0.1");
    CHECK(ip_of("X-Forwarded-For: 1.2.3.4\r\n") == "1.2.3.4");
    CHECK(ip_of("X-Forwarded-For: 6.6.6.6, 1.2.3.4, 10.1.2.3\r\n") == "1.2.3.4");
    CHECK(ip_of("X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 2001:db8::1\r\n") == "2001:db8::1");
    CHECK(ip_of("X-Forwarded-For: 1.2.3.4, nonsense\r\n") == "127.0.0.1");
    CHECK(ip_of("X-Forwarded-For: nonsense, 10.1.1.1\r\n") == "10.1.1.1");
}

TEST_CASE("connection: a trusted proxy that is no address is refused at the start") {
    auto options = small_options();
    options.trusted_proxies = {"127.0.0.1/33"};
    metrics::Registry metrics;
    Server server{options, metrics};
    CHECK_FALSE(server.start());
}

TEST_CASE("connection: a port in use is an error with its name") {
    ServerFixture fixture;
    auto options = small_options();
    options.port = fixture.server.port();
    metrics::Registry metrics;
    Server second{options, metrics};
    const auto started = second.start();
    REQUIRE_FALSE(started);
    CHECK(started.error().detail.starts_with("127.0.0.1:" + std::to_string(options.port) + ": "));
}

TEST_CASE("connection: 100-continue is answered, unless the body is refused or there already") {
    auto options = small_options();
    options.body_bytes_max = 100;
    ServerFixture fixture{options};
    auto client = fixture.connect();
    client.send(
        "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    CHECK(client.read_until("\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("abc");
    CHECK(body_of(client.read_answer()) == "abc");
    client.send(
        "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc");
    CHECK(has_status(client.read_answer(), 200));
    client.send(
        "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 300\r\n\r\n");
    CHECK(has_status(client.read_answer(), 413));
    CHECK(client.ends());
}

TEST_CASE("connection: a slow head is 408, an idle connection just ends, a slow body is 408") {
    auto options = small_options();
    options.head_timeout = options.body_timeout = options.idle_timeout = Milliseconds{150};
    ServerFixture fixture{options};
    auto idle = fixture.connect();
    auto head = fixture.connect();
    auto body = fixture.connect();
    head.send("GET /path/x HT");
    body.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc");
    // Bytes now and then do not keep a head or a body alive for ever.
    std::string answer;
    for (int i = 0; i < 1000 && answer.empty(); ++i) {
        head.send("T");
        answer = head.read_until("\r\n\r\n", Milliseconds{20});
    }
    CHECK(has_status(answer, 408));
    answer.clear();
    for (int i = 0; i < 97 && answer.empty(); ++i) {
        body.send("x");
        answer = body.read_until("\r\n\r\n", Milliseconds{20});
    }
    CHECK(has_status(answer, 408));
    CHECK(idle.ends());
    // After an answer it is idle time again that counts.
    auto kept = fixture.connect();
    kept.send(kGet);
    CHECK(has_status(kept.read_answer(), 200));
    CHECK(kept.ends());
    auto chunked = fixture.connect();
    chunked.send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab");
    CHECK(has_status(chunked.read_answer(), 408));
}

TEST_CASE("connection: beyond the cap a connection is answered 503 with Retry-After") {
    auto options = small_options();
    options.connections_max = 2;
    ServerFixture fixture{options};
    auto first = fixture.connect();
    first.send(kGet);
    CHECK(has_status(first.read_answer(), 200));
    {
        auto second = fixture.connect();
        second.send(kGet);
        CHECK(has_status(second.read_answer(), 200));
        auto third = fixture.connect();
        const auto answer = third.read_to_end();
        CHECK(has_status(answer, 503));
        CHECK(answer.find("retry-after: ") != std::string::npos);
    }
    CHECK(comes_true([&] { return has_status(fixture.ask(kGet), 200); }));
}

TEST_CASE("connection: when the pool is full, 503 with Retry-After, before the body is read") {
    std::latch may_go{1};
    std::atomic<int> running = 0;
    auto options = small_options();
    options.control_threads = 1;
    options.control_queue_max = 1;
    ServerFixture fixture{options, [&](Server& server) {
                              server.route_blocking({Method::Post, "/wait"}, [&](const Request&) {
                                  ++running;
                                  may_go.wait();
                                  return Response{};
                              });
                          }};
    const std::string wait = "POST /wait HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n";
    auto first = fixture.connect();
    first.send(wait + "x");
    REQUIRE(comes_true([&] { return running == 1; }));
    // One waits; which of the others it is, nobody knows.
    std::vector<RawSocket> others;
    for (int i = 0; i < 3; ++i) {
        others.push_back(fixture.connect());
        others.back().send(wait + "x");
    }
    auto last = fixture.connect();
    auto& waiting = others;
    std::string answer;
    REQUIRE(comes_true([&] {
        auto probe = fixture.connect();
        probe.send(wait);  // Without its body: the answer comes before it, once the queue is full.
        answer = probe.read_until("\r\n\r\n", Milliseconds{100});
        return !answer.empty();
    }));
    CHECK(has_status(answer, 503));
    CHECK(answer.find("retry-after: ") != std::string::npos);
    // The data plane does not care.
    last.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
    CHECK(body_of(last.read_answer()) == "abc");
    may_go.count_down();
    CHECK(has_status(first.read_answer(), 200));
    int served = 0;
    for (auto& other : waiting) served += has_status(other.read_answer(), 200) ? 1 : 0;
    CHECK(served == 1);
}

TEST_CASE("connection: a large body arrives whole, in one piece or many") {
    auto options = small_options();
    options.body_bytes_max = 10'000'000;
    ServerFixture fixture{options};
    std::string large;
    for (int i = 0; large.size() < 5'000'000; ++i) large += std::to_string(i) + ",";
    auto client = fixture.connect();
    {
        const std::jthread sender{[&] {
            client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: " +
                        std::to_string(large.size()) + "\r\n\r\n" + large);
        }};
        CHECK(body_of(client.read_answer()) == large);
    }
    auto pieces = fixture.connect();
    const std::jthread sender{[&] {
        pieces.send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        for (std::size_t at = 0; at < large.size(); at += 50'000) {
            const auto piece = large.substr(at, 50'000);
            const bool is_full = piece.size() == 50'000;
            pieces.send((is_full ? std::string{"C350"}
                                 : "00" +
                                       [&] {
                                           std::string hex;
                                           for (auto n = piece.size(); n > 0; n /= 16)
                                               hex.insert(0, 1, "0123456789abcdef"[n % 16]);
                                           return hex;
                                       }()) +
                        "\r\n" + piece + "\r\n");
        }
        pieces.send("0\r\n\r\n");
    }};
    CHECK(body_of(pieces.read_answer()) == large);
}

TEST_CASE("connection: a reader that takes nothing holds its writer back, and is left in the end") {
    std::atomic<std::size_t> written = 0;
    std::atomic<bool> was_refused = false;
    auto options = small_options();
    options.write_timeout = Milliseconds{300};
    ServerFixture fixture{options, [&](Server& server) {
                              server.route(
                                  {Method::Get, "/flood"}, [&](Exchange& exchange) -> Task<void> {
                                      const std::string piece(100'000, 'x');
                                      Response response;
                                      bool goes_on = co_await exchange.begin(std::move(response));
                                      while (goes_on) {
                                          goes_on = co_await exchange.write(piece);
                                          if (goes_on) written += piece.size();
                                      }
                                      was_refused = true;
                                  });
                          }};
    auto client = fixture.connect(4096);
    client.send("GET /flood HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK(comes_true([&] { return was_refused.load(); }));
    CHECK(written < 20'000'000);  // What the kernel's buffers hold, not more.
    CHECK(client.read_to_end().find("0\r\n\r\n") == std::string::npos);
}

TEST_CASE("connection: whoever waits beside a client that leaves, learns it") {
    std::atomic<int> left = 0;
    std::atomic<int> called = 0;
    std::atomic<int> waiting = 0;
    ServerFixture fixture{
        small_options(), [&](Server& server) {
            server.route({Method::Get, "/wait"}, [&](Exchange& exchange) -> Task<void> {
                ++waiting;
                const auto first = co_await first_of(exchange.client_gone(), after(Seconds{20}));
                if (first.index() == 0) ++left;
                Response response;
                if (!co_await exchange.respond(std::move(response))) ++left;
            });
            server.route({Method::Get, "/called"}, [&](Exchange& exchange) -> Task<void> {
                ++waiting;
                exchange.on_client_gone([&] { ++called; });
                while (called == 0) co_await after(Milliseconds{5});
                exchange.on_client_gone([&] { ++called; });  // Late: called at once.
            });
        }};
    {
        auto one = fixture.connect();
        one.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
        REQUIRE(comes_true([&] { return waiting == 1; }));
    }
    CHECK(comes_true([&] { return left >= 1; }));
    auto two = fixture.connect();
    two.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
    REQUIRE(comes_true([&] { return waiting == 2; }));
    two.reset();
    CHECK(comes_true([&] { return left >= 3; }));
    auto three = fixture.connect();
    three.send("GET /called HTTP/1.1\r\nHost: a\r\n\r\n");
    REQUIRE(comes_true([&] { return waiting == 3; }));
    three.reset();
    CHECK(comes_true([&] { return called == 2; }));
}

TEST_CASE(
    "connection: an alarm rings once and in its time, unless it is moved, ended or outlived") {
    std::atomic<int> rung = 0;
    std::atomic<int> waiting = 0;
    constexpr Milliseconds kNever{60'000};
    ServerFixture fixture{
        small_options(), [&](Server& server) {
            server.route({Method::Get, "/rings"}, [&](Exchange& exchange) -> Task<void> {
                exchange.set_alarm(kNever, [&] { rung += 100; });
                exchange.set_alarm(Milliseconds{1}, [&] { ++rung; });
                while (rung == 0) co_await after(Milliseconds{5});
                Response response;
                co_await exchange.respond(std::move(response));
            });
            server.route({Method::Get, "/ended"}, [&](Exchange& exchange) -> Task<void> {
                exchange.set_alarm(Milliseconds{1}, [&] { rung += 100; });
                exchange.set_alarm({}, {});
                co_await after(Milliseconds{100});
                Response response;
                co_await exchange.respond(std::move(response));
            });
            server.route({Method::Get, "/outlived"}, [&](Exchange& exchange) -> Task<void> {
                exchange.set_alarm(Milliseconds{1}, [&] { rung += 100; });
                Response response;
                co_await exchange.respond(std::move(response));
            });
            server.route({Method::Get, "/gone"}, [&](Exchange& exchange) -> Task<void> {
                exchange.on_client_gone(
                    [&] { exchange.set_alarm(Milliseconds{1}, [&] { ++rung; }); });
                ++waiting;
                while (rung < 2) co_await after(Milliseconds{5});
            });
        }};
    auto client = fixture.connect();
    for (const std::string path : {"/rings", "/outlived", "/ended"}) {
        client.send("GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n");
        CHECK(has_status(client.read_answer(), 200));
    }
    CHECK(rung == 1);
    client.send("GET /gone HTTP/1.1\r\nHost: a\r\n\r\n");
    REQUIRE(comes_true([&] { return waiting == 1; }));
    client.reset();
    CHECK(comes_true([&] { return rung == 2; }));
}

TEST_CASE("connection: a pipelined request is no leaving, and is answered in its turn") {
    ServerFixture fixture{
        small_options(), [](Server& server) {
            server.route({Method::Get, "/wait"}, [](Exchange& exchange) -> Task<void> {
                const auto first =
                    co_await first_of(exchange.client_gone(), after(Milliseconds{200}));
                Response response;
                response.body = first.index() == 0 ? "left" : "stayed";
                co_await exchange.respond(std::move(response));
            });
        }};
    for (const bool comes_late : {false, true}) {
        CAPTURE(comes_late);
        auto client = fixture.connect();
        const std::string wait = "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n";
        client.send(comes_late ? wait : wait + kGet + kGet);
        if (comes_late) {
            CHECK(client.read_bytes(1, Milliseconds{50}).empty());
            client.send(kGet + kGet);
        }
        CHECK(body_of(client.read_answer()) == "stayed");
        CHECK(body_of(client.read_answer()) == "name=x");
        CHECK(body_of(client.read_answer()) == "name=x");
        client.send(kGet);
        CHECK(body_of(client.read_answer()) == "name=x");
    }
}

TEST_CASE("connection: an answer with a length of its own is not chunked, and not cut unseen") {
    ServerFixture fixture{
        small_options(), [](Server& server) {
            server.route({Method::Get, "/length/{n}"}, [](Exchange& exchange) -> Task<void> {
                Response response;
                response.headers.add("Content-Length",
                                     std::string{exchange.request().path_value("n")});
                response.body = "12345";
                co_await exchange.begin(std::move(response));
                co_await exchange.end("67890");
            });
        }};
    auto client = fixture.connect();
    client.send("GET /length/10 HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK(body_of(client.read_answer()) == "1234567890");
    client.send("GET /length/20 HTTP/1.1\r\nHost: a\r\n\r\n" + kGet);
    CHECK(body_of(client.read_to_end()) == "1234567890");  // And no second answer behind it.
    CHECK(client.was_closed());
    auto over = fixture.connect();
    over.send("GET /length/7 HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK(body_of(over.read_to_end()) == "12345");
}

TEST_CASE("connection: a drain lets requests end, ends idle connections, and then cancels") {
    std::latch in_flight{3};
    std::atomic<bool> was_unwound = false;
    struct Unwound {
        std::atomic<bool>& flag;
        ~Unwound() { flag = true; }
    };
    auto fixture = std::make_optional<ServerFixture>(small_options(), [&](Server& server) {
        server.route({Method::Get, "/slow"}, [&](Exchange& exchange) -> Task<void> {
            in_flight.count_down();
            co_await after(Milliseconds{200});
            Response response;
            co_await exchange.respond(std::move(response));
        });
        server.route_blocking({Method::Get, "/blocking"}, [&](const Request&) {
            in_flight.count_down();
            std::this_thread::yield();
            return Response{};
        });
        server.route({Method::Get, "/endless"}, [&](Exchange&) -> Task<void> {
            const Unwound unwound{was_unwound};
            in_flight.count_down();
            for (;;) co_await after(Seconds{20});
        });
    });
    auto idle = fixture->connect();
    idle.send(kGet);
    CHECK(has_status(idle.read_answer(), 200));
    std::vector<RawSocket> clients;
    for (const std::string path : {"/slow", "/blocking", "/endless"}) {
        clients.push_back(fixture->connect());
        clients.back().send("GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    in_flight.wait();
    const auto begin = Steady::now();
    fixture->server.drain(Milliseconds{1'000});
    CHECK(Steady::now() - begin < Seconds{15});
    fixture->server.drain(Milliseconds{1'000});  // Nothing.
    CHECK(idle.ends());
    const auto slow = clients[0].read_to_end();
    CHECK(has_status(slow, 200));
    CHECK(slow.find("connection: close\r\n") != std::string::npos);
    CHECK(has_status(clients[1].read_to_end(), 200));
    CHECK(clients[2].ends());
    CHECK(was_unwound);
    fixture.reset();
}

TEST_CASE("connection: a drain while requests come in loses nobody who was answered") {
    auto fixture = std::make_optional<ServerFixture>();
    std::atomic<int> answered = 0;
    std::vector<std::jthread> callers;
    const auto port = fixture->server.port();
    for (int i = 0; i < 4; ++i) {
        callers.emplace_back([port, &answered] {
            auto client = RawSocket::connect(port);
            for (;;) {
                if (!client.send(kGet)) return;
                const auto answer = client.read_answer();
                if (answer.empty()) return;
                CHECK(body_of(answer) == "name=x");
                ++answered;
            }
        });
    }
    REQUIRE(comes_true([&] { return answered > 100; }));
    fixture->server.drain(Milliseconds{5'000});
    callers.clear();
    fixture.reset();
}

TEST_CASE("connection: numbers tell what happened") {
    ServerFixture fixture;
    auto client = fixture.connect();
    client.send(kGet);
    client.read_answer();
    const auto text = fixture.metrics.text();
    CHECK(text.find("nutgate_http_requests_total{server=\"test\",status=\"2xx\"} 1") !=
          std::string::npos);
    CHECK(text.find("nutgate_http_connections{server=\"test\"} 1") != std::string::npos);
    fixture.ask("GET /path/x HTTP/1.1\r\n\r\n");
    CHECK(fixture.metrics.text().find(
              "nutgate_http_refusals_total{code=\"bad_host\",server=\"test\"} 1") !=
          std::string::npos);
}
