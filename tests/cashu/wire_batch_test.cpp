#include "nutgate/cashu/wire_batch.h"

#include "cashu/vectors.h"

namespace nutgate::cashu::wire {
namespace {

using test::Json;
using Code = WireError::Code;

const std::string kPoint = "02a9acc1e48c25eeeb9289b5031cc57da9fe72f3fe2861d264bdc074209b107ba2";

Json some_batch() {
    return {{"quotes", {"a", "b", "c"}},
            {"quote_amounts", {5, 0, 18446744073709551615ULL}},
            {"outputs", Json::array({{{"amount", 8}, {"id", "009a1f293253e41e"}, {"B_", kPoint}}})},
            {"signatures", {"00ff", nullptr, "aa"}}};
}

template <class Change>
void check_fault(Code code, const std::string& where, Change change) {
    Json json = some_batch();
    change(json);
    CAPTURE(json.dump());
    const auto parsed = parse_batch_mint_request(json.dump());
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().code == code);
    CHECK(parsed.error().where == where);
}

TEST_CASE("batch: a request is written as it was read, with null where a quote has no lock") {
    const auto request = parse_batch_mint_request(some_batch().dump());
    REQUIRE(request);
    CHECK(request->signatures.at(0) == "00ff");
    CHECK_FALSE(request->signatures.at(1));
    CHECK(Json::parse(write_batch_mint_request(*request)) == some_batch());
    Json bare = some_batch();
    bare.erase("signatures");
    bare["quote_amounts"] = nullptr;
    const auto unlocked = parse_batch_mint_request(bare.dump());
    REQUIRE(unlocked);
    bare.erase("quote_amounts");
    CHECK(Json::parse(write_batch_mint_request(*unlocked)) == bare);
}

TEST_CASE("batch: quotes are there, named, and each once") {
    check_fault(Code::Missing, "quotes", [](Json& json) { json.erase("quotes"); });
    check_fault(Code::Missing, "quotes", [](Json& json) { json["quotes"] = Json::array(); });
    check_fault(Code::WrongType, "quotes", [](Json& json) { json["quotes"] = "a"; });
    check_fault(Code::WrongType, "quotes[1]", [](Json& json) { json["quotes"][1] = 7; });
    check_fault(Code::OutOfRange, "quotes[2]", [](Json& json) { json["quotes"][2] = ""; });
    check_fault(Code::OutOfRange, "quotes[0]",
                [](Json& json) { json["quotes"][0] = std::string(kQuoteIdBytesMax + 1, 'q'); });
    check_fault(Code::Duplicate, "quotes[2]", [](Json& json) { json["quotes"][2] = "a"; });
    check_fault(Code::TooMany, "quotes",
                [](Json& json) { json["quotes"] = Json(kBatchQuotesMax + 1, "q"); });
    CHECK(parse_batch_check_request(R"({"quotes":["a","a"]})").error().code == Code::Duplicate);
    CHECK(parse_batch_check_request(R"({"quotes":[]})").error().code == Code::Missing);
    const auto quotes = parse_batch_check_request(write_batch_check_request({"b", "a"}));
    CHECK(quotes.value() == std::vector<std::string>{"b", "a"});
}

TEST_CASE("batch: amounts and signatures are as many as quotes, or none") {
    check_fault(Code::OutOfRange, "signatures", [](Json& json) { json["signatures"].erase(0); });
    check_fault(Code::OutOfRange, "quote_amounts",
                [](Json& json) { json["quote_amounts"].push_back(1); });
    check_fault(Code::WrongType, "signatures[1]", [](Json& json) { json["signatures"][1] = 1; });
    check_fault(Code::WrongType, "quote_amounts[0]",
                [](Json& json) { json["quote_amounts"][0] = -1; });
    check_fault(Code::WrongType, "quote_amounts[0]",
                [](Json& json) { json["quote_amounts"][0] = nullptr; });
    check_fault(Code::Missing, "outputs", [](Json& json) { json.erase("outputs"); });
}

TEST_CASE("batch: the answer to a check is a list of quotes, in order") {
    MintQuote quote;
    quote.quote = "a";
    quote.request = "lnbc1";
    quote.unit = "sat";
    quote.amount = 10;
    quote.amount_paid = 10;
    MintQuote other = quote;
    other.quote = "b";
    other.amount_paid = 0;
    const auto read = parse_mint_quotes(write_mint_quotes({quote, other}));
    REQUIRE(read);
    REQUIRE(read->size() == 2);
    CHECK(read->at(0).mintable() == 10);
    CHECK(read->at(1).quote == "b");
    CHECK(read->at(1).mintable() == 0);
    CHECK(parse_mint_quotes("[]")->empty());
    CHECK(parse_mint_quotes("{}").error().code == Code::WrongType);
    CHECK(parse_mint_quotes("7").error().code == Code::WrongType);
    CHECK(parse_mint_quotes("[").error().code == Code::NotJson);
    const auto fault = parse_mint_quotes("[" + write_mint_quote(quote) + R"(,{"quote":"b"}])");
    REQUIRE_FALSE(fault);
    CHECK(fault.error().where == "[1].request");
    CHECK(parse_mint_quotes(Json(kBatchQuotesMax + 1, Json::object()).dump()).error().code ==
          Code::TooMany);
}

}  // namespace
}  // namespace nutgate::cashu::wire
