#include "client_watchdog.h"

#include <algorithm>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

namespace nutgate::http {
namespace {

// As the kernel counts them, read by us or not. Zero where it does not say.
std::uint64_t bytes_received(int socket) {
    struct tcp_info info {};
    socklen_t size = sizeof info;
    if (socket < 0 || ::getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return 0;
    return info.tcpi_bytes_received;
}

}  // namespace

ClientWatchdog::Line::~Line() {
    if (socket_ >= 0) ::close(socket_);
}

ClientWatchdog::ClientWatchdog()
    : thread_{[this](std::stop_token stop) {
          ::pthread_setname_np(::pthread_self(), "http-watchdog");
          run(std::move(stop));
      }} {}

void ClientWatchdog::connected(Line& line, int socket) {
    const int second = ::fcntl(socket, F_DUPFD_CLOEXEC, 0);
    const std::lock_guard lock{mutex_};
    if (line.socket_ >= 0) ::close(line.socket_);
    // What the old socket had received is not the new one's.
    line.bytes_end_ -= std::min(line.bytes_end_, line.bytes_before_);
    line.bytes_before_ = 0;
    line.socket_ = second;
    if (line.cut_ != Cut::None && second >= 0) ::shutdown(second, SHUT_RDWR);
}

void ClientWatchdog::watch(Line& line, Time deadline, std::uint64_t bytes_max) {
    {
        const std::lock_guard lock{mutex_};
        line.cut_ = Cut::None;
        line.bytes_before_ = bytes_received(line.socket_);
        line.bytes_end_ = line.bytes_before_ + bytes_max;
        watched_.emplace(deadline, &line);
    }
    changed_.notify_all();
}

ClientWatchdog::Cut ClientWatchdog::unwatch(Line& line) {
    const std::lock_guard lock{mutex_};
    std::erase_if(watched_, [&line](const auto& entry) { return entry.second == &line; });
    return std::exchange(line.cut_, Cut::None);
}

void ClientWatchdog::cut(Line& line, Cut why) {
    line.cut_ = why;
    if (line.socket_ >= 0) ::shutdown(line.socket_, SHUT_RDWR);
}

void ClientWatchdog::cut_overfed() {
    std::erase_if(watched_, [](const auto& entry) {
        Line& line = *entry.second;
        const bool is_overfed = bytes_received(line.socket_) > line.bytes_end_;
        if (is_overfed) cut(line, Cut::TooMuch);
        return is_overfed;
    });
}

void ClientWatchdog::run(std::stop_token stop) {
    std::unique_lock lock{mutex_};
    while (!stop.stop_requested()) {
        if (watched_.empty()) {
            changed_.wait(lock, stop, [this] { return !watched_.empty(); });
            continue;
        }
        const auto first = watched_.begin();
        const auto now = std::chrono::steady_clock::now();
        if (const auto due = std::min(first->first, now + kLook); due > now) {
            // Until then, or until something earlier is watched.
            changed_.wait_until(lock, stop, due, [this, due] {
                return watched_.empty() || watched_.begin()->first < due;
            });
            cut_overfed();
            continue;
        }
        Line& line = *first->second;
        watched_.erase(first);
        cut(line, Cut::Late);
    }
}

}  // namespace nutgate::http
