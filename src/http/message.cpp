#include "nutgate/http/message.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <functional>

#include "nutgate/base/verify.h"

namespace nutgate::http {
namespace {

constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

constexpr int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

constexpr bool is_alphanumeric(char c) {
    return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z');
}

// What may stand in a name and in a value: a table, since each head of each answer is looked at.
struct Allowed {
    bool in_name = false;
    bool in_value = false;
};
constexpr std::array<Allowed, 256> kAllowed = [] {
    constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
    std::array<Allowed, 256> allowed{};
    for (std::size_t byte = 0; byte < allowed.size(); ++byte) {
        const char c = static_cast<char>(byte);
        allowed[byte].in_name = is_alphanumeric(c) || kMarks.find(c) != std::string_view::npos;
        allowed[byte].in_value = (byte >= ' ' || c == '\t') && byte != 0x7f;
    }
    return allowed;
}();

bool is_part_of(std::string_view part, const std::string& text) {
    const std::less<const char*>
        before;  // Of pointers that may have nothing to do with each other.
    return !before(part.data(), text.data()) && before(part.data(), text.data() + text.size());
}

// For what is done to eight bytes at once.
constexpr std::uint64_t kOnes = 0x0101010101010101;
constexpr std::uint64_t kTops = kOnes * 0x80;

std::uint64_t block_at(std::string_view text, std::size_t at) {
    std::uint64_t block = 0;
    std::memcpy(&block, text.data() + at, sizeof block);
    return block;
}

constexpr const Allowed& allowed(char c) { return kAllowed[static_cast<unsigned char>(c)]; }

}  // namespace

// Eight bytes at a time as long as they are the same; mostly all of them are.
bool equal_without_case(std::string_view a, std::string_view b) {
    if (a.size() != b.size()) return false;
    std::size_t at = 0;
    for (; a.size() - at >= sizeof(std::uint64_t); at += sizeof(std::uint64_t)) {
        const std::uint64_t one = block_at(a, at);
        const std::uint64_t other = block_at(b, at);
        // Letters of two cases differ in one bit; so do some that are no letters.
        if (((one ^ other) & ~(kOnes * 0x20)) != 0) return false;
        if (one != other) break;
    }
    for (; at < a.size(); ++at) {
        if (lower(a[at]) != lower(b[at])) return false;
    }
    return true;
}

std::string_view to_text(Method method) {
    switch (method) {
        case Method::Get:
            return "GET";
        case Method::Head:
            return "HEAD";
        case Method::Post:
            return "POST";
        case Method::Put:
            return "PUT";
        case Method::Patch:
            return "PATCH";
        case Method::Delete:
            return "DELETE";
        case Method::Options:
            return "OPTIONS";
    }
    return "GET";
}

std::optional<std::string_view> Headers::find(std::string_view name) const {
    for (const Place& place : places_) {
        // Most names are told apart by their length.
        if (place.name_size != name.size()) continue;
        if (equal_without_case(name_of(place), name)) return value_of(place);
    }
    return std::nullopt;
}

std::size_t Headers::count(std::string_view name) const {
    std::size_t count = 0;
    for (const Place& place : places_) {
        if (place.name_size != name.size()) continue;
        if (equal_without_case(name_of(place), name)) ++count;
    }
    return count;
}

void Headers::add(std::string_view name, std::string_view value) {
    // As much as most heads have.
    constexpr std::size_t kUsualCount = 16;
    constexpr std::size_t kUsualBytes = 700;
    VERIFY(!is_part_of(name, text_) && !is_part_of(value, text_));
    if (places_.empty()) {
        places_.reserve(kUsualCount);
        text_.reserve(kUsualBytes);
    }
    places_.push_back({text_.size(), name.size(), value.size()});
    text_.append(name).append(value);
}

void Headers::set(std::string_view name, std::string_view value) {
    remove(name);
    add(name, value);
}

// What it has said stays where it is, unseen: nearly nothing is ever removed.
void Headers::remove(std::string_view name) {
    std::erase_if(places_, [this, name](const Place& place) {
        return place.name_size == name.size() && equal_without_case(name_of(place), name);
    });
}

void Headers::clear() {
    // Of a large head nothing stays.
    constexpr std::size_t kKeptMax = 4 * 1024;
    if (text_.capacity() > kKeptMax) std::string{}.swap(text_);
    if (places_.capacity() * sizeof(Place) > kKeptMax) std::vector<Place>{}.swap(places_);
    text_.clear();
    places_.clear();
}

std::string_view Request::path_value(std::string_view name) const {
    for (const auto& [known, value] : path_values) {
        if (known == name) return value;
    }
    return {};
}

std::optional<std::string> Request::query_value(std::string_view name) const {
    std::string_view rest = query;
    while (!rest.empty()) {
        const auto end = rest.find('&');
        const auto pair = rest.substr(0, end);
        rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);

        const auto equals = pair.find('=');
        const auto key = percent_decode(pair.substr(0, equals), Encoding::Form);
        if (!key || *key != name) continue;
        if (equals == std::string_view::npos) return std::string{};
        return percent_decode(pair.substr(equals + 1), Encoding::Form);
    }
    return std::nullopt;
}

