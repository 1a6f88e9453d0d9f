// What the parsers of all sold bodies have in common: one JSON object, read once and strictly.
//
// What is checked here must be what an upstream reads, so nothing may mean two things: no field
// twice, none in other letters than its own, and of those that nobody here knows none passes unless
// the operator says so, since it may buy something that nobody counts.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "json_scan.h"
#include "nutgate/base/result.h"
#include "nutgate/http/error_envelope.h"
#include "nutgate/proxy/models.h"

namespace nutgate::proxy {

http::ApiError bad_request(std::string code, std::string message,
                           std::optional<std::string> param = std::nullopt);
http::ApiError bad_json();
// "`field` must be `what`."
http::ApiError bad_value(std::string_view field, std::string_view what);
http::ApiError unsupported(std::string field, std::string why);
// "'`field`' is not sold here."
http::ApiError not_sold(std::string_view field);

bool longer_is_like(std::string_view raw_key, std::string_view name);
// A raw key in whatever letters and escapes, which are longer than what they stand for.
inline bool is_like(std::string_view raw_key, std::string_view name) {
    if (raw_key.size() == name.size()) return http::equal_without_case(raw_key, name);
    return raw_key.size() > name.size() && longer_is_like(raw_key, name);
}

// For lists of fields, which are read by people in one order and searched in another.
template <std::size_t N>
consteval std::array<std::string_view, N> sorted(std::array<std::string_view, N> names) {
    std::sort(names.begin(), names.end());
    return names;
}

// What is read of every body.
struct BodyFields {
    std::string model;
    bool stream = false;
    std::uint64_t text_bytes = 0;           // Of what the model reads, decoded.
    std::vector<std::string> other_fields;  // Not known to be covered by the price.

    // Where things stand in the body.
    Span model_place;
    std::size_t end_place = 0;  // Of the closing brace; there is a member before it.
};

// stream_options.include_usage, and where it stands or would.
struct UsageAsked {
    bool usage_asked = false;
    std::optional<Span> stream_options_place;
    std::optional<Span> include_usage_place;
    bool stream_options_null = false;
    bool stream_options_empty = false;
};

// A limit of the client's. A value that is null has a place too.
struct Limit {
    std::optional<std::int64_t> value;
    std::optional<Span> place;
    Span key_place{};  // Of its name, within the quotes.
};

// The fields that this model's operator has not let pass are refused.
Result<void, http::ApiError> check_other_fields(const BodyFields& fields, const Model& model);

// Changes of a body on its way to an upstream.
class BodyEdits {
public:
    BodyEdits(std::string_view body, const BodyFields& fields) : body_{body}, fields_{fields} {}

    // The upstream's name for the model, where it is another.
    void name_model(std::string_view name);
    void name_model_in_form(std::string_view name);  // Where it stands without quotes.
    void replace(Span place, std::string value) { edits_.push_back({place, std::move(value)}); }
    void add(std::string_view field, std::string_view value);
    // The limit is never above `most`; where the client gave none, it is `unless_given`.
    void keep_below(std::string_view field, const Limit& limit, std::int64_t most,
                    std::optional<std::int64_t> unless_given);
    // The same under `field`, of a limit that the client gave under another name, which ends.
    void keep_below_as(std::string_view field, const Limit& there, const Limit& limit,
                       std::int64_t most);
    void ask_for_usage(const UsageAsked& asked);
    std::string apply();  // Once.

private:
    std::string_view body_;
    const BodyFields& fields_;
    std::vector<Edit> edits_;
    std::string added_;
};

class BodyParser {
protected:
    using Parsed = Result<void, http::ApiError>;

    // `known` is sorted. What is found is put into `fields`, which outlives this.
    BodyParser(std::string_view body, std::span<const std::string_view> known, BodyFields& fields)
        : reader_{body}, known_{known}, found_{fields} {}

    // From the first brace to the last. `read` takes each field's value.
    template <class Read>
    Parsed walk(Read read) {
        if (reader_.next() != JsonToken::BeginObject) return fail(bad_json());
        while (const auto member = reader_.next_member()) {
            key_place_ = reader_.place_of(member->key);
            TRY_VOID(note(plain_name(member->key)));
            TRY_VOID(read(fields_.back(), member->first));
        }
        if (reader_.failed()) return fail(bad_json());
        found_.end_place = reader_.span().begin;
        if (reader_.next() != JsonToken::End) return fail(bad_json());
        if (found_.model.empty()) return fail(bad_value("model", "a model's id"));
        return {};
    }

    bool is_known(std::string_view field) const {
        return std::binary_search(known_.begin(), known_.end(), field);
    }

    Parsed read_model(JsonToken first);
    Parsed read_flag(std::string_view field, JsonToken first, bool& flag);
    // At least 1. Null is as good as absent.
    Result<std::optional<std::int64_t>, http::ApiError> read_integer(std::string_view field,
                                                                     JsonToken first);
    Parsed read_limit(std::string_view field, JsonToken first, Limit& limit);
    Parsed read_stream_options(JsonToken first, UsageAsked& asked);
    // Passes it if it is known, null, or let pass by the operator.
    Parsed read_other(std::string_view field, JsonToken first);
    // The same, for one that only the values that `harmless` says are known of.
    Parsed read_other(std::string_view field, JsonToken first, bool harmless);
    // Every string within the value, keys included: a template may print both.
    void count_text(JsonToken first);
    // An array's elements, each given to `read` with its first token.
    template <class Read>
    Parsed read_items(Read read) {
        for (;;) {
            const JsonToken token = reader_.next();
            if (token == JsonToken::EndArray) return {};
            if (token == JsonToken::Error) return fail(bad_json());
            TRY_VOID(read(token));
            if (reader_.failed()) return fail(bad_json());
        }
    }
    // An object's members, each given to `read` with its raw key and its value's first token.
    template <class Read>
    Parsed read_members(Read read) {
        while (const auto member = reader_.next_member())
            TRY_VOID(read(member->key, member->first));
        if (reader_.failed()) return fail(bad_json());
        return {};
    }
    Parsed skip(JsonToken first) {
        if (!reader_.skip(first)) return fail(bad_json());
        return {};
    }
    // A string's text; anything else has none.
    std::string text_of(JsonToken first) const {
        return first == JsonToken::String ? json_text(reader_.raw()) : std::string{};
    }

    JsonReader reader_;

private:
    std::string_view plain_name(std::string_view raw_key);
    Parsed note(std::string_view field);

    std::span<const std::string_view> known_;
    BodyFields& found_;
    Span key_place_;  // Of the field that is being read.
    std::vector<std::string_view> fields_;
    std::list<std::string> decoded_;  // What some of them are in: it stays where it is.
};

}  // namespace nutgate::proxy
