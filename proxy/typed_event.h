// An event of a stream whose events say what they are: those of OpenAI's Responses, images and
// audio, and of Anthropic's messages, as far as metering has to look into them.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "json_scan.h"
#include "nutgate/proxy/meter.h"

namespace nutgate::proxy {

struct TypedEvent {
    std::string_view type;         // In raw letters.
    std::uint64_t text_bytes = 0;  // Of a delta.
    bool has_error = false;
    bool completes = false;  // Nothing but the end of the stream comes after it.
    // As find_usage() has them. A message that begins tells how much it will say: that is no count.
    std::optional<UsageFields> fields;

    // For whoever has to end the stream in its own way.
    std::optional<Span> response;          // The whole of it, where the event brings one.
    std::optional<std::int64_t> index;     // Of a block.
    std::optional<std::int64_t> sequence;  // The event's number.
};

// Empty if it is not a JSON object.
std::optional<TypedEvent> read_typed_event(std::string_view json);

}  // namespace nutgate::proxy
