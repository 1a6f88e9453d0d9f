// One outgoing WebSocket: attempts, one after the other, as one coroutine on the hub's thread.
#pragma once

#include <boost/asio/ip/tcp.hpp>

#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "net.h"
#include "nutgate/http/url.h"
#include "nutgate/http/websocket.h"
#include "websocket_hub.h"

namespace nutgate::http {

class WebSocketLink final : public WebSocket {
public:
    WebSocketLink(WebSocketHub& hub, WebSocketHub::LinkId id, Url url, WebSocketOptions options,
                  WebSocketEvents events);
    ~WebSocketLink() override;
    WebSocketLink(const WebSocketLink&) = delete;
    WebSocketLink& operator=(const WebSocketLink&) = delete;

    bool send(std::string text) override;
    void close_for(Milliseconds pause) override;
    void run(std::function<void()> action) override;

    WebSocketHub::LinkId id() const { return id_; }

    // Below: on the hub's thread.
    Task<void> live();  // Until end().
    void end();
    bool is_ending() const { return is_ending_; }

private:
    // Of one attempt, and of this thread only.
    struct Attempt;
    struct Stream;

    Task<WebSocketEnd> attempt(Attempt& now);
    Task<Result<Addresses, std::string>> look_up(Attempt& now);
    Task<bool> connect(Attempt& now, const Addresses& addresses);
    Task<WebSocketEnd> talk(Attempt& now, Stream& stream);
    Task<WebSocketEnd> read_all(Attempt& now, Stream& stream);
    Task<void> write_all(Attempt& now, Stream& stream);
    Task<void> pause();

    void rest(Milliseconds pause);
    void close();  // What there is of a connection, in the regular way if it is open.
    void set_open(bool is_open);
    std::optional<std::string> next_message();
    Milliseconds next_backoff();

    WebSocketHub& hub_;
    const WebSocketHub::LinkId id_;
    const Url url_;
    const WebSocketOptions options_;
    const WebSocketEvents events_;

    // The hub's thread's.
    Attempt* now_ = nullptr;
    Timer* pausing_ = nullptr;
    Monotonic::time_point not_before_;
    int failures_ = 0;
    std::uint64_t lookups_ = 0;
    bool is_ending_ = false;

    std::mutex mutex_;
    bool is_open_ = false;  // Guarded by mutex_, as is all below.
    std::deque<std::string> queue_;
    std::size_t queued_bytes_ = 0;
};

}  // namespace nutgate::http
