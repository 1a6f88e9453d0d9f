// An OpenAI-compatible upstream that costs as little as one can: one thread, epoll, fixed answers.
// A request with "stream":true gets --chunks frames, one each --interval-us, paced from the first
// by the clock, so that a slow reader shows as lateness and never as a longer stream.
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <queue>
#include <string>
#include <string_view>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

#include "answer_reader.h"

namespace nutgate::bench {
namespace {

using SteadyClock = std::chrono::steady_clock;
using Instant = SteadyClock::time_point;

struct Options {
    std::uint16_t port = 0;
    int chunks = 64;
    std::chrono::microseconds interval{20'000};
};

// The usage that every answer reports; scripts/bench knows these two numbers.
constexpr std::string_view kUsage =
    R"("usage":{"prompt_tokens":13,"completion_tokens":64,"total_tokens":77})";

std::string json_answer() {
    std::string body =
        R"({"id":"chatcmpl-bench","object":"chat.completion","created":1700000000,"model":"bench",)"
        R"("choices":[{"index":0,"message":{"role":"assistant","content":")";
    for (int i = 0; i < 64; ++i) body += "token ";
    body += R"("},"finish_reason":"stop"}],)" + std::string{kUsage} + "}";
    return "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: " +
           std::to_string(body.size()) + "\r\n\r\n" + body;
}

std::string chunk_of(std::string_view data) {
    std::array<char, 16> size{};
    const int digits = std::snprintf(size.data(), size.size(), "%zx\r\n", data.size());
    return std::string{size.data(), static_cast<std::size_t>(digits)} + std::string{data} + "\r\n";
}

std::string event_of(std::string_view fields) {
    return "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\","
           "\"created\":1700000000,\"model\":\"bench\"," +
           std::string{fields} + "}\n\n";
}

struct Connection {
    int fd = -1;
    std::uint64_t generation = 0;
    std::string in;
    std::string out;
    int frames_sent = 0;
    int frames_left = 0;
    Instant stream_began;
};

struct Due {
    Instant when;
    int fd;
    std::uint64_t generation;
    bool operator<(const Due& other) const { return when > other.when; }  // Earliest on top.
};

class Upstream {
public:
    explicit Upstream(const Options& options)
        : options_{options},
          json_{json_answer()},
          sse_head_{
              "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
              "transfer-encoding: chunked\r\n\r\n"},
          frame_{chunk_of(event_of(
              R"("choices":[{"index":0,"delta":{"content":"token "},"finish_reason":null}])"))},
          last_{chunk_of(event_of(R"("choices":[],)" + std::string{kUsage}) + "data: [DONE]\n\n") +
                "0\r\n\r\n"} {}

    int run() {
        if (!listen_on_loopback()) {
            std::perror("bench_upstream");
            return 1;
        }
        std::array<epoll_event, 256> events{};
        while (true) {
            const int count = wait(events);
            if (count < 0 && errno != EINTR) return 1;
            for (int i = 0; i < count; ++i) {
                const epoll_event& event = events[static_cast<std::size_t>(i)];
                if (event.data.fd == listener_) {
                    accept_all();
                } else {
                    serve(event.data.fd, event.events);
                }
            }
            send_what_is_due();
        }
    }

private:
    bool listen_on_loopback() {
        listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        poll_ = ::epoll_create1(0);
        const int on = 1;
        ::setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(options_.port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0) return false;
        if (::listen(listener_, 4096) != 0) return false;
        ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
        watch(listener_, EPOLL_CTL_ADD, EPOLLIN);
        std::printf("ready %d\n", ntohs(address.sin_port));
        return std::fflush(stdout) == 0;
    }

    void watch(int fd, int operation, std::uint32_t what) const {
        epoll_event event{};
        event.events = what;
        event.data.fd = fd;
        ::epoll_ctl(poll_, operation, fd, &event);
    }

