#include "typed_event.h"

#include <array>

#include "usage_fields.h"

namespace nutgate::proxy {
namespace {

bool completes_stream(std::string_view type) {
    constexpr std::array<std::string_view, 8> kTypes{
        "response.completed",         "response.incomplete",  "response.failed",
        "image_generation.completed", "image_edit.completed", "transcript.text.done",
        "speech.audio.done",          "message_stop"};
    for (const auto known : kTypes) {
        if (type == known) return true;
    }
    return false;
}

// What a model made, in the one member of a delta that has it; types, indices and signatures are
// not made by it.
std::uint64_t read_delta(JsonReader& reader, JsonToken first) {
    if (first == JsonToken::String) return reader.text_size();
    if (first != JsonToken::BeginObject) {
        (void)reader.skip(first);
        return 0;
    }
    constexpr std::array<std::string_view, 3> kText{"text", "thinking", "partial_json"};
    std::uint64_t bytes = 0;
    while (const auto member = reader.next_member()) {
        for (const auto name : kText) {
            if (member->first == JsonToken::String && key_is(member->key, name)) {
                bytes += reader.text_size();
            }
        }
        (void)reader.skip(member->first);
    }
    return bytes;
}

}  // namespace

std::optional<TypedEvent> read_typed_event(std::string_view json) {
    JsonReader reader{json};
    if (reader.next() != JsonToken::BeginObject) return std::nullopt;
    TypedEvent event;
    UsageReader usage;
    while (const auto member = reader.next_member()) {
        const auto& [key, first] = *member;
        Span place = reader.span();
        if (key_is(key, "type") && first == JsonToken::String) {
            event.type = reader.raw().substr(1, reader.raw().size() - 2);
        } else if (key_is(key, "index") && first == JsonToken::Number) {
            event.index = json_integer(reader.raw());
        } else if (key_is(key, "sequence_number") && first == JsonToken::Number) {
            event.sequence = json_integer(reader.raw());
        } else if (key_is(key, "delta")) {
            event.text_bytes += read_delta(reader, first);
        } else if (key_is(key, "error") && first != JsonToken::Null) {
            event.has_error = true;
            (void)reader.skip(first);
        } else if (!usage.take(reader, key, first)) {
            (void)reader.skip(first);
        }
        if (reader.failed()) return std::nullopt;
        place.end = reader.span().end;
        if (key_is(key, "response") && first == JsonToken::BeginObject) event.response = place;
    }
    if (reader.next() != JsonToken::End) return std::nullopt;
    event.completes = completes_stream(event.type);
    if (event.type == "error" || event.type == "response.failed") event.has_error = true;
    event.fields = usage.found();
    if (event.type == "message_start" && event.fields) {
        event.fields->completion_tokens.reset();
        event.fields->reasoning_tokens.reset();
    }
    return event;
}

}  // namespace nutgate::proxy
