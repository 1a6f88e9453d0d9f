#include "protocol/wire_quotes.h"

#include "protocol/wire_json.h"

namespace nutgate::cashu::wire {

namespace {

using Code = WireError::Code;

std::string_view to_text(MintQuote::State state) {
    switch (state) {
        case MintQuote::State::Unpaid:
            return "UNPAID";
        case MintQuote::State::Paid:
            return "PAID";
        case MintQuote::State::Issued:
            return "ISSUED";
    }
    return "UNPAID";
}

std::string_view to_text(MeltState state) {
    switch (state) {
        case MeltState::Unpaid:
            return "UNPAID";
        case MeltState::Pending:
            return "PENDING";
        case MeltState::Paid:
            return "PAID";
    }
    return "PENDING";
}

MeltState melt_state(std::string_view text) {
    if (text == "UNPAID") return MeltState::Unpaid;
    if (text == "PAID") return MeltState::Paid;
    return MeltState::Pending;
}

// A quote's expiry: nutshell says 0 for none.
std::optional<std::int64_t> expiry(Reader& reader, const Json& json) {
    const auto time = reader.maybe_time(json, "expiry");
    return time.value_or(0) == 0 ? std::nullopt : time;
}

void read_accounting(Reader& reader, const Json& json, MintQuote& quote) {
    const auto paid = reader.maybe_number(json, "amount_paid");
    const auto issued = reader.maybe_number(json, "amount_issued");
    if (paid) {
        quote.amount_paid = *paid;
        quote.amount_issued = issued.value_or(0);
        if (quote.amount_issued > quote.amount_paid) {
            reader.fail_with(Code::OutOfRange, "amount_issued");
        }
        return;
    }
    const std::string state = reader.text(json, "state", kTextBytesMax);
    if (state == "PAID" || state == "ISSUED") quote.amount_paid = quote.amount;
    if (state == "ISSUED") quote.amount_issued = quote.amount;
}

}  // namespace

MintQuote::State MintQuote::state() const {
    if (amount_paid == 0) return State::Unpaid;
    return amount_paid > amount_issued ? State::Paid : State::Issued;
}

Parsed<MintQuoteRequest> parse_mint_quote_request(std::string_view json) {
    Reader reader{json};
    MintQuoteRequest request;
    request.amount = reader.number(reader.root(), "amount");
    request.unit = reader.text(reader.root(), "unit", kUnitBytesMax);
    request.description = reader.maybe_text(reader.root(), "description", kTextBytesMax);
    if (!reader.failed() && reader.optional(reader.root(), "pubkey") != nullptr) {
        request.pubkey = reader.point(reader.root(), "pubkey");
    }
    return reader.finish(std::move(request));
}

std::string write_mint_quote_request(const MintQuoteRequest& request) {
    Json json{{"amount", request.amount}, {"unit", request.unit}};
    if (request.description) json["description"] = *request.description;
    if (request.pubkey) json["pubkey"] = request.pubkey->hex();
    return dump(json);
}

MintQuote read_mint_quote(Reader& reader, const Json& json) {
    MintQuote quote;
    quote.quote = reader.text(json, "quote", kQuoteIdBytesMax);
    quote.request = reader.text(json, "request", kTextBytesMax);
    quote.unit = reader.maybe_text(json, "unit", kUnitBytesMax).value_or("sat");
    quote.method = reader.maybe_text(json, "method", kUnitBytesMax).value_or("bolt11");
    quote.amount = reader.maybe_number(json, "amount").value_or(0);
    read_accounting(reader, json, quote);
    quote.updated_at = reader.maybe_number(json, "updated_at");
    quote.expiry = expiry(reader, json);
    if (!reader.failed() && reader.optional(json, "pubkey") != nullptr) {
        quote.pubkey = reader.point(json, "pubkey");
    }
    return quote;
}

Parsed<MintQuote> parse_mint_quote(std::string_view json) {
    Reader reader{json};
    auto quote = read_mint_quote(reader, reader.root());
    return reader.finish(std::move(quote));
}

Json to_json(const MintQuote& quote) {
    Json json{{"quote", quote.quote},
              {"request", quote.request},
              {"unit", quote.unit},
              {"method", quote.method},
              {"amount", quote.amount},
              {"state", to_text(quote.state())},
              {"amount_paid", quote.amount_paid},
              {"amount_issued", quote.amount_issued}};
    if (quote.updated_at) json["updated_at"] = *quote.updated_at;
    if (quote.expiry) json["expiry"] = *quote.expiry;
    if (quote.pubkey) json["pubkey"] = quote.pubkey->hex();
    return json;
}

std::string write_mint_quote(const MintQuote& quote) { return dump(to_json(quote)); }

Parsed<MeltQuoteRequest> parse_melt_quote_request(std::string_view json) {
    Reader reader{json};
    MeltQuoteRequest request;
    request.request = reader.text(reader.root(), "request", kTextBytesMax);
    request.unit = reader.text(reader.root(), "unit", kUnitBytesMax);
    if (const Json* const options = reader.optional(reader.root(), "options");
        !reader.failed() && options != nullptr) {
        if (const Json* const given = reader.optional(*options, "amountless"); given != nullptr) {
            request.amountless_msat = reader.number(*given, "amount_msat");
        }
        if (const Json* const given = reader.optional(*options, "mpp"); given != nullptr) {
            request.mpp_msat = reader.number(*given, "amount");
        }
    }
    return reader.finish(std::move(request));
}

std::string write_melt_quote_request(const MeltQuoteRequest& request) {
    Json json{{"request", request.request}, {"unit", request.unit}};
    if (request.amountless_msat) {
        json["options"]["amountless"]["amount_msat"] = *request.amountless_msat;
    }
    if (request.mpp_msat) json["options"]["mpp"]["amount"] = *request.mpp_msat;
    return dump(json);
}

Parsed<MeltQuote> parse_melt_quote(std::string_view json) {
    Reader reader{json};
    MeltQuote quote;
    quote.quote = reader.text(reader.root(), "quote", kQuoteIdBytesMax);
    quote.request = reader.maybe_text(reader.root(), "request", kTextBytesMax).value_or("");
    quote.unit = reader.maybe_text(reader.root(), "unit", kUnitBytesMax).value_or("sat");
    quote.method = reader.maybe_text(reader.root(), "method", kUnitBytesMax).value_or("bolt11");
    quote.amount = reader.number(reader.root(), "amount");
    quote.fee_reserve = reader.maybe_number(reader.root(), "fee_reserve").value_or(0);
    quote.state = melt_state(reader.text(reader.root(), "state", kTextBytesMax));
    quote.expiry = expiry(reader, reader.root());
    quote.payment_preimage = reader.maybe_text(reader.root(), "payment_preimage", kTextBytesMax);
    if (quote.payment_preimage == "") quote.payment_preimage.reset();
    if (!reader.failed() && reader.optional(reader.root(), "change") != nullptr) {
        quote.change = reader.signatures(reader.root(), "change");
    }
    return reader.finish(std::move(quote));
}

std::string write_melt_quote(const MeltQuote& quote) {
    Json json{{"quote", quote.quote},
              {"request", quote.request},
              {"unit", quote.unit},
              {"method", quote.method},
              {"amount", quote.amount},
              {"fee_reserve", quote.fee_reserve},
              {"state", to_text(quote.state)},
              {"payment_preimage", nullptr}};
    if (quote.expiry) json["expiry"] = *quote.expiry;
    if (quote.payment_preimage) json["payment_preimage"] = *quote.payment_preimage;
    if (!quote.change.empty()) json["change"] = to_json_array(quote.change);
    return dump(json);
}

}  // namespace nutgate::cashu::wire
