#include "upstream_connection.h"

#include <boost/asio/ip/basic_resolver.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <cstring>

namespace nutgate::http {
namespace {

// A stream of small frames never needs more; what comes in bulk makes it grow.
constexpr std::size_t kBufferFirst = 4 * 1024;

}  // namespace

UpstreamConnection::UpstreamConnection(boost::asio::io_context& io, boost::asio::ssl::context* tls)
    : io_{io}, tls_{tls}, socket_{io.get_executor()}, deadline_{io, [this] {
                                                                    has_expired_ = true;
                                                                    close();
                                                                }} {}

void UpstreamConnection::close() {
    is_closed_ = true;
    NetError ignored;
    socket_.close(ignored);
}

void UpstreamConnection::consume(std::size_t n) {
    begin_ += n;
    if (begin_ == end_) begin_ = end_ = 0;
}

Task<bool> UpstreamConnection::connect(const Url& url, Milliseconds timeout) {
    deadline_.set(timeout);
    std::vector<Tcp::endpoint> endpoints;
    NetError error;
    const auto literal = boost::asio::ip::make_address(url.host, error);
    if (!error) {
        endpoints.emplace_back(literal, url.port);
    } else {
        boost::asio::ip::basic_resolver<Tcp, Executor> resolver{io_.get_executor()};
        const std::string service = std::to_string(url.port);
        const auto [failure, found] = co_await resolver.async_resolve(url.host, service, as_result);
        if (failure) co_return false;
        for (const auto& entry : found) endpoints.push_back(entry.endpoint());
    }
    const bool is_connected = co_await connect_to(endpoints);
    if (!is_connected) co_return false;
    socket_.set_option(Tcp::no_delay{true}, error);
    socket_.non_blocking(true, error);
    const bool is_ready = tls_ == nullptr || co_await handshake(url.host);
    deadline_.clear();
    co_return is_ready && !is_closed_;
}

Task<bool> UpstreamConnection::connect_to(const std::vector<Tcp::endpoint>& endpoints) {
    for (const auto& endpoint : endpoints) {
        if (is_closed_) break;
        NetError error;
        socket_.close(error);
        socket_.open(endpoint.protocol(), error);
        if (error) continue;
        const auto [failure] = co_await socket_.async_connect(endpoint, as_result);
        if (!failure) co_return !is_closed_;
    }
    co_return false;
}

Task<bool> UpstreamConnection::handshake(const std::string& host) {
    stream_.emplace(socket_, *tls_);
    const auto failure = co_await shake_hands(*stream_, host);
    co_return !failure;
}

bool UpstreamConnection::write_now(Pieces& pieces) {
    if (stream_) return true;  // Records are made and sent by their stream.
    NetError error;
    const bool is_one = pieces[1].size() == 0;
    std::size_t n = is_one ? socket_.write_some(boost::asio::const_buffer{pieces[0]}, error)
                           : socket_.write_some(pieces, error);
    for (auto& piece : pieces) {
        const auto step = std::min(n, piece.size());
        piece += step;
        n -= step;
    }
    return !error || error == boost::asio::error::would_block;
}

Task<bool> UpstreamConnection::write_rest(Pieces pieces, Milliseconds timeout) {
    NetError error;
    // A minute or two for what an upstream can take at once; large bodies to slow ones are rare.
    deadline_.set(timeout);
    if (!stream_) {
        const auto [failure, n] = co_await boost::asio::async_write(socket_, pieces, as_result);
        error = failure;
    } else {
        // One record for both, where one is enough.
        std::string whole;
        constexpr std::size_t kJoinedMax = 64 * 1024;
        if (boost::asio::buffer_size(pieces) <= kJoinedMax) {
            for (const auto& piece : pieces) {
                whole.append(static_cast<const char*>(piece.data()), piece.size());
            }
            pieces = {boost::asio::buffer(whole), boost::asio::const_buffer{}};
        }
        const auto [failure, n] = co_await boost::asio::async_write(*stream_, pieces, as_result);
        error = failure;
    }
    deadline_.clear();
    co_return !error;
}

boost::asio::mutable_buffer UpstreamConnection::room(std::size_t bytes_max) {
    if (storage_.size() - end_ < kBufferFirst / 4 && begin_ > 0) {
        std::memmove(storage_.data(), storage_.data() + begin_, end_ - begin_);
        end_ -= begin_;
        begin_ = 0;
    }
    if ((end_ == storage_.size() || comes_in_bulk_) && storage_.size() < bytes_max) {
        storage_.resize(std::min(std::max(4 * storage_.size(), kBufferFirst), bytes_max));
    }
    return boost::asio::buffer(storage_.data() + end_, storage_.size() - end_);
}

std::size_t UpstreamConnection::took(const NetError& error, std::size_t n, std::size_t free) {
    has_ended_well_ = error == boost::asio::error::eof;
    is_at_end_ = error && error != boost::asio::error::operation_aborted;
    comes_in_bulk_ = n == free;
    end_ += n;
    return n;
}

Task<std::size_t> UpstreamConnection::read(std::size_t bytes_max, Milliseconds timeout) {
    const auto free = room(bytes_max);
    if (is_at_end_ || free.size() == 0) co_return 0;
    deadline_.set(timeout);
    const auto [error, n] = stream_ ? co_await stream_->async_read_some(free, as_result)
                                    : co_await socket_.async_read_some(free, as_result);
    deadline_.clear();
    co_return took(error, n, free.size());
}

Task<std::size_t> UpstreamConnection::read_beside(std::size_t bytes_max) {
    const auto free = room(bytes_max);
    if (is_at_end_ || free.size() == 0) co_return 0;
    const auto [error, n] = stream_ ? co_await stream_->async_read_some(free, as_result)
                                    : co_await socket_.async_read_some(free, as_result);
    co_return took(error, n, free.size());
}

bool UpstreamConnection::is_reusable() {
    if (!socket_.is_open() || has_expired_ || begin_ != end_) return false;
    deadline_.clear();
    char byte = 0;
    NetError error;
    // What an idle connection has to say is that it was closed, or nothing we asked for. (Of TLS it
    // may also be a session ticket, which costs us a new connection now and then.)
    socket_.receive(boost::asio::buffer(&byte, 1), Socket::message_peek, error);
    return error == boost::asio::error::would_block;
}

void UpstreamConnection::rest(Milliseconds timeout) {
    deadline_.set(timeout);
    // As much as an answer in bulk needs: few connections wait, and the next answer is like the
    // last.
    constexpr std::size_t kKeptMax = 64 * 1024;
    if (storage_.size() > kKeptMax) std::vector<char>{}.swap(storage_);
}

}  // namespace nutgate::http
