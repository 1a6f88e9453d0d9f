#include "mint/keysets.h"

#include "mint/impl.h"
#include "nutgate/base/log.h"
#include "nutgate/crypto/hash.h"

namespace nutgate::cashu {

namespace {

constexpr std::string_view kKeyLabel = "nutgate mint keyset key ";

}  // namespace

Keyset MintKeyset::described() const {
    Keyset keyset{id, std::string{to_text(unit)}, active, input_fee_ppk, std::nullopt, {}};
    for (const auto& [amount, key] : keys) keyset.keys.emplace(amount, key.point);
    return keyset;
}

std::unique_ptr<MintKeyset> derive_mint_keyset(const Secret& mint_secret, BytesView seed, Unit unit,
                                               std::uint64_t input_fee_ppk, int key_count) {
    std::map<Amount, MintKeyset::Key> keys;
    std::map<Amount, crypto::Point> points;
    for (int i = 0; i < key_count; ++i) {
        const Amount amount = Amount{1} << i;
        Secret bytes{crypto::hkdf_sha256(mint_secret.reveal(), seed,
                                         std::string{kKeyLabel} + std::to_string(amount), 32)};
        const auto key = crypto::Scalar::reduce(bytes.reveal());
        VERIFY(key.has_value());
        const auto point = crypto::generator_times(*key);
        keys.emplace(amount, MintKeyset::Key{*key, point});
        points.emplace(amount, point);
    }
    const KeysetId id = derive_keyset_id_v2(points, to_text(unit), input_fee_ppk, std::nullopt);
    return std::unique_ptr<MintKeyset>{
        new MintKeyset{id, unit, input_fee_ppk, std::move(keys), {true}}};
}

void Keysets::add(std::unique_ptr<MintKeyset> keyset) {
    const Lock lock{mutex_};
    if (keyset->active) {
        for (const auto& other : keysets_) {
            if (other->unit == keyset->unit) other->active = false;
        }
    }
    by_id_.emplace(keyset->id, keyset.get());
    keysets_.push_back(std::move(keyset));
}

const MintKeyset* Keysets::find(const KeysetId& id) const {
    const Lock lock{mutex_};
    const auto found = by_id_.find(id);
    return found == by_id_.end() ? nullptr : found->second;
}

const MintKeyset* Keysets::active(Unit unit) const {
    const Lock lock{mutex_};
    for (const auto& keyset : keysets_) {
        if (keyset->unit == unit && keyset->active) return keyset.get();
    }
    return nullptr;
}

std::vector<const MintKeyset*> Keysets::all() const {
    const Lock lock{mutex_};
    std::vector<const MintKeyset*> result;
    for (const auto& keyset : keysets_) result.push_back(keyset.get());
    return result;
}

namespace {

struct StoredKeyset {
    std::string id;
    Bytes seed;
    Unit unit;
    std::uint64_t input_fee_ppk;
    int key_count;
    bool active;
};

}  // namespace

Result<void, store::StoreFailure> Mint::Impl::load_keysets() {
    TRY(const auto stored,
        database.read([](store::Reader& reader)
                          -> Result<std::vector<StoredKeyset>, store::StoreFailure> {
            std::vector<StoredKeyset> result;
            for (const auto& row : reader.query(
                     "SELECT id, seed, unit, input_fee_ppk, key_count, active FROM mint_keysets "
                     "ORDER BY created_at, id")) {
                const auto seed = row.bytes(1);
                const auto unit = parse_unit(row.text(2));
                VERIFY(unit.has_value());
                result.push_back({row.text(0), Bytes{seed.begin(), seed.end()}, *unit,
                                  static_cast<std::uint64_t>(row.integer(3)),
                                  static_cast<int>(row.integer(4)), row.integer(5) != 0});
            }
            return result;
        }));
    for (const StoredKeyset& keyset : stored) {
        auto derived = derive_mint_keyset(secret, keyset.seed, keyset.unit, keyset.input_fee_ppk,
                                          keyset.key_count);
        // Another secret than the one that this database was made with: these keys would verify
        // nothing that was ever signed, so the mint must not pretend to be that mint.
        if (derived->id.text() != keyset.id) {
            return fail(store::StoreFailure{"keyset " + keyset.id +
                                            " does not come from this node's seed"});
        }
        derived->active = keyset.active;
        keysets.add(std::move(derived));
    }
    for (const Unit unit : options.units) {
        const MintKeyset* const active = keysets.active(unit);
        // The fee is part of a keyset's id, so another fee is another keyset.
        if (active != nullptr && active->input_fee_ppk == options.input_fee_ppk) continue;
        TRY_VOID(make_keyset(unit, options.input_fee_ppk));
    }
    return {};
}

Result<KeysetId, store::StoreFailure> Mint::Impl::make_keyset(Unit unit,
                                                              std::uint64_t input_fee_ppk) {
    constexpr std::uint64_t kFeePpkMax = 1'000'000'000;
    VERIFY(input_fee_ppk <= kFeePpkMax);
    const auto seed = random.bytes<32>();
    auto keyset = derive_mint_keyset(secret, seed, unit, input_fee_ppk, options.key_count);
    const KeysetId id = keyset->id;
    const Time now = clock.now();
    const auto write_down = [&](store::Tx& tx) -> Result<void, store::StoreFailure> {
        tx.execute("UPDATE mint_keysets SET active = 0 WHERE unit = $1", to_text(unit));
        tx.execute(
            "INSERT INTO mint_keysets (id, seed, unit, input_fee_ppk, key_count, active, "
            "created_at) VALUES ($1, $2, $3, $4, $5, 1, $6) ON CONFLICT (id) DO NOTHING",
            id.text(), seed, to_text(unit), static_cast<std::int64_t>(input_fee_ppk),
            options.key_count, now);
        return {};
    };
    TRY_VOID(database.transact(write_down));
    keysets.add(std::move(keyset));
    log::info("mint.keyset", {{"id", id.text()}, {"unit", to_text(unit)}});
    return id;
}

}  // namespace nutgate::cashu
