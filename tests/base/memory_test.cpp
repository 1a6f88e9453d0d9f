#include "nutgate/base/memory.h"

#include <doctest/doctest.h>

#include <atomic>

#include "nutgate/base/work_pool.h"

using namespace nutgate;

namespace {

std::atomic<int> collections = 0;

}  // namespace

// This program has mimalloc, as far as ours can tell.
extern "C" void mi_collect(bool force) {
    CHECK(force);
    ++collections;
    collections.notify_all();
}

TEST_CASE("memory: the allocator is asked to give back all that it can") {
    const int before = collections;
    give_back_free_memory();
    CHECK(collections == before + 1);
}

TEST_CASE("memory: a thread of a pool gives back once it rests, and works after that") {
    const int before = collections;
    WorkPool pool{"work", 1, 1};
    std::atomic<int> runs = 0;
    const auto run = [&] {
        REQUIRE(pool.submit([&](WorkPool::Turn) {
            ++runs;
            runs.notify_all();
        }));
    };
    run();
    runs.wait(0);
    while (collections == before) collections.wait(before);
    run();
    runs.wait(1);
    CHECK(runs == 2);
}
