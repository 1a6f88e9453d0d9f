// What reading and writing BOLT12 share: bech32's letters, but no checksum.
#pragma once

#include <string_view>

namespace nutgate::bolt12 {

inline constexpr std::string_view kLetters = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
inline constexpr std::string_view kOfferPrefix = "lno1";

}  // namespace nutgate::bolt12
