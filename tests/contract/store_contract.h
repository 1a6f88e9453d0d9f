// What every engine promises, whatever it is made of: include it, and instantiate it once per
// engine with
//
//     TYPE_TO_STRING(MyWorld);
//     NUTGATE_STORE_CONTRACT(MyWorld);
//
// A world has `open()`, which gives the same database each time, and `kDurable`: whether what was
// committed is there after a reopen.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "nutgate/store/migration.h"
#include "nutgate/store/open.h"
#include "support/counter_table.h"
#include "support/temp_dir.h"

// What follows expands in one file per program, where these names are its own.
using namespace nutgate;        // NOLINT(google-build-using-namespace)
using namespace nutgate::test;  // NOLINT(google-build-using-namespace)
using store::Migration;

TEST_CASE_TEMPLATE_DEFINE("store: many threads lose no update", World, store_contract_race) {
    World world;
    const auto database = world.open();
    create_counter(*database);
    constexpr int kThreads = 16;
    constexpr int kEach = 50;
    std::atomic<std::int64_t> sum = 0;
    {
        std::vector<std::jthread> threads;
        for (int t = 0; t < kThreads; ++t) {
            threads.emplace_back([&] {
                for (int i = 0; i < kEach; ++i) {
                    const auto n =
                        database->transact([](Tx& tx) -> Outcome { return increment(tx); });
                    sum += *n;
                }
            });
        }
    }
    constexpr std::int64_t kAll = kThreads * kEach;
    CHECK_EQ(counter(*database), kAll);
    CHECK_EQ(sum, kAll * (kAll + 1) / 2);  // Each value was answered once.
}

TEST_CASE_TEMPLATE_DEFINE("store: who rolls back leaves nothing, and its neighbours their work",
                          World, store_contract_rollback) {
    World world;
    const auto database = world.open();
    create_counter(*database);
    // The first of them does its work, and then the first two do not.
    for (const int first : {0, 2}) {
        const auto before = counter(*database);
        const auto all = submit_group(*database, 20, [first](int i, Tx& tx) {
            increment(tx);
            return i >= first && i % 2 == 0;
        });
        for (const auto& one : all) CHECK_FALSE(one->failure.has_value());
        CHECK_EQ(counter(*database), before + 10 - first / 2);
    }
    const auto there = counter(*database);
    const auto stopped = database->transact([](Tx& tx) -> Outcome {
        increment(tx);
        return fail(Stop{});
    });
    CHECK_FALSE(stopped.error().failure.has_value());
    CHECK_EQ(counter(*database), there);
}

TEST_CASE_TEMPLATE_DEFINE("store: where all do their work, nobody's is done twice", World,
                          store_contract_once) {
    World world;
    const auto database = world.open();
    create_counter(*database);
    std::array<int, 20> runs{};
    submit_group(*database, 20, [&runs](int i, Tx& tx) {
        ++runs.at(static_cast<std::size_t>(i));
        increment(tx);
        return true;
    });
    for (const int times : runs) CHECK_EQ(times, 1);
    CHECK_EQ(counter(*database), 20);
}

TEST_CASE_TEMPLATE_DEFINE("store: a body that fails is answered so and poisons no neighbour", World,
                          store_contract_failure) {
    World world;
    const auto database = world.open();
    create_counter(*database);
    const auto all = submit_group(*database, 9, [](int i, Tx& tx) {
        increment(tx);
        if (i % 3 == 1) tx.execute("UPDATE counter SET n = -1");  // The CHECK refuses it.
        if (i % 3 == 2) tx.execute("INSERT INTO nowhere VALUES (1)");
        return true;
    });
    for (std::size_t i = 0; i < all.size(); ++i) {
        CHECK_EQ(all[i]->failure.has_value(), i % 3 != 0);
    }
    CHECK_EQ(counter(*database), 3);
}

TEST_CASE_TEMPLATE_DEFINE("store: a failure that the body swallowed still rolls back", World,
                          store_contract_swallowed) {
    World world;
    const auto database = world.open();
    create_counter(*database);
    const auto outcome = database->transact([](Tx& tx) -> Outcome {
        increment(tx);
        try {
            tx.execute("INSERT INTO nowhere VALUES (1)");
        } catch (const StoreFailure&) {
        }
        return 1;
    });
    CHECK(outcome.error().failure.has_value());
    CHECK_EQ(counter(*database), 0);
}

TEST_CASE_TEMPLATE_DEFINE("store: a reader sees one commit, and keeps no writer waiting", World,
                          store_contract_snapshot) {
    World world;
    const auto database = world.open();
    create_counter(*database);
    const auto seen = database->read([&](Reader& reader) -> Outcome {
        CHECK_EQ(counter(reader), 0);
        std::jthread{[&] {
            CHECK(database->transact([](Tx& tx) -> Outcome { return increment(tx); }));
        }}.join();
        return counter(reader);
    });
    CHECK_EQ(*seen, 0);
    CHECK_EQ(counter(*database), 1);
}

