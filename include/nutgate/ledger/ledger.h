// The books: double entry, and the only code in the program which changes a balance.
//
// Money never appears or vanishes here. Every transfer debits one account and credits another by
// the same amount, so the sum over all accounts is zero at every commit; audit() proves it. Rows
// are only ever added: a mistake is mended by a second transfer that says so.
//
// Spending has two steps, because a metered request costs what only its answer can tell. hold()
// takes the most it may cost out of what is available; post() then moves what it did cost and
// frees the rest, or release() frees it all. Nothing is available twice, whatever the concurrency.
//
// No account is ever below zero on the side that it grows by, the owner's included: who wants to
// take out what the node has earned moves it out of Revenue. An error changes nothing, so a
// transaction that goes on after one commits no half of a transfer.
//
// Thread-safe: it has no state but the database. Units: msat throughout.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nutgate/base/amount.h"
#include "nutgate/base/clock.h"
#include "nutgate/base/id.h"
#include "nutgate/base/result.h"
#include "nutgate/ledger/account.h"
#include "nutgate/ledger/audit_report.h"
#include "nutgate/store/store.h"

namespace nutgate {

struct Transfer {
    TransferId id;  // Chosen and stored by the caller before its first try. See Applied.
    Account debit;
    Account credit;
    Msat amount;
    // One short word for histories ("deposit", "refund"): stable, 1 to 32 lower-case letters or
    // underscores, and not part of what makes two requests the same.
    std::string reason = "transfer";
};

struct Hold {
    HoldId id;
    Account payer;  // A Key account.
    Msat amount;    // The most that post() may take.
    Time deadline;  // After it, expire_holds() releases what is left over.
};

struct Balance {
    Msat posted;  // On the side that the account grows by.
    Msat held;    // At most `posted`: what open holds keep from being spent.
    Msat available() const { return subtract(posted, held).value_or(Msat{}); }
};

enum class Applied {
    Now,
    Before,  // The very same request was in the books already: a retry, and a success.
};

// In the order in which they are looked for.
enum class LedgerError {
    IdReused,     // The id is taken by a request that differs, or skips one. A bug in the caller.
    HoldUnknown,  // Or forgotten: an hour past its deadline, one that has ended is.
    HoldClosed,   // It has ended, and not in the way that this request asks for.
    ExceedsHold,  // post() or shrink() was asked for more than was held.
    AmountOverflow,
    InsufficientFunds,  // It would take more than the account has that is not held.
};

// How a post() ended.
struct Charge {
    Applied applied;
    Msat charged;  // The cost; less only if the hold had expired and its payer has less by now.
};

// A part of what a hold is for, charged while the hold stays open: many requests can share one.
struct Capture {
    HoldId hold;
    std::int64_t sequence;  // From 1, without gaps, per hold. With the hold it is the charge's id.
    Account payee;          // Grows by credit.
    Msat cost;
};

struct Captured {
    Applied applied;
    Msat charged;               // As of Charge. Zero of Applied::Before.
    Msat held;                  // What the hold has left.
    Msat available;             // What its payer has beside all holds.
    std::int64_t transfer = 0;  // The number of what was moved; zero if nothing was.
};

// What a post() or a capture() moved.
struct LedgerCharge {
    std::int64_t number;  // Of the transfer.
    Msat amount;
};

// One transfer, seen from one of its two accounts.
struct Entry {
    std::int64_t number;  // Of the transfer: from 1, without gaps, in the order of the commits.
    bool incoming;        // Whether it made the account grow.
    Account other;
    Msat amount;
    Time at;
    std::string reason;
};

// How far a checkpoint is moved at once.
struct SealStep {
    std::int64_t to = INT64_MAX;    // The number of the last transfer to seal, if there is such.
    std::int64_t most = INT64_MAX;  // Transfers: they are summed in memory.
};

class Ledger {
public:
    explicit Ledger(const Clock& clock) : clock_{clock} {}

    // Creates what the books need. Run once at start.
    static Result<void, store::StoreFailure> migrate(store::Database& database);

