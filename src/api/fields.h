// Reading requests: a JSON body or a query, field by field, each with its own clear error.
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nutgate/base/result.h"
#include "nutgate/http/error_envelope.h"
#include "nutgate/http/message.h"
#include "nutgate/keyring/keyring.h"

namespace nutgate::api {

template <class T>
using Parsed = Result<T, http::ApiError>;

// The fields of a request: of its JSON body, which must be an object, or of its query for a GET.
// Fields that nobody asks for are ignored; null is absent.
class Fields {
public:
    static Parsed<Fields> of_body(const http::Request& request);
    static Fields of_query(const http::Request& request);

    Parsed<std::optional<std::string>> text(std::string_view name) const;
    Parsed<std::optional<std::int64_t>> integer(std::string_view name) const;

    Parsed<std::optional<bool>> flag(std::string_view name) const;
    // Of a body: at most so many. Absent: none.
    Parsed<std::vector<std::string>> texts(std::string_view name, std::size_t most) const;

    Parsed<std::string> required_text(std::string_view name) const;
    Parsed<std::int64_t> required_integer(std::string_view name) const;

    // balance_limit, balance_limit_reset, validity_date.
    Parsed<KeyLimits> limits() const;

private:
    nlohmann::json body_;
    const http::Request* query_ = nullptr;  // The request outlives its handler's Fields.
};

// The credential of `Authorization: Bearer …`, its scheme in any case. Empty if there is none.
std::optional<std::string> bearer_of(const http::Request& request);

}  // namespace nutgate::api
