// A socket of ours, what it told, and the server at its other end.
#pragma once

#include <doctest/doctest.h>

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "nutgate/http/websocket.h"
#include "support/raw_server.h"
#include "support/websocket_peer.h"

namespace nutgate::test {

inline constexpr Seconds kSocketPatience{20};

// Remembers what a socket told, and lets a test wait for it.
class SocketDiary {
public:
    http::WebSocketEvents events() {
        return {.on_open = [this](http::WebSocket&) { note([this] { ++opened_; }); },
                .on_message =
                    [this](http::WebSocket&, std::string_view text) {
                        note([&] { texts_.emplace_back(text); });
                    },
                .on_closed =
                    [this](http::WebSocket&, const http::WebSocketEnd& end) {
                        note([&] { ends_.push_back(end); });
                    }};
    }
    bool opens(std::size_t times = 1) {
        return wait([&] { return opened_ >= times; });
    }
    // The n-th message, or nothing if it does not come.
    std::string text(std::size_t n) {
        const bool came = wait([&] { return texts_.size() > n; });
        const std::lock_guard lock{mutex_};
        return came ? texts_[n] : "";
    }
    http::WebSocketEnd end(std::size_t n = 0) {
        REQUIRE(wait([&] { return ends_.size() > n; }));
        const std::lock_guard lock{mutex_};
        return ends_[n];
    }
    std::size_t told() {
        const std::lock_guard lock{mutex_};
        return opened_ + texts_.size() + ends_.size();
    }

private:
    template <class Change>
    void note(const Change& change) {
        const std::lock_guard lock{mutex_};
        change();
        changed_.notify_all();
    }
    template <class Condition>
    bool wait(const Condition& condition) {
        std::unique_lock lock{mutex_};
        return changed_.wait_for(lock, kSocketPatience, condition);
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    std::size_t opened_ = 0;  // Guarded by mutex_, as is all below.
    std::vector<std::string> texts_;
    std::vector<http::WebSocketEnd> ends_;
};

inline http::WebSocketOptions to(const RawServer& server) {
    http::WebSocketOptions options;
    options.url = "ws://127.0.0.1:" + std::to_string(server.port()) + "/v1/ws?a=b";
    options.backoff_first = Milliseconds{5};
    options.backoff_max = Milliseconds{20};
    return options;
}

// Declared after the diary, and so gone before it.
class SocketWorld {
public:
    explicit SocketWorld(http::WebSockets::Options options = {})
        : sockets{std::move(options), metrics} {}
    std::unique_ptr<http::WebSocket> open(http::WebSocketOptions options, SocketDiary& diary) {
        auto opened = sockets.open(std::move(options), diary.events());
        REQUIRE(opened);
        return *std::move(opened);
    }

    metrics::Registry metrics;
    http::WebSockets sockets;
};

inline void echo(RawSocket& socket, std::size_t) {
    WebSocketPeer peer{socket};
    if (!peer.accept()) return;
    while (const auto text = peer.read()) peer.send(*text);
}

// How the first attempt ends at a server that does this.
inline http::WebSocketEnd end_with(
    const RawServer::Script& script,
    const std::function<void(http::WebSocketOptions&)>& change = {}) {
    RawServer server{script};
    SocketDiary diary;
    SocketWorld world;
    auto options = to(server);
    if (change) change(options);
    const auto socket = world.open(std::move(options), diary);
    return diary.end();
}

}  // namespace nutgate::test
