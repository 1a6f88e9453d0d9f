// From prices as they were typed to prices that can be charged by. All mistakes at once, each with
// its key.
#pragma once

#include <string>
#include <vector>

#include "config.h"
#include "nutgate/base/result.h"
#include "nutgate/proxy/tariff.h"

namespace nutgate::app {

// Whether it names any price, and does not only say how to change others.
bool names_a_price(const PriceConfig& price);
bool is_in_usd(const PriceConfig& price);

// `key` is where it stands, "model[1].price".
Result<proxy::Tariff, std::vector<Mistake>> tariff_of(const PriceConfig& price,
                                                      const std::string& key);

// A table in USD, of which a tariff can be made, as it would be typed.
PriceConfig typed(const proxy::PriceTable& table);

// Gives the models that name no price of their own that of the file. What they say of margin and
// floor goes before what the file says of it. Of one that had its price from a file that of this
// one takes its place.
void lay_prices(const std::vector<PriceEntry>& entries, Config& config);

}  // namespace nutgate::app
