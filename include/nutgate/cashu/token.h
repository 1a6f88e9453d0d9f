// Tokens: ecash as text (NUT-00). V3 and V4 are read, V4 is written.
//
// Reading is bounded and structural: it says what the text holds, not whether it is money. Keyset
// ids of a token may be short; resolve_keysets() makes them whole once the mint's are known.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nutgate/base/id.h"
#include "nutgate/base/result.h"
#include "nutgate/cashu/proof.h"

namespace nutgate::cashu {

inline constexpr std::size_t kTokenBytesMax = 256 * 1024;
inline constexpr std::size_t kTokenProofsMax = 500;
inline constexpr std::size_t kSecretBytesMax = 1024;
inline constexpr std::size_t kWitnessBytesMax = 8192;

struct Token {
    MintUrl mint;
    std::string unit;
    std::optional<std::string> memo;
    std::vector<Proof> proofs;
};

enum class TokenError {
    NotAToken,  // No known prefix.
    Malformed,  // Not base64url, JSON or CBOR of the right shape; a point off the curve.
    TooLarge,   // Beyond one of the bounds above.
    SeveralMints,
    DuplicateProof,  // The same secret twice.
    ZeroValue,       // No proofs, or an amount of zero.
    AmountOverflow,
    KeysetUnknown,  // resolve_keysets(): none or several keysets match.
};

// Takes the prefixes "cashu:", "cashu://", "web+cashu://", and white space around and within.
Result<Token, TokenError> parse_token(std::string_view text);
// The raw form "craw" + "B" + CBOR (NUT-00).
Result<Token, TokenError> parse_raw_token(BytesView bytes);

enum class TokenDleq { Keep, Remove };
std::string write_token(const Token& token, TokenDleq dleq = TokenDleq::Keep);

Result<Token, TokenError> resolve_keysets(Token token, std::span<const KeysetId> known);

// SHA-256 of the sorted Ys: the same proofs in another encoding are the same token.
std::optional<TokenIdentity> identity_of(const std::vector<Proof>& proofs);

// True for what only a token can be: for detection, without parsing it.
bool looks_like_token(std::string_view text);

}  // namespace nutgate::cashu
