#include "protocol/cbor.h"

#include <algorithm>

#include "protocol/utf8.h"

namespace nutgate::cashu::cbor {

namespace {

constexpr int kDepthMax = 8;

using Kind = Value::Kind;

Value of_kind(Kind kind) {
    Value value;
    value.kind = kind;
    return value;
}

enum Major : unsigned { kNumber = 0, kNegative, kBytes, kText, kArray, kMap, kTag, kSimple };

class Reader {
public:
    explicit Reader(BytesView bytes) : rest_{bytes} {}

    bool at_end() const { return rest_.empty(); }

    // As deep as kDepthMax: NOLINTNEXTLINE(misc-no-recursion)
    std::optional<Value> value(int depth) {
        if (depth > kDepthMax || rest_.empty()) return std::nullopt;
        const auto first = std::to_integer<unsigned>(rest_[0]);
        const unsigned info = first & 0x1fU;
        rest_ = rest_.subspan(1);
        const auto argument = this->argument(info);
        if (!argument) return std::nullopt;
        switch (first >> 5) {
            case kNumber: {
                Value number = of_kind(Kind::Number);
                number.number = *argument;
                return number;
            }
            case kNegative:
                return of_kind(Kind::Other);
            case kBytes:
                return byte_string(*argument);
            case kText:
                return text_string(*argument);
            case kArray:
                return array(*argument, depth);
            case kMap:
                return map(*argument, depth);
            case kSimple:
                return simple(info);
        }
        return std::nullopt;  // A tag changes the meaning of what follows; tokens have none.
    }

private:
    // Indefinite lengths and reserved forms have none.
    std::optional<std::uint64_t> argument(unsigned info) {
        if (info < 24) return info;
        if (info > 27) return std::nullopt;
        const auto taken = take(std::uint64_t{1} << (info - 24));
        if (!taken) return std::nullopt;
        std::uint64_t number = 0;
        for (const std::byte byte : *taken) {
            number = number << 8 | std::to_integer<std::uint64_t>(byte);
        }
        return number;
    }

    std::optional<BytesView> take(std::uint64_t size) {
        if (size > rest_.size()) return std::nullopt;
        const auto taken = rest_.first(static_cast<std::size_t>(size));
        rest_ = rest_.subspan(taken.size());
        return taken;
    }

    std::optional<Value> byte_string(std::uint64_t size) {
        const auto taken = take(size);
        if (!taken) return std::nullopt;
        Value value = of_kind(Kind::Bytes);
        value.bytes.assign(taken->begin(), taken->end());
        return value;
    }

    std::optional<std::string> text(std::uint64_t size) {
        const auto taken = take(size);
        if (!taken || !is_utf8(as_text(*taken))) return std::nullopt;
        return std::string{as_text(*taken)};
    }

    std::optional<Value> text_string(std::uint64_t size) {
        auto read_text = text(size);
        if (!read_text) return std::nullopt;
        Value value = of_kind(Kind::Text);
        value.text = *std::move(read_text);
        return value;
    }

    // NOLINTNEXTLINE(misc-no-recursion)
    std::optional<Value> array(std::uint64_t count, int depth) {
        // Each item takes a byte or more, so a count beyond the rest is a lie.
        if (count > rest_.size()) return std::nullopt;
        Value array = of_kind(Kind::Array);
        for (std::uint64_t i = 0; i < count; ++i) {
            auto item = value(depth + 1);
            if (!item) return std::nullopt;
            array.items.push_back(*std::move(item));
        }
        return array;
    }

    // NOLINTNEXTLINE(misc-no-recursion)
    std::optional<Value> map(std::uint64_t count, int depth) {
        constexpr std::uint64_t kMapMax = 64;  // Looked through one by one; a token's have six.
        if (count > kMapMax) return std::nullopt;
        Value map = of_kind(Kind::Map);
        for (std::uint64_t i = 0; i < count; ++i) {
            if (rest_.empty() || std::to_integer<unsigned>(rest_[0]) >> 5 != kText) {
                return std::nullopt;
            }
            const unsigned info = std::to_integer<unsigned>(rest_[0]) & 0x1fU;
            rest_ = rest_.subspan(1);
            const auto size = argument(info);
            auto key = size ? text(*size) : std::nullopt;
            if (!key || std::ranges::find(map.names, *key) != map.names.end()) return std::nullopt;
            auto item = value(depth + 1);
            if (!item) return std::nullopt;
            map.names.push_back(*std::move(key));
            map.items.push_back(*std::move(item));
        }
        return map;
    }

    static Value simple(unsigned info) {
        constexpr unsigned kFalse = 20;
        constexpr unsigned kTrue = 21;
        constexpr unsigned kNull = 22;
        constexpr unsigned kUndefined = 23;
        if (info == kFalse || info == kTrue) {
            Value flag = of_kind(Kind::Flag);
            flag.number = info - kFalse;
            return flag;
        }
        return of_kind(info == kNull || info == kUndefined ? Kind::Nothing : Kind::Other);
    }

    BytesView rest_;
};

}  // namespace

std::optional<Value> read(BytesView bytes) {
    Reader reader{bytes};
    auto value = reader.value(0);
    if (!value || !reader.at_end()) return std::nullopt;
    return value;
}

namespace {

const Value* find(const Value& value, std::string_view key) {
    const auto found = std::ranges::find(value.names, key);
    if (found == value.names.end()) return nullptr;
    return &value.items[static_cast<std::size_t>(found - value.names.begin())];
}

}  // namespace

const Value* find(const Value& value, std::string_view key, Kind kind) {
    const Value* const found = find(value, key);
    return found != nullptr && found->kind == kind ? found : nullptr;
}

bool has(const Value& value, std::string_view key) {
    const Value* const found = find(value, key);
    return found != nullptr && found->kind != Kind::Nothing;
}

void Writer::bytes(BytesView value) {
    head(kBytes, value.size());
    out_.insert(out_.end(), value.begin(), value.end());
}

void Writer::text(std::string_view value) {
    head(kText, value.size());
    const auto raw = as_bytes(value);
    out_.insert(out_.end(), raw.begin(), raw.end());
}

void Writer::head(unsigned major, std::uint64_t argument) {
    const auto put = [&](unsigned info, int size) {
        out_.push_back(static_cast<std::byte>(major << 5 | info));
        for (int i = size - 1; i >= 0; --i) {
            out_.push_back(static_cast<std::byte>(argument >> (8 * i)));
        }
    };
    if (argument < 24) {
        put(static_cast<unsigned>(argument), 0);
    } else if (argument <= 0xff) {
        put(24, 1);
    } else if (argument <= 0xffff) {
        put(25, 2);
    } else if (argument <= 0xffffffff) {
        put(26, 4);
    } else {
        put(27, 8);
    }
}

}  // namespace nutgate::cashu::cbor
