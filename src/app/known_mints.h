// The mints of the configuration, as the data dir remembers them: commands that only read it have
// no configuration.
#pragma once

#include <optional>
#include <vector>

#include "config.h"
#include "nutgate/base/amount.h"
#include "nutgate/cashu/proof.h"
#include "nutgate/store/store.h"

namespace nutgate::app {

struct KnownMints {
    std::vector<cashu::MintUrl> configured;  // The first is primary.
    std::optional<Msat> exposure_max;
};

std::optional<Msat> exposure_max(const Config& config);
// The database has been stamped.
Result<void, store::StoreFailure> publish_mints(store::Database& database, const Config& config);
// As of the node's last start.
KnownMints known_mints(store::Reader& reader);

}  // namespace nutgate::app
