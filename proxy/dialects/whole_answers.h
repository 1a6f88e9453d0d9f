// A whole answer in the other dialect. Empty if it is not an answer of its own.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "dialects/answer_translator.h"

namespace nutgate::proxy {

// Thoughts become `reasoning_content`, and `thinking_blocks` with their signatures, which a client
// that goes on calling tools sends back.
std::optional<std::string> message_to_completion(std::string_view body, std::int64_t created);

// Of several choices the first. Arguments that are no JSON object, as of a call that was cut by
// the limit, come as {"INVALID_JSON": "…"}, Anthropic's own way to carry such text.
std::optional<std::string> completion_to_message(std::string_view body, const ToMessages& options);

}  // namespace nutgate::proxy
