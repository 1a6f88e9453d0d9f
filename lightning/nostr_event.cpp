#include "nostr_event.h"

#include "nutgate/crypto/hash.h"
#include "nutgate/crypto/signature.h"

namespace nutgate::lightning {
namespace {

using Error = NostrEventError;

// As NIP-01 has it: these seven, and all else as it is.
constexpr std::string_view kEscaped = "\n\"\\\r\t\b\f";
constexpr std::string_view kEscapes = "n\"\\rtbf";

void write_text(std::string& out, std::string_view text) {
    out += '"';
    for (const char c : text) {
        const auto place = kEscaped.find(c);
        if (place == std::string_view::npos) {
            out += c;
        } else {
            out += '\\';
            out += kEscapes[place];
        }
    }
    out += '"';
}

// Digits of lower case only: another writing would be another text under the same id.
template <std::size_t N>
std::optional<ByteArray<N>> hex_at(const Json& json, std::string_view name) {
    const auto text = text_at(json, name);
    const auto bytes = text ? array_from_hex<N>(*text) : std::nullopt;
    return bytes && to_hex(*bytes) == *text ? bytes : std::nullopt;
}

Result<std::vector<NostrTag>, Error> read_tags(const Json& json) {
    if (!json.is_array()) return fail(Error::Malformed);
    if (json.size() > kEventTagsMax) return fail(Error::TooLarge);
    std::vector<NostrTag> tags;
    for (const Json& written : json) {
        if (!written.is_array()) return fail(Error::Malformed);
        if (written.size() > kEventTagItemsMax) return fail(Error::TooLarge);
        NostrTag tag;
        for (const Json& item : written) {
            if (!item.is_string()) return fail(Error::Malformed);
            tag.push_back(item.get<std::string>());
            if (tag.back().size() > kEventTagItemBytesMax) return fail(Error::TooLarge);
        }
        tags.push_back(std::move(tag));
    }
    return tags;
}

}  // namespace

std::optional<std::string_view> NostrEvent::tag(std::string_view name) const {
    for (const NostrTag& tag : tags) {
        if (!tag.empty() && tag.front() == name) {
            if (tag.size() < 2) return std::nullopt;
            return tag[1];
        }
    }
    return std::nullopt;
}

Result<NostrEvent, Error> read_event(const Json& json) {
    const auto id = hex_at<32>(json, "id");
    const auto author = hex_at<32>(json, "pubkey");
    const auto signature = hex_at<64>(json, "sig");
    auto content = text_at(json, "content");
    const Json& created_at = member(json, "created_at");
    const Json& kind = member(json, "kind");
    if (!id || !author || !signature || !content || !created_at.is_number_integer() ||
        !kind.is_number_integer()) {
        return fail(Error::Malformed);
    }
    const auto time = integer_at(json, "created_at");
    const auto number = integer_at(json, "kind");
    if (!time || *time < 0 || !number || *number < 0 || *number > kEventKindMax) {
        return fail(Error::Malformed);
    }
    if (content->size() > kEventContentMax) return fail(Error::TooLarge);
    TRY(auto tags, read_tags(member(json, "tags")));
    return NostrEvent{.id = *id,
                      .author = *author,
                      .created_at = *time,
                      .kind = static_cast<int>(*number),
                      .tags = std::move(tags),
                      .content = *std::move(content),
                      .signature = *signature};
}

std::string event_preimage(const NostrEvent& event) {
    std::string text = "[0,\"" + to_hex(event.author) + "\"," + std::to_string(event.created_at) +
                       "," + std::to_string(event.kind) + ",[";
    bool is_first_tag = true;
    for (const NostrTag& tag : event.tags) {
        text += is_first_tag ? "[" : ",[";
        is_first_tag = false;
        bool is_first = true;
        for (const std::string& item : tag) {
            if (!is_first) text += ',';
            is_first = false;
            write_text(text, item);
        }
        text += ']';
    }
    text += "],";
    write_text(text, event.content);
    return text + "]";
}

Result<void, Error> verify_event(const NostrEvent& event) {
    if (crypto::sha256(as_bytes(event_preimage(event))) != event.id) return fail(Error::WrongId);
    if (!crypto::schnorr_verify(event.author, event.id, event.signature)) {
        return fail(Error::WrongSignature);
    }
    return {};
}

NostrEvent sign_event(NostrEvent draft, const crypto::Scalar& key, crypto::Random& random) {
    draft.author = crypto::generator_times(key).x_only();
    draft.id = crypto::sha256(as_bytes(event_preimage(draft)));
    draft.signature = crypto::schnorr_sign(key, draft.id, random);
    return draft;
}

Json to_json(const NostrEvent& event) {
    return {{"id", to_hex(event.id)},
            {"pubkey", to_hex(event.author)},
            {"created_at", event.created_at},
            {"kind", event.kind},
            {"tags", event.tags},
            {"content", event.content},
            {"sig", to_hex(event.signature)}};
}

}  // namespace nutgate::lightning
