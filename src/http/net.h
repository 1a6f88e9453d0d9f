// The Asio types of this module, with their executor named, and its one list of deadlines.
#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/wait_traits.hpp>

#include <chrono>
#include <functional>
#include <list>

#include "nutgate/base/clock.h"
#include "nutgate/http/task.h"

namespace nutgate::http {

using Tcp = boost::asio::ip::tcp;
using Socket = boost::asio::basic_stream_socket<Tcp, Executor>;
using Monotonic = std::chrono::steady_clock;
using Timer =
    boost::asio::basic_waitable_timer<Monotonic, boost::asio::wait_traits<Monotonic>, Executor>;
using NetError = boost::system::error_code;

// The token for an operation that answers with (error, …) and throws nothing. The coroutine's next
// co_await still throws if it was cancelled meanwhile.
inline constexpr auto as_result = boost::asio::as_tuple(use_task);

// Monotonic's time by the kernel's last tick: up to kTick behind, and a quarter of the price. For
// what is counted in seconds and asked for several times a request.
Monotonic::time_point about_now();
inline constexpr Milliseconds kTick{10};

class Deadline;

// All deadlines of one io_context, behind one timer. Setting one costs a store: nothing is queued,
// since nearly all deadlines are moved or cleared long before they pass. They pass late by up to
// kGranularity. An Asio service, so that whoever runs on an io_context finds its own list.
class Deadlines final : public boost::asio::execution_context::service {
public:
    using key_type = Deadlines;  // Asio's name for it.
    // Asio's name, and it wants no const: NOLINTNEXTLINE(*-avoid-non-const-global-variables)
    static inline boost::asio::execution_context::id id;
    static constexpr Milliseconds kGranularity{20};

    explicit Deadlines(boost::asio::io_context& io);

private:
    friend class Deadline;

    void shutdown() noexcept override;
    void arm(Monotonic::time_point at);
    void sweep();

    Timer timer_;
    Monotonic::time_point armed_ = Monotonic::time_point::max();
    std::list<Deadline*> all_;
};

// For one thing that can be late at one thing at a time. Belongs to its io_context's thread.
class Deadline {
public:
    // `pass` is called once per set(), not before its time and a kTick more late than Deadlines
    // says; it may cancel operations, but destroy nothing.
    Deadline(boost::asio::io_context& io, std::function<void()> pass);
    ~Deadline();
    Deadline(const Deadline&) = delete;
    Deadline& operator=(const Deadline&) = delete;

    void set(Milliseconds from_now);
    void set_at(Monotonic::time_point at);
    void clear() { at_ = Monotonic::time_point::max(); }

private:
    friend class Deadlines;

    Deadlines& deadlines_;
    std::function<void()> pass_;
    Monotonic::time_point at_ = Monotonic::time_point::max();
    std::list<Deadline*>::iterator place_;
};

// Keeps coroutines of one io_context waiting until the next signal(). Wakes may be spurious, so a
// wait stands in a loop that looks at what it waits for.
class Event {
public:
    explicit Event(boost::asio::io_context& io) : timer_{io.get_executor()} {}
    Task<void> wait();
    void signal() { timer_.cancel(); }

private:
    Timer timer_;
};

}  // namespace nutgate::http
