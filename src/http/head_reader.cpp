#include "head_reader.h"

#include <algorithm>
#include <charconv>

namespace nutgate::http {
namespace {

bool begins_with_line_end(std::string_view text) {
    return text.size() >= 2 && text[0] == '\r' && text[1] == '\n';
}
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_space(char c) { return c == ' ' || c == '\t'; }

// A list of options, none of which has parameters. False if it is another thing.
bool note_connection(HeadFacts& facts, std::string_view list) {
    while (!list.empty()) {
        const auto comma = std::min(list.find(','), list.size());
        const auto option = trimmed(list.substr(0, comma));
        if (!option.empty() && !is_header_name(option)) return false;
        if (equal_without_case(option, "close")) facts.closes = true;
        list.remove_prefix(std::min(comma + 1, list.size()));
    }
    return true;
}

}  // namespace

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
    while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
    return text;
}

bool HeadFacts::is_plain() const {
    if (lengths + codings > 1) return false;
    return codings == 0 || equal_without_case(coding, "chunked");
}

bool HeadFacts::length_of_body(std::uint64_t& bytes) const {
    constexpr std::size_t kDigitsMax = 18;
    if (length.empty() || length.size() > kDigitsMax) return false;
    if (!std::all_of(length.begin(), length.end(), is_digit)) return false;
    std::from_chars(length.data(), length.data() + length.size(), bytes);
    return true;
}

bool HeadReader::start_line(std::string_view& line) {
    const std::string_view rest{at_, static_cast<std::size_t>(end_ - at_)};
    const auto size = header_value_run(rest);
    if (!begins_with_line_end(rest.substr(size))) return false;
    line = rest.substr(0, size);
    at_ += size + 2;
    return true;
}

bool HeadReader::next(std::string_view& name, std::string_view& value) {
    std::string_view rest{at_, static_cast<std::size_t>(end_ - at_)};
    const auto name_size = header_name_run(rest);
    if (name_size == 0 || name_size == rest.size() || rest[name_size] != ':') return false;
    name = rest.substr(0, name_size);
    rest.remove_prefix(name_size + 1);
    const auto value_size = header_value_run(rest);
    if (!begins_with_line_end(rest.substr(value_size))) return false;
    value = trimmed(rest.substr(0, value_size));
    at_ = rest.data() + value_size + 2;
    return true;
}

// By their lengths, which are those of few others.
bool HeadReader::note(HeadFacts& facts, std::string_view name, std::string_view value) {
    constexpr std::string_view kLength = "content-length";
    constexpr std::string_view kCoding = "transfer-encoding";
    constexpr std::string_view kConnection = "connection";
    constexpr std::string_view kProxyConnection = "proxy-connection";
    const auto size = name.size();
    if (size == kLength.size() && equal_without_case(name, kLength)) {
        ++facts.lengths;
        facts.length = value;
    } else if (size == kCoding.size() && equal_without_case(name, kCoding)) {
        ++facts.codings;
        facts.coding = value;
    } else if ((size == kConnection.size() && equal_without_case(name, kConnection)) ||
               (size == kProxyConnection.size() && equal_without_case(name, kProxyConnection))) {
        return note_connection(facts, value);
    }
    return true;
}

int version_of(std::string_view text) {
    constexpr std::string_view kBegin = "HTTP/";
    if (text.size() != kBegin.size() + 3 || !text.starts_with(kBegin)) return 0;
    text.remove_prefix(kBegin.size());
    if (!is_digit(text[0]) || text[1] != '.' || !is_digit(text[2])) return 0;
    return 10 * (text[0] - '0') + (text[2] - '0');
}

}  // namespace nutgate::http
