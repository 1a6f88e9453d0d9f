// When an upstream that did not take a request is worth asking again for the same one.
//
// Only where it certainly did no work that anybody pays for: it was not reached, or refused before
// the first byte of an answer. Other upstreams go first, and what one asked for with Retry-After is
// waited for or believed to be too long.
#pragma once

#include <optional>

#include "nutgate/base/clock.h"
#include "nutgate/http/message.h"

namespace nutgate::proxy {

// How long to wait at least; empty: it is not worth it.
std::optional<Milliseconds> worth_repeating(int status, const http::Headers& headers,
                                            Milliseconds retry_after_max);

// Before the n-th time, counted from zero; `asked` is the least that any of them has asked for.
Milliseconds retry_wait(int n, Milliseconds first, Milliseconds asked);

}  // namespace nutgate::proxy
