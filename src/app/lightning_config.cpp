#include "lightning_config.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <set>
#include <span>

#include "nutgate/base/verify.h"
#include "nutgate/http/url.h"
#include "nutgate/lightning/lnurl.h"
#include "nutgate/lightning/nwc_uri.h"

namespace nutgate::app {
namespace {

using Mistakes = std::vector<Mistake>;

constexpr std::size_t kSecretBytesMax = 64 * 1024;

bool is_text(std::string_view text) {
    return std::ranges::all_of(text, [](char c) { return c > ' ' && c < '\x7f'; });
}

std::string section_of(const LightningNodeKind& kind) {
    return "lightning." + std::string{kind.name};
}

// Of a variable, or of a file without the newline at its end.
Result<Secret, std::string> read_secret(const std::string& variable, const std::string& path,
                                        const Environment& environment) {
    std::string text;
    if (!variable.empty()) {
        const auto found = std::ranges::find_if(
            environment, [&](const auto& entry) { return entry.first == variable; });
        if (found == environment.end() || found->second.empty()) {
            return fail("names the variable " + variable + ", which is not set");
        }
        text = found->second;
    } else if (!path.empty()) {
        std::ifstream file{path, std::ios::binary};
        if (!file) return fail("names the file " + path + ", which can't be read");
        text.assign(std::istreambuf_iterator<char>{file}, {});
        if (text.empty() || text.size() > kSecretBytesMax) {
            return fail("names the file " + path + ", which is empty or far too large");
        }
    }
    // Bytes, as LND writes its macaroons.
    std::string_view trimmed = text;
    while (trimmed.ends_with('\n') || trimmed.ends_with('\r')) trimmed.remove_suffix(1);
    Secret secret{to_bytes(is_text(trimmed) ? std::string{trimmed} : to_hex(as_bytes(text)))};
    wipe(std::as_writable_bytes(std::span{text}));
    return secret;
}

struct Lists {
    const Config& config;
    Mistakes& out;

