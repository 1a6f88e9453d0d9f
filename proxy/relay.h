// An answer on its way: from the upstream through the meter to the client, until one of them ends.
#pragma once

#include <cstddef>
#include <memory>

#include "flight.h"
#include "nutgate/base/clock.h"
#include "nutgate/base/result.h"
#include "nutgate/http/error_envelope.h"
#include "nutgate/http/server.h"
#include "nutgate/http/task.h"
#include "nutgate/http/upstream_client.h"
#include "nutgate/proxy/upstream.h"

namespace nutgate::proxy {

struct Leg {
    http::Exchange& client;
    http::UpstreamAnswer& upstream;
    const UpstreamTraits& traits;
    const Clock& clock;
};

// An error is for the caller to answer with: nothing was written and nothing charged. Otherwise the
// client has all it gets, and the flight has ended.
using Relayed = Result<void, http::ApiError>;

http::Task<Relayed> relay_stream(Leg leg, Flight& flight);
// To its end even if the client has left: what an upstream worked for is known at the end only.
http::Task<Relayed> relay_whole(Leg leg, Flight& flight, std::size_t bytes_max);

// At most so much of a body, for a look at an error.
http::Task<std::string> read_beginning(http::UpstreamAnswer& upstream, std::size_t bytes_max);

}  // namespace nutgate::proxy
