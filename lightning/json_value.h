// Reading the JSON of a node: every member may be absent, null or of another type, and then there
// is no value. Numbers are whole, and may be written as text, as nodes write what is beyond 2^53.
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "nutgate/base/amount.h"
#include "nutgate/base/bytes.h"

namespace nutgate::lightning {

using Json = nlohmann::json;

// Null where the text is no JSON.
Json parse_json(std::string_view text);
// Null where there is none of that name, or `object` is none.
const Json& member(const Json& object, std::string_view name);

std::optional<std::string> text_at(const Json& object, std::string_view name);
// 21, "21" or "21msat".
std::optional<std::int64_t> integer_at(const Json& object, std::string_view name);
std::optional<Msat> msat_at(const Json& object, std::string_view name);
std::optional<Msat> sat_at(const Json& object, std::string_view name);
bool flag_at(const Json& object, std::string_view name);  // False where it is none.
// 64 digits of hex, or the base64 of 32 bytes.
std::optional<ByteArray<32>> bytes32_at(const Json& object, std::string_view name);

// Of text that a person or a caller of ours wrote: what is no UTF-8 does not end the process.
std::string dump(const Json& json);

}  // namespace nutgate::lightning
