#include "nutgate/http/websocket.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <latch>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "support/certificate.h"
#include "support/fake_resolver.h"
#include "websocket_world.h"

using namespace nutgate;
using namespace nutgate::http;
using namespace nutgate::test;
using Kind = WebSocketEnd::Kind;

TEST_CASE("websocket: messages go there and come back, in order") {
    RawServer server{echo};
    SocketDiary diary;
    SocketWorld world;
    const auto socket = world.open(to(server), diary);
    REQUIRE(diary.opens());
    std::vector<std::string> sent{"", "a", "Grüße", std::string(1000, 'x'),
                                  std::string(70'000, 'y')};
    for (int i = 0; i < 100; ++i) sent.push_back(std::to_string(i));
    for (const auto& text : sent) REQUIRE(socket->send(text));
    for (std::size_t i = 0; i < sent.size(); ++i) CHECK(diary.text(i) == sent[i]);
    CHECK(world.metrics.text().find("nutgate_websockets_open 1") != std::string::npos);
}

TEST_CASE("websocket: what it asks for: the path, the query, the headers, and no extension") {
    std::string target;
    std::string protocol;
    std::string host;
    std::string extensions;
    RawServer server{[&](RawSocket& socket, std::size_t) {
        WebSocketPeer peer{socket};
        if (!peer.accept()) return;
        target = peer.target();
        protocol = peer.header("X-One");
        host = peer.header("Host");
        extensions = peer.header("Sec-WebSocket-Extensions");
        peer.send("ready");
        peer.read();
    }};
    SocketDiary diary;
    SocketWorld world;
    auto options = to(server);
    options.headers.add("X-One", "1");
    const auto socket = world.open(options, diary);
    CHECK(diary.text(0) == "ready");
    CHECK(target == "/v1/ws?a=b");
    CHECK(protocol == "1");
    CHECK(host == "127.0.0.1:" + std::to_string(server.port()));
    CHECK(extensions.empty());
}

TEST_CASE("websocket: a malformed URL or header is refused at once, as is one too many") {
    RawServer server{echo};
    SocketDiary diary;
    SocketWorld world{{.connections_max = 1}};
    for (const char* url : {"http://127.0.0.1/", "ws://", "127.0.0.1", "ws://a b/", "ws://u@h/",
                            "ws://2130706433/", "ws://127.1/", "wss://[::1%25lo]/", "ws://h/#f"}) {
        CAPTURE(url);
        WebSocketOptions options;
        options.url = url;
        CHECK_FALSE(world.sockets.open(options, diary.events()));
    }
    auto injected = to(server);
    injected.headers.add("X-One", "1\r\nInjected: yes");
    CHECK_FALSE(world.sockets.open(injected, diary.events()));
    {
        const auto only = world.open(to(server), diary);
        CHECK_FALSE(world.sockets.open(to(server), diary.events()));
        CHECK(diary.opens());
    }
    const auto next = world.open(to(server), diary);
    CHECK(diary.opens(2));
}

TEST_CASE("websocket: it comes back by itself after the server dropped it") {
    RawServer server{[](RawSocket& socket, std::size_t number) {
        WebSocketPeer peer{socket};
        if (!peer.accept()) return;
        peer.send(std::to_string(number));
        if (number == 0) return peer.close();    // In the regular way,
        if (number == 1) return socket.reset();  // and not.
        while (const auto text = peer.read()) peer.send(*text);
    }};
    SocketDiary diary;
    SocketWorld world;
    const auto socket = world.open(to(server), diary);
    CHECK(diary.text(0) == "0");
    CHECK(diary.end(0).kind == Kind::Closed);
    CHECK(diary.end(0).was_open);
    REQUIRE(diary.opens(3));
    const auto second = diary.end(1);
    CHECK((second.kind == Kind::Broken || second.kind == Kind::Closed));
    // And works as before.
    REQUIRE(socket->send("still there"));
    std::size_t n = 1;
    while (!diary.text(n).empty() && diary.text(n) != "still there") ++n;
    CHECK(diary.text(n) == "still there");
}

TEST_CASE("websocket: nothing can be sent before it is open, nor more than the queue takes") {
    std::latch may_accept{1};
    std::latch is_open{1};
    RawServer server{[&](RawSocket& socket, std::size_t) {
        may_accept.wait();
        WebSocketPeer peer{socket};
        peer.accept();
        is_open.count_down();
        socket.read_to_end();  // Takes bytes, but the test has closed long before.
    }};
    SocketDiary diary;
    SocketWorld world;
    auto options = to(server);
    options.queue_bytes_max = 1000;
    options.queue_count_max = 3;
    const auto socket = world.open(options, diary);
    CHECK_FALSE(socket->send("too early"));
    may_accept.count_down();
    REQUIRE(diary.opens());
    CHECK_FALSE(socket->send(std::string(1001, 'x')));
    CHECK(socket->send(std::string(1000, 'x')));
    is_open.wait();
    // On the socket's thread nothing is written meanwhile, so the queue's bound shows.
    std::vector<bool> taken;
    std::latch done{1};
    socket->run([&] {
        for (int i = 0; i < 5; ++i) taken.push_back(socket->send("y"));
        done.count_down();
    });
    done.wait();
    CHECK(std::count(taken.begin(), taken.end(), true) <= 3);
    CHECK_FALSE(taken.back());
}

TEST_CASE("websocket: close_for closes in the regular way, and stays away for so long") {
    std::atomic<int> code = 0;
    std::latch is_closed{1};
    RawServer server{[&](RawSocket& socket, std::size_t number) {
        WebSocketPeer peer{socket};
        if (!peer.accept()) return;
        while (peer.read()) {
        }
        if (number != 0) return;
        code = peer.close_code();
        is_closed.count_down();
    }};
    SocketDiary diary;
    SocketWorld world;
    const auto socket = world.open(to(server), diary);
    REQUIRE(diary.opens());
    socket->close_for(Milliseconds{3'600'000});
    is_closed.wait();
    CHECK(code == 1000);
    CHECK(diary.end().kind == Kind::ByUs);
    CHECK_FALSE(socket->send("x"));
    // An hour is put off, and taken back.
    socket->close_for(Milliseconds{0});
    CHECK(diary.opens(2));
    CHECK(server.accepted() == 2);
}

TEST_CASE("websocket: a pause asked for within a callback holds before the next attempt") {
    RawServer server{[](RawSocket& socket, std::size_t) {
        RawServer::read_request(socket);
        socket.send("HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n");
    }};
    SocketDiary diary;
    SocketWorld world;
    auto options = to(server);
    options.backoff_first = options.backoff_max = Milliseconds{0};
    auto events = diary.events();
    events.on_closed = [note = events.on_closed](WebSocket& socket, const WebSocketEnd& end) {
        socket.close_for(Milliseconds{3'600'000});
        note(socket, end);
    };
    const auto opened = world.sockets.open(options, std::move(events));
    REQUIRE(opened);
    CHECK(diary.end().kind == Kind::Declined);
    world.sockets.stop();
    CHECK(server.accepted() == 1);
}

TEST_CASE("websocket: stopping is prompt, whatever is under way, and silent") {
    // Nothing ends by itself within that time.
    constexpr Milliseconds kHour{3'600'000};
    constexpr Seconds kPromptly{20};  // On a machine that has much else to do.
    const auto begin = std::chrono::steady_clock::now();
    SUBCASE("a look-up") {
        FakeResolver names;
        std::latch may_answer{1};
        names.hang(may_answer);
        SocketDiary diary;
        {
            SocketWorld world{{.rules = {.resolver = &names}}};
            WebSocketOptions options;
            options.url = "ws://slow.example/";
            options.connect_timeout = kHour;
            const auto socket = world.open(options, diary);
            world.sockets.stop();
            CHECK_FALSE(world.sockets.open(options, diary.events()));
            CHECK(std::chrono::steady_clock::now() - begin < kPromptly);
            may_answer.count_down();
        }
        CHECK(diary.told() == 0);
    }
    SUBCASE("a connection that nobody takes") {
        SocketDiary diary;
        SocketWorld world;
        WebSocketOptions options;
        options.url = "ws://192.0.2.1:9/";  // Of a range that is nobody's.
        options.connect_timeout = kHour;
        const auto socket = world.open(options, diary);
        world.sockets.stop();
    }
    SUBCASE("a handshake") {
        std::latch is_asked{1};
        RawServer server{[&](RawSocket& socket, std::size_t) {
            RawServer::read_request(socket);
            is_asked.count_down();
            socket.read_to_end();
        }};
        SocketDiary diary;
        SocketWorld world;
        auto options = to(server);
        options.connect_timeout = kHour;
        const auto socket = world.open(options, diary);
        is_asked.wait();
        world.sockets.stop();
        CHECK(diary.told() == 0);
    }
    SUBCASE("a TLS handshake") {
        RawServer server{[](RawSocket& socket, std::size_t) { socket.read_to_end(); }};
        SocketDiary diary;
        SocketWorld world;
        auto options = to(server);
        options.url = "wss" + options.url.substr(2);
        options.connect_timeout = kHour;
        const auto socket = world.open(options, diary);
        world.sockets.stop();
        CHECK(diary.told() == 0);
    }
    SUBCASE("an open connection whose peer does not answer the close") {
        RawServer server{[](RawSocket& socket, std::size_t) {
            WebSocketPeer peer{socket};
            peer.accept();
            socket.read_to_end();
        }};
        SocketDiary diary;
        SocketWorld world;
        auto options = to(server);
        options.close_timeout = Milliseconds{100};
        const auto socket = world.open(options, diary);
        REQUIRE(diary.opens());
        world.sockets.stop();
        CHECK(diary.told() == 1);
    }
    SUBCASE("a pause") {
        SocketDiary diary;
        SocketWorld world;
        WebSocketOptions options;
        options.url = "ws://127.0.0.1:1/";  // Nobody listens.
        options.backoff_first = kHour;
        options.backoff_max = kHour;
        const auto socket = world.open(options, diary);
        CHECK(diary.end().kind == Kind::Unreachable);
        world.sockets.stop();
    }
    CHECK(std::chrono::steady_clock::now() - begin < kPromptly);
}

TEST_CASE("websocket: once a socket is gone no callback runs, nor what was to run") {
    RawServer server{[](RawSocket& socket, std::size_t) {
        WebSocketPeer peer{socket};
        if (!peer.accept()) return;
        while (peer.send("again")) {
        }
    }};
    SocketWorld world;
    for (int i = 0; i < 20; ++i) {
        SocketDiary diary;
        auto options = to(server);
        options.close_timeout = Milliseconds{20};  // It hears nothing of our close.
        auto socket = world.open(options, diary);
        CHECK(diary.text(3) == "again");
        socket->run([&diary] { (void)diary.told(); });
        socket.reset();
        const auto told = diary.told();
        std::this_thread::yield();
        CHECK(diary.told() == told);
    }
}

TEST_CASE("websocket: to public addresses only, where a stranger chose the URL") {
    RawServer server{echo};
    FakeResolver names;
    names.set("relay.example", {"127.0.0.1"});
    SocketDiary diary;
    SocketWorld world{{.rules = {.resolver = &names}}};
    auto options = to(server);
    options.url = "ws://relay.example:" + std::to_string(server.port()) + "/";
    options.reach = Reach::PublicOnly;
    const auto by_name = world.open(options, diary);
    CHECK(diary.end().kind == Kind::Unreachable);
    CHECK(diary.end().detail.find("127.0.0.1, which is not a public address") != std::string::npos);
    SocketDiary literal;
    options.url = to(server).url;
    const auto by_address = world.open(options, literal);
    CHECK(literal.end().kind == Kind::Unreachable);
    CHECK(server.accepted() == 0);
    // The operator's own choice goes anywhere.
    SocketDiary trusted;
    options.url = "ws://relay.example:" + std::to_string(server.port()) + "/";
    options.reach = Reach::Anywhere;
    const auto configured = world.open(options, trusted);
    CHECK(trusted.opens());
}

TEST_CASE(
    "websocket: over TLS, at the address that was checked, with the certificate of the name") {
    FakeResolver names;
    names.set("relay.example", {"127.0.0.1"});
    for (const bool is_of_the_name : {true, false}) {
        CAPTURE(is_of_the_name);
        const Certificate certificate{is_of_the_name ? "DNS:relay.example"
                                                     : "DNS:other.example,IP:127.0.0.1"};
        std::atomic<bool> got_request = false;
        RawServer server{[&](RawSocket& socket, std::size_t) {
            WebSocketPeer peer{socket, &certificate};
            if (!peer.accept()) return;
            got_request = true;
            while (const auto text = peer.read()) peer.send(*text);
        }};
        SocketDiary diary;
        SocketWorld world{
            {.ca_file = certificate.file,
             .rules = {.resolver = &names, .is_public = [](std::string_view) { return true; }}}};
        auto options = to(server);
        options.url = "wss://relay.example:" + std::to_string(server.port()) + "/";
        options.reach = Reach::PublicOnly;
        const auto socket = world.open(options, diary);
        if (is_of_the_name) {
            REQUIRE(diary.opens());
            REQUIRE(socket->send("secret"));
            CHECK(diary.text(0) == "secret");
        } else {
            CHECK(diary.end().kind == Kind::Unreachable);
            CHECK_FALSE(got_request);
        }
    }
    // Nobody vouches for it.
    const Certificate certificate{"IP:127.0.0.1"};
    CHECK(end_with(
              [&](RawSocket& socket, std::size_t) {
                  WebSocketPeer peer{socket, &certificate};
                  peer.accept();
              },
              [](WebSocketOptions& options) { options.url = "wss" + options.url.substr(2); })
              .kind == Kind::Unreachable);
}
