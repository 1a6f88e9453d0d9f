#include "dialects/cache_mark.h"

#include <algorithm>
#include <array>
#include <optional>

#include "dialects/refusals.h"

namespace nutgate::proxy {
namespace {

// Marks are written here, so there are three of them, and none can end a block that has none: what
// a client wrote is in strings, or closed by one brace more.
bool ends_marked(std::string_view blocks) {
    constexpr std::array<std::string_view, 3> kEnds{
        R"(,"cache_control":{"type":"ephemeral"}})",
        R"(,"cache_control":{"type":"ephemeral","ttl":"5m"}})",
        R"(,"cache_control":{"type":"ephemeral","ttl":"1h"}})"};
    return std::ranges::any_of(kEnds, [&](std::string_view end) { return blocks.ends_with(end); });
}

}  // namespace

Result<std::string, http::ApiError> cache_mark(const RawObject& part) {
    const RawJson* given = part.given("cache_control");
    if (given == nullptr) return std::string{};
    const auto wrong = wrong_value(
        "cache_control", R"({"type":"ephemeral"}, with a "ttl" of "5m" or "1h" where it has one)");
    const auto mark = RawObject::make(*given);
    if (!mark || mark->text("type") != "ephemeral") return fail(wrong);
    ObjectText known;
    known.text("type", "ephemeral");
    for (const RawObject::Member& member : mark->members()) {
        if (key_is(member.key, "type")) continue;
        if (!key_is(member.key, "ttl")) return fail(wrong);
        if (member.value.is_null()) continue;
        const std::string ttl = member.value.text();
        if (ttl != "5m" && ttl != "1h") return fail(wrong);
        known.text("ttl", ttl);
    }
    return known.end();
}

// Each of them has members, and ends with its brace.
std::string marked(std::string_view blocks, std::string_view mark) {
    if (blocks.empty() || mark.empty() || ends_marked(blocks)) return std::string{blocks};
    return std::string{blocks.substr(0, blocks.size() - 1)}
        .append(R"(,"cache_control":)")
        .append(mark)
        .append(1, '}');
}

}  // namespace nutgate::proxy
