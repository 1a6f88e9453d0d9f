#pragma once

#include <string_view>

namespace nutgate::cashu {

// A secret is text and is hashed as such, so what is not UTF-8 is no secret (RFC 3629: no overlong
// forms, no surrogates).
bool is_utf8(std::string_view text);

}  // namespace nutgate::cashu
