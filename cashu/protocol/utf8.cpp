#include "protocol/utf8.h"

#include <cstddef>
#include <cstdint>

namespace nutgate::cashu {

bool is_utf8(std::string_view text) {
    std::size_t i = 0;
    const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
    while (i < text.size()) {
        const unsigned first = byte(i);
        std::size_t length = 1;
        std::uint32_t smallest = 0;
        std::uint32_t point = first;
        if (first >= 0xf0 && first < 0xf5) {
            length = 4, smallest = 0x10000, point = first & 0x07U;
        } else if (first >= 0xe0 && first < 0xf0) {
            length = 3, smallest = 0x800, point = first & 0x0fU;
        } else if (first >= 0xc2 && first < 0xe0) {
            length = 2, smallest = 0x80, point = first & 0x1fU;
        } else if (first >= 0x80) {
            return false;
        }
        if (text.size() - i < length) return false;
        for (std::size_t k = 1; k < length; ++k) {
            const unsigned next = byte(i + k);
            if ((next & 0xc0U) != 0x80) return false;
            point = point << 6 | (next & 0x3fU);
        }
        const bool is_surrogate = point >= 0xd800 && point <= 0xdfff;
        if (point < smallest || point > 0x10ffff || is_surrogate) return false;
        i += length;
    }
    return true;
}

}  // namespace nutgate::cashu
