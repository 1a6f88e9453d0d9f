#include "exchanges.h"

#include <cerrno>
#include <cstdio>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace nutgate::bench {

Exchanges::Exchanges(const Arguments& arguments)
    : port_{arguments.integer("--port", 0)},
      stream_{arguments.text("--stream") == "yes"},
      expect_status_{arguments.integer("--expect-status", 200)},
      must_contain_{arguments.text("--must-contain")},
      request_{arguments},
      poll_{::epoll_create1(0)},
      connections_(static_cast<std::size_t>(arguments.integer("--connections", 1))) {
    // A timer that is due fires then, and not with others up to 50 µs later.
    ::prctl(PR_SET_TIMERSLACK, 1UL);
}

bool Exchanges::open(std::size_t index) {
    Connection& connection = connections_[index];
    connection.fd = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port_));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(connection.fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
        std::perror("bench: connect");
        return false;
    }
    const int on = 1;
    ::setsockopt(connection.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    connection.writing = false;
    watch(index, EPOLL_CTL_ADD, false);
    return true;
}

void Exchanges::begin(std::size_t index) {
    Connection& connection = connections_[index];
    connection.reader.reset();
    connection.body.reset();
    connection.good = false;
    connection.busy = true;
    connection.key = request_.next_key();
    connection.sent = 0;
    connection.began = SteadyClock::now();
    ++busy_;
    push(index);  // If the connection is broken, its end is an event, and serve() says so.
}

bool Exchanges::push(std::size_t index) {
    Connection& connection = connections_[index];
    if (!connection.busy || request_.whole(connection.key, connection.sent)) return true;
    if (!request_.send(connection.fd, connection.key, connection.sent)) return false;
    const bool more = !request_.whole(connection.key, connection.sent);
    if (more != connection.writing) watch(index, EPOLL_CTL_MOD, more);
    return true;
}

std::optional<std::string_view> Exchanges::pull(const Connection& connection) {
    const ssize_t n = ::recv(connection.fd, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return std::string_view{};
    if (n <= 0) return std::nullopt;
    return std::string_view{buffer_.data(), static_cast<std::size_t>(n)};
}

void Exchanges::close(std::size_t index) {
    Connection& connection = connections_[index];
    ::close(connection.fd);
    connection.fd = -1;
    if (connection.busy) --busy_;
    connection.busy = false;
}

Exchanges::Outcome Exchanges::broken(std::size_t index) {
    close(index);
    return Outcome::Broken;
}

// What comes between two requests is the end of the connection.
Exchanges::Outcome Exchanges::idle_ended(std::size_t index) {
    close(index);
    if (!open(index)) return Outcome::Broken;
    ++reopened_;
    return Outcome::Underway;
}

Exchanges::Outcome Exchanges::ended(std::size_t index) {
    Connection& connection = connections_[index];
    connection.busy = false;
    --busy_;
    if (connection.reader.closes() && idle_ended(index) == Outcome::Broken) return Outcome::Broken;
    if (connection.reader.status() == expect_status_ && connection.good) return Outcome::Answered;
    if (!told_) {
        std::fprintf(stderr, "bench: status %d: %.300s\n", connection.reader.status(),
                     connection.body.text().c_str());
    }
    told_ = true;
    return Outcome::Wrong;
}

void Exchanges::watch(std::size_t index, int operation, bool writing) {
    Connection& connection = connections_[index];
    connection.writing = writing;
    epoll_event event{};
    event.events = EPOLLIN | (writing ? std::uint32_t{EPOLLOUT} : 0U);
    event.data.u64 = index;
    ::epoll_ctl(poll_, operation, connection.fd, &event);
}

int Exchanges::poll_until(Instant due) {
    constexpr std::int64_t kSecond = 1'000'000'000;
    const auto left =
        std::chrono::duration_cast<std::chrono::nanoseconds>(due - SteadyClock::now());
    const std::int64_t count = std::clamp<std::int64_t>(left.count(), 0, kSecond);
    const timespec time{static_cast<time_t>(count / kSecond), static_cast<long>(count % kSecond)};
    const int ready =
        ::epoll_pwait2(poll_, events_.data(), static_cast<int>(events_.size()), &time, nullptr);
    if (ready > 0) heard_ = SteadyClock::now();
    return std::max(ready, 0);
}

}  // namespace nutgate::bench
