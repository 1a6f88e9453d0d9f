#include "proxy/json_scan.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "nutgate/base/verify.h"

namespace {

using nutgate::proxy::JsonReader;
using nutgate::proxy::JsonToken;

// Whether our reader takes the text. Its strings and keys, as text, are gathered.
bool is_taken(std::string_view text, std::vector<std::string>& strings) {
    JsonReader reader{text};
    std::size_t end = 0;
    for (;;) {
        const JsonToken token = reader.next();
        if (token == JsonToken::Error) return false;
        if (token == JsonToken::End) return true;
        VERIFY(reader.span().begin >= end && reader.span().end <= text.size());
        end = reader.span().end;
        VERIFY(!reader.raw().empty());
        if (token == JsonToken::String || token == JsonToken::Key) {
            strings.push_back(nutgate::proxy::json_text(reader.raw()));
            VERIFY(reader.text_size() == strings.back().size());
        }
        if (token == JsonToken::Number) nutgate::proxy::json_integer(reader.raw());
    }
}

std::size_t depth_of(std::string_view text) {
    return static_cast<std::size_t>(
        std::count_if(text.begin(), text.end(), [](char c) { return c == '[' || c == '{'; }));
}

}  // namespace

// Ours takes what another parser takes, but for what is too deep, and nothing else, but for numbers
// that only ours need not hold; and both read the same strings.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using nlohmann::json;
    const std::string_view text{reinterpret_cast<const char*>(data), size};
    // There a byte order mark is skipped, and a zero ends the text; here both are refused.
    if (text.starts_with("\xEF") || text.find('\0') != std::string_view::npos) return 0;
    std::vector<std::string> ours;
    const bool taken = is_taken(text, ours);

    std::vector<std::string> theirs;
    const auto gather = [&](int, json::parse_event_t event, json& value) {
        const bool is_text = event == json::parse_event_t::key ||
                             (event == json::parse_event_t::value && value.is_string());
        if (is_text) theirs.push_back(value.get<std::string>());
        return true;
    };
    bool has_huge_number = false;
    bool theirs_taken = false;
    try {
        theirs_taken = !json::parse(text, gather).is_discarded();
    } catch (const json::out_of_range&) {
        has_huge_number = true;
    } catch (const json::parse_error&) {
        theirs_taken = false;
    }
    if (theirs_taken && depth_of(text) <= JsonReader::kDepthMax) VERIFY(taken);
    if (taken && !has_huge_number) {
        VERIFY(theirs_taken);
        VERIFY(ours == theirs);
    }

    JsonReader whole{text};
    const auto span = whole.skip(whole.next());
    if (taken) VERIFY(span && span->end <= text.size());
    return 0;
}
