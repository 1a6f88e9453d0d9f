// The store's promise, against a disk that loses its power: what was answered as committed is
// there, whole, and nothing else is there in part. Many threads, the real group commit, and
// checkpoints every few pages; the power goes at any write or sync, in the recovery after another
// cut, too.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <latch>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "nutgate/ledger/ledger.h"
#include "nutgate/store/open.h"
#include "support/dies.h"
#include "support/fixed_clock.h"
#include "support/power_loss_disk.h"
#include "support/temp_dir.h"

using namespace nutgate;

namespace {

constexpr int kThreads = 4;
constexpr int kJobsOfThread = 12;
constexpr int kLives = 3;

const Account kMint{AccountKind::Ecash, "https://mint.example:sat"};
const Account kAlice{AccountKind::Key, "alice"};

struct Error {
    Error() = default;  // The body's own choice to roll back.
    Error(store::StoreFailure failure) : detail{std::move(failure.detail)} {}
    std::string detail;
};

Msat msat(std::int64_t n) { return *Msat::from_raw(n); }

// One transaction: some transfers, and a note that fills some pages.
struct Job {
    enum class Fate { Unknown, There, NotThere };

    int number = 0;
    int legs = 0;
    std::size_t note_size = 0;
    bool commits = true;
    Fate fate = Fate::Unknown;

    Transfer leg(int n) const {
        ByteArray<32> id{};
        id[0] = static_cast<std::byte>(number);
        id[1] = static_cast<std::byte>(number >> 8);
        id[2] = static_cast<std::byte>(n);
        return {TransferId{id}, kMint, kAlice, msat(1 + number % 7)};
    }
    Msat sum() const { return msat(std::int64_t{legs} * (1 + number % 7)); }

    bool run(store::Tx& tx, Ledger& ledger) const {
        for (int n = 0; n < legs; ++n) {
            if (!ledger.transfer(tx, leg(n))) return false;
        }
        tx.execute("INSERT INTO note (job, body) VALUES ($1, $2)", number,
                   BytesView{Bytes(note_size, static_cast<std::byte>(number))});
        return commits;
    }
};

class Machine {
public:
    explicit Machine(std::uint64_t seed) : seeded_{seed}, disk_{seed} {
        const auto database = open().value();
        VERIFY(Ledger::migrate(*database).has_value());
        VERIFY(database->transact([](store::Tx& tx) -> Result<bool, Error> {
            tx.execute("CREATE TABLE note (job BIGINT PRIMARY KEY, body BLOB NOT NULL)");
            return true;
        }));
    }

    void lie() { disk_.lie(); }

    // Works until the power goes, then finds out what is left. Returns what is wrong with it.
    std::string live() {
        std::vector<Job> jobs = make_jobs();
        disk_.cut_at(number(1, 600));
        if (auto database = open()) work(**database, jobs);
        disk_.restore();
        jobs_.insert(jobs_.end(), jobs.begin(), jobs.end());
        while (number(0, 1) == 0) {
            disk_.cut_at(number(1, 12));
            (void)open().has_value();
            disk_.restore();
        }
        auto database = open();
        return database ? fault_in(**database) : "it cannot be opened: " + database.error().detail;
    }
    int committed() const {
        return static_cast<int>(std::ranges::count(jobs_, Job::Fate::There, &Job::fate));
    }

private:
    int number(int low, int high) { return std::uniform_int_distribution<int>{low, high}(seeded_); }

    // With a group size and a checkpoint size of its own, so that all moments come.
    Result<std::unique_ptr<store::Database>, Error> open() {
        store::OpenOptions options;
        options.group_max = static_cast<std::size_t>(number(1, 16));
        TRY(auto database, store::open(folder_.database_url(), options));
        const int pages = number(1, 40);
        TRY_VOID(database->transact([&](store::Tx& tx) -> Result<bool, Error> {
            (void)tx.query("PRAGMA wal_autocheckpoint = " + std::to_string(pages));
            return true;
        }));
        return database;
    }

    std::vector<Job> make_jobs() {
        std::vector<Job> jobs;
        for (int i = 0; i < kThreads * kJobsOfThread; ++i) {
            jobs.push_back({.number = static_cast<int>(jobs_.size()) + i,
                            .legs = number(1, 4),
                            .note_size = static_cast<std::size_t>(number(0, 9000)),
                            .commits = number(1, 8) > 1});
        }
        return jobs;
    }

    // Each thread waits for half of its jobs and submits the others.
    void work(store::Database& database, std::vector<Job>& jobs) {
        std::latch answered{std::ssize(jobs)};
        std::vector<std::jthread> threads;
        for (int t = 0; t < kThreads; ++t) {
            threads.emplace_back(
                [&, mine = std::span{jobs}.subspan(static_cast<std::size_t>(t * kJobsOfThread),
                                                   kJobsOfThread)] {
                    for (Job& job : mine) {
                        run(database, job, answered);
                        if (job.number % 5 == 0) look(database);
                    }
                });
        }
        answered.wait();
    }

