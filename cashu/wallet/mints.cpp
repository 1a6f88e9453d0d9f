#include "wallet/mints.h"

#include <algorithm>

namespace nutgate::cashu::wallet {
namespace {

using Code = WalletError::Code;

WalletError foreign(const MintUrl& url) {
    return {Code::MintForeign, "tokens of " + url.text() + " are not taken here"};
}

bool answers_to(const WalletMint& mint, const MintUrl& url) {
    const auto& others = mint.also_known_as;
    return mint.url == url || std::find(others.begin(), others.end(), url) != others.end();
}

}  // namespace

Mints::Mints(std::vector<WalletMint> configured, MintConnector* connector, int guests_max)
    : connector_{connector}, guests_max_{guests_max} {
    VERIFY(!configured.empty());
    const Lock lock{mutex_};
    for (auto& mint : configured) {
        VERIFY(mint.client != nullptr);
        entries_.push_back({.mint = std::move(mint),
                            .client = nullptr,
                            .role = MintRole::Trusted,
                            .configured = true,
                            .exposure_max = std::nullopt});
    }
    primary_ = &entries_.front().mint;
}

const Mints::Entry* Mints::entry(const MintUrl& url) const {
    for (const auto& entry : entries_) {
        if (answers_to(entry.mint, url)) return &entry;
    }
    return nullptr;
}

Mints::Entry* Mints::entry(const MintUrl& url) {
    for (auto& entry : entries_) {
        if (answers_to(entry.mint, url)) return &entry;
    }
    return nullptr;
}

Mints::Entry* Mints::admit(const MintUrl& url, MintRole role) {
    if (auto* known = entry(url)) return known;
    if (connector_ == nullptr || url.is_embedded()) return nullptr;
    auto client = connector_->connect(url, role);
    if (!client) return nullptr;
    auto* const raw = client.get();
    entries_.push_back(
        {.mint = {.url = url, .also_known_as = {}, .token_url = url.text(), .client = raw},
         .client = std::move(client),
         .role = role,
         .configured = false,
         .exposure_max = std::nullopt});
    return &entries_.back();
}

Result<void, WalletError> Mints::load(store::Database& database) {
    struct Row {
        MintUrl url;
        MintRole role;
        std::optional<nutgate::Msat> exposure_max;
    };
    TRY(const auto rows,
        database.read([](store::Reader& reader) -> Result<std::vector<Row>, WalletError> {
            std::vector<Row> found;
            for (const auto& row :
                 reader.query("SELECT url, role, exposure_max FROM wallet_mint ORDER BY url")) {
                const auto url = MintUrl::parse(row.text(0));
                if (!url && row.text(0) != MintUrl::embedded().text()) continue;
                found.push_back(
                    {.url = url ? *url : MintUrl::embedded(),
                     .role = static_cast<MintRole>(row.integer(1)),
                     .exposure_max = row.is_null(2) ? std::nullopt : std::optional{row.msat(2)}});
            }
            return found;
        }));
    const Lock lock{mutex_};
    for (const auto& row : rows) {
        auto* const found = admit(row.url, row.role);
        if (found == nullptr) continue;
        found->exposure_max = row.exposure_max;
        // What the file names is trusted again, whatever was said before it did.
        if (!found->configured) found->role = row.role;
    }
    return {};
}

const WalletMint* Mints::find(const MintUrl& url) const {
    const Lock lock{mutex_};
    const auto* const found = entry(url);
    return found == nullptr ? nullptr : &found->mint;
}

const WalletMint* Mints::find_trusted(const MintUrl& url) const {
    const Lock lock{mutex_};
    const auto* const found = entry(url);
    return found == nullptr || found->role != MintRole::Trusted ? nullptr : &found->mint;
}

std::optional<Mints::Known> Mints::known(const MintUrl& url) const {
    for (const auto& mint : all()) {
        if (answers_to(*mint.mint, url)) return mint;
    }
    return std::nullopt;
}

std::vector<Mints::Known> Mints::all() const {
    const Lock lock{mutex_};
    std::vector<Known> found;
    for (const auto& entry : entries_) {
        found.push_back({.mint = &entry.mint,
                         .role = entry.role,
                         .configured = entry.configured,
                         .exposure_max = entry.exposure_max});
    }
    return found;
}

std::vector<const WalletMint*> Mints::trusted() const {
    std::vector<const WalletMint*> found;
    for (const auto& mint : all()) {
        if (mint.role == MintRole::Trusted) found.push_back(mint.mint);
    }
    return found;
}

std::vector<const WalletMint*> Mints::spendable() const {
    std::vector<const WalletMint*> found;
    for (const auto& mint : all()) {
        if (mint.role != MintRole::Guest) found.push_back(mint.mint);
    }
    return found;
}

Result<const WalletMint*, WalletError> Mints::guest(store::Database& database, const MintUrl& url,
                                                    Time now) {
    {
        const Lock lock{mutex_};
        if (const auto* const known = entry(url)) return &known->mint;
        const auto guests = std::ranges::count_if(
            entries_, [](const Entry& entry) { return entry.role == MintRole::Guest; });
        if (guests >= guests_max_) return fail(foreign(url));
        const auto* const admitted = admit(url, MintRole::Guest);
        if (admitted == nullptr) return fail(foreign(url));
    }
    // Stored before anything is begun there: who finishes it after a restart must find the way.
    TRY_VOID(database.transact([&](store::Tx& tx) -> Result<void, WalletError> {
        tx.execute(
            "INSERT INTO wallet_mint (url, role, added_at) VALUES ($1, $2, $3) ON CONFLICT (url) "
            "DO NOTHING",
            url.text(), static_cast<std::int64_t>(MintRole::Guest), now);
        return {};
    }));
    return find(url);
}

Result<void, WalletError> Mints::set(store::Database& database, const MintUrl& url, MintRole role,
                                     const std::optional<nutgate::Msat>& exposure_max, Time now) {
    std::string name;
    {
        const Lock lock{mutex_};
        const auto* const admitted = admit(url, role);
        if (admitted == nullptr) return fail(foreign(url));
        name = admitted->mint.url.text();
    }
    TRY_VOID(database.transact([&](store::Tx& tx) -> Result<void, WalletError> {
        tx.execute(
            "INSERT INTO wallet_mint (url, role, exposure_max, added_at) VALUES ($1, $2, $3, $4) "
            "ON CONFLICT (url) DO UPDATE SET role = excluded.role, exposure_max = "
            "excluded.exposure_max",
            name, static_cast<std::int64_t>(role), exposure_max, now);
        return {};
    }));
    const Lock lock{mutex_};
    auto* const found = entry(url);
    VERIFY(found != nullptr);
    found->role = role;
    found->exposure_max = exposure_max;
    return {};
}

}  // namespace nutgate::cashu::wallet
