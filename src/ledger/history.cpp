#include <string>

#include "account.h"
#include "nutgate/base/verify.h"

namespace nutgate {

std::int64_t Ledger::newest(store::Reader& reader) const {
    return reader.query_one("SELECT COALESCE(MAX(number), 0) FROM transfer")->integer(0);
}

std::vector<LedgerCharge> Ledger::charges(store::Reader& reader, const Account& payee,
                                          std::int64_t from, std::int64_t until) const {
    const auto number = find_account(reader, payee);
    if (!number) return {};
    std::vector<LedgerCharge> charges;
    for (const auto& row :
         reader.query("SELECT number, amount FROM transfer WHERE credit = $1 AND number >= $2 AND "
                      "number < $3 AND reason = 'charge' ORDER BY number",
                      *number, from, until)) {
        charges.push_back({.number = row.integer(0), .amount = row.msat(1)});
    }
    return charges;
}

std::vector<Entry> Ledger::history(store::Reader& reader, const Account& account, int limit,
                                   std::optional<std::int64_t> before) const {
    VERIFY(limit >= 0);
    const auto number = find_account(reader, account);
    if (!number) return {};
    // Each side by its own index, so that the newest of a long history cost as much as of a short.
    const auto rows = reader.query(
        "SELECT side.number, side.debited, account.kind, account.name, side.amount, side.at, "
        "side.reason FROM ("
        "SELECT * FROM (SELECT number, 1 AS debited, credit AS other, amount, at, reason "
        "FROM transfer WHERE debit = $1 AND number < $2 ORDER BY number DESC LIMIT $3) AS debits "
        "UNION ALL "
        "SELECT * FROM (SELECT number, 0 AS debited, debit AS other, amount, at, reason "
        "FROM transfer WHERE credit = $1 AND number < $2 ORDER BY number DESC LIMIT $3) AS credits"
        ") AS side JOIN account ON account.id = side.other ORDER BY side.number DESC LIMIT $3",
        *number, before.value_or(INT64_MAX), limit);
    std::vector<Entry> entries;
    entries.reserve(rows.size());
    for (const auto& row : rows) {
        const auto kind = kind_from_raw(row.integer(2));
        if (!kind) continue;  // For audit() to tell.
        entries.push_back({.number = row.integer(0),
                           .incoming = (row.integer(1) == 1) == grows_by_debit(account.kind),
                           .other = {*kind, row.text(3)},
                           .amount = row.msat(4),
                           .at = row.time(5),
                           .reason = row.text(6)});
    }
    return entries;
}

}  // namespace nutgate
