// The part of CBOR (RFC 8949) that tokens are written in: definite lengths, text keys, no tags.
//
// Strict where a lax reader could be made to see another token than we do: a key twice, text that
// is not UTF-8, bytes behind the end. Nesting and size are bounded, so a hostile text costs little.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "nutgate/base/bytes.h"

namespace nutgate::cashu::cbor {

struct Value;
using Array = std::vector<Value>;
using Map = std::vector<std::pair<std::string, Value>>;

// null and undefined.
struct Nothing {};
// What tokens have no use for: negative numbers, fractions, booleans, other simple values.
struct Other {};

struct Value {
    std::variant<Nothing, Other, std::uint64_t, std::string, Bytes, Array, Map> content;
};

std::optional<Value> read(BytesView bytes);

// Of a map; null if there is none, or it is null or undefined: wallets write all three.
const Value* find(const Map& map, std::string_view key);

class Writer {
public:
    void number(std::uint64_t value) { head(0, value); }
    void bytes(BytesView value);
    void text(std::string_view value);
    void array(std::size_t count) { head(4, count); }  // `count` values follow.
    void map(std::size_t count) { head(5, count); }    // `count` keys with their values follow.
    Bytes take() { return std::move(out_); }

private:
    void head(unsigned major, std::uint64_t argument);
    Bytes out_;
};

}  // namespace nutgate::cashu::cbor
