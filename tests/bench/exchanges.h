// Connections to one server on loopback, each with one request at a time, on one epoll. When to
// send, and what an answer is worth, is up to who drives it: load, arrivals, streams.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <sys/epoll.h>
#include <vector>

#include "generator.h"

namespace nutgate::bench {

class Exchanges {
public:
    enum class Outcome {
        Underway,
        Answered,  // Whole, with the status and the text that were asked for.
        Wrong,     // Whole, but not that.
        Broken,    // The connection ended first; it has been closed.
    };

    // --port, --connections, --stream yes, --expect-status, --must-contain, and what Request takes.
    explicit Exchanges(const Arguments&);

    std::size_t size() const { return connections_.size(); }
    std::size_t busy() const { return busy_; }
    // Connections that the server ended with an answer or after one, and that were made anew.
    std::uint64_t reopened() const { return reopened_; }

    // Connects; false, and printed, where nobody listens.
    bool open(std::size_t index);
    // Sends the next request on an open connection. What does not go at once follows in serve().
    void begin(std::size_t index);
    void close(std::size_t index);
    // When begin() was called.
    Instant began(std::size_t index) const { return connections_[index].began; }

    // Waits for something to read or to send, until `due` at the latest, and calls
    // `serve_one(index)` for each connection that has something. False: nothing came for kPatience.
    template <typename ServeOne>
    bool wait(Instant due, ServeOne&& serve_one) {
        const int count = poll_until(due);
        for (int i = 0; i < count; ++i) serve_one(events_[static_cast<std::size_t>(i)].data.u64);
        return SteadyClock::now() - heard_ < kPatience;
    }

    // Reads what there is. Of a stream, each whole event goes to `on_event(event, now)`.
    template <typename OnEvent>
    Outcome serve(std::size_t index, OnEvent&& on_event) {
        Connection& connection = connections_[index];
        if (!connection.busy) return idle_ended(index);
        if (!push(index)) return broken(index);
        const auto bytes = pull(connection);
        if (!bytes) return broken(index);
        if (bytes->empty()) return Outcome::Underway;
        const Instant now = SteadyClock::now();
        const std::size_t taken = connection.reader.take(
            *bytes, [&](std::string_view part) { connection.body.add(part); });
        connection.good = connection.body.holds(must_contain_);
        if (stream_) {
            connection.body.cut_events([&](std::string_view event) { on_event(event, now); });
        }
        const auto state = connection.reader.state();
        if (state == AnswerReader::State::Broken || taken != bytes->size()) return broken(index);
        return state == AnswerReader::State::Done ? ended(index) : Outcome::Underway;
    }

private:
    struct Connection {
        int fd = -1;
        bool busy = false;
        bool writing = false;  // Watched for room to write, too.
        bool good = false;
        Request::Key key = 0;
        std::size_t sent = 0;
        Instant began;
        AnswerReader reader;
        BodyReader body;
    };

    int poll_until(Instant due);
    bool push(std::size_t index);
    std::optional<std::string_view> pull(const Connection&);
    Outcome broken(std::size_t index);
    Outcome idle_ended(std::size_t index);
    Outcome ended(std::size_t index);
    void watch(std::size_t index, int operation, bool writing);

    int port_;
    bool stream_;
    int expect_status_;
    std::string must_contain_;
    Request request_;
    int poll_;
    std::size_t busy_ = 0;
    std::uint64_t reopened_ = 0;
    bool told_ = false;
    Instant heard_ = SteadyClock::now();
    std::vector<Connection> connections_;
    std::array<epoll_event, 512> events_{};
    std::array<char, 65536> buffer_;
};

}  // namespace nutgate::bench
