#pragma once

#include <optional>

#include "context.h"

namespace nutgate::api {

// Of a POST /refund: sent to the target that its body names; empty if it names none, and a token is
// wanted.
Result<std::optional<Json>, http::ApiError> refund_over_lightning(Context& context,
                                                                  const KeyId& key,
                                                                  const http::Request& request);

void add_refund_routes(http::Server& server, Context& context, const std::string& prefix);

}  // namespace nutgate::api
