#include "websocket_link.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/websocket/stream.hpp>

#include <algorithm>
#include <exception>
#include <utility>

#include "nutgate/base/log.h"
#include "nutgate/base/verify.h"
#include "tls_client.h"
#include "websocket_lane.h"

namespace nutgate::http {
namespace {

namespace ws = boost::beast::websocket;
using Kind = WebSocketEnd::Kind;

constexpr std::size_t kBufferKeptMax = 64 * 1024;

std::string target_of(const Url& url) {
    std::string target = url.path.empty() ? "/" : url.path;
    if (!url.query.empty()) target += "?" + url.query;
    return target;
}

std::string authority_of(const Url& url) {
    const auto origin = url.origin();
    return origin.substr(origin.find("//") + 2);
}

WebSocketEnd unreachable(std::string why) {
    return {.kind = Kind::Unreachable, .was_open = false, .status = 0, .detail = std::move(why)};
}

}  // namespace

struct WebSocketLink::Stream : ws::stream<WebSocketLane, false> {
    using stream::stream;
};

struct WebSocketLink::Attempt {
    explicit Attempt(boost::asio::io_context& io)
        : socket{io.get_executor()},
          deadline{io, [this] { cut(); }},
          write_deadline{io, [this] { cut(); }},
          changed{io} {}

    // Whatever is awaited on the socket ends.
    void cut() {
        is_late = true;
        shut();
    }
    void shut() {
        NetError ignored;
        socket.close(ignored);
        changed.signal();
    }

