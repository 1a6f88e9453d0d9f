// A form with files (multipart/form-data, RFC 7578), read strictly: what we find in it must be what
// an upstream finds, or it would be another request that is charged for.
//
// Every line ends with CRLF, nothing stands before the first boundary or behind the last, each part
// has one Content-Disposition with one plain name, and a boundary occurs nowhere but where a part
// ends. The body outlives what is found in it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "json_scan.h"
#include "nutgate/base/result.h"
#include "nutgate/http/error_envelope.h"

namespace nutgate::proxy {

struct FormPart {
    std::string_view name;
    bool is_file = false;  // It has a file's name.
    Span place;            // Of its content.

    std::string_view content(std::string_view body) const { return place.of(body); }
};

struct Form {
    static constexpr std::size_t kPartsMax = 64;
    static constexpr std::size_t kPartHeadBytesMax = 4 * 1024;

    std::vector<FormPart> parts;
    std::string content_type;  // To be sent with the same body.
};

// `content_type` as the client's head has it.
Result<Form, http::ApiError> parse_form(std::string_view body, std::string_view content_type);

}  // namespace nutgate::proxy
