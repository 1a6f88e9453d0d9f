#include "utf8.h"

#include <cstdint>

namespace nutgate {
namespace {

// The size of the character that `text` begins with, or 0 if it begins with none.
std::size_t character_size(std::string_view text) {
    const auto at = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
    if (text.empty()) return 0;
    const std::uint8_t first = at(0);
    if (first < 0x80) return 1;
    const std::size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || text.size() < size) return 0;
    for (std::size_t i = 1; i < size; ++i) {
        if ((at(i) & 0xc0) != 0x80) return 0;
    }
    const bool overlong = (first == 0xe0 && at(1) < 0xa0) || (first == 0xf0 && at(1) < 0x90);
    const bool surrogate = first == 0xed && at(1) >= 0xa0;
    const bool too_high = first == 0xf4 && at(1) >= 0x90;
    return overlong || surrogate || too_high ? 0 : size;
}

}  // namespace

bool is_utf8(std::string_view text) {
    while (!text.empty()) {
        const std::size_t size = character_size(text);
        if (size == 0) return false;
        text.remove_prefix(size);
    }
    return true;
}

std::string cut_utf8(std::string_view text, std::size_t size) {
    std::string cut;
    while (!text.empty()) {
        const std::size_t next = character_size(text);
        const auto piece = next == 0 ? std::string_view{"?"} : text.substr(0, next);
        if (cut.size() + piece.size() > size) break;
        cut += piece;
        text.remove_prefix(next == 0 ? 1 : next);
    }
    return cut;
}

}  // namespace nutgate
