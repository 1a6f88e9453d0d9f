// Several mint quotes at once (NUT-29): asked about in one request, issued for in one. All or
// nothing: what fails for one quote fails for all, and changes nothing.
//
// The answer to a batch is {"signatures":[…]}, which wire.h reads. A locked quote's signature
// covers its own id and all outputs (quote_signature.h).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nutgate/cashu/wire.h"

namespace nutgate::cashu::wire {

inline constexpr std::size_t kBatchQuotesMax = 256;

// POST /v1/mint/quote/{method}/check. Ids are not empty, and none comes twice; there is one at
// least.
Parsed<std::vector<std::string>> parse_batch_check_request(std::string_view json);
std::string write_batch_check_request(const std::vector<std::string>& quotes);

// Its answer: a bare array, in the order asked for.
Parsed<std::vector<MintQuote>> parse_mint_quotes(std::string_view json);
std::string write_mint_quotes(const std::vector<MintQuote>&);

// POST /v1/mint/{method}/batch. Quotes as above; amounts and signatures are as many as quotes, or
// none at all.
struct BatchMintRequest {
    std::vector<std::string> quotes;
    std::vector<Amount> quote_amounts;  // Empty: all that each has to give.
    std::vector<BlindedMessage> outputs;
    std::vector<std::optional<std::string>> signatures;  // An unlocked quote has none.
};
Parsed<BatchMintRequest> parse_batch_mint_request(std::string_view json);
std::string write_batch_mint_request(const BatchMintRequest&);

}  // namespace nutgate::cashu::wire
