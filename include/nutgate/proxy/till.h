// Money for requests, at the speed of memory.
//
// For each key in use the till holds a slice of its balance in the ledger. Requests draw from it
// and settle in memory; what they cost is posted by a thread of the till's own, many charges in one
// commit, within milliseconds and without delaying an answer. A slice is taken before it is needed
// and given back when it is not used.
//
// What it promises:
//   - The sum of all draws of a key is never more than its slice, and a slice is a hold: nobody
//     spends more than was held, whatever the concurrency. A draw that grows is no exception.
//   - A charge is posted once: it has its slice's id and a sequence number.
//   - A crash costs the charges that were not posted yet, and it is the seller who bears them. No
//     buyer loses anything: what is not charged stays on the balance.
//   - While the oldest charge waits for longer than a disk takes to write it, who draws waits, too:
//   the books are not left behind by more than that. While charges can't be posted at all nothing
//   more is drawn.
//
// Thread-safe. draw() is for coroutines; pause() blocks, and is for the control plane.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <utility>

#include "nutgate/base/amount.h"
#include "nutgate/base/clock.h"
#include "nutgate/base/id.h"
#include "nutgate/base/metrics.h"
#include "nutgate/base/result.h"
#include "nutgate/cashier/spending.h"
#include "nutgate/crypto/random.h"
#include "nutgate/http/task.h"
#include "nutgate/keyring/keyring.h"
#include "nutgate/ledger/ledger.h"
#include "nutgate/store/store.h"

namespace nutgate::proxy {

class Till;
struct Slice;
struct UsageRow;

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

// What is to be set aside on top for a request under way.
struct More {
    Msat least;  // Less than that does not help it.
    Msat most;   // Beyond it nothing does.
};

// What was set aside for a request. Dropped before it was settled it gives all of it back.
class Draw {
public:
    Draw(Draw&& other) noexcept
        : till_{std::exchange(other.till_, nullptr)},
          slice_{other.slice_},
          amount_{other.amount_} {}
    Draw& operator=(Draw&&) = delete;
    ~Draw() { (void)settle(Msat{}); }

    Msat amount() const { return amount_; }

    // Sets more aside out of memory: the most, or where the slice has little left a fair part of
    // it, which is what is idle divided by the number of open draws, but never below the least.
    // False, and nothing has changed, if there is not so much. Either way the books are asked
    // behind its back where they may have more, so a request that asks ahead of its need has it in
    // time.
    bool grow_at_once(const More& more);
    // Waits for the books, as a draw does. A refusal changes nothing.
    http::Task<Result<void, DrawRefusal>> grow_of_books(More more);

    // Charges that much, at most amount(), and gives the rest back. Once. Returns what the key may
    // spend from then on. `work`: what it was for, to be kept beside the charge.
    Msat settle(Msat cost, const UsageRow& work);
    Msat settle(Msat cost);

private:
    friend class Till;
    Draw(Till& till, Slice& slice, Msat amount) : till_{&till}, slice_{&slice}, amount_{amount} {}

    Till* till_;
    Slice* slice_;  // Stays where it is as long as anything is drawn from it.
    Msat amount_;
};

class Till final : public Spending {
public:
    struct Options {
        Milliseconds hold_time{600'000};       // Of a slice: renewed as long as it is in use.
        Milliseconds idle_time{2'000};         // Unused for that long, it is given back.
        Milliseconds post_delay{3};            // How long a charge waits for others to join it.
        Milliseconds retry_delay{100};         // After the database failed to take a batch.
        Milliseconds pause_timeout{5'000};     // How long pause() waits for the database.
        Milliseconds unposted_age_wait{50};    // Of the oldest charge: beyond it who draws waits.
        Milliseconds unposted_age_max{1'000};  // The same: beyond it nothing is drawn.
        std::size_t unposted_max = 65'536;     // Charges: beyond it nothing is drawn.
        std::size_t slices_max = 100'000;      // Keys in use at once: beyond it nothing is drawn.
        // A slice is taken for so many requests like the one that asks; for twice as many, up to
        // the larger number, each time that one did not suffice for growth_lasts_min.
        std::size_t requests_ahead = 64;
        std::size_t requests_ahead_max = 4096;
        Milliseconds growth_lasts_min{250};
    };
    struct Books {
        store::Database& database;
        Ledger& ledger;
        Keyring& keyring;
        const Clock& clock;
        crypto::Random& random;
        bool keeps_usage = false;  // A row for each charge (usage_rows.h).
    };

    Till(Books books, Options options, metrics::Registry& metrics);
    // Posts what is left and gives every slice back. No draw is alive by then.
    ~Till() override;

    http::Task<Result<Draw, DrawRefusal>> draw(KeyId key, Msat amount);
    // Its two halves, for whom a coroutine is too much where the slice covers the request: out of
    // memory, or empty, and then by asking the books.
    std::optional<Result<Draw, DrawRefusal>> draw_at_once(const KeyId& key, Msat amount);
    http::Task<Result<Draw, DrawRefusal>> draw_of_books(KeyId key, Msat amount);

    // Every second or so: renews slices in use and gives back those that are not.
    void tend();

    View view(const KeyId& payer) const override;
    Result<Pause, store::StoreFailure> pause(const KeyId& payer) override;
    void credited(const KeyId& payer) override;

private:
    friend class Draw;
    struct Impl;
    Msat close(Slice& slice, Msat amount, Msat cost, const UsageRow& work);
    bool grow(Draw& draw, const More& more);
    // `like`: what those that follow are likely to ask for, which decides how far ahead is taken.
    http::Task<Result<Draw, DrawRefusal>> draw_like(const KeyId& key, Msat amount, Msat like);
    // The same slice's: one draw is left, of what both had.
    void join(Draw& draw, Draw other);
    void resume(const KeyId& payer) override;

    std::unique_ptr<Impl> impl_;
};

inline Msat Draw::settle(Msat cost, const UsageRow& work) {
    if (till_ == nullptr) return Msat{};
    VERIFY(cost <= amount_);
    return std::exchange(till_, nullptr)->close(*slice_, amount_, cost, work);
}

inline bool Draw::grow_at_once(const More& more) { return till_->grow(*this, more); }

}  // namespace nutgate::proxy
