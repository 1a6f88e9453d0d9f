// A TCP connection as bytes, for saying to a server what no library would say. Blocking, with a
// limit on every wait; a wait that reaches it answers with what there is, so a test fails on its
// own CHECK.
#pragma once

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

#include "nutgate/base/verify.h"

namespace nutgate::test {

class RawSocket {
public:
    static constexpr std::chrono::milliseconds kPatience{20'000};

    static RawSocket connect(std::uint16_t port, int receive_buffer = 0) {
        RawSocket made{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
        if (receive_buffer > 0) {
            ::setsockopt(made.fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
        }
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        VERIFY(::connect(made.fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) ==
               0);
        return made;
    }

    explicit RawSocket(int fd) : fd_{fd} {}
    RawSocket(RawSocket&& other) noexcept
        : fd_{std::exchange(other.fd_, -1)}, unread_{std::move(other.unread_)} {}
    RawSocket& operator=(RawSocket&& other) noexcept {
        close();
        fd_ = std::exchange(other.fd_, -1);
        unread_ = std::move(other.unread_);
        return *this;
    }
    ~RawSocket() { close(); }

    bool send(std::string_view bytes) {
        while (!bytes.empty()) {
            const auto n = without_interruption(
                [&] { return ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL); });
            if (n <= 0) return false;
            bytes.remove_prefix(static_cast<std::size_t>(n));
        }
        return true;
    }

    // All up to and with `mark`; less if the other side closes or nothing comes for long.
    std::string read_until(std::string_view mark, std::chrono::milliseconds patience = kPatience) {
        for (;;) {
            if (const auto at = unread_.find(mark); at != std::string::npos) {
                return take(at + mark.size());
            }
            if (!receive(patience)) return take(unread_.size());
        }
    }

    std::string read_bytes(std::size_t n, std::chrono::milliseconds patience = kPatience) {
        while (unread_.size() < n && receive(patience)) {
        }
        return take(std::min(n, unread_.size()));
    }

    // One answer with its Content-Length, or chunked (left as it is on the wire).
    std::string read_answer() {
        std::string answer = read_until("\r\n\r\n");
        std::string lower = answer;
        std::transform(lower.begin(), lower.end(), lower.begin(),
                       [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
        constexpr std::string_view kLength = "content-length: ";
        if (const auto at = lower.find(kLength); at != std::string::npos) {
            const auto size = std::strtoul(lower.c_str() + at + kLength.size(), nullptr, 10);
            return answer + read_bytes(size);
        }
        if (lower.find("transfer-encoding: chunked") != std::string::npos) {
            answer += read_until("0\r\n\r\n");
        }
        return answer;
    }

    // Until the other side closes. `was_closed` tells that it did.
    std::string read_to_end(std::chrono::milliseconds patience = kPatience) {
        while (receive(patience)) {
        }
        return take(unread_.size());
    }
    bool was_closed() const { return was_closed_; }
    bool was_reset() const { return was_reset_; }
    // Whether it is closed, or will be before the patience ends, without another byte.
    bool ends(std::chrono::milliseconds patience = kPatience) {
        return read_to_end(patience).empty() && was_closed_;
    }

    void finish_sending() { ::shutdown(fd_, SHUT_WR); }
    void reset() {
        const linger now{1, 0};
        ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        close();
    }
    void close() {
        if (fd_ >= 0) ::close(std::exchange(fd_, -1));
    }
    int fd() const { return fd_; }

private:
    template <class Call>
    static auto without_interruption(Call call) -> decltype(call()) {
        auto result = call();
        while (result < 0 && errno == EINTR) result = call();
        return result;
    }

    std::string take(std::size_t n) {
        std::string taken = unread_.substr(0, n);
        unread_.erase(0, n);
        return taken;
    }

    bool receive(std::chrono::milliseconds patience) {
        pollfd waiting{fd_, POLLIN, 0};
        const int patience_ms = static_cast<int>(patience.count());
        // A fuzzer's own timer interrupts, too.
        if (without_interruption([&] { return ::poll(&waiting, 1, patience_ms); }) <= 0) {
            return false;
        }
        std::array<char, 65536> bytes;
        const auto n =
            without_interruption([&] { return ::recv(fd_, bytes.data(), bytes.size(), 0); });
        if (n <= 0) {
            was_closed_ = true;
            was_reset_ = n < 0 && errno == ECONNRESET;
            return false;
        }
        unread_.append(bytes.data(), static_cast<std::size_t>(n));
        return true;
    }

    int fd_ = -1;
    std::string unread_;
    bool was_closed_ = false;
    bool was_reset_ = false;
};

}  // namespace nutgate::test
