#include "data_dir.h"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <fstream>
#include <iterator>
#include <sys/file.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include "nutgate/base/bytes.h"
#include "nutgate/crypto/mnemonic.h"
#include "nutgate/store/migration.h"

namespace nutgate::app {
namespace {

constexpr const char* kSeedFile = "seed";
constexpr const char* kTokenFile = "operator.token";
constexpr const char* kLockFile = "lock";
constexpr const char* kAddressFile = "operator.address";
constexpr const char* kDatabaseFile = "nutgate.db";
constexpr const char* kRestoringFile = "restoring";

DataDirError system_error(const std::string& what, const std::filesystem::path& path) {
    return {what + " " + path.string() + ": " +
            std::error_code{errno, std::generic_category()}.message()};
}

Result<std::string, DataDirError> read_line(const std::filesystem::path& path) {
    std::ifstream file{path, std::ios::binary};
    if (!file) return fail(DataDirError{"can't read " + path.string()});
    std::string text{std::istreambuf_iterator<char>{file}, {}};
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
    return text;
}

Result<void, DataDirError> ensure_secrets(const std::filesystem::path& folder,
                                          crypto::Random& random) {
    std::error_code ignored;
    const bool has_database = std::filesystem::exists(folder / kDatabaseFile, ignored);
    if (!std::filesystem::exists(folder / kSeedFile, ignored)) {
        // A database without its seed can't be opened for anything: its ecash and its sealed
        // tokens belong to words that are not here. A new seed would hide that.
        if (has_database) {
            return fail(DataDirError{"there is a database but no seed in " + folder.string() +
                                     ": put the file \"seed\" back"});
        }
        TRY_VOID(replace_file(folder / kSeedFile, crypto::new_mnemonic(random) + "\n"));
    }
    if (!std::filesystem::exists(folder / kTokenFile, ignored)) {
        TRY_VOID(replace_file(folder / kTokenFile, to_hex(random.bytes<32>()) + "\n"));
    }
    return {};
}

constexpr std::array<store::Migration, 1> kMigrations{{
    {1, R"sql(CREATE TABLE node (
        name  TEXT PRIMARY KEY,
        value TEXT NOT NULL
    ))sql"},
}};

struct StampError {
    StampError(DataDirError why) : error{std::move(why)} {}
    StampError(store::StoreFailure failure) : error{std::move(failure.detail)} {}
    DataDirError error;
};

}  // namespace

// Writes a file that only its owner can read, whole or not at all, and makes it durable: losing the
// seed after the first deposit would lose the deposit.
Result<void, DataDirError> replace_file(const std::filesystem::path& path, std::string_view text) {
    const std::filesystem::path temporary = path.string() + ".new";
    const int file = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0) return fail(system_error("can't create", temporary));
    bool written = ::fchmod(file, 0600) == 0;
    for (std::size_t done = 0; written && done < text.size();) {
        const auto count = ::write(file, text.data() + done, text.size() - done);
        if (count < 0) written = errno == EINTR;
        if (count > 0) done += static_cast<std::size_t>(count);
    }
    written = written && ::fsync(file) == 0;
    const auto failure = system_error("can't write", temporary);
    ::close(file);
    if (!written) return fail(failure);
    if (::rename(temporary.c_str(), path.c_str()) != 0)
        return fail(system_error("can't name", path));
    const auto parent = std::filesystem::absolute(path).parent_path();
    const int folder = ::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder >= 0) {
        (void)::fsync(folder);
        ::close(folder);
    }
    return {};
}

std::string_view to_text(Money money) {
    switch (money) {
        case Money::Dev:
            return "dev";
        case Money::Bitcoin:
            return "bitcoin";
    }
    return "";
}

Result<DataDir, DataDirError> DataDir::locked(const std::filesystem::path& folder) {
    std::error_code failure;
    if (std::filesystem::create_directories(folder, failure)) {
        std::filesystem::permissions(folder, std::filesystem::perms::owner_all, failure);
    }
    if (failure)
        return fail(DataDirError{"can't create " + folder.string() + ": " + failure.message()});
    const auto lock_path = folder / kLockFile;
    const int lock = ::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock < 0) return fail(system_error("can't open", lock_path));
    DataDir owned{std::filesystem::absolute(folder), lock};
    if (::flock(lock, LOCK_EX | LOCK_NB) != 0) {
        return fail(DataDirError{folder.string() + " belongs to a node that is running"});
    }
    return owned;
}

