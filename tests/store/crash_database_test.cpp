#include "support/crash_database.h"

#include <doctest/doctest.h>

#include <optional>
#include <semaphore>
#include <utility>

#include "nutgate/store/open.h"

using namespace nutgate;
using test::CrashDatabase;

namespace {

using Outcome = Result<bool, store::StoreFailure>;

Outcome add_two(store::Database& database) {
    return database.transact([](store::Tx& tx) -> Outcome {
        tx.execute("INSERT INTO t VALUES (1)");
        tx.execute("INSERT INTO t VALUES (2)");
        return true;
    });
}

}  // namespace

TEST_CASE("crash database: it stops at each statement and on both sides of each commit") {
    int committed = 0;
    std::int64_t n = 1;
    for (;; ++n) {
        const auto real = store::open("sqlite::memory:").value();
        CHECK(real->transact([](store::Tx& tx) -> Outcome {
            tx.execute("CREATE TABLE t (a BIGINT)");
            return true;
        }));
        CrashDatabase crash{*real};
        crash.crash_at(n);
        const auto first = add_two(crash);
        const auto second = add_two(crash);
        const auto read = crash.read([](store::Reader&) -> Outcome { return true; });
        if (!crash.crashed()) {
            CHECK(second);
            CHECK(read);
            break;
        }
        CHECK_FALSE(second.has_value());
        CHECK_FALSE(read.has_value());
        const auto rows =
            real->read([](store::Reader& r) -> Result<std::int64_t, store::StoreFailure> {
                return r.query_one("SELECT COUNT(*) FROM t")->integer(0);
            });
        CHECK_EQ(*rows % 2, 0);
        // Before the fourth event nothing was committed; from the eighth both were.
        CHECK_EQ(*rows, n < 4 ? 0 : n < 8 ? 2 : 4);
        CHECK_EQ(first.has_value(), n > 4);
        if (*rows > 0 && !first) ++committed;
    }
    CHECK_EQ(n, 9);
    CHECK_EQ(committed, 1);  // Done, and nobody was told.
}

TEST_CASE("crash database: what was submitted dies like the rest, and is answered") {
    for (std::int64_t n = 1;; ++n) {
        const auto real = store::open("sqlite::memory:").value();
        CrashDatabase crash{*real};
        crash.crash_at(n);
        std::binary_semaphore answered{0};
        std::optional<store::StoreFailure> failure;
        crash.submit(
            [](store::Tx& tx) {
                tx.execute("CREATE TABLE t (a BIGINT)");
                return true;
            },
            [&](std::optional<store::StoreFailure> f) {
                failure = std::move(f);
                answered.release();
            });
        answered.acquire();
        CHECK_EQ(failure.has_value(), crash.crashed());
        const bool there = real->read([](store::Reader& r) -> Outcome {
                                   r.query("SELECT a FROM t");
                                   return true;
                               })
                               .has_value();
        CHECK_EQ(there, n >= 3);
        if (!crash.crashed()) {
            CHECK_EQ(n, 4);
            break;
        }
    }
}
