// What upstreams say of their work: the shapes of metering-and-gateways 3.1, in one place.
#include "usage_fields.h"

#include <algorithm>
#include <initializer_list>

namespace nutgate::proxy {
namespace {

using Count = std::optional<std::int64_t>;

// A count as some upstreams write it: "12", and "12.0" where a number went through a script. What
// is negative, beyond belief or no number is no count.
Count count_of(std::string_view raw, JsonToken token) {
    if (token != JsonToken::Number) return std::nullopt;
    const std::size_t point = raw.find('.');
    if (point != std::string_view::npos &&
        raw.find_first_not_of('0', point + 1) != std::string_view::npos) {
        return std::nullopt;
    }
    const Count value = json_integer(raw.substr(0, point));
    if (!value || *value < 0 || *value > kTokensMax) return std::nullopt;
    return value;
}

void take(Count& field, const Count& value) {
    if (value) field = value;
}

// Reads an object's members: `on_member` returns false for those it did not consume.
template <class OnMember>
void read_object(JsonReader& reader, JsonToken first, OnMember on_member) {
    if (first != JsonToken::BeginObject) {
        (void)reader.skip(first);
        return;
    }
    while (const auto member = reader.next_member()) {
        if (!on_member(member->key, member->first)) (void)reader.skip(member->first);
    }
}

struct Named {
    std::string_view name;
    Count* field;
};

// Takes a number if the key is one of these. A value that is an object is left to the caller.
bool take_named(JsonReader& reader, std::string_view key, JsonToken first,
                std::initializer_list<Named> names) {
    for (const Named& named : names) {
        if (!key_is(key, named.name)) continue;
        take(*named.field, count_of(reader.raw(), first));
        return first != JsonToken::BeginObject && first != JsonToken::BeginArray;
    }
    return false;
}

// OpenAI's two spellings, and DeepSeek's word for what was cached.
void read_usage(JsonReader& reader, JsonToken first, UsageFields& fields) {
    read_object(reader, first, [&](std::string_view key, JsonToken value) {
        if (key_is(key, "prompt_tokens_details") || key_is(key, "input_tokens_details")) {
            read_object(reader, value, [&](std::string_view inner, JsonToken token) {
                return take_named(reader, inner, token, {{"cached_tokens", &fields.cached_tokens}});
            });
            return true;
        }
        if (key_is(key, "completion_tokens_details") || key_is(key, "output_tokens_details")) {
            read_object(reader, value, [&](std::string_view inner, JsonToken token) {
                return take_named(reader, inner, token,
                                  {{"reasoning_tokens", &fields.reasoning_tokens},
                                   {"thinking_tokens", &fields.reasoning_tokens}});
            });
            return true;
        }
        return take_named(reader, key, value,
                          {{"prompt_tokens", &fields.prompt_tokens},
                           {"input_tokens", &fields.prompt_tokens},
                           {"completion_tokens", &fields.completion_tokens},
                           {"output_tokens", &fields.completion_tokens},
                           {"total_tokens", &fields.total_tokens},
                           {"prompt_cache_hit_tokens", &fields.cached_tokens}});
    });
}

// Gemini's: thoughts and the prompts of tools stand beside the others, not within them.
void read_usage_metadata(JsonReader& reader, JsonToken first, UsageFields& fields) {
    Count prompt, tools, candidates, thoughts;
    read_object(reader, first, [&](std::string_view key, JsonToken value) {
        return take_named(reader, key, value,
                          {{"promptTokenCount", &prompt},
                           {"toolUsePromptTokenCount", &tools},
                           {"cachedContentTokenCount", &fields.cached_tokens},
                           {"candidatesTokenCount", &candidates},
                           {"thoughtsTokenCount", &thoughts},
                           {"totalTokenCount", &fields.total_tokens}});
    });
    if (prompt) fields.prompt_tokens = *prompt + tools.value_or(0);
    if (candidates || thoughts) {
        fields.completion_tokens = candidates.value_or(0) + thoughts.value_or(0);
        take(fields.reasoning_tokens, thoughts);
    }
}

// llama.cpp's: what came from its cache was not evaluated again, and is not in prompt_n.
void read_timings(JsonReader& reader, JsonToken first, UsageFields& fields) {
    Count prompt, cached, predicted;
    read_object(reader, first, [&](std::string_view key, JsonToken value) {
        return take_named(
            reader, key, value,
            {{"prompt_n", &prompt}, {"cache_n", &cached}, {"predicted_n", &predicted}});
    });
    if (prompt) fields.prompt_tokens = *prompt + cached.value_or(0);
    take(fields.cached_tokens, cached);
    take(fields.completion_tokens, predicted);
}

bool is_empty(const UsageFields& fields) {
    return !fields.prompt_tokens && !fields.completion_tokens && !fields.total_tokens;
}

}  // namespace

bool UsageFields::complete() const {
    const int known =
        (prompt_tokens ? 1 : 0) + (completion_tokens ? 1 : 0) + (total_tokens ? 1 : 0);
    return known >= 2;
}

Usage UsageFields::usage() const {
    const std::int64_t total = total_tokens.value_or(0);
    const std::int64_t prompt =
        prompt_tokens.value_or(std::max<std::int64_t>(0, total - completion_tokens.value_or(0)));
    // Some leave thoughts out of their completion count, but none out of the total.
    const std::int64_t completion =
        std::max({completion_tokens.value_or(0), total - prompt, std::int64_t{0}});
    const std::int64_t cached = std::min(cached_tokens.value_or(0), prompt);
    const std::int64_t reasoning = std::min(
        std::max(reasoning_tokens.value_or(0), completion - completion_tokens.value_or(completion)),
        completion);
    return {.in_uncached = prompt - cached,
            .in_cached = cached,
            .out_text = completion - reasoning,
            .out_reasoning = reasoning};
}

void UsageFields::overwrite_with(const UsageFields& newer) {
    take(prompt_tokens, newer.prompt_tokens);
    take(completion_tokens, newer.completion_tokens);
    take(total_tokens, newer.total_tokens);
    take(cached_tokens, newer.cached_tokens);
    take(reasoning_tokens, newer.reasoning_tokens);
}

bool UsageReader::take(JsonReader& reader, std::string_view key, JsonToken first) {
    const auto usage_within = [&](std::string_view inner, JsonToken value) {
        if (!key_is(inner, "usage")) return false;
        read_usage(reader, value, fields_);
        return true;
    };
    if (usage_within(key, first)) return true;
    if (key_is(key, "response") || key_is(key, "message") || key_is(key, "x_groq")) {
        read_object(reader, first, usage_within);
        return true;
    }
    if (key_is(key, "usageMetadata")) {
        read_usage_metadata(reader, first, fields_);
        return true;
    }
    if (key_is(key, "timings")) {
        read_timings(reader, first, timings_);
        return true;
    }
    return false;
}

std::optional<UsageFields> UsageReader::found() const {
    // Where both are there, usage is the word and the timings are a by-product.
    UsageFields all = timings_;
    all.overwrite_with(fields_);
    if (is_empty(all)) return std::nullopt;
    return all;
}

std::int64_t estimate_tokens(const Delivered& delivered, std::int64_t bytes_per_token) {
    const auto per = static_cast<std::uint64_t>(std::max<std::int64_t>(1, bytes_per_token));
    const std::uint64_t by_bytes =
        delivered.text_bytes / per + (delivered.text_bytes % per != 0 ? 1 : 0);
    const std::uint64_t tokens = std::max(by_bytes, delivered.text_deltas);
    return static_cast<std::int64_t>(std::min<std::uint64_t>(tokens, kTokensMax));
}

}  // namespace nutgate::proxy
