// A database whose process dies at the n-th thing that it does, for every n that there is:
//
//     for (std::int64_t n = 1;; ++n) {
//         World world;                                    // A file in a TempDir.
//         test::CrashDatabase crash{*world.database};
//         crash.crash_at(n);
//         operation(crash);                               // Whatever it answers.
//         if (!crash.crashed()) break;                    // n is beyond the end: all were tried.
//         world.reopen(); recover(*world.database); audit(*world.database);
//     }
//
// Counted are each statement within a transaction (it dies before the statement ran), and each
// commit twice: it dies just before it, or just after it, when the work is done but nobody was
// told. From then on everything fails with StoreFailure, as for a process that is no more.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "nutgate/base/verify.h"
#include "nutgate/store/store.h"

namespace nutgate::test {

// Thread-safe.
class CrashDatabase final : public store::Database {
public:
    // `real` outlives it.
    explicit CrashDatabase(store::Database& real) : real_{real} {}

    void crash_at(std::int64_t n) {
        VERIFY(n > 0);
        left_ = n;
        crashed_ = false;
    }
    // Whether it came so far.
    bool crashed() const { return crashed_; }
    // What was counted since the start: how far crash_at() can reach.
    std::int64_t counted() const { return counted_; }

    void submit(std::function<bool(store::Tx&)> body, Done done) override {
        real_.submit([this, body = std::move(body)](store::Tx& tx) { return run(body, tx); },
                     [this, done = std::move(done)](std::optional<store::StoreFailure> failure) {
                         if (!failure && dies_now()) failure = dead();
                         done(std::move(failure));
                     });
    }
    Result<void, store::StoreFailure> copy_to(const std::string& path) override {
        if (crashed_) return fail(dead());
        return real_.copy_to(path);
    }

private:
    class CrashTx final : public store::Tx {
    public:
        CrashTx(CrashDatabase& database, store::Tx& real) : database_{database}, real_{real} {}

        Answer run(std::string_view sql, std::span<const store::Value> args) override {
            if (database_.dies_now()) throw dead();
            return real_.run(sql, args);
        }
        void run_each(std::string_view sql, std::span<const store::Value> args,
                      const Take& take) override {
            if (database_.dies_now()) throw dead();
            real_.run_each(sql, args, take);
        }

    private:
        CrashDatabase& database_;
        store::Tx& real_;
    };

    static store::StoreFailure dead() { return {"the process died here"}; }

    bool dies_now() {
        if (crashed_) return true;
        ++counted_;
        if (left_ > 0 && --left_ == 0) crashed_ = true;
        return crashed_;
    }

    bool run(const std::function<bool(store::Tx&)>& body, store::Tx& tx) {
        if (crashed_) throw dead();
        CrashTx crash_tx{*this, tx};
        const bool commit = body(crash_tx);
        if (commit && dies_now()) throw dead();
        return commit;
    }

    void run_transaction(const std::function<bool(store::Tx&)>& body) override {
        struct Why {
            Why(bool) {}  // The body chose to roll back.
            Why(store::StoreFailure f) : failure{std::move(f)} {}
            std::optional<store::StoreFailure> failure;
        };
        const auto committed = real_.transact([&](store::Tx& tx) -> Result<bool, Why> {
            if (!run(body, tx)) return fail(false);
            return true;
        });
        if (!committed && committed.error().failure) throw *committed.error().failure;
        if (committed && dies_now()) throw dead();
    }

    void run_read(const std::function<void(store::Reader&)>& body) override {
        if (crashed_) throw dead();
        const auto read =
            real_.read([&](store::Reader& reader) -> Result<bool, store::StoreFailure> {
                body(reader);
                return true;
            });
        if (!read) throw store::StoreFailure{read.error()};
    }

    store::Database& real_;
    std::atomic<std::int64_t> left_ = 0;
    std::atomic<std::int64_t> counted_ = 0;
    std::atomic<bool> crashed_ = false;
};

}  // namespace nutgate::test
