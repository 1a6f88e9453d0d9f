#include <algorithm>
#include <charconv>
#include <set>
#include <utility>

#include "config.h"
#include "cost_config.h"
#include "lightning_config.h"
#include "nutgate/base/id.h"
#include "nutgate/http/message.h"
#include "nutgate/http/url.h"
#include "nutgate/proxy/decimal.h"
#include "nutgate/proxy/endpoint.h"
#include "nutgate/proxy/models.h"
#include "nutgate/rates/source.h"
#include "price_config.h"

namespace nutgate::app {
namespace {

using Mistakes = std::vector<Mistake>;

std::string lower(std::string text) {
    for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    return text;
}

void check_listener(const std::string& key, const std::string& text, bool dev, Mistakes& out) {
    const auto address = parse_host_port(text);
    if (!address) {
        out.push_back({key, "is \"" + text + "\", must be HOST:PORT"});
        return;
    }
    if (dev && !http::is_loopback_host(address->host)) {
        out.push_back({key, "is " + text + ": with --dev only loopback addresses are allowed"});
    }
}

void check_listen(const Config& c, Mistakes& out) {
    check_listener("listen.public", c.public_listen, c.dev, out);
    check_listener("listen.operator", c.operator_listen, c.dev, out);
    const auto url = http::parse_url(c.public_url);
    const bool is_base = url && url->query.empty() && !c.public_url.ends_with('/');
    if (!c.public_url.empty() && !is_base) {
        out.push_back(
            {"listen.public_url", "must be a URL of http or https, without a '/' at its end"});
    }
    for (std::size_t i = 0; i < c.trusted_proxies.size(); ++i) {
        if (http::is_network(c.trusted_proxies[i])) continue;
        out.push_back({"listen.trusted_proxies[" + std::to_string(i) + "]",
                       "is \"" + c.trusted_proxies[i] + "\", must be an address or a network"});
    }
    if (!http::is_header_value(c.cors_origin) || c.cors_origin.empty()) {
        out.push_back({"listen.cors_origin", "must be * or an origin"});
    }
}

void check_limits(const Config& c, Mistakes& out) {
    const auto largest = std::max(c.body_bytes_max, c.upload_bytes_max);
    if (c.bodies_bytes_max < largest) {
        out.push_back({"limits.bodies_bytes_max",
                       "is less than one body may have: " + std::to_string(largest)});
    }
    if (c.unposted_age_max_ms < c.unposted_wait_ms) {
        out.push_back({"limits.unposted_age_max_ms", "is less than unposted_wait_ms"});
    }
}

void check_wallet(const Config& c, Mistakes& out) {
    if (c.mints.empty()) {
        out.push_back(
            {"wallet.mints", "names no mint: the node would have nothing to be paid with"});
    }
    std::set<std::string> seen;
    for (std::size_t i = 0; i < c.mints.size(); ++i) {
        const std::string key = "wallet.mints[" + std::to_string(i) + "]";
        const std::string& mint = c.mints[i];
        if (!seen.insert(mint).second) out.push_back({key, "names " + mint + " again"});
        if (mint == "embedded") {
            if (!c.mint_enabled) out.push_back({key, "is \"embedded\", but mint.enabled is false"});
            continue;
        }
        const auto url = http::parse_url(mint);
        if (!url || !url->query.empty()) {
            out.push_back({key, "is \"" + mint + "\", must be a URL or \"embedded\""});
        } else if (c.dev) {
            out.push_back({key, "is an outside mint: with --dev all money is play money"});
        } else if (!url->tls && !http::is_loopback_host(url->host)) {
            out.push_back({key, "must begin with https: tokens are money"});
        }
    }
}

void check_endpoints(const std::vector<std::string>& names, const std::string& key, Mistakes& out) {
    for (const std::string& name : names) {
        if (!proxy::parse_endpoint(name)) {
            out.push_back({key, "names \"" + name + "\", which is none of those that are sold"});
        }
    }
}

void check_upstreams(const Config& c, const Environment& environment, Mistakes& out) {
    std::set<std::string> names{"demo"};
    const auto own = parse_host_port(c.public_listen);
    const auto own_url = http::parse_url(c.public_url);
    for (std::size_t i = 0; i < c.upstreams.size(); ++i) {
        const UpstreamConfig& upstream = c.upstreams[i];
        const std::string key = "upstream[" + std::to_string(i) + "].";
        if (upstream.name.empty()) out.push_back({key + "name", "is required"});
        if (!names.insert(upstream.name).second) {
            out.push_back({key + "name", "is \"" + upstream.name + "\", which is taken"});
        }
        if (!upstream.api_key_env.empty() && !upstream.api_key_file.empty()) {
            out.push_back({key + "api_key_file", "and api_key_env exclude each other"});
        } else if (const auto secret = read_api_key(upstream, environment); !secret) {
            out.push_back({key + (upstream.api_key_env.empty() ? "api_key_file" : "api_key_env"),
                           secret.error()});
        }
        if (upstream.rest_ms_min > upstream.rest_ms_max) {
            out.push_back({key + "rest_ms_min", "is more than rest_ms_max"});
        }
        const auto url = http::parse_url(upstream.url);
        if (!url) {
            out.push_back({key + "url", "must be a URL of http or https, up to and with /v1"});
            continue;
        }
        const bool local = http::is_loopback_host(url->host);
        check_endpoints(upstream.endpoints, key + "endpoints", out);
        if (c.dev && !local && !c.dev_allow_upstream) {
            out.push_back(
                {key + "url", "is not on this machine: --dev needs --dev-allow-upstream"});
        }
        if ((own && own->port != 0 && local && url->port == own->port) ||
            (own_url && own_url->origin() == url->origin())) {
            out.push_back({key + "url", "is this node itself"});
        }
    }
}

void check_rates(const Config& c, Mistakes& out) {
    if (!c.btc_usd.empty()) {
        const auto rate = rates::BtcUsd::parse(c.btc_usd);
        const auto least =
            rates::BtcUsd::from_raw(proxy::Models::kBtcUsdMin * rates::BtcUsd::kPerUsd);
        if (!proxy::parse_decimal(c.btc_usd) || !rate || *rate < *least) {
            out.push_back({"rates.btc_usd", "is \"" + c.btc_usd +
                                                "\", must be USD per bitcoin, a decimal in "
                                                "quotes from 100 to ten million"});
        }
        return;
    }
    std::set<std::string> names;
    for (std::size_t i = 0; i < c.rate_sources.size(); ++i) {
        const std::string key = "rates.sources[" + std::to_string(i) + "]";
        const auto source = rates::parse_source(c.rate_sources[i]);
        if (!source) {
            out.push_back({key, "is \"" + c.rate_sources[i] +
                                    "\", must be one of kraken, coinbase, bitstamp, bitfinex, or "
                                    "such a name, = and a URL"});
        } else if (!names.insert(source->name).second) {
            out.push_back({key, "names " + source->name + " again"});
        }
    }
    if (c.rate_sources_min > static_cast<std::int64_t>(c.rate_sources.size())) {
        out.push_back({"rates.sources_min", "is more than there are sources"});
    }
    if (c.rate_age_max_s <= c.rate_refresh_s) {
        out.push_back({"rates.age_max_s", "must be more than refresh_s"});
    }
}

void check_weights(const ModelConfig& model, const std::string& key, Mistakes& out) {
    if (model.weights.empty()) return;
    if (model.weights.size() != model.upstreams.size()) {
        out.push_back({key, "must be as many as upstreams"});
        return;
    }
    std::uint32_t all = 0;
    for (const std::string& text : model.weights) {
        const auto weight = parse_weight(text);
        if (!weight) {
            out.push_back({key, "has \"" + text + "\", must be whole numbers from 0 to 1000"});
            return;
        }
        all += *weight;
    }
    if (all == 0) out.push_back({key, "are all zero"});
}

void check_costs(const Config& c, const std::set<std::string>& upstreams,
                 const std::set<std::string>& models, Mistakes& out) {
    for (std::size_t i = 0; i < c.costs.size(); ++i) {
        const CostConfig& cost = c.costs[i];
        const std::string key = "cost[" + std::to_string(i) + "]";
        if (!cost.upstream.empty() && !upstreams.contains(cost.upstream)) {
            out.push_back(
                {key + ".upstream", "names \"" + cost.upstream + "\", which no [[upstream]] has"});
        }
        if (!cost.model.empty() && !models.contains(cost.model)) {
            out.push_back({key + ".model", "names \"" + cost.model + "\", which no [[model]] has"});
        }
        if (const auto tariff = tariff_of(cost, key); !tariff) {
            out.insert(out.end(), tariff.error().begin(), tariff.error().end());
        }
    }
}

void check_route(const Config& c, const RouteConfig& route, const std::string& key, Mistakes& out) {
    const auto named = std::ranges::find(c.models, route.model, &ModelConfig::id);
    if (named == c.models.end()) {
        out.push_back({key + ".model", "names \"" + route.model + "\", which no [[model]] has"});
    } else if (std::ranges::find(named->upstreams, route.upstream) == named->upstreams.end()) {
        out.push_back(
            {key + ".upstream", "names \"" + route.upstream + "\", which that model does not"});
    }
    if (route.upstream_model.empty() && !names_a_price(route.price)) {
        out.push_back({key, "says nothing: give it an upstream_model, a price, or both"});
    }
    if (!names_a_price(route.price) || named == c.models.end()) return;
    if (const auto tariff = tariff_of(route, *named, key); !tariff) {
        out.insert(out.end(), tariff.error().begin(), tariff.error().end());
    }
}

void check_routes(const Config& c, Mistakes& out) {
    std::set<std::pair<std::string, std::string>> seen;
    for (std::size_t i = 0; i < c.routes.size(); ++i) {
        const std::string key = "route[" + std::to_string(i) + "]";
        check_route(c, c.routes[i], key, out);
        if (!seen.emplace(c.routes[i].model, c.routes[i].upstream).second) {
            out.push_back({key, "is there twice"});
        }
    }
}

void check_models(const Config& c, Mistakes& out) {
    std::set<std::string> upstreams;
    for (const UpstreamConfig& upstream : c.upstreams) upstreams.insert(upstream.name);
    std::set<std::string> ids;
    std::set<std::string> names;  // Buyers may write them in any letters.
    if (c.demo_enabled) names.insert(*ids.insert("demo").first);
    for (std::size_t i = 0; i < c.models.size(); ++i) {
        const ModelConfig& model = c.models[i];
        const std::string key = "model[" + std::to_string(i) + "].";
        if (!is_text_id(model.id)) {
            out.push_back({key + "id", "must be 1 to 256 printable characters without space"});
        } else if (!ids.insert(model.id).second || !names.insert(lower(model.id)).second) {
            out.push_back({key + "id", "is \"" + model.id + "\", which is taken"});
        }
        if (model.upstreams.empty()) out.push_back({key + "upstreams", "names no upstream"});
        if (model.upstreams.size() > proxy::kUpstreamsMax) {
            out.push_back(
                {key + "upstreams", "names more than " + std::to_string(proxy::kUpstreamsMax)});
        }
        check_weights(model, key + "weights", out);
        for (const std::string& name : model.upstreams) {
            if (!upstreams.contains(name)) {
                out.push_back(
                    {key + "upstreams", "names \"" + name + "\", which no [[upstream]] has"});
            }
        }
        if (model.context < 1) out.push_back({key + "context", "is required"});
        if (model.output_max < 1) out.push_back({key + "output_max", "is required"});
        if (model.output_max > model.context && model.context > 0) {
            out.push_back({key + "output_max", "is more than context"});
        }
        check_endpoints(model.endpoints, key + "endpoints", out);
        if (const auto tariff = tariff_of(model.price, key + "price"); !tariff) {
            out.insert(out.end(), tariff.error().begin(), tariff.error().end());
        }
    }
    check_routes(c, out);
    check_costs(c, upstreams, ids, out);
    if (c.models.empty() && !c.demo_enabled) {
        out.push_back({"model", "nothing is sold: there is no [[model]]"});
    }
}

}  // namespace

std::optional<std::uint32_t> parse_weight(std::string_view text) {
    constexpr std::uint32_t kWeightMax = 1'000;
    std::uint32_t weight = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), weight);
    const bool whole = parsed.ec == std::errc{} && parsed.ptr == text.data() + text.size();
    if (!whole || weight > kWeightMax) return std::nullopt;
    return weight;
}

void apply_dev_defaults(Config& config) {
    if (config.data_dir == Config{}.data_dir) config.data_dir = "nutgate-dev";
    if (config.mints.empty()) config.mints = {"embedded"};
    config.mint_enabled = true;
    if (config.mint_backend.empty()) config.mint_backend = "simulated";
    config.lightning_network = "regtest";
    config.demo_enabled = true;
}

std::vector<Mistake> check_mints(const Config& config) {
    Mistakes out;
    check_wallet(config, out);
    return out;
}

std::vector<Mistake> check(const Config& config, const Environment& environment) {
    Mistakes out;
    check_listen(config, out);
    check_limits(config, out);
    check_wallet(config, out);
    check_lightning(config, environment, out);
    check_upstreams(config, environment, out);
    check_models(config, out);
    check_rates(config, out);
    return out;
}

}  // namespace nutgate::app
