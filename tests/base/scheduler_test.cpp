#include "nutgate/base/scheduler.h"

#include <doctest/doctest.h>

#include <atomic>
#include <latch>
#include <semaphore>

using namespace nutgate;

TEST_CASE("scheduler: a one-shot job runs once, a periodic one again and again") {
    std::atomic<int> once = 0;
    std::counting_semaphore<1000> ticks{0};
    Scheduler scheduler;
    scheduler.after(Milliseconds{0}, "once", [&](std::stop_token) { ++once; });
    scheduler.every(Milliseconds{1}, "tick", [&](std::stop_token) { ticks.release(); });
    for (int i = 0; i < 5; ++i) ticks.acquire();
    CHECK_EQ(once, 1);
}

TEST_CASE("scheduler: hurry brings a far job forward") {
    std::binary_semaphore ran{0};
    Scheduler scheduler;
    const auto id =
        scheduler.every(Milliseconds{3'600'000}, "far", [&](std::stop_token) { ran.release(); });
    scheduler.hurry(id);
    ran.acquire();
}

TEST_CASE("scheduler: a cancelled job does not run, and the end waits for the running one") {
    std::atomic<bool> cancelled_ran = false;
    std::atomic<bool> ended = false;
    std::binary_semaphore started{0};
    {
        Scheduler scheduler;
        const auto id = scheduler.after(Milliseconds{3'600'000}, "never",
                                        [&](std::stop_token) { cancelled_ran = true; });
        scheduler.cancel(id);
        scheduler.after(Milliseconds{0}, "long", [&](std::stop_token stop) {
            started.release();
            while (!stop.stop_requested()) std::this_thread::yield();
            ended = true;
        });
        started.acquire();
    }
    CHECK(ended);
    CHECK_FALSE(cancelled_ran);
}

TEST_CASE("scheduler: an owner that cancelled its jobs can wait until none of them runs") {
    Scheduler scheduler;
    scheduler.wait_for_running();  // None is: it does not wait.
    std::binary_semaphore started{0};
    std::binary_semaphore let_go{0};
    std::atomic<bool> ended = false;
    const auto id = scheduler.every(Milliseconds{1}, "mine", [&](std::stop_token) {
        started.release();
        let_go.acquire();
        ended = true;
    });
    started.acquire();
    scheduler.cancel(id);
    let_go.release();
    scheduler.wait_for_running();
    CHECK(ended);
}
