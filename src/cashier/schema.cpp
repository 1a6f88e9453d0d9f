#include "schema.h"

namespace nutgate {
namespace {

// settlement: one row per money event that came in; its key makes crediting twice impossible. No
// key: money that nobody has claimed yet.
// deposit: one row per token, by its identity. Its text is the wallet's to keep.
// invoice: found by the HMAC of its id, never the id. `opening` rows have no hash yet.
// payout: refunds of keys and the owner's; `settlements` is how many money events the key had seen
// by then, which tells a repeated refund from one of new money. payout_part: whom it was taken
// from.
// Second: settlement.own marks what is nobody's key's and not unclaimed either: our own money that
// arrived where it was sent to, or the owner's. deposit.payment_hash: of the quote that a foreign
// mint's token pays; deposit.foreign_change: what came back of it as ecash of that mint.
// payout.fee: the most that it may cost while it is under way, then what it did. transit: our own
// money on its way to a mint, by its payment.
// Third: token_request: found as an invoice is; the deposits that paid it name it.
// Fourth: remittance: what is sent away over Lightning, with the invoice that is paid, its parts as
// a payout's. `backend`, a node of ours, or `operation`, the wallet's: who pays. tellings: how
// often the node was told to. One payment is never in two that have not failed.
// invoice.cancelled_at: by its holder; it is watched on.
// Fifth: offer: found as an invoice is; `opening` rows have no text yet. `reference` names it to
// the method, `holder` who has what is paid to it, empty if that becomes ecash. offer_mark: up to
// where a holder's arrivals are booked. offer.retired: its holder knows that it is closed.
// settlement.offer: its lookup, of what was paid to one.
// Seventh: invoices that nobody paid stay Pending for good. Who counts those that are open reads
// none of them.
constexpr store::Migration kMigrations[] = {
    {1, R"sql(
CREATE TABLE settlement (
    method     TEXT NOT NULL,
    reference  TEXT NOT NULL,
    key        BLOB,
    amount     BIGINT NOT NULL CHECK (amount > 0),
    asset_kind BIGINT NOT NULL,
    asset_name TEXT NOT NULL,
    at         BIGINT NOT NULL,
    PRIMARY KEY (method, reference)
);
CREATE INDEX settlement_key ON settlement (key);
CREATE TABLE deposit (
    identity      BLOB PRIMARY KEY,
    reference     TEXT NOT NULL UNIQUE,
    kind          BIGINT NOT NULL,
    key           BLOB NOT NULL,
    balance_limit BIGINT,
    limit_reset   BIGINT NOT NULL,
    valid_until   BIGINT,
    mint          TEXT NOT NULL,
    operation     BLOB NOT NULL,
    state         BIGINT NOT NULL,
    failure       TEXT,
    credited      BIGINT NOT NULL DEFAULT 0,
    created_at    BIGINT NOT NULL,
    ended_at      BIGINT
);
CREATE INDEX deposit_state ON deposit (state);
CREATE INDEX deposit_key ON deposit (key);
CREATE TABLE invoice (
    lookup        BLOB PRIMARY KEY,
    label         TEXT NOT NULL UNIQUE,
    purpose       BIGINT NOT NULL,
    key           BLOB NOT NULL,
    balance_limit BIGINT,
    limit_reset   BIGINT NOT NULL,
    valid_until   BIGINT,
    amount        BIGINT NOT NULL CHECK (amount > 0),
    state         BIGINT NOT NULL,
    bolt11        TEXT,
    payment_hash  BLOB UNIQUE,
    credited      BIGINT NOT NULL DEFAULT 0,
    created_at    BIGINT NOT NULL,
    expires_at    BIGINT NOT NULL,
    paid_at       BIGINT,
    asked_at      BIGINT NOT NULL DEFAULT 0,
    next_ask_at   BIGINT NOT NULL
);
CREATE INDEX invoice_due ON invoice (state, next_ask_at);
CREATE INDEX invoice_key ON invoice (key);
CREATE TABLE payout (
    reference   TEXT PRIMARY KEY,
    kind        BIGINT NOT NULL,
    key         BLOB,
    seq         BIGINT NOT NULL,
    amount      BIGINT NOT NULL CHECK (amount > 0),
    operation   BLOB NOT NULL,
    state       BIGINT NOT NULL,
    failure     TEXT,
    mint        TEXT NOT NULL DEFAULT '',
    sealed      BLOB,
    settlements BIGINT NOT NULL,
    created_at  BIGINT NOT NULL,
    ended_at    BIGINT,
    UNIQUE (key, seq)
);
CREATE INDEX payout_state ON payout (state);
CREATE TABLE payout_part (
    reference    TEXT NOT NULL,
    account_kind BIGINT NOT NULL,
    account_name TEXT NOT NULL,
    amount       BIGINT NOT NULL CHECK (amount > 0),
    PRIMARY KEY (reference, account_kind, account_name)
))sql"},
    {2, R"sql(
ALTER TABLE settlement ADD COLUMN own BIGINT NOT NULL DEFAULT 0;
ALTER TABLE deposit ADD COLUMN payment_hash BLOB;
ALTER TABLE deposit ADD COLUMN foreign_change BIGINT NOT NULL DEFAULT 0;
CREATE UNIQUE INDEX deposit_payment ON deposit (payment_hash);
ALTER TABLE payout ADD COLUMN fee BIGINT NOT NULL DEFAULT 0;
ALTER TABLE payout ADD COLUMN preimage BLOB;
CREATE TABLE transit (
    payment_hash BLOB PRIMARY KEY,
    reference    TEXT NOT NULL UNIQUE,
    operation    BLOB NOT NULL,
    backend      TEXT,
    source       TEXT,
    target       TEXT NOT NULL,
    amount       BIGINT NOT NULL CHECK (amount > 0),
    fee          BIGINT NOT NULL,
    state        BIGINT NOT NULL,
    failure      TEXT,
    created_at   BIGINT NOT NULL,
    ended_at     BIGINT
);
CREATE INDEX transit_state ON transit (state)
)sql"},
    {3, R"sql(
CREATE TABLE token_request (
    lookup        BLOB PRIMARY KEY,
    purpose       BIGINT NOT NULL,
    key           BLOB NOT NULL,
    balance_limit BIGINT,
    limit_reset   BIGINT NOT NULL,
    valid_until   BIGINT,
    amount        BIGINT CHECK (amount > 0),
    unit          TEXT NOT NULL,
    mints         TEXT NOT NULL,
    single_use    BIGINT NOT NULL,
    state         BIGINT NOT NULL,
    credited      BIGINT NOT NULL DEFAULT 0,
    created_at    BIGINT NOT NULL,
    expires_at    BIGINT NOT NULL,
    paid_at       BIGINT
);
CREATE INDEX token_request_open ON token_request (state, expires_at);
ALTER TABLE deposit ADD COLUMN request BLOB;
CREATE INDEX deposit_request ON deposit (request)
)sql"},
    {4, R"sql(
CREATE TABLE remittance (
    reference    TEXT PRIMARY KEY,
    id           BLOB NOT NULL,
    key          BLOB,
    target       TEXT NOT NULL,
    asked        BIGINT,
    bolt11       TEXT NOT NULL,
    payment_hash BLOB NOT NULL,
    amount       BIGINT NOT NULL CHECK (amount > 0),
    fee_max      BIGINT NOT NULL,
    fee          BIGINT NOT NULL DEFAULT 0,
    backend      TEXT,
    operation    BLOB,
    tellings     BIGINT NOT NULL DEFAULT 0,
    state        BIGINT NOT NULL,
    failure      TEXT,
    preimage     BLOB,
    created_at   BIGINT NOT NULL,
    ended_at     BIGINT
);
CREATE INDEX remittance_state ON remittance (state);
CREATE INDEX remittance_key ON remittance (key, created_at);
CREATE UNIQUE INDEX remittance_payment ON remittance (payment_hash) WHERE state <> 3;
ALTER TABLE invoice ADD COLUMN cancelled_at BIGINT
)sql"},
    {5, R"sql(
CREATE TABLE offer (
    lookup        BLOB PRIMARY KEY,
    label         TEXT NOT NULL UNIQUE,
    purpose       BIGINT NOT NULL,
    key           BLOB NOT NULL,
    balance_limit BIGINT,
    limit_reset   BIGINT NOT NULL,
    valid_until   BIGINT,
    amount        BIGINT CHECK (amount > 0),
    state         BIGINT NOT NULL,
    text          TEXT,
    reference     TEXT UNIQUE,
    holder        TEXT,
    credited      BIGINT NOT NULL DEFAULT 0,
    payments      BIGINT NOT NULL DEFAULT 0,
    created_at    BIGINT NOT NULL,
    paid_at       BIGINT,
    asked_at      BIGINT NOT NULL DEFAULT 0,
    next_ask_at   BIGINT NOT NULL,
    retired       BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX offer_due ON offer (state, next_ask_at);
CREATE INDEX offer_key ON offer (key);
CREATE TABLE offer_mark (
    holder TEXT PRIMARY KEY,
    mark   TEXT NOT NULL
);
ALTER TABLE settlement ADD COLUMN offer BLOB
)sql"},
    {6, R"sql(
CREATE INDEX offer_holder ON offer (holder)
)sql"},
    {7, R"sql(
CREATE INDEX invoice_open ON invoice (state, expires_at)
)sql"},
};

}  // namespace

std::span<const store::Migration> cashier_migrations() { return kMigrations; }

Msat under_way_at(store::Reader& reader, std::string_view backend) {
    const auto moves = reader.query_one(
        "SELECT CAST(COALESCE(SUM(amount + fee), 0) AS BIGINT) FROM transit WHERE backend = $1 AND "
        "state = $2",
        backend, stored(TransitState::Submitted));
    const auto sent = reader.query_one(
        "SELECT CAST(COALESCE(SUM(amount + fee_max), 0) AS BIGINT) FROM remittance WHERE "
        "backend = $1 AND state = $2",
        backend, stored(RowState::Submitted));
    return add(moves->msat(0), sent->msat(0)).value_or(*Msat::from_raw(Msat::kMax));
}

}  // namespace nutgate
