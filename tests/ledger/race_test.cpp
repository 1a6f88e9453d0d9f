#include <atomic>
#include <latch>
#include <thread>
#include <vector>

#include "books.h"

using namespace nutgate;
using namespace nutgate::test;

namespace {

constexpr int kRacers = 64;

// How many of 64 threads that start at once get true.
template <class Body>
int winners(Body body) {
    std::latch start{kRacers};
    std::atomic<int> won = 0;
    {
        std::vector<std::jthread> racers;
        for (int n = 0; n < kRacers; ++n) {
            racers.emplace_back([&, n] {
                start.arrive_and_wait();
                if (body(n)) ++won;
            });
        }
    }
    return won;
}

}  // namespace

TEST_CASE("ledger: of 64 holds at once on what covers one, exactly one is granted") {
    Books books;
    CHECK_EQ(winners([&](int n) { return books.hold(100 + n, 501_msat).has_value(); }), 1);
    CHECK_EQ(books.alice().held, 501_msat);
}

TEST_CASE("ledger: of 64 holds at once exactly those fit that the balance covers") {
    Books books;
    CHECK_EQ(winners([&](int n) { return books.hold(100 + n, 90_msat).has_value(); }), 11);
    CHECK_EQ(books.alice().held, 990_msat);
}

TEST_CASE("ledger: of 64 refunds at once of the same balance one takes it") {
    Books books;
    const auto refund = [&](int n) {
        return books.transfer(100 + n, kAlice, kMint, 1000_msat).has_value();
    };
    CHECK_EQ(winners(refund), 1);
    CHECK_EQ(books.alice().posted, 0_msat);
}

TEST_CASE("ledger: of 64 equal transfers at once one is applied, the others were before") {
    Books books;
    std::atomic<int> now = 0;
    const auto transfer = [&](int) {
        const auto applied = books.transfer(100, kAlice, kRevenue, 10_msat);
        if (applied && *applied == Applied::Now) ++now;
        return applied.has_value();
    };
    CHECK_EQ(winners(transfer), kRacers);
    CHECK_EQ(now, 1);
    CHECK_EQ(books.alice().posted, 990_msat);
}

TEST_CASE("ledger: of posts and releases at once of one hold, one decides") {
    Books books;
    CHECK(books.hold(7, 500_msat));
    std::atomic<int> ended = 0;
    winners([&](int n) {
        if (n % 2 == 0) {
            const auto charge = books.post(7, 100_msat);
            if (charge && charge->applied == Applied::Now) ++ended;
            return charge.has_value();
        }
        const auto released = books.release(7);
        if (released && *released == Applied::Now) ++ended;
        return released.has_value();
    });
    CHECK_EQ(ended, 1);
    CHECK_EQ(books.alice().held, 0_msat);
}

TEST_CASE("ledger: whole requests at once add up") {
    Books books;
    const auto request = [&](int n) {
        for (int i = 0; i < 20; ++i) {
            const int id = 1000 + n * 20 + i;
            if (!books.hold(id, 10_msat)) continue;
            if (i % 3 == 0) {
                CHECK(books.release(id));
            } else {
                CHECK(books.post(id, i % 2 == 0 ? 1_msat : 0_msat));
            }
        }
        return true;
    };
    CHECK_EQ(winners(request), kRacers);
    CHECK_EQ(books.alice().held, 0_msat);
    CHECK_EQ(add(books.alice().posted, books.balance(kRevenue).posted), 1000_msat);
}
