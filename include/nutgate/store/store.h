// The database, as the rest of the program sees it: transactions, statements, rows.
//
// Two engines stand behind it, SQLite and PostgreSQL, and one SQL text serves both: `$1`
// placeholders, BIGINT money, RETURNING, ON CONFLICT. What an engine can't share is in its own
// file under src/store/, and nowhere else does the program know which engine it runs on.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "nutgate/base/amount.h"
#include "nutgate/base/bytes.h"
#include "nutgate/base/clock.h"
#include "nutgate/base/id.h"
#include "nutgate/base/result.h"

namespace nutgate::store {

// The database could not do what it was told: it is gone, full, locked or corrupt. No caller can
// mend that inside a transaction, so it is thrown there, and Database::transact is the one place
// that catches it. It is the only exception that our own code throws.
struct StoreFailure {
    std::string detail;
};

using Value =
    std::variant<std::monostate, std::int64_t, std::string_view, std::span<const std::byte>>;

inline Value to_value(Msat amount) { return amount.raw(); }
inline Value to_value(std::int64_t number) { return number; }
inline Value to_value(int number) { return std::int64_t{number}; }
inline Value to_value(std::nullopt_t) { return std::monostate{}; }
inline Value to_value(BytesView bytes) { return bytes; }
inline Value to_value(Time time) { return to_unix_milliseconds(time); }  // Stored in milliseconds.
inline Value to_value(std::string_view text) { return text; }
template <class Tag, std::size_t N>
Value to_value(const ByteId<Tag, N>& id) {
    return std::span<const std::byte>{id.bytes()};
}
template <class Tag>
Value to_value(const TextId<Tag>& id) {
    return std::string_view{id.text()};
}

template <class T>
Value to_value(const std::optional<T>& value) {
    return value ? to_value(*value) : Value{std::monostate{}};
}

// One row of an answer, by column number, from 0, in the order of the SELECT or RETURNING. Asking
// a column for a type it does not have is a bug in the SQL beside the call: it VERIFYs.
class Row {
public:
    using Cell = std::variant<std::monostate, std::int64_t, std::string, std::vector<std::byte>>;

    explicit Row(std::vector<Cell> cells) : cells_{std::move(cells)} {}

    bool is_null(std::size_t column) const;
    std::int64_t integer(std::size_t column) const;
    const std::string& text(std::size_t column) const;
    std::span<const std::byte> bytes(std::size_t column) const;

    // A stored amount was valid when it was written; one that no longer is means corruption.
    Msat msat(std::size_t column) const;
    Time time(std::size_t column) const;
    template <class Id>
    Id id(std::size_t column) const {
        const auto stored = Id::from_bytes(bytes(column));
        VERIFY(stored.has_value());
        return *stored;
    }

private:
    std::vector<Cell> cells_;
};

// A consistent view of the database, to read from: all queries of one Reader see the same commit.
class Reader {
public:
    Reader() = default;
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;
    virtual ~Reader() = default;

    // Runs one statement. Returns its rows: all of them, so the SQL says LIMIT where there can be
    // many.
    template <class... Args>
    std::vector<Row> query(std::string_view sql, const Args&... args) {
        return run(sql, std::array<Value, sizeof...(Args)>{to_value(args)...}).rows;
    }

    // For a statement that finds one row or none.
    template <class... Args>
    std::optional<Row> query_one(std::string_view sql, const Args&... args) {
        auto rows = query(sql, args...);
        VERIFY(rows.size() <= 1);
        if (rows.empty()) return std::nullopt;
        return std::move(rows.front());
    }

    // Runs one statement and gives its rows to `take`, one after the other, as the engine comes to
    // them: for what may be more than memory should hold. `take` asks nothing of the database.
    using Take = std::function<void(Row&&)>;
    template <class... Args>
    void each(std::string_view sql, const Take& take, const Args&... args) {
        run_each(sql, std::array<Value, sizeof...(Args)>{to_value(args)...}, take);
    }

