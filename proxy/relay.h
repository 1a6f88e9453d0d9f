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

// Ends the call to an upstream as soon as the client leaves, however long the upstream is silent.
// Switched off, it watches nothing: then a write that fails is how a departure is seen.
class ClientWatch {
public:
    ClientWatch(http::Exchange& client, bool on) : client_{client}, on_{on} {
        if (on_) client_.on_client_gone([this] { abandonment_.abandon(); });
    }
    ~ClientWatch() {
        if (on_) client_.on_client_gone({});
    }
    ClientWatch(const ClientWatch&) = delete;
    ClientWatch& operator=(const ClientWatch&) = delete;

    http::Abandonment* abandonment() { return &abandonment_; }
    bool gone() const { return abandonment_.is_abandoned(); }

private:
    http::Exchange& client_;
    const bool on_;
    http::Abandonment abandonment_;
};

struct Leg {
    http::Exchange& client;
    const ClientWatch& watch;
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
