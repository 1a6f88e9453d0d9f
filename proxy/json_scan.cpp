#include "json_scan.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "nutgate/base/plain_run.h"
#include "nutgate/base/verify.h"

namespace nutgate::proxy {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

int hex_value(char c) {
    if (is_digit(c)) return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

// Four hex digits at `at`, or -1.
int hex4(std::string_view text, std::size_t at) {
    if (at + 4 > text.size()) return -1;
    int value = 0;
    for (std::size_t i = at; i < at + 4; ++i) {
        const int digit = hex_value(text[i]);
        if (digit < 0) return -1;
        value = value * 16 + digit;
    }
    return value;
}

bool is_high_surrogate(int unit) { return unit >= 0xd800 && unit <= 0xdbff; }
bool is_low_surrogate(int unit) { return unit >= 0xdc00 && unit <= 0xdfff; }

std::size_t utf8_size(int unit) { return unit < 0x80 ? 1 : unit < 0x800 ? 2 : 3; }

// The length of the character beyond ASCII with which a text goes on: `next` is its next four
// bytes, the first one lowest, zeros behind its end. Zero if the character is cut, overlong, a
// surrogate or beyond U+10FFFF. The masks are those of RFC 3629: what marks the bytes, then the
// highest bits of what they say.
std::size_t utf8_length(std::uint32_t next) {
    if ((next & 0xc0c0f0) == 0x8080e0) {
        const std::uint32_t high = next & 0x200f;
        return high != 0 && high != 0x200d ? 3 : 0;
    }
    if ((next & 0xc0e0) == 0x80c0) return (next & 0x1e) != 0 ? 2 : 0;
    if ((next & 0xc0c0c0f8) != 0x808080f0) return 0;
    const bool is_overlong = (next & 0x3007) == 0;
    const bool is_beyond = (next & 0x04) != 0 && (next & 0x3003) != 0;
    return is_overlong || is_beyond ? 0 : 4;
}

std::uint32_t next_four(const char* at, const char* end) {
    const auto byte = [at](int i) { return std::uint32_t{static_cast<unsigned char>(at[i])}; };
    if (end - at >= 4) return byte(0) | byte(1) << 8 | byte(2) << 16 | byte(3) << 24;
    std::uint32_t next = 0;
    for (int i = 0; i < end - at; ++i) next |= byte(i) << (8 * i);
    return next;
}

// What may follow a backslash, but for the u.
constexpr std::array<bool, 256> kEscapable = [] {
    std::array<bool, 256> escapable{};
    for (const char c : {'"', '\\', '/', 'b', 'f', 'n', 'r', 't'}) {
        escapable[static_cast<unsigned char>(c)] = true;
    }
    return escapable;
}();

void append_utf8(std::string& out, std::uint32_t point) {
    const auto put = [&out](std::uint32_t byte) { out += static_cast<char>(byte); };
    if (point < 0x80) {
        put(point);
    } else if (point < 0x800) {
        put(0xc0 | (point >> 6));
        put(0x80 | (point & 0x3f));
    } else if (point < 0x10000) {
        put(0xe0 | (point >> 12));
        put(0x80 | ((point >> 6) & 0x3f));
        put(0x80 | (point & 0x3f));
    } else {
        put(0xf0 | (point >> 18));
        put(0x80 | ((point >> 12) & 0x3f));
        put(0x80 | ((point >> 6) & 0x3f));
        put(0x80 | (point & 0x3f));
    }
}

// The character of the escape at `at` (a backslash), which moves behind it.
std::uint32_t read_escape(std::string_view text, std::size_t& at) {
    const char c = text[at + 1];
    at += 2;
    if (c != 'u') {
        constexpr std::string_view kLetters = "bfnrt";
        constexpr std::string_view kMeanings = "\b\f\n\r\t";
        const std::size_t which = kLetters.find(c);
        return static_cast<unsigned char>(which == std::string_view::npos ? c : kMeanings[which]);
    }
    const int unit = hex4(text, at);
    at += 4;
    if (!is_high_surrogate(unit)) return static_cast<std::uint32_t>(unit);
    const int low = hex4(text, at + 2);
    at += 6;
    return static_cast<std::uint32_t>(0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00));
}

void put_in_order(std::vector<Edit>& edits) {
    const auto is_before = [](const Edit& a, const Edit& b) {
        return a.where.begin < b.where.begin;
    };
    // Mostly they are, and a sort that is stable takes memory before it looks.
    if (std::is_sorted(edits.begin(), edits.end(), is_before)) return;
    std::stable_sort(edits.begin(), edits.end(), is_before);
}

}  // namespace