    // Moves money at once. A debit of what grows by credit (and the reverse) needs that much
    // available, whatever the kind.
    Result<Applied, LedgerError> transfer(store::Tx&, const Transfer&);

    // Applied::Before: it is open, as asked for; the deadline is the first one's. HoldClosed: the
    // same request was granted before and has ended, so nothing is held by it any more.
    Result<Applied, LedgerError> hold(store::Tx&, const Hold&);
    // Moves the deadline of an open hold: its request lives.
    Result<void, LedgerError> renew(store::Tx&, const HoldId&, Time deadline);

    // Ends the hold: moves `cost` from its payer to `payee` (which grows by credit) and frees the
    // rest. A hold past its deadline that was not expired yet can still be posted: the work was
    // done. One that was expired meanwhile is charged what is available, up to `cost`, so a request
    // of any length is charged. What it can't be charged is not booked: it is money that nobody
    // paid, and as revenue the owner could take it out of what others paid. The caller counts it.
    Result<Charge, LedgerError> post(store::Tx&, const HoldId&, const Account& payee, Msat cost);

    // Charges a part of the hold, which shrinks by that. What goes beyond the hold, and what comes
    // after it expired, is charged as post() does: from what is available.
    Result<Captured, LedgerError> capture(store::Tx&, const Capture&);
    // The sequence of the newest capture: 0 of a hold that has none, or is not known.
    std::int64_t captures(store::Reader&, const HoldId&) const;
    // Adds to an open hold, and moves its deadline. Returns what it holds now.
    Result<Msat, LedgerError> grow(store::Tx&, const HoldId&, Msat more, Time deadline);
    // Frees a part of an open hold, at most all of it. Returns what it holds now.
    Result<Msat, LedgerError> shrink(store::Tx&, const HoldId&, Msat less);

    // Ends the hold and frees all of it. Of one that was expired, too: it can't be posted then.
    Result<Applied, LedgerError> release(store::Tx&, const HoldId&);

    // Releases at most `limit` holds past their deadline, and forgets as many that have ended and
    // are an hour past theirs. Returns how many were released.
    int expire_holds(store::Tx&, int limit);
    // Releases every open hold, as a process which no longer runs left them. Run at start, before
    // serving. What has to outlive a crash is a transfer to PaymentInFlight, not a hold.
    int release_holds_of_requests(store::Tx&);

    // Of an account never used: zero.
    Balance balance(store::Reader&, const Account&) const;
    // What all accounts of a kind hold together.
    Msat total(store::Reader&, AccountKind kind) const;
    // The newest first, at most `limit`, those with a smaller number than `before` if it is given.
    std::vector<Entry> history(store::Reader&, const Account&, int limit,
                               std::optional<std::int64_t> before = std::nullopt) const;

    // The number of the newest transfer; zero if there is none.
    std::int64_t newest(store::Reader&) const;
    // The charges to `payee` among the transfers from that number on, below `until`, in order.
    std::vector<LedgerCharge> charges(store::Reader&, const Account& payee, std::int64_t from,
                                      std::int64_t until) const;

    // Recomputes the books from transfers (all of them, or those after the last sealed checkpoint)
    // and open holds, and reports every account that does not match, a sum that is not zero, and a
    // transfer that is missing. Full checks the checkpoint, too. Takes as much memory for millions
    // of accounts as for ten, and room for a sort where the engine puts such things.
    enum class Depth { SinceCheckpoint, Full };
    AuditReport audit(store::Reader&, Depth depth) const;
    // Seals the sums of the transfers that follow the checkpoint, so that the next audit begins
    // behind them, and returns the number that is the checkpoint now. Call it after an audit was
    // sound. It runs on the writer's thread and takes about two statements for each transfer, so a
    // long way is gone in steps: after each of them there is a checkpoint as good as any.
    std::int64_t seal_checkpoint(store::Tx&, const SealStep& = {});

private:
    const Clock& clock_;
};

}  // namespace nutgate
