// What upstreams take of the seller, and what is charged for one of several, as the configuration
// has it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config.h"
#include "nutgate/base/result.h"
#include "nutgate/proxy/tariff.h"

namespace nutgate::app {

// `key` is where it stands, "cost[1]". Unlike a price, a cost of zero needs no word that says so.
Result<proxy::Tariff, std::vector<Mistake>> tariff_of(const CostConfig& cost,
                                                      const std::string& key);

// The same for a route of that model which names a price. The model's floor holds there, too.
Result<proxy::Tariff, std::vector<Mistake>> tariff_of(const RouteConfig& route,
                                                      const ModelConfig& model,
                                                      const std::string& key);
// What the configuration says of that upstream of that model; null if it says nothing.
const RouteConfig* route_of(const Config& config, const ModelConfig& model,
                            std::string_view upstream);

// What that upstream takes for that model: the first [[cost]] that fits, or the model's price
// before its margin. Empty: nobody said. Of what was checked.
std::optional<proxy::Tariff> cost_of(const Config& config, const ModelConfig& model,
                                     std::string_view upstream);

// Whether any of either is in USD.
bool costs_usd(const Config& config);

}  // namespace nutgate::app
