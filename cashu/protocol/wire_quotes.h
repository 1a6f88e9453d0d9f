// Quotes within other messages.
#pragma once

#include "protocol/json_reader.h"

namespace nutgate::cashu::wire {

MintQuote read_mint_quote(Reader& reader, const Json& json);

}  // namespace nutgate::cashu::wire
