// What goes out, and what moves between our own assets: refunds and payouts, invoices that we pay,
// swaps to another mint, fundings.
//
// Our own money has two legs to go. The first takes it from its asset to `lightning:transit`; the
// second, an issue, takes it from there. Should the second be told first, what it brought is
// unclaimed until the first claims it; should the first fail, it stays so, because somebody else
// has paid our quote.
#include <string>
#include <utility>

#include "error_name.h"
#include "nutgate/cashier/books.h"
#include "nutgate/crypto/seal.h"
#include "posting.h"
#include "schema.h"

namespace nutgate {
namespace {

using cashu::SettlerRefusal;
using store::Row;
using store::Tx;
using Told = cashu::Settler::Told;

struct StoredPayout {
    PayoutKind kind;
    Msat amount;
    RowState state;
};

std::optional<StoredPayout> find_payout(Tx& tx, std::string_view reference) {
    const auto row =
        tx.query_one("SELECT kind, amount, state FROM payout WHERE reference = $1", reference);
    if (!row) return std::nullopt;
    return StoredPayout{.kind = static_cast<PayoutKind>(row->integer(0)),
                        .amount = row->msat(1),
                        .state = static_cast<RowState>(row->integer(2))};
}

struct StoredTransit {
    PaymentHash payment;
    Msat amount;
    TransitState state;
};

std::optional<StoredTransit> find_transit(Tx& tx, std::string_view reference) {
    const auto row = tx.query_one(
        "SELECT payment_hash, amount, state FROM transit WHERE reference = $1", reference);
    if (!row) return std::nullopt;
    return StoredTransit{.payment = row->id<PaymentHash>(0),
                         .amount = row->msat(1),
                         .state = static_cast<TransitState>(row->integer(2))};
}

// An amount out of one of our assets, and what that cost.
struct Outgoing {
    std::string_view what;
    std::string_view what_fee;
    std::string_view reference;
    Account to;
    Account asset;
    Account fees;
    Msat amount;
    Msat fee;
    std::string reason;
};

Told post_outgoing(Ledger& ledger, Tx& tx, const Outgoing& out) {
    const auto moved = ledger.transfer(tx, {.id = transfer_id(out.what, {out.reference}),
                                            .debit = out.to,
                                            .credit = out.asset,
                                            .amount = out.amount,
                                            .reason = out.reason});
    if (!moved) return fail(refusal(moved.error(), out.reference));
    const auto fee = post_amount(ledger, tx,
                                 {.id = transfer_id(out.what_fee, {out.reference}),
                                  .debit = out.fees,
                                  .credit = out.asset,
                                  .amount = out.fee,
                                  .reason = "mint_fee"});
    if (!fee) return fail(refusal(fee.error(), out.reference));
    return {};
}

}  // namespace

Told CashierBooks::sent(Tx& tx, const Sent& event) {
    const auto payout = find_payout(tx, event.reference);
    if (!payout) return fail(refusal("no such payout", event.reference));
    if (payout->state == RowState::Done) return {};
    // A token of another amount than was taken from the balance would make or lose money.
    if (payout->state != RowState::Submitted || payout->amount != event.amount) {
        return fail(refusal("not the payout that was begun", event.reference));
    }
    TRY_VOID(post_outgoing(ledger_, tx,
                           {.what = "payout sent",
                            .what_fee = "payout fee",
                            .reference = event.reference,
                            .to = payouts_in_flight(),
                            .asset = ecash_account(event.mint, event.unit),
                            .fees = {AccountKind::Fees, event.mint.text()},
                            .amount = event.amount,
                            .fee = event.fee,
                            .reason = "payout"}));
    const Bytes sealed =
        crypto::seal(sealing_key_, as_bytes(event.token), as_bytes(event.reference), random_);
    tx.execute(
        "UPDATE payout SET state = $2, sealed = $3, mint = $4, fee = $5, ended_at = $6 "
        "WHERE reference = $1",
        std::string_view{event.reference}, stored(RowState::Done), BytesView{sealed},
        std::string_view{event.mint.text()}, event.fee, clock_.now());
    return {};
}

Told CashierBooks::give_back(Tx& tx, std::string_view reference, const cashu::WalletError& why) {
    for (const Row& part : tx.query("SELECT account_kind, account_name, amount FROM payout_part "
                                    "WHERE reference = $1",
                                    reference)) {
        const Account account{static_cast<AccountKind>(part.integer(0)), part.text(1)};
        const auto moved =
            ledger_.transfer(tx, {.id = transfer_id("payout given back", {reference, account.name}),
                                  .debit = payouts_in_flight(),
                                  .credit = account,
                                  .amount = part.msat(2),
                                  .reason = "payout_failed"});
        if (!moved) return fail(refusal(moved.error(), reference));
    }
    tx.execute(
        "UPDATE payout SET state = $2, failure = $3, fee = 0, ended_at = $4 WHERE reference = $1",
        reference, stored(RowState::Failed), failure_name(CashierError{why}.code), clock_.now());
    return {};
}

Told CashierBooks::send_failed(Tx& tx, std::string_view reference, const cashu::WalletError& why) {
    const auto payout = find_payout(tx, reference);
    if (!payout) return fail(refusal("no such payout", reference));
    if (payout->state == RowState::Failed) return {};
    if (payout->state == RowState::Done) return fail(refusal("was sent", reference));
    return give_back(tx, reference, why);
}

Told CashierBooks::melted(Tx& tx, const Melted& event) {
    if (event.inputs == Inputs::Token) return foreign_melted(tx, event);
    if (const auto payout = find_payout(tx, event.reference)) {
        if (payout->state == RowState::Done) return {};
        if (payout->kind != PayoutKind::Melt || payout->state != RowState::Submitted ||
            payout->amount != event.amount) {
            return fail(refusal("not the payment that was begun", event.reference));
        }
        TRY_VOID(post_outgoing(ledger_, tx,
                               {.what = "payout melted",
                                .what_fee = "payout melt fee",
                                .reference = event.reference,
                                .to = payouts_in_flight(),
                                .asset = ecash_account(event.mint, event.unit),
                                .fees = {AccountKind::Fees, event.mint.text()},
                                .amount = event.amount,
                                .fee = event.fee,
                                .reason = "payout"}));
        tx.execute(
            "UPDATE payout SET state = $2, preimage = $3, mint = $4, fee = $5, ended_at = $6 "
            "WHERE reference = $1",
            std::string_view{event.reference}, stored(RowState::Done), event.preimage,
            std::string_view{event.mint.text()}, event.fee, clock_.now());
        return {};
    }
    if (is_remittance(tx, event.reference)) {
        return remitted(tx, {.reference = event.reference,
                             .asset = ecash_account(event.mint, event.unit),
                             .fees = {AccountKind::Fees, event.mint.text()},
                             .amount = event.amount,
                             .fee = event.fee,
                             .preimage = event.preimage});
    }
    return depart(tx, {.reference = event.reference,
                       .payment = event.payment,
                       .asset = ecash_account(event.mint, event.unit),
                       .fees = {AccountKind::Fees, event.mint.text()},
                       .amount = event.amount,
                       .fee = event.fee});
}

// What the token was worth is not ours before it arrives. What came back of it as ecash of its mint
// is: but its mint may be worth nothing, so it is neither the buyer's nor earned. Otherwise a mint
// that asks for a large reserve and returns it would make revenue for its owner.
Told CashierBooks::foreign_melted(Tx& tx, const Melted& event) {
    const auto row = tx.query_one("SELECT state FROM deposit WHERE reference = $1",
                                  std::string_view{event.reference});
    if (!row) return fail(refusal("no such deposit", event.reference));
    const auto moved = post_amount(ledger_, tx,
                                   {.id = transfer_id("foreign change", {event.payment.hex()}),
                                    .debit = ecash_account(event.mint, event.unit),
                                    .credit = foreign_change(),
                                    .amount = event.change,
                                    .reason = "foreign_change"});
    if (!moved) return fail(refusal(moved.error(), event.reference));
    if (event.change > Msat{} && *moved == Applied::Now) {
        tx.execute("UPDATE deposit SET foreign_change = foreign_change + $2 WHERE reference = $1",
                   std::string_view{event.reference}, event.change);
    }
    return {};
}

Told CashierBooks::melt_failed(Tx& tx, std::string_view reference, const cashu::WalletError& why) {
    if (find_payout(tx, reference)) return send_failed(tx, reference, why);
    if (find_transit(tx, reference)) return not_departed(tx, reference, why);
    if (is_remittance(tx, reference)) {
        return not_remitted(tx, reference, CashierError{why}.code);
    }
    const auto deposit = tx.query_one("SELECT state FROM deposit WHERE reference = $1", reference);
    if (!deposit) return fail(refusal("no such payment", reference));
    // Somebody else has paid the quote meanwhile: what arrived was credited, and stays.
    if (static_cast<RowState>(deposit->integer(0)) == RowState::Done) return {};
    return receive_failed(tx, reference, why);
}

Told CashierBooks::funded(Tx& tx, const Funded& event) {
    return depart(tx, {.reference = event.reference,
                       .payment = event.payment,
                       .asset = lightning_account(event.backend),
                       .fees = {AccountKind::Fees, event.backend},
                       .amount = event.amount,
                       .fee = event.fee});
}

Told CashierBooks::fund_failed(Tx& tx, std::string_view reference, const cashu::WalletError& why) {
    return not_departed(tx, reference, why);
}

Told CashierBooks::depart(Tx& tx, const Departure& event) {
    const auto row = find_transit(tx, event.reference);
    if (!row) return fail(refusal("no such payment", event.reference));
    if (row->state == TransitState::Left || row->state == TransitState::Done) return {};
    if (row->state != TransitState::Submitted || row->payment != event.payment ||
        row->amount != event.amount) {
        return fail(refusal("not the payment that was begun", event.reference));
    }
    TRY_VOID(post_outgoing(ledger_, tx,
                           {.what = "transit left",
                            .what_fee = "transit fee",
                            .reference = event.reference,
                            .to = transit(),
                            .asset = event.asset,
                            .fees = event.fees,
                            .amount = event.amount,
                            .fee = event.fee,
                            .reason = "transit"}));
    tx.execute("UPDATE transit SET state = $2, fee = $3 WHERE reference = $1", event.reference,
               stored(TransitState::Left), event.fee);
    // The other side may have been faster.
    if (const auto claimed = claim(tx, event.payment); !claimed) {
        return fail(refusal(claimed.error(), event.reference));
    }
    return {};
}

Told CashierBooks::not_departed(Tx& tx, std::string_view reference, const cashu::WalletError& why) {
    const auto row = find_transit(tx, reference);
    if (!row) return fail(refusal("no such payment", reference));
    if (row->state == TransitState::Failed) return {};
    if (row->state != TransitState::Submitted) return fail(refusal("was paid", reference));
    tx.execute(
        "UPDATE transit SET state = $2, failure = $3, fee = 0, ended_at = $4 WHERE reference = $1",
        reference, stored(TransitState::Failed), failure_name(CashierError{why}.code),
        clock_.now());
    return {};
}

std::optional<std::string> CashierBooks::open_token(std::string_view reference,
                                                    BytesView sealed) const {
    const auto opened = crypto::open(sealing_key_, sealed, as_bytes(reference));
    if (!opened) return std::nullopt;
    return std::string{as_text(*opened)};
}

}  // namespace nutgate
