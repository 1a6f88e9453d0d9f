// Peers that lie, cut, drip, flood and hang.
#include <doctest/doctest.h>

#include <chrono>
#include <condition_variable>
#include <latch>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "websocket_world.h"

using namespace nutgate;
using namespace nutgate::http;
using namespace nutgate::test;
using Kind = WebSocketEnd::Kind;

namespace {

WebSocketEnd end_with_answer(const std::string& bytes) {
    return end_with([&bytes](RawSocket& socket, std::size_t) {
        RawServer::read_request(socket);
        socket.send(bytes);
    });
}

// The head of a frame of a server, of that many bytes.
std::string frame_head(char first, std::uint64_t size) {
    std::string head{first, '\x7f'};
    for (int shift = 56; shift >= 0; shift -= 8) {
        head.push_back(static_cast<char>(size >> static_cast<unsigned>(shift) & 0xff));
    }
    return head;
}

// Takes the upgrade, then sends these bytes for ever.
RawServer::Script after_upgrade(std::string first, std::string for_ever) {
    return
        [first = std::move(first), for_ever = std::move(for_ever)](RawSocket& socket, std::size_t) {
            WebSocketPeer peer{socket};
            if (!peer.accept() || !socket.send(first)) return;
            while (!for_ever.empty() && socket.send(for_ever)) {
            }
            socket.read_to_end();
        };
}

}  // namespace

TEST_CASE("websocket: a message too large ends it, however it comes") {
    const std::string mebibyte(1024 * 1024, 'x');
    SUBCASE("announced as one frame") {
        const auto end = end_with(after_upgrade(frame_head('\x81', 1024 * 1024 + 1), ""));
        CHECK(end.kind == Kind::Broken);
        CHECK(end.was_open);
    }
    SUBCASE("announced as one without end, and sent for ever") {
        const auto end =
            end_with(after_upgrade(frame_head('\x81', std::uint64_t{1} << 62U), mebibyte),
                     [](auto& options) { options.close_timeout = Milliseconds{200}; });
        CHECK(end.kind == Kind::Broken);
    }
    SUBCASE("in fragments without end") {
        const std::string fragment =
            std::string{'\x00', '\x7e', '\x03', '\xe8'} + std::string(1000, 'x');
        std::string many;
        for (int i = 0; i < 100; ++i) many += fragment;
        const auto end = end_with(after_upgrade(std::string{'\x01', '\x01', 'x'}, many),
                                  [](auto& options) { options.close_timeout = Milliseconds{200}; });
        CHECK(end.kind == Kind::Broken);
    }
    SUBCASE("and one that is just small enough does not") {
        RawServer server{[&](RawSocket& socket, std::size_t) {
            WebSocketPeer peer{socket};
            if (!peer.accept()) return;
            peer.send(mebibyte);
            peer.read();
        }};
        SocketDiary diary;
        SocketWorld world;
        const auto socket = world.open(to(server), diary);
        CHECK(diary.text(0).size() == mebibyte.size());
    }
}

TEST_CASE("websocket: what is not text, not UTF-8 or not the protocol ends it") {
    CHECK(end_with([](RawSocket& socket, std::size_t) {
              WebSocketPeer peer{socket};
              if (!peer.accept()) return;
              peer.send_binary("abc");
              peer.read();
          }).detail == "its message is not text");
    for (const std::string& bytes : {std::string{'\x81', '\x02', '\xc3', '\x28'},   // Not UTF-8.
                                     std::string{'\x81', '\x81', 0, 0, 0, 0, 'x'},  // Masked.
                                     std::string{'\xf1', '\x01', 'x'},  // Reserved bits.
                                     std::string{'\x83', '\x01', 'x'},  // No such frame.
                                     std::string{'\x80', '\x01', 'x'},  // Continues nothing.
                                     std::string{"HTTP/1.1 200 OK\r\n\r\n"}}) {
        const auto end = end_with(after_upgrade(bytes, ""));
        CHECK(end.kind == Kind::Broken);
        CHECK(end.was_open);
    }
}

TEST_CASE("websocket: an answer that is no upgrade is told with its status; nobody is redirected") {
    const RawServer elsewhere{[](RawSocket&, std::size_t) {}};
    for (const auto& [status, header] :
         {std::pair{401, std::string{"WWW-Authenticate: Basic"}},
          std::pair{301, "Location: ws://127.0.0.1:" + std::to_string(elsewhere.port()) + "/"},
          std::pair{404, std::string{"X: y"}}, std::pair{200, std::string{"X: y"}}}) {
        CAPTURE(status);
        const auto end = end_with_answer("HTTP/1.1 " + std::to_string(status) + " X\r\n" + header +
                                         "\r\nContent-Length: 2\r\n\r\nno");
        CHECK(end.kind == Kind::Declined);
        CHECK(end.status == status);
        CHECK_FALSE(end.was_open);
    }
    CHECK(elsewhere.accepted() == 0);
    // An upgrade to something else, or for another key.
    const std::string head = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: ";
    CHECK(end_with_answer(head + "h2c\r\n\r\n").kind == Kind::Declined);
    CHECK(end_with_answer(head + "websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
                                 "\r\n\r\n")
              .kind == Kind::Declined);
}

