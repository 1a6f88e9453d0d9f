// A TCP server whose script says, byte for byte, what each connection is answered: for peers that
// lie, cut, drip and hang.
#pragma once

#include <arpa/inet.h>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <netinet/in.h>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <utility>

#include "nutgate/base/verify.h"
#include "support/raw_socket.h"

namespace nutgate::test {

class RawServer {
public:
    // Called on a thread of its own for each connection, numbered from 0, which is closed when it
    // returns. It should end by itself: reads of RawSocket end when the other side closes.
    using Script = std::function<void(RawSocket& socket, std::size_t number)>;

    explicit RawServer(Script script) : script_{std::move(script)} {
        listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        auto* const raw = reinterpret_cast<sockaddr*>(&address);
        VERIFY(::bind(listener_, raw, sizeof address) == 0);
        VERIFY(::listen(listener_, 128) == 0);
        socklen_t size = sizeof address;
        VERIFY(::getsockname(listener_, raw, &size) == 0);
        port_ = ntohs(address.sin_port);
        acceptor_ = std::jthread{[this] { accept_all(); }};
    }
    ~RawServer() {
        ::shutdown(listener_, SHUT_RDWR);
        acceptor_.join();
        ::close(listener_);
        const std::lock_guard lock{mutex_};
        for (const int fd : open_) ::shutdown(fd, SHUT_RDWR);
    }  // And then the scripts' threads are joined.
    RawServer(const RawServer&) = delete;
    RawServer& operator=(const RawServer&) = delete;

    std::uint16_t port() const { return port_; }
    std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
    std::size_t accepted() const { return accepted_; }

    // A request as it came: its head, and a body of its Content-Length.
    static std::string read_request(RawSocket& socket) { return socket.read_answer(); }

    // A whole answer with its length.
    static std::string answer(int status, const std::string& body) {
        return "HTTP/1.1 " + std::to_string(status) +
               " X\r\nContent-Type: application/json\r\nContent-Length: " +
               std::to_string(body.size()) + "\r\n\r\n" + body;
    }

private:
    void accept_all() {
        for (;;) {
            const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
            if (fd < 0) return;
            const std::size_t number = accepted_++;
            const std::lock_guard lock{mutex_};
            open_.push_back(fd);
            threads_.emplace_back([this, fd, number] {
                RawSocket socket{fd};
                script_(socket, number);
                const std::lock_guard closing{mutex_};
                open_.remove(fd);
                socket.close();
            });
        }
    }

    Script script_;
    int listener_ = -1;
    std::uint16_t port_ = 0;
    std::atomic<std::size_t> accepted_ = 0;
    std::mutex mutex_;
    std::list<int> open_;              // Guarded by mutex_.
    std::list<std::jthread> threads_;  // Grown by acceptor_ only, under mutex_.
    std::jthread acceptor_;
};

}  // namespace nutgate::test
