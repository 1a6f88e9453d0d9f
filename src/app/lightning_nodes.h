// The Lightning nodes of the configuration, with a client each: a node's own certificate is no
// reason to believe anybody else who shows it.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config.h"
#include "lightning_config.h"
#include "nutgate/base/clock.h"
#include "nutgate/base/metrics.h"
#include "nutgate/base/secret.h"
#include "nutgate/crypto/random.h"
#include "nutgate/http/client.h"
#include "nutgate/http/websocket.h"
#include "nutgate/lightning/node.h"
#include "nutgate/lightning/nodes.h"
#include "nutgate/store/store.h"

namespace nutgate::app {

class LightningNodes {
public:
    // Outlives them.
    struct Ground {
        store::Database& database;
        metrics::Registry& metrics;
        const Clock& clock;
        crypto::Random& random;
    };
    // All that used_nodes() names, in its order. `seed` is the node's. Fails on a secret that can't
    // be read.
    static Result<LightningNodes, Mistake> make(const Config& config,
                                                const Environment& environment, const Secret& seed,
                                                const Ground& ground);
    // No hint comes afterwards.
    void stop();

    LightningNode* find(std::string_view name) const;  // Null: none is called so.
    std::vector<LightningNode*> find_all(const std::vector<std::string>& names) const;
    std::vector<LightningNode*> all() const;
    // That node by itself, for who pays: it is remembered what it was told of, without which the
    // error of a node that went away in between would be none. Null as above.
    NodesInOrder* alone(std::string_view name) const;
    // Whether each is there, as it answered last, and the same asked anew.
    std::vector<std::pair<std::string, bool>> seen() const;
    void check();

private:
    struct Line {
        std::unique_ptr<http::Client> client;
        std::unique_ptr<http::WebSockets> pushes;
        std::unique_ptr<LightningNode> node;
        std::unique_ptr<NodesInOrder> alone;
    };
    std::vector<Line> lines_;
};

// Who is of another network than the configuration says, in words; empty: nobody who answers.
std::string foreign_node(const LightningNodes& nodes);

}  // namespace nutgate::app
