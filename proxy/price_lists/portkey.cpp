// {"default":{…},"gpt-x":{"pricing_config":{"pay_as_you_go":{"request_token":{"price":0.00025},
// "response_token":{"price":0.001},…,"additional_units":{"web_search":{"price":1}}},"currency":
// "USD"}},…}: in *cents* for one. "default" is what others start from, and no model.
#include <array>
#include <utility>

#include "entry.h"

namespace nutgate::proxy {
namespace {

constexpr int kCents = 2;
constexpr std::string_view kPrices = "pricing_config.pay_as_you_go.";

constexpr std::array<std::pair<std::string_view, PriceKind>, 9> kNames{{
    {"request_token.price", PriceKind::Input},
    {"response_token.price", PriceKind::Output},
    {"cache_read_input_token.price", PriceKind::InputCached},
    {"cache_write_input_token.price", PriceKind::CacheWrite},
    {"request_audio_token.price", PriceKind::InputAudio},
    {"response_audio_token.price", PriceKind::OutputAudio},
    {"additional_units.cache_write_1h.price", PriceKind::CacheWrite1h},
    {"additional_units.thinking_token.price", PriceKind::Reasoning},
    {"additional_units.web_search.price", PriceKind::Search},
}};

void take_model(std::string name, const std::vector<ListField>& fields, ListOptions options,
                PriceList& list) {
    EntryPrices prices{kCents};
    const auto* currency = find_field(fields, "pricing_config.currency");
    if (currency != nullptr && currency->text != "USD") {
        prices.refuse(ListRefusal::Unsupported, currency->path);
    }
    for (const auto& [known, kind] : kNames) {
        if (const auto* field = find_field(fields, std::string{kPrices} + std::string{known})) {
            prices.take(prices.lines(), kind, *field);
        }
    }
    // By quality and size, or simply a price: an image costs what the dearest costs.
    const std::string image = std::string{kPrices} + "image.";
    for (const ListField& field : fields) {
        if (!field.is_null && field.path.starts_with(image) && field.path.ends_with("price")) {
            prices.take_higher(prices.lines(), PriceKind::Image, field);
        }
    }
    std::move(prices).finish(std::move(name), options, list);
}

}  // namespace

Result<PriceList, ListError> read_portkey(std::string_view json, ListOptions options) {
    JsonReader reader{json};
    if (reader.next() != JsonToken::BeginObject) return fail(ListError::OtherForm);
    PriceList list;
    std::size_t models = 0;
    bool found = false;
    while (const auto member = reader.next_member()) {
        std::string name = json_text('"' + std::string{member->key} + '"');
        if (member->first != JsonToken::BeginObject) {
            (void)reader.skip(member->first);
            continue;
        }
        if (++models > kListModelsMax) return fail(ListError::TooMany);
        const auto fields = flatten(reader, member->first);
        if (!fields) return fail(ListError::OtherForm);
        for (const ListField& field : *fields) {
            found = found || field.path.starts_with("pricing_config.");
        }
        if (name != "default") take_model(std::move(name), *fields, options, list);
    }
    if (!found) return fail(ListError::OtherForm);
    return list;
}

}  // namespace nutgate::proxy
