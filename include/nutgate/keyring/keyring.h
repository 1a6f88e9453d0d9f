// The sk- keys: who may spend whose balance, and within which limits.
//
// A key's text is `sk-` and 64 lower-case hex digits: a 16-byte id and the first 16 bytes of
// HMAC-SHA-256(secret, id). So a wrong key is refused by arithmetic alone, and the database, which
// holds only ids, makes no key for who steals it.
//
// A child key spends its parent's balance under limits of its own; it has no balance and no
// children. Limits are given at creation and are the same for ever: no holder can lift them.
//
// Thread-safe: it has no state but the database and its secrets. Units: msat.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nutgate/base/amount.h"
#include "nutgate/base/clock.h"
#include "nutgate/base/id.h"
#include "nutgate/base/result.h"
#include "nutgate/base/secret.h"
#include "nutgate/crypto/hash.h"
#include "nutgate/crypto/random.h"
#include "nutgate/store/store.h"

namespace nutgate {

// When what counts against a limit starts again from zero, in UTC: at midnight, on Monday, on the
// first of the month. Stored: append only.
enum class LimitReset : std::int16_t { Never = 0, Daily = 1, Weekly = 2, Monthly = 3 };
std::optional<LimitReset> parse_limit_reset(std::string_view text);  // "daily", "weekly", "monthly"
std::string_view to_text(LimitReset reset);                          // "" for Never.
// The first moment of the period that `now` is in. The epoch for Never.
Time period_begin(LimitReset reset, Time now);

struct KeyLimits {
    std::optional<Msat> balance_limit{};  // The most it may spend within one period.
    LimitReset reset = LimitReset::Never;
    std::optional<Time> valid_until{};  // From then on it spends nothing. Refunds still work.
};

enum class KeyState : std::int16_t { Active = 1, Revoked = 2 };  // Stored: append only.

struct NewKey {
    KeyId id;
    std::optional<KeyId> parent;
    KeyLimits limits;
    std::string refund_mint;  // Where its money came from; empty if from Lightning.
};

struct KeyRecord {
    KeyId id;
    std::optional<KeyId> parent;
    Time created_at;
    KeyLimits limits;
    KeyState state = KeyState::Active;
    Msat limit_spent;  // In the present period.
    Msat limit_held;   // Admitted and not settled yet. Counted for keys with a limit only.
    Msat total_spent;
    std::int64_t total_requests = 0;
    std::string refund_mint;

    // Whose balance pays for it.
    const KeyId& billing() const { return parent ? *parent : id; }
};

// What a key may spend from now on.
struct Allowance {
    KeyId billing;                      // Whose balance pays.
    std::optional<Msat> limit_left;     // Of its limit, beside what is admitted. Empty: no limit.
    std::optional<Time> valid_until{};  // From then on it may spend nothing.
};

// Stable: append only.
enum class KeyringError {
    Unknown,  // No such key. Its text may have been genuine: a key whose invoice was never paid.
    Revoked,
    Expired,        // Beyond its valid_until.
    LimitExceeded,  // It would spend more than its limit allows in this period.
    ParentIsChild,  // Children have no children.
};

enum class Created { Now, Before };

class Keyring {
public:
    static constexpr std::size_t kTextSize = 3 + 64;

    // What it needs is derived from the node's seed by HKDF, one label per purpose.
    Keyring(const Secret& seed, const Clock& clock);

    static Result<void, store::StoreFailure> migrate(store::Database& database);

    // Pure: no memory, no disk. Empty for all but a text of this node's. Says nothing about whether
    // the key exists: admit() and find() do.
    std::optional<KeyId> authenticate(std::string_view text) const;
    std::string text_of(const KeyId& key) const;

    static KeyId random_id(crypto::Random& random) { return random.id<KeyId>(); }
    // The key that a token or an invoice id makes: the same one whenever it is asked for again.
    KeyId id_of_token(const TokenIdentity& token) const;
    KeyId id_of_invoice(std::string_view invoice_id) const;

    // A key that exists keeps the limits it has. Fails with Unknown if there is no such parent.
    Result<Created, KeyringError> create(store::Tx&, const NewKey&);
    std::optional<KeyRecord> find(store::Reader&, const KeyId& key) const;
    // Oldest first, at most `limit`.
    std::vector<KeyRecord> children(store::Reader&, const KeyId& parent, int limit = 1000) const;
    // All of them, newest first: for the operator.
    std::vector<KeyRecord> list(store::Reader&, int limit) const;

    // May it spend, and how much? Unknown, Revoked (its parent, too) or Expired.
    Result<Allowance, KeyringError> allowance(store::Reader&, const KeyId& key) const;
    // Counts `amount` more against the key's limit, for the transaction that holds as much in the
    // ledger under the same `hold`: many requests at once stay within the limit. LimitExceeded if
    // it does not fit. Of a key without a limit nothing is counted.
    Result<void, KeyringError> admit(store::Tx&, const KeyId& key, const HoldId& hold, Msat amount);
    // Takes so much of it back, at most all: what the ledger frees of that hold.
    void give_back(store::Tx&, const KeyId& key, const HoldId& hold, Msat amount);
    // For the transaction that charges `cost` for so many requests in the ledger, out of that hold
    // (and only where that was Applied::Now): what was admitted becomes what is spent, in the
    // period in which it is told.
    void spend(store::Tx&, const KeyId& key, const HoldId& hold, Msat cost, std::int64_t requests);
    // At start, beside Ledger::release_holds_of_requests: requests of a process that is gone.
    void release_admissions(store::Tx&);

    // What counts against the child's limit starts from zero; its totals stay. Unknown unless
    // `child` is a child of `parent`.
    Result<void, KeyringError> reset_child(store::Tx&, const KeyId& parent, const KeyId& child);
    Result<void, KeyringError> revoke(store::Tx&, const KeyId& key);
    // Where the next refund of this key should come from, if it can.
    void set_refund_mint(store::Tx&, const KeyId& key, std::string_view mint);

private:
    crypto::HmacKey mac_key_;
    Secret token_secret_;
    Secret invoice_secret_;
    const Clock& clock_;
};

}  // namespace nutgate
