#include "client_watchdog.h"

#include <algorithm>
#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

namespace nutgate::http {

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
    line.socket_ = second;
    if (line.is_cut_ && second >= 0) ::shutdown(second, SHUT_RDWR);
}

void ClientWatchdog::watch(Line& line, Time deadline) {
    {
        const std::lock_guard lock{mutex_};
        line.is_cut_ = false;
        watched_.emplace(deadline, &line);
    }
    changed_.notify_all();
}

bool ClientWatchdog::unwatch(Line& line) {
    const std::lock_guard lock{mutex_};
    std::erase_if(watched_, [&line](const auto& entry) { return entry.second == &line; });
    return std::exchange(line.is_cut_, false);
}

void ClientWatchdog::run(std::stop_token stop) {
    std::unique_lock lock{mutex_};
    while (!stop.stop_requested()) {
        if (watched_.empty()) {
            changed_.wait(lock, stop, [this] { return !watched_.empty(); });
            continue;
        }
        const auto first = watched_.begin();
        if (const auto due = first->first; due > std::chrono::steady_clock::now()) {
            // Until then, or until something earlier is watched.
            changed_.wait_until(lock, stop, due, [this, due] {
                return watched_.empty() || watched_.begin()->first < due;
            });
            continue;
        }
        Line& line = *first->second;
        watched_.erase(first);
        line.is_cut_ = true;
        if (line.socket_ >= 0) ::shutdown(line.socket_, SHUT_RDWR);
    }
}

}  // namespace nutgate::http
