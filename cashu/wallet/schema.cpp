#include "wallet/schema.h"

#include <array>

namespace nutgate::cashu::wallet {
namespace {

// wallet_operation.reference is unique among those that did not fail: what failed may be tried
// again under its own name. Rows are archived, never deleted, and so are counters: a value of one
// is used once, ever.
constexpr std::string_view kFirst = R"sql(
CREATE TABLE wallet_counter (
    name TEXT NOT NULL PRIMARY KEY,
    next BIGINT NOT NULL CHECK (next >= 0)
);
CREATE TABLE wallet_keyset (
    id TEXT NOT NULL PRIMARY KEY,
    mint TEXT NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX wallet_keyset_mint ON wallet_keyset (mint);
CREATE TABLE wallet_operation (
    id BLOB NOT NULL PRIMARY KEY,
    kind BIGINT NOT NULL,
    state BIGINT NOT NULL,
    reference TEXT NOT NULL,
    mint TEXT NOT NULL,
    unit TEXT NOT NULL,
    amount BIGINT NOT NULL CHECK (amount >= 0),
    fee BIGINT NOT NULL CHECK (fee >= 0),
    path TEXT NOT NULL,
    request BLOB,
    token BLOB,
    attempts BIGINT NOT NULL,
    transmissions BIGINT NOT NULL,
    version BIGINT NOT NULL,
    taken_at BIGINT,
    next_attempt_at BIGINT NOT NULL,
    error_code BIGINT,
    last_error TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    ended_at BIGINT
);
CREATE UNIQUE INDEX wallet_operation_reference ON wallet_operation (kind, reference)
    WHERE state <> 3;
CREATE INDEX wallet_operation_due ON wallet_operation (state, next_attempt_at);
CREATE INDEX wallet_operation_created ON wallet_operation (created_at);
CREATE TABLE wallet_output (
    operation BLOB NOT NULL REFERENCES wallet_operation (id),
    version BIGINT NOT NULL,
    position BIGINT NOT NULL,
    keyset TEXT NOT NULL,
    counter BIGINT NOT NULL,
    amount BIGINT NOT NULL CHECK (amount > 0),
    purpose BIGINT NOT NULL,
    blinded BLOB NOT NULL UNIQUE,
    PRIMARY KEY (operation, version, position),
    UNIQUE (keyset, counter)
);
CREATE TABLE wallet_proof (
    y BLOB NOT NULL PRIMARY KEY,
    mint TEXT NOT NULL,
    unit TEXT NOT NULL,
    keyset TEXT NOT NULL,
    amount BIGINT NOT NULL CHECK (amount > 0),
    msat BIGINT NOT NULL CHECK (msat > 0),
    counter BIGINT,
    signature BLOB NOT NULL,
    dleq BLOB,
    state BIGINT NOT NULL,
    operation BLOB,
    made_by BLOB
);
CREATE INDEX wallet_proof_available ON wallet_proof (state, mint, unit, amount);
CREATE INDEX wallet_proof_operation ON wallet_proof (operation);
CREATE TABLE wallet_quote (
    lock_index BIGINT NOT NULL PRIMARY KEY,
    mint TEXT NOT NULL,
    unit TEXT NOT NULL,
    amount BIGINT NOT NULL CHECK (amount > 0),
    state BIGINT NOT NULL,
    quote TEXT,
    bolt11 TEXT,
    payment_hash BLOB UNIQUE,
    expires_at BIGINT,
    watch_until BIGINT,
    created_at BIGINT NOT NULL
);
CREATE INDEX wallet_quote_open ON wallet_quote (state, created_at);
CREATE TABLE wallet_invoice (
    label TEXT NOT NULL PRIMARY KEY,
    mint TEXT NOT NULL,
    payment_hash BLOB NOT NULL
);
)sql";

// What pays an invoice: the payment it makes, the quote it melts, the backend that funds. Its `fee`
// is the most that it may cost. Blanks for change (NUT-08) are outputs of no amount yet. A quote of
// ours that a swap or a funding pays is asked about with a back-off of its own. A proof's secret
// derives from its keyset, or where change came back on a newer one than was asked for, from
// derived_from.
constexpr std::string_view kSecond = R"sql(
ALTER TABLE wallet_operation ADD COLUMN payment BLOB;
ALTER TABLE wallet_operation ADD COLUMN melt_quote TEXT;
ALTER TABLE wallet_operation ADD COLUMN quote_expires_at BIGINT;
ALTER TABLE wallet_operation ADD COLUMN payer TEXT;
CREATE INDEX wallet_operation_payment ON wallet_operation (payment);
ALTER TABLE wallet_quote ADD COLUMN asks BIGINT NOT NULL DEFAULT 0;
ALTER TABLE wallet_quote ADD COLUMN next_ask_at BIGINT NOT NULL DEFAULT 0;
CREATE TABLE wallet_output_2 (
    operation BLOB NOT NULL REFERENCES wallet_operation (id),
    version BIGINT NOT NULL,
    position BIGINT NOT NULL,
    keyset TEXT NOT NULL,
    counter BIGINT NOT NULL,
    amount BIGINT NOT NULL CHECK (amount >= 0),
    purpose BIGINT NOT NULL,
    blinded BLOB NOT NULL UNIQUE,
    PRIMARY KEY (operation, version, position),
    UNIQUE (keyset, counter)
);
INSERT INTO wallet_output_2 (operation, version, position, keyset, counter, amount, purpose, blinded)
    SELECT operation, version, position, keyset, counter, amount, purpose, blinded
    FROM wallet_output;
DROP TABLE wallet_output;
ALTER TABLE wallet_output_2 RENAME TO wallet_output;
ALTER TABLE wallet_proof ADD COLUMN derived_from TEXT;
CREATE TABLE wallet_mint (
    url TEXT NOT NULL PRIMARY KEY,
    role BIGINT NOT NULL,
    exposure_max BIGINT,
    added_at BIGINT NOT NULL
);
)sql";

// An offer of a mint's, from before it is asked for; what operations issued of it, and have begun
// to. A label names one offer, as one names an invoice.
constexpr std::string_view kThird = R"sql(
CREATE TABLE wallet_offer (
    lock_index BIGINT NOT NULL PRIMARY KEY,
    mint TEXT NOT NULL,
    unit TEXT NOT NULL,
    amount BIGINT CHECK (amount > 0),
    quote TEXT,
    bolt12 TEXT,
    offer BLOB UNIQUE,
    issued BIGINT NOT NULL DEFAULT 0 CHECK (issued >= 0),
    pending BIGINT NOT NULL DEFAULT 0 CHECK (pending >= 0),
    issues BIGINT NOT NULL DEFAULT 0,
    refusals BIGINT NOT NULL DEFAULT 0,
    next_issue_at BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL
);
CREATE TABLE wallet_offer_label (
    label TEXT NOT NULL PRIMARY KEY,
    mint TEXT NOT NULL,
    offer BLOB NOT NULL
);
)sql";

// Quotes that nobody paid stay open for good. wallet_quote.leg: a swap or a funding pays it; what
// becomes of those is looked at again and again, and reads no other. A mint's are found by the
// mint.
constexpr std::string_view kFourth = R"sql(
ALTER TABLE wallet_quote ADD COLUMN leg BIGINT NOT NULL DEFAULT 0;
UPDATE wallet_quote SET leg = 1
    WHERE payment_hash IN (SELECT payment FROM wallet_operation WHERE kind IN (5, 6));
CREATE INDEX wallet_quote_legs ON wallet_quote (state, watch_until) WHERE leg = 1;
CREATE INDEX wallet_quote_mint ON wallet_quote (mint, watch_until) WHERE state = 2;
)sql";

constexpr std::array kMigrations{store::Migration{1, kFirst}, store::Migration{2, kSecond},
                                 store::Migration{3, kThird}, store::Migration{4, kFourth}};

}  // namespace

std::span<const store::Migration> migrations() { return kMigrations; }

}  // namespace nutgate::cashu::wallet
