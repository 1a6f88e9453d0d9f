#pragma once

#include <memory>
#include <string>

#include "nutgate/store/store.h"

namespace nutgate::store {

// `url` is "sqlite:PATH" or "sqlite::memory:". Creates the file if there is none. Throws nothing:
// an open that failed says why.
Result<std::unique_ptr<Database>, StoreFailure> open(const std::string& url);

// For commands that only read, beside a running node or after a killed one: every transact() on it
// fails, and nothing in the folder changes but SQLite's own -shm file.
Result<std::unique_ptr<Database>, StoreFailure> open_read_only(const std::string& url);

// A consistent copy of a database in use, as one file that did not exist before.
Result<void, StoreFailure> back_up(Database& database, const std::string& path);

}  // namespace nutgate::store
