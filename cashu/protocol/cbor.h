// The part of CBOR (RFC 8949) that tokens and payment requests are written in: definite lengths,
// text keys, no tags.
//
// Strict where a lax reader could be made to see another token than we do: a key twice, text that
// is not UTF-8, bytes behind the end. Nesting and size are bounded, so a hostile text costs little.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nutgate/base/bytes.h"

namespace nutgate::cashu::cbor {

struct Value {
    enum class Kind {
        Nothing,  // null and undefined.
        Number,   // Not negative.
        Text,
        Bytes,
        Array,
        Map,
        Flag,   // Its number is 0 or 1.
        Other,  // What neither has a use for: negative numbers, fractions.
    };
    Kind kind = Kind::Nothing;
    std::uint64_t number = 0;
    std::string text;
    nutgate::Bytes bytes;
    std::vector<Value> items;        // Of Array, and the values of Map …
    std::vector<std::string> names;  // … whose keys these are.
};

std::optional<Value> read(BytesView bytes);

// The value of a map under that key. Null if there is none of that kind, or `value` is no map.
const Value* find(const Value& value, std::string_view key, Value::Kind kind);
// Whether there is one at all: absent, null and undefined are the same, and wallets write all
// three.
bool has(const Value& value, std::string_view key);

class Writer {
public:
    void number(std::uint64_t value) { head(0, value); }
    void flag(bool value) { head(7, value ? 21 : 20); }
    void bytes(BytesView value);
    void text(std::string_view value);
    void array(std::size_t count) { head(4, count); }  // `count` values follow.
    void map(std::size_t count) { head(5, count); }    // `count` keys with their values follow.
    void raw(BytesView written) { out_.insert(out_.end(), written.begin(), written.end()); }
    Bytes take() { return std::move(out_); }

private:
    void head(unsigned major, std::uint64_t argument);
    Bytes out_;
};

}  // namespace nutgate::cashu::cbor
