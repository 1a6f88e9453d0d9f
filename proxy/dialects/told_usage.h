// What an upstream said of its work, out of one dialect and into the other. Whoever meters the
// translation finds the counts that the upstream told, kind by kind:
//
//     OpenAI     prompt_tokens, of which cached_tokens and cache_write_tokens are parts;
//                completion_tokens, of which reasoning_tokens are a part
//     Anthropic  input_tokens, cache_read_input_tokens and cache_creation_input_tokens side by
//                side; output_tokens, of which thinking_tokens are a part
//
// What OpenAI has no name for keeps Anthropic's (cache_creation, by the time it lives). What was
// not told is left out or null, and never zero: zero is a count.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "dialects/raw_json.h"
#include "nutgate/proxy/meter.h"
#include "nutgate/proxy/usage.h"

namespace nutgate::proxy {

struct ToldUsage {
    Usage usage;
    bool has_input = false;
    bool has_output = false;

    bool empty() const { return !has_input && !has_output; }
};

// Anthropic's: cumulative, so each field is overwritten by the last that was not null.
class MessageUsage {
public:
    // `usage` of a whole message or of a message_delta.
    void read(const RawJson& usage);
    // Of message_start: its count of the output stands for none, since nothing was made yet.
    void read_start(const RawJson& usage);
    ToldUsage told() const;

private:
    using Count = std::optional<std::int64_t>;
    void read_input(const RawObject& usage);

    Count input_;
    Count cache_read_;
    Count cache_write_;
    Count cache_write_5m_;
    Count cache_write_1h_;
    Count output_;
    Count thinking_;
};

// OpenAI's and those of all who copied it, wherever they put it: see find_usage().
class ChatUsage {
public:
    // A whole answer or a chunk.
    void read(std::string_view json);
    ToldUsage told() const;

private:
    void read_cache_writes(const RawObject& answer);

    UsageFields fields_;
    std::optional<std::int64_t> cache_write_;
    std::optional<std::int64_t> cache_write_1h_;
};

// The `usage` object of a chat completion; empty if nothing was told.
std::string chat_usage_json(const ToldUsage& told);
// That of a message or a message_delta; null where nothing was told.
std::string message_usage_json(const ToldUsage& told);

}  // namespace nutgate::proxy