    void run(store::Database& database, Job& job, std::latch& answered) {
        const auto learn = [&job, &answered](bool known) {
            if (known) job.fate = job.commits ? Job::Fate::There : Job::Fate::NotThere;
            answered.count_down();
        };
        if (job.number % 2 == 0) {
            database.submit([this, &job](store::Tx& tx) { return job.run(tx, ledger_); },
                            [learn](const auto& failure) { learn(!failure.has_value()); });
            return;
        }
        const auto done = database.transact([&](store::Tx& tx) -> Result<bool, Error> {
            if (!job.run(tx, ledger_)) return fail(Error{});
            return true;
        });
        learn(done.has_value());
    }

    // A reader keeps the log from being begun anew, for a while.
    void look(store::Database& database) {
        (void)database
            .read([&](store::Reader& reader) -> Result<Balance, Error> {
                return ledger_.balance(reader, kAlice);
            })
            .has_value();
    }

    std::string fault_in(store::Database& database) {
        std::string fault;
        Msat sum;
        const auto looked = database.transact([&](store::Tx& tx) -> Result<bool, Error> {
            fault.clear();
            sum = Msat{};
            for (Job& job : jobs_) {
                const int found = parts_found(tx, job);
                const bool there = found == job.legs + 1;
                const auto fate = there ? Job::Fate::There : Job::Fate::NotThere;
                const std::string which = "job " + std::to_string(job.number);
                if (found != 0 && !there) fault += which + " is there in part\n";
                if (there && !job.commits) fault += which + " was rolled back, and is there\n";
                if (job.fate != Job::Fate::Unknown && job.fate != fate) {
                    fault += which + (there ? " came back\n" : " was committed, and is gone\n");
                }
                job.fate = fate;  // And so it stays.
                if (there) sum = *add(sum, job.sum());
            }
            return fail(Error{});  // Looking is all that was wanted.
        });
        CHECK_FALSE(looked.has_value());
        return fault + fault_in_books(database, sum);
    }

    // The ledger tells a transfer that it has from one that it has not.
    int parts_found(store::Tx& tx, const Job& job) {
        int found = 0;
        for (int n = 0; n < job.legs; ++n) {
            const auto applied = ledger_.transfer(tx, job.leg(n));
            if (applied && *applied == Applied::Before) ++found;
        }
        const auto note = tx.query_one("SELECT body FROM note WHERE job = $1", job.number);
        const auto as_written = [&](std::byte b) {
            return b == static_cast<std::byte>(job.number);
        };
        if (note && note->bytes(0).size() == job.note_size &&
            std::ranges::all_of(note->bytes(0), as_written)) {
            ++found;
        }
        return found;
    }

    std::string fault_in_books(store::Database& database, Msat sum) {
        const auto found = database.read([&](store::Reader& reader) -> Result<std::string, Error> {
            std::string fault;
            const auto intact = reader.query("PRAGMA integrity_check(1)");
            if (intact[0].text(0) != "ok") fault += intact[0].text(0) + "\n";
            for (const auto& one : ledger_.audit(reader, Ledger::Depth::Full).faults) {
                fault += one + "\n";
            }
            if (ledger_.balance(reader, kAlice).posted != sum) fault += "the sum is another\n";
            return fault;
        });
        return found ? *found : "it cannot be read: " + found.error().detail;
    }

    std::mt19937_64 seeded_;
    test::TempDir folder_;
    test::PowerLossDisk disk_;
    test::FixedClock clock_;
    Ledger ledger_{clock_};
    std::vector<Job> jobs_;
};

}  // namespace

TEST_CASE("power loss: what was committed is there, whole, and nothing is there in part") {
    int committed = 0;
    for (std::uint64_t seed = 1; seed <= 24; ++seed) {
        CAPTURE(seed);
        Machine machine{seed};
        for (int life = 0; life < kLives; ++life) {
            CAPTURE(life);
            REQUIRE_EQ(machine.live(), std::string{});
        }
        committed += machine.committed();
    }
    CHECK(committed > 400);  // Or the power went before there was anything to lose.
}

// Whether the test sees anything: the same, without what the promise rests on.
TEST_CASE("power loss: a disk that does not sync when it is told to is found out") {
    const auto survives = [](bool honest) {
        for (std::uint64_t seed = 1; seed <= 5; ++seed) {
            Machine machine{seed};
            if (!honest) machine.lie();
            for (int life = 0; life < kLives; ++life) {
                // In a child of its own: what is read from such a disk may be anything.
                if (!machine.live().empty()) std::abort();
            }
        }
    };
    CHECK_FALSE(test::dies([&] { survives(true); }));
    CHECK(test::dies([&] { survives(false); }));
}
