// Mint quotes whose request is a BOLT12 offer (NUT-25): paid any number of times, issued for as it
// comes. Each is locked to a key (NUT-20). They are issued by the MintRequest of wire.h, for as
// much as is paid and not issued, or less.
//
// NUT-25 has nulls where there is no amount and no expiry, and so does what is written here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "nutgate/cashu/wire.h"

namespace nutgate::cashu::wire {

struct OfferQuoteRequest {
    std::optional<Amount> amount;  // Of each payment. Empty: the payer says.
    std::string unit;
    std::optional<std::string> description;
    std::optional<crypto::Point> pubkey;  // Never empty once parsed, as in the answer.
};
Parsed<OfferQuoteRequest> parse_offer_quote_request(std::string_view json);
std::string write_offer_quote_request(const OfferQuoteRequest&);

struct OfferQuote {
    std::string quote;
    std::string request;  // The offer.
    std::string unit;
    std::string method = "bolt12";
    std::optional<Amount> amount;
    Amount amount_paid = 0;  // By all payments.
    Amount amount_issued = 0;
    std::optional<std::uint64_t> updated_at;
    std::optional<std::int64_t> expiry;  // Unix seconds; empty also for 0, as cdk says "none".
    std::optional<crypto::Point> pubkey;
};
// Holds paid >= issued.
Parsed<OfferQuote> parse_offer_quote(std::string_view json);
std::string write_offer_quote(const OfferQuote&);

}  // namespace nutgate::cashu::wire