    Socket socket;
    Deadline deadline;        // Of connecting and of closing.
    Deadline write_deadline;  // Of one message.
    Event changed;            // Any of those below, or the queue.
    Monotonic::time_point begun = Monotonic::now();
    std::optional<Addresses> found;
    bool is_late = false;
    bool is_open = false;
    bool is_closing = false;  // We want it to end.
    bool is_over = false;     // Nothing more is read.
    bool is_written = false;  // Nothing more is written.
    bool had_message = false;
};

WebSocketLink::WebSocketLink(WebSocketHub& hub, WebSocketHub::LinkId id, Url url,
                             WebSocketOptions options, WebSocketEvents events)
    : hub_{hub},
      id_{id},
      url_{std::move(url)},
      options_{std::move(options)},
      events_{std::move(events)},
      not_before_{Monotonic::now()} {}

WebSocketLink::~WebSocketLink() {
    hub_.end(id_);
    hub_.release(id_);
}

bool WebSocketLink::send(std::string text) {
    bool was_empty = false;
    {
        const std::lock_guard lock{mutex_};
        const bool has_room = queue_.size() < options_.queue_count_max &&
                              text.size() <= options_.queue_bytes_max - queued_bytes_;
        if (!is_open_ || !has_room) return false;
        was_empty = queue_.empty();
        queued_bytes_ += text.size();
        queue_.push_back(std::move(text));
    }
    if (was_empty) {
        hub_.post(id_, [](WebSocketLink& link) {
            if (link.now_ != nullptr) link.now_->changed.signal();
        });
    }
    return true;
}

void WebSocketLink::close_for(Milliseconds pause) {
    // Within a callback at once: a later turn could come after the next attempt has begun.
    if (hub_.is_this_thread()) return rest(pause);
    hub_.post(id_, [pause](WebSocketLink& link) { link.rest(pause); });
}

void WebSocketLink::rest(Milliseconds pause) {
    not_before_ = Monotonic::now() + pause;
    close();
    if (pausing_ != nullptr) pausing_->cancel();
}

void WebSocketLink::run(std::function<void()> action) {
    hub_.post(id_, [action = std::move(action)](WebSocketLink&) { action(); });
}

void WebSocketLink::end() {
    is_ending_ = true;
    close();
    if (pausing_ != nullptr) pausing_->cancel();
}

void WebSocketLink::close() {
    if (now_ == nullptr || now_->is_closing) return;
    now_->is_closing = true;
    if (!now_->is_open) return now_->shut();
    now_->deadline.set(options_.close_timeout);
    now_->changed.signal();
}

void WebSocketLink::set_open(bool is_open) {
    {
        const std::lock_guard lock{mutex_};
        is_open_ = is_open;
        queue_.clear();
        queued_bytes_ = 0;
    }
    hub_.open_links.add(is_open ? 1 : -1);
}

std::optional<std::string> WebSocketLink::next_message() {
    const std::lock_guard lock{mutex_};
    if (queue_.empty()) return std::nullopt;
    auto message = std::move(queue_.front());
    queue_.pop_front();
    queued_bytes_ -= message.size();
    return message;
}

Milliseconds WebSocketLink::next_backoff() {
    auto delay = options_.backoff_first;
    for (int i = 0; i < failures_ && delay < options_.backoff_max; ++i) delay *= 2;
    delay = std::min(delay, options_.backoff_max);
    ++failures_;
    return delay + hub_.by_chance(delay / 4);
}

Task<void> WebSocketLink::live() {
    while (!is_ending_) {
        co_await pause();
        if (is_ending_) break;
        Attempt now{hub_.io};
        now_ = &now;
        auto ended = co_await attempt(now);
        now_ = nullptr;
        if (now.is_closing) ended.kind = Kind::ByUs;
        ended.was_open = now.is_open;
        hub_.count(ended.kind);
        const bool held = now.is_open && Monotonic::now() - now.begun > options_.backoff_max;
        if (now.had_message || held) failures_ = 0;
        not_before_ = std::max(not_before_, Monotonic::now() + next_backoff());
        log::debug("websocket_ended", {{"host", url_.host}, {"why", ended.detail}});
        if (!is_ending_ && events_.on_closed) events_.on_closed(*this, ended);
    }
}

Task<void> WebSocketLink::pause() {
    Timer timer{hub_.io.get_executor()};
    pausing_ = &timer;
    // Not before a time that may be put off meanwhile.
    while (!is_ending_ && Monotonic::now() < not_before_) {
        timer.expires_at(not_before_);
        co_await timer.async_wait(as_result);
    }
    pausing_ = nullptr;
}

Task<WebSocketEnd> WebSocketLink::attempt(Attempt& now) {
    now.deadline.set(options_.connect_timeout);
    if (url_.tls && hub_.tls_fault) co_return unreachable("no certificates to check by");
    const auto addresses = co_await look_up(now);
    if (!addresses) co_return unreachable(addresses.error());
    const bool is_connected = co_await connect(now, *addresses);
    if (!is_connected) co_return unreachable(now.is_late ? "too late" : "nobody can be reached");
    NetError ignored;
    now.socket.set_option(Tcp::no_delay{true}, ignored);
    std::optional<TlsStream> tls;
    if (url_.tls) {
        tls.emplace(now.socket, hub_.tls);
        const auto failure = co_await shake_hands(*tls, url_.host);
        if (failure) co_return unreachable("TLS: " + failure.message());
    }
    Stream stream{now.socket, tls ? &*tls : nullptr};
    auto ended = co_await talk(now, stream);
    co_return ended;
}

Task<Result<Addresses, std::string>> WebSocketLink::look_up(Attempt& now) {
    if (is_address(url_.host)) now.found = Addresses{url_.host};
    const auto number = ++lookups_;
    if (!now.found) {
        hub_.names.start(url_.host, [&hub = hub_, id = id_, number](const Addresses& found) {
            hub.post(id, [number, found](WebSocketLink& link) {
                if (link.now_ == nullptr || link.lookups_ != number) return;
                link.now_->found = found;
                link.now_->changed.signal();
            });
        });
    }
    while (!now.found && !now.is_late && !now.is_closing) co_await now.changed.wait();
    if (!now.found) co_return fail(std::string{"its name was not found in time"});
    co_return reachable(options_.reach, url_.host, *now.found, hub_.options.rules);
}

Task<bool> WebSocketLink::connect(Attempt& now, const Addresses& addresses) {
    // Each gets its share of the time; TLS and the handshake get what is left.
    const auto deadline = now.begun + options_.connect_timeout;
    for (std::size_t i = 0; i < addresses.size() && !now.is_closing; ++i) {
        NetError error;
        const auto address = boost::asio::ip::make_address(addresses[i], error);
        if (error) continue;
        const auto left = std::chrono::duration_cast<Milliseconds>(deadline - Monotonic::now());
        if (left <= Milliseconds{0}) break;
        now.is_late = false;
        now.deadline.set(left / static_cast<Milliseconds::rep>(addresses.size() - i));
        const Tcp::endpoint endpoint{address, url_.port};
        now.socket.close(error);
        now.socket.open(endpoint.protocol(), error);
        if (error) continue;
        const auto [failure] = co_await now.socket.async_connect(endpoint, as_result);
        now.deadline.set_at(deadline);
        if (!failure) co_return !now.is_closing && !now.is_late;
    }
    co_return false;
}

Task<WebSocketEnd> WebSocketLink::talk(Attempt& now, Stream& stream) {
    ws::stream_base::timeout limits{.handshake_timeout = options_.connect_timeout,
                                    .idle_timeout = options_.idle_timeout,
                                    .keep_alive_pings = true};
    stream.set_option(limits);
    stream.set_option(ws::stream_base::decorator{[this](ws::request_type& request) {
        for (const auto& [name, value] : options_.headers.entries()) request.set(name, value);
    }});
    stream.read_message_max(options_.message_bytes_max);
    ws::response_type answer;
    const std::string host = authority_of(url_);
    const std::string target = target_of(url_);
    const auto [failure] = co_await stream.async_handshake(answer, host, target, as_result);
    now.deadline.clear();
    if (failure == ws::condition::handshake_failed) {
        const int status = static_cast<int>(answer.result_int());
        co_return WebSocketEnd{.kind = Kind::Declined,
                               .was_open = false,
                               .status = status,
                               .detail = "it answered " + std::to_string(status)};
    }
    if (failure || now.is_closing || now.is_late) {
        std::string why = now.is_late ? "the handshake took too long" : failure.message();
        co_return WebSocketEnd{
            .kind = Kind::Broken, .was_open = false, .status = 0, .detail = std::move(why)};
    }
    limits.handshake_timeout = options_.close_timeout;
    stream.set_option(limits);

    now.is_open = true;
    set_open(true);
    if (events_.on_open) events_.on_open(*this);
    boost::asio::co_spawn(hub_.io, write_all(now, stream), [&now](const std::exception_ptr& error) {
        VERIFY(!error);
        now.is_written = true;
        now.changed.signal();
    });
    auto ended = co_await read_all(now, stream);
    set_open(false);
    now.is_over = true;
    now.shut();
    while (!now.is_written) co_await now.changed.wait();
    co_return ended;
}

Task<WebSocketEnd> WebSocketLink::read_all(Attempt& now, Stream& stream) {
    WebSocketEnd ended{.kind = Kind::Broken, .was_open = true, .status = 0, .detail = {}};
    boost::beast::flat_buffer buffer;
    for (;;) {
        const auto [failure, n] = co_await stream.async_read(buffer, as_result);
        if (failure) {
            if (failure == ws::error::closed) ended.kind = Kind::Closed;
            ended.detail = now.is_late ? "it takes nothing" : failure.message();
            co_return ended;
        }
        if (!stream.got_text()) {
            ended.detail = "its message is not text";
            co_return ended;
        }
        now.had_message = true;
        const auto data = buffer.cdata();
        if (!is_ending_ && events_.on_message) {
            events_.on_message(*this, {static_cast<const char*>(data.data()), data.size()});
        }
        buffer.consume(n);
        if (buffer.capacity() > kBufferKeptMax) buffer.shrink_to_fit();
    }
}

Task<void> WebSocketLink::write_all(Attempt& now, Stream& stream) {
    while (!now.is_over) {
        const auto message = next_message();
        if (message) {
            now.write_deadline.set(options_.write_timeout);
            const auto [failure, n] =
                co_await stream.async_write(boost::asio::buffer(*message), as_result);
            now.write_deadline.clear();
            if (failure) co_return now.shut();
        } else if (now.is_closing) {
            const ws::close_reason reason{ws::close_code::normal};
            co_await stream.async_close(reason, as_result);
            co_return now.shut();
        } else {
            co_await now.changed.wait();
        }
    }
}

}  // namespace nutgate::http
