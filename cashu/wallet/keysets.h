// What is known of each mint's keysets: in memory, with a durable copy, so that an operation can be
// finished while its mint is away.
//
// A keyset is believed only if its id is the one that its keys must have. One whose id could make
// us use a secret twice (the same id, short id or NUT-13 number as a keyset of another mint, or of
// the same) is left out, whichever mint names it later. But anybody can serve the public keys of a
// mint of ours (trusted, or one that we are leaving) as his own, and be seen first: what a guest
// has, a mint of ours takes from it, and no guest gets what a mint of ours lists.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "nutgate/base/clock.h"
#include "nutgate/base/sync.h"
#include "nutgate/cashu/wallet.h"
#include "nutgate/store/store.h"

namespace nutgate::cashu::wallet {

using KeysetMap = std::map<KeysetId, Keyset>;

// NUT-13's number of a v1 keyset id: what its secrets derive from.
std::uint32_t derivation_number(const KeysetId& id);
// True if secrets or short ids of the two could be mistaken for one another. They are not equal.
bool collide(const KeysetId& a, const KeysetId& b);

enum class Freshness {
    Known,   // Whatever was seen last; asks only if nothing was.
    Recent,  // Seen within kKeysetsFresh: fees of v1 keysets can change under the same id.
    Now,
};
inline constexpr Seconds kKeysetsFresh{60};

// Thread-safe. No lock is held over a call.
class KeysetBook {
public:
    // `configured`: ours whatever is stored of them.
    KeysetBook(store::Database& database, const Clock& clock, std::set<MintUrl> configured)
        : database_{database}, clock_{clock}, configured_{std::move(configured)} {}

    // Of one mint. Inactive ones may be without keys.
    Result<KeysetMap, WalletError> of(const WalletMint& mint, Freshness freshness);
    // One of them with its keys, which are asked for if they are not known.
    Result<Keyset, WalletError> with_keys(const WalletMint& mint, const KeysetId& id);
    // What is known is no longer recent.
    void expire(const MintUrl& mint);
    // Of a mint that is not stored. Ids on which we made outputs stay known as its, without their
    // keys: no other mint's secrets may be the same.
    Result<void, WalletError> forget(const MintUrl& mint);

private:
    struct Entry {
        KeysetMap keysets;
        std::optional<Time> seen_at;  // Empty: not in this process's life, or expired.
    };

    // Ids, each with the URL of a mint that lists it.
    using Listed = std::vector<std::pair<KeysetId, std::string>>;
    struct Kept {
        std::vector<KeysetId> refused;
        std::vector<std::string> dispossessed;  // Guests.
    };

    Result<KeysetMap, WalletError> stored(const MintUrl& mint);
    Result<KeysetMap, WalletError> fetch(const WalletMint& mint, KeysetMap known);
    Result<std::vector<Keyset>, WalletError> ask(const WalletMint& mint, const std::string& path,
                                                 bool with_keys);
    Result<KeysetMap, WalletError> keep(const MintUrl& mint, KeysetMap keysets);
    Kept keep(store::Tx& tx, const MintUrl& mint, const KeysetMap& keysets,
              const Listed& listed) const;
    std::set<std::string> ours(store::Reader& reader) const;
    // What was begun at a guest before a mint of ours took its keyset is finished all the same: an
    // id says which keys they are, whoever has it.
    Result<std::optional<Keyset>, WalletError> lost_to_ours(const MintUrl& guest,
                                                            const KeysetId& id);
    // By all mints but this, in this process's life, with keys or without.
    Listed listed_by_others(const MintUrl& mint);

    store::Database& database_;
    const Clock& clock_;
    const std::set<MintUrl> configured_;
    Mutex mutex_;
    std::map<MintUrl, Entry> entries_ GUARDED_BY(mutex_);
};

// Whether outputs may be made on it: active, and not about to end.
bool is_usable(const Keyset& keyset, Time now);
// The keyset to make new outputs on: active, with keys, not about to expire, the cheapest to spend.
const Keyset* choose_active(const KeysetMap& keysets, Unit unit, Time now);

}  // namespace nutgate::cashu::wallet
