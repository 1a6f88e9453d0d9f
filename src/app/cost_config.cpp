#include "cost_config.h"

#include <algorithm>

#include "price_config.h"

namespace nutgate::app {
namespace {

bool fits(const CostConfig& cost, const ModelConfig& model, std::string_view upstream) {
    return (cost.upstream.empty() || cost.upstream == upstream) &&
           (cost.model.empty() || cost.model == model.id);
}

std::optional<proxy::Tariff> known(Result<proxy::Tariff, std::vector<Mistake>> tariff) {
    if (!tariff) return std::nullopt;
    return *std::move(tariff);
}

}  // namespace

Result<proxy::Tariff, std::vector<Mistake>> tariff_of(const CostConfig& cost,
                                                      const std::string& key) {
    PriceConfig price = cost.price;
    price.free = true;
    if (!names_a_price(price)) return fail(std::vector<Mistake>{{key, "names no price"}});
    return tariff_of(price, key);
}

Result<proxy::Tariff, std::vector<Mistake>> tariff_of(const RouteConfig& route,
                                                      const ModelConfig& model,
                                                      const std::string& key) {
    PriceConfig price = route.price;
    price.floor_msat = model.price.floor_msat;
    price.free = true;
    return tariff_of(price, key);
}

const RouteConfig* route_of(const Config& config, const ModelConfig& model,
                            std::string_view upstream) {
    for (const RouteConfig& route : config.routes) {
        if (route.model == model.id && route.upstream == upstream) return &route;
    }
    return nullptr;
}

std::optional<proxy::Tariff> cost_of(const Config& config, const ModelConfig& model,
                                     std::string_view upstream) {
    for (const CostConfig& cost : config.costs) {
        if (fits(cost, model, upstream)) return known(tariff_of(cost, "cost"));
    }
    if (model.price.margin.empty()) return std::nullopt;
    PriceConfig before = model.price;
    before.margin.clear();
    before.floor_msat = -1;
    before.free = true;
    return known(tariff_of(before, "price"));
}

bool costs_usd(const Config& config) {
    return std::ranges::any_of(config.costs,
                               [](const CostConfig& cost) { return is_in_usd(cost.price); }) ||
           std::ranges::any_of(config.routes,
                               [](const RouteConfig& route) { return is_in_usd(route.price); });
}

}  // namespace nutgate::app