    void check(const std::string& key, const std::vector<std::string>& names) const {
        if (names.empty()) out.push_back({key, "is empty"});
        std::set<std::string> seen;
        for (const std::string& name : names) {
            if (!seen.insert(name).second) out.push_back({key, "names \"" + name + "\" twice"});
            if (find_node_kind(name) != nullptr) {
                if (config.dev) {
                    out.push_back({key, "names \"" + name +
                                            "\": with --dev all money is play "
                                            "money"});
                }
            } else if (name == "simulated") {
                if (!config.dev) {
                    out.push_back(
                        {key, "names \"simulated\", which is play money: only with --dev"});
                }
            } else if (name != "mint") {
                out.push_back({key, "names \"" + name +
                                        "\", must be one of: mint, simulated, lnd, cln, phoenixd, "
                                        "lnbits, nwc"});
            }
        }
    }
};

// Whose money it is once it came in depends on it: ecash, or a balance at a node.
void check_receivers(const std::vector<std::string>& names, Mistakes& out) {
    const bool all_nodes = std::ranges::all_of(
        names, [](const auto& name) { return find_node_kind(name) != nullptr; });
    if (names.size() > 1 && !all_nodes) {
        out.push_back({"lightning.receive",
                       "names more than one: several nodes may be named, \"mint\" and "
                       "\"simulated\" only alone"});
    }
}

void check_url(const LightningNodeConfig& node, const std::string& section, Mistakes& out) {
    const auto url = http::parse_url(node.url);
    if (!url || !url->query.empty() || node.url.ends_with('/')) {
        out.push_back(
            {section + "url", "must be a URL of http or https, without a '/' at its end"});
    } else if (!url->tls && !http::is_loopback_host(url->host)) {
        out.push_back({section + "url", "must begin with https: what it carries is money"});
    }
    if (!node.cert_file.empty() && !std::ifstream{node.cert_file}) {
        out.push_back(
            {section + "cert_file", "names the file " + node.cert_file + ", which can't be read"});
    }
}

// Empty: nothing. It never has a part of the address in it.
std::string fault_of_address(const Secret& address) {
    if (address.empty()) return {};
    const auto uri = parse_nwc_uri(as_text(address.reveal()));
    if (!uri) return std::string{to_text(uri.error())};
    for (const std::string& relay : uri->relays) {
        const auto place = relay.find("://");
        const auto url = http::parse_url("http" + relay.substr(place));
        const bool is_plain = place == std::string_view{"ws"}.size();
        if (is_plain && !(url && http::is_loopback_host(url->host))) {
            return "names a relay that does not begin with wss: what it carries is money";
        }
    }
    return {};
}

void check_addresses(const LightningNodeKind& kind, const LightningNodeConfig& node,
                     const NodeSecrets& secrets, Mistakes& out) {
    const auto check = [&](std::string_view key, const std::string& variable,
                           const Secret& address) {
        auto fault = fault_of_address(address);
        if (fault.empty()) return;
        out.push_back(
            {section_of(kind) + "." + std::string{key} + (variable.empty() ? "_file" : "_env"),
             std::move(fault)});
    };
    check(kind.receive_key, node.receive_env, secrets.receive);
    check(kind.pay_key, node.pay_env, secrets.pay);
}

void check_node(const Config& config, const LightningNodeKind& kind, const Environment& environment,
                Mistakes& out) {
    const LightningNodeConfig& node = config.*kind.config;
    const std::string section = section_of(kind) + ".";
    if (!kind.is_by_address) check_url(node, section, out);
    if (!node.receive_env.empty() && !node.receive_file.empty()) {
        out.push_back({section + std::string{kind.receive_key} + "_file",
                       "and the variable exclude each other"});
    }
    if (!node.pay_env.empty() && !node.pay_file.empty()) {
        out.push_back(
            {section + std::string{kind.pay_key} + "_file", "and the variable exclude each other"});
    }
    const auto secrets = read_node_secrets(config, kind, environment);
    if (!secrets) {
        out.push_back(secrets.error());
        return;
    }
    if (kind.is_by_address) check_addresses(kind, node, *secrets, out);
    const std::string name{kind.name};
    const bool is_mints = config.mint_enabled && config.mint_backend == name;
    if (secrets->receive.empty()) {
        out.push_back({section + std::string{kind.receive_key} + "_file", "is required"});
    }
    if (secrets->pay.empty() &&
        (is_mints || std::ranges::find(config.lightning_pay, name) != config.lightning_pay.end())) {
        out.push_back(
            {section + std::string{kind.pay_key} + "_file", "is required: the node is to pay"});
    }
}

}  // namespace

const std::vector<LightningNodeKind>& lightning_node_kinds() {
    static const std::vector<LightningNodeKind> kKinds{
        {"lnd", &Config::lnd, "invoice_macaroon", "pay_macaroon", false, true},
        {"cln", &Config::cln, "invoice_rune", "pay_rune", false, false},
        {"phoenixd", &Config::phoenixd, "limited_password", "password", false, false},
        {"lnbits", &Config::lnbits, "invoice_key", "admin_key", false, true},
        {"nwc", &Config::nwc, "receive_uri", "pay_uri", true, true}};
    return kKinds;
}

const LightningNodeKind* find_node_kind(std::string_view name) {
    for (const auto& kind : lightning_node_kinds()) {
        if (kind.name == name) return &kind;
    }
    return nullptr;
}

std::vector<const LightningNodeKind*> used_nodes(const Config& config) {
    std::vector<const LightningNodeKind*> used;
    const auto add = [&](const std::string& name) {
        const auto* const kind = find_node_kind(name);
        if (kind != nullptr && std::ranges::find(used, kind) == used.end()) used.push_back(kind);
    };
    for (const std::string& name : config.lightning_receive) add(name);
    for (const std::string& name : config.lightning_pay) add(name);
    if (config.mint_enabled) add(config.mint_backend);
    return used;
}

bool receives_at_nodes(const Config& config) {
    return !config.lightning_receive.empty() &&
           find_node_kind(config.lightning_receive.front()) != nullptr;
}

Network network_of(const std::string& name) {
    if (name == "testnet") return Network::Testnet;
    if (name == "signet") return Network::Signet;
    if (name == "regtest") return Network::Regtest;
    return Network::Bitcoin;
}

Result<NodeSecrets, Mistake> read_node_secrets(const Config& config, const LightningNodeKind& kind,
                                               const Environment& environment) {
    const LightningNodeConfig& node = config.*kind.config;
    const auto fault = [&](std::string_view key, const std::string& variable, std::string what) {
        return Mistake{
            section_of(kind) + "." + std::string{key} + (variable.empty() ? "_file" : "_env"),
            std::move(what)};
    };
    auto receive = read_secret(node.receive_env, node.receive_file, environment);
    if (!receive) return fail(fault(kind.receive_key, node.receive_env, receive.error()));
    auto pay = read_secret(node.pay_env, node.pay_file, environment);
    if (!pay) return fail(fault(kind.pay_key, node.pay_env, pay.error()));
    return NodeSecrets{.receive = *std::move(receive), .pay = *std::move(pay)};
}

void check_lightning(const Config& config, const Environment& environment, Mistakes& out) {
    const Lists lists{config, out};
    lists.check("lightning.receive", config.lightning_receive);
    check_receivers(config.lightning_receive, out);
    lists.check("lightning.pay", config.lightning_pay);
    if (config.mint_enabled && config.mint_backend.empty()) {
        out.push_back({"mint.backend", "is required when mint.enabled is true"});
    }
    // Refunds would need ecash that the node pays our mint for: itself, which no node does.
    const bool is_of_our_mint =
        config.mint_enabled && !config.mints.empty() && config.mints.front() == "embedded";
    if (!config.dev && is_of_our_mint &&
        config.lightning_receive == std::vector{config.mint_backend}) {
        out.push_back({"lightning.receive",
                       "names the node behind our own mint, which can't pay itself for ecash to "
                       "refund with: \"mint\" receives by that node"});
    }
    if (!config.dev && config.mint_backend == "simulated") {
        out.push_back({"mint.backend", "is \"simulated\", which is play money: only with --dev"});
    }
    if (config.dev && find_node_kind(config.mint_backend) != nullptr) {
        out.push_back({"mint.backend",
                       "is \"" + config.mint_backend + "\": with --dev all money is play money"});
    }
    if (!config.payout_target.empty() && !lnurl_url(config.payout_target)) {
        out.push_back({"payout.target", "must be a Lightning address or an LNURL over https"});
    }
    for (const auto* kind : used_nodes(config)) check_node(config, *kind, environment, out);
}

}  // namespace nutgate::app
