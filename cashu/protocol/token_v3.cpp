#include "protocol/token_v3.h"

#include "protocol/json_reader.h"

namespace nutgate::cashu {

Result<Token, TokenError> read_token_v3(BytesView json) {
    wire::Reader reader{as_text(json)};
    const auto& entries = reader.items(reader.root(), "token", kTokenProofsMax);
    const auto unit = reader.maybe_text(reader.root(), "unit", kTokenBytesMax);
    const auto memo = reader.maybe_text(reader.root(), "memo", kTokenBytesMax);
    if (reader.failed()) return fail(TokenError::Malformed);
    if (entries.empty()) return fail(TokenError::ZeroValue);

    std::optional<Token> token;
    for (const auto& entry : entries) {
        const auto mint = MintUrl::parse(reader.text(entry, "mint", kTokenBytesMax));
        if (!mint) return fail(TokenError::Malformed);
        if (token && token->mint != *mint) return fail(TokenError::SeveralMints);
        // Unit became a field only later; what came before it was satoshi.
        if (!token) token = Token{*mint, unit.value_or("sat"), memo, {}};
        if (reader.items(entry, "proofs", kTokenProofsMax).size() + token->proofs.size() >
            kTokenProofsMax) {
            return fail(TokenError::TooLarge);
        }
        auto proofs = reader.proofs(entry, "proofs");
        std::ranges::move(proofs, std::back_inserter(token->proofs));
    }
    const auto outcome = reader.finish(true);
    if (outcome) return *std::move(token);
    switch (outcome.error().code) {
        case wire::WireError::Code::NotAKeyset:
            return fail(TokenError::KeysetUnknown);
        case wire::WireError::Code::TooMany:
        case wire::WireError::Code::TooLarge:
            return fail(TokenError::TooLarge);
        case wire::WireError::Code::NotJson:
        case wire::WireError::Code::Missing:
        case wire::WireError::Code::WrongType:
        case wire::WireError::Code::OutOfRange:
        case wire::WireError::Code::NotAPoint:
        case wire::WireError::Code::Duplicate:
            break;
    }
    return fail(TokenError::Malformed);
}

}  // namespace nutgate::cashu
