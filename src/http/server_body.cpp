// Reading a request's body: all of it before its route is called, or as its handler asks.
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>

#include <algorithm>
#include <limits>
#include <utility>

#include "nutgate/base/verify.h"
#include "server_connection.h"

namespace nutgate::http {
namespace {

constexpr std::size_t kBodyStepMin = 16 * 1024;
constexpr std::size_t kBodyStepMax = 256 * 1024;
constexpr std::size_t kBodyKeptMax = 16 * 1024;
constexpr std::size_t kBodyBytesPerSecondMin = 16 * 1024;

constexpr Refusal kTooSlow{408, "request_timeout", "The body took too long to come."};
constexpr Refusal kLongChunkHead{400, "malformed_request", "A chunk's head is too large."};
constexpr Refusal kCrowded{503, "overloaded", "Too much is being sent at once; try again soon."};

// Undone however the coroutine ends.
class Raised {
public:
    explicit Raised(bool& flag) : flag_{flag} { flag_ = true; }
    ~Raised() { flag_ = false; }
    Raised(const Raised&) = delete;
    Raised& operator=(const Raised&) = delete;

private:
    bool& flag_;
};

}  // namespace

// For one wait for the client. What a handler does between two of them takes none of its time.
class Connection::BodyClock {
public:
    explicit BodyClock(Connection& connection) : connection_{connection}, begin_{Monotonic::now()} {
        const Seconds earned{connection.body_bytes_read_ / kBodyBytesPerSecondMin};
        connection.deadline_.set_at(begin_ - connection.body_waited_ + earned +
                                    connection.server_.options.body_timeout);
    }
    ~BodyClock() {
        connection_.deadline_.clear();
        connection_.body_waited_ += Monotonic::now() - begin_;
    }
    BodyClock(const BodyClock&) = delete;
    BodyClock& operator=(const BodyClock&) = delete;

private:
    Connection& connection_;
    const Monotonic::time_point begin_;
};

Task<Result<void, BodyFailure>> Exchange::read_body(std::size_t) {
    VERIFY(has_whole_body());
    const Result<void, BodyFailure> whole;
    co_return whole;
}

void Connection::expect_body(std::size_t bytes_max) {
    body_bytes_max_ = bytes_max;
    body_bytes_read_ = 0;
    body_waited_ = {};
    is_body_asked_for_ = false;
    body_failure_.reset();
}

std::optional<std::uint64_t> Connection::body_bytes() const {
    if (parser_->is_chunked()) return std::nullopt;
    return parser_->body_bytes();
}

Task<Result<void, BodyFailure>> Connection::read_body(std::size_t bytes_min) {
    // Whoever has sent some of the body already does not wait for leave to.
    const bool is_first = !std::exchange(is_body_asked_for_, true);
    if (is_first && parser_->expects_continue() && in_.empty() && answer_ == Answer::None) {
        if (!co_await send_continue()) body_failure_ = BodyFailure::Gone;
    }
    while (!body_failure_ && !is_body_read_ && request_.body.size() < bytes_min) {
        if (parser_->is_chunked()) {
            co_await read_chunks();
        } else if (gone_ || is_reading_ahead_ || !in_.empty()) {
            co_await take_sized();
        } else {
            co_await read_sized(bytes_min);
        }
    }
    // Who watches the client learns from the next read that it leaves.
    if (is_body_read_ && gone_) read_ahead();
    if (body_failure_) co_return fail(*body_failure_);
    const Result<void, BodyFailure> there;
    co_return there;
}

// Of a large body nothing stays with a connection that may idle for a minute.
void Connection::shed_body() {
    if (request_.body.capacity() > kBodyKeptMax) std::string{}.swap(request_.body);
    request_.body.clear();
    body_share_.clear();
}

// All of it, for a route that does not ask. False: the connection is over.
Task<bool> Connection::read_whole_body() {
    const auto whole = co_await read_body(std::numeric_limits<std::size_t>::max());
    if (!whole) co_await refuse_body();
    co_return whole.has_value();
}

// The same without holding it: of a request that is answered without it.
Task<bool> Connection::skip_body() {
    while (!is_body_read_ && !body_failure_) {
        shed_body();
        const auto more = co_await read_body(1);
        if (!more) co_await refuse_body();
    }
    co_return is_body_read_;
}

// The answer to a request whose body did not come.
Task<void> Connection::refuse_body() {
    const BodyFailure why = *body_failure_;
    if (why != BodyFailure::Gone) co_await refuse(body_refusal_);
}

void Connection::fail_body(BodyFailure failure, const Refusal& refusal) {
    body_failure_ = failure;
    body_refusal_ = refusal;
}

void Connection::body_stopped(Fill fill) {
    switch (fill) {
        case Fill::Got:
            break;
        case Fill::Closed:
            fail_body(BodyFailure::Gone, {});
            break;
        case Fill::Expired:
            fail_body(BodyFailure::TooSlow, kTooSlow);
            break;
        case Fill::Full:
            fail_body(BodyFailure::Malformed, kLongChunkHead);
            break;
    }
}

// What is declared is not taken, only what has come and as much again, so a lie costs its teller
// only. What is reserved beyond it, so that a long body need not move often, is addresses: there is
// no memory behind them before something comes.
Task<void> Connection::read_sized(std::size_t bytes_min) {
    constexpr std::size_t kReservedPerByte = 16;
    const Raised reading{is_reading_body_};
    auto& body = request_.body;
    auto received = body.size();
    const auto most = static_cast<std::size_t>(
        std::min<std::uint64_t>(std::numeric_limits<std::size_t>::max() - received,
                                parser_->body_bytes() - body_bytes_read_));
    const auto end = received + most;
    const auto wanted = std::min(end, bytes_min);
    while (received < wanted && !body_failure_) {
        if (received == body.size()) {
            const auto step = std::clamp(received, kBodyStepMin, kBodyStepMax);
            const auto next = std::min(end, received + step);
            if (!body_share_.cover(next)) {
                fail_body(BodyFailure::Crowded, kCrowded);
                break;
            }
            body.reserve(std::min(end, kReservedPerByte * std::max(received, kBodyStepMin)));
            body.resize(next);
        }
        const BodyClock clock{*this};
        const auto [error, n] = co_await socket_.async_read_some(
            boost::asio::buffer(body.data() + received, body.size() - received), as_result);
        received += n;
        body_bytes_read_ += n;
        if (!error) continue;
        // Who cancelled this may ask again, and the client has more to say.
        if (error == boost::asio::error::operation_aborted && !has_expired_) break;
        body_stopped(has_expired_ ? Fill::Expired : Fill::Closed);
        has_peer_closed_ = !has_expired_;
    }
    body.resize(received);
    is_body_read_ = !body_failure_ && body_bytes_read_ == parser_->body_bytes();
    if (has_peer_closed_ && gone_) std::exchange(gone_, nullptr)();
}

// The same out of the buffer, into which the watch for the client reads.
Task<void> Connection::take_sized() {
    if (in_.empty()) {
        if (const auto got = co_await fill_ahead(); got != Fill::Got) {
            body_stopped(got);
            co_return;
        }
    }
    const auto left = parser_->body_bytes() - body_bytes_read_;
    const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(left, in_.size()));
    if (!body_share_.cover(request_.body.size() + n)) {
        fail_body(BodyFailure::Crowded, kCrowded);
        co_return;
    }
    request_.body.append(in_.bytes().substr(0, n));
    in_.consume(n);
    body_bytes_read_ += n;
    is_body_read_ = body_bytes_read_ == parser_->body_bytes();
}

