#include "sqlite_connection.h"

#include <SQLiteCpp/SQLiteCpp.h>

#include <algorithm>
#include <sqlite3.h>
#include <utility>
#include <vector>

#include "nutgate/base/verify.h"

namespace nutgate::store {
namespace {

// More different texts than the program has. Beyond it somebody builds SQL out of values, which
// costs time here but must not cost memory.
constexpr std::size_t kStatementsMax = 1024;

// The text of a statement never holds a value of a user's, so it may be shown.
[[noreturn]] void fail_statement(sqlite3* handle, int code, std::string_view sql) {
    std::string detail = sqlite3_errmsg(handle);
    detail += " (SQLite " + std::to_string(code) + ") in: ";
    detail += sql.substr(0, 100);
    throw StoreFailure{std::move(detail)};
}

Row::Cell read(sqlite3_stmt* statement, int column) {
    switch (sqlite3_column_type(statement, column)) {
        case SQLITE_INTEGER:
            return std::int64_t{sqlite3_column_int64(statement, column)};
        case SQLITE_TEXT: {
            const auto* text =
                reinterpret_cast<const char*>(sqlite3_column_text(statement, column));
            const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement, column));
            return std::string{VERIFY_PTR(text), size};
        }
        case SQLITE_BLOB: {
            const auto* bytes =
                static_cast<const std::byte*>(sqlite3_column_blob(statement, column));
            const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement, column));
            if (size == 0) return std::vector<std::byte>{};
            return std::vector<std::byte>{bytes, bytes + size};
        }
        case SQLITE_NULL:
            return std::monostate{};
    }
    VERIFY(false);  // No schema of ours has a column of floating-point numbers.
    return std::monostate{};
}

// Texts and bytes are not copied: the statement is reset before run() returns, and the arguments
// outlive that. A null pointer would bind NULL, so what is empty points somewhere.
int bind(sqlite3_stmt* statement, int index, const Value& value) {
    if (const auto* integer = std::get_if<std::int64_t>(&value)) {
        return sqlite3_bind_int64(statement, index, *integer);
    }
    if (const auto* text = std::get_if<std::string_view>(&value)) {
        return sqlite3_bind_text64(statement, index, text->empty() ? "" : text->data(),
                                   text->size(), SQLITE_STATIC, SQLITE_UTF8);
    }
    if (const auto* bytes = std::get_if<std::span<const std::byte>>(&value)) {
        if (bytes->empty()) return sqlite3_bind_zeroblob(statement, index, 0);
        return sqlite3_bind_blob64(statement, index, bytes->data(), bytes->size(), SQLITE_STATIC);
    }
    return sqlite3_bind_null(statement, index);
}

int flags_of(Connection::Mode mode) {
    switch (mode) {
        case Connection::Mode::Writer:
        case Connection::Mode::MemoryWriter:
            return SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE | SQLite::OPEN_NOMUTEX;
        case Connection::Mode::Reader:
            return SQLite::OPEN_READWRITE | SQLite::OPEN_NOMUTEX;
        case Connection::Mode::ForeignReader:
        case Connection::Mode::Copier:
            return SQLite::OPEN_READONLY | SQLite::OPEN_NOMUTEX;
    }
    VERIFY(false);
    return 0;
}

}  // namespace

class Connection::Statement {
public:
    Statement(sqlite3* handle, std::string_view sql) : handle_{handle} {
        const char* tail = nullptr;
        const int code = sqlite3_prepare_v3(handle, sql.data(), static_cast<int>(sql.size()),
                                            SQLITE_PREPARE_PERSISTENT, &statement_, &tail);
        if (code != SQLITE_OK) fail_statement(handle, code, sql);
        VERIFY(statement_ != nullptr);  // Empty text, or nothing but a comment.
        const std::string_view rest{tail, static_cast<std::size_t>(sql.data() + sql.size() - tail)};
        VERIFY(rest.find_first_not_of(" \n\t;") == std::string_view::npos);  // One, not several.
        const int count = sqlite3_bind_parameter_count(statement_);
        for (int number = 1; number <= count; ++number) {
            const std::string name = "$" + std::to_string(number);
            const int index = sqlite3_bind_parameter_index(statement_, name.c_str());
            VERIFY(index > 0);  // $1 to $n, all of them: what PostgreSQL demands too.
            indices_.push_back(index);
        }
    }
    ~Statement() { sqlite3_finalize(statement_); }
    Statement(const Statement&) = delete;
    Statement& operator=(const Statement&) = delete;

