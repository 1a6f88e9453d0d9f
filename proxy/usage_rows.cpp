#include "nutgate/proxy/usage_rows.h"

#include <algorithm>
#include <array>

#include "nutgate/base/verify.h"
#include "nutgate/proxy/models.h"
#include "nutgate/store/migration.h"
#include "usage_batch.h"

namespace nutgate::proxy {
namespace {

using store::Reader;
using store::Tx;

// The rows of a transfer are one batch, so none can be there twice. `first` is the transfer from
// which on there is a batch for each charge; null: none are kept.
constexpr std::array kMigrations = {
    store::Migration{1, R"sql(
CREATE TABLE usage_name (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);
CREATE TABLE usage_batch (
    transfer INTEGER PRIMARY KEY,
    payer    BLOB NOT NULL,
    child    BLOB,
    begins   BIGINT NOT NULL,
    ends     BIGINT NOT NULL,
    packed   BLOB NOT NULL
);
CREATE INDEX usage_by_payer ON usage_batch (payer, transfer);
CREATE INDEX usage_by_child ON usage_batch (child, transfer) WHERE child IS NOT NULL;
CREATE TABLE usage_kept (
    id    BIGINT PRIMARY KEY CHECK (id = 1),
    first BIGINT
);
)sql"},
};

// The transfer from which on rows are kept; empty if none are.
std::optional<std::int64_t> kept_from(Reader& reader) {
    const auto row = reader.query_one("SELECT first FROM usage_kept WHERE id = 1");
    if (!row || row->is_null(0)) return std::nullopt;
    return row->integer(0);
}

// What the rows say of these transfers, in order. Nothing of one whose rows cannot be read.
struct RowsSum {
    std::int64_t transfer;
    std::optional<Msat> charged;
};
std::vector<RowsSum> sums_of_rows(Reader& reader, std::int64_t from, std::int64_t until) {
    std::vector<RowsSum> sums;
    for (const auto& batch :
         reader.query("SELECT transfer, packed FROM usage_batch WHERE transfer >= $1 AND "
                      "transfer < $2 ORDER BY transfer",
                      from, until)) {
        std::optional<Msat> sum = Msat{};
        UsageUnpacker rows{batch.bytes(1), {}};
        while (const auto row = rows.next()) {
            sum = sum ? add(*sum, row->charged) : std::nullopt;
        }
        sums.push_back({batch.integer(0), rows.is_whole() ? sum : std::nullopt});
    }
    return sums;
}

}  // namespace

std::string_view name_in_rows(Endpoint endpoint) { return path_of(endpoint).substr(1); }

Result<void, store::StoreFailure> migrate_usage(store::Database& database) {
    return store::migrate(database, "usage", kMigrations);
}

Result<UsageRowNames, store::StoreFailure> UsageRowNames::intern(
    store::Database& database, std::span<const std::string> names) {
    return database.transact([&](Tx& tx) -> Result<UsageRowNames, store::StoreFailure> {
        UsageRowNames interned;
        for (const std::string& name : names) {
            const auto row = tx.query_one(
                "INSERT INTO usage_name (id, name) VALUES ("
                "(SELECT COALESCE(MAX(id), 0) + 1 FROM usage_name), $1) "
                "ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING id",
                std::string_view{name});
            VERIFY(row.has_value());
            interned.numbers_.emplace(name, row->integer(0));
        }
        return interned;
    });
}

Result<UsageRowNames, store::StoreFailure> UsageRowNames::intern(store::Database& database,
                                                                 const Models& models) {
    std::vector<std::string> names;
    for (const Endpoint endpoint : kAllEndpoints) names.emplace_back(name_in_rows(endpoint));
    for (const Model& model : models.all()) {
        names.push_back(model.id.text());
        for (const Route& route : model.upstreams) names.push_back(route.upstream->traits().name);
    }
    return intern(database, names);
}

std::int64_t UsageRowNames::number(std::string_view name) const {
    const auto found = numbers_.find(name);
    return found == numbers_.end() ? 0 : found->second;
}

void keep_usage(Tx& tx, bool is_kept, std::int64_t newest) {
    if (is_kept && kept_from(tx)) return;
    const std::optional<std::int64_t> first =
        is_kept ? std::optional<std::int64_t>{newest + 1} : std::nullopt;
    tx.execute(
        "INSERT INTO usage_kept (id, first) VALUES (1, $1) "
        "ON CONFLICT (id) DO UPDATE SET first = excluded.first",
        first);
}

void write_usage(Tx& tx, const UsageCharge& charge, std::span<const UsageRow> rows) {
    VERIFY(!rows.empty() && std::ssize(rows) <= kUsageRowsPerTransferMax);
    const std::optional<KeyId> child =
        charge.key == charge.payer ? std::nullopt : std::optional{charge.key};
    constexpr std::size_t kRowUsual = 32;
    Bytes packed;
    packed.reserve(rows.size() * kRowUsual);
    const Time begins = rows.front().at;
    Time ends = begins;
    Msat left = charge.charged;
    for (const UsageRow& row : rows) {
        const Msat charged = std::min(row.charged, left);
        left = *subtract(left, charged);
        ends = std::max(ends, row.at);
        pack(packed, begins, to_stored(row, charged));
    }
    tx.execute(
        "INSERT INTO usage_batch (transfer, payer, child, begins, ends, packed) VALUES "
        "($1, $2, $3, $4, $5, $6)",
        charge.transfer, charge.payer, child, begins, ends, BytesView{packed});
}

std::int64_t prune_usage(Tx& tx, Time before, int limit) {
    std::int64_t until = 0;
    for (const auto& batch :
         tx.query("SELECT transfer, ends FROM usage_batch ORDER BY transfer LIMIT $1", limit)) {
        if (batch.time(1) >= before) break;
        until = batch.integer(0) + 1;
    }
    if (until == 0) return 0;
    tx.execute("UPDATE usage_kept SET first = $1 WHERE first < $1", until);
    return tx.execute("DELETE FROM usage_batch WHERE transfer < $1", until);
}

std::vector<std::string> audit_usage(Reader& reader, const Ledger& ledger, const Account& payee,
                                     std::int64_t from) {
    constexpr std::int64_t kTransfersAtOnce = 4096;
    std::vector<std::string> faults;
    if (!has_usage_tables(reader)) return faults;
    const auto kept = kept_from(reader);
    if (!kept) return faults;
    const std::int64_t end = ledger.newest(reader) + 1;
    const auto compare = [&faults](std::int64_t number, Msat charged, std::optional<Msat> said) {
        if (charged == said || std::ssize(faults) >= AuditReport::kAccountFaultsMax) return;
        const std::string what = said ? "say " + std::to_string(said->raw()) : "cannot be read";
        faults.push_back("usage: transfer " + std::to_string(number) + " charged " +
                         std::to_string(charged.raw()) + " msat, its rows " + what);
    };
    for (std::int64_t at = std::max(from, *kept); at < end; at += kTransfersAtOnce) {
        const std::int64_t until = std::min(at + kTransfersAtOnce, end);
        const auto charges = ledger.charges(reader, payee, at, until);
        const auto sums = sums_of_rows(reader, at, until);
        auto sum = sums.begin();
        for (const LedgerCharge& charge : charges) {
            for (; sum != sums.end() && sum->transfer < charge.number; ++sum) {
                compare(sum->transfer, Msat{}, sum->charged);
            }
            const bool there = sum != sums.end() && sum->transfer == charge.number;
            compare(charge.number, charge.amount, there ? sum->charged : Msat{});
            if (there) ++sum;
        }
        for (; sum != sums.end(); ++sum) compare(sum->transfer, Msat{}, sum->charged);
    }
    return faults;
}

}  // namespace nutgate::proxy
