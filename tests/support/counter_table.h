// A table with one counter in it, and ways to write to it: what the store's tests do.
#pragma once

#include <doctest/doctest.h>

#include <atomic>
#include <functional>
#include <latch>
#include <memory>
#include <optional>
#include <semaphore>
#include <string_view>
#include <utility>
#include <vector>

#include "nutgate/store/store.h"

namespace nutgate::test {

using store::Database;
using store::Reader;
using store::StoreFailure;
using store::Tx;

struct Stop {
    Stop() = default;  // The body's own choice to roll back.
    Stop(StoreFailure f) : failure{std::move(f)} {}
    std::optional<StoreFailure> failure;
};
using Outcome = Result<std::int64_t, Stop>;

inline void create_counter(Database& database) {
    REQUIRE(database.transact([](Tx& tx) -> Outcome {
        tx.execute(
            "CREATE TABLE counter (name TEXT PRIMARY KEY, n BIGINT NOT NULL CHECK (n >= 0))");
        tx.execute("INSERT INTO counter (name, n) VALUES ($1, $2)", "a", 0);
        return 0;
    }));
}
inline std::int64_t counter(Reader& reader, std::string_view name = "a") {
    return reader.query_one("SELECT n FROM counter WHERE name = $1", name)->integer(0);
}
inline std::int64_t counter(Database& database, std::string_view name = "a") {
    return *database.read([&](Reader& reader) -> Outcome { return counter(reader, name); });
}
// Reads and writes in two statements: lost updates would show.
inline std::int64_t increment(Tx& tx) {
    const auto n = counter(tx) + 1;
    tx.execute("UPDATE counter SET n = $1 WHERE name = $2", n, "a");
    return n;
}

// Keeps the writer busy until it is let go, so that what is submitted meanwhile becomes one group.
class Blocker {
public:
    explicit Blocker(Database& database) {
        database.submit(
            [this](Tx&) {
                if (!std::exchange(started_, true)) running_.release();
                open_.acquire();
                open_.release();  // It may run again.
                return true;
            },
            [this](std::optional<StoreFailure>) { ended_.release(); });
        running_.acquire();
    }
    ~Blocker() {
        let_go();
        ended_.acquire();
    }
    Blocker(const Blocker&) = delete;
    Blocker& operator=(const Blocker&) = delete;
    void let_go() {
        if (!std::exchange(let_go_, true)) open_.release();
    }

private:
    bool let_go_ = false;
    bool started_ = false;
    std::counting_semaphore<> running_{0};
    std::counting_semaphore<> open_{0};
    std::counting_semaphore<> ended_{0};
};

// Submits and remembers how often, and with what, it was answered.
struct Submitted {
    std::atomic<int> answers = 0;
    std::optional<StoreFailure> failure;
    std::latch answered{1};

    void submit(Database& database, std::function<bool(Tx&)> body) {
        database.submit(std::move(body), [this](std::optional<StoreFailure> f) {
            failure = std::move(f);
            if (++answers == 1) answered.count_down();
        });
    }
};

// Submits so many bodies, each told its number, as one group, and waits for all answers.
inline std::vector<std::unique_ptr<Submitted>> submit_group(
    Database& database, int size, const std::function<bool(int, Tx&)>& body) {
    std::vector<std::unique_ptr<Submitted>> all;
    {
        const Blocker blocker{database};
        for (int i = 0; i < size; ++i) {
            all.push_back(std::make_unique<Submitted>());
            all.back()->submit(database, [&body, i](Tx& tx) { return body(i, tx); });
        }
    }
    for (const auto& one : all) one->answered.wait();
    return all;
}

}  // namespace nutgate::test
