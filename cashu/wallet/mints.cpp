#include "wallet/mints.h"

#include <algorithm>

#include "wallet/issue.h"
#include "wallet/operation.h"

namespace nutgate::cashu::wallet {
namespace {

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

Mints::Held Mints::hold(Entry* entry) {
    if (entry == nullptr) return {};
    ++entry->held;
    return Held{&entry->mint, Release{this}};
}

void Mints::release(const WalletMint* mint) {
    const Lock lock{mutex_};
    for (auto& entry : entries_) {
        if (&entry.mint != mint) continue;
        VERIFY(entry.held > 0);
        --entry.held;
        return;
    }
    VERIFY(false);  // What is held does not go.
}

Mints::Entry* Mints::add(const MintUrl& url, MintRole role, std::unique_ptr<MintClient> client) {
    auto* const raw = client.get();
    entries_.push_back(
        {.mint = {.url = url, .also_known_as = {}, .token_url = url.text(), .client = raw},
         .client = std::move(client),
         .role = role,
         .configured = false,
         .exposure_max = std::nullopt});
    return &entries_.back();
}

Mints::Entry* Mints::admit(const MintUrl& url, MintRole role) {
    if (auto* known = entry(url)) return known;
    if (connector_ == nullptr || url.is_embedded()) return nullptr;
    auto client = connector_->connect(url, role);
    return client ? add(url, role, std::move(client)) : nullptr;
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
            for (const auto& row : reader.query(
                     "SELECT url, role, exposure_max FROM wallet_mint ORDER BY added_at, url")) {
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

Mints::Held Mints::find(const MintUrl& url) {
    const Lock lock{mutex_};
    return hold(entry(url));
}

const WalletMint* Mints::find_trusted(const MintUrl& url) const {
    const Lock lock{mutex_};
    const auto* const found = entry(url);
    return found == nullptr || found->role != MintRole::Trusted ? nullptr : &found->mint;
}

std::optional<Mints::Known> Mints::known(const MintUrl& url) const {
    const Lock lock{mutex_};
    const auto* const found = entry(url);
    if (found == nullptr) return std::nullopt;
    return Known{.url = found->mint.url,
                 .role = found->role,
                 .configured = found->configured,
                 .exposure_max = found->exposure_max};
}

std::vector<Mints::Known> Mints::all() const {
    const Lock lock{mutex_};
    std::vector<Known> found;
    for (const auto& entry : entries_) {
        found.push_back({.url = entry.mint.url,
                         .role = entry.role,
                         .configured = entry.configured,
                         .exposure_max = entry.exposure_max});
    }
    return found;
}

std::vector<const WalletMint*> Mints::trusted() const {
    const Lock lock{mutex_};
    std::vector<const WalletMint*> found;
    for (const auto& entry : entries_) {
        if (entry.role == MintRole::Trusted) found.push_back(&entry.mint);
    }
    return found;
}

std::vector<const WalletMint*> Mints::spendable() const {
    const Lock lock{mutex_};
    std::vector<const WalletMint*> found;
    for (const auto& entry : entries_) {
        if (entry.role != MintRole::Guest) found.push_back(&entry.mint);
    }
    return found;
}

std::unique_ptr<MintClient> Mints::way_to_stranger(const MintUrl& url) const {
    if (connector_ == nullptr || url.is_embedded()) return nullptr;
    return connector_->connect(url, MintRole::Guest);
}

Mints::Held Mints::add_guest(const MintUrl& url, std::unique_ptr<MintClient>& way) {
    const Lock lock{mutex_};
    if (auto* const known = entry(url)) return hold(known);
    const auto guests = std::ranges::count(entries_, MintRole::Guest, &Entry::role);
    if (guests >= guests_max_) return {};
    return hold(add(url, MintRole::Guest, std::move(way)));
}

std::vector<MintUrl> Mints::unheld() const {
    const Lock lock{mutex_};
    std::vector<MintUrl> urls;
    for (const auto& entry : entries_) {
        if (entry.role == MintRole::Guest && entry.held == 0) urls.push_back(entry.mint.url);
    }
    return urls;
}

void Mints::take_back(Entries gone) {
    const Lock lock{mutex_};
    if (entry(gone.front().mint.url) == nullptr) entries_.splice(entries_.end(), gone);
}

Result<std::optional<MintUrl>, WalletError> Mints::make_room(store::Database& database) {
    const auto nothing_at = [](store::Reader& reader, const MintUrl& url) {
        return !has_business_at(reader, url) && !has_open_quotes(reader, url);
    };
    for (const auto& url : unheld()) {
        TRY(const bool idle, database.read([&](store::Reader& reader) -> Result<bool, WalletError> {
            return nothing_at(reader, url);
        }));
        if (!idle) continue;
        // Out of sight first, so that nobody takes hold of it. Who looks for it from here on finds
        // its row, or a stranger.
        Entries gone;
        {
            const Lock lock{mutex_};
            const auto leaving = std::ranges::find_if(entries_, [&](const Entry& entry) {
                return entry.mint.url == url && entry.role == MintRole::Guest && entry.held == 0;
            });
            if (leaving == entries_.end()) continue;
            gone.splice(gone.end(), entries_, leaving);
        }
        const auto left = database.transact([&](store::Tx& tx) -> Result<bool, WalletError> {
            if (!nothing_at(tx, url)) return false;
            tx.execute("DELETE FROM wallet_mint WHERE url = $1 AND role = $2", url.text(),
                       static_cast<std::int64_t>(MintRole::Guest));
            return true;
        });
        if (left && *left) return std::optional{url};
        take_back(std::move(gone));
        if (!left) return fail(left.error());
    }
    return std::optional<MintUrl>{};
}

void Mints::note_guest(store::Tx& tx, const MintUrl& url, Time now) {
    tx.execute(
        "INSERT INTO wallet_mint (url, role, added_at) VALUES ($1, $2, $3) ON CONFLICT (url) DO "
        "NOTHING",
        url.text(), static_cast<std::int64_t>(MintRole::Guest), now);
}

Result<void, WalletError> Mints::set(store::Database& database, const MintUrl& url, MintRole role,
                                     const std::optional<nutgate::Msat>& exposure_max, Time now) {
    Held mint;
    {
        const Lock lock{mutex_};
        mint = hold(admit(url, role));
    }
    if (!mint) {
        return fail(
            WalletError{WalletError::Code::MintForeign, "this node does not go to " + url.text()});
    }
    TRY_VOID(database.transact([&](store::Tx& tx) -> Result<void, WalletError> {
        tx.execute(
            "INSERT INTO wallet_mint (url, role, exposure_max, added_at) VALUES ($1, $2, $3, $4) "
            "ON CONFLICT (url) DO UPDATE SET role = excluded.role, exposure_max = "
            "excluded.exposure_max",
            mint->url.text(), static_cast<std::int64_t>(role), exposure_max, now);
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
