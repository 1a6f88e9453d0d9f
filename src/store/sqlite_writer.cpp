#include "sqlite_writer.h"

#include <algorithm>
#include <pthread.h>
#include <string>
#include <type_traits>
#include <utility>

#include "nutgate/base/log.h"
#include "nutgate/base/verify.h"
#include "waiting.h"

namespace nutgate::store {
namespace {

class SqliteTx final : public Tx {
public:
    explicit SqliteTx(Connection& connection) : connection_{connection} {}

    Answer run(std::string_view sql, std::span<const Value> args) override {
        return told([&] { return connection_.run(sql, args); });
    }
    void run_each(std::string_view sql, std::span<const Value> args, const Take& take) override {
        told([&] { connection_.run_each(sql, args, take); });
    }

    // A body that swallowed it must not commit half of what it meant to do.
    const std::optional<StoreFailure>& failure() const { return failure_; }

private:
    template <class Statement>
    std::invoke_result_t<Statement> told(const Statement& statement) {
        try {
            return statement();
        } catch (const StoreFailure& failure) {
            if (!failure_) failure_ = failure;
            throw;  // style: it is a StoreFailure, on its way to run_job()
        }
    }

    Connection& connection_;
    std::optional<StoreFailure> failure_;
};

}  // namespace

Writer::Writer(std::unique_ptr<Connection> connection, const OpenOptions& options)
    : options_{options}, connection_{std::move(connection)}, thread_{[this] { run(); }} {
    VERIFY(options_.group_max > 0);
}

Writer::~Writer() {
    {
        const Lock lock{mutex_};
        stopping_ = true;
    }
    changed_.notify_all();
    thread_.join();
}

void Writer::submit(std::function<bool(Tx&)> body, Database::Done done) {
    Job job{std::move(body), std::move(done), std::nullopt};
    if (enqueue(job)) {
        changed_.notify_one();
    } else {
        job.done(StoreFailure{"too many transactions are waiting"});
    }
}

bool Writer::enqueue(Job& job) {
    const Lock lock{mutex_};
    VERIFY(!stopping_);
    if (queue_.size() >= options_.queue_max) return false;
    queue_.push_back(std::move(job));
    return true;
}

void Writer::run() {
    pthread_setname_np(pthread_self(), "store-writer");
    forbid_waiting_on_this_thread();  // It would wait for itself.
    for (;;) {
        std::vector<Job> group = next_group();
        if (group.empty()) return;
        run_group(group);
        for (Job& job : group) job.done(std::move(job.failure));
    }
}

std::vector<Writer::Job> Writer::next_group() {
    const Lock lock{mutex_};
    while (queue_.empty() && !stopping_) changed_.wait(mutex_);
    const auto size = static_cast<std::ptrdiff_t>(std::min(queue_.size(), options_.group_max));
    std::vector<Job> group{std::move_iterator{queue_.begin()},
                           std::move_iterator{queue_.begin() + size}};
    queue_.erase(queue_.begin(), queue_.begin() + size);
    return group;
}

// A savepoint copies each page before its first change, and each statement that may fail half-way
// looks through all of these copies: a thousand charges took 400 ms. Nearly all jobs commit, so
// they run without savepoints first.
void Writer::run_group(std::vector<Job>& group) {
    Undo undo = Undo::WithAll;
    // Each round that lost its transaction lost it by a job that is out of the next one, so this
    // ends.
    for (;;) {
        switch (try_group(group, undo)) {
            case Ran::Finished:
                return;
            case Ran::TransactionLost:
                break;
            case Ran::Mixed:
                undo = Undo::ByItself;
                break;
        }
    }
}

Writer::Ran Writer::try_group(std::vector<Job>& group, Undo undo) {
    const auto still_in = [](const Job& job) { return !job.failure.has_value(); };
    if (std::none_of(group.begin(), group.end(), still_in)) return Ran::Finished;
    try {
        connection_->run("BEGIN IMMEDIATE");
        const Ran ran = run_jobs(group, undo);
        if (ran != Ran::Finished) {
            connection_->roll_back();
            return ran;
        }
        connection_->run("COMMIT");
    } catch (const StoreFailure& failure) {
        // No transaction could be begun, or none committed: nobody's work was done.
        log::error("store_commit_failed", {{"detail", failure.detail}});
        connection_->roll_back();
        for (Job& job : group) {
            if (still_in(job)) job.failure = failure;
        }
    }
    return Ran::Finished;
}

Writer::Ran Writer::run_jobs(std::vector<Job>& group, Undo undo) {
    bool has_work = false;  // In this transaction.
    for (Job& job : group) {
        if (job.failure) continue;
        Did did = options_.rehearses ? rehearse(job) : Did::Work;
        if (did == Did::Work) did = undo == Undo::ByItself ? run_in_savepoint(job) : run_body(job);
        switch (did) {
            case Did::Work:
                has_work = true;
                break;
            case Did::Nothing:
                if (undo == Undo::ByItself) break;
                if (has_work) return Ran::Mixed;
                connection_->roll_back();
                connection_->run("BEGIN IMMEDIATE");
                break;
            case Did::LoseTransaction:
                log::warn("store_transaction_lost", {{"detail", job.failure->detail}});
                return Ran::TransactionLost;
        }
    }
    return Ran::Finished;
}

// Nothing: what it did is to be undone.
Writer::Did Writer::run_body(Job& job) {
    SqliteTx tx{*connection_};
    bool commit = false;
    try {
        const OpenMark mark;
        commit = job.body(tx);
    } catch (const StoreFailure& failure) {
        job.failure = failure;
    }
    if (!job.failure && tx.failure()) job.failure = tx.failure();
    // When the disk is full or fails, SQLite may have undone the whole transaction by itself, and
    // with it what this job's neighbours did before: they have to run again.
    if (!connection_->in_transaction()) {
        VERIFY(job.failure.has_value());
        return Did::LoseTransaction;
    }
    return commit && !job.failure ? Did::Work : Did::Nothing;
}

// Work: it may run now, whatever it said. What failed already does not run again.
Writer::Did Writer::rehearse(Job& job) {
    try {
        connection_->run("SAVEPOINT rehearsal");
        if (run_body(job) == Did::LoseTransaction) return Did::LoseTransaction;
        connection_->run("ROLLBACK TO rehearsal");
        connection_->run("RELEASE rehearsal");
        return job.failure ? Did::Nothing : Did::Work;
    } catch (const StoreFailure& failure) {
        if (!job.failure) job.failure = failure;
        return Did::LoseTransaction;
    }
}

Writer::Did Writer::run_in_savepoint(Job& job) {
    try {
        connection_->run("SAVEPOINT job");
        const Did did = run_body(job);
        if (did == Did::LoseTransaction) return did;
        if (did == Did::Nothing) connection_->run("ROLLBACK TO job");
        connection_->run("RELEASE job");
        return did;
    } catch (const StoreFailure& failure) {
        if (!job.failure) job.failure = failure;
        return Did::LoseTransaction;
    }
}

}  // namespace nutgate::store
