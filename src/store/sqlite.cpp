#include "sqlite.h"

#include <chrono>
#include <condition_variable>
#include <fcntl.h>
#include <filesystem>
#include <stdlib.h>
#include <system_error>
#include <unistd.h>
#include <utility>
#include <vector>

#include "nutgate/base/sync.h"
#include "nutgate/base/verify.h"
#include "sqlite_connection.h"
#include "sqlite_writer.h"
#include "waiting.h"

namespace nutgate::store {
namespace {

class SqliteReader final : public Reader {
public:
    explicit SqliteReader(Connection& connection) : connection_{connection} {}

    Answer run(std::string_view sql, std::span<const Value> args) override {
        return connection_.run(sql, args);
    }
    void run_each(std::string_view sql, std::span<const Value> args, const Take& take) override {
        connection_.run_each(sql, args, take);
    }

private:
    Connection& connection_;
};

// Connections to read with, opened as they are needed and lent to one read at a time.
class ReaderPool {
public:
    ReaderPool(std::string path, Connection::Mode mode, const OpenOptions& options)
        : path_{std::move(path)}, mode_{mode}, options_{options} {}

    std::unique_ptr<Connection> take() {
        {
            const Lock lock{mutex_};
            const auto deadline = std::chrono::steady_clock::now() + options_.busy_timeout;
            while (idle_.empty() && lent_ == options_.readers_max) {
                if (changed_.wait_until(mutex_, deadline) == std::cv_status::timeout &&
                    idle_.empty() && lent_ == options_.readers_max) {
                    throw StoreFailure{"too many reads at once"};
                }
            }
            ++lent_;
            if (!idle_.empty()) {
                auto connection = std::move(idle_.back());
                idle_.pop_back();
                return connection;
            }
        }
        try {
            return std::make_unique<Connection>(path_, mode_, options_.busy_timeout);
        } catch (const StoreFailure&) {
            give_back(nullptr);
            throw;  // style: it is a StoreFailure
        }
    }

    void give_back(std::unique_ptr<Connection> connection) {
        {
            const Lock lock{mutex_};
            --lent_;
            if (connection) idle_.push_back(std::move(connection));
        }
        changed_.notify_one();
    }

private:
    // Constant after construction.
    const std::string path_;
    const Connection::Mode mode_;
    const OpenOptions options_;

    Mutex mutex_;
    std::condition_variable_any changed_;
    std::vector<std::unique_ptr<Connection>> idle_ GUARDED_BY(mutex_);
    std::size_t lent_ GUARDED_BY(mutex_) = 0;
};

void read_with(ReaderPool& readers, const std::function<void(Reader&)>& body) {
    verify_may_wait();
    auto connection = readers.take();
    try {
        // Deferred: the view is that of the first query, and stays it.
        connection->run("BEGIN");
        SqliteReader reader{*connection};
        const OpenMark mark;
        body(reader);
    } catch (const StoreFailure&) {
        connection->roll_back();
        readers.give_back(std::move(connection));
        throw;  // style: it is a StoreFailure, on its way to Database::read()
    }
    connection->roll_back();
    readers.give_back(std::move(connection));
}

Result<void, StoreFailure> copy_file_to(const std::string& from, const std::string& to,
                                        const OpenOptions& options) {
    verify_may_wait();
    try {
        Connection connection{from, Connection::Mode::Copier, options.busy_timeout};
        connection.run("VACUUM INTO $1", std::array{to_value(std::string_view{to})});
        return {};
    } catch (StoreFailure& failure) {
        return fail(std::move(failure));
    }
}

class SqliteDatabase : public Database {
public:
    SqliteDatabase(std::string path, Connection::Mode writer, const OpenOptions& options)
        : path_{std::move(path)},
          options_{options},
          writer_{std::make_unique<Connection>(path_, writer, options.busy_timeout), options},
          readers_{path_, Connection::Mode::Reader, options} {}

