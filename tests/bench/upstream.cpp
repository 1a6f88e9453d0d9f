// An OpenAI-compatible upstream that costs as little as one can: one thread, epoll, answers that
// are ready before they are asked for. A request with "stream":true gets frames, one each interval,
// paced from the first by the clock, so that a slow reader shows as lateness and never as a longer
// stream. Each frame holds the time at which it was due, in microseconds of the steady clock.
//
// A request chooses by a text in its body, "bench:frames=64,interval_us=20000,answer_bytes=384", of
// which any part may be missing. `frames` is also what the answer says was generated.
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <queue>
#include <string>
#include <string_view>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

#include "answer_reader.h"

namespace nutgate::bench {
namespace {

using SteadyClock = std::chrono::steady_clock;
using Instant = SteadyClock::time_point;

// What a request asks for.
struct Order {
    int frames = 64;
    int interval_us = 20'000;
    int answer_bytes = 384;
    auto operator<=>(const Order&) const = default;
};

// Of every answer; scripts/bench knows it. The other half of the usage is the number of frames.
constexpr int kPromptTokens = 13;

void read_number(std::string_view text, std::string_view name, int& number) {
    const std::size_t at = text.find(name);
    if (at == std::string_view::npos) return;
    std::from_chars(text.data() + at + name.size(), text.data() + text.size(), number);
}

Order order_of(std::string_view body) {
    constexpr std::string_view kMark = "bench:";
    constexpr std::size_t kWordsMax = 100;  // The text is at most that long.
    constexpr std::size_t kHeadMax = 2000;  // And it stands at the beginning of the prompt.
    Order order;
    const std::size_t at = body.substr(0, kHeadMax).find(kMark);
    if (at == std::string_view::npos) return order;
    const std::string_view words = body.substr(at, kWordsMax);
    read_number(words, "frames=", order.frames);
    read_number(words, "interval_us=", order.interval_us);
    read_number(words, "answer_bytes=", order.answer_bytes);
    return order;
}

std::string usage_of(const Order& order) {
    return "\"usage\":{\"prompt_tokens\":" + std::to_string(kPromptTokens) +
           ",\"completion_tokens\":" + std::to_string(order.frames) +
           ",\"total_tokens\":" + std::to_string(kPromptTokens + order.frames) + "}";
}

std::string json_answer(const Order& order) {
    constexpr std::string_view kWord = "token ";
    std::string body =
        R"({"id":"chatcmpl-bench","object":"chat.completion","created":1700000000,"model":"bench",)"
        R"("choices":[{"index":0,"message":{"role":"assistant","content":")";
    for (int left = order.answer_bytes; left > 0; left -= static_cast<int>(kWord.size())) {
        body += kWord;
    }
    body += R"("},"finish_reason":"stop"}],)" + usage_of(order) + "}";
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

std::string last_chunks(const Order& order) {
    return chunk_of(event_of(R"("choices":[],)" + usage_of(order)) + "data: [DONE]\n\n") +
           "0\r\n\r\n";
}

// What a frame has where its due time goes: as many digits.
constexpr std::string_view kDueDigits = "@0000000000000000";

struct Connection {
    int fd = -1;
    std::uint64_t generation = 0;
    std::string in;
    std::string out;
    bool writing = false;  // Watched for room to write, too.
    Order order;
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
    explicit Upstream(std::uint16_t port)
        : port_{port},
          sse_head_{
              "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
              "transfer-encoding: chunked\r\n\r\n"},
          frame_{chunk_of(event_of(R"("choices":[{"index":0,"delta":{"content":")" +
                                   std::string{kDueDigits} + R"( "},"finish_reason":null}])"))},
          due_at_{frame_.find(kDueDigits) + 1} {
        // A timer that is due fires then, and not with others up to 50 µs later.
        ::prctl(PR_SET_TIMERSLACK, 1UL);
    }

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
        address.sin_port = htons(port_);
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
            answer(connection, in.substr(head + 4, body));
            connection.in.erase(0, head + 4 + body);
        }
    }

    void answer(Connection& connection, std::string_view body) {
        connection.order = order_of(body);
        if (body.find("\"stream\":true") != std::string_view::npos ||
            body.find("\"stream\": true") != std::string_view::npos) {
            begin_stream(connection);
            return;
        }
        std::string& json = json_[connection.order];
        if (json.empty()) json = json_answer(connection.order);
        connection.out += json;
    }

    void begin_stream(Connection& connection) {
        connection.out += sse_head_;
        connection.frames_left = connection.order.frames;
        connection.frames_sent = 0;
        connection.stream_began = SteadyClock::now();
        next_frame(connection, connection.stream_began);
    }

    void next_frame(Connection& connection, Instant due) {
        add_frame(connection.out, due);
        ++connection.frames_sent;
        if (--connection.frames_left > 0) {
            const std::chrono::microseconds interval{connection.order.interval_us};
            const Instant when = connection.stream_began + connection.frames_sent * interval;
            due_.push({when, connection.fd, connection.generation});
            return;
        }
        std::string& last = last_[connection.order];
        if (last.empty()) last = last_chunks(connection.order);
        connection.out += last;
    }

    void add_frame(std::string& out, Instant due) const {
        const std::size_t begin = out.size();
        out += frame_;
        auto count =
            std::chrono::duration_cast<std::chrono::microseconds>(due.time_since_epoch()).count();
        for (std::size_t digit = kDueDigits.size() - 1; digit-- > 0; count /= 10) {
            out[begin + due_at_ + digit] = static_cast<char>('0' + count % 10);
        }
    }

    void send_what_is_due() {
        const Instant now = SteadyClock::now();
        while (!due_.empty() && due_.top().when <= now) {
            const Due due = due_.top();
            due_.pop();
            Connection* connection = connections_[static_cast<std::size_t>(due.fd)].get();
            if (connection == nullptr || connection->generation != due.generation) continue;
            next_frame(*connection, due.when);
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
        const bool more = !connection.out.empty();
        if (more == connection.writing) return;
        connection.writing = more;
        watch(connection.fd, EPOLL_CTL_MOD, EPOLLIN | (more ? std::uint32_t{EPOLLOUT} : 0U));
    }

    std::uint16_t port_;
    std::map<Order, std::string> json_;
    std::map<Order, std::string> last_;
    std::string sse_head_;
    std::string frame_;
    std::size_t due_at_;  // Where in the frame the digits of its due time begin.
    int listener_ = -1;
    int poll_ = -1;
    std::uint64_t generations_ = 0;
    std::vector<std::unique_ptr<Connection>> connections_;  // By descriptor.
    std::priority_queue<Due> due_;
};

}  // namespace
}  // namespace nutgate::bench

int main(int argc, char** argv) {
    const bool given = argc == 3 && std::string_view{argv[1]} == "--port";
    return nutgate::bench::Upstream{static_cast<std::uint16_t>(given ? std::atoi(argv[2]) : 0)}
        .run();
}
