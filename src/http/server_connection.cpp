#include "server_connection.h"

#include <boost/asio/buffer.hpp>
#include <boost/system/system_error.hpp>

#include <algorithm>
#include <cstring>
#include <exception>

#include "nutgate/base/log.h"

namespace nutgate::http {
namespace {

constexpr std::size_t kLingerBytesMax = 8 * 1024 * 1024;

constexpr Refusal kOverloaded{503, "overloaded", "Too many requests are waiting; try again soon."};
constexpr Refusal kTooLarge{413, "body_too_large", "The request's body is too large."};
constexpr Refusal kFailed{500, "internal_error", "The server failed to answer this request."};

}  // namespace

void InBuffer::consume(std::size_t n) {
    begin_ += n;
    if (begin_ == end_) begin_ = end_ = 0;
}

boost::asio::mutable_buffer InBuffer::room(std::size_t bytes_max) {
    constexpr std::size_t kKeptMax = 4 * kSizeFirst;
    if (empty() && storage_.size() > kKeptMax) std::vector<char>{}.swap(storage_);
    if (storage_.size() - end_ < kSizeFirst / 4 && begin_ > 0) {
        std::memmove(storage_.data(), storage_.data() + begin_, end_ - begin_);
        end_ -= begin_;
        begin_ = 0;
    }
    if (end_ == storage_.size() && storage_.size() < bytes_max) {
        storage_.resize(
            std::clamp(2 * storage_.size(), kSizeFirst, std::max(bytes_max, kSizeFirst)));
    }
    return boost::asio::buffer(storage_.data() + end_, storage_.size() - end_);
}

Connection::Connection(Core& core, Socket socket)
    : core_{core},
      server_{core.server},
      socket_{std::move(socket)},
      deadline_{core.io,
                [this] {
                    has_expired_ = true;
                    NetError ignored;
                    socket_.cancel(ignored);
                }},
      changed_{core.io},
      body_share_{core.server.body_memory} {
    NetError ignored;
    socket_.set_option(Tcp::no_delay{true}, ignored);
    // Writes are tried before they are awaited: nearly all of them need no waiting.
    socket_.non_blocking(true, ignored);
    const auto endpoint = socket_.remote_endpoint(ignored);
    if (!ignored) {
        auto address = endpoint.address();
        if (address.is_v6() && address.to_v6().is_v4_mapped()) {
            address = boost::asio::ip::make_address_v4(boost::asio::ip::v4_mapped, address.to_v6());
        }
        peer_ = address.to_string();
    }
}

Task<void> Connection::run() {
    bool goes_on = true;
    while (goes_on) {
        goes_on = co_await serve_one();
        forget_watches();
    }
    shed_body();
    co_await linger();
    close();
}

void Connection::end_if_idle() {
    if (is_idle_) close();
}

void Connection::close() {
    NetError ignored;
    socket_.close(ignored);
}

void Connection::finished() {
    is_finished_ = true;
    deadline_.clear();
    close();
    if (!is_reading_ahead_) core_.remove(*this);
}

// True if the connection goes on to a next request.
Task<bool> Connection::serve_one() {
    // What is refused before its method is known is answered as a GET: with a body.
    request_.method = Method::Get;
    request_.request_id.clear();
    request_.headers.clear();
    shed_body();
    answer_ = Answer::None;
    framing_ = Framing::None;
    is_body_read_ = keeps_alive_ = false;

    const auto head_size = co_await read_head();
    deadline_.clear();
    if (!head_size) co_return false;
    const auto taken = take_head(*head_size);
    if (!taken) co_return co_await refuse(taken.error());

    const Endpoint* endpoint = *taken;
    const auto limit = endpoint != nullptr && endpoint->route.body_bytes_max > 0
                           ? endpoint->route.body_bytes_max
                           : server_.options.body_bytes_max;
    if (endpoint != nullptr && endpoint->blocking && server_.control_pool->is_full()) {
        co_return co_await refuse(kOverloaded);
    }
    expect_body(limit);
    if (!take_body_at_hand()) {
        if (!parser_->is_chunked() && parser_->body_bytes() > limit) {
            co_return co_await refuse(kTooLarge);
        }
        if (!co_await read_as_route_wants(endpoint)) co_return false;
    }
    if (endpoint == nullptr) {
        co_await answer_unrouted();
    } else {
        co_await dispatch(*endpoint);
    }
    co_return answer_ == Answer::Done&& keeps_alive_&& is_body_read_ && !core_.is_draining();
}

// False: the connection is over.
Task<bool> Connection::read_as_route_wants(const Endpoint* endpoint) {
    const bool is_asked_for =
        endpoint != nullptr && endpoint->handler && endpoint->route.reading == Reading::AsAsked;
    if (is_asked_for) co_return true;
    if (endpoint == nullptr) co_return co_await skip_body();
    co_return co_await read_whole_body();
}

// The size of the next head, which then lies at the front of in_; none if the connection is over.
Task<std::optional<std::size_t>> Connection::read_head() {
    const auto& options = server_.options;
    std::size_t scanned = 0;
    bool has_begun = false;
    for (;;) {
        // RFC 9112 2.2: an empty line before a request is to be ignored.
        while (scanned == 0 && in_.size() >= 2 && in_.bytes().front() == '\r' &&
               in_.bytes()[1] == '\n') {
            in_.consume(2);
        }
        const auto scan = scan_head(in_.bytes(), scanned);
        scanned = in_.size();
        if (scan.state == HeadScan::State::Complete && scan.size <= options.head_bytes_max) {
            is_idle_ = false;
            co_return scan.size;
        }
        if (scan.state == HeadScan::State::Malformed) {
            co_await refuse({400, "malformed_request", "The request is not well-formed HTTP."});
            co_return std::nullopt;
        }
        if (in_.size() >= options.head_bytes_max || scan.state == HeadScan::State::Complete) {
            co_await refuse({431, "headers_too_large", "The request's head is too large."});
            co_return std::nullopt;
        }
        is_idle_ = in_.empty();
        if (is_idle_) {
            if (core_.is_draining()) co_return std::nullopt;
            deadline_.set(options.idle_timeout);
        } else if (!has_begun) {
            has_begun = true;
            deadline_.set(options.head_timeout);
        }
        // The usual read, without a coroutine of its own.
        auto got = Fill::Got;
        if (is_reading_ahead_ || has_peer_closed_) {
            got = co_await fill();
        } else {
            const auto room = in_.room(options.head_bytes_max);
            const auto [error, n] = co_await socket_.async_read_some(room, as_result);
            got = filled(error, n);
        }
        if (got == Fill::Got) continue;
        if (got == Fill::Expired && !in_.empty()) {
            co_await refuse({408, "request_timeout", "The request's head took too long to come."});
        }
        co_return std::nullopt;
    }
}

Result<const Endpoint*, Refusal> Connection::take_head(std::size_t size) {
    parser_.emplace(request_, server_.head_limits);
    const auto parsed = parser_->head(in_.bytes().substr(0, size));
    in_.consume(size);

    const auto client_id = request_.headers.find("x-request-id");
    request_.request_id =
        client_id && is_request_id(*client_id) ? std::string{*client_id} : core_.request_ids.next();
    request_.client_ip = server_.trusted_proxies.client_of(peer_, request_.headers);
    if (!parsed) return fail(parsed.error());
    TRY_VOID(split_target(request_, server_.own_hosts));

    const auto& hosts = server_.options.hosts;
    const auto host = *request_.headers.find("host");
    const bool is_ours = hosts.empty() || std::any_of(hosts.begin(), hosts.end(), [&](auto& one) {
                             return is_host_of(host, one);
                         });
    if (!is_ours) return fail(Refusal{421, "misdirected_request", "This is not that host."});
    keeps_alive_ = parser_->keeps_alive();
    return server_.router.find(request_);
}

// Nearly always it has come with its head. False: it has to be read.
bool Connection::take_body_at_hand() {
    const auto size = parser_->body_bytes();
    if (parser_->is_chunked() || size > body_bytes_max_ || size > in_.size()) return false;
    request_.body.assign(in_.bytes().substr(0, static_cast<std::size_t>(size)));
    in_.consume(static_cast<std::size_t>(size));
    is_body_read_ = true;
    return true;
}

Task<bool> Connection::send_continue() {
    constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
    Pieces pieces{boost::asio::buffer(kContinue.data(), kContinue.size())};
    bool is_sent = send_now(pieces);
    if (is_sent) is_sent = co_await send_rest(pieces);
    co_return is_sent;
}

Task<Connection::Fill> Connection::fill() {
    if (is_reading_ahead_) {
        const auto before = in_.size();
        while (is_reading_ahead_) co_await changed_.wait();
        if (in_.size() > before) co_return Fill::Got;
    }
    if (has_peer_closed_) co_return has_expired_ ? Fill::Expired : Fill::Closed;
    const auto room = in_.room(server_.options.head_bytes_max);
    if (room.size() == 0) co_return Fill::Full;
    const auto [error, n] = co_await socket_.async_read_some(room, as_result);
    co_return filled(error, n);
}

Connection::Fill Connection::filled(const NetError& error, std::size_t n) {
    in_.commit(n);
    if (!error) return Fill::Got;
    has_peer_closed_ = true;
    return has_expired_ ? Fill::Expired : Fill::Closed;
}

// Reads without anybody waiting: the way to learn that the client leaves. What comes instead of its
// leaving is the next request, and stays in the buffer.
void Connection::read_ahead() {
    if (is_reading_ahead_ || is_reading_body_ || has_peer_closed_ || !in_.empty()) return;
    (void)begin_reading_ahead();
}

// False if there is no room.
bool Connection::begin_reading_ahead() {
    const auto room = in_.room(server_.options.head_bytes_max);
    if (room.size() == 0) return false;
    is_reading_ahead_ = true;
    socket_.async_read_some(room, [this](const NetError& error, std::size_t n) {
        is_reading_ahead_ = false;
        in_.commit(n);
        if (is_finished_) return core_.remove(*this);
        has_peer_closed_ = static_cast<bool>(error);
        changed_.signal();
        // Who was too slow is cut off by us, and is told so.
        if (has_peer_closed_ && gone_ && !has_expired_) std::exchange(gone_, nullptr)();
    });
    return true;
}

Task<void> Connection::client_gone() {
    read_ahead();
    while (!has_peer_closed_) co_await changed_.wait();
}

void Connection::on_client_gone(std::function<void()> gone) {
    if (gone && has_peer_closed_) return gone();
    gone_ = std::move(gone);
    if (gone_) read_ahead();
}

void Connection::set_alarm(Milliseconds delay, std::function<void()> ring) {
    ring_ = std::move(ring);
    if (!ring_) {
        if (alarm_) alarm_->clear();
        return;
    }
    if (!alarm_) {
        alarm_.emplace(core_.io, [this] {
            if (ring_) std::exchange(ring_, nullptr)();
        });
    }
    alarm_->set(delay);
}

void Connection::forget_watches() {
    gone_ = nullptr;
    set_alarm({}, nullptr);
}

Task<void> Connection::dispatch(const Endpoint& endpoint) {
    if (endpoint.blocking) {
        co_await run_blocking(endpoint);
        co_return;
    }
    bool has_failed = false;
    try {
        co_await endpoint.handler(*this);
    } catch (const boost::system::system_error& error) {
        if (error.code() != boost::asio::error::operation_aborted) {
            log::error("http_route_failed",
                       {{"route", endpoint.route.pattern}, {"why", error.what()}});
        }
        has_failed = true;
    } catch (const std::exception& error) {
        log::error("http_route_failed", {{"route", endpoint.route.pattern}, {"why", error.what()}});
        has_failed = true;
    }
    forget_watches();
    if (answer_ == Answer::None && body_failure_ && !has_failed) {
        co_await refuse_body();
    } else if (answer_ == Answer::None) {
        if (!has_failed && !has_peer_closed_) {
            log::error("http_route_without_answer", {{"route", endpoint.route.pattern}});
        }
        co_await respond(server_.error_answer(request_, kFailed));
    }
}

Task<void> Connection::run_blocking(const Endpoint& endpoint) {
    struct Outcome {
        enum class What { Answered, Overloaded, Failed } what = What::Overloaded;
        Response response;
    };
    const auto job = [this, &endpoint](const std::function<void(Outcome)>& done) {
        try {
            done({Outcome::What::Answered, endpoint.blocking(request_)});
        } catch (const std::exception& error) {
            log::error("http_route_failed",
                       {{"route", endpoint.route.pattern}, {"why", error.what()}});
            done({Outcome::What::Failed, {}});
        }
    };
    auto outcome =
        co_await completion<Outcome>([this, &job](const std::function<void(Outcome)>& done) {
            if (!server_.control_pool->submit([&job, done](auto) { job(done); })) done({});
        });
    switch (outcome.what) {
        case Outcome::What::Answered:
            co_await respond(std::move(outcome.response));
            break;
        case Outcome::What::Failed:
            co_await respond(server_.error_answer(request_, kFailed));
            break;
        case Outcome::What::Overloaded:
            co_await respond(server_.error_answer(request_, kOverloaded));
            break;
    }
}

Task<void> Connection::answer_unrouted() {
    const auto methods = server_.router.methods_of(request_);
    const bool is_preflight = !methods.empty() && request_.method == Method::Options;
    const Refusal refusal = methods.empty() ? Refusal{404, "not_found", "There is no such path."}
                                            : Refusal{405, "method_not_allowed",
                                                      "This path does not take this method."};
    Response response;
    response.status = 204;
    if (!is_preflight) response = server_.error_answer(request_, refusal);
    if (!methods.empty()) response.headers.set("allow", methods);
    co_await respond(std::move(response));
}

// Answers and lets nothing after it be read as a request. Always false, for the caller to return.
Task<bool> Connection::refuse(Refusal refusal) {
    deadline_.clear();
    has_expired_ = false;
    keeps_alive_ = false;
    server_.count_refusal(refusal.code);
    if (request_.request_id.empty()) request_.request_id = core_.request_ids.next();
    co_await respond(server_.error_answer(request_, refusal));
    co_return false;
}

// A close() with bytes unread makes the kernel send a reset, which can overtake the answer. So the
// client is told that nothing more comes, and what it still sends is thrown away for a moment.
Task<void> Connection::linger() {
    NetError error;
    if (framing_ == Framing::UntilClose && answer_ != Answer::Done) {
        // What ends by closing and ends too early must not look as if it had ended well.
        socket_.set_option(Tcp::socket::linger{true, 0}, error);
    }
    if (answer_ != Answer::Done || has_peer_closed_ || !socket_.is_open()) co_return;
    socket_.shutdown(Tcp::socket::shutdown_send, error);
    if (is_body_read_ && in_.empty()) co_return;
    has_expired_ = false;
    deadline_.set(server_.options.linger_timeout);
    for (std::size_t thrown_away = 0; thrown_away < kLingerBytesMax;) {
        const auto before = in_.size();
        if (co_await fill() != Fill::Got) break;
        thrown_away += in_.size() - before;
        in_.consume(in_.size());
    }
    deadline_.clear();
}

}  // namespace nutgate::http
