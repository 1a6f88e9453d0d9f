#include "readiness.h"

#include <csignal>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

#include "nutgate/store/open.h"
#include "support/counter_table.h"
#include "support/fixed_clock.h"
#include "support/run_task.h"
#include "support/temp_dir.h"

using namespace nutgate;
using namespace nutgate::test;
using api::Readiness;

namespace {

using Fault = std::optional<std::string>;

// A database that answers when a test lets it.
class SilentDatabase final : public Database {
public:
    explicit SilentDatabase(Database& inner) : inner_{inner} {}
    void submit(std::function<bool(Tx&)> body, Done done) override {
        ++asked;
        body_ = std::move(body);
        done_ = std::move(done);
        if (!is_silent) answer();
    }
    void answer() { inner_.submit(std::move(body_), std::move(done_)); }
    Result<void, StoreFailure> copy_to(const std::string& path) override {
        return inner_.copy_to(path);
    }
    int asked = 0;
    bool is_silent = false;

private:
    void run_transaction(const std::function<bool(Tx&)>&) override { VERIFY(false); }
    void run_read(const std::function<void(Reader&)>&) override { VERIFY(false); }
    Database& inner_;
    std::function<bool(Tx&)> body_;
    Done done_;
};

struct World {
    TempDir folder;
    std::unique_ptr<Database> database =
        store::open(folder.database_url(), {.busy_timeout = Milliseconds{50}}).value();
    FixedClock clock;
    SilentDatabase silent{*database};
    Readiness readiness{silent, clock, [](Tx& tx) { increment(tx); }};

    World() { create_counter(*database); }
    Fault fault() { return run_task(readiness.fault()); }
};

}  // namespace

TEST_CASE("readiness: a database that takes a write is ready, and is asked once a second at most") {
    World world;
    for (int i = 0; i < 5; ++i) CHECK_FALSE(world.fault());
    CHECK(world.silent.asked == 1);
    CHECK(counter(*world.database) == 1);
    world.clock.advance(Readiness::kFresh);
    CHECK_FALSE(world.fault());
    CHECK(world.silent.asked == 2);
    world.clock.advance(Milliseconds{-60'000});
    CHECK_FALSE(world.fault());
    CHECK(world.silent.asked == 3);
}

TEST_CASE("readiness: whom another's lock keeps from writing is not ready until it is gone") {
    World world;
    const auto other = store::open(world.folder.database_url()).value();
    {
        const Blocker blocker{*other};
        CHECK(world.fault() == "the database does not take writes");
        CHECK(world.fault().has_value());
        CHECK(world.silent.asked == 1);
    }
    world.clock.advance(Readiness::kFresh);
    CHECK_FALSE(world.fault());
}

TEST_CASE("readiness: nobody waits for long, and nobody asks what was asked and not answered") {
    World world;
    world.silent.is_silent = true;
    CHECK(world.fault() == "the database does not answer");
    world.clock.advance(Readiness::kPatience);
    CHECK(world.fault() == "the database does not answer");  // At once.
    CHECK(world.silent.asked == 1);

    world.silent.is_silent = false;
    world.silent.answer();
    Submitted behind;  // Its answer comes after that one's.
    behind.submit(*world.database, [](Tx&) { return true; });
    behind.answered.wait();
    world.clock.advance(Readiness::kFresh);
    CHECK_FALSE(world.fault());
    CHECK(world.silent.asked == 2);
}

TEST_CASE("readiness: a disk that is full is not ready, and is again when there is room") {
    const TempDir folder;
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        std::signal(SIGXFSZ, SIG_IGN);
        const auto database = store::open(folder.database_url()).value();
        create_counter(*database);
        FixedClock clock;
        Readiness readiness{*database, clock, [](Tx& tx) { increment(tx); }};
        struct rlimit limit {};
        ::getrlimit(RLIMIT_FSIZE, &limit);
        const auto before = limit.rlim_cur;
        limit.rlim_cur = std::filesystem::file_size(folder.file("nutgate.db-wal"));
        ::setrlimit(RLIMIT_FSIZE, &limit);
        const bool refused = run_task(readiness.fault()) == "the database does not take writes";
        limit.rlim_cur = before;
        ::setrlimit(RLIMIT_FSIZE, &limit);
        clock.advance(Readiness::kFresh);
        const bool mended = !run_task(readiness.fault()).has_value();
        ::_exit((refused ? 0 : 1) + (mended ? 0 : 2));
    }
    int status = -1;
    CHECK(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
}
