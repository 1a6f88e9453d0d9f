// What a WebSocket's frames go over, TCP or TLS, as one type: Beast's templates are made for it
// once. Its end is abrupt: Beast would otherwise read on until the peer closes, and a peer whose
// frames we refuse need not. What had to be said was said in close frames.
#pragma once

#include <boost/asio/post.hpp>
#include <boost/beast/core/bind_handler.hpp>
#include <boost/beast/core/role.hpp>

#include <utility>

#include "net.h"
#include "tls_client.h"

namespace nutgate::http {

class WebSocketLane {
public:
    using executor_type = Executor;

    // `tls` is over `socket`, or null.
    WebSocketLane(Socket& socket, TlsStream* tls) : socket_{socket}, tls_{tls} {}

    executor_type get_executor() { return socket_.get_executor(); }
    void close() {
        NetError ignored;
        socket_.close(ignored);
    }

    template <class Buffers, class Handler>
    auto async_read_some(const Buffers& buffers, Handler&& handler) {
        if (tls_ != nullptr) {
            return tls_->async_read_some(buffers, std::forward<Handler>(handler));
        }
        return socket_.async_read_some(buffers, std::forward<Handler>(handler));
    }
    template <class Buffers, class Handler>
    auto async_write_some(const Buffers& buffers, Handler&& handler) {
        if (tls_ != nullptr) {
            return tls_->async_write_some(buffers, std::forward<Handler>(handler));
        }
        return socket_.async_write_some(buffers, std::forward<Handler>(handler));
    }

private:
    Socket& socket_;
    TlsStream* tls_;
};

// Beast finds these by their names.
inline void beast_close_socket(WebSocketLane& lane) { lane.close(); }
inline void teardown(boost::beast::role_type, WebSocketLane& lane, NetError&) { lane.close(); }
template <class Handler>
void async_teardown(boost::beast::role_type, WebSocketLane& lane, Handler&& handler) {
    lane.close();
    boost::asio::post(lane.get_executor(),
                      boost::beast::bind_front_handler(std::forward<Handler>(handler), NetError{}));
}

}  // namespace nutgate::http
