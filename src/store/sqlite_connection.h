// One connection to a SQLite file, with the statements that it has compiled before.
//
// Not thread-safe: one thread at a time uses it. Every failure is a StoreFailure that is thrown;
// the callers inside this folder know, nobody outside sees a connection.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

#include "nutgate/base/clock.h"
#include "nutgate/store/store.h"

namespace SQLite {  // NOLINT(readability-identifier-naming): SQLiteCpp named it.
class Database;
}

namespace nutgate::store {

class Connection {
public:
    enum class Mode {
        Writer,         // Creates the file if there is none.
        MemoryWriter,   // The same for a file that nobody needs after a crash: without fsync.
        Reader,         // Beside a writer of this process.
        ForeignReader,  // Of a file that is another process's, or nobody's.
        Copier,         // The same, for VACUUM INTO, which query_only would refuse.
    };
    Connection(const std::string& path, Mode mode, Milliseconds busy_timeout);
    ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    Reader::Answer run(std::string_view sql, std::span<const Value> args);
    // Gives each row to `take`, which must not come back here. Returns how many rows it changed.
    std::int64_t run_each(std::string_view sql, std::span<const Value> args,
                          const Reader::Take& take);
    void run(std::string_view sql) { run(sql, {}); }

    // Whether a transaction is open. SQLite ends one by itself when the disk is full or fails.
    bool in_transaction() const;
    // Leaves the transaction, if one is open, whatever it takes.
    void roll_back();

private:
    class Statement;
    struct TextHash : std::hash<std::string_view> {
        using is_transparent = void;
    };

    Statement& prepared(std::string_view sql);

    std::unique_ptr<SQLite::Database> database_;
    bool running_ = false;  // A statement.
    // By their text. Declared after the connection that they belong to, so that they go first.
    std::unordered_map<std::string, std::unique_ptr<Statement>, TextHash, std::equal_to<>>
        statements_;
};

}  // namespace nutgate::store
