#include "wallet/classify.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "nutgate/cashu/wire.h"

namespace nutgate::cashu::wallet {
namespace {

// The codes by which a mint that saw these bytes once says that it will never act on them. Not
// among them: those that a mint which has already served us gives as well, and whatever we do not
// know.
bool is_definite(int code) {
    return code == 10001 || (code >= 11005 && code <= 11007) || (code >= 11009 && code <= 11015) ||
           (code >= 12001 && code <= 12003) || code == 20001 || (code >= 20007 && code <= 20009);
}

// What a mint says that has already served us, or sees outputs of ours in another request.
bool is_told_of_the_past(int code) {
    return code == 11001 || code == 11003 || code == 11004 || code == 11008 || code == 20002 ||
           code == 20006;
}

bool is_in_flight(int code) { return code == 11002 || code == 20005; }

constexpr std::size_t kDetailBytesMax = 300;

// A mint's words, for logs and terminals: the beginning of them, no character cut, and no controls.
std::string shown(std::string_view words) {
    const auto is_inside = [](char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; };
    std::size_t size = std::min(words.size(), kDetailBytesMax);
    while (size > 0 && size < words.size() && is_inside(words[size])) --size;
    std::string text{words.substr(0, size)};
    for (char& c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || byte == 0x7f) c = ' ';
    }
    return text;
}

}  // namespace

AnswerFacts facts_of(const Result<MintAnswer, MintFailure>& answer) {
    AnswerFacts facts;
    if (!answer) {
        facts.failure = answer.error();
        facts.detail = answer.error() == MintFailure::NotSent ? "the mint can't be reached"
                                                              : "the mint's answer was lost";
        return facts;
    }
    facts.status = answer->status;
    if (answer->status == 200) return facts;
    auto body = wire::parse_error(answer->body);
    facts.code = body.code;
    facts.detail = std::to_string(answer->status);
    if (body.code) facts.detail += " (" + std::to_string(*body.code) + ")";
    facts.detail += " " + shown(body.detail);
    return facts;
}

Verdict classify(const AnswerFacts& facts, Transmission transmission) {
    if (facts.failure) {
        return *facts.failure == MintFailure::NotSent ? Verdict::NotSent : Verdict::Unknown;
    }
    if (facts.status == 200) return Verdict::Success;
    if (facts.status == 429) return Verdict::Busy;
    // A proxy's or a server's own failure, whatever its body says, tells nothing about the mint.
    if (facts.status < 400 || facts.status >= 500 || !facts.code) return Verdict::Unknown;
    if (is_in_flight(*facts.code)) return Verdict::InFlight;
    if (is_definite(*facts.code) && transmission == Transmission::First) return Verdict::Refused;
    return Verdict::Unknown;
}

bool is_no(const AnswerFacts& facts) {
    return !facts.failure && facts.status >= 400 && facts.status < 500 && facts.status != 429 &&
           facts.code && !is_told_of_the_past(*facts.code) && !is_in_flight(*facts.code);
}

WalletError refusal(const AnswerFacts& facts) {
    using Code = WalletError::Code;
    Code code = Code::MintRefused;
    switch (facts.code.value_or(0)) {
        case 10001:
            code = Code::ProofInvalid;
            break;
        case 12001:
        case 12002:
        case 12003:
            code = Code::KeysetUnknown;
            break;
        case kQuoteSignatureInvalid:
            code = Code::LockedToOther;
            break;  // cdk, of a NUT-11 witness.
    }
    return {code, facts.detail};
}

}  // namespace nutgate::cashu::wallet
