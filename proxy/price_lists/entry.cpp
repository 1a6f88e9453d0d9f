#include "entry.h"

#include <utility>

namespace nutgate::proxy {
namespace {

// As deep as the reader lets a document be: NOLINTNEXTLINE(misc-no-recursion)
bool collect(JsonReader& reader, JsonToken first, const std::string& path,
             std::vector<ListField>& fields) {
    const auto inner = [&path](std::string_view name) {
        return path.empty() ? std::string{name} : path + '.' + std::string{name};
    };
    if (first == JsonToken::BeginObject) {
        while (const auto member = reader.next_member()) {
            const std::string key = json_text('"' + std::string{member->key} + '"');
            if (!collect(reader, member->first, inner(key), fields)) return false;
        }
        return !reader.failed();
    }
    if (first == JsonToken::BeginArray) {
        std::size_t index = 0;
        for (JsonToken item = reader.next(); item != JsonToken::EndArray; item = reader.next()) {
            if (item == JsonToken::Error || item == JsonToken::End) return false;
            if (!collect(reader, item, inner(std::to_string(index++)), fields)) return false;
        }
        return true;
    }
    if (first == JsonToken::Error || fields.size() >= kFieldsMax) return false;
    const bool is_text = first == JsonToken::String;
    fields.push_back({.path = path,
                      .text = is_text ? json_text(reader.raw()) : std::string{reader.raw()},
                      .is_null = first == JsonToken::Null});
    return true;
}

bool stands_alone(PriceKind kind) { return kind == PriceKind::Input || kind == PriceKind::Output; }

ListRefusal seen_as(PriceError error) {
    switch (error) {
        case PriceError::Malformed:
        case PriceError::ZeroRate:
            return ListRefusal::Malformed;
        case PriceError::Missing:
            return ListRefusal::Missing;
        case PriceError::ZeroPrice:
            return ListRefusal::Zero;
        case PriceError::OutOfRange:
            return ListRefusal::OutOfRange;
        case PriceError::BadOverride:
        case PriceError::TooManyTiers:
            return ListRefusal::Unsupported;
    }
    return ListRefusal::Malformed;
}

}  // namespace

std::optional<std::vector<ListField>> flatten(JsonReader& reader, JsonToken first) {
    std::vector<ListField> fields;
    if (!collect(reader, first, {}, fields)) return std::nullopt;
    return fields;
}

const ListField* find_field(const std::vector<ListField>& fields, std::string_view path) {
    for (const ListField& field : fields) {
        if (field.path == path) return field.is_null ? nullptr : &field;
    }
    return nullptr;
}

std::optional<Decimal> EntryPrices::read(const ListField& field) {
    const auto number = parse_number(field.text);
    if (!number) {
        refuse(ListRefusal::Malformed, field.path);
        return std::nullopt;
    }
    if (number->negative && number->value.units > 0) {
        refuse(ListRefusal::Variable, field.path);
        return std::nullopt;
    }
    return divided_by_power(number->value, power_);
}

void EntryPrices::take(PriceLines& lines, PriceKind kind, const ListField& field) {
    const auto price = read(field);
    if (!price || (price->units == 0 && !stands_alone(kind))) return;
    lines[index_of(kind)] = *price;
}

void EntryPrices::take_higher(PriceLines& lines, PriceKind kind, const ListField& field) {
    PriceLines one;
    take(one, kind, field);
    const auto& price = one[index_of(kind)];
    auto& known = lines[index_of(kind)];
    if (!price) return;
    if (!known || is_below(*known, *price)) known = price;
}

void EntryPrices::refuse(ListRefusal why, std::string field) {
    if (!refused_) refused_ = RefusedPrice{.model = {}, .why = why, .field = std::move(field)};
}

void EntryPrices::finish(std::string model, ListOptions options, PriceList& list) && {
    table_.free = false;
    auto tariff = Tariff::make(table_);
    if (!refused_ && !tariff && tariff.error() == PriceError::ZeroPrice && options.free_allowed) {
        table_.free = true;
        tariff = Tariff::make(table_);
    }
    if (!refused_ && !tariff) refuse(seen_as(tariff.error()), {});
    if (refused_) {
        refused_->model = std::move(model);
        list.refused.push_back(*std::move(refused_));
    } else {
        list.prices.push_back({.model = std::move(model), .table = std::move(table_)});
    }
}

Result<PriceList, ListError> read_price_list(ListFormat format, std::string_view json,
                                             ListOptions options) {
    JsonReader reader{json};
    JsonToken token = reader.next();
    while (token != JsonToken::End && token != JsonToken::Error) token = reader.next();
    if (token == JsonToken::Error) return fail(ListError::NotJson);
    switch (format) {
        case ListFormat::OpenRouter:
            return read_openrouter(json, options);
        case ListFormat::LiteLlm:
            return read_litellm(json, options);
        case ListFormat::Portkey:
            return read_portkey(json, options);
    }
    return fail(ListError::OtherForm);
}

}  // namespace nutgate::proxy
