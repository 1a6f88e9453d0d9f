#pragma once

#include "nutgate/base/bytes.h"
#include "nutgate/cashu/token.h"

namespace nutgate::cashu {

// The CBOR behind "cashuB". Checks shape only; bounds and sums are token.cpp's.
Result<Token, TokenError> read_token_v4(BytesView cbor);

// Keys in the order of the specification's own examples; v2 keyset ids cut short, as it asks for.
Bytes write_token_v4(const Token& token, TokenDleq dleq);

}  // namespace nutgate::cashu