// One round: what is in the buffer, or what comes next.
Task<void> Connection::read_chunks() {
    // The buffer stays as it is as long as something is read into it.
    if (is_reading_ahead_) {
        if (const auto got = co_await fill_ahead(); got != Fill::Got) {
            body_stopped(got);
            co_return;
        }
    }
    auto& body = request_.body;
    const auto held = body.size();
    // Of a body that is all in the first read nothing is counted, whatever its framing.
    if (body_bytes_read_ > 0 && !body_share_.cover(held + in_.size())) {
        fail_body(BodyFailure::Crowded, kCrowded);
        co_return;
    }
    while (!in_.empty() && !parser_->has_whole_body()) {
        // The parser counts by what the body holds, and some of it may have been shed.
        const auto shed = body_bytes_read_ - held;
        const auto taken =
            parser_->chunks(in_.bytes(), static_cast<std::size_t>(body_bytes_max_ - shed));
        if (!taken) {
            constexpr int kStatusTooLarge = 413;
            const bool is_size = taken.error().status == kStatusTooLarge;
            fail_body(is_size ? BodyFailure::TooLarge : BodyFailure::Malformed, taken.error());
            co_return;
        }
        in_.consume(*taken);
        if (*taken == 0) break;
    }
    const auto more = body.size() - held;
    body_bytes_read_ += more;
    is_body_read_ = parser_->has_whole_body();
    if (is_body_read_ || more > 0) co_return;
    if (const auto got = co_await fill_ahead(); got != Fill::Got) body_stopped(got);
}

// As fill(), but what is cancelled here has begun a read that goes on: its bytes stay in order.
Task<Connection::Fill> Connection::fill_ahead() {
    if (!is_reading_ahead_) in_.widen(kBodyStepMin);
    const BodyClock clock{*this};
    const auto before = in_.size();
    if (!is_reading_ahead_ && !has_peer_closed_ && !begin_reading_ahead()) co_return Fill::Full;
    while (is_reading_ahead_) co_await changed_.wait();
    if (in_.size() > before) co_return Fill::Got;
    co_return has_expired_ ? Fill::Expired : Fill::Closed;
}

}  // namespace nutgate::http
