// Looking at a pasted text: what it begins with, in either case, behind whatever a wallet wrote.
#pragma once

#include <string>
#include <string_view>

namespace nutgate::payment {

// No text that any rail reads is longer; what is longer is not looked at.
inline constexpr std::size_t kTextBytesMax = 256 * 1024;

inline std::string_view trimmed(std::string_view text) {
    constexpr std::string_view kSpace = " \t\r\n";
    const auto begin = text.find_first_not_of(kSpace);
    if (begin == std::string_view::npos) return {};
    return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

inline char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// `prefix` is in lower case.
inline bool begins_with(std::string_view text, std::string_view prefix) {
    if (text.size() < prefix.size()) return false;
    for (std::size_t i = 0; i < prefix.size(); ++i) {
        if (lower(text[i]) != prefix[i]) return false;
    }
    return true;
}

}  // namespace nutgate::payment
