// NUT-25's messages. No vectors of it are published; these have its fields, nulls included.
#include "nutgate/cashu/wire_offers.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

using namespace nutgate;
using namespace nutgate::cashu::wire;
using Json = nlohmann::json;

namespace {

constexpr auto kKey = "03d56ce4e446a85bbdaa547b4ec2b073d40ff802831352b8272b7dd7a4de5a7cac";

Json answer() {
    return {{"quote", "019e0b4c-3bd4-7ef5-b1ba-7a3a1d2a6c11"},
            {"request", "lno1qcp4256ypq"},
            {"amount", 100'000},
            {"unit", "sat"},
            {"method", "bolt12"},
            {"expiry", 1'701'704'757},
            {"pubkey", kKey},
            {"amount_paid", 3},
            {"amount_issued", 1},
            {"updated_at", 1'701'700'000}};
}

WireError::Code fault_of(const Json& json) {
    const auto parsed = parse_offer_quote(json.dump());
    REQUIRE_FALSE(parsed);
    return parsed.error().code;
}

}  // namespace

TEST_CASE("wire: an offer's quote is written as it was read") {
    const auto quote = parse_offer_quote(answer().dump());
    REQUIRE(quote);
    CHECK(quote->amount == 100'000);
    CHECK(quote->amount_paid == 3);
    CHECK(quote->amount_issued == 1);
    CHECK(quote->pubkey->hex() == kKey);
    CHECK(Json::parse(write_offer_quote(*quote)) == answer());
}

TEST_CASE("wire: an offer without an amount or an end says null, and so may its request") {
    Json open = answer();
    open["amount"] = nullptr;
    open["expiry"] = nullptr;
    const auto quote = parse_offer_quote(open.dump());
    REQUIRE(quote);
    CHECK_FALSE(quote->amount);
    CHECK_FALSE(quote->expiry);
    CHECK(Json::parse(write_offer_quote(*quote)) == open);
    open["expiry"] = 0;
    CHECK_FALSE(parse_offer_quote(open.dump())->expiry);

    const Json asked{
        {"amount", nullptr}, {"unit", "sat"}, {"description", nullptr}, {"pubkey", kKey}};
    const auto request = parse_offer_quote_request(asked.dump());
    REQUIRE(request);
    CHECK_FALSE(request->amount);
    CHECK_FALSE(request->description);
    CHECK(Json::parse(write_offer_quote_request(*request)) == asked);
    Json full = asked;
    full["amount"] = 21;
    full["description"] = "tea";
    CHECK(Json::parse(write_offer_quote_request(parse_offer_quote_request(full.dump()).value())) ==
          full);
}

TEST_CASE("wire: a quote of an offer without its key, or that counts wrong, is not read") {
    using Code = WireError::Code;
    Json bad = answer();
    bad.erase("pubkey");
    CHECK(fault_of(bad) == Code::Missing);
    bad = answer();
    bad["pubkey"] = "02ff";
    CHECK(fault_of(bad) == Code::NotAPoint);
    bad = answer();
    bad["amount_issued"] = 4;
    CHECK(fault_of(bad) == Code::OutOfRange);
    bad = answer();
    bad.erase("amount_paid");
    CHECK(fault_of(bad) == Code::Missing);
    bad = answer();
    bad["amount_paid"] = -1;
    CHECK(fault_of(bad) == Code::WrongType);
    const auto unlocked = parse_offer_quote_request(R"({"amount":1,"unit":"sat"})");
    REQUIRE_FALSE(unlocked);
    CHECK(unlocked.error().where == "pubkey");
}

TEST_CASE("wire: a mint's info says by which methods it mints, unless it mints nothing") {
    const std::string methods =
        R"({"nuts":{"4":{"methods":[{"method":"bolt11","unit":"sat"},{"method":"bolt12",)"
        R"("unit":"sat","min_amount":1,"max_amount":9,"options":{"description":true}}],"disabled":)";
    const auto info = parse_info(methods + "false}}}");
    REQUIRE(info);
    const auto* const setting = info->mints_by("bolt12", "sat");
    REQUIRE(setting != nullptr);
    CHECK(setting->max_amount == 9);
    CHECK(setting->option == true);
    CHECK(info->mints_by("bolt12", "msat") == nullptr);
    CHECK(info->mints_by("onchain", "sat") == nullptr);
    CHECK(parse_info(methods + "true}}}")->mints_by("bolt12", "sat") == nullptr);
}
