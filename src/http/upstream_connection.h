// One connection to an upstream, plain or TLS: connecting, writing a request, reading bytes. What
// they mean is upstream_answer's business. Belongs to its io_context's thread.
#pragma once

#include <boost/asio/buffer.hpp>
#include <boost/asio/ssl/context.hpp>

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net.h"
#include "nutgate/base/result.h"
#include "nutgate/http/upstream_client.h"
#include "tls_client.h"

namespace nutgate::http {

class UpstreamConnection {
public:
    // `tls` is null for http. Both must outlive it.
    UpstreamConnection(boost::asio::io_context& io, boost::asio::ssl::context* tls);

    // False if that failed or took too long.
    Task<bool> connect(const Url& url, Milliseconds timeout);
    // Head and body, in one system call if they are taken as fast: what is not is left in
    // `pieces`, for write_rest(). Both false if the connection broke.
    using Pieces = std::array<boost::asio::const_buffer, 2>;
    bool write_now(Pieces& pieces);
    Task<bool> write_rest(Pieces pieces, Milliseconds timeout);
    // Reads more behind what bytes() holds: how much, zero if the connection ended or broke or the
    // time passed (has_expired()), or if `bytes_max` are held.
    Task<std::size_t> read(std::size_t bytes_max, Milliseconds timeout);
    // The same beside a write, whose time is the only one that counts.
    Task<std::size_t> read_beside(std::size_t bytes_max);

    std::string_view bytes() const { return {storage_.data() + begin_, end_ - begin_}; }
    void consume(std::size_t n);

    bool has_expired() const { return has_expired_; }
    // After read() gave nothing: whether the peer closed in the regular way.
    bool has_ended_well() const { return has_ended_well_; }

    // Whether it can take another request, as far as can be told without asking.
    bool is_reusable();
    // Closes it if nobody takes it in that time.
    void rest(Milliseconds timeout);
    // Also while it connects: it does not go on.
    void close();

private:
    boost::asio::mutable_buffer room(std::size_t bytes_max);
    std::size_t took(const NetError& error, std::size_t n, std::size_t free);
    Task<bool> connect_to(const std::vector<Tcp::endpoint>& endpoints);
    Task<bool> handshake(const std::string& host);

    boost::asio::io_context& io_;
    boost::asio::ssl::context* tls_;
    Socket socket_;
    std::optional<TlsStream> stream_;  // Over socket_; set for https.
    Deadline deadline_;
    std::vector<char> storage_;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
    bool comes_in_bulk_ = false;
    bool has_expired_ = false;
    bool is_closed_ = false;
    bool has_ended_well_ = false;
    bool is_at_end_ = false;  // Asio waits for another event then, and there may be none.
};

}  // namespace nutgate::http
