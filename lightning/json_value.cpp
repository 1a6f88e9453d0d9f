#include "json_value.h"

#include <algorithm>
#include <charconv>

#include "nutgate/base/json_depth.h"

namespace nutgate::lightning {
namespace {

constexpr std::string_view kMsatSuffix = "msat";

std::optional<ByteArray<32>> array_of(const Bytes& bytes) {
    ByteArray<32> array{};
    if (bytes.size() != array.size()) return std::nullopt;
    std::ranges::copy(bytes, array.begin());
    return array;
}

}  // namespace

Json parse_json(std::string_view text) {
    if (nests_too_deep(text)) return Json{};
    auto json = Json::parse(text, nullptr, false);
    return json.is_discarded() ? Json{} : json;
}

const Json& member(const Json& object, std::string_view name) {
    static const Json kNull;
    if (!object.is_object()) return kNull;
    const auto found = object.find(name);
    return found == object.end() ? kNull : *found;
}

std::optional<std::string> text_at(const Json& object, std::string_view name) {
    const Json& value = member(object, name);
    if (!value.is_string()) return std::nullopt;
    return value.get<std::string>();
}

std::optional<std::int64_t> integer_at(const Json& object, std::string_view name) {
    const Json& value = member(object, name);
    if (value.is_number_unsigned()) {
        const auto number = value.get<std::uint64_t>();
        if (number > INT64_MAX) return std::nullopt;
        return static_cast<std::int64_t>(number);
    }
    if (value.is_number_integer()) return value.get<std::int64_t>();
    if (!value.is_string()) return std::nullopt;
    std::string_view digits = value.get_ref<const std::string&>();
    if (digits.ends_with(kMsatSuffix)) digits.remove_suffix(kMsatSuffix.size());
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
    return number;
}

std::optional<Msat> msat_at(const Json& object, std::string_view name) {
    const auto number = integer_at(object, name);
    return number ? Msat::from_raw(*number) : std::nullopt;
}

std::optional<Msat> sat_at(const Json& object, std::string_view name) {
    const auto number = integer_at(object, name);
    const auto sat = number ? Sat::from_raw(*number) : std::nullopt;
    if (!sat) return std::nullopt;
    return to_msat(*sat);
}

bool flag_at(const Json& object, std::string_view name) {
    const Json& value = member(object, name);
    return value.is_boolean() && value.get<bool>();
}

std::optional<ByteArray<32>> bytes32_at(const Json& object, std::string_view name) {
    const auto text = text_at(object, name);
    if (!text) return std::nullopt;
    if (auto array = array_from_hex<32>(*text)) return array;
    const auto bytes = from_base64(*text);
    return bytes ? array_of(*bytes) : std::nullopt;
}

std::string dump(const Json& json) {
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace nutgate::lightning
