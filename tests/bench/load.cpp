// A closed-loop load generator: N connections, each sends the same POST again as soon as its answer
// is whole. Prints one JSON object: how many were answered, how fast, and, for streams, how late.
//
// A closed loop says how much a server can do and what one request costs. It does not say what a
// client would see at a given rate of arrivals, since it waits with the server.
#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <optional>
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
using Microseconds = std::chrono::microseconds;

// Nothing may take longer than this: whatever is then unanswered is an error.
constexpr std::chrono::seconds kPatience{30};

struct Options {
    std::string host = "127.0.0.1";
    std::uint16_t port = 0;
    std::string path = "/v1/chat/completions";
    std::string authorization;
    std::string body = "{}";
    int connections = 1;
    double seconds = 3;
    bool stream = false;
    Microseconds interval{20'000};  // Of the upstream's frames.
    std::string must_contain;       // What a good answer has in its body.
};

struct Results {
    std::uint64_t answered = 0;
    std::uint64_t errors = 0;
    std::uint64_t frames = 0;
    std::uint64_t stalls = 0;  // Frames that came a whole interval or more after they were due.
    std::uint64_t streams_stalled = 0;
    std::vector<std::uint32_t> latency_us;
    std::vector<std::uint32_t> first_us;     // Streams: request to first frame.
    std::vector<std::uint32_t> lateness_us;  // Streams: each frame against its due time.
};

struct Connection {
    int fd = -1;
    bool busy = false;
    std::size_t sent = 0;
    Instant began;
    AnswerReader reader;
    std::string text;  // The body so far; of a stream, what no event has used yet.
    bool good = false;
    bool stalled = false;
    int frames = 0;
    Instant first;
};

std::uint32_t microseconds_between(Instant from, Instant to) {
    const auto n = std::chrono::duration_cast<Microseconds>(to - from).count();
    return static_cast<std::uint32_t>(std::max<std::int64_t>(n, 0));
}

class Load {
public:
    explicit Load(const Options& options) : options_{options} {
        request_ = "POST " + options_.path + " HTTP/1.1\r\nhost: " + options_.host +
                   "\r\ncontent-type: application/json\r\n";
        if (!options_.authorization.empty()) {
            request_ += "authorization: " + options_.authorization + "\r\n";
        }
        request_ +=
            "content-length: " + std::to_string(options_.body.size()) + "\r\n\r\n" + options_.body;
    }

