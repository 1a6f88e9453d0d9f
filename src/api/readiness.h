// Whether this node can sell, for whoever sends it its buyers: a database that takes no writes
// sells nothing, and only a write tells.
//
// Asking often costs nothing: one write at most is under way, and its outcome is good for kFresh.
// Nobody waits for it beyond kPatience, and nobody on a thread: a database that is full says so,
// one that is locked by another says nothing for long.
#pragma once

#include <condition_variable>
#include <functional>
#include <optional>
#include <string>

#include "nutgate/base/clock.h"
#include "nutgate/base/sync.h"
#include "nutgate/http/task.h"
#include "nutgate/http/topics.h"
#include "nutgate/store/store.h"

namespace nutgate::api {

// Thread-safe.
class Readiness {
public:
    static constexpr Milliseconds kFresh{1'000};
    static constexpr Milliseconds kPatience{1'000};

    // `touch` writes something that was not there before: of what changes nothing an engine may
    // write nothing.
    Readiness(store::Database& database, const Clock& clock, std::function<void(store::Tx&)> touch);
    // Waits for the write that is under way.
    ~Readiness();
    Readiness(const Readiness&) = delete;
    Readiness& operator=(const Readiness&) = delete;

    // Why the database can't be written to; empty if it can.
    http::Task<std::optional<std::string>> fault();

private:
    // What is known without waiting; if nothing is, whether the caller is the one to begin a write.
    struct Known {
        bool is_known = false;
        bool begins = false;
        std::optional<std::string> fault = std::nullopt;
    };
    Known look();
    void begin();
    std::optional<std::string> outcome();

    store::Database& database_;
    const Clock& clock_;
    const std::function<void(store::Tx&)> touch_;
    http::Topics topics_;

    Mutex mutex_;
    std::condition_variable_any ended_;
    bool is_under_way_ GUARDED_BY(mutex_) = false;
    Time since_ GUARDED_BY(mutex_);  // Of the write under way, or of the last one.
    std::optional<std::string> fault_ GUARDED_BY(mutex_);  // Of the last one.
};

}  // namespace nutgate::api
