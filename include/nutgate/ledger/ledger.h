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
// Thread-safe: it has no state but the database. Units: msat throughout.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "nutgate/base/amount.h"
#include "nutgate/base/clock.h"
#include "nutgate/base/id.h"
#include "nutgate/base/result.h"
#include "nutgate/store/store.h"

namespace nutgate {

// What the account stands for. Stored in the database: append only, never renumber.
enum class AccountKind : std::int16_t {
    Ecash = 1,            // Asset. Proofs in our wallet; name "<mint>:<unit>".
    Lightning = 2,        // Asset. Our money at one Lightning backend.
    Key = 3,              // Liability. We owe it to the holder of an API key; name is the key's id.
    MintOutstanding = 4,  // Liability. Tokens that the embedded mint signed, not yet spent.
    PaymentInFlight = 5,  // Liability. Taken for a payment that is neither done nor undone.
    Revenue = 6,          // Income. What was paid for answers, or as the embedded mint's fees.
    Fees = 7,             // Expense. What mints and routing took.
    Losses = 8,           // Expense. What was served beyond its hold: ours, never the customer's.
    Owner = 9,            // Equity. What the owner took out (debit) or put in (credit).
};
// Assets and expenses grow by a debit, all others by a credit.
bool grows_by_debit(AccountKind kind);

struct Account {
    AccountKind kind;
    std::string name;  // Unique within its kind.

    friend auto operator<=>(const Account&, const Account&) = default;
};
Account key_account(const KeyId& key);

struct Transfer {
    TransferId id;  // Chosen and stored by the caller before its first try. See Applied.
    Account debit;
    Account credit;
    Msat amount;
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
};

enum class Applied {
    Now,
    Before,  // The very same request was in the books already: a retry, and a success.
};

// Stable: append only.
enum class LedgerError {
    InsufficientFunds,  // It would take more than the account has that is not held.
    HoldUnknown,
    HoldClosed,   // Posted, released or expired before, with a different outcome.
    ExceedsHold,  // post() was asked for more than was held.
    IdReused,     // The id is taken by a request that differs. A bug in the caller.
    AmountOverflow,
};

// What an audit found. Books that do not add up are reported, never repaired in silence.
struct AuditReport {
    std::int64_t transfers = 0;
    std::int64_t transfers_checked = 0;  // Since the last sealed checkpoint, or all.
    std::int64_t holds_open = 0;
    struct Line {
        Account account;
        Msat debits;
        Msat credits;
        Msat held;
    };
    std::vector<Line> accounts;
    std::vector<std::string> faults;  // Empty: the books prove themselves.
    bool sound() const { return faults.empty(); }
};

class Ledger {
public:
    explicit Ledger(const Clock& clock) : clock_{clock} {}

    // Creates what the books need. Run once at start.
    static Result<void, store::StoreFailure> migrate(store::Database& database);

    // Moves money at once. A debit of what grows by credit (and the reverse) needs that much
    // available; Owner, Revenue and expenses too.
    Result<Applied, LedgerError> transfer(store::Tx&, const Transfer&);

    Result<Applied, LedgerError> hold(store::Tx&, const Hold&);
    // Moves the deadline of an open hold: its request lives.
    Result<void, LedgerError> renew(store::Tx&, const HoldId&, Time deadline);

    // Ends the hold: moves `cost` from its payer to `payee` and frees the rest. A hold past its
    // deadline that was not expired yet can still be posted: the work was done. One that has expired
    // meanwhile is charged from what is available, at most: a request of any length is charged.
    Result<Applied, LedgerError> post(store::Tx&, const HoldId&, const Account& payee, Msat cost);

    // Ends the hold and frees all of it.
    Result<Applied, LedgerError> release(store::Tx&, const HoldId&);

    // Releases at most `limit` holds past their deadline. Returns how many.
    int expire_holds(store::Tx&, int limit);
    // Releases holds that a process which no longer runs left open. Run at start, before serving.
    int release_holds_of_requests(store::Tx&);

    Balance balance(store::Reader&, const Account&) const;

    // Recomputes balances from transfers (all of them, or those after the last sealed checkpoint)
    // and reports every account that does not match, and a sum that is not zero.
    enum class Depth { SinceCheckpoint, Full };
    AuditReport audit(store::Reader&, Depth depth) const;
    // Seals the sums up to the newest transfer, so that the next audit begins there.
    void seal_checkpoint(store::Tx&);

private:
    const Clock& clock_;
};

}  // namespace nutgate
