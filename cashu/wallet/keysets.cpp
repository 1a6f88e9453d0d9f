#include "wallet/keysets.h"

#include <algorithm>

#include "nutgate/base/log.h"
#include "nutgate/cashu/wire.h"
#include "wallet/classify.h"

namespace nutgate::cashu::wallet {
namespace {

// Nothing new is made on a keyset that ends within this: refund tokens should keep for a while.
constexpr Seconds kExpiryMargin{7 * 24 * 3600};

WalletError unreadable(const MintUrl& mint, const std::string& what) {
    return {WalletError::Code::MintUnreachable,
            mint.text() + ": its keysets can't be read: " + what};
}

// What a mint's list says of a keyset that we hold the keys of. Unit, and for v2 also fee and
// expiry, are part of what the id was checked against.
Keyset merged(Keyset known, const Keyset& listed) {
    known.active = listed.active;
    if (known.id.version() == 0) {
        known.input_fee_ppk = listed.input_fee_ppk;
        known.final_expiry = listed.final_expiry;
    }
    return known;
}

}  // namespace

std::uint32_t derivation_number(const KeysetId& id) {
    constexpr std::uint64_t kModulus = 0x7fffffff;
    std::uint64_t value = 0;
    for (const auto byte : id.bytes()) value = value << 8 | std::to_integer<std::uint64_t>(byte);
    return static_cast<std::uint32_t>(value % kModulus);
}

bool collide(const KeysetId& a, const KeysetId& b) {
    if (a == b || a.version() != b.version()) return false;
    if (a.version() == 0) return derivation_number(a) == derivation_number(b);
    return a.shortened() == b.shortened();
}

bool is_usable(const Keyset& keyset, Time now) {
    const auto last = to_unix_seconds(now + kExpiryMargin);
    const auto expiry = keyset.final_expiry.value_or(0);
    return keyset.active && (expiry == 0 || expiry >= last);
}

const Keyset* choose_active(const KeysetMap& keysets, Unit unit, Time now) {
    const Keyset* best = nullptr;
    for (const auto& [id, keyset] : keysets) {
        if (!is_usable(keyset, now) || keyset.keys.empty()) continue;
        if (keyset.unit != to_text(unit)) continue;
        if (best == nullptr || keyset.input_fee_ppk < best->input_fee_ppk) best = &keyset;
    }
    return best;
}

Result<KeysetMap, WalletError> KeysetBook::stored(const MintUrl& mint) {
    TRY(const auto bodies,
        database_.read([&](store::Reader& reader) -> Result<std::vector<std::string>, WalletError> {
            std::vector<std::string> texts;
            for (const auto& row : reader.query(
                     "SELECT body FROM wallet_keyset WHERE mint = $1 ORDER BY id", mint.text())) {
                texts.push_back(row.text(0));
            }
            return texts;
        }));
    KeysetMap keysets;
    for (const auto& body : bodies) {
        auto parsed = wire::parse_keys(body);
        if (!parsed) {
            log::error("wallet_keyset_unreadable", {{"mint", mint.text()}});
            continue;
        }
        for (auto& keyset : *parsed) keysets.insert_or_assign(keyset.id, std::move(keyset));
    }
    return keysets;
}

Result<KeysetMap, WalletError> KeysetBook::of(const WalletMint& mint, Freshness freshness) {
    std::optional<KeysetMap> known;
    {
        Lock lock{mutex_};
        const auto entry = entries_.find(mint.url);
        if (entry != entries_.end()) {
            const auto& seen_at = entry->second.seen_at;
            const bool recent = seen_at && clock_.now() - *seen_at < kKeysetsFresh;
            known = entry->second.keysets;
            if (freshness == Freshness::Recent && recent) return *known;
            if (freshness == Freshness::Known && !known->empty()) return *known;
        }
    }
    if (!known) {
        TRY(known, stored(mint.url));
        if (freshness == Freshness::Known && !known->empty()) {
            Lock lock{mutex_};
            entries_.try_emplace(mint.url, Entry{*known, std::nullopt});
            return *known;
        }
    }
    return fetch(mint, *std::move(known));
}

void KeysetBook::expire(const MintUrl& mint) {
    Lock lock{mutex_};
    const auto entry = entries_.find(mint);
    if (entry != entries_.end()) entry->second.seen_at.reset();
}

Result<void, WalletError> KeysetBook::forget(const MintUrl& mint) {
    const auto no_keys = wire::write_keys({});
    TRY_VOID(database_.transact([&](store::Tx& tx) -> Result<void, WalletError> {
        if (tx.query_one("SELECT 1 FROM wallet_mint WHERE url = $1", mint.text())) return {};
        tx.execute(
            "DELETE FROM wallet_keyset WHERE mint = $1 AND NOT EXISTS (SELECT 1 FROM "
            "wallet_counter WHERE name = wallet_keyset.id)",
            mint.text());
        tx.execute("UPDATE wallet_keyset SET body = $2 WHERE mint = $1", mint.text(), no_keys);
        return {};
    }));
    const Lock lock{mutex_};
    entries_.erase(mint);
    return {};
}

Result<std::vector<Keyset>, WalletError> KeysetBook::ask(const WalletMint& mint,
                                                         const std::string& path, bool with_keys) {
    const auto answer = mint.client->call(MintMethod::Get, path, "");
    if (!answer) {
        return fail(
            WalletError{WalletError::Code::MintUnreachable, mint.url.text() + " can't be reached"});
    }
    if (answer->status == 429) {
        return fail(WalletError{WalletError::Code::MintRateLimited,
                                mint.url.text() + " answers too many requests"});
    }
    if (answer->status != 200) return fail(unreadable(mint.url, facts_of(answer).detail));
    auto keysets = with_keys ? wire::parse_keys(answer->body) : wire::parse_keysets(answer->body);
    if (!keysets) return fail(unreadable(mint.url, keysets.error().where));
    return *std::move(keysets);
}

Result<KeysetMap, WalletError> KeysetBook::fetch(const WalletMint& mint, KeysetMap known) {
    TRY(const auto listed, ask(mint, "/v1/keysets", false));
    KeysetMap keysets = known;
    for (auto& [id, keyset] : keysets) keysets.at(id).active = false;  // Unless it is listed.
    bool keys_missing = false;
    for (const auto& keyset : listed) {
        if (!parse_unit(keyset.unit)) continue;
        const auto mine = known.find(keyset.id);
        const bool have_keys = mine != known.end() && !mine->second.keys.empty();
        keysets.insert_or_assign(keyset.id, have_keys ? merged(mine->second, keyset) : keyset);
        keys_missing = keys_missing || (keyset.active && !have_keys);
    }
    if (keys_missing) {
        TRY(const auto active, ask(mint, "/v1/keys", true));
        for (const auto& keyset : active) {
            const auto entry = keysets.find(keyset.id);
            if (entry == keysets.end() || !entry->second.keys.empty()) continue;
            auto complete =
                entry->second;  // What the list says, where older mints say it only there.
            complete.keys = keyset.keys;
            if (keyset_id_matches(complete)) {
                entry->second = std::move(complete);
            } else {
                log::error("wallet_keyset_id_wrong",
                           {{"mint", mint.url.text()}, {"keyset", keyset.id.text()}});
                keysets.erase(entry);
            }
        }
    }
    return keep(mint.url, std::move(keysets));
}

Result<Keyset, WalletError> KeysetBook::with_keys(const WalletMint& mint, const KeysetId& id) {
    for (const auto freshness : {Freshness::Known, Freshness::Now}) {
        TRY(auto keysets, of(mint, freshness));
        const auto entry = keysets.find(id);
        if (entry == keysets.end()) continue;
        if (!entry->second.keys.empty()) return entry->second;
        TRY(const auto answered, ask(mint, "/v1/keys/" + id.text(), true));
        for (const auto& keyset : answered) {
            if (keyset.id != id) continue;
            auto complete = entry->second;
            complete.keys = keyset.keys;
            if (!keyset_id_matches(complete)) break;
            entry->second = complete;
            TRY_VOID(keep(mint.url, std::move(keysets)));
            return complete;
        }
        break;
    }
    return fail(WalletError{WalletError::Code::KeysetUnknown,
                            mint.url.text() + " has no such keyset: " + id.text()});
}

Result<KeysetMap, WalletError> KeysetBook::keep(const MintUrl& mint, KeysetMap keysets) {
    std::map<KeysetId, std::string> bodies;
    for (const auto& [id, keyset] : keysets) {
        if (!keyset.keys.empty()) bodies.emplace(id, wire::write_keys({keyset}));
    }
    // Ids that stand for something else already: found and refused in the transaction that would
    // store them, so that two mints that claim one id at the same time don't both get it.
    TRY(const auto refused, database_.transact([&](store::Tx& tx)
                                                   -> Result<std::vector<KeysetId>, WalletError> {
        std::map<KeysetId, std::string> taken;
        for (const auto& row : tx.query("SELECT id, mint FROM wallet_keyset")) {
            if (const auto id = KeysetId::parse(row.text(0))) taken.emplace(*id, row.text(1));
        }
        std::vector<KeysetId> collisions;
        for (const auto& [id, keyset] : keysets) {
            const auto owner = taken.find(id);
            const bool clashes = (owner != taken.end() && owner->second != mint.text()) ||
                                 std::any_of(taken.begin(), taken.end(), [&id](const auto& other) {
                                     return collide(id, other.first);
                                 });
            if (clashes) {
                collisions.push_back(id);
                continue;
            }
            const auto body = bodies.find(id);
            if (body == bodies.end()) continue;
            tx.execute(
                "INSERT INTO wallet_keyset (id, mint, body) VALUES ($1, $2, $3) ON CONFLICT (id) "
                "DO UPDATE SET body = excluded.body",
                id.text(), mint.text(), body->second);
            taken.emplace(id, mint.text());
        }
        return collisions;
    }));
    for (const auto& id : refused) {
        log::error("wallet_keyset_collides", {{"mint", mint.text()}, {"keyset", id.text()}});
        keysets.erase(id);
    }
    Lock lock{mutex_};
    entries_.insert_or_assign(mint, Entry{keysets, clock_.now()});
    return keysets;
}

}  // namespace nutgate::cashu::wallet
