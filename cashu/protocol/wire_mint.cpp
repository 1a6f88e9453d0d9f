// What a mint says of itself: its keysets, their keys, its settings (NUT-01, NUT-02, NUT-06).
#include <algorithm>
#include <charconv>

#include "protocol/json_reader.h"
#include "protocol/wire_json.h"

namespace nutgate::cashu::wire {

namespace {

using Code = WireError::Code;

enum class WithKeys { Yes, No };

// Empty for a keyset of a version that we do not know: it is left out, not an error.
std::optional<Keyset> read_keyset_head(Reader& reader, const Json& item, WithKeys with_keys) {
    const auto id = KeysetId::parse(reader.text(item, "id", kTextBytesMax));
    if (!id || id->is_short()) return std::nullopt;
    Keyset keyset{*id, reader.text(item, "unit", kUnitBytesMax), true, 0, std::nullopt, {}};
    // Mints of the generation before say in /v1/keys only what the keys are.
    if (with_keys == WithKeys::No || reader.optional(item, "active") != nullptr) {
        keyset.active = reader.flag(item, "active");
    }
    keyset.input_fee_ppk = reader.maybe_number(item, "input_fee_ppk").value_or(0);
    keyset.final_expiry = reader.maybe_time(item, "final_expiry");
    return keyset;
}

void read_keys(Reader& reader, const Json& item, Keyset& keyset) {
    const Json* const keys = reader.required(item, "keys");
    if (keys == nullptr) return;
    if (!keys->is_object()) return reader.fail_with(Code::WrongType, "keys");
    if (keys->size() > kKeysPerKeysetMax) return reader.fail_with(Code::TooMany, "keys");
    for (const auto& [text, value] : keys->items()) {
        Amount amount = 0;
        const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), amount);
        if (failure != std::errc{} || end != text.data() + text.size() || amount == 0) {
            return reader.fail_with(Code::OutOfRange, "keys." + text.substr(0, kUnitBytesMax));
        }
        const auto key = reader.point_of(value, "keys." + text);
        if (!key) return;
        // "1" and "01": two keys for one amount, and no way to tell which is meant.
        if (!keyset.keys.emplace(amount, *key).second) {
            return reader.fail_with(Code::Duplicate, "keys." + text);
        }
    }
}

Parsed<std::vector<Keyset>> parse(std::string_view json, WithKeys with_keys) {
    Reader reader{json};
    std::vector<Keyset> keysets;
    std::size_t index = 0;
    for (const Json& item : reader.items(reader.root(), "keysets", kKeysetsMax)) {
        reader.within("keysets[" + std::to_string(index++) + "].", [&] {
            auto keyset = read_keyset_head(reader, item, with_keys);
            if (!keyset) return;
            if (with_keys == WithKeys::Yes) read_keys(reader, item, *keyset);
            keysets.push_back(*std::move(keyset));
        });
        if (reader.failed()) break;
    }
    return reader.finish(std::move(keysets));
}

std::string write(const std::vector<Keyset>& keysets, WithKeys with_keys) {
    auto array = Json::array();
    for (const Keyset& keyset : keysets) {
        Json item{{"id", keyset.id.text()},
                  {"unit", keyset.unit},
                  {"active", keyset.active},
                  {"input_fee_ppk", keyset.input_fee_ppk}};
        if (keyset.final_expiry) item["final_expiry"] = *keyset.final_expiry;
        if (with_keys == WithKeys::Yes) {
            auto& keys = item["keys"] = Json::object();
            for (const auto& [amount, key] : keyset.keys) keys[std::to_string(amount)] = key.hex();
        }
        array.push_back(std::move(item));
    }
    return dump({{"keysets", std::move(array)}});
}

// Parts of the info: a reader of its own for each, so that one that is malformed spoils no other.
std::vector<MethodSetting> read_methods(const Json& part, std::string_view option) {
    std::vector<MethodSetting> settings;
    if (!part.is_object() || !part.contains("methods")) return settings;
    const Json& methods = part["methods"];
    if (!methods.is_array() || methods.size() > kArrayMax) return settings;
    for (const Json& item : methods) {
        Reader reader{"{}"};
        MethodSetting setting;
        setting.method = reader.text(item, "method", kUnitBytesMax);
        setting.unit = reader.text(item, "unit", kUnitBytesMax);
        setting.min_amount = reader.maybe_number(item, "min_amount");
        setting.max_amount = reader.maybe_number(item, "max_amount");
        if (reader.failed()) continue;
        const Json* options = reader.optional(item, "options");
        // One known mint writes the option beside the method instead.
        if (options == nullptr || !options->is_object()) options = &item;
        if (const auto found = options->find(option);
            found != options->end() && found->is_boolean()) {
            setting.option = found->get<bool>();
        }
        settings.push_back(std::move(setting));
    }
    return settings;
}

bool is_set(const Json& part, const char* key) {
    if (!part.is_object()) return false;
    const auto found = part.find(key);
    return found != part.end() && found->is_boolean() && found->get<bool>();
}

void read_cache(const Json& part, Info& info) {
    Reader reader{"{}"};
    info.cache_ttl = reader.maybe_number(part, "ttl");
    std::vector<CachedEndpoint> endpoints;
    for (const Json& item : reader.maybe_items(part, "cached_endpoints", kArrayMax)) {
        endpoints.push_back(
            {reader.text(item, "method", kUnitBytesMax), reader.text(item, "path", kTextBytesMax)});
    }
    if (!reader.failed()) info.cached_endpoints = std::move(endpoints);
}

std::vector<std::string> read_texts(Reader& reader, const Json& object, std::string_view key) {
    std::vector<std::string> texts;
    for (const Json& item : reader.maybe_items(object, key, kArrayMax)) {
        if (item.is_string()) texts.push_back(item.get<std::string>());
    }
    return texts;
}

