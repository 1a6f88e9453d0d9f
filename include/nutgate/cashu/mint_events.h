// What a mint pushes about its quotes over a WebSocket (NUT-17). Only a hint to ask, sooner than
// the next poll would: nothing is credited on what it says, and nothing depends on its coming. A
// mint that has no such thing, or whose socket fails, is left alone for a while, and polled as
// ever.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include "nutgate/base/clock.h"
#include "nutgate/base/id.h"
#include "nutgate/base/metrics.h"
#include "nutgate/cashu/proof.h"

namespace nutgate::http {
class WebSockets;
}

namespace nutgate::cashu {

// Thread-safe.
class MintEvents {
public:
    virtual ~MintEvents() = default;  // As stop().

    // Wants to hear of this quote for a Lightning payment to us, from now on and after each
    // reconnect. Where there are too many, it is not listened for.
    virtual void watch(const QuoteId& quote) = 0;
    virtual void forget(const QuoteId& quote) = 0;
    // Calls `hint`, from a thread of its own ("watch-mint"), when the mint says something new of a
    // watched quote, if only that it is unpaid. `hint` may block. Set before the first watch().
    virtual void on_hint(std::function<void(const QuoteId&)> hint) = 0;
    // No hint runs afterwards; watch() and forget() do nothing.
    virtual void stop() = 0;
};

struct MintEventsOptions {
    std::size_t filters_max = 100;       // Quotes in one subscription.
    std::size_t subscriptions_max = 50;  // Quotes beyond both are not listened for.
    int failures_max = 5;                // In a row; then the mint is left alone for
    Milliseconds rest{600'000};
    Milliseconds backoff_first{1'000};  // Between attempts.
    Milliseconds backoff_max{60'000};
};

// `sockets` and `metrics` outlive it. None if the mint's URL gives no address for it.
std::unique_ptr<MintEvents> make_mint_events(const MintUrl& mint, http::WebSockets& sockets,
                                             MintEventsOptions options, metrics::Registry& metrics);

}  // namespace nutgate::cashu
