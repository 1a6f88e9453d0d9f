// The end of a stream that is ended for want of money, in the way in which its dialect ends at a
// limit: so that a client shows what came, and knows that there would have been more.
//
//     chunks     a chunk with finish_reason "length" for each choice that has none, the charge in
//                the usage of a last one, [DONE]
//     responses  response.incomplete, for max_output_tokens, with the charge in its usage
//     messages   a content_block_stop for each block that is open, a message_delta with stop_reason
//                "max_tokens" and the charge in its usage, message_stop, and the event "cost"
//
// What is open ends where it is. Nothing says that a tool call which was cut is whole: a response's
// items that have begun get no `done`, and are not in its output.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "nutgate/proxy/endpoint.h"
#include "nutgate/proxy/meter.h"
#include "report.h"

namespace nutgate::proxy {

struct EarlyEnd {
    Endpoint endpoint;
    std::string_view model;
    Choices finished;      // Those that had an end before the frame that is not passed on.
    std::int64_t choices;  // Of all that there are.
};

// `meter` has seen that frame, and may end early.
std::string early_end(const SseMeter& meter, const EarlyEnd& end, const Receipt& receipt);

}  // namespace nutgate::proxy