    void submit(std::function<bool(Tx&)> body, Done done) override {
        writer_.submit(std::move(body), std::move(done));
    }
    Result<void, StoreFailure> copy_to(const std::string& path) override {
        return copy_file_to(path_, path, options_);
    }

private:
    void run_transaction(const std::function<bool(Tx&)>& body) override {
        verify_may_wait();
        struct {
            Mutex mutex;
            std::condition_variable_any changed;
            bool done = false;
            std::optional<StoreFailure> failure;
        } answer;
        writer_.submit([&body](Tx& tx) { return body(tx); },
                       [&answer](std::optional<StoreFailure> failure) {
                           // Notified under the lock: the waiter may be gone right after it.
                           const Lock lock{answer.mutex};
                           answer.failure = std::move(failure);
                           answer.done = true;
                           answer.changed.notify_one();
                       });
        const Lock lock{answer.mutex};
        while (!answer.done) answer.changed.wait(answer.mutex);
        if (answer.failure) throw StoreFailure{*std::move(answer.failure)};
    }
    void run_read(const std::function<void(Reader&)>& body) override { read_with(readers_, body); }

    const std::string path_;
    const OpenOptions options_;
    Writer writer_;
    ReaderPool readers_;  // After the writer: the last connection to close tidies the WAL away.
};

class ReadOnlySqliteDatabase final : public Database {
public:
    ReadOnlySqliteDatabase(const std::string& path, const OpenOptions& options)
        : path_{path}, options_{options}, readers_{path, Connection::Mode::ForeignReader, options} {
        readers_.give_back(readers_.take());  // Fails now rather than at the first read.
    }

    void submit(std::function<bool(Tx&)>, Done done) override { done(refusal()); }
    Result<void, StoreFailure> copy_to(const std::string& path) override {
        return copy_file_to(path_, path, options_);
    }

private:
    static StoreFailure refusal() { return {"this database was opened to read only"}; }

    void run_transaction(const std::function<bool(Tx&)>&) override {
        verify_may_wait();
        throw StoreFailure{refusal()};
    }
    void run_read(const std::function<void(Reader&)>& body) override { read_with(readers_, body); }

    const std::string path_;
    const OpenOptions options_;
    ReaderPool readers_;
};

// A folder that goes with its last user.
class ScratchFolder {
public:
    ScratchFolder() {
        std::error_code error;
        const auto parent = std::filesystem::temp_directory_path(error);
        std::string path = (error ? std::filesystem::path{"/tmp"} : parent) / "nutgate-XXXXXX";
        if (mkdtemp(path.data()) == nullptr) throw StoreFailure{"cannot make a temporary folder"};
        path_ = std::move(path);
    }
    ~ScratchFolder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    ScratchFolder(const ScratchFolder&) = delete;
    ScratchFolder& operator=(const ScratchFolder&) = delete;

    std::string file() const { return path_ / "memory.db"; }

private:
    std::filesystem::path path_;
};

// SQLite's own in-memory databases let a reader keep the writer waiting, or see half of its work;
// a file that nobody syncs does neither and is as fast.
class MemorySqliteDatabase final : private ScratchFolder, public SqliteDatabase {
public:
    explicit MemorySqliteDatabase(const OpenOptions& options)
        : SqliteDatabase{file(), Connection::Mode::MemoryWriter, options} {}
};

// The proofs in it are money, so nobody else may read it; -wal and -shm take over its mode.
void create_private_file(const std::string& path) {
    const int file = ::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    if (file < 0) {
        throw StoreFailure{"cannot open " + path + ": " + std::generic_category().message(errno)};
    }
    ::close(file);
}

}  // namespace

std::unique_ptr<Database> open_sqlite(const std::string& path, const OpenOptions& options) {
    create_private_file(path);
    return std::make_unique<SqliteDatabase>(path, Connection::Mode::Writer, options);
}

std::unique_ptr<Database> open_sqlite_in_memory(const OpenOptions& options) {
    return std::make_unique<MemorySqliteDatabase>(options);
}

std::unique_ptr<Database> open_sqlite_read_only(const std::string& path,
                                                const OpenOptions& options) {
    return std::make_unique<ReadOnlySqliteDatabase>(path, options);
}

}  // namespace nutgate::store
