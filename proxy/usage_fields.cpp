// What upstreams say of their work: the shapes of metering-and-gateways 3.1, in one place.
#include "usage_fields.h"

#include <algorithm>
#include <concepts>

#include "nutgate/proxy/decimal.h"

namespace nutgate::proxy {
namespace {

using Count = std::optional<std::int64_t>;

// A count as some upstreams write it: "12", and "12.0" where a number went through a script. What
// is negative, beyond belief or no number is no count.
Count count_of(std::string_view raw, JsonToken token) {
    if (token != JsonToken::Number) return std::nullopt;
    Count value = json_integer(raw);
    if (!value) {
        const std::size_t point = std::min(raw.find('.'), raw.size());
        const bool is_whole = raw.find_first_not_of('0', point + 1) == std::string_view::npos;
        if (is_whole) value = json_integer(raw.substr(0, point));
    }
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
template <std::same_as<Named>... Names>
bool take_named(const JsonReader& reader, std::string_view key, JsonToken first, Names... names) {
    const auto is_taken_by = [&](const Named& named) {
        if (!key_is(key, named.name)) return false;
        take(*named.field, count_of(reader.raw(), first));
        return true;
    };
    const bool is_taken = (is_taken_by(names) || ...);
    return is_taken && first != JsonToken::BeginObject && first != JsonToken::BeginArray;
}

// What one object says. Chat and messages disagree about what a prompt is, and some relays write
// the names of both, with zeros under those that their upstream did not use.
struct Spelled {
    Count prompt, completion;                     // Chat's.
    Count input, output;                          // Responses' and messages'.
    Count read, written, written_5m, written_1h;  // Messages', of a cache.
    bool heard = false;  // Mistral's: of the audio in a prompt only the total knows the tokens.
};

void settle_spelling(const Spelled& said, UsageFields& fields) {
    take(fields.prompt_tokens, said.prompt ? said.prompt : said.input);
    take(fields.completion_tokens, said.completion ? said.completion : said.output);
    take(fields.cached_tokens, said.read);
    Count written = said.written;
    if (!written && (said.written_5m || said.written_1h)) {
        written = std::min(said.written_5m.value_or(0) + said.written_1h.value_or(0), kTokensMax);
    }
    take(fields.cache_write_tokens, written);
    take(fields.cache_write_1h_tokens, said.written_1h);
    if ((said.read || written) && !said.prompt) fields.cache_is_beside = true;
    if (said.heard && fields.total_tokens) {
        const std::int64_t read = fields.prompt_tokens.value_or(0);
        const std::int64_t all = *fields.total_tokens - fields.completion_tokens.value_or(0);
        if (all > read) fields.input_audio_tokens = all - read;
        fields.prompt_tokens = std::max(all, read);
    }
}

bool is_name_of_cost(std::string_view key) {
    return key_is(key, "cost") || key_is(key, "cost_sats") ||
           key_is(key, "remaining_balance_msats");
}

// Those of OpenAI and Anthropic, and DeepSeek's word for what was cached. True if it has a member
// that our own would have to share its name with.
bool read_usage(JsonReader& reader, JsonToken first, UsageFields& fields) {
    Spelled said;
    bool names_cost = false;
    read_object(reader, first, [&](std::string_view key, JsonToken value) {
        names_cost = names_cost || is_name_of_cost(key);
        if (key_is(key, "prompt_tokens_details") || key_is(key, "input_tokens_details") ||
            key_is(key, "input_token_details")) {
            read_object(reader, value, [&](std::string_view inner, JsonToken token) {
                return take_named(reader, inner, token,
                                  Named{"cached_tokens", &fields.cached_tokens},
                                  Named{"cache_write_tokens", &fields.cache_write_tokens},
                                  Named{"audio_tokens", &fields.input_audio_tokens},
                                  Named{"image_tokens", &fields.input_image_tokens});
            });
            return true;
        }
        if (key_is(key, "cache_creation")) {
            read_object(reader, value, [&](std::string_view inner, JsonToken token) {
                return take_named(reader, inner, token,
                                  Named{"ephemeral_5m_input_tokens", &said.written_5m},
                                  Named{"ephemeral_1h_input_tokens", &said.written_1h});
            });
            return true;
        }
        if (key_is(key, "prompt_audio_seconds")) said.heard = value == JsonToken::Number;
        if (key_is(key, "completion_tokens_details") || key_is(key, "output_tokens_details")) {
            read_object(reader, value, [&](std::string_view inner, JsonToken token) {
                return take_named(reader, inner, token,
                                  Named{"reasoning_tokens", &fields.reasoning_tokens},
                                  Named{"thinking_tokens", &fields.reasoning_tokens},
                                  Named{"audio_tokens", &fields.output_audio_tokens},
                                  Named{"image_tokens", &fields.output_image_tokens});
            });
            return true;
        }
        if (key_is(key, "server_tool_use")) {
            read_object(reader, value, [&](std::string_view inner, JsonToken token) {
                return take_named(reader, inner, token,
                                  Named{"web_search_requests", &fields.searches});
            });
            return true;
        }
        if (key_is(key, "seconds") && value == JsonToken::Number) {
            take(fields.audio_ms, milliseconds_of(reader.raw()));
            return true;
        }
        return take_named(reader, key, value, Named{"prompt_tokens", &said.prompt},
                          Named{"completion_tokens", &said.completion},
                          Named{"total_tokens", &fields.total_tokens},
                          Named{"input_tokens", &said.input}, Named{"output_tokens", &said.output},
                          Named{"prompt_cache_hit_tokens", &fields.cached_tokens},
                          Named{"cache_read_input_tokens", &said.read},
                          Named{"cache_creation_input_tokens", &said.written});
    });
    settle_spelling(said, fields);
    return names_cost;
}

// Gemini's: thoughts and the prompts of tools stand beside the others, not within them.
void read_usage_metadata(JsonReader& reader, JsonToken first, UsageFields& fields) {
    Count prompt, tools, candidates, thoughts;
    read_object(reader, first, [&](std::string_view key, JsonToken value) {
        return take_named(reader, key, value, Named{"promptTokenCount", &prompt},
                          Named{"toolUsePromptTokenCount", &tools},
                          Named{"cachedContentTokenCount", &fields.cached_tokens},
                          Named{"candidatesTokenCount", &candidates},
                          Named{"thoughtsTokenCount", &thoughts},
                          Named{"totalTokenCount", &fields.total_tokens});
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
        return take_named(reader, key, value, Named{"prompt_n", &prompt}, Named{"cache_n", &cached},
                          Named{"predicted_n", &predicted});
    });
    if (prompt) fields.prompt_tokens = *prompt + cached.value_or(0);
    take(fields.cached_tokens, cached);
    take(fields.completion_tokens, predicted);
}

bool is_empty(const UsageFields& fields) {
    return !fields.prompt_tokens && !fields.completion_tokens && !fields.total_tokens &&
           !fields.audio_ms;
}

}  // namespace

bool UsageFields::complete() const {
    const int known =
        (prompt_tokens ? 1 : 0) + (completion_tokens ? 1 : 0) + (total_tokens ? 1 : 0);
    return known >= 2;
}

std::optional<std::int64_t> milliseconds_of(std::string_view seconds) {
    constexpr std::int64_t kMsPerSecond = 1'000;
    constexpr std::int64_t kMsMax = 1'000'000'000;
    const auto decimal = parse_decimal(seconds);
    if (!decimal || decimal->units > static_cast<std::uint64_t>(kTokensMax)) return std::nullopt;
    auto ms = static_cast<std::int64_t>(decimal->units) * kMsPerSecond;
    for (int i = 0; i < decimal->places; ++i) ms = ms / 10 + (ms % 10 != 0 ? 1 : 0);
    return ms <= kMsMax ? std::optional{ms} : std::nullopt;
}

Usage UsageFields::usage() const {
    const std::int64_t total = total_tokens.value_or(0);
    const std::int64_t beside =
        cache_is_beside ? cached_tokens.value_or(0) + cache_write_tokens.value_or(0) : 0;
    const std::int64_t prompt =
        prompt_tokens ? *prompt_tokens + beside
                      : std::max<std::int64_t>(0, total - completion_tokens.value_or(0));
    // Some leave thoughts out of their completion count, but none out of the total.
    const std::int64_t completion =
        std::max({completion_tokens.value_or(0), total - prompt, std::int64_t{0}});
    const std::int64_t cached = std::min(cached_tokens.value_or(0), prompt);
    const std::int64_t written = std::min(cache_write_tokens.value_or(0), prompt - cached);
    const std::int64_t written_1h = std::min(cache_write_1h_tokens.value_or(0), written);
    const std::int64_t reasoning = std::min(
        std::max(reasoning_tokens.value_or(0), completion - completion_tokens.value_or(completion)),
        completion);
    std::int64_t rest_in = prompt - cached - written;
    std::int64_t rest_out = completion - reasoning;
    const auto part_of = [](std::int64_t& rest, const Count& told) {
        const std::int64_t part = std::min(told.value_or(0), rest);
        rest -= part;
        return part;
    };
    Usage usage{.in_cached = cached,
                .cache_write_5m = written - written_1h,
                .cache_write_1h = written_1h,
                .out_reasoning = reasoning,
                .searches = searches.value_or(0),
                .audio_ms = audio_ms.value_or(0)};
    usage.in_audio = part_of(rest_in, input_audio_tokens);
    usage.in_image = part_of(rest_in, input_image_tokens);
    usage.out_audio = part_of(rest_out, output_audio_tokens);
    usage.out_image = part_of(rest_out, output_image_tokens);
    usage.in_uncached = rest_in;
    usage.out_text = rest_out;
    return usage;
}

void UsageFields::overwrite_with(const UsageFields& newer) {
    take(prompt_tokens, newer.prompt_tokens);
    take(completion_tokens, newer.completion_tokens);
    take(total_tokens, newer.total_tokens);
    take(cached_tokens, newer.cached_tokens);
    take(reasoning_tokens, newer.reasoning_tokens);
    take(cache_write_tokens, newer.cache_write_tokens);
    take(cache_write_1h_tokens, newer.cache_write_1h_tokens);
    cache_is_beside = cache_is_beside || newer.cache_is_beside;
    take(input_audio_tokens, newer.input_audio_tokens);
    take(input_image_tokens, newer.input_image_tokens);
    take(output_audio_tokens, newer.output_audio_tokens);
    take(output_image_tokens, newer.output_image_tokens);
    take(searches, newer.searches);
    take(audio_ms, newer.audio_ms);
}

bool UsageReader::take(JsonReader& reader, std::string_view key, JsonToken first) {
    const auto usage_within = [&](std::string_view inner, JsonToken value) {
        if (!key_is(inner, "usage")) return false;
        names_cost_ = read_usage(reader, value, fields_) || names_cost_;
        return true;
    };
    if (usage_within(key, first)) return true;
    if (key_is(key, "response") || key_is(key, "x_groq")) {
        read_object(reader, first, usage_within);
        return true;
    }
    if (key_is(key, "message")) {
        // Anthropic's first event: what it counts of the answer was said before there was one.
        UsageFields early;
        read_object(reader, first, [&](std::string_view inner, JsonToken value) {
            if (!key_is(inner, "usage")) return false;
            names_cost_ = read_usage(reader, value, early) || names_cost_;
            return true;
        });
        early.completion_tokens.reset();
        early.reasoning_tokens.reset();
        fields_.overwrite_with(early);
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
    if (is_empty(timings_)) return is_empty(fields_) ? std::nullopt : std::optional{fields_};
    // Where both are there, usage is the word and the timings are a by-product.
    UsageFields all = timings_;
    all.overwrite_with(fields_);
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
