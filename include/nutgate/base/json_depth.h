// How deep JSON may nest that others wrote.
//
// nlohmann's parser takes any depth, but what is done with its values afterwards (dump(), a copy, a
// comparison) goes a frame of the stack deeper with each level: a million brackets end the process.
// So every text of somebody else's is looked at first.
#pragma once

#include <cstddef>
#include <string_view>

namespace nutgate {

inline constexpr std::size_t kJsonDepthMax = 64;

// Brackets within brackets, outside of strings. Exact for JSON; of what is none it only says
// something that a parser refuses anyway.
bool nests_too_deep(std::string_view json, std::size_t depth_max = kJsonDepthMax);

}  // namespace nutgate