    int wait(std::array<epoll_event, 256>& events) const {
        if (due_.empty()) return ::epoll_wait(poll_, events.data(), 256, -1);
        const auto left = std::max(due_.top().when - SteadyClock::now(), SteadyClock::duration{0});
        const timespec time{static_cast<time_t>(left.count() / 1'000'000'000),
                            static_cast<long>(left.count() % 1'000'000'000)};
        return ::epoll_pwait2(poll_, events.data(), 256, &time, nullptr);
    }

    void accept_all() {
        while (true) {
            const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK);
            if (fd < 0) return;
            const int on = 1;
            ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            const auto index = static_cast<std::size_t>(fd);
            if (connections_.size() <= index) connections_.resize(index + 1);
            connections_[index] = std::make_unique<Connection>();
            connections_[index]->fd = fd;
            connections_[index]->generation = ++generations_;
            watch(fd, EPOLL_CTL_ADD, EPOLLIN);
        }
    }

    void close(Connection& connection) {
        ::close(connection.fd);
        connections_[static_cast<std::size_t>(connection.fd)].reset();
    }

    void serve(int fd, std::uint32_t what) {
        Connection* connection = connections_[static_cast<std::size_t>(fd)].get();
        if (connection == nullptr) return;
        if ((what & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
            std::array<char, 65536> buffer;
            const ssize_t n = ::read(fd, buffer.data(), buffer.size());
            if (n == 0 || (n < 0 && errno != EAGAIN)) return close(*connection);
            if (n > 0) connection->in.append(buffer.data(), static_cast<std::size_t>(n));
            answer_what_is_whole(*connection);
        }
        write(*connection);
    }

    void answer_what_is_whole(Connection& connection) {
        while (connection.frames_left == 0) {
            const std::string_view in = connection.in;
            const std::size_t head = in.find("\r\n\r\n");
            if (head == std::string_view::npos) return;
            const std::string_view length = header_of(in.substr(0, head + 2), "content-length");
            std::size_t body = 0;
            std::from_chars(length.data(), length.data() + length.size(), body);
            if (in.size() < head + 4 + body) return;
            if (in.substr(head + 4, body).find("\"stream\":true") != std::string_view::npos) {
                begin_stream(connection);
            } else {
                connection.out += json_;
            }
            connection.in.erase(0, head + 4 + body);
        }
    }

    void begin_stream(Connection& connection) {
        connection.out += sse_head_;
        connection.frames_left = options_.chunks;
        connection.frames_sent = 0;
        connection.stream_began = SteadyClock::now();
        next_frame(connection);
    }

    void next_frame(Connection& connection) {
        connection.out += frame_;
        ++connection.frames_sent;
        if (--connection.frames_left == 0) {
            connection.out += last_;
        } else {
            const Instant when =
                connection.stream_began + connection.frames_sent * options_.interval;
            due_.push({when, connection.fd, connection.generation});
        }
    }

    void send_what_is_due() {
        const Instant now = SteadyClock::now();
        while (!due_.empty() && due_.top().when <= now) {
            const Due due = due_.top();
            due_.pop();
            Connection* connection = connections_[static_cast<std::size_t>(due.fd)].get();
            if (connection == nullptr || connection->generation != due.generation) continue;
            next_frame(*connection);
            if (connection->frames_left == 0) answer_what_is_whole(*connection);
            write(*connection);
        }
    }

    void write(Connection& connection) {
        if (connection.out.empty()) return;
        const ssize_t n =
            ::send(connection.fd, connection.out.data(), connection.out.size(), MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN) return close(connection);
        if (n > 0) connection.out.erase(0, static_cast<std::size_t>(n));
        const auto writable = connection.out.empty() ? 0U : std::uint32_t{EPOLLOUT};
        watch(connection.fd, EPOLL_CTL_MOD, EPOLLIN | writable);
    }

    Options options_;
    std::string json_;
    std::string sse_head_;
    std::string frame_;
    std::string last_;
    int listener_ = -1;
    int poll_ = -1;
    std::uint64_t generations_ = 0;
    std::vector<std::unique_ptr<Connection>> connections_;  // By descriptor.
    std::priority_queue<Due> due_;
};

}  // namespace
}  // namespace nutgate::bench

int main(int argc, char** argv) {
    nutgate::bench::Options options;
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string_view name = argv[i];
        const int value = std::atoi(argv[i + 1]);
        if (name == "--port") options.port = static_cast<std::uint16_t>(value);
        if (name == "--chunks") options.chunks = value;
        if (name == "--interval-us") options.interval = std::chrono::microseconds{value};
    }
    return nutgate::bench::Upstream{options}.run();
}
