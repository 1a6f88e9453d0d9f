// An answer on its way: from the upstream through the meter to the client, until one of them ends.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>

#include "flight.h"
#include "nutgate/base/clock.h"
#include "nutgate/base/result.h"
#include "nutgate/http/error_envelope.h"
#include "nutgate/http/server.h"
#include "nutgate/http/task.h"
#include "nutgate/http/upstream_client.h"
#include "nutgate/proxy/upstream.h"

namespace nutgate::proxy {

// Bounds a call to an upstream by its client: once that has left, the call goes on for `patience`
// and is then given up, however silent the upstream is. No patience: given up at once.
class ClientWatch {
public:
    ClientWatch(http::Exchange& client, Milliseconds patience)
        : client_{client}, patience_{patience} {
        if (patience_ <= Milliseconds{}) {
            watch();
        } else {
            client_.set_alarm(kUnwatched, [this] { watch(); });
        }
    }
    ~ClientWatch() {
        client_.on_client_gone({});
        client_.set_alarm({}, {});
    }
    ClientWatch(const ClientWatch&) = delete;
    ClientWatch& operator=(const ClientWatch&) = delete;

    http::Abandonment* abandonment() { return &abandonment_; }
    // Whoever sees it first says it: the connection, or a write that failed.
    void leave() {
        if (std::exchange(has_left_, true)) return;
        if (patience_ <= Milliseconds{}) return abandonment_.abandon();
        client_.set_alarm(patience_, [this] { abandonment_.abandon(); });
    }
    bool has_left() const { return has_left_; }
    // Then what the upstream failed of is our own doing.
    bool has_given_up() const { return abandonment_.is_abandoned(); }

private:
    // Most buffered answers come sooner, and to look at the connection costs each of them.
    static constexpr Milliseconds kUnwatched{100};

    void watch() {
        client_.on_client_gone([this] { leave(); });
    }

    http::Exchange& client_;
    const Milliseconds patience_;
    bool has_left_ = false;
    http::Abandonment abandonment_;
};

struct Leg {
    http::Exchange& client;
    ClientWatch& watch;
    http::UpstreamAnswer& upstream;
    const UpstreamTraits& traits;
};

// What the client is told instead of an answer. Elsewhere than where it is passed on: each of the
// coroutines that a request goes through has a place for one, and nearly none is ever used. Give it
// a name before it is co_returned: g++ 12 destroys what is made in that statement twice.
class Refused {
public:
    // Implicit, as errors become those of the layer above.
    Refused(http::ApiError why) : why_{std::make_unique<http::ApiError>(std::move(why))} {}
    const http::ApiError& why() const { return *why_; }

private:
    std::unique_ptr<http::ApiError> why_;
};

// A refusal is for the caller to answer with: nothing was written and nothing charged. Otherwise
// the client has all it gets, and the flight has ended.
using Relayed = Result<void, Refused>;

http::Task<Relayed> relay_stream(Leg leg, Flight& flight);
// To its end even if the client has left, within the upstream's bounds for that: what it worked for
// is known at the end only.
http::Task<Relayed> relay_whole(Leg leg, Flight& flight, std::size_t bytes_max);

// As it comes: sound. A client that leaves ends it.
http::Task<Relayed> relay_bytes(Leg leg, Flight& flight);

// At most so much of a body, for a look at an error.
http::Task<std::string> read_beginning(http::UpstreamAnswer& upstream, std::size_t bytes_max);

}  // namespace nutgate::proxy
