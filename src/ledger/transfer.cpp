#include <algorithm>
#include <string_view>

#include "account.h"
#include "nutgate/base/verify.h"

namespace nutgate {
namespace {

constexpr std::size_t kReasonSizeMax = 32;

bool is_reason(std::string_view text) {
    return !text.empty() && text.size() <= kReasonSizeMax &&
           std::all_of(text.begin(), text.end(),
                       [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; });
}

// Both sides or neither. The one that shrinks goes first, since it is the one that is refused.
struct Sides {
    AccountNumber debit;
    AccountNumber credit;
};
Result<Sides, LedgerError> apply_both(store::Tx& tx, const Transfer& t) {
    const bool credit_first = grows_by_debit(t.credit.kind);
    const Side first = credit_first ? Side::Credit : Side::Debit;
    const Side second = credit_first ? Side::Debit : Side::Credit;
    const Account& first_account = credit_first ? t.credit : t.debit;
    const Account& second_account = credit_first ? t.debit : t.credit;

    const auto one = apply(tx, first, first_account, t.amount);
    if (!one) return fail(refusal(tx, first, first_account, t.amount));
    const auto other = apply(tx, second, second_account, t.amount);
    if (!other) {
        undo(tx, first, *one, t.amount);
        return fail(refusal(tx, second, second_account, t.amount));
    }
    return credit_first ? Sides{.debit = *other, .credit = *one}
                        : Sides{.debit = *one, .credit = *other};
}

}  // namespace

Result<Applied, LedgerError> Ledger::transfer(store::Tx& tx, const Transfer& t) {
    VERIFY(is_reason(t.reason));
    const auto stored =
        tx.query_one("SELECT debit, credit, amount FROM transfer WHERE id = $1", t.id);
    if (stored) {
        const bool same = find_account(tx, t.debit) == stored->integer(0) &&
                          find_account(tx, t.credit) == stored->integer(1) &&
                          t.amount == stored->msat(2);
        if (!same) return fail(LedgerError::IdReused);
        return Applied::Before;
    }
    TRY(const auto sides, apply_both(tx, t));
    insert(tx, {.id = t.id,
                .debit = sides.debit,
                .credit = sides.credit,
                .amount = t.amount,
                .at = clock_.now(),
                .reason = t.reason});
    return Applied::Now;
}

}  // namespace nutgate
