// Ends calls that have had their time, whatever they wait for: a peer that sends a byte a second
// never runs into a time-out of a single read.
#pragma once

#include <chrono>
#include <condition_variable>
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
    class Line {
    public:
        Line() = default;
        ~Line();
        Line(const Line&) = delete;
        Line& operator=(const Line&) = delete;

    private:
        friend class ClientWatchdog;
        int socket_ = -1;
        bool is_cut_ = false;
    };

    ClientWatchdog();

    // The line has a new socket from now on.
    void connected(Line& line, int socket);
    // From now until unwatch() the line is cut when the time comes. True: it was.
    void watch(Line& line, Time deadline);
    bool unwatch(Line& line);

private:
    void run(std::stop_token stop);

    std::mutex mutex_;
    std::condition_variable_any changed_;
    std::multimap<Time, Line*> watched_;  // Guarded by mutex_.
    std::jthread thread_;                 // Last: it needs all above.
};

}  // namespace nutgate::http
