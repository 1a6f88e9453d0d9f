// {"data":[{"id":"vendor/model","pricing":{"prompt":"0.0000003",…,"overrides":[{…}]}},…]}: USD for
// one, in quotes or as numbers. "-1" where the price depends on whom the request is given to.
//
// "image" there is an image of a prompt, which we count by its tokens, so it is not read; nor is
// "input_audio_cache": what is read from a cache is one kind here.
#include <array>
#include <utility>

#include "entry.h"

namespace nutgate::proxy {
namespace {

constexpr std::array<std::pair<std::string_view, PriceKind>, 12> kNames{{
    {"prompt", PriceKind::Input},
    {"completion", PriceKind::Output},
    {"request", PriceKind::Request},
    {"web_search", PriceKind::Search},
    {"internal_reasoning", PriceKind::Reasoning},
    {"input_cache_read", PriceKind::InputCached},
    {"input_cache_write", PriceKind::CacheWrite},
    {"input_cache_write_1h", PriceKind::CacheWrite1h},
    {"audio", PriceKind::InputAudio},
    {"audio_output", PriceKind::OutputAudio},
    {"image_token", PriceKind::InputImage},
    {"image_output", PriceKind::OutputImage},
}};

void take_all(const std::vector<ListField>& fields, const std::string& prefix, PriceLines& lines,
              EntryPrices& prices) {
    for (const auto& [name, kind] : kNames) {
        if (const auto* field = find_field(fields, prefix + std::string{name})) {
            prices.take(lines, kind, *field);
        }
    }
}

// "1630"; a few write "16:30".
std::optional<int> minute_of(const ListField* field) {
    if (field == nullptr) return std::nullopt;
    std::string digits = field->text;
    std::erase(digits, ':');
    if (digits.size() != 4 || digits.find_first_not_of("0123456789") != std::string::npos) {
        return std::nullopt;
    }
    const int hours = (digits[0] - '0') * 10 + digits[1] - '0';
    const int minutes = (digits[2] - '0') * 10 + digits[3] - '0';
    if (hours > 23 || minutes > 59) return std::nullopt;
    return hours * 60 + minutes;
}

void take_override(const std::vector<ListField>& fields, const std::string& prefix,
                   EntryPrices& prices) {
    PriceOverride change;
    if (const auto* above = find_field(fields, prefix + "min_prompt_tokens")) {
        const auto tokens = json_integer(above->text);
        if (!tokens) return prices.refuse(ListRefusal::Malformed, above->path);
        change.above_input = *tokens;
    }
    const auto* start = find_field(fields, prefix + "utc_start");
    const auto* end = find_field(fields, prefix + "utc_end");
    if (start != nullptr || end != nullptr) {
        const auto from = minute_of(start), until = minute_of(end);
        if (!from || !until) return prices.refuse(ListRefusal::Malformed, prefix + "utc_start");
        change.window = DayWindow{.from = *from, .until = *until};
    }
    take_all(fields, prefix, change.lines, prices);
    prices.add_override(change);
}

void take_model(const std::vector<ListField>& fields, ListOptions options, PriceList& list) {
    const auto* id = find_field(fields, "id");
    if (id == nullptr || id->text.empty()) return;
    EntryPrices prices;
    take_all(fields, "pricing.", prices.lines(), prices);
    for (std::size_t i = 0;; ++i) {
        const std::string prefix = "pricing.overrides." + std::to_string(i) + '.';
        bool found = false;
        for (const ListField& field : fields) found = found || field.path.starts_with(prefix);
        if (!found) break;
        take_override(fields, prefix, prices);
    }
    std::move(prices).finish(id->text, options, list);
}

}  // namespace

Result<PriceList, ListError> read_openrouter(std::string_view json, ListOptions options) {
    JsonReader reader{json};
    if (reader.next() != JsonToken::BeginObject) return fail(ListError::OtherForm);
    PriceList list;
    std::size_t models = 0;
    bool found = false;
    while (const auto member = reader.next_member()) {
        if (!key_is(member->key, "data") || member->first != JsonToken::BeginArray) {
            (void)reader.skip(member->first);
            continue;
        }
        found = true;
        for (JsonToken item = reader.next(); item != JsonToken::EndArray; item = reader.next()) {
            if (item == JsonToken::Error || item == JsonToken::End) {
                return fail(ListError::OtherForm);
            }
            if (++models > kListModelsMax) return fail(ListError::TooMany);
            const auto fields = flatten(reader, item);
            // Too many fields: where it ends is not known, and no real list has such a thing.
            if (!fields) return fail(ListError::OtherForm);
            take_model(*fields, options, list);
        }
    }
    if (!found) return fail(ListError::OtherForm);
    return list;
}

}  // namespace nutgate::proxy