    std::int64_t run(std::string_view sql, std::span<const Value> args, const Reader::Take& take) {
        VERIFY(args.size() == indices_.size());
        const Rewind rewind{statement_};
        for (std::size_t i = 0; i < args.size(); ++i) {
            const int code = bind(statement_, indices_[i], args[i]);
            if (code != SQLITE_OK) fail_statement(handle_, code, sql);
        }
        const auto changed_before = sqlite3_total_changes64(handle_);
        int code = sqlite3_step(statement_);
        for (; code == SQLITE_ROW; code = sqlite3_step(statement_)) {
            const int columns = sqlite3_column_count(statement_);
            std::vector<Row::Cell> cells;
            cells.reserve(static_cast<std::size_t>(columns));
            for (int i = 0; i < columns; ++i) cells.push_back(read(statement_, i));
            take(Row{std::move(cells)});
        }
        if (code != SQLITE_DONE) fail_statement(handle_, code, sql);
        // A statement that changes nothing leaves SQLite's counter at what an earlier one changed.
        const bool changed = sqlite3_total_changes64(handle_) != changed_before;
        return changed ? sqlite3_changes64(handle_) : 0;
    }

private:
    struct Rewind {
        sqlite3_stmt* statement;
        ~Rewind() {
            sqlite3_reset(statement);
            sqlite3_clear_bindings(statement);
        }
    };

    sqlite3* handle_;
    sqlite3_stmt* statement_ = nullptr;
    std::vector<int> indices_;  // SQLite's number of $1, $2, …: it counts them as they appear.
};

Connection::Connection(const std::string& path, Mode mode, Milliseconds busy_timeout) {
    // Before SQLite's first use: without its statistics every allocation is a lock cheaper.
    [[maybe_unused]] static const int kOnce = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    try {
        database_ = std::make_unique<SQLite::Database>(path, flags_of(mode),
                                                       static_cast<int>(busy_timeout.count()));
        database_->exec("PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF");
    } catch (const SQLite::Exception& e) {
        throw StoreFailure{std::string{"cannot open "} + path + ": " + e.what()};
    }
    sqlite3_extended_result_codes(database_->getHandle(), 1);
    switch (mode) {
        case Mode::Writer:
        case Mode::MemoryWriter: {
            const auto journal = run("PRAGMA journal_mode = WAL", {});
            if (journal.rows.size() != 1 || journal.rows[0].text(0) != "wal") {
                throw StoreFailure{"cannot open " + path + ": this folder cannot hold a WAL"};
            }
            // FULL: a commit that was answered is on the disk.
            run(mode == Mode::Writer ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = OFF");
            run("PRAGMA cache_size = -16384");
            // What a savepoint may have to undo is kept in small pieces of memory then, instead of
            // one of 64 KiB that is allocated and given back for each.
            run("PRAGMA temp_store = MEMORY");
            run("PRAGMA journal_size_limit = 67108864");
            break;
        }
        case Mode::Reader:
        case Mode::ForeignReader:
            run("PRAGMA query_only = ON");
            break;
        case Mode::Copier:
            break;
    }
}

Connection::~Connection() = default;

Reader::Answer Connection::run(std::string_view sql, std::span<const Value> args) {
    Reader::Answer answer;
    answer.changed = run_each(sql, args, [&](Row&& row) { answer.rows.push_back(std::move(row)); });
    return answer;
}

std::int64_t Connection::run_each(std::string_view sql, std::span<const Value> args,
                                  const Reader::Take& take) {
    struct Running {
        explicit Running(bool& running) : running_{running} {
            VERIFY(!running_);  // It could be the same statement, or be cleared away under it.
            running_ = true;
        }
        ~Running() { running_ = false; }
        bool& running_;
    };
    const Running running{running_};
    return prepared(sql).run(sql, args, take);
}

Connection::Statement& Connection::prepared(std::string_view sql) {
    const auto found = statements_.find(sql);
    if (found != statements_.end()) return *found->second;
    if (statements_.size() >= kStatementsMax) statements_.clear();
    auto statement = std::make_unique<Statement>(database_->getHandle(), sql);
    return *statements_.emplace(std::string{sql}, std::move(statement)).first->second;
}

bool Connection::in_transaction() const {
    return sqlite3_get_autocommit(database_->getHandle()) == 0;
}

void Connection::roll_back() {
    if (!in_transaction()) return;
    // All that it can fail by is that SQLite has rolled back already.
    sqlite3_exec(database_->getHandle(), "ROLLBACK", nullptr, nullptr, nullptr);
    VERIFY(!in_transaction());
}

}  // namespace nutgate::store
