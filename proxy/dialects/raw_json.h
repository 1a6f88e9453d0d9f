// JSON as it was written. What a translator has no reason to change is copied as the bytes that
// came: no number is read and printed again, no string is decoded and escaped again.
//
// The text outlives what is found in it. All of it is RFC 8259 in valid UTF-8 and no deeper than
// JsonReader::kDepthMax, or there is nothing to be found.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "json_scan.h"

namespace nutgate::proxy {

class RawJson {
public:
    // The document that this text is; empty if it is none.
    static std::optional<RawJson> parse(std::string_view text);

    bool is_object() const { return first_ == JsonToken::BeginObject; }
    bool is_array() const { return first_ == JsonToken::BeginArray; }
    bool is_string() const { return first_ == JsonToken::String; }
    bool is_number() const { return first_ == JsonToken::Number; }
    bool is_true() const { return first_ == JsonToken::True; }
    bool is_false() const { return first_ == JsonToken::False; }
    bool is_null() const { return first_ == JsonToken::Null; }

    std::string_view raw() const { return text_; }
    // Of a string: what it stands for. Of anything else: nothing.
    std::string text() const;
    // Of a string: its raw letters between the quotes. Two of them, joined, are a string's again.
    std::string_view letters() const;
    std::optional<std::int64_t> integer() const;
    // Of an array. Of anything else: none.
    std::vector<RawJson> items() const;

private:
    friend class RawObject;
    RawJson(std::string_view text, JsonToken first) : text_{text}, first_{first} {}

    std::string_view text_;
    JsonToken first_;
};

// The members of an object that is looked into.
class RawObject {
public:
    static constexpr std::size_t kMembersMax = 256;

    struct Member {
        std::string_view key;  // Raw, without quotes: see key_is().
        RawJson value;
    };

    // Empty if it is no object, has too many members, or has two of one name: what they mean
    // depends on who reads them.
    static std::optional<RawObject> make(const RawJson& value);
    // The object that this text is.
    static std::optional<RawObject> parse(std::string_view text);

    const RawJson* find(std::string_view name) const;   // Null if it is not there.
    const RawJson* given(std::string_view name) const;  // The same if its value is null.
    // What a string member stands for; empty if there is no such string.
    std::string text(std::string_view name) const;
    const std::vector<Member>& members() const { return members_; }

private:
    explicit RawObject(std::vector<Member> members) : members_{std::move(members)} {}

    std::vector<Member> members_;
};

// Writes an object, member after member.
class ObjectText {
public:
    ObjectText& raw(std::string_view name, std::string_view json);
    ObjectText& text(std::string_view name, std::string_view value);
    ObjectText& number(std::string_view name, std::int64_t value);
    bool empty() const { return json_.size() == 1; }
    std::string end();  // All of it. Nothing can be added after.

private:
    std::string json_ = "{";
};

// Adds one to a list of values, with the comma that belongs between them.
void add_item(std::string& list, std::string_view json);

// Whether there is anything in it but blanks.
bool is_blank(std::string_view text);

}  // namespace nutgate::proxy
