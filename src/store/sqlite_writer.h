// The one thread that writes ("store-writer"), and its queue: group commit.
//
// It takes all transactions that wait, runs them in one of SQLite's, commits once, and then answers
// all of them: a commit costs an fsync, whoever waits shares it. If one of them is not to be
// committed, all run again, each in a savepoint of its own.
//
// Thread-safe.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <optional>
#include <thread>
#include <vector>

#include "nutgate/base/sync.h"
#include "nutgate/store/open.h"
#include "nutgate/store/store.h"
#include "sqlite_connection.h"

namespace nutgate::store {

class Writer {
public:
    Writer(std::unique_ptr<Connection> connection, const OpenOptions& options);
    // Finishes what is queued.
    ~Writer();
    Writer(const Writer&) = delete;
    Writer& operator=(const Writer&) = delete;

    void submit(std::function<bool(Tx&)> body, Database::Done done);

private:
    struct Job {
        std::function<bool(Tx&)> body;
        Database::Done done;
        std::optional<StoreFailure> failure;  // Set: it is out, and its neighbours run without it.
    };
    // What undoes the work of a job that is not to be committed: its own savepoint, or the end of
    // the whole transaction.
    enum class Undo { ByItself, WithAll };
    // Mixed: of several without savepoints one is not to be committed.
    enum class Ran { Finished, TransactionLost, Mixed };
    enum class Did { Work, Nothing, LoseTransaction };

    // False, and the job is still the caller's, if too many wait.
    bool enqueue(Job& job);
    void run();
    std::vector<Job> next_group();
    void run_group(std::vector<Job>& group);
    Ran try_group(std::vector<Job>& group, Undo undo);
    Ran run_jobs(std::vector<Job>& group, Undo undo);
    Did run_body(Job& job);
    Did rehearse(Job& job);
    Did run_in_savepoint(Job& job);

    // Constant after construction.
    const OpenOptions options_;

    // The writer thread's own.
    std::unique_ptr<Connection> connection_;

    Mutex mutex_;
    std::condition_variable_any changed_;
    std::deque<Job> queue_ GUARDED_BY(mutex_);
    bool stopping_ GUARDED_BY(mutex_) = false;

    std::jthread thread_;  // Last: it starts when all above is there, and ends first.
};

}  // namespace nutgate::store
