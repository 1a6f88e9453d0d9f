// What a node says of offers, before it is believed.
#pragma once

#include <optional>
#include <string_view>

#include "nutgate/lightning/offers.h"

namespace nutgate::lightning {

// Refused unless it is an offer of that network over that amount, without an end and not of a
// number of things. `backend` is for the log.
Result<NodeOffer, BackendError> checked_offer(std::string_view backend, std::string_view bolt12,
                                              Network network, const std::optional<Msat>& amount);

}  // namespace nutgate::lightning
