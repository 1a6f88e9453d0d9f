#include "nutgate/base/bech32.h"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <string>
#include <string_view>

#include "nutgate/base/verify.h"

// What decodes is, but for its case, what its parts are written as; bytes come back from their
// groups as they were.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace nutgate;
    const std::string_view text{reinterpret_cast<const char*>(data), size};
    if (const auto decoded = decode_bech32(text)) {
        std::string lower{text};
        std::ranges::transform(lower, lower.begin(),
                               [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
        VERIFY(encode_bech32(decoded->prefix, decoded->data) == lower);
        if (const auto bytes = to_bytes(decoded->data)) VERIFY(to_groups(*bytes) == decoded->data);
    }
    const auto bytes = as_bytes(text);
    const auto again = to_bytes(to_groups(bytes));
    VERIFY(again.has_value());
    VERIFY(std::ranges::equal(*again, bytes));
    return 0;
}