std::vector<SubscriptionSetting> read_subscriptions(const Json& part) {
    std::vector<SubscriptionSetting> settings;
    if (!part.is_object()) return settings;
    Reader list{"{}"};
    for (const Json& item : list.maybe_items(part, "supported", kArrayMax)) {
        Reader reader{"{}"};
        SubscriptionSetting setting;
        setting.method = reader.text(item, "method", kUnitBytesMax);
        setting.unit = reader.text(item, "unit", kUnitBytesMax);
        setting.commands = read_texts(reader, item, "commands");
        if (!reader.failed()) settings.push_back(std::move(setting));
    }
    return settings;
}

std::optional<BatchSetting> read_batch(const Json& part) {
    Reader reader{"{}"};
    BatchSetting batch;
    if (reader.optional(part, "supported") != nullptr && !is_set(part, "supported")) {
        return std::nullopt;
    }
    batch.max_batch_size = reader.maybe_number(part, "max_batch_size");
    batch.methods = read_texts(reader, part, "methods");
    if (reader.failed()) return std::nullopt;
    return batch;
}

void read_nuts(const Json& nuts, Info& info) {
    for (const auto& [text, part] : nuts.items()) {
        int number = 0;
        const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
        if (failure != std::errc{} || end != text.data() + text.size()) continue;
        if (number == 4) {
            info.mint_methods = read_methods(part, "description");
            info.mint_disabled = is_set(part, "disabled");
        } else if (number == 5) {
            info.melt_methods = read_methods(part, "amountless");
            info.melt_disabled = is_set(part, "disabled");
        } else if (number == 17) {
            info.subscriptions = read_subscriptions(part);
        } else if (number == 19) {
            read_cache(part, info);
        } else if (number == 29) {
            info.batch = read_batch(part);
        } else if (is_set(part, "supported")) {
            info.supported.push_back(number);
        }
    }
    std::ranges::sort(info.supported);
}

Json write_methods(const std::vector<MethodSetting>& settings, const char* option, bool disabled) {
    auto array = Json::array();
    for (const MethodSetting& setting : settings) {
        Json item{{"method", setting.method}, {"unit", setting.unit}};
        if (setting.min_amount) item["min_amount"] = *setting.min_amount;
        if (setting.max_amount) item["max_amount"] = *setting.max_amount;
        if (setting.option) item["options"][option] = *setting.option;
        array.push_back(std::move(item));
    }
    return {{"methods", std::move(array)}, {"disabled", disabled}};
}

}  // namespace

Parsed<std::vector<Keyset>> parse_keysets(std::string_view json) {
    return parse(json, WithKeys::No);
}
Parsed<std::vector<Keyset>> parse_keys(std::string_view json) { return parse(json, WithKeys::Yes); }
std::string write_keysets(const std::vector<Keyset>& keysets) {
    return write(keysets, WithKeys::No);
}
std::string write_keys(const std::vector<Keyset>& keysets) { return write(keysets, WithKeys::Yes); }

Parsed<Info> parse_info(std::string_view json) {
    Reader reader{json};
    if (reader.failed()) return reader.finish(Info{});
    const Json& root = reader.root();
    const auto text = [&](const char* key) {
        const auto found = root.find(key);
        if (found == root.end() || !found->is_string()) return std::string{};
        return found->get<std::string>();
    };
    Info info;
    info.name = text("name");
    info.version = text("version");
    info.description = text("description");
    if (const auto urls = root.find("urls"); urls != root.end() && urls->is_array()) {
        for (const Json& url : *urls) {
            if (url.is_string() && info.urls.size() < kArrayMax) info.urls.push_back(url);
        }
    }
    Reader forgiving{"{}"};
    info.time = forgiving.maybe_time(root, "time");
    info.max_array_length = forgiving.maybe_number(root, "max_array_length");
    if (const auto nuts = root.find("nuts"); nuts != root.end() && nuts->is_object()) {
        read_nuts(*nuts, info);
    }
    return info;
}

std::string write_info(const Info& info) {
    Json nuts{{"4", write_methods(info.mint_methods, "description", info.mint_disabled)},
              {"5", write_methods(info.melt_methods, "amountless", info.melt_disabled)}};
    for (const int number : info.supported) nuts[std::to_string(number)] = {{"supported", true}};
    if (!info.cached_endpoints.empty()) {
        Json cache{{"ttl", nullptr}, {"cached_endpoints", Json::array()}};
        if (info.cache_ttl) cache["ttl"] = *info.cache_ttl;
        for (const CachedEndpoint& endpoint : info.cached_endpoints) {
            cache["cached_endpoints"].push_back(
                {{"method", endpoint.method}, {"path", endpoint.path}});
        }
        nuts["19"] = std::move(cache);
    }
    for (const SubscriptionSetting& setting : info.subscriptions) {
        nuts["17"]["supported"].push_back(
            {{"method", setting.method}, {"unit", setting.unit}, {"commands", setting.commands}});
    }
    if (info.batch) {
        Json& batch = nuts["29"] = Json::object();
        if (info.batch->max_batch_size) batch["max_batch_size"] = *info.batch->max_batch_size;
        if (!info.batch->methods.empty()) batch["methods"] = info.batch->methods;
    }
    Json json{{"name", info.name}, {"version", info.version}, {"nuts", std::move(nuts)}};
    if (!info.description.empty()) json["description"] = info.description;
    if (!info.urls.empty()) json["urls"] = info.urls;
    if (info.time) json["time"] = *info.time;
    if (info.max_array_length) json["max_array_length"] = *info.max_array_length;
    return dump(json);
}

}  // namespace nutgate::cashu::wire
