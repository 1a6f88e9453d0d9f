// One chunk of a chat completion, as far as metering has to look into it.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "json_scan.h"
#include "nutgate/proxy/meter.h"

namespace nutgate::proxy {

struct Chunk {
    bool choices_empty = false;  // "choices": []
    bool has_error = false;      // "error", and not null.
    bool finish_reason = false;  // Some choice has one.
    bool other_usage = false;    // A member that usage may hide in, other than "usage".
    std::uint64_t text_bytes = 0;
    std::optional<Span> id, model, created, usage;  // Of their values; usage only if an object.
};

// Empty if it is not a JSON object. Takes whole answers too: their choices have a `message` where
// chunks have a `delta`.
std::optional<Chunk> read_chunk(std::string_view json);

}  // namespace nutgate::proxy
