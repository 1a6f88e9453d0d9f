// What a client is told of its charge, in the places and under the names that clients read
// (routstr-contract 1.5): usage.cost and its neighbours, metadata.routstr, and headers.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "answer_form.h"
#include "chunk.h"
#include "nutgate/base/amount.h"
#include "nutgate/http/message.h"
#include "nutgate/proxy/meter.h"
#include "nutgate/proxy/pricing.h"

namespace nutgate::proxy {

struct Receipt {
    Cost cost;
    MeteredUsage metered;
    Msat remaining;                         // What the key may spend after it.
    std::string provider;                   // This node, as it calls itself.
    UsageNames names = UsageNames::Prompt;  // Of the dialect that is answered in.
    std::string_view stopped = {};  // Why it ended early, if it did: a word that is a constant.
};

// A whole answer with the report put in: usage is completed or added, an upstream's own numeric
// `cost` is kept as `upstream_cost`, everything else stays byte for byte. A text that is no JSON
// object comes back as it is.
std::string splice_receipt(std::string_view json, const Receipt& receipt);
// The same in its own place, for whoever has read it already: as `answer`.
void splice_receipt(std::string& json, const Chunk& answer, const Receipt& receipt);

// What chunks of ours say that they are, and of which model where the upstream never told.
struct ChunkHead {
    std::string_view object;
    std::string_view model;
};
// One of them, up to its choices.
std::string begin_chunk(const SseMeter& meter, const ChunkHead& head);
// An event that has a type, with its lines.
std::string event_text(std::string_view type, std::string_view data);
// Some end lines between the tokens of a document, where in an event a space will do.
std::string on_one_line(std::string text);

// An event of a stream that is or has an error, or its plain words, as clients get to see it: what
// the error says is told without keys and names of accounts, on one line. Empty if all of it may be
// seen as it is.
std::optional<std::string> without_accounts(std::string_view event);

// The last data event of a stream of chunks: the upstream's own usage chunk where there was one,
// with the report in it, or one made here.
std::string receipt_event(const SseMeter& meter, const ChunkHead& head, const Receipt& receipt);
// The event that completes a stream of typed events, which the meter has kept back, with the report
// in the usage that it tells. Where it kept none: an event "cost", which says nothing else.
std::string receipt_event(const SseMeter& meter, const Receipt& receipt);
// That event as it came, where nothing was charged.
std::string last_event(const SseMeter& meter);

void add_cost_headers(http::Headers& headers, const Receipt& receipt);

}  // namespace nutgate::proxy