    int run() {
        poll_ = ::epoll_create1(0);
        connections_.resize(static_cast<std::size_t>(options_.connections));
        began_ = SteadyClock::now();
        stop_ = began_ + std::chrono::duration_cast<SteadyClock::duration>(
                             std::chrono::duration<double>{options_.seconds});
        for (std::size_t i = 0; i < connections_.size(); ++i) {
            if (!connect(i)) return 1;
            begin(i);
        }
        std::array<epoll_event, 256> events{};
        Instant heard = began_;
        while (busy_ > 0) {
            const int count = ::epoll_wait(poll_, events.data(), 256, 1000);
            if (count > 0) heard = SteadyClock::now();
            if (SteadyClock::now() - heard > kPatience) break;
            for (int i = 0; i < count; ++i) {
                const epoll_event& event = events[static_cast<std::size_t>(i)];
                serve(event.data.u64, event.events);
            }
        }
        results_.errors += busy_;
        print(std::chrono::duration<double>(SteadyClock::now() - began_).count());
        return results_.errors == 0 ? 0 : 1;
    }

private:
    bool connect(std::size_t index) {
        Connection& connection = connections_[index];
        connection.fd = ::socket(AF_INET, SOCK_STREAM, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(options_.port);
        ::inet_pton(AF_INET, options_.host.c_str(), &address.sin_addr);
        if (::connect(connection.fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
            std::perror("bench_load: connect");
            return false;
        }
        const int on = 1;
        ::setsockopt(connection.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.u64 = index;
        ::epoll_ctl(poll_, EPOLL_CTL_ADD, connection.fd, &event);
        return true;
    }

    void begin(std::size_t index) {
        Connection& connection = connections_[index];
        connection.reader.reset();
        connection.text.clear();
        connection.good = options_.must_contain.empty();
        connection.stalled = false;
        connection.frames = 0;
        connection.busy = true;
        ++busy_;
        connection.began = SteadyClock::now();
        // A request is far smaller than a socket's buffer: what does not go at once is a failure.
        const ssize_t n = ::send(connection.fd, request_.data(), request_.size(), MSG_NOSIGNAL);
        if (n != static_cast<ssize_t>(request_.size())) fail(index);
    }

    void fail(std::size_t index) {
        Connection& connection = connections_[index];
        if (connection.busy) {
            ++results_.errors;
            --busy_;
            connection.busy = false;
        }
        ::close(connection.fd);
        if (SteadyClock::now() < stop_ && results_.errors < 100 && connect(index)) begin(index);
    }

    void serve(std::size_t index, std::uint32_t) {
        Connection& connection = connections_[index];
        std::array<char, 65536> buffer;
        const ssize_t n = ::recv(connection.fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN) return;
        if (n <= 0) return fail(index);
        const std::string_view bytes{buffer.data(), static_cast<std::size_t>(n)};
        const Instant now = SteadyClock::now();
        const std::size_t taken = connection.reader.take(
            bytes, [&](std::string_view part) { take_body(connection, part, now); });
        const auto state = connection.reader.state();
        if (state == AnswerReader::State::Broken || taken != bytes.size()) return fail(index);
        if (state == AnswerReader::State::Done) end(index, now);
    }

    void take_body(Connection& connection, std::string_view part, Instant now) {
        connection.text += part;
        if (!connection.good) {
            connection.good = connection.text.find(options_.must_contain) != std::string::npos;
        }
        if (!options_.stream) return;
        std::size_t used = 0;
        for (std::size_t end = 0; (end = connection.text.find("\n\n", used)) != std::string::npos;
             used = end + 2) {
            if (connection.text.compare(used, 14, "data: {\"id\":\"c") == 0) frame(connection, now);
        }
        connection.text.erase(0, used);
    }

    void frame(Connection& connection, Instant now) {
        if (connection.frames == 0) {
            connection.first = now;
            results_.first_us.push_back(microseconds_between(connection.began, now));
        }
        const Instant due = connection.first + connection.frames * options_.interval;
        results_.lateness_us.push_back(microseconds_between(due, now));
        if (now - due >= options_.interval) {
            ++results_.stalls;
            connection.stalled = true;
        }
        ++connection.frames;
        ++results_.frames;
    }

    void end(std::size_t index, Instant now) {
        Connection& connection = connections_[index];
        connection.busy = false;
        --busy_;
        if (connection.reader.status() != 200 || !connection.good) {
            if (results_.errors++ == 0) {
                std::fprintf(stderr, "bench_load: status %d: %.300s\n", connection.reader.status(),
                             connection.text.c_str());
            }
        } else {
            ++results_.answered;
            results_.streams_stalled += connection.stalled ? 1 : 0;
            results_.latency_us.push_back(microseconds_between(connection.began, now));
        }
        if (now < stop_ && results_.errors < 100) begin(index);
    }

    static std::uint32_t percentile(std::vector<std::uint32_t>& values, double share) {
        if (values.empty()) return 0;
        const auto at = static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1));
        std::nth_element(values.begin(), values.begin() + at, values.end());
        return values[static_cast<std::size_t>(at)];
    }

    void print(double seconds) {
        Results& r = results_;
        std::printf(
            "{\"answered\":%llu,\"errors\":%llu,\"seconds\":%.4f,\"per_second\":%.1f,"
            "\"p50_us\":%u,\"p99_us\":%u,\"max_us\":%u",
            static_cast<unsigned long long>(r.answered), static_cast<unsigned long long>(r.errors),
            seconds, static_cast<double>(r.answered) / seconds, percentile(r.latency_us, 0.5),
            percentile(r.latency_us, 0.99), percentile(r.latency_us, 1.0));
        if (options_.stream) {
            std::printf(
                ",\"frames\":%llu,\"stalls\":%llu,\"streams_stalled\":%llu,"
                "\"first_p50_us\":%u,\"first_p99_us\":%u,\"late_p50_us\":%u,"
                "\"late_p99_us\":%u",
                static_cast<unsigned long long>(r.frames),
                static_cast<unsigned long long>(r.stalls),
                static_cast<unsigned long long>(r.streams_stalled), percentile(r.first_us, 0.5),
                percentile(r.first_us, 0.99), percentile(r.lateness_us, 0.5),
                percentile(r.lateness_us, 0.99));
        }
        std::printf("}\n");
    }

    Options options_;
    std::string request_;
    int poll_ = -1;
    std::vector<Connection> connections_;
    std::uint64_t busy_ = 0;
    Instant began_;
    Instant stop_;
    Results results_;
};

Options options_of(int argc, char** argv) {
    Options options;
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string_view name = argv[i];
        const char* value = argv[i + 1];
        if (name == "--port") options.port = static_cast<std::uint16_t>(std::atoi(value));
        if (name == "--path") options.path = value;
        if (name == "--authorization") options.authorization = value;
        if (name == "--body") options.body = value;
        if (name == "--connections") options.connections = std::atoi(value);
        if (name == "--seconds") options.seconds = std::atof(value);
        if (name == "--stream") options.stream = std::string_view{value} == "yes";
        if (name == "--interval-us") options.interval = Microseconds{std::atoi(value)};
        if (name == "--must-contain") options.must_contain = value;
    }
    return options;
}

}  // namespace
}  // namespace nutgate::bench

int main(int argc, char** argv) {
    return nutgate::bench::Load{nutgate::bench::options_of(argc, argv)}.run();
}
