#include "protocol/cbor.h"

#include <algorithm>

#include "protocol/utf8.h"

namespace nutgate::cashu::cbor {

namespace {

constexpr int kDepthMax = 8;

enum Major : unsigned { kNumber = 0, kNegative, kBytes, kText, kArray, kMap, kTag, kSimple };

class Reader {
public:
    explicit Reader(BytesView bytes) : rest_{bytes} {}

    bool at_end() const { return rest_.empty(); }

    std::optional<Value> value(int depth) {
        if (depth > kDepthMax || rest_.empty()) return std::nullopt;
        const auto first = std::to_integer<unsigned>(rest_[0]);
        const unsigned info = first & 0x1fU;
        rest_ = rest_.subspan(1);
        const auto argument = this->argument(info);
        if (!argument) return std::nullopt;
        switch (first >> 5) {
            case kNumber:
                return Value{*argument};
            case kNegative:
                return Value{Other{}};
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
        return Value{Bytes{taken->begin(), taken->end()}};
    }

    std::optional<std::string> text(std::uint64_t size) {
        const auto taken = take(size);
        if (!taken || !is_utf8(as_text(*taken))) return std::nullopt;
        return std::string{as_text(*taken)};
    }

    std::optional<Value> text_string(std::uint64_t size) {
        auto read_text = text(size);
        if (!read_text) return std::nullopt;
        return Value{*std::move(read_text)};
    }

    std::optional<Value> array(std::uint64_t count, int depth) {
        // Each item takes a byte or more, so a count beyond the rest is a lie.
        if (count > rest_.size()) return std::nullopt;
        Array items;
        for (std::uint64_t i = 0; i < count; ++i) {
            auto item = value(depth + 1);
            if (!item) return std::nullopt;
            items.push_back(*std::move(item));
        }
        return Value{std::move(items)};
    }

    std::optional<Value> map(std::uint64_t count, int depth) {
        constexpr std::uint64_t kMapMax = 64;  // Looked through one by one; a token's have six.
        if (count > kMapMax) return std::nullopt;
        Map entries;
        for (std::uint64_t i = 0; i < count; ++i) {
            if (rest_.empty() || std::to_integer<unsigned>(rest_[0]) >> 5 != kText) {
                return std::nullopt;
            }
            const unsigned info = std::to_integer<unsigned>(rest_[0]) & 0x1fU;
            rest_ = rest_.subspan(1);
            const auto size = argument(info);
            auto key = size ? text(*size) : std::nullopt;
            const auto same = [&](const auto& entry) { return entry.first == *key; };
            if (!key || std::ranges::any_of(entries, same)) return std::nullopt;
            auto item = value(depth + 1);
            if (!item) return std::nullopt;
            entries.emplace_back(*std::move(key), *std::move(item));
        }
        return Value{std::move(entries)};
    }

    static Value simple(unsigned info) {
        constexpr unsigned kNull = 22;
        constexpr unsigned kUndefined = 23;
        if (info == kNull || info == kUndefined) return Value{Nothing{}};
        return Value{Other{}};
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

const Value* find(const Map& map, std::string_view key) {
    const auto found = std::ranges::find(map, key, &Map::value_type::first);
    if (found == map.end() || std::holds_alternative<Nothing>(found->second.content)) {
        return nullptr;
    }
    return &found->second;
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
