// The body of POST /v1/chat/completions: what it asks for, what it can cost at most, and the few
// bytes of it that an upstream sees changed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "body_parser.h"
#include "nutgate/base/result.h"
#include "nutgate/http/error_envelope.h"
#include "nutgate/proxy/models.h"
#include "nutgate/proxy/pricing.h"
#include "nutgate/proxy/upstream.h"

namespace nutgate::proxy {

struct ChatRequest : BodyFields, UsageAsked {
    std::int64_t choices = 1;  // n
    Limit max_tokens;
    Limit max_completion_tokens;
    std::int64_t images = 0;
    bool remote_images = false;             // Some image is to be fetched from elsewhere.
    std::vector<std::string> unsold_parts;  // Types of content parts other than text and images.
};

// Strict where money depends on it: see the refusals in the .cpp.
Result<ChatRequest, http::ApiError> parse_chat_request(std::string_view body);

// Whether this model takes such a request.
Result<void, http::ApiError> check_against(const ChatRequest& request, const Model& model);

// What it can use at most. The output bound is kept by rewrite(), the input bound by the model's
// context and by there being no token without a byte.
TokenBounds bounds_of(const ChatRequest& request, std::size_t body_bytes, const Model& model);

// The body for that upstream: model's name, limits and include_usage are changed where they have
// to be, every other byte is the client's.
std::string rewrite(std::string_view body, const ChatRequest& request, const Model& model,
                    const Destination& to);

}  // namespace nutgate::proxy
