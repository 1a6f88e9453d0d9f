// The prices of a node: those that it starts with, and those that it takes while it runs.
#include <algorithm>
#include <utility>

#include "node.h"
#include "nutgate/base/log.h"
#include "nutgate/base/verify.h"
#include "price_config.h"
#include "price_file.h"

namespace nutgate::app {
namespace {

std::string words(proxy::ModelsError error) {
    switch (error) {
        case proxy::ModelsError::OtherModels:
            return "prices another kind of work than the node was started with: start it again";
        case proxy::ModelsError::TooExpensive:
            return "has a price by which a request could cost more than there is";
        case proxy::ModelsError::Duplicate:
            return "has the name of another one";
        case proxy::ModelsError::NoUpstream:
            return "has no upstream, too many, or none with a weight";
        case proxy::ModelsError::NoEndpoint:
            return "is sold nowhere: on none of its `endpoints` (without them, those of text) is "
                   "there both an upstream that serves it and a price for what is counted";
        case proxy::ModelsError::BadBounds:
            return "has a bound that is none: `context` and `output_max` are more than zero, and "
                   "no output is more than the context";
    }
    return "";
}

}  // namespace

Result<std::vector<proxy::Model>, StartError> Node::sold(const Config& config) const {
    std::vector<proxy::Model> models;
    if (config.demo_enabled) models.push_back(demo_model(*upstreams_.front()));
    for (const ModelConfig& model : config.models) {
        auto one = sold_model(config, model, named_upstreams_);
        if (!one) return fail(StartError{"model " + model.id + " has no valid price"});
        models.push_back(*std::move(one));
    }
    return models;
}

Result<void, StartError> Node::begin_selling(const std::vector<proxy::Model>& models) {
    auto made = proxy::Models::make(models, *btc_usd_, clock_.now());
    if (made) {
        models_.emplace(*std::move(made));
        return {};
    }
    // The first that is wrong: those before it can be sold without it.
    std::vector<proxy::Model> some;
    for (const proxy::Model& model : models) {
        some.push_back(model);
        const auto tried = proxy::Models::make(some, *btc_usd_, clock_.now());
        if (tried) continue;
        return fail(StartError{"model " + model.id.text() + " " + words(tried.error())});
    }
    VERIFY(false);
    return {};
}

Result<std::size_t, std::vector<Mistake>> Node::take_prices() {
    const auto taken = read_prices();
    if (taken) {
        log::info("prices_taken", {{"file", prices_path(config_)}, {"models", *taken}});
        return *taken;
    }
    for (const Mistake& mistake : taken.error()) {
        log::error("prices_refused", {{"key", mistake.key}, {"why", mistake.what}});
    }
    return fail(taken.error());
}

Result<std::size_t, std::vector<Mistake>> Node::read_prices() {
    const Lock lock{prices_mutex_};
    const std::string path = prices_path(config_);
    const PriceFile file = read_price_file(path, !config_.prices_file.empty());
    if (!file.mistakes.empty()) return fail(file.mistakes);
    Config config = config_;
    lay_prices(file.entries, config);
    const bool in_usd = std::ranges::any_of(
        config.models, [](const ModelConfig& model) { return is_in_usd(model.price); });
    if (in_usd && config_.btc_usd.empty() && !rate_feed_) {
        const Mistake mistake{
            path, "has prices in USD, and the node was started without a rate: start it again"};
        return fail(std::vector{mistake});
    }
    auto models = sold(config);
    if (!models) return fail(std::vector{Mistake{path, models.error().detail}});
    const auto done = models_->reprice(*models, clock_.now());
    if (!done) return fail(std::vector{Mistake{path, words(done.error())}});
    return models->size();
}

}  // namespace nutgate::app