Result<DataDir, DataDirError> DataDir::own(const std::filesystem::path& folder,
                                           crypto::Random& random) {
    TRY(auto owned, locked(folder));
    TRY_VOID(ensure_secrets(owned.folder_, random));
    // A node lives here from now on.
    std::error_code ignored;
    std::filesystem::remove(owned.folder_ / kRestoringFile, ignored);
    return owned;
}

Result<DataDir, DataDirError> DataDir::restoring(const std::filesystem::path& folder,
                                                 const Secret& words, crypto::Random& random) {
    TRY(auto owned, locked(folder));
    std::error_code ignored;
    const bool begun = std::filesystem::exists(owned.folder_ / kRestoringFile, ignored);
    const bool has_seed = std::filesystem::exists(owned.folder_ / kSeedFile, ignored);
    if (!begun && (has_seed || std::filesystem::exists(owned.folder_ / kDatabaseFile, ignored))) {
        return fail(DataDirError{.detail = "there is a node in " + folder.string() +
                                           " already: restore into an empty folder",
                                 .misused = true});
    }
    if (has_seed) {
        TRY(const auto there, owned.words());
        if (as_text(there.reveal()) != as_text(words.reveal())) {
            return fail(
                DataDirError{.detail = "a restore of other words was begun in " + folder.string(),
                             .misused = true});
        }
    }
    // Before the seed, so that what a crash leaves can be gone on with.
    if (!begun) TRY_VOID(replace_file(owned.folder_ / kRestoringFile, "\n"));
    if (!has_seed) {
        TRY_VOID(
            replace_file(owned.folder_ / kSeedFile, std::string{as_text(words.reveal())} + "\n"));
    }
    TRY_VOID(ensure_secrets(owned.folder_, random));
    return owned;
}

Result<DataDir, DataDirError> DataDir::look(const std::filesystem::path& folder) {
    std::error_code ignored;
    if (!std::filesystem::exists(folder / kSeedFile, ignored)) {
        return fail(DataDirError{"there is no node in " + folder.string()});
    }
    return DataDir{std::filesystem::absolute(folder), -1};
}

DataDir::DataDir(DataDir&& other) noexcept
    : folder_{std::move(other.folder_)}, lock_{std::exchange(other.lock_, -1)} {}

DataDir::~DataDir() {
    if (lock_ >= 0) ::close(lock_);
}

Result<Secret, DataDirError> DataDir::words() const {
    TRY(const auto text, read_line(folder_ / kSeedFile));
    if (!crypto::mnemonic_valid(text)) {
        return fail(
            DataDirError{"the words in " + (folder_ / kSeedFile).string() + " are not valid"});
    }
    return Secret{to_bytes(text)};
}

Result<Secret, DataDirError> DataDir::operator_token() const {
    TRY(const auto text, read_line(folder_ / kTokenFile));
    if (text.size() < 32) {
        return fail(DataDirError{(folder_ / kTokenFile).string() + " is too short"});
    }
    return Secret{to_bytes(text)};
}

void DataDir::publish_operator_address(const std::string& address) const {
    (void)replace_file(folder_ / kAddressFile, address + "\n");
}

Result<std::string, DataDirError> DataDir::operator_address() const {
    auto text = read_line(folder_ / kAddressFile);
    if (!text) return fail(DataDirError{"no node is running on " + folder_.string()});
    return text;
}

Result<void, DataDirError> stamp(store::Database& database, Money money) {
    if (const auto migrated = store::migrate(database, "app", kMigrations); !migrated) {
        return fail(DataDirError{migrated.error().detail});
    }
    const auto stamped = database.transact([&](store::Tx& tx) -> Result<std::string, StampError> {
        tx.execute("INSERT INTO node (name, value) VALUES ('money', $1) ON CONFLICT DO NOTHING",
                   to_text(money));
        return tx.query_one("SELECT value FROM node WHERE name = 'money'")->text(0);
    });
    if (!stamped) return fail(stamped.error().error);
    if (*stamped != to_text(money)) {
        return fail(
            DataDirError{.detail = "this data dir holds " + *stamped +
                                   " money, and was opened for " + std::string{to_text(money)} +
                                   " money: use another --data-dir, or leave --dev away or add it",
                         .misused = true});
    }
    return {};
}

}  // namespace nutgate::app
