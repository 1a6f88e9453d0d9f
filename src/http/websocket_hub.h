// The thread of all outgoing WebSockets, and what they share.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ssl/context.hpp>

#include <array>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <thread>

#include "name_lookup.h"
#include "net.h"
#include "nutgate/base/metrics.h"
#include "nutgate/http/websocket.h"

namespace nutgate::http {

class WebSocketLink;

class WebSocketHub {
public:
    using LinkId = std::uint64_t;

    WebSocketHub(WebSockets::Options options, metrics::Registry& metrics);
    ~WebSocketHub();
    WebSocketHub(const WebSocketHub&) = delete;
    WebSocketHub& operator=(const WebSocketHub&) = delete;

    // A name for one more link, unless there are too many or this has stopped.
    std::optional<LinkId> admit();
    void start(WebSocketLink& link);
    // Returns once it runs no more, and is not in the hub's hands any longer.
    void end(LinkId id);
    void release(LinkId id);  // Gives its place to another.
    void stop();

    // On this thread, if the link runs then. From any thread, also within a callback.
    void post(LinkId id, std::function<void(WebSocketLink&)> action);
    bool is_this_thread() const { return std::this_thread::get_id() == thread_.get_id(); }

    // Below: on this thread only.
    Milliseconds by_chance(Milliseconds most);
    void count(WebSocketEnd::Kind kind);

    const WebSockets::Options options;
    boost::asio::io_context io{1};
    boost::asio::ssl::context tls{boost::asio::ssl::context::tls_client};
    NetError tls_fault;  // Why no certificate can be checked.
    metrics::Gauge& open_links;

private:
    void run(WebSocketLink& link);

    std::array<metrics::Counter*, 5> ends_{};
    std::minstd_rand chance_;  // Spreads attempts; nothing depends on its being secret.
    std::map<LinkId, WebSocketLink*> live_;  // This thread's.
    bool is_ending_ = false;                 // This thread's.

    std::mutex mutex_;
    std::condition_variable changed_;
    std::set<LinkId> admitted_;  // Guarded by mutex_, as is all below.
    std::set<LinkId> running_;
    LinkId last_id_ = 0;
    bool is_stopped_ = false;

    boost::asio::executor_work_guard<Executor> work_;
    std::jthread thread_;

public:
    // Last: its threads post here, and end first.
    NameLookup names;
};

}  // namespace nutgate::http
