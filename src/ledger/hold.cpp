#include "hold.h"

#include <algorithm>
#include <cstdint>

#include "nutgate/base/verify.h"

namespace nutgate {
namespace {

using store::Reader;
using store::Row;
using store::Tx;

int raw(HoldState state) { return static_cast<int>(state); }

// How long a retry of what ended a hold still finds it.
constexpr Seconds kHoldMemory{3600};

void end_hold(Tx& tx, const HoldId& id, HoldState end) {
    VERIFY(tx.execute("UPDATE hold SET state = $2 WHERE id = $1", id, raw(end)) == 1);
}

}  // namespace

std::optional<StoredHold> find_hold(Reader& reader, const HoldId& id) {
    const auto row = reader.query_one(
        "SELECT payer, amount, state, payee, cost, charged, sequence FROM hold WHERE id = $1", id);
    if (!row) return std::nullopt;
    const bool posted = !row->is_null(3);
    return StoredHold{
        .payer = row->integer(0),
        .amount = row->msat(1),
        .state = static_cast<HoldState>(row->integer(2)),
        .payee = posted ? std::optional{row->integer(3)} : std::nullopt,
        .cost = posted ? row->msat(4) : Msat{},
        .charged = posted ? row->msat(5) : Msat{},
        .sequence = row->integer(6),
    };
}

std::optional<AccountNumber> take_held(Tx& tx, const Account& payer, Msat amount) {
    const auto row = tx.query_one(
        "UPDATE account SET held = held + $3 WHERE kind = $1 AND name = $2 AND "
        "sign * (debits - credits) - held >= $3 RETURNING id",
        static_cast<int>(payer.kind), payer.name, amount);
    if (row) return row->integer(0);
    // What costs nothing can be held for by a key that never had anything.
    if (amount == Msat{}) return apply(tx, Side::Credit, payer, amount);
    return std::nullopt;
}

void free_held(Tx& tx, AccountNumber payer, Msat amount) {
    VERIFY(tx.execute("UPDATE account SET held = held - $2 WHERE id = $1", payer, amount) == 1);
}

Msat available(Reader& reader, AccountNumber payer) {
    const auto row = reader.query_one(
        "SELECT sign * (debits - credits) - held FROM account WHERE id = $1", payer);
    VERIFY(row.has_value());
    return Msat::from_raw(row->integer(0)).value_or(Msat{});
}

std::optional<Msat> debit_payer(Tx& tx, AccountNumber payer, Msat charged, Msat freed) {
    const auto row = tx.query_one(
        "UPDATE account SET debits = debits + $2, held = held - $3 WHERE id = $1 AND "
        "debits + $2 <= $4 RETURNING sign * (debits - credits) - held",
        payer, charged, freed, Msat::kMax);
    if (!row) return std::nullopt;
    return Msat::from_raw(row->integer(0)).value_or(Msat{});
}

Result<Applied, LedgerError> Ledger::hold(Tx& tx, const Hold& hold) {
    VERIFY(hold.payer.kind == AccountKind::Key);
    if (const auto stored = find_hold(tx, hold.id)) {
        const bool same =
            find_account(tx, hold.payer) == stored->payer && hold.amount == stored->amount;
        if (!same) return fail(LedgerError::IdReused);
        if (stored->state != HoldState::Open) return fail(LedgerError::HoldClosed);
        return Applied::Before;
    }
    const auto payer = take_held(tx, hold.payer, hold.amount);
    if (!payer) return fail(LedgerError::InsufficientFunds);
    tx.execute("INSERT INTO hold (id, payer, amount, deadline, state) VALUES ($1, $2, $3, $4, $5)",
               hold.id, *payer, hold.amount, hold.deadline, raw(HoldState::Open));
    return Applied::Now;
}

Result<void, LedgerError> Ledger::renew(Tx& tx, const HoldId& id, Time deadline) {
    const auto renewed =
        tx.execute("UPDATE hold SET deadline = $2 WHERE id = $1 AND state = 1", id, deadline);
    if (renewed == 1) return {};
    return fail(find_hold(tx, id) ? LedgerError::HoldClosed : LedgerError::HoldUnknown);
}

Result<Charge, LedgerError> Ledger::post(Tx& tx, const HoldId& id, const Account& payee,
                                         Msat cost) {
    VERIFY(!grows_by_debit(payee.kind));
    const auto hold = find_hold(tx, id);
    if (!hold) return fail(LedgerError::HoldUnknown);
    switch (hold->state) {
        case HoldState::Open:
        case HoldState::Expired:
            break;
        case HoldState::Posted:
            if (hold->cost != cost || find_account(tx, payee) != hold->payee) {
                return fail(LedgerError::HoldClosed);
            }
            return Charge{.applied = Applied::Before, .charged = hold->charged};
        case HoldState::Released:
            return fail(LedgerError::HoldClosed);
    }
    if (cost > hold->amount) return fail(LedgerError::ExceedsHold);

    const bool open = hold->state == HoldState::Open;
    const Msat charged = open ? cost : std::min(cost, available(tx, hold->payer));
    const auto credited = apply(tx, Side::Credit, payee, charged);
    if (!credited) return fail(refusal(tx, Side::Credit, payee, charged));
    if (!debit_payer(tx, hold->payer, charged, open ? hold->amount : Msat{})) {
        undo(tx, Side::Credit, *credited, charged);
        return fail(LedgerError::AmountOverflow);
    }
    tx.execute("UPDATE hold SET state = $2, payee = $3, cost = $4, charged = $5 WHERE id = $1", id,
               raw(HoldState::Posted), *credited, cost, charged);
    // Nothing charged is nothing to tell in a history.
    if (charged > Msat{}) {
        insert(tx, {.id = std::nullopt,
                    .debit = hold->payer,
                    .credit = *credited,
                    .amount = charged,
                    .at = clock_.now(),
                    .reason = "charge"});
    }
    return Charge{.applied = Applied::Now, .charged = charged};
}

Result<Applied, LedgerError> Ledger::release(Tx& tx, const HoldId& id) {
    const auto hold = find_hold(tx, id);
    if (!hold) return fail(LedgerError::HoldUnknown);
    switch (hold->state) {
        case HoldState::Open:
            free_held(tx, hold->payer, hold->amount);
            end_hold(tx, id, HoldState::Released);
            return Applied::Now;
        case HoldState::Expired:
            end_hold(tx, id, HoldState::Released);
            return Applied::Before;
        case HoldState::Released:
            return Applied::Before;
        case HoldState::Posted:
            return fail(LedgerError::HoldClosed);
    }
    VERIFY(false);
    return fail(LedgerError::HoldClosed);
}

int Ledger::expire_holds(Tx& tx, int limit) {
    const auto overdue = tx.query(
        "SELECT id, payer, amount FROM hold WHERE state = 1 AND deadline < $1 "
        "ORDER BY deadline LIMIT $2",
        clock_.now(), limit);
    for (const Row& row : overdue) {
        free_held(tx, row.integer(1), row.msat(2));
        end_hold(tx, row.id<HoldId>(0), HoldState::Expired);
    }
    tx.execute(
        "DELETE FROM hold WHERE id IN (SELECT id FROM hold WHERE state <> 1 AND deadline < $1 "
        "ORDER BY deadline LIMIT $2)",
        clock_.now() - kHoldMemory, limit);
    return static_cast<int>(overdue.size());
}

int Ledger::release_holds_of_requests(Tx& tx) {
    // By what the holds say, not to zero: a difference stays, for audit() to find.
    tx.execute(
        "UPDATE account SET held = held - (SELECT CAST(SUM(hold.amount) AS BIGINT) FROM hold "
        "WHERE hold.payer = account.id AND hold.state = 1) "
        "WHERE id IN (SELECT payer FROM hold WHERE state = 1)");
    return static_cast<int>(
        tx.execute("UPDATE hold SET state = $1 WHERE state = 1", raw(HoldState::Released)));
}

}  // namespace nutgate