TEST_CASE_TEMPLATE_DEFINE("store: nobody can write through a reader", World,
                          store_contract_read_only_reader) {
    World world;
    const auto database = world.open();
    create_counter(*database);
    const auto tried = database->read([](Reader& reader) -> Outcome {
        reader.query("UPDATE counter SET n = 7");
        return 0;
    });
    CHECK_FALSE(tried.has_value());
    CHECK_EQ(counter(*database), 0);
}

TEST_CASE_TEMPLATE_DEFINE("store: what was submitted is answered once, after its commit", World,
                          store_contract_submit) {
    World world;
    auto database = world.open();
    create_counter(*database);
    constexpr int kAll = 600;  // More than one group.
    std::vector<std::unique_ptr<Submitted>> all;
    for (int i = 0; i < kAll; ++i) {
        all.push_back(std::make_unique<Submitted>());
        all.back()->submit(*database, [](Tx& tx) {
            increment(tx);
            return true;
        });
    }
    all.front()->answered.wait();
    CHECK_GE(counter(*database), 1);
    database = nullptr;  // It finishes what is queued.
    for (auto& one : all) {
        CHECK_EQ(one->answers, 1);
        CHECK_FALSE(one->failure.has_value());
    }
    if (World::kDurable) CHECK_EQ(counter(*world.open()), kAll);
}

TEST_CASE_TEMPLATE_DEFINE("store: every type of value comes back as it went in", World,
                          store_contract_values) {
    World world;
    const auto database = world.open();
    const std::string text{"\xc3\xa9 \0 x", 6};
    const Bytes bytes{std::byte{0}, std::byte{255}};
    const KeyId id = *KeyId::parse("000102030405060708090a0b0c0d0e0f");
    CHECK(database->transact([&](Tx& tx) -> Outcome {
        tx.execute(
            "CREATE TABLE v (a BIGINT, b TEXT, c BLOB, d BIGINT, e BLOB, f TEXT, g BLOB, h "
            "BIGINT)");
        CHECK_EQ(tx.execute("INSERT INTO v VALUES ($2, $1, $3, $4, $5, $6, $7, $8)", text,
                            INT64_MIN, BytesView{bytes}, std::optional<std::int64_t>{}, id,
                            std::string_view{}, BytesView{}, from_unix_seconds(5)),
                 1);
        return 0;
    }));
    CHECK(database->read([&](Reader& reader) -> Outcome {
        const auto row = reader.query_one("SELECT a, b, c, d, e, f, g, h FROM v");
        CHECK_EQ(row->integer(0), INT64_MIN);
        CHECK_EQ(row->text(1), text);
        CHECK(std::ranges::equal(row->bytes(2), bytes));
        CHECK(row->is_null(3));
        CHECK(row->template id<KeyId>(4) == id);
        CHECK_EQ(row->text(5), "");
        CHECK(row->bytes(6).empty());
        CHECK(row->time(7) == from_unix_seconds(5));
        CHECK_FALSE(reader.query_one("SELECT a FROM v WHERE a = $1", 1).has_value());
        return 0;
    }));
}

TEST_CASE_TEMPLATE_DEFINE("store: execute says how many rows it changed", World,
                          store_contract_changed) {
    World world;
    const auto database = world.open();
    create_counter(*database);
    CHECK(database->transact([](Tx& tx) -> Outcome {
        constexpr std::string_view kInsert =
            "INSERT INTO counter (name, n) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        CHECK_EQ(tx.execute(kInsert, "b", 1), 1);
        CHECK_EQ(tx.execute(kInsert, "b", 1), 0);
        CHECK_EQ(tx.execute("UPDATE counter SET n = n + 1"), 2);
        CHECK_EQ(tx.execute("UPDATE counter SET n = 0 WHERE n > $1", 100), 0);
        CHECK_EQ(tx.execute("CREATE TABLE other (a BIGINT)"), 0);
        CHECK_EQ(tx.query("UPDATE counter SET n = n + 1 RETURNING n").size(), 2U);
        CHECK_EQ(tx.execute("DELETE FROM counter"), 2);
        return 0;
    }));
}

TEST_CASE_TEMPLATE_DEFINE("store: rows can come one by one, to readers and to writers", World,
                          store_contract_each) {
    World world;
    const auto database = world.open();
    create_counter(*database);
    // 0, 1, … 999: more than one of them is never asked for.
    constexpr std::string_view kThousand =
        "WITH RECURSIVE some (i) AS (SELECT $1 UNION ALL SELECT i + 1 FROM some WHERE i < 999) "
        "SELECT i FROM some ORDER BY i";
    const auto walk = [&](Reader& reader) -> Outcome {
        std::int64_t next = 0;
        reader.each(
            kThousand, [&](const store::Row& row) { next += row.integer(0) == next ? 1 : 0; }, 0);
        reader.each(
            kThousand, [&](const store::Row&) { ++next; }, 999);
        reader.each("SELECT n FROM counter WHERE n < 0", [&](const store::Row&) { ++next; });
        return next;
    };
    CHECK_EQ(*database->read(walk), 1001);
    CHECK_EQ(*database->transact(walk), 1001);
    CHECK_FALSE(database->transact([&](Tx& tx) -> Outcome {
        increment(tx);
        try {
            tx.each("SELECT n FROM nowhere", [](const store::Row&) {});
        } catch (const StoreFailure&) {
        }
        return 1;
    }));
    CHECK_EQ(counter(*database), 0);
}

