#include "dialects/raw_json.h"

#include <list>
#include <set>
#include <utility>

#include "nutgate/http/error_envelope.h"

namespace nutgate::proxy {
namespace {

// The names of an object. Each is decoded once, however many there are: they are a stranger's.
class Names {
public:
    // False: it is there already.
    bool add(std::string_view raw_key) {
        if (raw_key.find('\\') == std::string_view::npos) return names_.insert(raw_key).second;
        return names_.insert(decoded_.emplace_back(json_text('"' + std::string{raw_key} + '"')))
            .second;
    }

private:
    std::set<std::string_view> names_;
    std::list<std::string> decoded_;  // What some of them are in: it stays where it is.
};

}  // namespace

std::optional<RawJson> RawJson::parse(std::string_view text) {
    JsonReader reader{text};
    const JsonToken first = reader.next();
    const auto place = reader.skip(first);
    if (!place || reader.next() != JsonToken::End) return std::nullopt;
    return RawJson{place->of(text), first};
}

std::string RawJson::text() const { return is_string() ? json_text(text_) : std::string{}; }

std::string_view RawJson::letters() const {
    return is_string() ? text_.substr(1, text_.size() - 2) : std::string_view{};
}

std::optional<std::int64_t> RawJson::integer() const {
    return is_number() ? json_integer(text_) : std::nullopt;
}

std::vector<RawJson> RawJson::items() const {
    std::vector<RawJson> items;
    if (!is_array()) return items;
    JsonReader reader{text_};
    (void)reader.next();
    for (;;) {
        const JsonToken first = reader.next();
        if (first == JsonToken::EndArray) return items;
        const auto place = reader.skip(first);
        if (!place) return items;
        items.push_back(RawJson{place->of(text_), first});
    }
}

std::optional<RawObject> RawObject::make(const RawJson& value) {
    if (!value.is_object()) return std::nullopt;
    std::vector<Member> members;
    Names names;
    JsonReader reader{value.text_};
    (void)reader.next();
    while (const auto member = reader.next_member()) {
        if (members.size() == kMembersMax || !names.add(member->key)) return std::nullopt;
        const auto place = reader.skip(member->first);
        if (!place) return std::nullopt;
        members.push_back({member->key, RawJson{place->of(value.text_), member->first}});
    }
    if (reader.failed()) return std::nullopt;
    return RawObject{std::move(members)};
}

std::optional<RawObject> RawObject::parse(std::string_view text) {
    const auto value = RawJson::parse(text);
    return value ? make(*value) : std::nullopt;
}

const RawJson* RawObject::find(std::string_view name) const {
    for (const Member& member : members_) {
        if (key_is(member.key, name)) return &member.value;
    }
    return nullptr;
}

const RawJson* RawObject::given(std::string_view name) const {
    const RawJson* found = find(name);
    return found != nullptr && !found->is_null() ? found : nullptr;
}

std::string RawObject::text(std::string_view name) const {
    const RawJson* found = find(name);
    return found != nullptr ? found->text() : std::string{};
}

ObjectText& ObjectText::raw(std::string_view name, std::string_view json) {
    if (!empty()) json_ += ',';
    json_.append(1, '"').append(name).append("\":").append(json);
    return *this;
}

ObjectText& ObjectText::text(std::string_view name, std::string_view value) {
    return raw(name, http::json_quote(value));
}

ObjectText& ObjectText::number(std::string_view name, std::int64_t value) {
    return raw(name, std::to_string(value));
}

std::string ObjectText::end() {
    json_ += '}';
    return std::move(json_);
}

void add_item(std::string& list, std::string_view json) {
    if (!list.empty()) list += ',';
    list += json;
}

bool is_blank(std::string_view text) {
    return text.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

}  // namespace nutgate::proxy
