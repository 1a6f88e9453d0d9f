#pragma once

#include <string>
#include <string_view>

namespace nutgate {

// Well-formed: no overlong forms, no surrogates, nothing beyond U+10FFFF.
bool is_utf8(std::string_view text);

// The longest beginning of at most `size` bytes that does not cut a character, with '?' in place
// of each byte that is not UTF-8.
std::string cut_utf8(std::string_view text, std::size_t size);

}  // namespace nutgate
