#include "nutgate/cashu/wire_batch.h"

#include <set>

#include "protocol/json_reader.h"
#include "protocol/wire_json.h"
#include "protocol/wire_quotes.h"

namespace nutgate::cashu::wire {

namespace {

using Code = WireError::Code;

std::string place(std::string_view key, std::size_t index) {
    return std::string{key} + "[" + std::to_string(index) + "]";
}

std::vector<std::string> read_quotes(Reader& reader) {
    std::vector<std::string> quotes;
    std::set<std::string_view> seen;
    const auto& items = reader.items(reader.root(), "quotes", kBatchQuotesMax);
    if (items.empty()) reader.fail_with(Code::Missing, "quotes");
    quotes.reserve(items.size());  // `seen` looks into it.
    for (const Json& item : items) {
        const std::string where = place("quotes", quotes.size());
        if (!item.is_string()) {
            reader.fail_with(Code::WrongType, where);
            break;
        }
        quotes.push_back(item.get<std::string>());
        if (quotes.back().empty() || quotes.back().size() > kQuoteIdBytesMax) {
            reader.fail_with(Code::OutOfRange, where);
        }
        if (!seen.insert(quotes.back()).second) reader.fail_with(Code::Duplicate, where);
    }
    return quotes;
}

std::vector<Amount> read_amounts(Reader& reader) {
    std::vector<Amount> amounts;
    for (const Json& item : reader.maybe_items(reader.root(), "quote_amounts", kBatchQuotesMax)) {
        if (!item.is_number_unsigned()) {
            reader.fail_with(Code::WrongType, place("quote_amounts", amounts.size()));
            break;
        }
        amounts.push_back(item.get<Amount>());
    }
    return amounts;
}

std::vector<std::optional<std::string>> read_slots(Reader& reader) {
    std::vector<std::optional<std::string>> slots;
    for (const Json& item : reader.maybe_items(reader.root(), "signatures", kBatchQuotesMax)) {
        const std::string where = place("signatures", slots.size());
        auto& slot = slots.emplace_back();
        if (item.is_null()) continue;
        if (!item.is_string()) {
            reader.fail_with(Code::WrongType, where);
            break;
        }
        slot = item.get<std::string>();
        if (slot->size() > kTextBytesMax) reader.fail_with(Code::OutOfRange, where);
    }
    return slots;
}

}  // namespace

Parsed<std::vector<std::string>> parse_batch_check_request(std::string_view json) {
    Reader reader{json};
    auto quotes = read_quotes(reader);
    return reader.finish(std::move(quotes));
}

std::string write_batch_check_request(const std::vector<std::string>& quotes) {
    return dump({{"quotes", quotes}});
}

Parsed<std::vector<MintQuote>> parse_mint_quotes(std::string_view json) {
    Reader reader{json, Reader::Root::Any};
    std::vector<MintQuote> quotes;
    if (!reader.failed() && !reader.root().is_array()) reader.fail_with(Code::WrongType, "");
    if (reader.root().size() > kBatchQuotesMax) reader.fail_with(Code::TooMany, "");
    if (reader.failed()) return reader.finish(std::move(quotes));
    for (const Json& item : reader.root()) {
        reader.within(place("", quotes.size()) + ".",
                      [&] { quotes.push_back(read_mint_quote(reader, item)); });
        if (reader.failed()) break;
    }
    return reader.finish(std::move(quotes));
}

std::string write_mint_quotes(const std::vector<MintQuote>& quotes) {
    return dump(to_json_array(quotes));
}

Parsed<BatchMintRequest> parse_batch_mint_request(std::string_view json) {
    Reader reader{json};
    BatchMintRequest request;
    request.quotes = read_quotes(reader);
    request.quote_amounts = read_amounts(reader);
    request.outputs = reader.outputs(reader.root(), "outputs");
    request.signatures = read_slots(reader);
    const auto fits = [&](std::size_t count) {
        return count == 0 || count == request.quotes.size();
    };
    if (!fits(request.quote_amounts.size())) reader.fail_with(Code::OutOfRange, "quote_amounts");
    if (!fits(request.signatures.size())) reader.fail_with(Code::OutOfRange, "signatures");
    return reader.finish(std::move(request));
}

std::string write_batch_mint_request(const BatchMintRequest& request) {
    Json json{{"quotes", request.quotes}, {"outputs", to_json_array(request.outputs)}};
    if (!request.quote_amounts.empty()) json["quote_amounts"] = request.quote_amounts;
    for (const auto& signature : request.signatures) {
        json["signatures"].push_back(signature ? Json(*signature) : Json(nullptr));
    }
    return dump(json);
}

}  // namespace nutgate::cashu::wire