    // What query() and query_one() are made of: for arguments whose number is only known at run
    // time, and for a Tx that stands in front of another (the crash tests' does).
    struct Answer {
        std::vector<Row> rows;
        std::int64_t changed = 0;
    };
    virtual Answer run(std::string_view sql, std::span<const Value> args) = 0;
    // The same behind each().
    virtual void run_each(std::string_view sql, std::span<const Value> args, const Take& take) = 0;
};

// Proof that a transaction is open. A function which changes money takes a Tx&, so it can't be
// called outside of one, and whatever else its caller writes commits or fails with it.
//
// Not for use across a network call: the HTTP clients VERIFY that their thread holds no Tx.
class Tx : public Reader {
public:
    // Runs one statement. Returns how many rows it changed.
    template <class... Args>
    std::int64_t execute(std::string_view sql, const Args&... args) {
        return run(sql, std::array<Value, sizeof...(Args)>{to_value(args)...}).changed;
    }
};

class Database {
public:
    // What a submitted body ended in: empty if it was committed or chose to roll back.
    using Done = std::function<void(std::optional<StoreFailure>)>;

    Database() = default;
    Database(const Database&) = delete;
    Database& operator=(const Database&) = delete;
    virtual ~Database() = default;

    // Runs `body` in one serializable transaction and returns what it returned: a value commits,
    // a failure rolls back. `body` may run on another thread while its caller waits, together with
    // other callers' bodies under one commit, and more than once: when the engine reports a
    // conflict, or one of the others is not to be committed. So it must have no effect but through
    // its Tx, and moves nothing out of its captures.
    //
    // Thread-safe. Returns the body's error type made from StoreFailure if the database failed.
    // A commit whose fate is unknown counts as failed: every write that matters carries an id of
    // its caller's choosing, so the caller may simply do it again.
    //
    // Waits, so it is not for a data-plane thread, nor for a body: both are VERIFYed.
    template <class Body>
    auto transact(Body&& body) -> std::invoke_result_t<Body, Tx&>;

    // The same without waiting: for coroutines. `body` returns whether to commit; `done` is called
    // on the writer's thread once its fate is known, must not block, and is called exactly once. If
    // the queue is full or the database cannot be written to, it is called before submit returns.
    virtual void submit(std::function<bool(Tx&)> body, Done done) = 0;

    // Runs `body` on the caller's thread with a view that no writer can change or is kept from
    // writing by. Returns what the body returned, or its error type made from StoreFailure.
    // It too waits (for a connection, for the disk), so the same threads are kept from it.
    template <class Body>
    auto read(Body&& body) -> std::invoke_result_t<Body, Reader&>;

    // Behind back_up() in open.h: writes a consistent copy to `path`, which is there and empty.
    virtual Result<void, StoreFailure> copy_to(const std::string& path) = 0;

private:
    // Calls `body` within a transaction; `body` says whether to commit. Throws StoreFailure.
    virtual void run_transaction(const std::function<bool(Tx&)>& body) = 0;
    virtual void run_read(const std::function<void(Reader&)>& body) = 0;
};

// A data-plane thread declares itself, once, so that a wait on it is caught as the bug it is.
void forbid_waiting_on_this_thread();
// How many transactions or reads this thread is inside of: what the HTTP clients VERIFY to be zero.
int open_on_this_thread();

template <class Body>
auto Database::transact(Body&& body) -> std::invoke_result_t<Body, Tx&> {
    std::optional<std::invoke_result_t<Body, Tx&>> outcome;
    try {
        run_transaction([&](Tx& tx) {
            outcome.emplace(body(tx));
            return outcome->has_value();
        });
    } catch (StoreFailure& failure) {
        return fail(std::move(failure));
    }
    VERIFY(outcome.has_value());
    return *std::move(outcome);
}

template <class Body>
auto Database::read(Body&& body) -> std::invoke_result_t<Body, Reader&> {
    std::optional<std::invoke_result_t<Body, Reader&>> outcome;
    try {
        run_read([&](Reader& reader) { outcome.emplace(body(reader)); });
    } catch (StoreFailure& failure) {
        return fail(std::move(failure));
    }
    VERIFY(outcome.has_value());
    return *std::move(outcome);
}

}  // namespace nutgate::store
