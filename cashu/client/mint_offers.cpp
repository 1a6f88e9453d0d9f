#include "nutgate/cashu/mint_offers.h"

#include <utility>

#include "client/backend_error.h"
#include "nutgate/base/log.h"
#include "nutgate/lightning/bolt12.h"

namespace nutgate::cashu {
namespace {

constexpr Seconds kLookFresh{3600};
constexpr Seconds kLookAgain{15};  // Where the mint was away.

struct StoreAway {
    StoreAway(store::StoreFailure) {}  // NOLINT: implicit; what failed is in the store's own log.
};

}  // namespace

MintOffers::MintOffers(Wallet& wallet, MintUrl mint, Network network, store::Database& database,
                       const Clock& clock)
    : wallet_{wallet},
      mint_{std::move(mint)},
      network_{network},
      database_{database},
      clock_{clock} {
    // It is in this process: nobody is waited for.
    if (mint_.is_embedded()) look();
}

bool MintOffers::able() const {
    const Lock lock{mutex_};
    return able_;
}

void MintOffers::look() {
    {
        const Lock lock{mutex_};
        if (clock_.now() < look_again_at_) return;
    }
    const auto told = wallet_.makes_offers(mint_);
    if (!told) log::info("mint_offers_not_told", {{"mint", mint_.text()}});
    const Lock lock{mutex_};
    if (told) able_ = *told;
    look_again_at_ = clock_.now() + (told ? kLookFresh : kLookAgain);
}

Result<NodeOffer, BackendError> MintOffers::create_offer(const OfferOrder& order) {
    if (order.label.empty()) return fail(BackendError::Refused);
    TRY(auto before, labelled(order));
    if (before) return *std::move(before);
    const auto made = wallet_.request_offer(mint_, order.amount, order.description);
    if (!made) return fail(to_backend_error(made.error()));
    const auto offer = parse_offer(made->bolt12);
    if (!offer || !offer->is_for(chain_of(network_))) return fail(BackendError::Refused);
    // Nobody has seen this offer yet. Where two asked under one label at once, or a crash came in
    // between, the one whose name is stored is the one that is shown.
    const auto stored = database_.transact([&](store::Tx& tx) -> Result<void, StoreAway> {
        tx.execute(
            "INSERT INTO wallet_offer_label (label, mint, offer) VALUES ($1, $2, $3) ON CONFLICT "
            "(label) DO NOTHING",
            order.label, mint_.text(), made->id);
        return {};
    });
    if (!stored) return fail(BackendError::Unreachable);
    TRY(auto kept, labelled(order));
    if (!kept) return fail(BackendError::Unreachable);
    return *std::move(kept);
}

Result<void, BackendError> MintOffers::bring_in(const OfferId& offer) {
    const auto brought = wallet_.settle_offer(offer);
    if (!brought) return fail(to_backend_error(brought.error()));
    return {};
}

// What was stored under that label, if anything was. One label names one order, at one mint.
Result<std::optional<NodeOffer>, BackendError> MintOffers::labelled(const OfferOrder& order) {
    struct Labelled {
        NodeOffer offer;
        std::optional<nutgate::Msat> amount;
        std::string mint;
    };
    auto found =
        database_.read([&](store::Reader& reader) -> Result<std::optional<Labelled>, StoreAway> {
            const auto row = reader.query_one(
                "SELECT o.offer, o.bolt12, o.amount, l.mint FROM wallet_offer_label l JOIN "
                "wallet_offer o ON o.offer = l.offer WHERE l.label = $1",
                order.label);
            if (!row) return std::optional<Labelled>{};
            Labelled known{.offer = {.id = row->id<OfferId>(0), .bolt12 = row->text(1)},
                           .amount = std::nullopt,
                           .mint = row->text(3)};
            if (!row->is_null(2)) known.amount = row->msat(2);
            return std::optional{std::move(known)};
        });
    if (!found) return fail(BackendError::Unreachable);
    if (!*found) return std::optional<NodeOffer>{};
    if ((*found)->amount != order.amount || (*found)->mint != mint_.text()) {
        return fail(BackendError::Refused);
    }
    return std::optional{std::move((*found)->offer)};
}

}  // namespace nutgate::cashu
