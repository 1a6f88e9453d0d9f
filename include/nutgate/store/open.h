#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "nutgate/base/clock.h"
#include "nutgate/store/store.h"

namespace nutgate::store {

struct OpenOptions {
    Milliseconds busy_timeout{5000};  // How long a lock of another process is waited for, or a
                                      // reader's connection, until it is a StoreFailure.
    std::size_t readers_max = 8;      // Reads at once; the next one waits.
    std::size_t queue_max = 16384;    // Transactions waiting; one more is a StoreFailure.
    std::size_t group_max = 256;      // Transactions under one commit.
    // For tests: each body runs twice, the first time for nothing. A body may run again whenever a
    // neighbour does not commit, which is too rare for a test to meet by itself.
    bool rehearses = false;
};

// `url` is "sqlite:PATH" or "sqlite::memory:" (a file of its own that is gone with the Database).
// Creates the file, for its owner's eyes only, if there is none. Throws nothing: an open that
// failed says why. The destructor finishes what was submitted.
Result<std::unique_ptr<Database>, StoreFailure> open(const std::string& url,
                                                     const OpenOptions& options = {});

// For commands that only read, beside a running node or after a killed one: every transact() on it
// fails, and nothing in the folder changes but SQLite's own -shm and -wal files.
Result<std::unique_ptr<Database>, StoreFailure> open_read_only(const std::string& url,
                                                               const OpenOptions& options = {});

// A consistent copy of a database in use, as one file, for its owner's eyes only, that did not
// exist before. It appears under its name when it is complete and on the disk, or not at all.
// `prepare`, where there is one, changes the copy before that.
using Prepare = std::function<Result<void, StoreFailure>(Database& copy)>;
Result<void, StoreFailure> back_up(Database& database, const std::string& path,
                                   const Prepare& prepare = {});

}  // namespace nutgate::store
