// Which Lightning nodes the configuration names, what is wrong with how it does, and their secrets.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config.h"
#include "nutgate/base/secret.h"
#include "nutgate/lightning/invoice.h"

namespace nutgate::app {

struct LightningNodeKind {
    std::string_view name;  // In lightning.receive and as the books have it.
    LightningNodeConfig Config::*config;
    std::string_view receive_key;  // "invoice_macaroon", of invoice_macaroon_env and …_file.
    std::string_view pay_key;
    // Whether its secrets are addresses, which say where it is, and a URL does not.
    bool is_by_address;
    // Whether this adapter was ever run against a real node, or only against a fake that was
    // written from its documentation.
    bool proven;
};
const std::vector<LightningNodeKind>& lightning_node_kinds();
// Null: none is called so.
const LightningNodeKind* find_node_kind(std::string_view name);

// Those that something is to be done with, in order: receive, then pay, then the mint's.
std::vector<const LightningNodeKind*> used_nodes(const Config& config);
bool receives_at_nodes(const Config& config);

Network network_of(const std::string& name);

struct NodeSecrets {
    Secret receive;
    Secret pay;
};
// As the node's interface takes them: a macaroon's file is bytes, its header hex.
Result<NodeSecrets, Mistake> read_node_secrets(const Config& config, const LightningNodeKind& kind,
                                               const Environment& environment);

void check_lightning(const Config& config, const Environment& environment,
                     std::vector<Mistake>& out);

}  // namespace nutgate::app
