#include "nutgate/keyring/keyring.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "nutgate/crypto/hash.h"
#include "schema.h"

namespace nutgate {
namespace {

using store::Reader;
using store::Row;
using store::Tx;

constexpr std::string_view kPrefix = "sk-";
constexpr std::size_t kMacSize = 16;

std::int64_t raw(LimitReset reset) { return static_cast<std::int64_t>(reset); }
std::int64_t raw(KeyState state) { return static_cast<std::int64_t>(state); }

Secret derive(const Secret& seed, std::string_view label) {
    return Secret{crypto::hkdf_sha256(seed.reveal(), {}, label, 32)};
}

// Half of the hash: as much as an id holds, and as nobody can guess.
template <std::size_t N>
ByteArray<N> first(const crypto::Hash256& hash) {
    static_assert(N <= std::tuple_size_v<crypto::Hash256>);
    ByteArray<N> bytes;
    std::copy_n(hash.begin(), N, bytes.begin());
    return bytes;
}

// Digits are read by hand because an upper-case one is not a key's: a text has one form only, so
// that two spellings of a key are not two entries in anybody's cache.
// From a table: each request has 64 of them, and where they turn cannot be foretold.
constexpr std::array<signed char, 256> kDigits = [] {
    std::array<signed char, 256> digits{};
    digits.fill(-1);
    constexpr std::string_view kLetters = "0123456789abcdef";
    for (std::size_t i = 0; i < kLetters.size(); ++i) {
        digits[static_cast<unsigned char>(kLetters[i])] = static_cast<signed char>(i);
    }
    return digits;
}();
int digit(char c) { return kDigits[static_cast<unsigned char>(c)]; }

constexpr std::string_view kColumns =
    "id, parent, created_at, balance_limit, limit_reset, valid_until, state, period_begin, "
    "limit_spent, limit_held, total_spent, total_requests, refund_mint";

std::string select(std::string_view where) {
    return "SELECT " + std::string{kColumns} + " FROM api_key " + std::string{where};
}

KeyRecord to_record(const Row& row, Time now) {
    KeyRecord record{
        .id = row.id<KeyId>(0),
        .parent = row.is_null(1) ? std::nullopt : std::optional{row.id<KeyId>(1)},
        .created_at = row.time(2),
        .limits = {.balance_limit = row.is_null(3) ? std::nullopt : std::optional{row.msat(3)},
                   .reset = static_cast<LimitReset>(row.integer(4)),
                   .valid_until = row.is_null(5) ? std::nullopt : std::optional{row.time(5)}},
        .state = static_cast<KeyState>(row.integer(6)),
        .limit_spent = row.msat(8),
        .limit_held = row.msat(9),
        .total_spent = row.msat(10),
        .total_requests = row.integer(11),
        .refund_mint = row.text(12),
    };
    // A period that is over counts for nothing, whether or not a request came to say so.
    if (row.time(7) < period_begin(record.limits.reset, now)) record.limit_spent = Msat{};
    return record;
}

// What is left of its limit, if it has one.
std::optional<Msat> limit_left(const KeyRecord& key) {
    if (!key.limits.balance_limit) return std::nullopt;
    const auto counted = add(key.limit_spent, key.limit_held);
    if (!counted) return Msat{};
    return subtract(*key.limits.balance_limit, *counted).value_or(Msat{});
}

// A sum that leaves the range of money stops counting there: totals are for show, and limits are
// refused long before.
Msat add_capped(Msat a, Msat b) { return add(a, b).value_or(*Msat::from_raw(Msat::kMax)); }

}  // namespace

Keyring::Keyring(const Secret& seed, const Clock& clock)
    : mac_key_{derive(seed, "nutgate/keyring/mac").reveal()},
      token_secret_{derive(seed, "nutgate/keyring/token")},
      invoice_secret_{derive(seed, "nutgate/keyring/invoice")},
      clock_{clock} {}

Result<void, store::StoreFailure> Keyring::migrate(store::Database& database) {
    return store::migrate(database, "keyring", keyring_migrations());
}

std::optional<KeyId> Keyring::authenticate(std::string_view text) const {
    if (text.size() != kTextSize || !text.starts_with(kPrefix)) return std::nullopt;
    text.remove_prefix(kPrefix.size());
    std::array<std::byte, KeyId::kSize + kMacSize> decoded;
    for (std::size_t i = 0; i < decoded.size(); ++i) {
        const int high = digit(text[2 * i]);
        const int low = digit(text[2 * i + 1]);
        if (high < 0 || low < 0) return std::nullopt;
        decoded[i] = static_cast<std::byte>(high * 16 + low);
    }
    const BytesView id = BytesView{decoded}.first(KeyId::kSize);
    const auto mac = first<kMacSize>(mac_key_.mac({id}));
    if (!equal_in_constant_time(mac, BytesView{decoded}.subspan(KeyId::kSize))) {
        return std::nullopt;
    }
    return KeyId::from_bytes(id);
}

std::string Keyring::text_of(const KeyId& key) const {
    const auto mac = first<kMacSize>(mac_key_.mac({key.bytes()}));
    return std::string{kPrefix} + key.hex() + to_hex(mac);
}

KeyId Keyring::id_of_token(const TokenIdentity& token) const {
    return KeyId{first<KeyId::kSize>(crypto::hmac_sha256(token_secret_.reveal(), {token.bytes()}))};
}

KeyId Keyring::id_of_invoice(std::string_view invoice_id) const {
    return KeyId{
        first<KeyId::kSize>(crypto::hmac_sha256(invoice_secret_.reveal(), {as_bytes(invoice_id)}))};
}

Result<Created, KeyringError> Keyring::create(Tx& tx, const NewKey& key) {
    if (key.parent) {
        const auto parent = find(tx, *key.parent);
        if (!parent) return fail(KeyringError::Unknown);
        if (parent->parent) return fail(KeyringError::ParentIsChild);
        if (parent->state == KeyState::Revoked) return fail(KeyringError::Revoked);
    }
    const Time now = clock_.now();
    const auto created = tx.execute(
        "INSERT INTO api_key (id, parent, created_at, balance_limit, limit_reset, valid_until, "
        "state, period_begin, refund_mint) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) "
        "ON CONFLICT (id) DO NOTHING",
        key.id, key.parent, now, key.limits.balance_limit, raw(key.limits.reset),
        key.limits.valid_until, raw(KeyState::Active), period_begin(key.limits.reset, now),
        std::string_view{key.refund_mint});
    return created == 1 ? Created::Now : Created::Before;
}

std::optional<KeyRecord> Keyring::find(Reader& reader, const KeyId& key) const {
    const auto row = reader.query_one(select("WHERE id = $1"), key);
    if (!row) return std::nullopt;
    return to_record(*row, clock_.now());
}

std::vector<KeyRecord> Keyring::children(Reader& reader, const KeyId& parent, int limit) const {
    std::vector<KeyRecord> records;
    for (const Row& row : reader.query(select("WHERE parent = $1 ORDER BY created_at, id LIMIT $2"),
                                       parent, limit)) {
        records.push_back(to_record(row, clock_.now()));
    }
    return records;
}

std::vector<KeyRecord> Keyring::list(Reader& reader, int limit) const {
    std::vector<KeyRecord> records;
    for (const Row& row : reader.query(select("ORDER BY created_at DESC, id LIMIT $1"), limit)) {
        records.push_back(to_record(row, clock_.now()));
    }
    return records;
}

Result<Allowance, KeyringError> Keyring::allowance(Reader& reader, const KeyId& id) const {
    const auto key = find(reader, id);
    if (!key) return fail(KeyringError::Unknown);
    if (key->state == KeyState::Revoked) return fail(KeyringError::Revoked);
    if (key->limits.valid_until && *key->limits.valid_until <= clock_.now()) {
        return fail(KeyringError::Expired);
    }
    if (key->parent) {
        const auto parent = find(reader, *key->parent);
        VERIFY(parent.has_value());
        if (parent->state == KeyState::Revoked) return fail(KeyringError::Revoked);
    }
    return Allowance{.billing = key->billing(),
                     .limit_left = limit_left(*key),
                     .valid_until = key->limits.valid_until};
}

Result<void, KeyringError> Keyring::admit(Tx& tx, const KeyId& id, const HoldId& hold,
                                          Msat amount) {
    const auto key = find(tx, id);
    if (!key) return fail(KeyringError::Unknown);
    const auto left = limit_left(*key);
    if (!left) return {};
    if (amount > *left) return fail(KeyringError::LimitExceeded);
    tx.execute(
        "INSERT INTO key_admission (hold, key, amount) VALUES ($1, $2, $3) "
        "ON CONFLICT (hold) DO UPDATE SET amount = key_admission.amount + excluded.amount",
        hold, id, amount);
    tx.execute(
        "UPDATE api_key SET limit_held = limit_held + $2, limit_spent = $3, period_begin = $4 "
        "WHERE id = $1",
        id, amount, key->limit_spent, period_begin(key->limits.reset, clock_.now()));
    return {};
}

void Keyring::give_back(Tx& tx, const KeyId& id, const HoldId& hold, Msat amount) {
    const auto admission =
        tx.query_one("SELECT amount FROM key_admission WHERE hold = $1 AND key = $2", hold, id);
    if (!admission) return;
    const Msat admitted = admission->msat(0);
    const Msat back = std::min(amount, admitted);
    if (back == admitted) {
        tx.execute("DELETE FROM key_admission WHERE hold = $1", hold);
    } else {
        tx.execute("UPDATE key_admission SET amount = amount - $2 WHERE hold = $1", hold, back);
    }
    tx.execute("UPDATE api_key SET limit_held = limit_held - $2 WHERE id = $1", id, back);
}

void Keyring::spend(Tx& tx, const KeyId& id, const HoldId& hold, Msat cost, std::int64_t requests) {
    // A key without limit and period has nothing to be looked at first, and nearly every key is
    // one.
    const auto counted = tx.execute(
        "UPDATE api_key SET limit_spent = limit_spent + $2, total_spent = total_spent + $2, "
        "total_requests = total_requests + $3 WHERE id = $1 AND balance_limit IS NULL AND "
        "limit_reset = $4 AND limit_spent <= $5 AND total_spent <= $5",
        id, cost, requests, raw(LimitReset::Never), *subtract(*Msat::from_raw(Msat::kMax), cost));
    if (counted == 1) return;
    const auto key = find(tx, id);
    VERIFY(key.has_value());  // It was let spend, and keys are never deleted.
    if (key->limits.balance_limit) give_back(tx, id, hold, cost);
    // What is spent counts in the period in which it was settled, not in the one it began in.
    tx.execute(
        "UPDATE api_key SET limit_spent = $2, period_begin = $3, total_spent = $4, "
        "total_requests = total_requests + $5 WHERE id = $1",
        id, add_capped(key->limit_spent, cost), period_begin(key->limits.reset, clock_.now()),
        add_capped(key->total_spent, cost), requests);
}

void Keyring::release_admissions(Tx& tx) {
    tx.execute("DELETE FROM key_admission");
    tx.execute("UPDATE api_key SET limit_held = 0 WHERE limit_held <> 0");
}

Result<void, KeyringError> Keyring::reset_child(Tx& tx, const KeyId& parent, const KeyId& child) {
    const auto changed = tx.execute(
        "UPDATE api_key SET limit_spent = 0 WHERE id = $1 AND parent = $2", child, parent);
    if (changed != 1) return fail(KeyringError::Unknown);
    return {};
}

Result<void, KeyringError> Keyring::revoke(Tx& tx, const KeyId& key) {
    const auto changed =
        tx.execute("UPDATE api_key SET state = $2 WHERE id = $1", key, raw(KeyState::Revoked));
    if (changed != 1) return fail(KeyringError::Unknown);
    return {};
}

void Keyring::set_refund_mint(Tx& tx, const KeyId& key, std::string_view mint) {
    tx.execute("UPDATE api_key SET refund_mint = $2 WHERE id = $1", key, mint);
}

}  // namespace nutgate
