#include <arpa/inet.h>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "nutgate/base/log.h"
#include "nutgate/http/client.h"
#include "nutgate/http/upstream_client.h"
#include "support/raw_socket.h"
#include "support/run_task.h"

namespace {

using namespace nutgate;
using namespace nutgate::http;

// A peer that reads a request's head, sends what it was told to in pieces, and closes.
class Peer {
public:
    Peer() {
        listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        auto* const raw = reinterpret_cast<sockaddr*>(&address);
        VERIFY(::bind(listener_, raw, sizeof address) == 0);
        VERIFY(::listen(listener_, 16) == 0);
        socklen_t length = sizeof address;
        VERIFY(::getsockname(listener_, raw, &length) == 0);
        port_ = ntohs(address.sin_port);
        thread_ = std::jthread{[this] { serve(); }};
    }
    ~Peer() {
        ::shutdown(listener_, SHUT_RDWR);
        thread_.join();
        ::close(listener_);
    }
    Peer(const Peer&) = delete;
    Peer& operator=(const Peer&) = delete;

    std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
    // Only between two calls.
    void answer_with(std::string_view bytes, std::size_t step) {
        const std::lock_guard lock{mutex_};
        bytes_ = bytes;
        step_ = step;
    }

private:
    void serve() {
        for (;;) {
            const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
            if (fd < 0) return;
            test::RawSocket socket{fd};
            const int now = 1;
            ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &now, sizeof now);
            socket.read_until("\r\n\r\n");
            const std::lock_guard lock{mutex_};
            for (std::size_t at = 0; at < bytes_.size(); at += step_) {
                if (!socket.send(std::string_view{bytes_}.substr(at, step_))) break;
            }
            // Whoever has read enough closes first; a reset would take the rest from whoever has
            // not.
            socket.finish_sending();
            socket.read_to_end();
        }
    }

    int listener_ = -1;
    std::uint16_t port_ = 0;
    std::mutex mutex_;
    std::string bytes_;
    std::size_t step_ = 1;
    std::jthread thread_;
};

struct Outcome {
    int status = 0;
    std::string body;
    bool is_whole = false;

    friend bool operator==(const Outcome&, const Outcome&) = default;
};

Task<Outcome> ask(UpstreamClient& client) {
    Outcome outcome;
    UpstreamRequest request;
    request.method = Method::Get;
    request.target = "/";
    const auto answer = co_await client.send(std::move(request));
    if (!answer) co_return outcome;
    outcome.status = (*answer)->status();
    for (const auto& [name, value] : (*answer)->headers().entries()) {
        VERIFY(is_header_name(name));
        VERIFY(is_header_value(value));
    }
    for (;;) {
        const auto piece = co_await (*answer)->read();
        if (!piece) co_return outcome;
        outcome.is_whole = piece->empty();
        if (outcome.is_whole) co_return outcome;
        outcome.body += *piece;
    }
}

}  // namespace

// What an upstream or a mint answers is the same answer however it is cut, or no answer; the
// blocking client takes nothing beyond its bound. The first byte says where to cut.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0 || size > 4096) return 0;
    log::set_level(log::Level::Error);
    static Peer peer;
    static metrics::Registry metrics;
    static const auto upstream = [] {
        UpstreamClient::Options options;
        options.base = *parse_url(peer.url());
        options.idle_per_thread_max = 0;
        return make_upstream_client(std::move(options), metrics);
    }();
    const std::string_view bytes{reinterpret_cast<const char*>(data) + 1, size - 1};

    static test::Loop loop;
    peer.answer_with(bytes, size);
    const Outcome whole = loop.run(ask(*upstream));
    peer.answer_with(bytes, data[0] + std::size_t{1});
    const Outcome cut = loop.run(ask(*upstream));
    VERIFY(whole == cut);
    VERIFY(whole.body.size() <= bytes.size());

    // One of its own, which closes its connection when it goes: the peer waits for that.
    const auto client = make_client({.connections_per_host_max = 1});
    ClientRequest request;
    request.url = peer.url() + "/";
    request.response_bytes_max = 1000;
    const auto answer = client->call(request);
    if (answer) VERIFY(answer->body.size() <= request.response_bytes_max);
    return 0;
}
