// The embedded mint's side of the books: what is outstanding, and what Lightning owes us for it.
//
// MintBooks has no way to refuse, so a refusal of the ledger fails the whole transaction, as an
// unavailable database would: the mint hands nothing out, and asks again with the same reference.
#include <algorithm>
#include <string>
#include <utility>

#include "nutgate/base/log.h"
#include "nutgate/cashier/books.h"
#include "posting.h"
#include "schema.h"

namespace nutgate {
namespace {

using store::Reader;
using store::StoreFailure;
using store::Tx;

void post_or_fail(Ledger& ledger, Tx& tx, const Transfer& transfer) {
    const auto posted = post_amount(ledger, tx, transfer);
    if (posted) return;
    log::error("cashier.mint_books_refused", {{"why", to_text(posted.error())},
                                              {"debit", transfer.debit.name},
                                              {"credit", transfer.credit.name},
                                              {"amount", transfer.amount}});
    throw StoreFailure{"the books refused the mint: " + std::string{to_text(posted.error())}};
}

Msat sum_or_fail(Msat a, Msat b) {
    const auto total = add(a, b);
    if (!total) throw StoreFailure{"the books refused the mint: amount overflow"};
    return *total;
}

// By a node of ours, for a refund, a payout or a move of our own money. What the wallet's ecash
// pays for is not among them: that is a melt, perhaps this one.
bool is_paid_by_node(Reader& reader, const PaymentHash& payment) {
    // The state is written out as the index has it: 3 is failed.
    const auto sent = reader.query_one(
        "SELECT 1 FROM remittance WHERE payment_hash = $1 AND state <> 3 AND backend IS NOT NULL",
        payment);
    if (sent) return true;
    return reader
        .query_one(
            "SELECT 1 FROM transit WHERE payment_hash = $1 AND state <> $2 AND backend IS NOT NULL",
            payment, stored(TransitState::Failed))
        .has_value();
}

}  // namespace

void CashierBooks::quote_paid(Tx& tx, const PaymentHash& payment, Msat amount) {
    post_or_fail(ledger_, tx,
                 {.id = transfer_id("mint quote paid", {payment.hex()}),
                  .debit = lightning_account(mint_backend_),
                  .credit = mint_quotes_in_flight(),
                  .amount = amount,
                  .reason = "mint_paid"});
}

void CashierBooks::offer_paid(Tx& tx, const OfferId& offer, const PaymentHash& payment,
                              Msat amount) {
    quote_paid(tx, payment, amount);
    tx.execute("UPDATE offer SET next_ask_at = $2 WHERE reference = $1", offer.hex(), clock_.now());
}

void CashierBooks::issued(Tx& tx, std::string_view reference, const cashu::KeysetId& keyset,
                          Msat amount) {
    post_or_fail(ledger_, tx,
                 {.id = transfer_id("mint issued", {reference, keyset.text()}),
                  .debit = mint_quotes_in_flight(),
                  .credit = outstanding_account(keyset),
                  .amount = amount,
                  .reason = "mint_issued"});
}

void CashierBooks::swapped(Tx& tx, std::string_view reference, const std::vector<SwapLine>& lines,
                           Msat fee) {
    // What each keyset lost goes to those that gained, and what is left over is the fee: for one
    // keyset without a fee, which is nearly every swap, there is nothing to write.
    struct Side {
        Account account;
        Msat left;
    };
    std::vector<Side> from;
    std::vector<Side> to;
    for (const SwapLine& line : lines) {
        if (const auto down = subtract(line.spent, line.signed_); down && *down > Msat{}) {
            from.push_back({outstanding_account(line.keyset), *down});
        } else if (const auto up = subtract(line.signed_, line.spent); up && *up > Msat{}) {
            to.push_back({outstanding_account(line.keyset), *up});
        }
    }
    if (fee > Msat{}) to.push_back({revenue_account(kRevenueMint), fee});

    auto source = from.begin();
    auto target = to.begin();
    int step = 0;
    while (source != from.end() && target != to.end()) {
        const Msat moved = std::min(source->left, target->left);
        post_or_fail(ledger_, tx,
                     {.id = transfer_id("mint swap", {reference, std::to_string(step++)}),
                      .debit = source->account,
                      .credit = target->account,
                      .amount = moved,
                      .reason = "mint_swap"});
        source->left = subtract(source->left, moved).value_or(Msat{});
        target->left = subtract(target->left, moved).value_or(Msat{});
        if (source->left == Msat{}) ++source;
        if (target->left == Msat{}) ++target;
    }
    // Inputs are outputs plus the fee, or the mint is wrong, and then nothing must be signed.
    if (source != from.end() || target != to.end()) {
        throw StoreFailure{"the books refused the mint: a swap that does not add up"};
    }
}

// What the mint's node has, less what payments under way may take of it.
Msat CashierBooks::left_at_node(Reader& reader) const {
    Msat there = ledger_.balance(reader, lightning_account(mint_backend_)).posted;
    const auto take = [&](Msat amount) { there = subtract(there, amount).value_or(Msat{}); };
    take(ledger_.balance(reader, melts_in_flight()).posted);
    take(under_way_at(reader, mint_backend_));
    return there;
}

// Who changes the mint's node has its money at the old one, and the new one's account is empty.
CashierBooks::MayPay CashierBooks::may_pay(Reader& reader, const PaymentHash& payment, Msat most) {
    if (is_paid_by_node(reader, payment)) return MayPay::Elsewhere;
    return left_at_node(reader) >= most ? MayPay::Yes : MayPay::Short;
}

void CashierBooks::melt_begun(Tx& tx, std::string_view reference,
                              const std::vector<SwapLine>& lines) {
    for (const SwapLine& line : lines) {
        post_or_fail(ledger_, tx,
                     {.id = transfer_id("melt begun", {reference, line.keyset.text()}),
                      .debit = outstanding_account(line.keyset),
                      .credit = melts_in_flight(),
                      .amount = line.spent,
                      .reason = "melt"});
    }
}

void CashierBooks::melt_paid(Tx& tx, std::string_view reference, const MeltEnd& end) {
    post_or_fail(ledger_, tx,
                 {.id = transfer_id("melt paid", {reference}),
                  .debit = melts_in_flight(),
                  .credit = lightning_account(mint_backend_),
                  .amount = sum_or_fail(end.paid, end.routing_fee),
                  .reason = "melt_paid"});
    post_or_fail(ledger_, tx,
                 {.id = transfer_id("melt fee", {reference}),
                  .debit = melts_in_flight(),
                  .credit = revenue_account(kRevenueMint),
                  .amount = end.fee_kept,
                  .reason = "melt_fee"});
    for (const SwapLine& line : end.change) {
        post_or_fail(ledger_, tx,
                     {.id = transfer_id("melt change", {reference, line.keyset.text()}),
                      .debit = melts_in_flight(),
                      .credit = outstanding_account(line.keyset),
                      .amount = line.signed_,
                      .reason = "melt_change"});
    }
    if (end.beyond == Msat{}) return;
    // What no reserve covered is gone from the node all the same. More than the books have there
    // beside what others were promised can't be booked, and must not keep a melt from its end.
    const Account node = lightning_account(mint_backend_);
    const Msat beyond = std::min(end.beyond, left_at_node(tx));
    if (beyond < end.beyond) log::error("cashier.melt_beyond_books", {{"cost", end.beyond}});
    post_or_fail(ledger_, tx,
                 {.id = transfer_id("melt beyond", {reference}),
                  .debit = {AccountKind::Fees, mint_backend_},
                  .credit = node,
                  .amount = beyond,
                  .reason = "melt_beyond"});
}

void CashierBooks::melt_failed(Tx& tx, std::string_view reference,
                               const std::vector<SwapLine>& lines) {
    for (const SwapLine& line : lines) {
        post_or_fail(ledger_, tx,
                     {.id = transfer_id("melt failed", {reference, line.keyset.text()}),
                      .debit = melts_in_flight(),
                      .credit = outstanding_account(line.keyset),
                      .amount = line.spent,
                      .reason = "melt_failed"});
    }
}

}  // namespace nutgate
