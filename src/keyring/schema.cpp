#include "schema.h"

namespace nutgate {
namespace {

// An admission is what a request under way
// counts against its key's limit; keys without a limit write none.
constexpr store::Migration kMigrations[] = {
    {1, R"sql(
CREATE TABLE api_key (
    id             BLOB PRIMARY KEY,
    parent         BLOB,
    created_at     BIGINT NOT NULL,
    balance_limit  BIGINT,
    limit_reset    BIGINT NOT NULL,
    valid_until    BIGINT,
    state          BIGINT NOT NULL,
    period_begin   BIGINT NOT NULL,
    limit_spent    BIGINT NOT NULL DEFAULT 0 CHECK (limit_spent >= 0),
    limit_held     BIGINT NOT NULL DEFAULT 0 CHECK (limit_held >= 0),
    total_spent    BIGINT NOT NULL DEFAULT 0 CHECK (total_spent >= 0),
    total_requests BIGINT NOT NULL DEFAULT 0,
    refund_mint    TEXT NOT NULL
);
CREATE INDEX api_key_parent ON api_key (parent, created_at);
CREATE INDEX api_key_created ON api_key (created_at);
CREATE TABLE key_admission (
    hold   BLOB PRIMARY KEY,
    key    BLOB NOT NULL,
    amount BIGINT NOT NULL CHECK (amount >= 0)
))sql"},
};

}  // namespace

std::span<const store::Migration> keyring_migrations() { return kMigrations; }

}  // namespace nutgate
