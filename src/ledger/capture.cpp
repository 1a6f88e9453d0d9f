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

// The case of nearly every capture: it is the next one, and its hold is open and covers it.
struct Taken {
    AccountNumber payer;
    Msat left;
};
std::optional<Taken> take_from_hold(Tx& tx, const Capture& capture) {
    const auto row = tx.query_one(
        "UPDATE hold SET amount = amount - $2, sequence = $3 WHERE id = $1 AND state = $4 AND "
        "sequence = $5 AND amount >= $2 RETURNING payer, amount",
        capture.hold, capture.cost, capture.sequence, static_cast<int>(HoldState::Open),
        capture.sequence - 1);
    if (!row) return std::nullopt;
    return Taken{.payer = row->integer(0), .left = row->msat(1)};
}

void give_back_to_hold(Tx& tx, const Capture& capture) {
    const auto undone =
        tx.execute("UPDATE hold SET amount = amount + $2, sequence = $3 WHERE id = $1",
                   capture.hold, capture.cost, capture.sequence - 1);
    VERIFY(undone == 1);
}

// The accounts' part of a capture. Refused, it has changed nothing.
struct Debit {
    AccountNumber payer;
    Msat charged;
    Msat freed;  // Of what was held for it.
};
Result<Captured, LedgerError> charge(Tx& tx, const Account& payee, const Debit& debit, Time now) {
    const auto credited = apply(tx, Side::Credit, payee, debit.charged);
    if (!credited) return fail(refusal(tx, Side::Credit, payee, debit.charged));
    const auto left = debit_payer(tx, debit.payer, debit.charged, debit.freed);
    if (!left) {
        undo(tx, Side::Credit, *credited, debit.charged);
        return fail(LedgerError::AmountOverflow);
    }
    std::int64_t transfer = 0;
    if (debit.charged > Msat{}) {
        transfer = insert(tx, {.id = std::nullopt,
                               .debit = debit.payer,
                               .credit = *credited,
                               .amount = debit.charged,
                               .at = now,
                               .reason = "charge"});
    }
    return Captured{.applied = Applied::Now,
                    .charged = debit.charged,
                    .held = Msat{},
                    .available = *left,
                    .transfer = transfer};
}

}  // namespace

Result<Captured, LedgerError> Ledger::capture(Tx& tx, const Capture& capture) {
    VERIFY(!grows_by_debit(capture.payee.kind));
    VERIFY(capture.sequence > 0);
    if (const auto taken = take_from_hold(tx, capture)) {
        auto captured = charge(
            tx, capture.payee,
            {.payer = taken->payer, .charged = capture.cost, .freed = capture.cost}, clock_.now());
        if (!captured) {
            give_back_to_hold(tx, capture);
            return captured;
        }
        captured->held = taken->left;
        return captured;
    }
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
    TRY(auto captured,
        charge(tx, capture.payee, {.payer = hold->payer, .charged = charged, .freed = freed},
               clock_.now()));
    const Msat left = *subtract(hold->amount, std::min(capture.cost, hold->amount));
    tx.execute("UPDATE hold SET amount = $2, sequence = $3 WHERE id = $1", capture.hold, left,
               capture.sequence);
    captured.held = open ? left : Msat{};
    return captured;
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
