#include "nwc_link.h"

#include <algorithm>
#include <array>
#include <utility>

#include "nutgate/base/log.h"
#include "nutgate/base/verify.h"
#include "nutgate/crypto/nostr_cipher.h"

namespace nutgate::lightning {
namespace {

constexpr int kProfileKind = 13'194;
constexpr int kRequestKind = 23'194;
constexpr int kAnswerKind = 23'195;
constexpr int kNoteKind04 = 23'196;
constexpr int kNoteKind44 = 23'197;
constexpr std::size_t kMethodsMax = 64;

struct Code {
    std::string_view name;
    NwcError error;
};
constexpr std::array kCodes{Code{"RATE_LIMITED", NwcError::RateLimited},
                            Code{"NOT_IMPLEMENTED", NwcError::NotImplemented},
                            Code{"INSUFFICIENT_BALANCE", NwcError::InsufficientBalance},
                            Code{"QUOTA_EXCEEDED", NwcError::QuotaExceeded},
                            Code{"RESTRICTED", NwcError::Restricted},
                            Code{"UNAUTHORIZED", NwcError::Unauthorized},
                            Code{"INTERNAL", NwcError::Internal},
                            Code{"UNSUPPORTED_ENCRYPTION", NwcError::UnsupportedEncryption},
                            Code{"PAYMENT_FAILED", NwcError::PaymentFailed},
                            Code{"NOT_FOUND", NwcError::NotFound}};

NwcError error_of(std::string_view code) {
    for (const Code& known : kCodes) {
        if (known.name == code) return known.error;
    }
    return NwcError::Unexplained;
}

std::set<std::string, std::less<>> words_of(std::string_view text) {
    std::set<std::string, std::less<>> words;
    while (!text.empty() && words.size() < kMethodsMax) {
        const auto end = text.find(' ');
        if (end != 0) words.emplace(text.substr(0, end));
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    }
    return words;
}

RelayOptions relay_options(const std::string& name, const NwcUri& uri, const NwcOptions& options) {
    return {.name = name,
            .urls = uri.relays,
            .peer = uri.service,
            .profile_kind = kProfileKind,
            .answer_kind = kAnswerKind,
            .note_kinds = {kNoteKind04, kNoteKind44},
            .patience = options.relay_patience,
            .backoff_first = options.backoff_first,
            .backoff_max = options.backoff_max};
}

}  // namespace

bool is_certain_refusal(NwcError error) {
    switch (error) {
        case NwcError::RateLimited:
        case NwcError::NotImplemented:
        case NwcError::InsufficientBalance:
        case NwcError::QuotaExceeded:
        case NwcError::Restricted:
        case NwcError::Unauthorized:
        case NwcError::UnsupportedEncryption:
            return true;
        case NwcError::NotSent:
        case NwcError::NoAnswer:
        case NwcError::Unreadable:
        case NwcError::Internal:
        case NwcError::PaymentFailed:
        case NwcError::NotFound:
        case NwcError::Unexplained:
            return false;
    }
    VERIFY(false);
    return false;
}

NwcProfile read_profile(const NostrEvent& event) {
    // A service that does not say knows nothing but NIP-04.
    const auto encryptions = words_of(event.tag("encryption").value_or("nip04"));
    return {.nip44 = encryptions.contains("nip44_v2"), .methods = words_of(event.content)};
}

NwcLink::NwcLink(std::string name, const NwcUri& uri, const NwcOptions& options,
                 http::WebSockets& sockets, const Clock& clock, crypto::Random& random,
                 std::function<void(const PaymentHash&)> hint)
    : name_{std::move(name)},
      service_{uri.service},
      key_{*crypto::Scalar::from_bytes(uri.secret.reveal())},
      their_key_{*crypto::point_of_x(uri.service)},
      conversation_{crypto::nip44_conversation_key(key_, their_key_)},
      clock_{clock},
      random_{random},
      hint_{std::move(hint)},
      relays_{relay_options(name_, uri, options),
              key_,
              sockets,
              clock,
              random,
              [this](const NostrEvent& event) { note(event); }} {}

void NwcLink::cease() { relays_.cease(); }

Result<NwcProfile, NwcError> NwcLink::profile(Milliseconds timeout) {
    const auto event = relays_.profile(timeout);
    if (event) return read_profile(*event);
    if (event.error() != RelayError::NotSent) {
        log::warn("nwc_no_profile", {{"backend", name_}});
    }
    return fail(NwcError::NotSent);
}

Result<Json, NwcError> NwcLink::call(const NwcCall& to_make) {
    TRY(const auto known, profile(to_make.timeout));
    const std::string plain = dump({{"method", to_make.method}, {"params", to_make.params}});
    if (plain.size() > crypto::kNip44PlainMax) return fail(NwcError::NotSent);
    const Time now = clock_.now();
    // Rounded down: late by no fraction of a second.
    const auto expires_at = to_unix_seconds(now + to_make.timeout);
    const auto request = sign_event(
        {.created_at = to_unix_seconds(now),
         .kind = kRequestKind,
         .tags = {{"p", to_hex(service_)},
                  {"encryption", known.nip44 ? "nip44_v2" : "nip04"},
                  {"expiration", std::to_string(expires_at)}},
         .content = known.nip44 ? crypto::nip44_encrypt(conversation_, plain, random_)
                                : crypto::nip04_encrypt(key_, their_key_, plain, random_)},
        key_, random_);
    const auto answer = relays_.ask(request, to_make.repeat, to_make.timeout);
    if (!answer) {
        const bool unsent = answer.error() == RelayError::NotSent;
        log::warn("nwc_call_failed", {{"backend", name_},
                                      {"method", to_make.method},
                                      {"why", unsent ? "no relay is there" : "no answer"}});
        return fail(unsent ? NwcError::NotSent : NwcError::NoAnswer);
    }
    return read_answer(to_make.method, *answer);
}

// The two schemes look different, and who signed it chose the one that it is written in.
std::optional<std::string> NwcLink::decrypt(std::string_view content) const {
    if (content.find("?iv=") != std::string_view::npos) {
        return crypto::nip04_decrypt(key_, their_key_, content);
    }
    return crypto::nip44_decrypt(conversation_, content);
}

Result<Json, NwcError> NwcLink::read_answer(std::string_view method,
                                            const NostrEvent& answer) const {
    const auto plain = decrypt(answer.content);
    const Json json = plain ? parse_json(*plain) : Json{};
    if (!json.is_object() || text_at(json, "result_type").value_or(std::string{method}) != method) {
        log::warn("nwc_answer_unreadable", {{"backend", name_}, {"method", method}});
        return fail(NwcError::Unreadable);
    }
    const Json& error = member(json, "error");
    if (!error.is_null()) {
        const auto code = text_at(error, "code").value_or("");
        log::info("nwc_answer", {{"backend", name_}, {"method", method}, {"code", code}});
        return fail(error_of(code));
    }
    const Json& result = member(json, "result");
    if (!result.is_object()) return fail(NwcError::Unreadable);
    return result;
}

void NwcLink::note(const NostrEvent& event) {
    const auto plain = decrypt(event.content);
    const Json json = plain ? parse_json(*plain) : Json{};
    const auto hash = bytes32_at(member(json, "notification"), "payment_hash");
    if (!hash) return;
    std::pair told{text_at(json, "notification_type").value_or(""), PaymentHash{*hash}};
    if (std::ranges::find(told_of_, told) != told_of_.end()) return;
    told_of_.push_back(std::move(told));
    if (told_of_.size() > kToldOfMax) told_of_.pop_front();
    hint_(PaymentHash{*hash});
}

}  // namespace nutgate::lightning
