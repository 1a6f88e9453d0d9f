// One chunk of a chat completion, as far as metering has to look into it: once, since an answer is
// long and most of it is read for nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "json_scan.h"
#include "nutgate/proxy/meter.h"

namespace nutgate::proxy {

struct Chunk {
    struct Value {
        Span place;
        JsonToken first;
    };

    bool choices_empty = false;  // "choices": []
    bool has_error = false;      // "error", and not null.
    bool finish_reason = false;  // Some choice has one.
    Choices finished;            // Those that have one.
    bool other_usage = false;    // A member that usage may hide in, other than "usage".
    std::uint64_t text_bytes = 0;
    // Thoughts have several names, under which some say them twice. In one delta or message they
    // are counted once. Of a stream whose deltas have told them, those that came in blocks are
    // what was told before, put together.
    bool tells_thoughts = false;            // As reasoning_content, or as reasoning.
    std::uint64_t thought_block_bytes = 0;  // Of text_bytes: told in no way but in blocks.
    std::optional<UsageFields> fields;      // As find_usage() has them.
    std::optional<Span> id, model, created;

    // For what is put into it: the last of a name is the one that parsers take.
    std::optional<Value> usage, metadata;
    bool may_name_cost = false;  // Its usage has a member of a name that ours has.
    bool has_provider = false;
    bool empty = true;
    std::size_t end = 0;  // Of the closing brace.

    bool has_usage() const { return usage && usage->first == JsonToken::BeginObject; }
};

// Empty if it is not a JSON object. Takes whole answers too: their choices have a `message` where
// chunks have a `delta`. In answers of another form `made_in` names what the model made: all text
// in it is counted.
std::optional<Chunk> read_chunk(std::string_view json, std::string_view made_in = "choices");

}  // namespace nutgate::proxy
