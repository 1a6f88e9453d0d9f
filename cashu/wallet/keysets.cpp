#include "wallet/keysets.h"

#include <algorithm>

#include "nutgate/base/log.h"
#include "nutgate/cashu/wire.h"
#include "wallet/classify.h"
#include "wallet/operation.h"

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

// `id` becomes a keyset of a mint of ours, and `from`, a guest's, goes. Outputs may have been made
// there, of whose counters none is used again: under the same id the count goes on, since it is
// kept by id and not by mint; an id that makes the same secrets begins behind it.
void take_over(store::Tx& tx, const KeysetId& id, const KeysetId& from) {
    tx.execute("DELETE FROM wallet_keyset WHERE id = $1", from.text());
    if (from == id) return;
    const auto used = tx.query_one("SELECT next FROM wallet_counter WHERE name = $1", from.text());
    if (used) raise_counter(tx, id.text(), static_cast<std::uint64_t>(used->integer(0)));
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
    TRY(auto lost, lost_to_ours(mint.url, id));
    if (lost) return *std::move(lost);
    return fail(WalletError{WalletError::Code::KeysetUnknown,
                            mint.url.text() + " has no such keyset: " + id.text()});
}

Result<std::optional<Keyset>, WalletError> KeysetBook::lost_to_ours(const MintUrl& guest,
                                                                    const KeysetId& id) {
    using Answer = std::optional<Keyset>;
    return database_.read([&](store::Reader& reader) -> Result<Answer, WalletError> {
        const auto row =
            reader.query_one("SELECT mint, body FROM wallet_keyset WHERE id = $1", id.text());
        if (!row) return Answer{};
        const auto mints_of_ours = ours(reader);
        if (mints_of_ours.contains(guest.text()) || !mints_of_ours.contains(row->text(0))) {
            return Answer{};
        }
        const auto parsed = wire::parse_keys(row->text(1));
        return parsed && parsed->size() == 1 ? Answer{parsed->front()} : Answer{};
    });
}

std::set<std::string> KeysetBook::ours(store::Reader& reader) const {
    std::set<std::string> urls;
    for (const auto& url : configured_) urls.insert(url.text());
    for (const auto& row : reader.query("SELECT url FROM wallet_mint WHERE role <> $1",
                                        static_cast<std::int64_t>(MintRole::Guest))) {
        urls.insert(row.text(0));
    }
    return urls;
}

KeysetBook::Listed KeysetBook::listed_by_others(const MintUrl& mint) {
    Listed listed;
    const Lock lock{mutex_};
    for (const auto& [url, entry] : entries_) {
        if (url == mint) continue;
        for (const auto& [id, keyset] : entry.keysets) listed.emplace_back(id, url.text());
    }
    return listed;
}

KeysetBook::Kept KeysetBook::keep(store::Tx& tx, const MintUrl& mint, const KeysetMap& keysets,
                                  const Listed& listed) const {
    const auto mints_of_ours = ours(tx);
    const bool is_ours = mints_of_ours.contains(mint.text());
    std::map<KeysetId, std::string> taken;
    for (const auto& row : tx.query("SELECT id, mint FROM wallet_keyset")) {
        if (const auto id = KeysetId::parse(row.text(0))) taken.emplace(*id, row.text(1));
    }
    for (const auto& [id, url] : listed) {
        if (!is_ours && mints_of_ours.contains(url)) taken.insert_or_assign(id, url);
    }
    Kept kept;
    for (const auto& [id, keyset] : keysets) {
        std::map<KeysetId, std::string> clashing;
        bool yields = is_ours;
        for (const auto& [other, owner] : taken) {
            if (other == id ? owner == mint.text() : !collide(id, other)) continue;
            clashing.emplace(other, owner);
            yields = yields && owner != mint.text() && !mints_of_ours.contains(owner);
        }
        if (!clashing.empty() && !yields) {
            kept.refused.push_back(id);
            continue;
        }
        // The keys that a guest told of it are its keys, and may be needed to finish what is under
        // way there.
        const bool keeps_keys = keyset.keys.empty() && clashing.contains(id) &&
                                tx.execute("UPDATE wallet_keyset SET mint = $2 WHERE id = $1",
                                           id.text(), mint.text()) == 1;
        for (const auto& [other, owner] : clashing) {
            if (!keeps_keys || other != id) take_over(tx, id, other);
            taken.erase(other);
            kept.dispossessed.push_back(owner);
        }
        if (keeps_keys) taken.emplace(id, mint.text());
        // What was taken over is held by a row even without keys, so that no guest gets it back.
        if (keeps_keys || (keyset.keys.empty() && clashing.empty())) continue;
        tx.execute(
            "INSERT INTO wallet_keyset (id, mint, body) VALUES ($1, $2, $3) ON CONFLICT (id) "
            "DO UPDATE SET body = excluded.body",
            id.text(), mint.text(),
            keyset.keys.empty() ? wire::write_keys({}) : wire::write_keys({keyset}));
        taken.emplace(id, mint.text());
    }
    return kept;
}

Result<KeysetMap, WalletError> KeysetBook::keep(const MintUrl& mint, KeysetMap keysets) {
    const auto listed = listed_by_others(mint);
    // Ids that stand for something else already: found and refused in the transaction that would
    // store them, so that two mints that claim one id at the same time don't both get it.
    TRY(const auto kept, database_.transact([&](store::Tx& tx) -> Result<Kept, WalletError> {
        return keep(tx, mint, keysets, listed);
    }));
    for (const auto& id : kept.refused) {
        log::error("wallet_keyset_collides", {{"mint", mint.text()}, {"keyset", id.text()}});
        keysets.erase(id);
    }
    const Lock lock{mutex_};
    for (const auto& guest : kept.dispossessed) {
        log::error("wallet_keyset_taken_over", {{"mint", mint.text()}, {"guest", guest}});
        std::erase_if(entries_, [&](const auto& entry) { return entry.first.text() == guest; });
    }
    entries_.insert_or_assign(mint, Entry{keysets, clock_.now()});
    return keysets;
}

}  // namespace nutgate::cashu::wallet
