#pragma once

#include <string>
#include <string_view>

#include "nutgate/base/clock.h"
#include "nutgate/http/error_envelope.h"

namespace nutgate::api {

http::ApiError invalid_field(std::string_view param, std::string message);
http::ApiError too_many_requests(Seconds retry_after);
http::ApiError missing_key();
http::ApiError malformed_key();
http::ApiError unknown_bearer();

}  // namespace nutgate::api
