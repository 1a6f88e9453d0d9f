// POST /v1/messages as POST /v1/chat/completions: an Anthropic client's request for an OpenAI
// upstream.
//
// Carried: text, images, tools and their results, thinking as a wish for it, structured output,
// sampling, stop sequences. Left out: cache_control and context_management (hints, here), the
// thoughts of former turns (only who signed them can read them), citations, service tiers. Refused:
// what only Anthropic can do (server tools, documents, containers, files, an answer that goes on
// from words put into the model's mouth).
#pragma once

#include <string>
#include <string_view>

#include "nutgate/base/result.h"
#include "nutgate/http/error_envelope.h"
#include "nutgate/proxy/upstream.h"

namespace nutgate::proxy {

struct ChatBody {
    std::string body;
    bool stream = false;          // Then it asks for usage, too.
    std::size_t image_bytes = 0;  // Of the body: letters that nobody reads as text.
};

struct MessagesToChat {
    LimitField limit_field = LimitField::MaxTokens;
};

Result<ChatBody, http::ApiError> messages_to_chat(std::string_view body,
                                                  const MessagesToChat& options);

}  // namespace nutgate::proxy
