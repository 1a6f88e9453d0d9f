#include "net.h"

#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <ctime>

#include "nutgate/base/verify.h"

namespace nutgate::http {

Monotonic::time_point about_now() {
    timespec time{};
    VERIFY(clock_gettime(CLOCK_MONOTONIC_COARSE, &time) == 0);
    return Monotonic::time_point{std::chrono::seconds{time.tv_sec} +
                                 std::chrono::nanoseconds{time.tv_nsec}};
}

Deadlines::Deadlines(boost::asio::io_context& io) : service{io}, timer_{io.get_executor()} {}

void Deadlines::shutdown() noexcept {}

void Deadlines::arm(Monotonic::time_point at) {
    armed_ = at;
    timer_.expires_at(at);
    timer_.async_wait([this](const NetError& error) {
        if (!error) sweep();
    });
}

void Deadlines::sweep() {
    const auto now = Monotonic::now();
    auto next = Monotonic::time_point::max();
    armed_ = next;
    for (Deadline* deadline : all_) {
        if (deadline->at_ <= now) {
            deadline->clear();
            deadline->pass_();
        }
        next = std::min(next, deadline->at_);
    }
    if (next != Monotonic::time_point::max() && armed_ > next) {
        arm(std::max(next, now + kGranularity));
    }
}

Deadline::Deadline(boost::asio::io_context& io, std::function<void()> pass)
    : deadlines_{boost::asio::use_service<Deadlines>(io)}, pass_{std::move(pass)} {
    place_ = deadlines_.all_.insert(deadlines_.all_.end(), this);
}

Deadline::~Deadline() { deadlines_.all_.erase(place_); }

void Deadline::set(Milliseconds from_now) { set_at(about_now() + kTick + from_now); }

void Deadline::set_at(Monotonic::time_point at) {
    at_ = at;
    // A timer that goes off too early finds the deadline moved, and is set again.
    if (at < deadlines_.armed_) deadlines_.arm(at);
}

Task<void> Event::wait() {
    timer_.expires_at(Monotonic::time_point::max());
    co_await timer_.async_wait(as_result);
}

Task<void> after(Milliseconds delay) {
    const auto executor = co_await boost::asio::this_coro::executor;
    Timer timer{executor};
    timer.expires_after(delay);
    co_await timer.async_wait(use_task);
}

}  // namespace nutgate::http
