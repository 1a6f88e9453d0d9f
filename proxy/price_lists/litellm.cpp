// {"sample_spec":{…},"gpt-x":{"litellm_provider":"openai","mode":"chat","input_cost_per_token":
// 2.5e-06,…},…}: USD for one, as numbers, often with an exponent. "…_above_200k_tokens" is the
// price of a prompt beyond so many; "_priority", "_flex" and "_batches" are of services that are
// not sold here. "sample_spec" is documentation.
#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "entry.h"

namespace nutgate::proxy {
namespace {

constexpr std::array<std::pair<std::string_view, PriceKind>, 13> kNames{{
    {"input_cost_per_token", PriceKind::Input},
    {"output_cost_per_token", PriceKind::Output},
    {"output_cost_per_reasoning_token", PriceKind::Reasoning},
    {"cache_read_input_token_cost", PriceKind::InputCached},
    {"cache_creation_input_token_cost", PriceKind::CacheWrite},
    {"cache_creation_input_token_cost_above_1hr", PriceKind::CacheWrite1h},
    {"input_cost_per_audio_token", PriceKind::InputAudio},
    {"output_cost_per_audio_token", PriceKind::OutputAudio},
    {"input_cost_per_image_token", PriceKind::InputImage},
    {"output_cost_per_image_token", PriceKind::OutputImage},
    {"output_cost_per_image", PriceKind::Image},
    {"input_cost_per_character", PriceKind::Character},
    {"input_cost_per_request", PriceKind::Request},
}};

// Of what is not counted here. A model that has no other price can't be sold.
constexpr std::array<std::string_view, 4> kUncounted{
    "input_cost_per_pixel", "output_cost_per_pixel", "input_cost_per_query",
    "output_cost_per_character"};

// The larger of what a list gives twice: audio is paid by the second once, and a search costs what
// the dearest of its sizes costs.
constexpr std::array<std::pair<std::string_view, PriceKind>, 5> kHighest{{
    {"input_cost_per_second", PriceKind::AudioSecond},
    {"output_cost_per_second", PriceKind::AudioSecond},
    {"search_context_cost_per_query.search_context_size_low", PriceKind::Search},
    {"search_context_cost_per_query.search_context_size_medium", PriceKind::Search},
    {"search_context_cost_per_query.search_context_size_high", PriceKind::Search},
}};

// "input_cost_per_token_above_200k_tokens" is ("input_cost_per_token", 200,000).
std::optional<std::pair<std::string_view, std::int64_t>> tier_of(std::string_view name) {
    constexpr std::string_view kAbove = "_above_";
    constexpr std::string_view kTokens = "k_tokens";
    const std::size_t above = name.rfind(kAbove);
    if (above == std::string_view::npos || !name.ends_with(kTokens)) return std::nullopt;
    const std::size_t begin = above + kAbove.size();
    if (begin + kTokens.size() > name.size()) return std::nullopt;
    const auto thousands = json_integer(name.substr(begin, name.size() - kTokens.size() - begin));
    if (!thousands || *thousands < 1 || *thousands > kTokensMax / 1000) return std::nullopt;
    return std::pair{name.substr(0, above), *thousands * 1000};
}

std::optional<PriceKind> kind_of(std::string_view name) {
    const auto* found =
        std::ranges::find_if(kNames, [name](const auto& known) { return known.first == name; });
    if (found == kNames.end()) return std::nullopt;
    return found->second;
}

void take_model(std::string name, const std::vector<ListField>& fields, ListOptions options,
                PriceList& list) {
    EntryPrices prices;
    std::map<std::int64_t, PriceLines> tiers;
    for (const ListField& field : fields) {
        if (field.is_null) continue;
        if (const auto kind = kind_of(field.path)) {
            prices.take(prices.lines(), *kind, field);
        } else if (const auto tier = tier_of(field.path)) {
            if (const auto of_tier = kind_of(tier->first)) {
                prices.take(tiers[tier->second], *of_tier, field);
            }
        }
        for (const auto& [known, highest] : kHighest) {
            if (known == field.path) prices.take_higher(prices.lines(), highest, field);
        }
    }
    const auto* mode = find_field(fields, "mode");
    if (mode != nullptr && mode->text == "image_generation") {
        // There an image is what is asked for; elsewhere it is part of a prompt.
        const auto* image = find_field(fields, "input_cost_per_image");
        if (image != nullptr) prices.take_higher(prices.lines(), PriceKind::Image, *image);
    }
    for (auto& [above, lines] : tiers) {
        prices.add_override({.above_input = above, .lines = lines});
    }
    const bool priced =
        std::ranges::any_of(prices.lines(), [](const auto& line) { return line.has_value(); });
    for (const std::string_view uncounted : kUncounted) {
        if (!priced && find_field(fields, uncounted) != nullptr) {
            prices.refuse(ListRefusal::Unsupported, std::string{uncounted});
        }
    }
    std::move(prices).finish(std::move(name), options, list);
}

}  // namespace

Result<PriceList, ListError> read_litellm(std::string_view json, ListOptions options) {
    JsonReader reader{json};
    if (reader.next() != JsonToken::BeginObject) return fail(ListError::OtherForm);
    PriceList list;
    std::size_t models = 0;
    bool found = false;
    while (const auto member = reader.next_member()) {
        std::string name = json_text('"' + std::string{member->key} + '"');
        if (member->first != JsonToken::BeginObject || name == "sample_spec") {
            (void)reader.skip(member->first);
            continue;
        }
        if (++models > kListModelsMax) return fail(ListError::TooMany);
        const auto fields = flatten(reader, member->first);
        if (!fields) return fail(ListError::OtherForm);
        found = found || find_field(*fields, "litellm_provider") != nullptr ||
                find_field(*fields, "mode") != nullptr;
        take_model(std::move(name), *fields, options, list);
    }
    if (!found) return fail(ListError::OtherForm);
    return list;
}

}  // namespace nutgate::proxy
