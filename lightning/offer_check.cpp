#include "offer_check.h"

#include <string>

#include "nutgate/base/log.h"
#include "nutgate/lightning/bolt12.h"

namespace nutgate::lightning {

Result<NodeOffer, BackendError> checked_offer(std::string_view backend, std::string_view bolt12,
                                              Network network, const std::optional<Msat>& amount) {
    const auto offer = parse_offer(bolt12);
    const auto ordered =
        amount ? std::optional{static_cast<std::uint64_t>(amount->raw())} : std::nullopt;
    if (!offer || !offer->is_for(chain_of(network)) || offer->currency ||
        offer->amount != ordered || offer->expires_at || offer->quantity_max) {
        log::error("lightning_wrong_offer", {{"backend", backend}});
        return fail(BackendError::Refused);
    }
    return NodeOffer{.id = OfferId{offer->id}, .bolt12 = std::string{bolt12}};
}

}  // namespace nutgate::lightning
