#include "nutgate/cashu/wire_offers.h"

#include "protocol/json_reader.h"
#include "protocol/wire_json.h"

namespace nutgate::cashu::wire {

namespace {

template <class T>
Json or_null(const std::optional<T>& value) {
    return value ? Json(*value) : Json(nullptr);
}

}  // namespace

Parsed<OfferQuoteRequest> parse_offer_quote_request(std::string_view json) {
    Reader reader{json};
    OfferQuoteRequest request;
    request.amount = reader.maybe_number(reader.root(), "amount");
    request.unit = reader.text(reader.root(), "unit", kUnitBytesMax);
    request.description = reader.maybe_text(reader.root(), "description", kTextBytesMax);
    request.pubkey = reader.point(reader.root(), "pubkey");
    return reader.finish(std::move(request));
}

std::string write_offer_quote_request(const OfferQuoteRequest& request) {
    Json json{{"amount", or_null(request.amount)},
              {"unit", request.unit},
              {"description", or_null(request.description)}};
    if (request.pubkey) json["pubkey"] = request.pubkey->hex();
    return dump(json);
}

Parsed<OfferQuote> parse_offer_quote(std::string_view json) {
    Reader reader{json};
    const Json& root = reader.root();
    OfferQuote quote;
    quote.quote = reader.text(root, "quote", kQuoteIdBytesMax);
    quote.request = reader.text(root, "request", kTextBytesMax);
    quote.unit = reader.text(root, "unit", kUnitBytesMax);
    quote.method = reader.maybe_text(root, "method", kUnitBytesMax).value_or("bolt12");
    quote.amount = reader.maybe_number(root, "amount");
    quote.amount_paid = reader.number(root, "amount_paid");
    quote.amount_issued = reader.number(root, "amount_issued");
    if (quote.amount_issued > quote.amount_paid) {
        reader.fail_with(WireError::Code::OutOfRange, "amount_issued");
    }
    quote.updated_at = reader.maybe_number(root, "updated_at");
    quote.expiry = reader.maybe_time(root, "expiry");
    if (quote.expiry == 0) quote.expiry.reset();
    quote.pubkey = reader.point(root, "pubkey");
    return reader.finish(std::move(quote));
}

std::string write_offer_quote(const OfferQuote& quote) {
    Json json{{"quote", quote.quote},
              {"request", quote.request},
              {"unit", quote.unit},
              {"method", quote.method},
              {"amount", or_null(quote.amount)},
              {"amount_paid", quote.amount_paid},
              {"amount_issued", quote.amount_issued},
              {"expiry", or_null(quote.expiry)}};
    if (quote.updated_at) json["updated_at"] = *quote.updated_at;
    if (quote.pubkey) json["pubkey"] = quote.pubkey->hex();
    return dump(json);
}

}  // namespace nutgate::cashu::wire
