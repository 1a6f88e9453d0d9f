// The folder that holds everything which must not be lost: the database, the seed's words, the
// operator's token. One process owns it at a time; commands that only read may look in at any time.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "nutgate/base/result.h"
#include "nutgate/base/secret.h"
#include "nutgate/crypto/random.h"
#include "nutgate/store/store.h"

namespace nutgate::app {

struct DataDirError {
    std::string detail;
    bool misused = false;  // Nothing failed: it was asked for what must not be done.
};

// Whether the money in it is real. Stamped at creation; a mismatch is refused, so that play money
// can never become real.
enum class Money { Dev, Bitcoin };
std::string_view to_text(Money money);

class DataDir {
public:
    // Makes the folder (0700), the seed and the token (0600) where there are none, and locks it for
    // this process until it goes.
    static Result<DataDir, DataDirError> own(const std::filesystem::path& folder,
                                             crypto::Random& random);
    // For a restore from the words alone: owned, with these words as its seed. Refused where there
    // is a seed or a database, but for one that such a restore has begun with the same words.
    static Result<DataDir, DataDirError> restoring(const std::filesystem::path& folder,
                                                   const Secret& words, crypto::Random& random);
    // For reading beside its owner. Fails if there is nothing.
    static Result<DataDir, DataDirError> look(const std::filesystem::path& folder);

    DataDir(DataDir&&) noexcept;
    DataDir& operator=(DataDir&&) = delete;
    ~DataDir();

    const std::filesystem::path& folder() const { return folder_; }
    std::string database_url() const { return "sqlite:" + (folder_ / "nutgate.db").string(); }

    // The twelve words; whoever has them has the money.
    Result<Secret, DataDirError> words() const;
    // What every /admin call must carry as a bearer.
    Result<Secret, DataDirError> operator_token() const;
    // Where the running node's operator face listens, for commands that write.
    void publish_operator_address(const std::string& address) const;
    Result<std::string, DataDirError> operator_address() const;

private:
    static Result<DataDir, DataDirError> locked(const std::filesystem::path& folder);

    DataDir(std::filesystem::path folder, int lock) : folder_{std::move(folder)}, lock_{lock} {}

    std::filesystem::path folder_;
    int lock_ = -1;  // A descriptor with flock() on it, or -1 where only looking.
};

// Puts `text` in the place of a file, or leaves what is there: never half of one and half of the
// other. Mode 0600.
Result<void, DataDirError> replace_file(const std::filesystem::path& path, std::string_view text);

// Stamps a new database with what kind of money it holds; refuses one stamped otherwise.
Result<void, DataDirError> stamp(store::Database& database, Money money);

}  // namespace nutgate::app