JsonToken JsonReader::fail() {
    failed_ = true;
    return JsonToken::Error;
}

// At the end of the text there is NUL for letter(), with which no token begins.
inline const char* JsonReader::past_spaces(const char* at) const {
    while (at != end_ && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t')) ++at;
    return at;
}

inline JsonToken JsonReader::took(JsonToken token, const char* begin, const char* end) {
    span_ = {place(begin), place(end)};
    at_ = end;
    return token;
}

JsonToken JsonReader::next() {
    if (failed_) return JsonToken::Error;
    const char* at = past_spaces(at_);
    switch (expect_) {
        case Expect::End:
            if (at != end_) return fail();
            return took(JsonToken::End, at, at);
        case Expect::CommaOrEnd:
            if (letter(at) == ',') {
                at = past_spaces(at + 1);
                return in_object_ ? key(at) : value(at);
            }
            if (letter(at) == '}') return close(at, true);
            if (letter(at) == ']') return close(at, false);
            return fail();
        case Expect::KeyOrEnd:
            if (letter(at) == '}') return close(at, true);
            return key(at);
        case Expect::ValueOrEnd:
            if (letter(at) == ']') return close(at, false);
            return value(at);
        case Expect::Value:
            return value(at);
    }
    return fail();
}

inline JsonToken JsonReader::key(const char* at) {
    if (letter(at) != '"') return fail();
    const char* const end = past_string(at);
    if (end == nullptr) return fail();
    const char* const colon = past_spaces(end);
    if (letter(colon) != ':') return fail();
    expect_ = Expect::Value;
    (void)took(JsonToken::Key, at, end);
    at_ = colon + 1;
    return JsonToken::Key;
}

inline JsonToken JsonReader::value(const char* at) {
    const char c = letter(at);
    const char* end = nullptr;
    JsonToken token = JsonToken::Number;
    if (c == '"') {
        token = JsonToken::String;
        end = past_string(at);
    } else if (c == '{') {
        return open(at, true);
    } else if (c == '[') {
        return open(at, false);
    } else if (c == 't') {
        return word(at, "true", JsonToken::True);
    } else if (c == 'f') {
        return word(at, "false", JsonToken::False);
    } else if (c == 'n') {
        return word(at, "null", JsonToken::Null);
    } else {
        end = past_number(at);
    }
    if (end == nullptr) return fail();
    expect_ = behind_value_;
    return took(token, at, end);
}

inline JsonToken JsonReader::open(const char* at, bool object) {
    if (depth_ == kDepthMax) return fail();
    objects_[depth_++] = in_object_ = object;
    behind_value_ = Expect::CommaOrEnd;
    expect_ = object ? Expect::KeyOrEnd : Expect::ValueOrEnd;
    return took(object ? JsonToken::BeginObject : JsonToken::BeginArray, at, at + 1);
}

inline JsonToken JsonReader::close(const char* at, bool object) {
    if (in_object_ != object) return fail();
    --depth_;
    in_object_ = depth_ > 0 && objects_[depth_ - 1];
    behind_value_ = depth_ > 0 ? Expect::CommaOrEnd : Expect::End;
    expect_ = behind_value_;
    return took(object ? JsonToken::EndObject : JsonToken::EndArray, at, at + 1);
}

JsonToken JsonReader::word(const char* at, std::string_view letters, JsonToken token) {
    if (!rest(at).starts_with(letters)) return fail();
    expect_ = behind_value_;
    return took(token, at, at + letters.size());
}

inline const char* JsonReader::past_digits(const char* at) const {
    while (at != end_ && is_digit(*at)) ++at;
    return at;
}

const char* JsonReader::past_number(const char* at) const {
    if (letter(at) == '-') ++at;
    const char* const whole = past_digits(at);
    if (whole == at || (*at == '0' && whole != at + 1)) return nullptr;
    at = whole;
    if (letter(at) == '.') {
        const char* const fraction = ++at;
        at = past_digits(at);
        if (at == fraction) return nullptr;
    }
    if (letter(at) == 'e' || letter(at) == 'E') {
        ++at;
        if (letter(at) == '+' || letter(at) == '-') ++at;
        const char* const exponent = at;
        at = past_digits(at);
        if (at == exponent) return nullptr;
    }
    return at;
}

inline const char* JsonReader::past_string(const char* at) {
    const char* const begin = ++at;
    escape_bytes_ = 0;
    for (;;) {
        at += plain_run(rest(at));
        if (at == end_) return nullptr;
        if (*at == '"') break;
        at = *at == '\\' ? past_escape(at) : past_characters(at);
        if (at == nullptr) return nullptr;
    }
    text_size_ = static_cast<std::size_t>(at - begin) - escape_bytes_;
    return at + 1;
}

const char* JsonReader::past_escape(const char* at) {
    if (end_ - at < 2) return nullptr;
    const char c = at[1];
    if (c != 'u') {
        ++escape_bytes_;
        return kEscapable[static_cast<unsigned char>(c)] ? at + 2 : nullptr;
    }
    const int unit = hex4(rest(at), 2);
    if (unit < 0 || is_low_surrogate(unit)) return nullptr;
    at += 6;
    if (!is_high_surrogate(unit)) {
        escape_bytes_ += 6 - utf8_size(unit);
        return at;
    }
    if (!rest(at).starts_with("\\u") || !is_low_surrogate(hex4(rest(at), 2))) return nullptr;
    escape_bytes_ += 12 - 4;
    return at + 6;
}

// Those beyond ASCII: as many as there are, and at least one.
const char* JsonReader::past_characters(const char* at) const {
    std::uint32_t next = next_four(at, end_);
    do {
        const std::size_t size = utf8_length(next);
        if (size == 0) return nullptr;
        at += size;
        next = next_four(at, end_);
    } while ((next & 0x80) != 0);
    return at;
}

std::optional<Span> JsonReader::skip(JsonToken first) {
    Span place = span_;
    if (first == JsonToken::BeginObject || first == JsonToken::BeginArray) {
        const std::size_t outside = depth_ - 1;
        while (depth_ > outside) {
            if (next() == JsonToken::Error) return std::nullopt;
        }
        place.end = span_.end;
    }
    if (failed_) return std::nullopt;
    return place;
}

std::optional<JsonReader::Member> JsonReader::next_member() {
    if (next() != JsonToken::Key) return std::nullopt;
    const std::string_view key{begin_ + span_.begin + 1, span_.end - span_.begin - 2};
    const JsonToken first = value(past_spaces(at_));
    if (first == JsonToken::Error) return std::nullopt;
    return Member{key, first};
}

std::string json_text(std::string_view raw) {
    const std::string_view inner = raw.substr(1, raw.size() - 2);
    std::string text;
    text.reserve(inner.size());
    for (std::size_t i = 0; i < inner.size();) {
        const std::string_view run = inner.substr(i, inner.find('\\', i) - i);
        text += run;
        i += run.size();
        if (i < inner.size()) append_utf8(text, read_escape(inner, i));
    }
    return text;
}

// The first letter that differs decides.
bool longer_key_is(std::string_view raw_key, std::string_view name) {
    std::size_t same = 0;
    while (same < name.size() && raw_key[same] == name[same]) ++same;
    if (raw_key[same] != '\\') return false;
    std::string quoted;
    quoted.reserve(raw_key.size() + 2);
    quoted.append(1, '"').append(raw_key).append(1, '"');
    return json_text(quoted) == name;
}

std::optional<std::int64_t> json_integer(std::string_view raw) {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(raw.data(), raw.data() + raw.size(), value);
    if (error != std::errc{} || end != raw.data() + raw.size()) return std::nullopt;
    return value;
}

std::string apply_edits(std::string_view text, std::vector<Edit> edits) {
    put_in_order(edits);
    std::size_t grown = text.size();
    for (const Edit& edit : edits) grown += edit.replacement.size();
    std::string changed;
    changed.reserve(grown);
    std::size_t at = 0;
    for (const Edit& edit : edits) {
        VERIFY(edit.where.begin >= at && edit.where.end >= edit.where.begin);
        changed += text.substr(at, edit.where.begin - at);
        changed += edit.replacement;
        at = edit.where.end;
    }
    VERIFY(at <= text.size());
    changed += text.substr(at);
    return changed;
}

}  // namespace nutgate::proxy
