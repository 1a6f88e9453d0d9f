// How heads are written: line by line, into room that was made for all of them.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>

#include "nutgate/base/pen.h"
#include "nutgate/http/message.h"

namespace nutgate::http {

inline void put_line(Pen& head, std::string_view name, std::string_view value) {
    head.put(name);
    head.put(": ");
    head.put(value);
    head.put("\r\n");
}

// What put_line() makes of all of them, at most.
inline std::size_t lines_bytes(const Headers& headers) {
    constexpr std::size_t kMarksBytes = 4;
    std::size_t bytes = 0;
    for (const auto& [name, value] : headers.entries()) {
        bytes += name.size() + value.size() + kMarksBytes;
    }
    return bytes;
}

// Whether it is one of these names, in small letters. Most are told apart by their length.
template <std::size_t N>
bool is_among(const std::array<std::string_view, N>& names, std::string_view name) {
    return std::ranges::any_of(names, [name](std::string_view one) {
        return one.size() == name.size() && equal_without_case(one, name);
    });
}

}  // namespace nutgate::http
