#include "slice_books.h"

#include <algorithm>
#include <string>

#include "nutgate/base/verify.h"
#include "nutgate/cashier/books.h"

namespace nutgate::proxy {
namespace {

using Why = DrawRefusal::Why;

Why to_refusal(KeyringError error) {
    switch (error) {
        case KeyringError::Unknown:
            return Why::KeyUnknown;
        case KeyringError::Revoked:
            return Why::KeyRevoked;
        case KeyringError::Expired:
            return Why::KeyExpired;
        case KeyringError::LimitExceeded:
            return Why::LimitExceeded;
        case KeyringError::ParentIsChild:
            return Why::Broken;
    }
    return Why::Broken;
}

Account revenue() { return {AccountKind::Revenue, std::string{kRevenueRequests}}; }

}  // namespace

// Where the till does not know of a hold there may be one all the same, of a commit that seemed to
// fail. What is in it is as if it were not.
Result<bool, LedgerError> SliceBooks::empty_unknown(store::Tx& tx, const Growth& growth) {
    const auto held = ledger_.grow(tx, growth.hold, Msat{}, growth.deadline);
    if (!held) {
        if (held.error() == LedgerError::HoldUnknown) return false;
        return fail(held.error());
    }
    TRY_VOID(ledger_.shrink(tx, growth.hold, *held));
    keyring_.give_back(tx, growth.key, growth.hold, kAll);
    return true;
}

Result<Msat, LedgerError> SliceBooks::take(store::Tx& tx, const Growth& growth,
                                           const Account& payer, bool exists, Msat amount) {
    if (exists) return ledger_.grow(tx, growth.hold, amount, growth.deadline);
    TRY_VOID(ledger_.hold(
        tx, {.id = growth.hold, .payer = payer, .amount = amount, .deadline = growth.deadline}));
    return amount;
}

Grown SliceBooks::grow(store::Tx& tx, const Growth& growth) {
    Grown grown;
    for (const GiveBack& part : growth.first) grown.given.push_back(give_back(tx, part));
    if (growth.lost) keyring_.give_back(tx, growth.key, *growth.lost, kAll);
    bool exists = growth.is_open;
    if (!exists) {
        const auto emptied = empty_unknown(tx, growth);
        grown.hold_lost = !emptied;
        exists = emptied && *emptied;
    }
    const auto allowance = keyring_.allowance(tx, growth.key);
    if (!allowance) {
        grown.refusal = to_refusal(allowance.error());
        return grown;
    }
    grown.payer = allowance->billing;
    grown.limit_left = allowance->limit_left;
    grown.valid_until = allowance->valid_until;
    const Account payer = key_account(allowance->billing);
    grown.available = ledger_.balance(tx, payer).available();

    if (grown.hold_lost) return grown;

    const Msat most = std::min(grown.available, grown.limit_left.value_or(grown.available));
    if (most < growth.least) return grown;
    const Msat amount = std::min(most, std::max(growth.target, growth.needed));
    const auto held = take(tx, growth, payer, exists, amount);
    if (!held) {
        grown.hold_lost =
            held.error() == LedgerError::HoldClosed || held.error() == LedgerError::HoldUnknown;
        if (!grown.hold_lost) grown.refusal = Why::Broken;
        return grown;
    }
    if (grown.limit_left) {
        VERIFY(keyring_.admit(tx, growth.key, growth.hold, amount).has_value());
        grown.limit_left = subtract(*grown.limit_left, amount);
    }
    grown.held = *held;
    grown.available = *subtract(grown.available, amount);
    return grown;
}

Posted SliceBooks::post(store::Tx& tx, const SliceCharge& charge) {
    const auto captured = ledger_.capture(tx, {.hold = charge.hold,
                                               .sequence = charge.sequence,
                                               .payee = revenue(),
                                               .cost = charge.cost});
    Posted posted;
    if (!captured) {
        posted.refusal = captured.error();
        return posted;
    }
    if (captured->applied == Applied::Now) {
        keyring_.spend(tx, charge.key, charge.hold, captured->charged, charge.requests);
        posted.uncollected = *subtract(charge.cost, captured->charged);
        // With the charge or not at all: told again it was applied before, and so were these.
        if (captured->transfer > 0 && !charge.rows.empty()) {
            write_usage(tx,
                        {.transfer = captured->transfer,
                         .payer = charge.payer,
                         .key = charge.key,
                         .charged = captured->charged},
                        charge.rows);
        }
    }
    posted.held = captured->held;
    posted.available = captured->available;
    return posted;
}

Msat SliceBooks::give_back(store::Tx& tx, const GiveBack& part) {
    if (part.end) {
        // One that had expired is closed by it, too. None that is unknown has anything.
        (void)ledger_.release(tx, part.hold);
        keyring_.give_back(tx, part.key, part.hold, part.amount);
        return Msat{};
    }
    const auto left = ledger_.shrink(tx, part.hold, part.amount);
    if (!left) return Msat{};
    keyring_.give_back(tx, part.key, part.hold, part.amount);
    return *left;
}

std::optional<Msat> SliceBooks::renew(store::Tx& tx, const HoldId& hold, Time deadline) {
    const auto held = ledger_.grow(tx, hold, Msat{}, deadline);
    if (!held) return std::nullopt;
    return *held;
}

}  // namespace nutgate::proxy
