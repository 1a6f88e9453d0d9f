// Money for one request at a time, out of the ledger and under the keyring's limits.
//
// A draw is taken in one awaited transaction. It is ended by one that nobody waits for: the store
// commits it together with others within milliseconds, and the answer goes on meanwhile. What a
// crash can cost are the charges of those milliseconds, and it is the seller who bears them.
//
// Thread-safe. Bounded: while too many charges, or too old ones, wait for the database, nothing
// more is drawn.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

#include "nutgate/base/amount.h"
#include "nutgate/base/clock.h"
#include "nutgate/base/id.h"
#include "nutgate/base/metrics.h"
#include "nutgate/base/result.h"
#include "nutgate/crypto/random.h"
#include "nutgate/http/task.h"
#include "nutgate/keyring/keyring.h"
#include "nutgate/ledger/ledger.h"
#include "nutgate/store/store.h"

namespace nutgate::proxy {

class Till;

// What was set aside for a request. Dropped before it was settled it gives all of it back.
class Draw {
public:
    Draw(Draw&& other) noexcept
        : till_{std::exchange(other.till_, nullptr)},
          hold_{other.hold_},
          key_{other.key_},
          amount_{other.amount_},
          available_{other.available_} {}
    Draw& operator=(Draw&&) = delete;
    ~Draw() { close(Msat{}); }

    Msat amount() const { return amount_; }
    // What the key may still spend beside this draw, as it was when it was taken.
    Msat available() const { return available_; }

    // Charges that much, at most amount(), and gives the rest back. Once.
    void settle(Msat cost) { close(cost); }

private:
    friend class Till;
    Draw(Till& till, const HoldId& hold, const KeyId& key, Msat amount, Msat available)
        : till_{&till}, hold_{hold}, key_{key}, amount_{amount}, available_{available} {}
    void close(Msat cost);

    Till* till_;
    HoldId hold_;
    KeyId key_;
    Msat amount_;
    Msat available_;
};

struct DrawRefusal {
    enum class Why {
        KeyUnknown,
        KeyRevoked,
        KeyExpired,
        LimitExceeded,
        BalanceShort,
        Overloaded,  // Too much is waiting for the database.
        StoreUnavailable,
        Broken,  // A bug: the books refused what they never should.
    };
    Why why;
    Msat available = {};  // Of LimitExceeded and BalanceShort.
};

class Till {
public:
    struct Options {
        Milliseconds hold_time;
        std::size_t unposted_max;
        Milliseconds unposted_age_max;
    };
    struct Books {
        store::Database& database;
        Ledger& ledger;
        Keyring& keyring;
        const Clock& clock;
        crypto::Random& random;
    };

    Till(Books books, Options options, metrics::Registry& metrics);
    // Offers what is left to the database once more and waits for its answers.
    ~Till();
    Till(const Till&) = delete;
    Till& operator=(const Till&) = delete;

    http::Task<Result<Draw, DrawRefusal>> draw(KeyId key, Msat amount);

    // Every second or so: renews the holds of draws that are open for long, and offers charges
    // again that the database failed to take.
    void tend();

private:
    friend class Draw;
    using Number = std::uint64_t;
    // The end of a hold, on its way to the books.
    struct Ending {
        HoldId hold;
        KeyId key;
        Msat cost;
        Time since;
        bool submitted = false;
        // Written by the body, read at its end: what an expired hold could not be charged, and
        // whether the books refused.
        Msat uncollected = {};
        std::optional<LedgerError> refusal = std::nullopt;
    };

    bool overloaded();
    void close(const HoldId& hold, const KeyId& key, Msat cost);
    // `ending` lies in endings_, where it stays until its end is known.
    void submit(Number number, Ending& ending);
    void ended(Number number, bool committed);
    void report(const Ending& ending);
    Result<void, LedgerError> end_hold(store::Tx& tx, Ending& ending);
    // What the keyring counts of a hold, whatever became of that. As often as it is asked for.
    void end_admission(store::Tx& tx, const Ending& ending);
    void submit_waiting();
    void renew_open();

    Books books_;
    const Options options_;
    metrics::Gauge& unposted_;
    metrics::Counter& refused_;
    metrics::Counter& uncollected_;

    std::mutex mutex_;
    std::condition_variable idle_;
    std::map<Number, Ending> endings_;  // Guarded by mutex_, as is all below. Oldest first.
    std::map<HoldId, Time> open_;       // Draws, and the deadline of each one's hold.
    Number next_number_ = 1;
    std::size_t under_way_ = 0;  // Submitted bodies whose end is not known.
};

}  // namespace nutgate::proxy
