// What is sent away over Lightning, as the books have it. Amount and most of the fee lie in flight
// from the beginning; here they go where the payment went, or back to whom they were taken from.
#include <algorithm>
#include <string>

#include "error_name.h"
#include "nutgate/cashier/books.h"
#include "posting.h"
#include "schema.h"

namespace nutgate {
namespace {

using store::Reader;
using store::Row;
using store::Tx;
using Told = cashu::Settler::Told;

struct Begun {
    Msat amount;
    Msat fee_max;
    RowState state;
};

std::optional<Begun> find_remittance(Reader& reader, std::string_view reference) {
    const auto row = reader.query_one(
        "SELECT amount, fee_max, state FROM remittance WHERE reference = $1", reference);
    if (!row) return std::nullopt;
    return Begun{.amount = row->msat(0),
                 .fee_max = row->msat(1),
                 .state = static_cast<RowState>(row->integer(2))};
}

}  // namespace

bool is_remittance(Reader& reader, std::string_view reference) {
    return find_remittance(reader, reference).has_value();
}

// To those it was taken from, always in the same order.
Told CashierBooks::give_rest(Tx& tx, std::string_view reference, Msat rest) {
    for (const Row& part : tx.query("SELECT account_kind, account_name, amount FROM payout_part "
                                    "WHERE reference = $1 ORDER BY account_kind, account_name",
                                    reference)) {
        const Account account{static_cast<AccountKind>(part.integer(0)), part.text(1)};
        const Msat back = std::min(rest, part.msat(2));
        const auto moved =
            post_amount(ledger_, tx,
                        {.id = transfer_id("remittance given back", {reference, account.name}),
                         .debit = payouts_in_flight(),
                         .credit = account,
                         .amount = back,
                         .reason = "payout_rest"});
        if (!moved) return fail(refusal(moved.error(), reference));
        rest = subtract(rest, back).value_or(Msat{});
    }
    if (rest > Msat{}) return fail(refusal("more to give back than was taken", reference));
    return {};
}

Told CashierBooks::remitted(Tx& tx, const Remitted& event) {
    const auto row = find_remittance(tx, event.reference);
    if (!row) return fail(refusal("no such payout", event.reference));
    if (row->state == RowState::Done) return {};
    if (row->state != RowState::Submitted || row->amount != event.amount) {
        return fail(refusal("not the payout that was begun", event.reference));
    }
    // Some payers take no limit of a fee. What goes beyond it nobody was asked for.
    const Msat charged = std::min(event.fee, row->fee_max);
    const auto paid = add(row->amount, charged);
    const auto rest = subtract(row->fee_max, charged);
    const auto beyond = subtract(event.fee, charged);
    if (!paid || !rest || !beyond) return fail(refusal("amount overflows", event.reference));
    const auto moved = ledger_.transfer(tx, {.id = transfer_id("remitted", {event.reference}),
                                             .debit = payouts_in_flight(),
                                             .credit = event.asset,
                                             .amount = *paid,
                                             .reason = "payout"});
    if (!moved) return fail(refusal(moved.error(), event.reference));
    const auto cost = post_amount(ledger_, tx,
                                  {.id = transfer_id("remitted beyond", {event.reference}),
                                   .debit = event.fees,
                                   .credit = event.asset,
                                   .amount = *beyond,
                                   .reason = "payout_fee"});
    if (!cost) return fail(refusal(cost.error(), event.reference));
    TRY_VOID(give_rest(tx, event.reference, *rest));
    tx.execute(
        "UPDATE remittance SET state = $2, fee = $3, preimage = $4, ended_at = $5 "
        "WHERE reference = $1",
        event.reference, stored(RowState::Done), charged, event.preimage, clock_.now());
    return {};
}

Told CashierBooks::not_remitted(Tx& tx, std::string_view reference, CashierError::Code why) {
    const auto row = find_remittance(tx, reference);
    if (!row) return fail(refusal("no such payout", reference));
    if (row->state == RowState::Failed) return {};
    if (row->state == RowState::Done) return fail(refusal("was paid", reference));
    const auto taken = add(row->amount, row->fee_max);
    if (!taken) return fail(refusal("amount overflows", reference));
    TRY_VOID(give_rest(tx, reference, *taken));
    tx.execute("UPDATE remittance SET state = $2, failure = $3, ended_at = $4 WHERE reference = $1",
               reference, stored(RowState::Failed), failure_name(why), clock_.now());
    return {};
}

}  // namespace nutgate
