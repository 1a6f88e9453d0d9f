#include "account.h"

#include "nutgate/base/verify.h"

namespace nutgate {
namespace {

using store::Reader;
using store::Tx;

int raw(AccountKind kind) { return static_cast<int>(kind); }
int sign(AccountKind kind) { return grows_by_debit(kind) ? 1 : -1; }
bool grows(Side side, AccountKind kind) { return (side == Side::Debit) == grows_by_debit(kind); }

// A balance that the books can't have is shown as nothing; that it is there is audit()'s to say.
Msat shown(std::int64_t value) { return Msat::from_raw(value).value_or(Msat{}); }

}  // namespace

bool grows_by_debit(AccountKind kind) {
    switch (kind) {
        case AccountKind::Ecash:
        case AccountKind::Lightning:
        case AccountKind::Fees:
        case AccountKind::Losses:
            return true;
        case AccountKind::Key:
        case AccountKind::MintOutstanding:
        case AccountKind::PaymentInFlight:
        case AccountKind::Revenue:
        case AccountKind::Owner:
            return false;
    }
    VERIFY(false);
    return false;
}

std::string_view to_text(AccountKind kind) {
    switch (kind) {
        case AccountKind::Ecash:
            return "ecash";
        case AccountKind::Lightning:
            return "lightning";
        case AccountKind::Key:
            return "key";
        case AccountKind::MintOutstanding:
            return "mint_outstanding";
        case AccountKind::PaymentInFlight:
            return "payment_in_flight";
        case AccountKind::Revenue:
            return "revenue";
        case AccountKind::Fees:
            return "fees";
        case AccountKind::Losses:
            return "losses";
        case AccountKind::Owner:
            return "owner";
    }
    VERIFY(false);
    return {};
}

std::optional<AccountKind> kind_from_raw(std::int64_t value) {
    if (value < raw(AccountKind::Ecash) || value > raw(AccountKind::Owner)) return std::nullopt;
    return static_cast<AccountKind>(value);
}

Account key_account(const KeyId& key) { return {AccountKind::Key, key.hex()}; }

std::optional<AccountNumber> find_account(Reader& reader, const Account& account) {
    const auto row = reader.query_one("SELECT id FROM account WHERE kind = $1 AND name = $2",
                                      raw(account.kind), account.name);
    if (!row) return std::nullopt;
    return row->integer(0);
}

std::optional<AccountNumber> apply(Tx& tx, Side side, const Account& account, Msat amount) {
    const auto row = tx.query_one(
        side == Side::Debit
            ? "UPDATE account SET debits = debits + $3 WHERE kind = $1 AND name = $2 AND "
              "debits + $3 <= $4 AND sign * (debits + $3 - credits) >= held RETURNING id"
            : "UPDATE account SET credits = credits + $3 WHERE kind = $1 AND name = $2 AND "
              "credits + $3 <= $4 AND sign * (debits - credits - $3) >= held RETURNING id",
        raw(account.kind), account.name, amount, Msat::kMax);
    if (row) return row->integer(0);

    // There may be none yet: one that shrinks first has nothing to give, but nothing of nothing.
    if (!grows(side, account.kind) && amount > Msat{}) return std::nullopt;
    const auto created = tx.query_one(
        "INSERT INTO account (id, kind, name, sign, debits, credits, held) VALUES ("
        "(SELECT COALESCE(MAX(id), 0) + 1 FROM account), $1, $2, $3, $4, $5, 0) "
        "ON CONFLICT (kind, name) DO NOTHING RETURNING id",
        raw(account.kind), account.name, sign(account.kind), side == Side::Debit ? amount : Msat{},
        side == Side::Credit ? amount : Msat{});
    if (!created) return std::nullopt;
    return created->integer(0);
}

LedgerError refusal(Reader& reader, Side side, const Account& account, Msat amount) {
    const auto row =
        reader.query_one("SELECT debits, credits FROM account WHERE kind = $1 AND name = $2",
                         raw(account.kind), account.name);
    if (!row) return LedgerError::InsufficientFunds;
    const auto before = Msat::from_raw(row->integer(side == Side::Debit ? 0 : 1));
    const bool fits = before && add(*before, amount);
    return fits ? LedgerError::InsufficientFunds : LedgerError::AmountOverflow;
}

void undo(Tx& tx, Side side, AccountNumber account, Msat amount) {
    const auto undone =
        tx.execute(side == Side::Debit ? "UPDATE account SET debits = debits - $2 WHERE id = $1"
                                       : "UPDATE account SET credits = credits - $2 WHERE id = $1",
                   account, amount);
    VERIFY(undone == 1);
}

std::int64_t insert(Tx& tx, const TransferRow& row) {
    const auto inserted = tx.query_one(
        "INSERT INTO transfer (number, id, debit, credit, amount, at, reason) VALUES ("
        "(SELECT COALESCE(MAX(number), 0) + 1 FROM transfer), $1, $2, $3, $4, $5, $6) "
        "RETURNING number",
        row.id, row.debit, row.credit, row.amount, row.at, row.reason);
    VERIFY(inserted.has_value());
    return inserted->integer(0);
}

Balance Ledger::balance(Reader& reader, const Account& account) const {
    const auto row = reader.query_one(
        "SELECT sign * (debits - credits), held FROM account WHERE kind = $1 AND name = $2",
        raw(account.kind), account.name);
    if (!row) return {};
    return {.posted = shown(row->integer(0)), .held = shown(row->integer(1))};
}

Msat Ledger::total(Reader& reader, AccountKind kind) const {
    const auto row = reader.query_one(
        "SELECT CAST(COALESCE(SUM(sign * (debits - credits)), 0) AS BIGINT) FROM account "
        "WHERE kind = $1",
        raw(kind));
    return shown(row->integer(0));
}

}  // namespace nutgate
