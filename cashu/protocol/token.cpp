#include "nutgate/cashu/token.h"

#include <algorithm>
#include <array>
#include <set>

#include "nutgate/cashu/dhke.h"
#include "nutgate/cashu/wire.h"
#include "nutgate/crypto/hash.h"
#include "protocol/token_v3.h"
#include "protocol/token_v4.h"

namespace nutgate::cashu {

namespace {

constexpr std::string_view kV3 = "cashuA";
constexpr std::string_view kV4 = "cashuB";
constexpr std::string_view kRawV4 = "crawB";
// The longer ones first, so that none hides another.
constexpr std::array<std::string_view, 4> kSchemes{"web+cashu://", "web+cashu:", "cashu://",
                                                   "cashu:"};
// "cashuB" and the smallest thing that could be behind it.
constexpr std::size_t kTokenCharsMin = 16;

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

// Without the scheme, and without the white space that mail and chat put into long lines.
std::string bare(std::string_view text) {
    std::string result;
    result.reserve(text.size());
    std::ranges::copy_if(text, std::back_inserter(result), [](char c) { return !is_space(c); });
    for (const std::string_view scheme : kSchemes) {
        if (result.starts_with(scheme)) return result.substr(scheme.size());
    }
    return result;
}

Result<Token, TokenError> checked(Token token) {
    if (token.proofs.empty()) return fail(TokenError::ZeroValue);
    if (token.proofs.size() > kTokenProofsMax) return fail(TokenError::TooLarge);
    std::set<std::string_view> secrets;
    for (const Proof& proof : token.proofs) {
        if (proof.amount == 0) return fail(TokenError::ZeroValue);
        if (proof.secret.empty()) return fail(TokenError::Malformed);
        if (proof.secret.size() > kSecretBytesMax) return fail(TokenError::TooLarge);
        if (proof.witness && proof.witness->size() > kWitnessBytesMax) {
            return fail(TokenError::TooLarge);
        }
        if (!secrets.insert(proof.secret).second) return fail(TokenError::DuplicateProof);
    }
    if (!sum(token.proofs)) return fail(TokenError::AmountOverflow);
    return token;
}

}  // namespace

Result<Token, TokenError> parse_token(std::string_view text) {
    if (text.size() > kTokenBytesMax) return fail(TokenError::TooLarge);
    const std::string token = bare(text);
    const bool is_v3 = token.starts_with(kV3);
    if (!is_v3 && !token.starts_with(kV4)) return fail(TokenError::NotAToken);
    const auto bytes = from_base64(std::string_view{token}.substr(kV4.size()));
    if (!bytes) return fail(TokenError::Malformed);
    TRY(auto parsed, is_v3 ? read_token_v3(*bytes) : read_token_v4(*bytes));
    return checked(std::move(parsed));
}

Result<Token, TokenError> parse_raw_token(BytesView bytes) {
    if (bytes.size() > kTokenBytesMax) return fail(TokenError::TooLarge);
    if (!as_text(bytes).starts_with(kRawV4)) return fail(TokenError::NotAToken);
    TRY(auto parsed, read_token_v4(bytes.subspan(kRawV4.size())));
    return checked(std::move(parsed));
}

std::string write_token(const Token& token, TokenDleq dleq) {
    return std::string{kV4} + to_base64url(write_token_v4(token, dleq));
}

Result<Token, TokenError> resolve_keysets(Token token, std::span<const KeysetId> known) {
    for (Proof& proof : token.proofs) {
        if (!proof.id.is_short()) continue;
        std::optional<KeysetId> found;
        for (const KeysetId& id : known) {
            if (id.is_short() || id.version() != 1 || id.shortened() != proof.id) continue;
            // Two that match: whichever we took, it could be the wrong one.
            if (found && *found != id) return fail(TokenError::KeysetUnknown);
            found = id;
        }
        if (!found) return fail(TokenError::KeysetUnknown);
        proof.id = *found;
    }
    return token;
}

std::optional<TokenIdentity> identity_of(const std::vector<Proof>& proofs) {
    std::vector<ByteArray<33>> ys;
    for (const Proof& proof : proofs) {
        const auto y = hash_to_curve(proof.secret);
        if (!y) return std::nullopt;
        ys.push_back(y->compressed());
    }
    std::ranges::sort(ys);
    Bytes joined;
    for (const auto& y : ys) joined.insert(joined.end(), y.begin(), y.end());
    return TokenIdentity{crypto::sha256(joined)};
}

bool looks_like_token(std::string_view text) {
    if (text.size() > kTokenBytesMax) return false;
    const std::string token = bare(text);
    return token.size() >= kTokenCharsMin && (token.starts_with(kV3) || token.starts_with(kV4));
}

}  // namespace nutgate::cashu
