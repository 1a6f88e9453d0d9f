#include "nutgate/store/open.h"

#include <fcntl.h>
#include <filesystem>
#include <optional>
#include <string_view>
#include <system_error>
#include <unistd.h>
#include <utility>

#include "sqlite.h"

namespace nutgate::store {
namespace {

constexpr std::string_view kMemory = ":memory:";

// Absolute, because SQLite would take "file:x" for a URI, and because the folder we are in may
// change while the database is open.
Result<std::string, StoreFailure> path_of(const std::string& url) {
    constexpr std::string_view kScheme = "sqlite:";
    if (!url.starts_with(kScheme)) return fail(StoreFailure{"not a sqlite: URL"});
    const std::string path = url.substr(kScheme.size());
    if (path.empty()) return fail(StoreFailure{"a sqlite: URL without a path"});
    if (path == kMemory) return path;
    std::error_code error;
    const auto absolute = std::filesystem::absolute(path, error);
    if (error) return fail(StoreFailure{"cannot open " + path + ": " + error.message()});
    return absolute.string();
}

StoreFailure system_failure(const std::string& what) {
    return {what + ": " + std::generic_category().message(errno)};
}

bool sync(const std::filesystem::path& path) {
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) return false;
    const bool synced = ::fsync(file) == 0;
    ::close(file);
    return synced;
}

// Removes the file when it goes, whatever happened.
struct Unlink {
    const std::string& path;
    ~Unlink() {
        for (const char* beside : {"", "-wal", "-shm"}) ::unlink((path + beside).c_str());
    }
};

}  // namespace

Result<std::unique_ptr<Database>, StoreFailure> open(const std::string& url,
                                                     const OpenOptions& options) {
    TRY(const std::string path, path_of(url));
    try {
        return path == kMemory ? open_sqlite_in_memory(options) : open_sqlite(path, options);
    } catch (StoreFailure& failure) {
        return fail(std::move(failure));
    }
}

Result<std::unique_ptr<Database>, StoreFailure> open_read_only(const std::string& url,
                                                               const OpenOptions& options) {
    TRY(const std::string path, path_of(url));
    if (path == kMemory) return fail(StoreFailure{"nothing to read in a new database"});
    try {
        return open_sqlite_read_only(path, options);
    } catch (StoreFailure& failure) {
        return fail(std::move(failure));
    }
}

Result<void, StoreFailure> back_up(Database& database, const std::string& path,
                                   const Prepare& prepare) {
    const std::string partial = path + ".partial";
    const int file = ::open(partial.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    if (file < 0) return fail(system_failure("cannot create " + partial));
    ::close(file);
    const Unlink unlink{partial};

    TRY_VOID(database.copy_to(partial));
    if (prepare) {
        TRY(const auto copy, open("sqlite:" + partial));
        TRY_VOID(prepare(*copy));
    }
    // When it is closed all of it is in the one file, or the copy is not what it was made.
    if (::access((partial + "-wal").c_str(), F_OK) == 0) {
        return fail(StoreFailure{"cannot complete " + partial});
    }
    if (!sync(partial)) return fail(system_failure("cannot sync " + partial));
    // Unlike a rename, a link never replaces what has the name already.
    if (::link(partial.c_str(), path.c_str()) != 0) {
        return fail(system_failure("cannot create " + path));
    }
    const auto folder = std::filesystem::path{path}.parent_path();
    if (!sync(folder.empty() ? "." : folder)) return fail(system_failure("cannot sync " + path));
    return {};
}

}  // namespace nutgate::store