Response json_response(int status, std::string body) {
    return Response{status, {{"content-type", "application/json"}}, std::move(body)};
}

std::optional<std::string> percent_decode(std::string_view text, Encoding encoding) {
    const auto has = [text](char c) { return text.find(c) != std::string_view::npos; };
    if (!has('%') && !(encoding == Encoding::Form && has('+'))) return std::string{text};
    std::string decoded;
    decoded.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '+' && encoding == Encoding::Form) {
            decoded += ' ';
        } else if (text[i] == '%') {
            if (i + 2 >= text.size()) return std::nullopt;
            const int high = hex_value(text[i + 1]);
            const int low = hex_value(text[i + 2]);
            if (high < 0 || low < 0) return std::nullopt;
            decoded += static_cast<char>(high * 16 + low);
            i += 2;
        } else {
            decoded += text[i];
        }
    }
    return decoded;
}

std::string percent_encode(std::string_view text) {
    constexpr std::string_view kHex = "0123456789ABCDEF";
    std::string encoded;
    encoded.reserve(text.size());
    for (const char c : text) {
        if (is_alphanumeric(c) || c == '-' || c == '.' || c == '_' || c == '~') {
            encoded += c;
            continue;
        }
        const auto byte = static_cast<unsigned char>(c);
        encoded += '%';
        encoded += kHex[byte >> 4U];
        encoded += kHex[byte & 15U];
    }
    return encoded;
}

// Eight bytes at a time as long as there is no control character, which a tab is, too.
std::size_t header_value_run(std::string_view text) {
    std::size_t run = 0;
    for (; text.size() - run >= sizeof kOnes; run += sizeof kOnes) {
        const std::uint64_t block = block_at(text, run);
        // A byte's top bit is set if it is below the space or DEL; what it borrows may set that of
        // a neighbour, too. Bytes beyond ASCII are left to the second look.
        const std::uint64_t controls = block - kOnes * 0x20;
        const std::uint64_t deletes = (block ^ (kOnes * 0x7f)) - kOnes;
        if (((controls | deletes | block) & kTops) != 0) break;
    }
    while (run < text.size() && allowed(text[run]).in_value) ++run;
    return run;
}

// Eight bytes at a time as long as all of them are letters or dashes, as nearly all are.
std::size_t header_name_run(std::string_view text) {
    std::size_t run = 0;
    for (; text.size() - run >= sizeof kOnes; run += sizeof kOnes) {
        const std::uint64_t block = block_at(text, run);
        if ((block & kTops) != 0) break;
        // Of seven bits no sum reaches the next byte; a byte's top bit is the answer for it.
        const std::uint64_t small = block | kOnes * 0x20;
        const std::uint64_t letters =
            (small + kOnes * (0x80 - 'a')) & ~(small + kOnes * (0x7f - 'z'));
        const std::uint64_t dashes = ~((block ^ kOnes * '-') + kOnes * 0x7f);
        if (((letters | dashes) & kTops) != kTops) break;
    }
    while (run < text.size() && allowed(text[run]).in_name) ++run;
    return run;
}

}  // namespace nutgate::http
