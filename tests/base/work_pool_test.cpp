#include "nutgate/base/work_pool.h"

#include <doctest/doctest.h>

#include <atomic>
#include <latch>
#include <memory>
#include <semaphore>

using namespace nutgate;
using Turn = WorkPool::Turn;

TEST_CASE("work pool: what finds neither a thread nor a place in the queue is refused, uncalled") {
    std::binary_semaphore go_on{0};
    std::latch both_called{2};
    std::atomic<bool> third_called = false;
    WorkPool pool{"work", 1, 1};
    std::binary_semaphore started{0};
    REQUIRE(pool.submit([&](Turn) {
        started.release();
        go_on.acquire();
        both_called.count_down();
    }));
    started.acquire();
    REQUIRE(pool.submit([&](Turn) { both_called.count_down(); }));
    CHECK(pool.is_full());
    CHECK_FALSE(pool.submit([&](Turn) { third_called = true; }));
    go_on.release();
    both_called.wait();
    CHECK_FALSE(third_called);
}

TEST_CASE("work pool: a thread that is free is a place, even without a queue") {
    std::binary_semaphore ran{0};
    WorkPool pool{"work", 1, 0};
    while (!pool.submit([&](Turn) { ran.release(); })) std::this_thread::yield();
    ran.acquire();
}

TEST_CASE("work pool: its end calls what still waits, as closing, and no job twice") {
    std::binary_semaphore started{0};
    std::binary_semaphore go_on{0};
    std::atomic<int> run = 0;
    std::atomic<int> closed = 0;
    auto pool = std::make_unique<WorkPool>("work", 1, 10);
    REQUIRE(pool->submit([&](Turn turn) {
        started.release();
        go_on.acquire();
        if (turn == Turn::Run) ++run;
    }));
    started.acquire();
    for (int i = 0; i < 10; ++i) {
        REQUIRE(pool->submit([&](Turn turn) { ++(turn == Turn::Run ? run : closed); }));
    }
    std::jthread end{[&] { pool.reset(); }};
    // It ends with the job that runs, which waits for this.
    go_on.release();
    end.join();
    CHECK_EQ(run + closed, 11);
    CHECK_GE(run, 1);
}
