#include "chunk.h"

#include <algorithm>
#include <array>

#include "usage_fields.h"

namespace nutgate::proxy {
namespace {

// The strings of a message or delta that a model made; roles, ids and types are not among them.
bool is_text_key(std::string_view key) {
    constexpr std::array<std::string_view, 9> kKeys{
        "content", "reasoning_content", "reasoning", "thinking", "refusal", "arguments", "text",
        "name",    "partial_json"};
    for (const auto name : kKeys) {
        if (key_is(key, name)) return true;
    }
    return false;
}

// Adds up the text in a message: at any depth, since tool calls and content parts are nested.
// `counts`: whether a string that stands there by itself is text.
std::uint64_t read_text(JsonReader& reader, JsonToken first, bool counts) {
    if (first == JsonToken::String) return counts ? reader.text_size() : 0;
    if (first != JsonToken::BeginObject && first != JsonToken::BeginArray) return 0;
    std::uint64_t bytes = 0;
    int depth = 1;
    while (depth > 0) {
        const JsonToken token = reader.next();
        switch (token) {
            case JsonToken::BeginObject:
            case JsonToken::BeginArray:
                ++depth;
                break;
            case JsonToken::EndObject:
            case JsonToken::EndArray:
                --depth;
                break;
            case JsonToken::Key: {
                const std::string_view key = reader.raw().substr(1, reader.raw().size() - 2);
                counts = is_text_key(key);
                if (!key_is(key, "input")) break;
                // Of a tool, whose arguments are no text to some, but an object.
                const auto place = reader.skip(reader.next());
                if (place) bytes += place->end - place->begin;
                break;
            }
            case JsonToken::String:
                if (counts) bytes += reader.text_size();
                break;
            case JsonToken::Number:
            case JsonToken::True:
            case JsonToken::False:
            case JsonToken::Null:
                break;
            case JsonToken::End:
            case JsonToken::Error:
                return bytes;
        }
    }
    return bytes;
}

// A message of a chat, or a part of one, member by member: its thoughts may be there three times.
void read_message(JsonReader& reader, Chunk& chunk) {
    std::uint64_t told = 0;       // vLLM says both names of it in one delta.
    std::uint64_t in_blocks = 0;  // OpenRouter's and LiteLLM's, beside one of those.
    while (const auto member = reader.next_member()) {
        const auto& [key, first] = *member;
        if (key_is(key, "reasoning_content") || key_is(key, "reasoning")) {
            told = std::max(told, read_text(reader, first, true));
        } else if (key_is(key, "reasoning_details") || key_is(key, "thinking_blocks")) {
            in_blocks = std::max(in_blocks, read_text(reader, first, false));
        } else {
            chunk.text_bytes += read_text(reader, first, is_text_key(key));
        }
    }
    chunk.text_bytes += told > 0 ? told : in_blocks;
    if (told > 0) {
        chunk.tells_thoughts = true;
    } else {
        chunk.thought_block_bytes += in_blocks;
    }
}

void read_choice(JsonReader& reader, Chunk& chunk) {
    std::int64_t index = 0;
    bool finished = false;
    while (const auto member = reader.next_member()) {
        if (key_is(member->key, "delta") || key_is(member->key, "message")) {
            if (member->first == JsonToken::BeginObject) {
                read_message(reader, chunk);
            } else {
                chunk.text_bytes += read_text(reader, member->first, false);
            }
        } else if (key_is(member->key, "text") && member->first == JsonToken::String) {
            chunk.text_bytes += reader.text_size();
        } else if (key_is(member->key, "finish_reason") && member->first == JsonToken::String) {
            finished = true;
        } else if (key_is(member->key, "index") && member->first == JsonToken::Number) {
            index = json_integer(reader.raw()).value_or(-1);
        } else {
            (void)reader.skip(member->first);
        }
    }
    if (!finished) return;
    chunk.finish_reason = true;
    if (index >= 0 && index < static_cast<std::int64_t>(kChoicesMax)) {
        chunk.finished.set(static_cast<std::size_t>(index));
    }
}

void read_choices(JsonReader& reader, JsonToken first, Chunk& chunk) {
    if (first != JsonToken::BeginArray) {
        (void)reader.skip(first);
        return;
    }
    chunk.choices_empty = true;
    for (;;) {
        const JsonToken token = reader.next();
        if (token == JsonToken::EndArray || token == JsonToken::Error) return;
        chunk.choices_empty = false;
        if (token == JsonToken::BeginObject) {
            read_choice(reader, chunk);
        } else {
            (void)reader.skip(token);
        }
    }
}

void take_member(Chunk& chunk, std::string_view key, Chunk::Value value) {
    const auto keep = [&value](std::optional<Span>& where, JsonToken wanted) {
        if (value.first == wanted) where = value.place;
    };
    if (key_is(key, "error")) {
        if (value.first != JsonToken::Null) chunk.has_error = true;
    } else if (key_is(key, "usage")) {
        chunk.usage = value;
    } else if (key_is(key, "metadata")) {
        chunk.metadata = value;
    } else if (key_is(key, "provider")) {
        chunk.has_provider = true;
    } else if (key_is(key, "id")) {
        keep(chunk.id, JsonToken::String);
    } else if (key_is(key, "model")) {
        keep(chunk.model, JsonToken::String);
    } else if (key_is(key, "created")) {
        keep(chunk.created, JsonToken::Number);
    }
}

}  // namespace

std::optional<Chunk> read_chunk(std::string_view json, std::string_view made_in) {
    JsonReader reader{json};
    if (reader.next() != JsonToken::BeginObject) return std::nullopt;
    Chunk chunk;
    UsageReader usage;
    while (const auto member = reader.next_member()) {
        chunk.empty = false;
        const auto& [key, first] = *member;
        if (!made_in.empty() && key_is(key, made_in)) {
            if (made_in == "choices") {
                read_choices(reader, first, chunk);
            } else {
                chunk.text_bytes += read_text(reader, first, true);
            }
            continue;
        }
        Span place = reader.span();
        const bool may_hold_usage = usage.take(reader, key, first);
        if (!may_hold_usage) (void)reader.skip(first);
        if (reader.failed()) return std::nullopt;
        place.end = reader.span().end;
        // Mistral's errors have no member of that name.
        if (key_is(key, "object") && place.of(json) == "\"error\"") chunk.has_error = true;
        take_member(chunk, key, {place, first});
        if (may_hold_usage && !key_is(key, "usage")) chunk.other_usage = true;
    }
    chunk.end = reader.span().begin;
    if (reader.next() != JsonToken::End) return std::nullopt;
    chunk.fields = usage.found();
    chunk.may_name_cost = usage.names_cost();
    return chunk;
}

std::optional<UsageFields> find_usage(std::string_view json) {
    const auto chunk = read_chunk(json);
    return chunk ? chunk->fields : std::nullopt;
}

}  // namespace nutgate::proxy
