#pragma once

#include <array>
#include <string_view>

namespace nutgate::crypto {

// BIP-39's English list: 2048 words, sorted.
extern const std::array<std::string_view, 2048> kEnglishWords;

}  // namespace nutgate::crypto
