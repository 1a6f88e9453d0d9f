#include "dialects/told_usage.h"

#include <algorithm>
#include <array>
#include <utility>

namespace nutgate::proxy {
namespace {

using Count = std::optional<std::int64_t>;

Count count_of(const RawJson* value) {
    const Count count = value != nullptr ? value->integer() : std::nullopt;
    return count && *count >= 0 && *count <= kTokensMax ? count : std::nullopt;
}

void take(Count& field, const RawObject& object, std::string_view name) {
    if (const Count count = count_of(object.find(name))) field = count;
}

std::optional<RawObject> object_in(const RawObject& object, std::string_view name) {
    const RawJson* found = object.find(name);
    return found != nullptr ? RawObject::make(*found) : std::nullopt;
}

// Of what was written to a cache, the rest lives for five minutes.
void set_cache_writes(Usage& usage, std::int64_t all, const Count& one_hour) {
    usage.cache_write_1h = std::min(one_hour.value_or(0), all);
    usage.cache_write_5m = all - usage.cache_write_1h;
}

void add_cache_creation(ObjectText& out, const Usage& usage) {
    out.raw("cache_creation", ObjectText{}
                                  .number("ephemeral_5m_input_tokens", usage.cache_write_5m)
                                  .number("ephemeral_1h_input_tokens", usage.cache_write_1h)
                                  .end());
}

}  // namespace

void MessageUsage::read_input(const RawObject& usage) {
    take(input_, usage, "input_tokens");
    take(cache_read_, usage, "cache_read_input_tokens");
    take(cache_write_, usage, "cache_creation_input_tokens");
    if (const auto writes = object_in(usage, "cache_creation")) {
        take(cache_write_5m_, *writes, "ephemeral_5m_input_tokens");
        take(cache_write_1h_, *writes, "ephemeral_1h_input_tokens");
    }
}

void MessageUsage::read(const RawJson& usage) {
    const auto object = RawObject::make(usage);
    if (!object) return;
    read_input(*object);
    take(output_, *object, "output_tokens");
    if (const auto details = object_in(*object, "output_tokens_details")) {
        take(thinking_, *details, "thinking_tokens");
    }
}

void MessageUsage::read_start(const RawJson& usage) {
    if (const auto object = RawObject::make(usage)) read_input(*object);
}

ToldUsage MessageUsage::told() const {
    ToldUsage told{.usage = {}, .has_input = input_.has_value(), .has_output = output_.has_value()};
    if (told.has_input) {
        told.usage.in_uncached = *input_;
        told.usage.in_cached = cache_read_.value_or(0);
        const std::int64_t parts = cache_write_5m_.value_or(0) + cache_write_1h_.value_or(0);
        set_cache_writes(told.usage, cache_write_.value_or(parts), cache_write_1h_);
    }
    if (told.has_output) {
        told.usage.out_reasoning = std::min(thinking_.value_or(0), *output_);
        told.usage.out_text = *output_ - told.usage.out_reasoning;
    }
    return told;
}

void ChatUsage::read(std::string_view json) {
    // Most chunks have none, and it is not worth a second look at their text.
    if (json.find("usage") == std::string_view::npos &&
        json.find("timings") == std::string_view::npos) {
        return;
    }
    const auto found = find_usage(json);
    if (!found) return;
    fields_.overwrite_with(*found);
    if (const auto answer = RawObject::parse(json)) read_cache_writes(*answer);
}

// OpenAI's name, LiteLLM's, and Anthropic's as some carry it.
void ChatUsage::read_cache_writes(const RawObject& answer) {
    const auto usage = object_in(answer, "usage");
    if (!usage) return;
    take(cache_write_, *usage, "cache_creation_input_tokens");
    for (const auto* name : {"prompt_tokens_details", "input_tokens_details"}) {
        if (const auto details = object_in(*usage, name)) {
            take(cache_write_, *details, "cache_creation_tokens");
            take(cache_write_, *details, "cache_write_tokens");
        }
    }
    if (const auto writes = object_in(*usage, "cache_creation")) {
        take(cache_write_1h_, *writes, "ephemeral_1h_input_tokens");
    }
}

ToldUsage ChatUsage::told() const {
    const bool total = fields_.total_tokens.has_value();
    ToldUsage told{.usage = {},
                   .has_input = fields_.prompt_tokens || (total && fields_.completion_tokens),
                   .has_output = fields_.completion_tokens || (total && fields_.prompt_tokens)};
    // The one reading of what upstreams mean by their numbers is the meter's.
    const Usage read = fields_.usage();
    if (told.has_input) {
        told.usage.in_cached = read.in_cached;
        const std::int64_t fresh = read.input() - read.in_cached;
        const std::int64_t written = std::min(cache_write_.value_or(0), fresh);
        set_cache_writes(told.usage, written, cache_write_1h_);
        told.usage.in_uncached = fresh - written;
    }
    if (told.has_output) {
        told.usage.out_text = read.out_text;
        told.usage.out_reasoning = read.out_reasoning;
    }
    return told;
}

std::string chat_usage_json(const ToldUsage& told) {
    if (told.empty()) return {};
    const Usage& usage = told.usage;
    const std::int64_t written = usage.cache_write_5m + usage.cache_write_1h;
    ObjectText out;
    if (told.has_input) {
        out.number("prompt_tokens", usage.input());
        out.raw("prompt_tokens_details", ObjectText{}
                                             .number("cached_tokens", usage.in_cached)
                                             .number("cache_write_tokens", written)
                                             .end());
    }
    if (told.has_output) {
        out.number("completion_tokens", usage.output());
        out.raw("completion_tokens_details",
                ObjectText{}.number("reasoning_tokens", usage.out_reasoning).end());
    }
    if (told.has_input && told.has_output) {
        out.number("total_tokens", usage.input() + usage.output());
    }
    if (written > 0) {
        out.number("cache_creation_input_tokens", written);
        add_cache_creation(out, usage);
    }
    return out.end();
}

std::string message_usage_json(const ToldUsage& told) {
    const Usage& usage = told.usage;
    ObjectText out;
    if (told.has_input) {
        out.number("input_tokens", usage.in_uncached);
        out.number("cache_creation_input_tokens", usage.cache_write_5m + usage.cache_write_1h);
        out.number("cache_read_input_tokens", usage.in_cached);
        if (usage.cache_write_5m + usage.cache_write_1h > 0) add_cache_creation(out, usage);
    } else {
        out.raw("input_tokens", "null");
    }
    if (told.has_output) {
        out.number("output_tokens", usage.output());
        out.raw("output_tokens_details",
                ObjectText{}.number("thinking_tokens", usage.out_reasoning).end());
    } else {
        out.raw("output_tokens", "null");
    }
    return out.end();
}

}  // namespace nutgate::proxy
