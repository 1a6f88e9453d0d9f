#include <array>

#include "nutgate/cashu/mint.h"
#include "nutgate/store/migration.h"

namespace nutgate::cashu {

namespace {

// Second: quotes that are paid through an offer, again and again (NUT-25). They are kept for ever:
// their offers are paid by whoever still has them. One payment is one row, and whence to ask a node
// on is stored with what it told.
// Third: who deletes a quote looks for the payments that refer to it.
constexpr std::array<store::Migration, 3> kMigrations{{{1, R"(
CREATE TABLE mint_settings (
  id BIGINT PRIMARY KEY CHECK (id = 1),
  frozen BIGINT NOT NULL
);
INSERT INTO mint_settings (id, frozen) VALUES (1, 0);
CREATE TABLE mint_keysets (
  id TEXT PRIMARY KEY,
  seed BLOB NOT NULL,
  unit TEXT NOT NULL,
  input_fee_ppk BIGINT NOT NULL,
  key_count BIGINT NOT NULL,
  active BIGINT NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE TABLE mint_proofs (
  y BLOB PRIMARY KEY,
  keyset TEXT NOT NULL REFERENCES mint_keysets (id),
  amount BIGINT NOT NULL CHECK (amount > 0),
  state BIGINT NOT NULL CHECK (state IN (1, 2)),
  quote TEXT,
  witness TEXT,
  created_at BIGINT NOT NULL
);
CREATE INDEX mint_proofs_by_quote ON mint_proofs (quote) WHERE quote IS NOT NULL;
CREATE TABLE mint_signatures (
  b BLOB PRIMARY KEY,
  keyset TEXT NOT NULL REFERENCES mint_keysets (id),
  amount BIGINT NOT NULL CHECK (amount >= 0),
  c BLOB,
  e BLOB,
  s BLOB,
  quote TEXT,
  position BIGINT NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE INDEX mint_signatures_by_quote ON mint_signatures (quote) WHERE quote IS NOT NULL;
CREATE TABLE mint_quotes (
  id TEXT PRIMARY KEY,
  payment_hash BLOB UNIQUE,
  request TEXT,
  unit TEXT NOT NULL,
  amount BIGINT NOT NULL CHECK (amount > 0),
  pubkey BLOB,
  paid_msat BIGINT NOT NULL DEFAULT 0,
  paid BIGINT NOT NULL DEFAULT 0,
  issued BIGINT NOT NULL DEFAULT 0 CHECK (issued <= paid),
  expires_at BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);
CREATE INDEX mint_quotes_unpaid ON mint_quotes (expires_at) WHERE paid_msat = 0;
CREATE TABLE mint_melts (
  id TEXT PRIMARY KEY,
  payment_hash BLOB NOT NULL,
  request TEXT NOT NULL,
  unit TEXT NOT NULL,
  amount BIGINT NOT NULL,
  amount_msat BIGINT NOT NULL,
  fee_reserve BIGINT NOT NULL,
  state BIGINT NOT NULL CHECK (state IN (1, 2, 3)),
  attempt BIGINT NOT NULL DEFAULT 0,
  inputs BIGINT NOT NULL DEFAULT 0,
  input_fee BIGINT NOT NULL DEFAULT 0,
  preimage BLOB,
  request_key BLOB,
  expires_at BIGINT NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE INDEX mint_melts_unpaid ON mint_melts (expires_at) WHERE state = 1;
CREATE INDEX mint_melts_pending ON mint_melts (id) WHERE state = 2;
CREATE TABLE mint_payments (
  payment_hash BLOB PRIMARY KEY,
  quote TEXT NOT NULL REFERENCES mint_melts (id)
);
CREATE TABLE mint_answers (
  request_key BLOB PRIMARY KEY,
  body TEXT NOT NULL,
  created_at BIGINT NOT NULL
);
)"},
                                                       {2, R"(
CREATE TABLE mint_offer_quotes (
  id TEXT PRIMARY KEY,
  offer BLOB UNIQUE,
  request TEXT,
  unit TEXT NOT NULL,
  amount BIGINT CHECK (amount > 0),
  pubkey BLOB NOT NULL,
  paid_msat BIGINT NOT NULL DEFAULT 0,
  paid BIGINT NOT NULL DEFAULT 0,
  issued BIGINT NOT NULL DEFAULT 0 CHECK (issued <= paid),
  closed BIGINT NOT NULL DEFAULT 0,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);
CREATE INDEX mint_offer_quotes_unpaid ON mint_offer_quotes (created_at) WHERE paid_msat = 0;
CREATE TABLE mint_offer_payments (
  payment_hash BLOB PRIMARY KEY,
  quote TEXT NOT NULL REFERENCES mint_offer_quotes (id),
  amount BIGINT NOT NULL CHECK (amount > 0),
  created_at BIGINT NOT NULL
);
CREATE TABLE mint_offer_marks (
  backend TEXT PRIMARY KEY,
  mark TEXT NOT NULL
);
)"},
                                                       {3, R"(
CREATE INDEX mint_payments_by_quote ON mint_payments (quote);
CREATE INDEX mint_offer_payments_by_quote ON mint_offer_payments (quote)
)"}}};

}  // namespace

Result<void, store::StoreFailure> Mint::migrate(store::Database& database) {
    return store::migrate(database, "mint", kMigrations);
}

std::vector<Mint::Outstanding> Mint::outstanding(store::Reader& reader) {
    std::vector<Outstanding> result;
    for (const auto& row :
         reader.query("SELECT k.id, k.unit, "
                      "(SELECT CAST(COALESCE(SUM(g.amount), 0) AS BIGINT) FROM mint_signatures g "
                      " WHERE g.keyset = k.id), "
                      "(SELECT CAST(COALESCE(SUM(p.amount), 0) AS BIGINT) FROM mint_proofs p "
                      " WHERE p.keyset = k.id) "
                      "FROM mint_keysets k ORDER BY k.created_at, k.id")) {
        const auto id = KeysetId::parse(row.text(0));
        const auto unit = parse_unit(row.text(1));
        VERIFY(id && unit);
        // More spent than signed is forged money: shown as none outstanding, the books disagree.
        const std::int64_t difference = row.integer(2) - row.integer(3);
        const auto amount = to_msat(static_cast<Amount>(difference < 0 ? 0 : difference), *unit);
        VERIFY(amount.has_value());
        result.push_back({*id, *amount});
    }
    return result;
}

nutgate::Msat Mint::in_flight(store::Reader& reader) {
    nutgate::Msat total;
    const auto add_up = [&](const store::Row& row, bool credit) {
        const auto unit = parse_unit(row.text(0));
        VERIFY(unit.has_value());
        const auto part = to_msat(static_cast<Amount>(row.integer(1)), *unit);
        VERIFY(part.has_value());
        // More issued than paid for is a damaged table: shown as nothing, the books disagree.
        total = (credit ? add(total, *part) : subtract(total, *part)).value_or(nutgate::Msat{});
    };
    for (const std::string quotes : {"mint_quotes", "mint_offer_quotes"}) {
        const auto paid =
            reader.query_one("SELECT CAST(COALESCE(SUM(paid_msat), 0) AS BIGINT) FROM " + quotes);
        total = add(total, paid->msat(0)).value_or(nutgate::Msat{});
        for (const auto& row : reader.query("SELECT unit, CAST(SUM(issued) AS BIGINT) FROM " +
                                            quotes + " GROUP BY unit")) {
            add_up(row, false);
        }
    }
    for (const auto& row : reader.query("SELECT unit, CAST(SUM(inputs) AS BIGINT) FROM mint_melts "
                                        "WHERE state = 2 GROUP BY unit")) {
        add_up(row, true);
    }
    return total;
}

}  // namespace nutgate::cashu
