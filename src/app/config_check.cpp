#include <algorithm>
#include <set>

#include "config.h"
#include "nutgate/base/id.h"
#include "nutgate/http/message.h"
#include "nutgate/http/url.h"

namespace nutgate::app {
namespace {

using Mistakes = std::vector<Mistake>;

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
    if (!c.public_url.empty() && !http::parse_url(c.public_url)) {
        out.push_back({"listen.public_url", "is not a URL of http or https"});
    }
    if (!http::is_header_value(c.cors_origin) || c.cors_origin.empty()) {
        out.push_back({"listen.cors_origin", "must be * or an origin"});
    }
}

void check_mints(const Config& c, Mistakes& out) {
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

void check_lightning(const Config& c, Mistakes& out) {
    const auto check_list = [&](const std::string& key, const std::vector<std::string>& names) {
        if (names.empty()) out.push_back({key, "is empty"});
        for (const std::string& name : names) {
            if (name == "simulated" && !c.dev) {
                out.push_back({key, "names \"simulated\", which is play money: only with --dev"});
            } else if (name != "mint" && name != "simulated") {
                out.push_back({key, "names \"" + name + "\", must be one of: mint, simulated"});
            }
        }
    };
    if (c.lightning_receive.size() > 1) {
        out.push_back({"lightning.receive", "names more than one: invoices are made by one"});
    }
    check_list("lightning.receive", c.lightning_receive);
    check_list("lightning.pay", c.lightning_pay);
    if (c.mint_enabled && c.mint_backend.empty()) {
        out.push_back({"mint.backend", "is required when mint.enabled is true"});
    }
    if (!c.dev && c.mint_backend == "simulated") {
        out.push_back({"mint.backend", "is \"simulated\", which is play money: only with --dev"});
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
        const auto url = http::parse_url(upstream.url);
        if (!url || !url->query.empty()) {
            out.push_back({key + "url", "must be a URL of http or https, up to and with /v1"});
            continue;
        }
        const bool local = http::is_loopback_host(url->host);
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

void check_price(const Config& c, const ModelConfig& model, const std::string& key, Mistakes& out) {
    const PriceConfig& p = model.price;
    const bool usd = !p.input_usd.empty() || !p.output_usd.empty();
    const bool msat = p.input_msat_per_1k >= 0 || p.output_msat_per_1k >= 0;
    if (usd == msat) {
        out.push_back({key, usd ? "is given both in USD and in msat"
                                : "is missing: without a price the model is not sold"});
        return;
    }
    if (usd && (p.input_usd.empty() || p.output_usd.empty())) {
        out.push_back({key, "needs both input_usd and output_usd"});
    }
    if (msat && (p.input_msat_per_1k < 0 || p.output_msat_per_1k < 0)) {
        out.push_back({key, "needs both input_msat_per_1k and output_msat_per_1k"});
    }
    if (msat && !p.margin.empty()) {
        out.push_back({key + ".margin", "is a factor on prices in USD"});
    }
    if (usd && c.btc_usd.empty()) {
        out.push_back({"rates.btc_usd", "is needed: model \"" + model.id + "\" is priced in USD"});
    }
    const bool zero = msat && p.input_msat_per_1k == 0 && p.output_msat_per_1k == 0;
    if (zero && !p.free) {
        out.push_back({key, "is zero: say free = true if that is meant"});
    }
}

void check_models(const Config& c, Mistakes& out) {
    std::set<std::string> upstreams;
    for (const UpstreamConfig& upstream : c.upstreams) upstreams.insert(upstream.name);
    std::set<std::string> ids;
    if (c.demo_enabled) ids.insert("demo");
    for (std::size_t i = 0; i < c.models.size(); ++i) {
        const ModelConfig& model = c.models[i];
        const std::string key = "model[" + std::to_string(i) + "].";
        if (!is_text_id(model.id)) {
            out.push_back({key + "id", "must be 1 to 256 printable characters without space"});
        } else if (!ids.insert(model.id).second) {
            out.push_back({key + "id", "is \"" + model.id + "\", which is taken"});
        }
        if (model.upstreams.empty()) out.push_back({key + "upstreams", "names no upstream"});
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
        check_price(c, model, key + "price", out);
    }
    if (c.models.empty() && !c.demo_enabled) {
        out.push_back({"model", "nothing is sold: there is no [[model]]"});
    }
}

}  // namespace

void apply_dev_defaults(Config& config) {
    if (config.data_dir == Config{}.data_dir) config.data_dir = "nutgate-dev";
    if (config.mints.empty()) config.mints = {"embedded"};
    config.mint_enabled = true;
    if (config.mint_backend.empty()) config.mint_backend = "simulated";
    config.lightning_network = "regtest";
    config.demo_enabled = true;
}

std::vector<Mistake> check(const Config& config, const Environment& environment) {
    Mistakes out;
    check_listen(config, out);
    check_mints(config, out);
    check_lightning(config, out);
    check_upstreams(config, environment, out);
    check_models(config, out);
    return out;
}

}  // namespace nutgate::app
