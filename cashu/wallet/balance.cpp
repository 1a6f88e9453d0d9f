#include "nutgate/cashu/wallet.h"
#include "wallet/operation.h"

namespace nutgate::cashu {

// Reserved proofs are ours until their operation ends. Received ones are nobody's yet: they were
// not credited, and count as soon as they have been swapped.
std::vector<MintBalance> Wallet::balances(store::Reader& reader) {
    std::vector<MintBalance> balances;
    for (const auto& row : reader.query(
             "SELECT mint, unit, CAST(SUM(CASE WHEN state = 1 THEN msat ELSE 0 END) AS BIGINT), "
             "CAST(SUM(CASE WHEN state = 2 THEN msat ELSE 0 END) AS BIGINT) FROM wallet_proof "
             "WHERE "
             "state IN (1, 2) GROUP BY mint, unit ORDER BY mint, unit")) {
        const auto mint = MintUrl::parse(row.text(0));
        const auto unit = parse_unit(row.text(1));
        VERIFY(mint && unit);
        balances.push_back(
            {.mint = *mint, .unit = *unit, .available = row.msat(2), .reserved = row.msat(3)});
    }
    return balances;
}

std::vector<OperationView> Wallet::operations(store::Reader& reader, int limit) {
    std::vector<OperationView> views;
    for (const auto& row : reader.query("SELECT id, kind, state, mint, amount, attempts, "
                                        "last_error, created_at, reference FROM "
                                        "wallet_operation ORDER BY created_at DESC, id LIMIT $1",
                                        limit)) {
        const auto mint = MintUrl::parse(row.text(3));
        VERIFY(mint.has_value());
        views.push_back({.id = row.id<OperationId>(0),
                         .kind = static_cast<OperationKind>(row.integer(1)),
                         .state = static_cast<OperationState>(row.integer(2)),
                         .mint = *mint,
                         .amount = row.msat(4),
                         .attempts = static_cast<int>(row.integer(5)),
                         .last_error = row.text(6),
                         .created_at = row.time(7),
                         .reference = row.text(8)});
    }
    return views;
}

}  // namespace nutgate::cashu
