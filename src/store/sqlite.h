// The embedded engine: one file, one writer, many readers.
#pragma once

#include <memory>
#include <string>

#include "nutgate/store/open.h"

namespace nutgate::store {

// Throw StoreFailure.
std::unique_ptr<Database> open_sqlite(const std::string& path, const OpenOptions& options);
std::unique_ptr<Database> open_sqlite_in_memory(const OpenOptions& options);
std::unique_ptr<Database> open_sqlite_read_only(const std::string& path,
                                                const OpenOptions& options);

}  // namespace nutgate::store