TEST_CASE("websocket: an answer that is garbage, or cut, or without end, is no connection") {
    for (const std::string bytes :
         {"", "garbage\r\n\r\n", "HTTP/1.1 101", "SSH-2.0-OpenSSH_9.2\r\n"}) {
        CAPTURE(bytes);
        const auto end = end_with_answer(bytes);
        CHECK(end.kind == Kind::Broken);
        CHECK_FALSE(end.was_open);
    }
    for (const std::string& for_ever :
         {std::string(1000, 'x'), "X-Y: " + std::string(1000, 'x') + "\r\n"}) {
        const auto end = end_with([&](RawSocket& socket, std::size_t) {
            RawServer::read_request(socket);
            socket.send("HTTP/1.1 101 Switching Protocols\r\nX: ");
            while (socket.send(for_ever)) {
            }
        });
        CHECK(end.kind == Kind::Broken);
    }
    // A refusal whose body never ends.
    const auto end = end_with([](RawSocket& socket, std::size_t) {
        RawServer::read_request(socket);
        socket.send("HTTP/1.1 401 X\r\nConnection: close\r\n\r\n");
        const std::string piece(65536, 'x');
        while (socket.send(piece)) {
        }
    });
    CHECK(end.kind == Kind::Broken);
}

TEST_CASE("websocket: a handshake that drips, and one that never begins, end at the deadline") {
    const auto begin = std::chrono::steady_clock::now();
    const auto shorter = [](WebSocketOptions& options) {
        options.connect_timeout = Milliseconds{150};
    };
    const auto dripping = end_with(
        [](RawSocket& socket, std::size_t) {
            RawServer::read_request(socket);
            socket.send("HTTP/1.1 101 Switching Protocols\r\n");
            while (!socket.ends(Milliseconds{10}) && socket.send("X")) {
            }
        },
        shorter);
    CHECK(dripping.kind == Kind::Broken);
    const auto silent =
        end_with([](RawSocket& socket, std::size_t) { socket.read_to_end(); }, shorter);
    CHECK(silent.kind == Kind::Broken);
    CHECK(std::chrono::steady_clock::now() - begin < Seconds{10});
}

TEST_CASE("websocket: a peer that is half open is found out by a ping it does not answer") {
    std::string pinged;
    const auto end = end_with(
        [&](RawSocket& socket, std::size_t) {
            WebSocketPeer peer{socket};
            peer.accept();
            pinged = socket.read_to_end();  // The kernel takes it; nobody answers.
        },
        [](WebSocketOptions& options) { options.idle_timeout = Milliseconds{800}; });
    CHECK(end.kind == Kind::Broken);
    CHECK(end.was_open);
    REQUIRE(pinged.size() >= 2);
    CHECK(pinged[0] == '\x89');
}

TEST_CASE("websocket: a peer that answers pings is kept, however quiet it is") {
    RawServer server{[&](RawSocket& socket, std::size_t) {
        WebSocketPeer peer{socket};
        if (!peer.accept()) return;
        // Reads until the message that comes after some pings, which are answered meanwhile.
        peer.read();
        peer.send("here");
        peer.read();
    }};
    SocketDiary diary;
    SocketWorld world;
    auto options = to(server);
    options.idle_timeout = Milliseconds{400};
    const auto socket = world.open(options, diary);
    REQUIRE(diary.opens());
    // Longer than the idle time, without a sleep: nothing happens meanwhile, or an end does.
    std::mutex mutex;
    std::condition_variable never;
    std::unique_lock lock{mutex};
    never.wait_for(lock, Milliseconds{900}, [&] { return diary.told() > 1; });
    CHECK(diary.told() == 1);
    REQUIRE(socket->send("are you there"));
    CHECK(diary.text(0) == "here");
}

TEST_CASE("websocket: a peer that takes nothing is left after the time for a write") {
    const auto end = [] {
        std::latch may_end{1};
        RawServer server{[&](RawSocket& socket, std::size_t) {
            WebSocketPeer peer{socket};
            peer.accept();
            // Speaks, so that it is not idle, but reads nothing.
            while (!may_end.try_wait() && socket.send(std::string{'\x89', '\x00'})) {
                std::this_thread::yield();
            }
        }};
        SocketDiary diary;
        SocketWorld world;
        auto options = to(server);
        options.write_timeout = Milliseconds{200};
        options.queue_bytes_max = 64 * 1024 * 1024;
        const auto socket = world.open(options, diary);
        REQUIRE(diary.opens());
        for (int i = 0; i < 30; ++i) socket->send(std::string(1024 * 1024, 'x'));
        auto ended = diary.end();
        may_end.count_down();
        return ended;
    }();
    CHECK(end.kind == Kind::Broken);
}
