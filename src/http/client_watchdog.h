// Ends calls that have had their time or their bytes, whatever they wait for: a peer that sends a
// byte a second never runs into a time-out of a single read, and the library reads a head of any
// size into memory before its caller sees a byte of it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <stop_token>
#include <thread>

namespace nutgate::http {

class ClientWatchdog {
public:
    using Time = std::chrono::steady_clock::time_point;

    // One connection, as the watchdog sees it: a second descriptor of the same socket, since the
    // number of the first may by then name another one. Guarded by the watchdog's mutex.
    enum class Cut { None, Late, TooMuch };
    class Line {
    public:
        Line() = default;
        ~Line();
        Line(const Line&) = delete;
        Line& operator=(const Line&) = delete;

    private:
        friend class ClientWatchdog;
        int socket_ = -1;
        Cut cut_ = Cut::None;
        // Of all that the socket ever received: before this call, and at its bound.
        std::uint64_t bytes_before_ = 0;
        std::uint64_t bytes_end_ = 0;
    };

    ClientWatchdog();

    // The line has a new socket from now on.
    void connected(Line& line, int socket);
    // From now until unwatch() the line is cut when the time comes, or, within kLook or so, when
    // more than so many bytes came. Says whether it was.
    void watch(Line& line, Time deadline, std::uint64_t bytes_max);
    Cut unwatch(Line& line);

private:
    static constexpr std::chrono::milliseconds kLook{50};

    void run(std::stop_token stop);
    static void cut(Line& line, Cut why);
    void cut_overfed();

    std::mutex mutex_;
    std::condition_variable_any changed_;
    std::multimap<Time, Line*> watched_;  // Guarded by mutex_.
    std::jthread thread_;                 // Last: it needs all above.
};

}  // namespace nutgate::http
