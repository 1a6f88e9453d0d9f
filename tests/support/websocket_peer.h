// The other end of a WebSocket, blocking, over a connection of a RawServer.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/websocket/ssl.hpp>
#include <boost/beast/websocket/stream.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <unistd.h>

#include "support/certificate.h"
#include "support/raw_server.h"

namespace nutgate::test {

class WebSocketPeer {
public:
    explicit WebSocketPeer(RawSocket& socket, const Certificate* certificate = nullptr) {
        socket_.assign(boost::asio::ip::tcp::v4(), ::dup(socket.fd()));
        if (certificate == nullptr) return;
        tls_.use_certificate_file(certificate->file, boost::asio::ssl::context::pem);
        tls_.use_private_key_file(certificate->key, boost::asio::ssl::context::pem);
        secure_.emplace(socket_, tls_);
    }

    // Takes the upgrade. False if it did not come.
    bool accept() {
        if (!secure_) return take(plain_);
        Error error;
        secure_->next_layer().handshake(boost::asio::ssl::stream_base::server, error);
        return !error && take(*secure_);
    }
    const std::string& target() const { return target_; }
    std::string header(const std::string& name) const { return std::string{request_[name]}; }

    // None once it has ended. Pings are answered meanwhile.
    std::optional<std::string> read() { return secure_ ? read_of(*secure_) : read_of(plain_); }
    bool send(std::string_view text) {
        Error error;
        if (secure_) {
            secure_->write(boost::asio::buffer(text), error);
        } else {
            plain_.write(boost::asio::buffer(text), error);
        }
        return !error;
    }
    void send_binary(std::string_view bytes) {
        Error error;
        plain_.binary(true);
        plain_.write(boost::asio::buffer(bytes), error);
    }
    void close() {
        Error error;
        plain_.close(boost::beast::websocket::close_code::normal, error);
    }
    // Of the close that came.
    int close_code() const { return plain_.reason().code; }

private:
    using Tcp = boost::asio::ip::tcp::socket;
    using Tls = boost::asio::ssl::stream<Tcp&>;
    using Error = boost::system::error_code;

    template <class Stream>
    bool take(Stream& stream) {
        Error error;
        boost::beast::flat_buffer buffer;
        boost::beast::http::read(stream.next_layer(), buffer, request_, error);
        if (error) return false;
        target_ = std::string{request_.target()};
        stream.accept(request_, error);
        return !error;
    }
    template <class Stream>
    static std::optional<std::string> read_of(Stream& stream) {
        Error error;
        boost::beast::flat_buffer buffer;
        stream.read(buffer, error);
        if (error) return std::nullopt;
        return boost::beast::buffers_to_string(buffer.data());
    }

    boost::asio::io_context io_;
    boost::asio::ssl::context tls_{boost::asio::ssl::context::tls_server};
    Tcp socket_{io_};
    boost::beast::websocket::stream<Tcp&> plain_{socket_};
    std::optional<boost::beast::websocket::stream<Tls>> secure_;
    boost::beast::http::request<boost::beast::http::string_body> request_;
    std::string target_;
};

}  // namespace nutgate::test
