// A mark on a part of a prompt that says: what stands until here is worth keeping in a cache. It is
// Anthropic's, and clients of OpenAI's dialect send it in the same form, on parts of content, whole
// messages and tools:
//
//     "cache_control": {"type": "ephemeral", "ttl": "1h"}
#pragma once

#include <string>
#include <string_view>

#include "dialects/raw_json.h"
#include "nutgate/base/result.h"
#include "nutgate/http/error_envelope.h"

namespace nutgate::proxy {

// The mark of this part, written anew: nothing but what is known of one passes. Empty: it has none,
// or null. What is no mark is refused, since another one would keep, and cost, something else.
Result<std::string, http::ApiError> cache_mark(const RawObject& part);

// The last of these blocks, which stand as in a list and were written here, with that mark on it,
// unless it has one. Without a mark, and without a block, as they are.
std::string marked(std::string_view blocks, std::string_view mark);

}  // namespace nutgate::proxy
