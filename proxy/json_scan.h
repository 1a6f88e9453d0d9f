// A strict JSON reader that knows where things stand: for taking a few values out of a document,
// and for changing a few of its bytes while all others stay as they came.
//
// It allocates nothing and builds nothing. RFC 8259 with UTF-8 checked, at most kDepthMax deep.
#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nutgate::proxy {

enum class JsonToken {
    BeginObject,
    EndObject,
    BeginArray,
    EndArray,
    Key,
    String,
    Number,
    True,
    False,
    Null,
    End,    // Of the document, and of the text.
    Error,  // Stays.
};

// Where something stands in a text.
struct Span {
    std::size_t begin = 0;
    std::size_t end = 0;

    std::string_view of(std::string_view text) const { return text.substr(begin, end - begin); }
};

class JsonReader {
public:
    static constexpr std::size_t kDepthMax = 128;

    explicit JsonReader(std::string_view text)
        : begin_{text.data()}, at_{begin_}, end_{begin_ + text.size()} {}

    JsonToken next();
    // Of the last token, quotes included.
    Span span() const { return span_; }
    std::string_view raw() const { return {begin_ + span_.begin, span_.end - span_.begin}; }
    // Of a part of the text, such as a member's key.
    Span place_of(std::string_view part) const {
        const auto begin = static_cast<std::size_t>(part.data() - begin_);
        return {begin, begin + part.size()};
    }
    // Of the last string or key: its length in UTF-8, which json_text() would make of it.
    std::size_t text_size() const { return text_size_; }

    // Goes to the end of the value that the last token, `first`, begins; its whole place. Empty
    // after an error.
    std::optional<Span> skip(JsonToken first);

    // For walking an object: the next key and then the first token of its value, until `}` or an
    // error. The caller takes or skips each value.
    struct Member {
        std::string_view key;  // Raw, without quotes; see key_is().
        JsonToken first;
    };
    std::optional<Member> next_member();
    bool failed() const { return failed_; }

private:
    enum class Expect { Value, ValueOrEnd, KeyOrEnd, CommaOrEnd, End };

    // Each of them takes the place where something begins and says where it ends; null if it is
    // malformed. A place is a register of the loop that walks, not a member that is written back.
    const char* past_spaces(const char* at) const;
    const char* past_string(const char* at);
    const char* past_escape(const char* at);
    const char* past_characters(const char* at) const;
    const char* past_number(const char* at) const;
    const char* past_digits(const char* at) const;
    char letter(const char* at) const { return at != end_ ? *at : '\0'; }

    JsonToken fail();
    JsonToken took(JsonToken token, const char* begin, const char* end);
    JsonToken key(const char* at);
    JsonToken open(const char* at, bool object);
    JsonToken close(const char* at, bool object);
    JsonToken value(const char* at);
    JsonToken word(const char* at, std::string_view letters, JsonToken token);

    std::size_t place(const char* at) const { return static_cast<std::size_t>(at - begin_); }
    std::string_view rest(const char* at) const {
        return {at, static_cast<std::size_t>(end_ - at)};
    }

    const char* begin_;
    const char* at_;
    const char* end_;
    Span span_;
    std::size_t text_size_ = 0;
    std::size_t escape_bytes_ = 0;  // By which the string is longer than what it stands for.
    std::size_t depth_ = 0;
    std::bitset<kDepthMax> objects_;
    bool in_object_ = false;  // The innermost of them, at depth_ - 1.
    Expect expect_ = Expect::Value;
    Expect behind_value_ = Expect::End;  // What follows one at this depth.
    bool failed_ = false;
};

// The text of a string token that the reader accepted.
std::string json_text(std::string_view raw);

bool longer_key_is(std::string_view raw_key, std::string_view name);
// Compares a raw key, which may be written with escapes, with a name in ASCII. Escapes are longer
// than what they stand for, so a key that is no longer than the name has none that it could mean.
// Inlined wherever a name is told, it compares words of known sizes: each answer has a hundred.
[[gnu::always_inline]] inline bool key_is(std::string_view raw_key, std::string_view name) {
    if (raw_key.size() == name.size()) {
        return __builtin_memcmp(raw_key.data(), name.data(), name.size()) == 0;
    }
    if (raw_key.size() < name.size()) return false;
    return (raw_key.front() == name.front() || raw_key.front() == '\\') &&
           longer_key_is(raw_key, name);
}
// An integer in the way JSON writes one; empty for "1.0", "1e3" and what does not fit.
std::optional<std::int64_t> json_integer(std::string_view raw);

// One change of a text: these bytes become those.
struct Edit {
    Span where;
    std::string replacement;
};
// Edits do not overlap; their order does not matter.
std::string apply_edits(std::string_view text, std::vector<Edit> edits);

}  // namespace nutgate::proxy
