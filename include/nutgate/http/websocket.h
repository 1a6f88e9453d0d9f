// Outgoing WebSocket connections (RFC 6455) of text messages, over ws:// and wss://, that come back
// by themselves: for what mints and relays push. What is pushed is a hint or a message of a
// protocol above; a connection may break at any moment, and what was queued is then lost.
//
// All connections of a WebSockets live on one thread, "websockets", which runs their callbacks: one
// at a time, and they may not block. Redirects are refused, certificates verified, compression is
// not offered, and every wait, message and queue is bounded.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "nutgate/base/clock.h"
#include "nutgate/base/metrics.h"
#include "nutgate/base/result.h"
#include "nutgate/http/message.h"
#include "nutgate/http/reach.h"

namespace nutgate::http {

struct WebSocketOptions {
    std::string url;  // "wss://relay.example/path"
    Headers headers;
    Reach reach = Reach::Anywhere;
    Milliseconds connect_timeout{10'000};  // From the name's look-up to the end of the handshake.
    // A peer that sent nothing for half of it is asked by a ping; for all of it, it is gone.
    Milliseconds idle_timeout{60'000};
    Milliseconds write_timeout{30'000};  // A peer that takes nothing for so long is gone.
    Milliseconds close_timeout{1'000};   // For the peer to answer our close.
    std::size_t message_bytes_max = 1024 * 1024;
    std::size_t queue_bytes_max = 1024 * 1024;  // Of messages not yet written, and
    std::size_t queue_count_max = 256;
    // Before another attempt: doubled each time, and up to a quarter longer by chance. It begins
    // anew once a message came, or the connection held for longer than the longest.
    Milliseconds backoff_first{1'000};
    Milliseconds backoff_max{60'000};
};

// Why a connection ended or did not come about.
struct WebSocketEnd {
    enum class Kind {
        Unreachable,  // No such host, not one to be reached, refused, TLS failed, too late.
        Declined,     // It answered with something else than an upgrade: `status` says what.
        Broken,       // Not the protocol, reset, silent, too slow, a message too large, not text.
        Closed,       // By the peer, in the regular way.
        ByUs,         // close_for().
    };
    Kind kind;
    bool was_open = false;
    int status = 0;      // Of a Declined one.
    std::string detail;  // For the log; without secrets.
};

// One connection. Thread-safe.
class WebSocket {
public:
    // Closes it. Afterwards no callback runs. Not from a callback.
    virtual ~WebSocket() = default;

    // False, and nothing is sent, while it is not open, or if the queue is full. True promises
    // nothing: only an answer tells that it arrived.
    virtual bool send(std::string text) = 0;
    // Closes it, if it is open, and makes no other attempt for so long.
    virtual void close_for(Milliseconds pause) = 0;
    // Runs `action` on the thread of the callbacks, in turn; not at all if this goes before.
    virtual void run(std::function<void()> action) = 0;
};

// On the thread of all connections, perhaps before open() has returned. An empty one is not called.
struct WebSocketEvents {
    std::function<void(WebSocket&)> on_open;
    std::function<void(WebSocket&, std::string_view text)> on_message;
    // Once for each attempt, whether it had opened or not. Another one follows by itself.
    std::function<void(WebSocket&, const WebSocketEnd&)> on_closed;
};

struct WebSocketError {
    std::string detail;  // "malformed URL"
};

class WebSockets {
public:
    struct Options {
        std::size_t connections_max = 64;
        std::string ca_file = {};  // Empty: the system's.
        ReachRules rules = {};
    };

    WebSockets(Options options, metrics::Registry& metrics);
    ~WebSockets();  // As stop(). All its connections are gone by then.
    WebSockets(const WebSockets&) = delete;
    WebSockets& operator=(const WebSockets&) = delete;

    // The first attempt begins at once. Fails only on what no attempt could mend: a malformed URL
    // or header, too many connections, after stop().
    Result<std::unique_ptr<WebSocket>, WebSocketError> open(WebSocketOptions options,
                                                            WebSocketEvents events);
    // Closes all, each within its close_timeout, and joins the thread: no callback runs afterwards.
    void stop();

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace nutgate::http
