// Which mints are trusted, and with how much.
#include <algorithm>

#include "wallet/impl.h"

namespace nutgate::cashu {
namespace {

using Code = WalletError::Code;

}  // namespace

Result<wallet::Mints::Held, WalletError> Wallet::Impl::guest(const MintUrl& url) {
    if (auto known = find(url)) return known;
    auto way = mints.way_to_stranger(url);
    if (!way) {
        return fail(
            WalletError{Code::MintForeign, "tokens of " + url.text() + " are not taken here"});
    }
    // Anybody can make up a URL, so what does not answer takes no place.
    const WalletMint stranger{
        .url = url, .also_known_as = {}, .token_url = url.text(), .client = way.get()};
    TRY(const auto told, keysets.of(stranger, wallet::Freshness::Recent));
    if (told.empty()) {
        TRY_VOID(keysets.forget(url));
        return fail(WalletError{Code::KeysetUnknown, url.text() + " has no keysets of its own"});
    }
    for (;;) {
        if (auto guest = mints.add_guest(url, way)) {
            TRY_VOID(database.transact([&](store::Tx& tx) -> Result<void, WalletError> {
                wallet::Mints::note_guest(tx, guest->url, clock.now());
                return {};
            }));
            return guest;
        }
        TRY(const auto left, mints.make_room(database));
        TRY_VOID(keysets.forget(left.value_or(url)));
        if (!left) {
            return fail(WalletError{Code::MintForeign, "tokens of " + url.text() +
                                                           " are not taken now: this node is busy "
                                                           "at too many other mints"});
        }
    }
}

Result<void, WalletError> Wallet::Impl::check_exposure(store::Reader& reader, const MintUrl& url,
                                                       nutgate::Msat more) const {
    const auto known = mints.known(url);
    if (!known || url.is_embedded()) return {};
    const auto most = known->exposure_max ? known->exposure_max : options.exposure_max;
    if (!most) return {};
    const auto then = add(wallet::held_at(reader, url), more);
    if (then && *then <= *most) return {};
    return fail(WalletError{Code::ExposureExceeded,
                            "this node holds as much at " + url.text() + " as it wants to"});
}

Result<std::vector<MintView>, WalletError> Wallet::mint_views() const {
    const auto& impl = *impl_;
    return impl.database.read(
        [&](store::Reader& reader) -> Result<std::vector<MintView>, WalletError> {
            std::vector<MintView> views;
            for (const auto& known : impl.mints.all()) {
                const auto& url = known.url;
                auto most = known.exposure_max ? known.exposure_max : impl.options.exposure_max;
                if (url.is_embedded()) most.reset();
                views.push_back({.url = url,
                                 .role = known.role,
                                 .configured = known.configured,
                                 .exposure_max = most,
                                 .held = wallet::held_at(reader, url)});
            }
            return views;
        });
}

std::vector<MintView> Wallet::mint_views(store::Reader& reader,
                                         const std::vector<MintUrl>& configured,
                                         const std::optional<nutgate::Msat>& exposure_max) {
    std::vector<MintView> views;
    for (const auto& url : configured) {
        views.push_back({.url = url,
                         .role = MintRole::Trusted,
                         .configured = true,
                         .exposure_max = exposure_max,
                         .held = {}});
    }
    for (const auto& row :
         reader.query("SELECT url, role, exposure_max FROM wallet_mint ORDER BY url")) {
        const auto url = MintUrl::parse(row.text(0));
        if (!url) continue;
        auto view = std::ranges::find(views, *url, &MintView::url);
        if (view == views.end()) {
            views.push_back({.url = *url,
                             .role = static_cast<MintRole>(row.integer(1)),
                             .configured = false,
                             .exposure_max = exposure_max,
                             .held = {}});
            view = std::prev(views.end());
        }
        if (!row.is_null(2)) view->exposure_max = row.msat(2);
    }
    for (auto& view : views) {
        view.held = wallet::held_at(reader, view.url);
        if (view.url.is_embedded()) view.exposure_max.reset();
    }
    return views;
}

Result<void, WalletError> Wallet::trust_mint(const MintUrl& url,
                                             const std::optional<nutgate::Msat>& exposure_max) {
    return impl_->mints.set(impl_->database, url, MintRole::Trusted, exposure_max,
                            impl_->clock.now());
}

Result<void, WalletError> Wallet::leave_mint(const MintUrl& url) {
    const auto known = impl_->mints.known(url);
    if (!known || known->role == MintRole::Guest) {
        return fail(WalletError{Code::MintForeign, url.text() + " is none of the wallet's mints"});
    }
    if (known->url == primary()) {
        return fail(WalletError{Code::MintRefused, "the primary mint can't be left"});
    }
    return impl_->mints.set(impl_->database, url, MintRole::Leaving, known->exposure_max,
                            impl_->clock.now());
}

const crypto::Point& Wallet::receive_key() const { return impl_->receive_key; }

}  // namespace nutgate::cashu
