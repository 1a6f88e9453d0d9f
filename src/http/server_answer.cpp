#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/beast/http/status.hpp>

#include <algorithm>
#include <charconv>

#include "head_line.h"
#include "nutgate/base/log.h"
#include "nutgate/base/verify.h"
#include "server_connection.h"

namespace nutgate::http {
namespace {

bool has_no_body(int status) { return status == 204 || status == 304 || status < 200; }

// How an answer ends, and how a connection goes on, is the connection's to say.
bool is_ours_to_write(std::string_view name) {
    constexpr std::array<std::string_view, 7> kOurs{
        "content-length",   "transfer-encoding", "connection", "keep-alive",
        "proxy-connection", "upgrade",           "date"};
    return is_among(kOurs, name);
}

std::optional<std::uint64_t> declared_length(const Headers& headers) {
    const auto text = headers.find("content-length");
    std::uint64_t length = 0;
    if (!text) return std::nullopt;
    const auto parsed = std::from_chars(text->data(), text->data() + text->size(), length);
    if (parsed.ec != std::errc{} || parsed.ptr != text->data() + text->size()) return std::nullopt;
    return length;
}

template <class Number>
void append_number(std::string& text, Number number, int base) {
    std::array<char, 24> digits;
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number, base).ptr;
    text.append(digits.data(), end);
}

boost::asio::const_buffer as_buffer(std::string_view text) {
    return boost::asio::buffer(text.data(), text.size());
}

template <class Pieces>
bool are_sent(const Pieces& pieces) {
    return boost::asio::buffer_size(pieces) == 0;
}

template <class Pieces>
void advance(Pieces& pieces, std::size_t n) {
    for (auto& piece : pieces) {
        const auto step = std::min(n, piece.size());
        piece += step;
        n -= step;
    }
}

}  // namespace

// The head of the answer, into out_.
void Connection::write_head(Response& response, std::optional<std::size_t> length) {
    if (server_.head_filter) server_.head_filter(request_, response.status, response.headers);
    server_.count_answer(response.status);
    // What is left of a body must not be read as a request.
    if (core_.is_draining() || !is_body_read_) keeps_alive_ = false;

    constexpr std::size_t kOwnLinesBytesMax = 512;  // But for the request's id and the reason.
    const auto reason = boost::beast::http::obsolete_reason(
        boost::beast::http::int_to_status(static_cast<unsigned>(response.status)));
    out_.clear();
    Pen head{out_, kOwnLinesBytesMax + reason.size() + request_.request_id.size() +
                       lines_bytes(response.headers)};
    head.put("HTTP/1.1 ");
    head.put(response.status);
    head.put(' ');
    head.put(std::string_view{reason.data(), reason.size()});
    head.put("\r\n");
    for (const auto& [name, value] : response.headers.entries()) {
        if (is_ours_to_write(name)) continue;
        if (is_header_name(name) && is_header_value(value)) {
            put_line(head, name, value);
        } else {
            log::error("http_header_dropped", {{"name", name}});
        }
    }
    if (!response.headers.find("x-request-id")) {
        put_line(head, "x-request-id", request_.request_id);
    }
    put_line(head, "date", core_.date());
    if (framing_ == Framing::Chunked) head.put("transfer-encoding: chunked\r\n");
    if (length) {
        head.put("content-length: ");
        head.put(*length);
        head.put("\r\n");
    }
    if (!keeps_alive_) head.put("connection: close\r\n");
    head.put("\r\n");
    head.finish();
}

Task<bool> Connection::respond(Response response) {
    VERIFY(answer_ == Answer::None);
    const bool is_empty = has_no_body(response.status);
    framing_ = is_empty ? Framing::None : Framing::Length;
    // Of an answer without a body 304 may still tell the length; none of ours does.
    write_head(response, is_empty ? std::nullopt : std::optional{response.body.size()});
    const bool is_bodiless = is_empty || request_.method == Method::Head;
    const std::string_view body = is_bodiless ? std::string_view{} : response.body;
    Pieces pieces = in_one_if_small(body, {});
    bool is_sent = send_now(pieces);
    if (is_sent && !are_sent(pieces)) is_sent = co_await send_rest(pieces);
    answer_ = is_sent ? Answer::Done : Answer::Broken;
    co_return is_sent;
}

