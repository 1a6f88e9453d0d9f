#include "nutgate/lightning/nwc_uri.h"

#include <algorithm>
#include <optional>
#include <span>
#include <utility>

#include "nutgate/crypto/curve.h"
#include "nutgate/crypto/nostr_cipher.h"
#include "nutgate/http/message.h"
#include "nutgate/http/url.h"

namespace nutgate {
namespace {

using Error = NwcUriError;

constexpr std::string_view kScheme = "nostr+walletconnect:";

// Its digits alone decide: a URL of http has the same parts.
bool is_relay(std::string_view text) {
    const auto rest = text.find("://");
    if (rest == std::string_view::npos) return false;
    const auto scheme = text.substr(0, rest);
    const bool is_plain = http::equal_without_case(scheme, "ws");
    if (!is_plain && !http::equal_without_case(scheme, "wss")) return false;
    return http::parse_url((is_plain ? "http" : "https") + std::string{text.substr(rest)})
        .has_value();
}

Result<void, Error> take_relay(std::string relay, NwcUri& uri) {
    if (!is_relay(relay)) return fail(Error::RelayMalformed);
    if (std::ranges::find(uri.relays, relay) != uri.relays.end()) return {};
    if (uri.relays.size() >= kNwcRelaysMax) return fail(Error::TooManyRelays);
    uri.relays.push_back(std::move(relay));
    return {};
}

Result<void, Error> take_secret(std::string_view digits, NwcUri& uri) {
    if (!uri.secret.empty()) return fail(Error::Repeated);
    const auto key = crypto::Scalar::from_hex(digits);
    if (!key) return fail(Error::SecretMalformed);
    uri.secret = Secret{Bytes{key->bytes().begin(), key->bytes().end()}};
    return {};
}

Result<void, Error> take(std::string_view pair, NwcUri& uri) {
    const auto equals = pair.find('=');
    const auto name = pair.substr(0, equals);
    if (name != "relay" && name != "secret" && name != "lud16") return {};
    const auto written = equals == std::string_view::npos ? "" : pair.substr(equals + 1);
    auto value = http::percent_decode(written, http::Encoding::Path);
    if (!value) return fail(Error::EscapeMalformed);
    if (name == "relay") return take_relay(*std::move(value), uri);
    if (name == "secret") {
        auto taken = take_secret(*value, uri);
        wipe(std::as_writable_bytes(std::span{*value}));
        return taken;
    }
    if (!uri.lud16.empty()) return fail(Error::Repeated);
    uri.lud16 = *std::move(value);
    return {};
}

}  // namespace

std::string_view to_text(NwcUriError error) {
    switch (error) {
        case Error::NotAnAddress:
            return "does not begin with nostr+walletconnect://, or is far too long";
        case Error::EscapeMalformed:
            return "has a malformed %-escape";
        case Error::ServiceMalformed:
            return "names no wallet service: 64 digits of hex that are a public key";
        case Error::RelayMissing:
            return "names no relay";
        case Error::RelayMalformed:
            return "names a relay that is no URL of ws or wss";
        case Error::TooManyRelays:
            return "names more than 8 relays";
        case Error::SecretMissing:
            return "has no secret";
        case Error::SecretMalformed:
            return "has a secret that is not a key of 64 digits of hex";
        case Error::Repeated:
            return "has a secret or a lud16 twice";
    }
    VERIFY(false);
    return {};
}

Result<NwcUri, NwcUriError> parse_nwc_uri(std::string_view text) {
    if (text.size() > kNwcUriBytesMax || text.size() < kScheme.size() ||
        !http::equal_without_case(text.substr(0, kScheme.size()), kScheme)) {
        return fail(Error::NotAnAddress);
    }
    text.remove_prefix(kScheme.size());
    if (text.starts_with("//")) text.remove_prefix(2);
    const auto question = text.find('?');
    const auto service = array_from_hex<32>(text.substr(0, question));
    if (!service || !crypto::point_of_x(*service)) return fail(Error::ServiceMalformed);
    NwcUri uri;
    uri.service = *service;
    auto rest = question == std::string_view::npos ? "" : text.substr(question + 1);
    while (!rest.empty()) {
        const auto end = rest.find('&');
        TRY_VOID(take(rest.substr(0, end), uri));
        rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    }
    if (uri.relays.empty()) return fail(Error::RelayMissing);
    if (uri.secret.empty()) return fail(Error::SecretMissing);
    return uri;
}

}  // namespace nutgate
