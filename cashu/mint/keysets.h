// The mint's keysets, with their private keys, in memory.
//
// Thread-safe. A keyset that was added stays, so a reference to one is good for as long as this.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "nutgate/base/secret.h"
#include "nutgate/base/sync.h"
#include "nutgate/cashu/proof.h"

namespace nutgate::cashu {

struct MintKeyset {
    struct Key {
        crypto::Scalar secret;
        crypto::Point point;
    };
    KeysetId id;
    Unit unit;
    std::uint64_t input_fee_ppk;
    std::map<Amount, Key> keys;
    std::atomic<bool> active;

    Keyset described() const;  // With its public keys.
};

// The keys of `seed`, a random id that is stored in the database: so the same mint secret with
// another database never gives the same keys, and two keysets of one mint share none.
std::unique_ptr<MintKeyset> derive_mint_keyset(const Secret& mint_secret, BytesView seed, Unit unit,
                                               std::uint64_t input_fee_ppk, int key_count);

class Keysets {
public:
    // Makes it the active one of its unit if it says that it is active.
    void add(std::unique_ptr<MintKeyset> keyset);

    const MintKeyset* find(const KeysetId& id) const;
    const MintKeyset* active(Unit unit) const;
    std::vector<const MintKeyset*> all() const;  // In the order of adding.

private:
    mutable Mutex mutex_;
    std::vector<std::unique_ptr<MintKeyset>> keysets_ GUARDED_BY(mutex_);
    std::map<KeysetId, const MintKeyset*> by_id_ GUARDED_BY(mutex_);
};

}  // namespace nutgate::cashu
