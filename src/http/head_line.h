// How heads are written: line by line, each in one step.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace nutgate::http {

inline void append_line(std::string& head, std::string_view name, std::string_view value) {
    const auto begin = head.size();
    head.resize(begin + name.size() + value.size() + 4);
    char* at = std::copy(name.begin(), name.end(), head.data() + begin);
    *at++ = ':';
    *at++ = ' ';
    at = std::copy(value.begin(), value.end(), at);
    *at++ = '\r';
    *at = '\n';
}

}  // namespace nutgate::http
