// Bytes as the C libraries under this module take them.
#pragma once

#include "nutgate/base/bytes.h"

namespace nutgate::crypto {

// Never null, since the libraries take a null pointer for "none given", which an empty view is not.
inline const unsigned char* raw(BytesView bytes) {
    static constexpr unsigned char kNothing = 0;
    return bytes.empty() ? &kNothing : reinterpret_cast<const unsigned char*>(bytes.data());
}
inline unsigned char* raw_out(std::span<std::byte> bytes) {
    return reinterpret_cast<unsigned char*>(bytes.data());
}

}  // namespace nutgate::crypto