Task<bool> Connection::begin(Response response) {
    VERIFY(answer_ == Answer::None);
    const auto length = declared_length(response.headers);
    if (has_no_body(response.status)) {
        framing_ = Framing::None;
    } else if (length) {
        framing_ = Framing::Length;
        length_left_ = *length;
    } else if (parser_->is_http_1_0()) {
        framing_ = Framing::UntilClose;
        keeps_alive_ = false;
    } else {
        framing_ = Framing::Chunked;
    }
    const bool has_length = framing_ == Framing::Length;
    write_head(response,
               has_length ? std::optional{static_cast<std::size_t>(*length)} : std::nullopt);
    if (request_.method == Method::Head) framing_ = Framing::None;
    answer_ = Answer::Streaming;
    co_return co_await send_piece(response.body, false);
}

Task<bool> Connection::write(std::string_view piece) {
    if (answer_ != Answer::Streaming) co_return false;
    out_.clear();
    if (piece.empty()) co_return true;
    co_return co_await send_piece(piece, false);
}

Task<bool> Connection::end(std::string_view last_piece) {
    if (answer_ != Answer::Streaming) co_return false;
    out_.clear();
    if (!co_await send_piece(last_piece, true)) co_return false;
    // An answer that is shorter than it said must not be mistaken for a whole one.
    const bool is_whole = framing_ != Framing::Length || length_left_ == 0;
    answer_ = is_whole ? Answer::Done : Answer::Broken;
    co_return is_whole;
}

// out_ and what follows it. The kernel takes one buffer in less time than three, and less than it
// takes to copy what is small.
Connection::Pieces Connection::in_one_if_small(std::string_view piece, std::string_view tail) {
    constexpr std::size_t kSmallMax = 4 * 1024;
    if (piece.size() > kSmallMax) return {as_buffer(out_), as_buffer(piece), as_buffer(tail)};
    out_.append(piece).append(tail);
    return {as_buffer(out_)};
}

// Sends out_, which may hold a head, and the piece in its framing.
Task<bool> Connection::send_piece(std::string_view piece, bool is_last) {
    std::string_view tail;
    switch (framing_) {
        case Framing::None:
            piece = {};
            break;
        case Framing::UntilClose:
            break;
        case Framing::Length:
            if (piece.size() > length_left_) {
                answer_ = Answer::Broken;
                co_return false;
            }
            length_left_ -= piece.size();
            break;
        case Framing::Chunked:
            if (!piece.empty()) {
                append_number(out_, piece.size(), 16);
                out_.append("\r\n");
                tail = is_last ? "\r\n0\r\n\r\n" : "\r\n";
            } else if (is_last) {
                tail = "0\r\n\r\n";
            }
            break;
    }
    Pieces pieces = in_one_if_small(piece, tail);
    bool is_sent = send_now(pieces);
    if (is_sent && !are_sent(pieces)) is_sent = co_await send_rest(pieces);
    if (!is_sent) answer_ = Answer::Broken;
    co_return is_sent;
}

// All of it in one system call, unless the client reads more slowly than we write; what is left
// stays in `pieces`. False: the client is gone.
bool Connection::send_now(Pieces& pieces) {
    while (!are_sent(pieces)) {
        NetError error;
        const bool is_one = boost::asio::buffer_size(pieces) == pieces[0].size();
        advance(pieces, is_one ? socket_.write_some(boost::asio::const_buffer{pieces[0]}, error)
                               : socket_.write_some(pieces, error));
        if (error) return error == boost::asio::error::would_block;
    }
    return true;
}

Task<bool> Connection::send_rest(Pieces pieces) {
    while (!are_sent(pieces)) {
        deadline_.set(server_.options.write_timeout);
        const auto [failure, n] = co_await socket_.async_write_some(pieces, as_result);
        deadline_.clear();
        advance(pieces, n);
        if (failure) co_return false;
    }
    co_return true;
}

}  // namespace nutgate::http
