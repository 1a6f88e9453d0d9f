// POST /v1/chat/completions as POST /v1/messages: an OpenAI client's request for an Anthropic
// upstream.
//
// Carried: text, images, tools and their results, thinking, structured output, sampling, stop
// sequences, marks of what is worth a cache. Left out: hints that change no answer's meaning (seed,
// store, metadata, service_tier, verbosity, prompt_cache_key, names of participants). Refused:
// whatever a client would miss in the answer.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "nutgate/base/result.h"
#include "nutgate/http/error_envelope.h"
#include "nutgate/proxy/upstream.h"

namespace nutgate::proxy {

struct MessagesRequest {
    std::string body;
    bool stream = false;
    bool usage_asked = false;  // stream_options.include_usage: for the translation of the answer.
};

struct ChatToMessages {
    // Anthropic wants a limit. Without one here and in the request, that is refused.
    std::optional<std::int64_t> max_tokens = std::nullopt;
    ThinkingStyle thinking = ThinkingStyle::Budget;
};

Result<MessagesRequest, http::ApiError> chat_to_messages(std::string_view body,
                                                         const ChatToMessages& options);

}  // namespace nutgate::proxy
