// Name look-ups that can be left: the system's takes as long as it likes, and whoever asks has a
// deadline. They run on a few threads of their own ("resolve"), started when first needed.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "nutgate/base/result.h"
#include "nutgate/http/reach.h"

namespace nutgate::http {

using Addresses = std::vector<std::string>;

// Those of `found` that a call within `reach` to `host` may connect to, or why it may not. One bad
// address among good ones is reason enough: whoever answers so does it on purpose.
Result<Addresses, std::string> reachable(Reach reach, const std::string& host, Addresses found,
                                         const ReachRules& rules);
// The address that `host` is by itself; none if it is a name.
bool is_address(const std::string& host);
// "0x7f000001", "127.1", "2130706433", "127.0x1": names that resolvers take for addresses.
bool is_odd_address(std::string_view host);

// Thread-safe. The destructor drops what waits and waits for look-ups that run: at most as long as
// the system's own limit (resolv.conf; five seconds, twice, by default).
class NameLookup {
public:
    using Done = std::function<void(Addresses)>;

    explicit NameLookup(const ReachRules& rules);
    ~NameLookup();
    NameLookup(const NameLookup&) = delete;
    NameLookup& operator=(const NameLookup&) = delete;

    // Calls `done` from one of the threads, unless this goes before. If too many look-ups wait, it
    // is called at once: none were found.
    void start(std::string host, const Done& done);
    // None if it takes until then.
    Addresses wait(const std::string& host, std::chrono::steady_clock::time_point deadline);

private:
    static constexpr std::size_t kThreadsMax = 4;
    static constexpr std::size_t kQueueMax = 256;

    struct Job {
        std::string host;
        Done done;
    };
    void run();

    const std::unique_ptr<Resolver> system_;
    Resolver& resolver_;
    std::mutex mutex_;
    std::condition_variable queued_;
    std::condition_variable answered_;
    std::deque<Job> queue_;  // Guarded by mutex_, as is all below.
    std::map<std::uint64_t, Addresses> waited_for_;
    std::uint64_t last_ticket_ = 0;
    std::size_t idle_ = 0;
    bool is_closing_ = false;
    std::vector<std::jthread> threads_;
};

}  // namespace nutgate::http
