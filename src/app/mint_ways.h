// The ways to mints that the configuration does not name: those that the operator adds while the
// node runs, and those whose tokens somebody brings.
#pragma once

#include <memory>

#include "nutgate/cashu/wallet_views.h"
#include "nutgate/http/client.h"

namespace nutgate::app {

// What the money is, and so where it may go: play money stays on this machine.
enum class Roads { Play, Real };

// Thread-safe.
class MintWays final : public cashu::MintConnector {
public:
    MintWays(http::Client& client, Roads roads) : client_{client}, roads_{roads} {}

    // Null where this node does not go: with play money to other machines; else without TLS to
    // other machines. To a Guest it goes at public addresses only.
    std::unique_ptr<cashu::MintClient> connect(const cashu::MintUrl& url,
                                               cashu::MintRole role) override;

private:
    http::Client& client_;
    const Roads roads_;
};

}  // namespace nutgate::app
