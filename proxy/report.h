// What a client is told of its charge, in the places and under the names that clients read
// (routstr-contract 1.5): usage.cost and its neighbours, metadata.routstr, and headers.
#pragma once

#include <string>
#include <string_view>

#include "chunk.h"
#include "nutgate/base/amount.h"
#include "nutgate/http/message.h"
#include "nutgate/proxy/meter.h"
#include "nutgate/proxy/pricing.h"

namespace nutgate::proxy {

struct Receipt {
    Cost cost;
    MeteredUsage metered;
    Msat remaining;        // What the key may spend after it.
    std::string provider;  // This node, as it calls itself.
};

// A whole answer with the report put in: usage is completed or added, an upstream's own numeric
// `cost` is kept as `upstream_cost`, everything else stays byte for byte. A text that is no JSON
// object comes back as it is.
std::string splice_receipt(std::string_view json, const Receipt& receipt);
// The same in its own place, for whoever has read it already: as `answer`.
void splice_receipt(std::string& json, const Chunk& answer, const Receipt& receipt);

// The last data event of a stream: the upstream's own usage chunk where there was one, with the
// report in it, or one made here.
std::string receipt_event(const SseMeter& meter, std::string_view model, const Receipt& receipt);

void add_cost_headers(http::Headers& headers, const Receipt& receipt);

}  // namespace nutgate::proxy
