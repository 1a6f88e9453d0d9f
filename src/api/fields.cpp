#include "fields.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <set>

#include "errors.h"
#include "nutgate/base/json_depth.h"

namespace nutgate::api {

Parsed<Fields> Fields::of_body(const http::Request& request) {
    Fields fields;
    // An empty body is an object without fields: curl -X POST sends one.
    if (request.body.empty()) {
        fields.body_ = nlohmann::json::object();
        return fields;
    }
    // Of a field that is there twice, one program reads the first and the next one the last.
    std::set<std::string> names;
    std::optional<std::string> twice;
    const auto watch = [&](int depth, nlohmann::json::parse_event_t event, nlohmann::json& value) {
        if (event == nlohmann::json::parse_event_t::key && depth == 1) {
            auto name = value.get<std::string>();
            if (!names.insert(name).second) twice = std::move(name);
        }
        return true;
    };
    const bool is_flat = !nests_too_deep(request.body);
    if (is_flat) fields.body_ = nlohmann::json::parse(request.body, watch, false);
    if (!is_flat || fields.body_.is_discarded()) {
        return fail(http::ApiError{.status = 400,
                                   .type = "invalid_request_error",
                                   .code = "invalid_json",
                                   .message = "The body is not valid JSON."});
    }
    if (!fields.body_.is_object()) {
        return fail(http::ApiError{.status = 400,
                                   .type = "invalid_request_error",
                                   .code = "invalid_json",
                                   .message = "The body must be a JSON object."});
    }
    if (twice) {
        return fail(http::ApiError{.status = 400,
                                   .type = "invalid_request_error",
                                   .code = "duplicate_field",
                                   .message = "'" + *twice + "' is there twice.",
                                   .param = *twice});
    }
    return fields;
}

Fields Fields::of_query(const http::Request& request) {
    Fields fields;
    fields.query_ = &request;
    return fields;
}

Parsed<std::optional<std::string>> Fields::text(std::string_view name) const {
    if (query_ != nullptr) return query_->query_value(name);
    const auto found = body_.find(name);
    if (found == body_.end() || found->is_null()) return std::optional<std::string>{};
    if (!found->is_string()) return fail(invalid_field(name, std::string{name} + " must be text"));
    return std::optional{found->get<std::string>()};
}

Parsed<std::optional<std::int64_t>> Fields::integer(std::string_view name) const {
    const std::string complaint = std::string{name} + " must be a whole number, not negative";
    if (query_ != nullptr) {
        const auto text = query_->query_value(name);
        if (!text) return std::optional<std::int64_t>{};
        std::int64_t value = 0;
        const auto* end = text->data() + text->size();
        const auto parsed = std::from_chars(text->data(), end, value);
        if (parsed.ec != std::errc{} || parsed.ptr != end || value < 0) {
            return fail(invalid_field(name, complaint));
        }
        return std::optional{value};
    }
    const auto found = body_.find(name);
    if (found == body_.end() || found->is_null()) return std::optional<std::int64_t>{};
    if (!found->is_number_integer()) return fail(invalid_field(name, complaint));
    if (found->is_number_unsigned() &&
        found->get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX)) {
        return fail(invalid_field(name, std::string{name} + " is too large"));
    }
    const auto value = found->get<std::int64_t>();
    if (value < 0) return fail(invalid_field(name, complaint));
    return std::optional{value};
}

Parsed<std::optional<bool>> Fields::flag(std::string_view name) const {
    const auto found = body_.find(name);
    if (found == body_.end() || found->is_null()) return std::optional<bool>{};
    if (!found->is_boolean()) {
        return fail(invalid_field(name, std::string{name} + " must be true or false"));
    }
    return std::optional{found->get<bool>()};
}

Parsed<std::vector<std::string>> Fields::texts(std::string_view name, std::size_t most) const {
    std::vector<std::string> items;
    const auto found = body_.find(name);
    if (found == body_.end() || found->is_null()) return items;
    const bool listed =
        found->is_array() && found->size() <= most &&
        std::ranges::all_of(*found, [](const auto& item) { return item.is_string(); });
    if (!listed) {
        return fail(invalid_field(name, std::string{name} + " must be a list of at most " +
                                            std::to_string(most) + " texts"));
    }
    for (const auto& item : *found) items.push_back(item.get<std::string>());
    return items;
}

Parsed<std::string> Fields::required_text(std::string_view name) const {
    TRY(auto value, text(name));
    if (!value || value->empty()) {
        return fail(invalid_field(name, "A " + std::string{name} + " is required."));
    }
    return *std::move(value);
}

Parsed<std::int64_t> Fields::required_integer(std::string_view name) const {
    TRY(const auto value, integer(name));
    if (!value) return fail(invalid_field(name, "A " + std::string{name} + " is required."));
    return *value;
}

Parsed<KeyLimits> Fields::limits() const {
    KeyLimits limits;
    TRY(const auto limit, integer("balance_limit"));
    if (limit) {
        limits.balance_limit = Msat::from_raw(*limit);
        if (!limits.balance_limit) {
            return fail(
                invalid_field("balance_limit", "balance_limit is more money than there is"));
        }
    }
    TRY(const auto reset, text("balance_limit_reset"));
    if (reset) {
        const auto known = parse_limit_reset(*reset);
        if (!known) {
            return fail(invalid_field("balance_limit_reset",
                                      "balance_limit_reset must be daily, weekly or monthly"));
        }
        limits.reset = *known;
    }
    TRY(const auto validity, integer("validity_date"));
    if (validity) {
        constexpr std::int64_t kUnixSecondsMax = 253'402'300'799;  // The end of the year 9999.
        if (*validity > kUnixSecondsMax) {
            return fail(invalid_field("validity_date", "validity_date must be in unix seconds"));
        }
        limits.valid_until = from_unix_seconds(*validity);
    }
    return limits;
}

std::optional<std::string> bearer_of(const http::Request& request) {
    const auto header = request.headers.find("authorization");
    if (!header) return std::nullopt;
    constexpr std::string_view kScheme = "bearer ";
    if (header->size() <= kScheme.size()) return std::nullopt;
    for (std::size_t i = 0; i < kScheme.size(); ++i) {
        if (std::tolower(static_cast<unsigned char>((*header)[i])) != kScheme[i]) {
            return std::nullopt;
        }
    }
    std::string_view credential = header->substr(kScheme.size());
    while (credential.starts_with(' ')) credential.remove_prefix(1);
    while (credential.ends_with(' ')) credential.remove_suffix(1);
    if (credential.empty()) return std::nullopt;
    return std::string{credential};
}

}  // namespace nutgate::api
