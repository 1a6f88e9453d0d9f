// Holds that stay open while parts of them are charged, added and freed: what many requests share.
#include <algorithm>

#include "hold.h"
#include "nutgate/base/verify.h"

namespace nutgate {
namespace {

using store::Reader;
using store::Tx;

Result<StoredHold, LedgerError> find_open(Reader& reader, const HoldId& id) {
    const auto hold = find_hold(reader, id);
    if (!hold) return fail(LedgerError::HoldUnknown);
    if (hold->state != HoldState::Open) return fail(LedgerError::HoldClosed);
    return *hold;
}

}  // namespace

Result<Captured, LedgerError> Ledger::capture(Tx& tx, const Capture& capture) {
    VERIFY(!grows_by_debit(capture.payee.kind));
    VERIFY(capture.sequence > 0);
    const auto hold = find_hold(tx, capture.hold);
    if (!hold) return fail(LedgerError::HoldUnknown);
    const bool open = hold->state == HoldState::Open;
    if (!open && hold->state != HoldState::Expired) return fail(LedgerError::HoldClosed);
    const Msat kept = open ? hold->amount : Msat{};
    if (capture.sequence <= hold->sequence) {
        return Captured{.applied = Applied::Before,
                        .charged = Msat{},
                        .held = kept,
                        .available = available(tx, hold->payer)};
    }
    if (capture.sequence != hold->sequence + 1) return fail(LedgerError::IdReused);

    const Msat freed = std::min(capture.cost, kept);
    Msat charged = capture.cost;
    if (freed < capture.cost) {
        const Msat beyond = *subtract(capture.cost, freed);
        charged = *add(freed, std::min(beyond, available(tx, hold->payer)));
    }
    const auto credited = apply(tx, Side::Credit, capture.payee, charged);
    if (!credited) return fail(refusal(tx, Side::Credit, capture.payee, charged));
    if (!debit_payer(tx, hold->payer, charged, freed)) {
        undo(tx, Side::Credit, *credited, charged);
        return fail(LedgerError::AmountOverflow);
    }
    const Msat left = *subtract(hold->amount, std::min(capture.cost, hold->amount));
    tx.execute("UPDATE hold SET amount = $2, sequence = $3 WHERE id = $1", capture.hold, left,
               capture.sequence);
    if (charged > Msat{}) {
        insert(tx, {.id = std::nullopt,
                    .debit = hold->payer,
                    .credit = *credited,
                    .amount = charged,
                    .at = clock_.now(),
                    .reason = "charge"});
    }
    return Captured{.applied = Applied::Now,
                    .charged = charged,
                    .held = open ? left : Msat{},
                    .available = available(tx, hold->payer)};
}

std::int64_t Ledger::captures(Reader& reader, const HoldId& id) const {
    const auto hold = find_hold(reader, id);
    return hold ? hold->sequence : 0;
}

Result<Msat, LedgerError> Ledger::grow(Tx& tx, const HoldId& id, Msat more, Time deadline) {
    TRY(const auto hold, find_open(tx, id));
    const auto amount = add(hold.amount, more);
    if (!amount) return fail(LedgerError::AmountOverflow);
    const auto taken = tx.execute(
        "UPDATE account SET held = held + $2 WHERE id = $1 AND "
        "sign * (debits - credits) - held >= $2",
        hold.payer, more);
    if (taken != 1) return fail(LedgerError::InsufficientFunds);
    tx.execute("UPDATE hold SET amount = $2, deadline = $3 WHERE id = $1", id, *amount, deadline);
    return *amount;
}

Result<Msat, LedgerError> Ledger::shrink(Tx& tx, const HoldId& id, Msat less) {
    TRY(const auto hold, find_open(tx, id));
    const auto left = subtract(hold.amount, less);
    if (!left) return fail(LedgerError::ExceedsHold);
    free_held(tx, hold.payer, less);
    tx.execute("UPDATE hold SET amount = $2 WHERE id = $1", id, *left);
    return *left;
}

}  // namespace nutgate
