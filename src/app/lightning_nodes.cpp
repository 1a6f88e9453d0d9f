#include "lightning_nodes.h"

#include <utility>

#include "nutgate/base/log.h"
#include "nutgate/base/verify.h"
#include "nutgate/crypto/hash.h"
#include "nutgate/lightning/nwc.h"

namespace nutgate::app {
namespace {

// What wallet services set aside for a fee that they can't be told a limit of, as Alby's does: one
// percent, and 10 sat where that is less. Both together cover either.
constexpr Msat kNwcFeeBase = 10'000_msat;

std::unique_ptr<LightningNode> make_node(std::string_view name, NodeOptions options,
                                         http::Client& client,
                                         const LightningNodes::Ground& ground) {
    if (name == "lnd") return make_lnd(std::move(options), client);
    if (name == "cln") return make_cln(std::move(options), client);
    if (name == "phoenixd") return make_phoenixd(std::move(options), client, ground.database);
    if (name == "lnbits") return make_lnbits(std::move(options), client, ground.database);
    VERIFY(name == "nwc");  // lightning_node_kinds() has no other.
    options.fee_base = kNwcFeeBase;
    return make_nwc(std::move(options), {}, ground.database, ground.clock, ground.random);
}

}  // namespace

Result<LightningNodes, Mistake> LightningNodes::make(const Config& config,
                                                     const Environment& environment,
                                                     const Secret& seed, const Ground& ground) {
    LightningNodes nodes;
    for (const auto* kind : used_nodes(config)) {
        TRY(auto secrets, read_node_secrets(config, *kind, environment));
        const LightningNodeConfig& wanted = config.*kind->config;
        Line line;
        line.client = http::make_client(
            {.ca_file = wanted.cert_file, .open_transactions = &store::open_on_this_thread});
        line.pushes = std::make_unique<http::WebSockets>(
            http::WebSockets::Options{.ca_file = wanted.cert_file}, ground.metrics);
        NodeOptions options;
        options.pushes = line.pushes.get();
        options.url = wanted.url;
        options.network = network_of(config.lightning_network);
        options.receive_credential = std::move(secrets.receive);
        options.pay_credential = std::move(secrets.pay);
        options.label_key = Secret{
            crypto::hkdf_sha256(seed.reveal(), {}, "nutgate lightning invoice preimages", 32)};
        line.node = make_node(kind->name, std::move(options), *line.client, ground);
        if (!line.node) {  // The check of the configuration says why.
            return fail(Mistake{"lightning." + std::string{kind->name}, "has no valid address"});
        }
        line.alone = std::make_unique<NodesInOrder>(std::vector{line.node.get()}, ground.database,
                                                    ground.metrics);
        nodes.lines_.push_back(std::move(line));
    }
    return nodes;
}

void LightningNodes::stop() {
    for (const Line& line : lines_) {
        line.node->end_hints();
        line.pushes->stop();
    }
}

LightningNode* LightningNodes::find(std::string_view name) const {
    for (const Line& line : lines_) {
        if (line.node->name() == name) return line.node.get();
    }
    return nullptr;
}

std::vector<LightningNode*> LightningNodes::find_all(const std::vector<std::string>& names) const {
    std::vector<LightningNode*> found;
    for (const std::string& name : names) {
        if (LightningNode* const node = find(name)) found.push_back(node);
    }
    return found;
}

std::vector<LightningNode*> LightningNodes::all() const {
    std::vector<LightningNode*> found;
    for (const Line& line : lines_) found.push_back(line.node.get());
    return found;
}

NodesInOrder* LightningNodes::alone(std::string_view name) const {
    for (const Line& line : lines_) {
        if (line.node->name() == name) return line.alone.get();
    }
    return nullptr;
}

std::vector<std::pair<std::string, bool>> LightningNodes::seen() const {
    std::vector<std::pair<std::string, bool>> found;
    for (const Line& line : lines_) {
        const auto seen = line.alone->lines().front();
        found.emplace_back(seen.name, seen.up);
    }
    return found;
}

void LightningNodes::check() {
    for (const Line& line : lines_) line.alone->check();
}

std::string foreign_node(const LightningNodes& nodes) {
    for (LightningNode* node : nodes.all()) {
        const auto status = node->status();
        if (!status) {
            log::warn("lightning_node_away", {{"backend", node->name()}});
        } else if (status->network && *status->network != node->network()) {
            return "lightning." + node->name() +
                   ": the node is of another network than "
                   "lightning.network says";
        }
    }
    return {};
}

}  // namespace nutgate::app
