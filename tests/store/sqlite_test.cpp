// What is SQLite's own: the disk that is full, the lock of another process, the file's folder.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <filesystem>
#include <map>
#include <string>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "nutgate/store/migration.h"
#include "nutgate/store/open.h"
#include "support/counter_table.h"
#include "support/dies.h"
#include "support/temp_dir.h"

using namespace nutgate;
using namespace nutgate::test;

namespace {

const store::OpenOptions kImpatient{.busy_timeout = Milliseconds{50}};

std::unique_ptr<Database> open(const TempDir& folder, const store::OpenOptions& options = {}) {
    return store::open(folder.database_url(), options).value();
}

std::int64_t rows(Database& database, const std::string& table) {
    return *database.read([&](Reader& reader) -> Outcome {
        return reader.query_one("SELECT COUNT(*) FROM " + table)->integer(0);
    });
}

// Leaves room for a few pages more.
void fill_disk_soon(Database& database) {
    REQUIRE(database.transact([](Tx& tx) -> Outcome {
        const auto pages = tx.query_one("PRAGMA page_count")->integer(0);
        tx.query("PRAGMA max_page_count = " + std::to_string(pages + 20));
        return 0;
    }));
}

}  // namespace

TEST_CASE("sqlite: a full disk fails who filled it, and keeps the neighbours' work") {
    const TempDir folder;
    const auto database = open(folder);
    create_counter(*database);
    CHECK(database->transact([](Tx& tx) -> Outcome {
        tx.execute("CREATE TABLE big (a BLOB, b BIGINT UNIQUE)");
        return 0;
    }));
    fill_disk_soon(*database);
    const Bytes too_much(200'000, std::byte{1});
    const auto all = submit_group(*database, 12, [&](int i, Tx& tx) {
        increment(tx);
        // One row alone undoes the whole transaction, many at once only their statement.
        if (i == 5) tx.execute("INSERT INTO big VALUES ($1, 1)", BytesView{too_much});
        if (i == 8) {
            tx.execute(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
                "WHERE i < 5) INSERT INTO big SELECT $1, i FROM n",
                BytesView{too_much});
        }
        return true;
    });
    for (std::size_t i = 0; i < all.size(); ++i) {
        CHECK_EQ(all[i]->failure.has_value(), i == 5 || i == 8);
        CHECK_EQ(all[i]->answers, 1);
    }
    CHECK_EQ(counter(*database), 10);
    CHECK_EQ(rows(*database, "big"), 0);
}

TEST_CASE("sqlite: a disk that stays full fails everybody, and mends when there is room") {
    const TempDir folder;
    const auto database = open(folder);
    CHECK(database->transact([](Tx& tx) -> Outcome {
        tx.execute("CREATE TABLE big (a BLOB)");
        return 0;
    }));
    fill_disk_soon(*database);
    const Bytes page(8'000, std::byte{1});
    const auto insert = [&](Tx& tx) -> Outcome {
        tx.execute("INSERT INTO big VALUES ($1)", BytesView{page});
        return 0;
    };
    std::int64_t inserted = 0;
    while (database->transact(insert)) ++inserted;
    CHECK_GT(inserted, 2);
    CHECK_FALSE(database->transact(insert).has_value());
    CHECK_EQ(rows(*database, "big"), inserted);
    CHECK(database->transact([](Tx& tx) -> Outcome {
        tx.query("PRAGMA max_page_count = 100000");
        return 0;
    }));
    CHECK(database->transact(insert));
    CHECK_EQ(rows(*database, "big"), inserted + 1);
}

TEST_CASE("sqlite: if the commit fails, nobody's work was done and everybody is told") {
    const TempDir folder;
    const auto database = open(folder);
    create_counter(*database);
    CHECK(database->transact([](Tx& tx) -> Outcome {
        tx.execute(
            "CREATE TABLE child (name TEXT REFERENCES counter (name) DEFERRABLE INITIALLY "
            "DEFERRED)");
        return 0;
    }));
    const auto all = submit_group(*database, 5, [](int i, Tx& tx) {
        increment(tx);
        if (i == 2) tx.execute("INSERT INTO child VALUES ('nobody')");
        return true;
    });
    for (const auto& one : all) {
        CHECK(one->failure.has_value());
        CHECK_EQ(one->answers, 1);
    }
    CHECK_EQ(counter(*database), 0);
    CHECK(database->transact([](Tx& tx) -> Outcome { return increment(tx); }));
    CHECK_EQ(counter(*database), 1);
}

TEST_CASE("sqlite: a file that cannot grow fails the commit, and nothing of it is there later") {
    const TempDir folder;
    // In a child, since the limit is the process's.
    const pid_t child = ::fork();
    REQUIRE_GE(child, 0);
    if (child == 0) {
        std::signal(SIGXFSZ, SIG_IGN);
        const auto database = open(folder);
        create_counter(*database);
        struct rlimit limit {};
        ::getrlimit(RLIMIT_FSIZE, &limit);
        const auto before = limit.rlim_cur;
        limit.rlim_cur = std::filesystem::file_size(folder.file("nutgate.db-wal"));
        ::setrlimit(RLIMIT_FSIZE, &limit);
        const auto add_one = [](Tx& tx) -> Outcome { return increment(tx); };
        const bool refused = !database->transact(add_one) && !database->transact(add_one);
        const bool nothing_done = counter(*database) == 0;
        limit.rlim_cur = before;
        ::setrlimit(RLIMIT_FSIZE, &limit);
        const bool mended = database->transact(add_one).has_value() && counter(*database) == 1;
        ::_exit((refused ? 0 : 1) + (nothing_done ? 0 : 2) + (mended ? 0 : 4));
    }
    int status = -1;
    CHECK_EQ(::waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    CHECK_EQ(counter(*open(folder)), 1);
}

TEST_CASE("sqlite: while another holds the lock, a write fails in bounded time, then works again") {
    const TempDir folder;
    const auto other = open(folder);
    create_counter(*other);
    const auto database = open(folder, kImpatient);
    {
        Blocker blocker{*other};
        const auto refused = database->transact([](Tx& tx) -> Outcome { return increment(tx); });
        CHECK(refused.error().failure.has_value());
        CHECK_EQ(counter(*database), 0);  // Reading goes on.
    }
    CHECK(database->transact([](Tx& tx) -> Outcome { return increment(tx); }));
    CHECK_EQ(counter(*other), 1);
}

TEST_CASE("sqlite: two processes lose no update") {
    const TempDir folder;
    create_counter(*open(folder));
    constexpr int kEach = 200;
    const auto work = [&] {
        const auto database = open(folder);
        int done = 0;
        for (int i = 0; i < kEach; ++i) {
            if (database->transact([](Tx& tx) -> Outcome { return increment(tx); })) ++done;
        }
        return done == kEach;
    };
    const pid_t child = ::fork();
    REQUIRE_GE(child, 0);
    if (child == 0) ::_exit(work() ? 0 : 1);
    CHECK(work());
    int status = -1;
    CHECK_EQ(::waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    CHECK_EQ(counter(*open(folder)), 2 * kEach);
}

TEST_CASE("sqlite: what a killed process committed is there, and what it did not is not") {
    const TempDir folder;
    const pid_t child = ::fork();
    REQUIRE_GE(child, 0);
    if (child == 0) {
        const auto database = open(folder);
        create_counter(*database);
        (void)database->transact([](Tx& tx) -> Outcome { return increment(tx); });
        (void)database->transact([](Tx& tx) -> Outcome {
            increment(tx);
            ::_exit(9);
        });
    }
    int status = -1;
    CHECK_EQ(::waitpid(child, &status, 0), child);
    CHECK_EQ(WEXITSTATUS(status), 9);
    SUBCASE("read by a command that only reads") {
        const auto reader = store::open_read_only(folder.database_url());
        REQUIRE(reader.has_value());
        CHECK_EQ(counter(**reader), 1);
    }
    SUBCASE("opened by the next process") { CHECK_EQ(counter(*open(folder)), 1); }
}

TEST_CASE("sqlite: a queue that is full answers at once") {
    const TempDir folder;
    const auto database = open(folder, {.queue_max = 3});
    create_counter(*database);
    std::vector<std::unique_ptr<Submitted>> all;
    {
        Blocker blocker{*database};
        for (int i = 0; i < 5; ++i) {
            all.push_back(std::make_unique<Submitted>());
            all.back()->submit(*database, [](Tx& tx) {
                increment(tx);
                return true;
            });
            CHECK_EQ(all.back()->answers, i < 3 ? 0 : 1);
        }
    }
    for (auto& one : all) one->answered.wait();
    CHECK_EQ(counter(*database), 3);
}

TEST_CASE("sqlite: a database that rehearses runs a body twice, and what it did is there once") {
    const TempDir folder;
    const auto database = open(folder, {.rehearses = true});
    create_counter(*database);
    int runs = 0;
    const auto commit = [&](bool commits) {
        Submitted one;
        one.submit(*database, [&](Tx& tx) {
            ++runs;
            increment(tx);
            return commits;
        });
        one.answered.wait();
    };
    commit(true);
    CHECK_EQ(runs, 2);
    CHECK_EQ(counter(*database), 1);
    commit(false);
    CHECK_EQ(counter(*database), 1);
}

TEST_CASE("sqlite: more reads than connections wait, and not for ever") {
    const TempDir folder;
    const auto database = open(folder, {.busy_timeout = Milliseconds{50}, .readers_max = 1});
    create_counter(*database);
    CHECK(database->read([&](Reader&) -> Outcome {
        std::jthread{[&] {
            CHECK_FALSE(database->read([](Reader&) -> Outcome { return 0; }).has_value());
        }}.join();
        return 0;
    }));
    CHECK_EQ(counter(*database), 0);
}

TEST_CASE("sqlite: the file and what lies beside it are for their owner's eyes only") {
    const TempDir folder;
    const auto database = open(folder);
    create_counter(*database);
    CHECK(store::back_up(*database, folder.file("copy.db")));
    int files = 0;
    for (const auto& entry : std::filesystem::directory_iterator{folder.path()}) {
        struct stat info {};
        REQUIRE_EQ(::stat(entry.path().c_str(), &info), 0);
        CHECK_EQ(info.st_mode & 0777, 0600);
        ++files;
    }
    CHECK_EQ(files, 4);
}

TEST_CASE("sqlite: opening to read changes nothing that matters, and never writes") {
    const TempDir folder;
    const store::Migration step{1, "CREATE TABLE m (a BIGINT)"};
    {
        const auto database = open(folder);
        create_counter(*database);
        CHECK(store::migrate(*database, "m", std::array{step}));
    }
    const auto written = std::filesystem::last_write_time(folder.file("nutgate.db"));
    {
        const auto reader = store::open_read_only(folder.database_url()).value();
        CHECK_EQ(counter(*reader), 0);
        CHECK(store::migrate(*reader, "m", std::array{step}));  // Nothing to do.
        CHECK_FALSE(store::migrate(*reader, "other", std::array{step}));
        CHECK_FALSE(reader->transact([](Tx& tx) -> Outcome { return increment(tx); }).has_value());
        Submitted submitted;
        submitted.submit(*reader, [](Tx&) { return true; });
        CHECK(submitted.failure.has_value());
        CHECK(store::back_up(*reader, folder.file("copy.db")));
    }
    CHECK(std::filesystem::last_write_time(folder.file("nutgate.db")) == written);
    CHECK_FALSE(store::open_read_only("sqlite:" + folder.file("none.db")).has_value());
    CHECK_FALSE(std::filesystem::exists(folder.file("none.db")));
    const auto database = open(folder);  // What the reader left behind is in nobody's way.
    CHECK(database->transact([](Tx& tx) -> Outcome { return increment(tx); }));
}

TEST_CASE("sqlite: beside a running node a reader of another process sees each commit") {
    const TempDir folder;
    const auto database = open(folder);
    create_counter(*database);
    const auto reader = store::open_read_only(folder.database_url()).value();
    for (int i = 1; i < 4; ++i) {
        CHECK(database->transact([](Tx& tx) -> Outcome { return increment(tx); }));
        CHECK_EQ(counter(*reader), i);
    }
}

TEST_CASE("sqlite: a backup is prepared before it appears, or does not appear") {
    const TempDir folder;
    const auto database = open(folder);
    create_counter(*database);
    const auto raise = [](Database& copy) -> Result<void, StoreFailure> {
        return copy.transact([](Tx& tx) -> Result<void, StoreFailure> {
            increment(tx);
            return {};
        });
    };
    REQUIRE(store::back_up(*database, folder.file("raised.db"), raise));
    CHECK_EQ(counter(*database), 0);
    CHECK_EQ(counter(*store::open("sqlite:" + folder.file("raised.db")).value()), 1);
    CHECK_FALSE(store::back_up(*database, folder.file("none.db"),
                               [&](Database& copy) -> Result<void, StoreFailure> {
                                   REQUIRE(raise(copy));
                                   return fail(StoreFailure{"no"});
                               }));
    for (const auto& entry : std::filesystem::directory_iterator{folder.file(".")}) {
        CHECK_EQ(entry.path().filename().string().find("none.db"), std::string::npos);
        CHECK_EQ(entry.path().filename().string().find("partial"), std::string::npos);
    }
}

TEST_CASE("sqlite: what cannot be opened says why") {
    CHECK_NE(store::open("mysql:x").error().detail.find("sqlite:"), std::string::npos);
    CHECK_FALSE(store::open("sqlite:").has_value());
    CHECK_FALSE(store::open("sqlite:/nowhere/at/all/x.db").has_value());
    CHECK_FALSE(store::open("sqlite:/").has_value());
}

TEST_CASE("sqlite: more texts than the cache holds run all the same") {
    const auto database = store::open("sqlite::memory:").value();
    create_counter(*database);
    CHECK(database->transact([](Tx& tx) -> Outcome {
        for (int i = 0; i < 3000; ++i) {
            CHECK_EQ(tx.query_one("SELECT " + std::to_string(i))->integer(0), i);
        }
        return increment(tx);
    }));
}

TEST_CASE("store: waiting where it could last for ever ends the process") {
    const auto nothing = [](Reader&) -> Outcome { return 0; };
    CHECK(dies([&] {
        const auto database = store::open("sqlite::memory:").value();
        (void)database->transact([&](Tx&) -> Outcome { return database->transact(nothing); });
    }));
    CHECK(dies([&] {
        const auto database = store::open("sqlite::memory:").value();
        (void)database->read([&](Reader&) -> Outcome { return database->transact(nothing); });
    }));
    CHECK(dies([&] {
        const auto database = store::open("sqlite::memory:").value();
        (void)database->read([&](Reader&) -> Outcome { return database->read(nothing); });
    }));
    CHECK(dies([&] {
        const auto database = store::open("sqlite::memory:").value();
        store::forbid_waiting_on_this_thread();
        (void)database->transact(nothing);
    }));
    CHECK_FALSE(dies([&] {
        const auto database = store::open("sqlite::memory:").value();
        (void)database->transact(nothing);
    }));
}

TEST_CASE("store: who is handed rows asks for no others meanwhile") {
    const auto walk = [](std::string_view inner) {
        const auto database = store::open("sqlite::memory:").value();
        (void)database->read([&](Reader& reader) -> Outcome {
            reader.each("SELECT 1", [&](const store::Row&) {
                if (!inner.empty()) reader.query(inner);
            });
            return 0;
        });
    };
    CHECK(dies([&] { walk("SELECT 1"); }));
    CHECK(dies([&] { walk("SELECT 2"); }));
    CHECK_FALSE(dies([&] { walk(""); }));
}

TEST_CASE("store: a thread knows what it is inside of") {
    const auto database = store::open("sqlite::memory:").value();
    CHECK_EQ(store::open_on_this_thread(), 0);
    const auto open_here = [](Reader&) -> Outcome { return store::open_on_this_thread(); };
    CHECK_EQ(*database->transact(open_here), 1);
    CHECK_EQ(*database->read(open_here), 1);
    CHECK_EQ(store::open_on_this_thread(), 0);
}

TEST_CASE("store: SQL that does not fit its arguments ends the process") {
    const auto run = [](auto query) {
        return dies([&] {
            const auto database = store::open("sqlite::memory:").value();
            (void)database->read([&](Reader& reader) -> Outcome { return query(reader); });
        });
    };
    CHECK(run([](Reader& r) { return r.query_one("SELECT $1")->integer(0); }));
    CHECK(run([](Reader& r) { return r.query_one("SELECT $2", 1, 2)->integer(0); }));
    CHECK(run([](Reader& r) { return r.query_one("SELECT 1; SELECT 2")->integer(0); }));
    CHECK(run([](Reader& r) { return r.query_one("SELECT 'x'")->integer(0); }));
    CHECK(run([](Reader& r) { return r.query_one("SELECT 1")->integer(1); }));
    CHECK_FALSE(run([](Reader& r) { return r.query_one("SELECT $1", 1)->integer(0); }));
}
