#include <array>

#include "nutgate/ledger/ledger.h"
#include "nutgate/store/migration.h"

namespace nutgate {
namespace {

// An account has no balance column, only its two sides, which never shrink. `sign` says which of
// them it grows by: 1 a debit, -1 a credit. So sign * (debits - credits) is its balance, and the
// last CHECK is the promise of the whole module, kept by the engine as well.
//
// A transfer that ends a hold has no id: its hold is what makes it happen once, and an index of ten
// million random ids would cost each charge a page of its own. Accounts are referred to by number,
// and without a foreign key: audit() finds a transfer whose account is not there.
//
// A hold's state is 1 open, 2 posted, 3 released, 4 expired. The two partial indexes are what
// expire_holds() walks: their conditions are literals there, too, or they would not be used.
// `sequence` is that of the newest charge out of an open hold: captures come in order, so it says
// of each whether it was applied.
constexpr std::array kMigrations = {
    store::Migration{1, R"sql(
CREATE TABLE account (
    id      INTEGER PRIMARY KEY,
    kind    BIGINT NOT NULL,
    name    TEXT NOT NULL,
    sign    BIGINT NOT NULL CHECK (sign IN (-1, 1)),
    debits  BIGINT NOT NULL CHECK (debits >= 0),
    credits BIGINT NOT NULL CHECK (credits >= 0),
    held    BIGINT NOT NULL CHECK (held >= 0),
    UNIQUE (kind, name),
    CHECK (sign * (debits - credits) >= held)
);
CREATE TABLE transfer (
    number  INTEGER PRIMARY KEY,
    id      BLOB UNIQUE,
    debit   BIGINT NOT NULL,
    credit  BIGINT NOT NULL,
    amount  BIGINT NOT NULL CHECK (amount >= 0),
    at      BIGINT NOT NULL,
    reason  TEXT NOT NULL
);
CREATE INDEX transfer_by_debit ON transfer (debit, number);
CREATE INDEX transfer_by_credit ON transfer (credit, number);
CREATE TABLE hold (
    id       BLOB PRIMARY KEY,
    payer    BIGINT NOT NULL,
    amount   BIGINT NOT NULL CHECK (amount >= 0),
    deadline BIGINT NOT NULL,
    state    BIGINT NOT NULL,
    payee    BIGINT,
    cost     BIGINT,
    charged  BIGINT CHECK (charged <= cost)
);
CREATE INDEX hold_open ON hold (deadline) WHERE state = 1;
CREATE INDEX hold_ended ON hold (deadline) WHERE state <> 1;
CREATE TABLE checkpoint (
    id      BIGINT PRIMARY KEY CHECK (id = 1),
    number  BIGINT NOT NULL,
    at      BIGINT NOT NULL
);
CREATE TABLE sealed (
    account BIGINT PRIMARY KEY,
    debits  BIGINT NOT NULL,
    credits BIGINT NOT NULL
);
)sql"},
    store::Migration{2, R"sql(
ALTER TABLE hold ADD COLUMN sequence BIGINT NOT NULL DEFAULT 0
)sql"},
};

}  // namespace

Result<void, store::StoreFailure> Ledger::migrate(store::Database& database) {
    return store::migrate(database, "ledger", kMigrations);
}

}  // namespace nutgate
