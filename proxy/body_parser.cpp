#include "body_parser.h"

#include <utility>

namespace nutgate::proxy {
namespace {

constexpr std::size_t kFieldsMax = 256;
constexpr std::size_t kFieldsUsual = 16;

}  // namespace

http::ApiError bad_request(std::string code, std::string message,
                           std::optional<std::string> param) {
    return {.status = 400,
            .type = "invalid_request_error",
            .code = std::move(code),
            .message = std::move(message),
            .param = std::move(param)};
}

http::ApiError bad_json() {
    return bad_request("invalid_json", "The body is not a JSON object in UTF-8.");
}

http::ApiError bad_value(std::string_view field, std::string_view what) {
    return bad_request("invalid_value", std::string{field} + " must be " + std::string{what} + '.',
                       std::string{field});
}

http::ApiError unsupported(std::string field, std::string why) {
    return bad_request("unsupported_parameter", std::move(why), std::move(field));
}

http::ApiError not_sold(std::string_view field) {
    return unsupported(std::string{field}, "'" + std::string{field} + "' is not sold here.");
}

bool longer_is_like(std::string_view raw_key, std::string_view name) {
    if (raw_key.find('\\') == std::string_view::npos) return false;
    return http::equal_without_case(json_text('"' + std::string{raw_key} + '"'), name);
}

Result<void, http::ApiError> check_other_fields(const BodyFields& fields, const Model& model) {
    const auto& extra = model.extra_fields;
    for (const std::string& field : fields.other_fields) {
        if (std::find(extra.begin(), extra.end(), field) == extra.end()) {
            return fail(not_sold(field));
        }
    }
    return {};
}

void BodyEdits::name_model(std::string_view name) {
    if (name != fields_.model) edits_.push_back({fields_.model_place, http::json_quote(name)});
}

void BodyEdits::name_model_in_form(std::string_view name) {
    if (name != fields_.model) edits_.push_back({fields_.model_place, std::string{name}});
}

void BodyEdits::add(std::string_view field, std::string_view value) {
    added_.append(",\"").append(field).append("\":").append(value);
}

void BodyEdits::keep_below(std::string_view field, const Limit& limit, std::int64_t most,
                           std::optional<std::int64_t> unless_given) {
    if (limit.value && *limit.value <= most) return;
    if (!limit.value && !unless_given) return;
    const std::int64_t kept = limit.value ? most : std::min(most, *unless_given);
    if (limit.place) {
        edits_.push_back({*limit.place, std::to_string(kept)});
    } else {
        add(field, std::to_string(kept));
    }
}

// Renamed, not added: some refuse to be given both. Where both names are there already, one of them
// is null, and then it is the other.
void BodyEdits::keep_below_as(std::string_view field, const Limit& there, const Limit& limit,
                              std::int64_t most) {
    const std::int64_t kept = std::min(*limit.value, most);
    if (there.place) {
        edits_.push_back({*there.place, std::to_string(kept)});
        edits_.push_back({*limit.place, "null"});
        return;
    }
    edits_.push_back({limit.key_place, std::string{field}});
    if (kept < *limit.value) edits_.push_back({*limit.place, std::to_string(kept)});
}

void BodyEdits::ask_for_usage(const UsageAsked& asked) {
    if (asked.usage_asked) return;
    if (asked.include_usage_place) {
        edits_.push_back({*asked.include_usage_place, "true"});
    } else if (!asked.stream_options_place) {
        added_ += R"(,"stream_options":{"include_usage":true})";
    } else if (asked.stream_options_null) {
        edits_.push_back({*asked.stream_options_place, R"({"include_usage":true})"});
    } else {
        const std::size_t inside = asked.stream_options_place->begin + 1;
        edits_.push_back(
            {{inside, inside},
             asked.stream_options_empty ? R"("include_usage":true)" : R"("include_usage":true,)"});
    }
}

std::string BodyEdits::apply() {
    if (!added_.empty()) {
        edits_.push_back({{fields_.end_place, fields_.end_place}, std::move(added_)});
    }
    return apply_edits(body_, std::move(edits_));
}

// As it stands in the body, which outlives this, unless it is written with escapes.
std::string_view BodyParser::plain_name(std::string_view raw_key) {
    if (raw_key.find('\\') == std::string_view::npos) return raw_key;
    return decoded_.emplace_back(json_text('"' + std::string{raw_key} + '"'));
}

// Twice the same name means different things to different parsers, and so does a name in other
// letters to those that do not care (Go's): what we check must be what the upstream reads.
BodyParser::Parsed BodyParser::note(std::string_view field) {
    if (fields_.size() == kFieldsMax) {
        return fail(bad_request("too_many_fields", "The body has too many fields."));
    }
    for (const char c : field) {
        if (static_cast<unsigned char>(c) >= 0x80) {
            return fail(unsupported(std::string{field}, "Names of fields are ASCII."));
        }
    }
    for (const std::string_view seen : fields_) {
        if (seen.size() == field.size() && http::equal_without_case(seen, field)) {
            std::string name{field};
            return fail(bad_request("duplicate_field", "'" + name + "' is there twice.", name));
        }
    }
    if (!is_known(field)) {
        for (const auto known : known_) {
            if (http::equal_without_case(known, field)) {
                return fail(unsupported(std::string{field}, "Did you mean '" + std::string{known} +
                                                                "'? Names are exact."));
            }
        }
    }
    if (fields_.empty()) fields_.reserve(kFieldsUsual);
    fields_.push_back(field);
    return {};
}

BodyParser::Parsed BodyParser::read_model(JsonToken first) {
    if (first != JsonToken::String) return fail(bad_value("model", "a model's id"));
    found_.model_place = reader_.span();
    found_.model = json_text(reader_.raw());
    return {};
}

BodyParser::Parsed BodyParser::read_flag(std::string_view field, JsonToken first, bool& flag) {
    if (first != JsonToken::True && first != JsonToken::False && first != JsonToken::Null) {
        return fail(bad_value(field, "true or false"));
    }
    flag = first == JsonToken::True;
    return {};
}

Result<std::optional<std::int64_t>, http::ApiError> BodyParser::read_integer(std::string_view field,
                                                                             JsonToken first) {
    if (first == JsonToken::Null) return std::optional<std::int64_t>{};
    const auto value = first == JsonToken::Number ? json_integer(reader_.raw()) : std::nullopt;
    if (!value || *value < 1 || *value > kTokensMax) {
        return fail(bad_value(field, "an integer of at least 1"));
    }
    return value;
}

BodyParser::Parsed BodyParser::read_limit(std::string_view field, JsonToken first, Limit& limit) {
    limit.place = reader_.span();
    limit.key_place = key_place_;
    TRY(limit.value, read_integer(field, first));
    return {};
}

BodyParser::Parsed BodyParser::read_stream_options(JsonToken first, UsageAsked& asked) {
    if (first != JsonToken::BeginObject && first != JsonToken::Null) {
        return fail(bad_value("stream_options", "an object"));
    }
    Span place = reader_.span();
    asked.stream_options_null = first == JsonToken::Null;
    asked.stream_options_empty = true;
    while (first == JsonToken::BeginObject) {
        const auto member = reader_.next_member();
        if (!member) break;
        asked.stream_options_empty = false;
        if (key_is(member->key, "include_usage")) {
            if (asked.include_usage_place) {
                return fail(bad_request("duplicate_field", "'include_usage' is there twice.",
                                        "stream_options.include_usage"));
            }
            asked.include_usage_place = reader_.span();
            TRY_VOID(read_flag("include_usage", member->first, asked.usage_asked));
        } else if (is_like(member->key, "include_usage")) {
            return fail(unsupported("stream_options", "Names are exact: 'include_usage'."));
        } else {
            (void)reader_.skip(member->first);
        }
    }
    if (reader_.failed()) return fail(bad_json());
    place.end = reader_.span().end;
    asked.stream_options_place = place;
    return {};
}

BodyParser::Parsed BodyParser::read_other(std::string_view field, JsonToken first) {
    return read_other(field, first, is_known(field));
}

BodyParser::Parsed BodyParser::read_other(std::string_view field, JsonToken first, bool harmless) {
    const bool passes = harmless || first == JsonToken::Null;
    TRY_VOID(skip(first));
    if (!passes) found_.other_fields.emplace_back(field);
    return {};
}

void BodyParser::count_text(JsonToken first) {
    if (first == JsonToken::String) found_.text_bytes += reader_.text_size();
    if (first != JsonToken::BeginObject && first != JsonToken::BeginArray) return;
    for (int depth = 1; depth > 0;) {
        const JsonToken token = reader_.next();
        if (token == JsonToken::Error) return;
        if (token == JsonToken::BeginObject || token == JsonToken::BeginArray) ++depth;
        if (token == JsonToken::EndObject || token == JsonToken::EndArray) --depth;
        if (token == JsonToken::String || token == JsonToken::Key) {
            found_.text_bytes += reader_.text_size();
        }
    }
}

}  // namespace nutgate::proxy
