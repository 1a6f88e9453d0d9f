// Why a request can't be carried to an upstream of the other dialect: always with the field that is
// at fault, and always before anything is sent.
#pragma once

#include <string>
#include <string_view>

#include "nutgate/http/error_envelope.h"

namespace nutgate::proxy {

// Not JSON as RFC 8259 has it, or two members of one name in an object that matters.
http::ApiError not_a_request();
// A field that is there in another form than its dialect has it: "max_tokens must be …".
http::ApiError wrong_value(std::string_view field, std::string_view what);
// A field that has no meaning in the upstream's dialect, where to leave it out would be to answer
// another request.
http::ApiError not_carried(std::string_view field, std::string_view why);

}  // namespace nutgate::proxy