TEST_CASE_TEMPLATE_DEFINE("store: what was committed survives", World, store_contract_durable) {
    if (!World::kDurable) return;
    World world;
    {
        const auto database = world.open();
        create_counter(*database);
        CHECK(database->transact([](Tx& tx) -> Outcome { return increment(tx); }));
    }
    CHECK_EQ(counter(*world.open()), 1);
}

TEST_CASE_TEMPLATE_DEFINE("store: migrations go forward, once, and never back", World,
                          store_contract_migrations) {
    World world;
    const auto database = world.open();
    const Migration first{1, "CREATE TABLE m (a BIGINT);\nINSERT INTO m VALUES (1);\n"};
    const Migration second{2, "INSERT INTO m VALUES (2)"};
    const Migration broken{3, "INSERT INTO m VALUES (3);\nINSERT INTO nowhere VALUES (1);"};
    const auto rows = [&] {
        return *database->read([](Reader& reader) -> Outcome {
            return reader.query_one("SELECT COUNT(*) FROM m")->integer(0);
        });
    };
    CHECK(store::migrate(*database, "m", std::array{first}));
    CHECK(store::migrate(*database, "m", std::array{first}));
    CHECK_EQ(rows(), 1);
    CHECK(store::migrate(*database, "m", std::array{first, second}));
    CHECK_EQ(rows(), 2);
    CHECK_FALSE(store::migrate(*database, "m", std::array{first, second, broken}));
    CHECK_EQ(rows(), 2);  // A step is applied whole or not at all.
    const auto older = store::migrate(*database, "m", std::array{first});
    REQUIRE_FALSE(older.has_value());
    CHECK_NE(older.error().detail.find("version 2"), std::string::npos);
    CHECK_EQ(rows(), 2);
    CHECK(store::migrate(*database, "another",
                         std::array{Migration{1, "CREATE TABLE n (a BIGINT)"}}));
    CHECK(store::migrate(*database, "m", std::array{first, second}));
}

TEST_CASE_TEMPLATE_DEFINE("store: a backup is the database, of one moment, beside writers", World,
                          store_contract_backup) {
    World world;
    const TempDir folder;
    const auto database = world.open();
    create_counter(*database);
    const auto target = folder.file("copy.db");
    {
        std::jthread writer{[&](std::stop_token stop) {
            while (!stop.stop_requested()) {
                CHECK(database->transact([](Tx& tx) -> Outcome { return increment(tx); }));
            }
        }};
        while (counter(*database) < 5) std::this_thread::yield();
        CHECK(store::back_up(*database, target));
    }
    CHECK_FALSE(store::back_up(*database, target));  // It never replaces a file.
    const auto copy = store::open("sqlite:" + target);
    REQUIRE(copy.has_value());
    CHECK_GE(counter(**copy), 5);
    CHECK_LE(counter(**copy), counter(*database));
    CHECK(copy.value()->transact([](Tx& tx) -> Outcome { return increment(tx); }));
    for (const auto& entry : std::filesystem::directory_iterator{folder.path()}) {
        CHECK_EQ(entry.path().string().find(".partial"), std::string::npos);
    }
}

#define NUTGATE_STORE_CONTRACT(World)                                  \
    TEST_CASE_TEMPLATE_INVOKE(store_contract_race, World);             \
    TEST_CASE_TEMPLATE_INVOKE(store_contract_rollback, World);         \
    TEST_CASE_TEMPLATE_INVOKE(store_contract_once, World);             \
    TEST_CASE_TEMPLATE_INVOKE(store_contract_failure, World);          \
    TEST_CASE_TEMPLATE_INVOKE(store_contract_swallowed, World);        \
    TEST_CASE_TEMPLATE_INVOKE(store_contract_snapshot, World);         \
    TEST_CASE_TEMPLATE_INVOKE(store_contract_read_only_reader, World); \
    TEST_CASE_TEMPLATE_INVOKE(store_contract_submit, World);           \
    TEST_CASE_TEMPLATE_INVOKE(store_contract_values, World);           \
    TEST_CASE_TEMPLATE_INVOKE(store_contract_changed, World);          \
    TEST_CASE_TEMPLATE_INVOKE(store_contract_each, World);             \
    TEST_CASE_TEMPLATE_INVOKE(store_contract_durable, World);          \
    TEST_CASE_TEMPLATE_INVOKE(store_contract_migrations, World);       \
    TEST_CASE_TEMPLATE_INVOKE(store_contract_backup, World)
