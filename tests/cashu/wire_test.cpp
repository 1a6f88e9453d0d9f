#include "nutgate/cashu/wire.h"

#include "cashu/vectors.h"

namespace nutgate::cashu::wire {
namespace {

using test::Json;
using Code = WireError::Code;

const std::string kPoint = "02a9acc1e48c25eeeb9289b5031cc57da9fe72f3fe2861d264bdc074209b107ba2";
const std::string kId = "009a1f293253e41e";

Json output(const Json& amount = 1) { return {{"amount", amount}, {"id", kId}, {"B_", kPoint}}; }
Json input(const Json& amount = 1) {
    return {{"amount", amount}, {"id", kId}, {"secret", "s"}, {"C", kPoint}};
}
Json swap(const Json& in, const Json& out) {
    return {{"inputs", Json::array({in})}, {"outputs", Json::array({out})}};
}

void check_fault(const Json& request, Code code, const std::string& where) {
    CAPTURE(request.dump());
    const auto parsed = parse_swap_request(request.dump());
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().code == code);
    CHECK(parsed.error().where == where);
}

TEST_CASE("wire: a swap is written as it was read") {
    Json request = swap(input(8), output(9223372036854775808ULL));
    request["inputs"][0]["witness"] = "{\"signatures\":[]}";
    const auto parsed = parse_swap_request(request.dump());
    REQUIRE(parsed);
    CHECK(parsed->outputs[0].amount == 1ULL << 63);
    CHECK(Json::parse(write_swap_request(*parsed)) == request);
}

TEST_CASE("wire: a proof leaves for a mint without what links it to its signature") {
    Json request = swap(input(), output());
    const std::string scalar(64, '1');
    request["inputs"][0]["dleq"] = {{"e", scalar}, {"s", scalar}, {"r", scalar}};
    request["inputs"][0]["p2pk_e"] = kPoint;
    const auto parsed = parse_swap_request(request.dump());
    REQUIRE(parsed);
    CHECK(parsed->inputs[0].dleq->r);
    CHECK(parsed->inputs[0].p2pk_e);
    const Json written = Json::parse(write_swap_request(*parsed));
    CHECK_FALSE(written["inputs"][0].contains("dleq"));
    CHECK_FALSE(written["inputs"][0].contains("p2pk_e"));
}

TEST_CASE("wire: amounts are integers that fit a u64, and nothing else") {
    for (const char* text :
         {"-1", "-0", "1.0", "1e3", "\"1\"", "18446744073709551616", "true", "[]"}) {
        CAPTURE(text);
        Json request = swap(input(), output());
        std::string body = request.dump();
        const std::string place = "\"amount\":1";
        body.replace(body.find(place), place.size(), "\"amount\":" + std::string{text});
        const auto parsed = parse_swap_request(body);
        REQUIRE_FALSE(parsed);
        CHECK(parsed.error().code == Code::WrongType);
        CHECK(parsed.error().where == "inputs[0].amount");
    }
    check_fault(swap(input(nullptr), output()), Code::Missing, "inputs[0].amount");
    CHECK(parse_swap_request(swap(input(18446744073709551615ULL), output()).dump()));
}

TEST_CASE("wire: a fault says where it is") {
    Json request = swap(input(), output());
    request["outputs"][0]["B_"] = "04" + kPoint.substr(2);
    check_fault(request, Code::NotAPoint, "outputs[0].B_");
    request["outputs"][0]["B_"] = "02" + std::string(64, 'f');
    check_fault(request, Code::NotAPoint, "outputs[0].B_");
    request = swap(input(), output());
    request["inputs"][0]["C"] = 3;
    check_fault(request, Code::WrongType, "inputs[0].C");
    request["inputs"][0].erase("C");
    check_fault(request, Code::Missing, "inputs[0].C");
    request = swap(input(), output());
    request["inputs"][0]["id"] = "deadbeef";
    check_fault(request, Code::NotAKeyset, "inputs[0].id");
    request = swap(input(), output());
    request["inputs"][0]["secret"] = std::string(1025, 'a');
    check_fault(request, Code::OutOfRange, "inputs[0].secret");
    request.erase("inputs");
    check_fault(request, Code::Missing, "inputs");
    request["inputs"] = Json::object();
    check_fault(request, Code::WrongType, "inputs");
    request["inputs"] = Json::array({1});
    check_fault(request, Code::WrongType, "inputs[0].amount");
    request["inputs"] = Json(kArrayMax + 1, input());
    check_fault(request, Code::TooMany, "inputs");
    CHECK(parse_swap_request("").error().code == Code::NotJson);
    CHECK(parse_swap_request("{").error().code == Code::NotJson);
    CHECK(parse_swap_request("{\"inputs\":\"\xff\"}").error().code == Code::NotJson);
    CHECK(parse_swap_request("[]").error().code == Code::WrongType);
    CHECK(parse_swap_request(std::string(kBodyBytesMax + 1, ' ')).error().code == Code::TooLarge);
    CHECK_FALSE(parse_swap_request(std::string(1'000'000, '[')));
}

TEST_CASE("wire: what nests without end is refused before anything walks down in it") {
    const std::string deep(1'000'000, '[');
    const std::string closed = deep + std::string(1'000'000, ']');
    const auto parsed =
        parse_swap_request(R"({"inputs":[{"witness":)" + closed + R"(}],"outputs":[]})");
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().code == Code::NotJson);
    CHECK(parse_error(R"({"code":11001,"detail":)" + closed + "}").detail.empty());
}

TEST_CASE("wire: fields that we do not know and nulls are as good as absent") {
    Json request = swap(input(), output());
    request["inputs"][0]["witness"] = nullptr;
    request["inputs"][0]["dleq"] = nullptr;
    request["inputs"][0]["C_"] = "";
    request["quote"] = "restore";
    CHECK(parse_swap_request(request.dump()));
    const auto quote = parse_mint_quote_request(
        R"({"amount":1,"unit":"sat","description":null,"pubkey":null,"x":1})");
    REQUIRE(quote);
    CHECK_FALSE(quote->pubkey);
}

TEST_CASE("wire: a witness may come as a string, an object, or encoded twice") {
    Json request = swap(input(), output());
    for (const Json& form : {Json("{\"a\":1}"), Json{{"a", 1}}, Json("\"{\\\"a\\\":1}\"")}) {
        request["inputs"][0]["witness"] = form;
        const auto parsed = parse_swap_request(request.dump());
        REQUIRE(parsed);
        CHECK(parsed->inputs[0].witness == "{\"a\":1}");
    }
}

TEST_CASE("wire: a mint quote carries both generations, and both are read") {
    MintQuote quote;
    quote.quote = "q";
    quote.request = "lnbc1";
    quote.unit = "sat";
    quote.amount = 10;
    quote.amount_paid = 10;
    quote.updated_at = 5;
    quote.expiry = 100;
    const Json json = Json::parse(write_mint_quote(quote));
    CHECK(json["state"] == "PAID");
    CHECK(json["method"] == "bolt11");
    CHECK(json["amount_paid"] == 10);
    CHECK(json["amount_issued"] == 0);
    CHECK(json["updated_at"] == 5);
    const auto again = parse_mint_quote(json.dump());
    REQUIRE(again);
    CHECK(again->mintable() == 10);

    const std::string old =
        R"({"quote":"q","request":"r","amount":7,"unit":"sat","expiry":0,"state":)";
    CHECK(parse_mint_quote(old + "\"UNPAID\"}")->state() == MintQuote::State::Unpaid);
    CHECK(parse_mint_quote(old + "\"PAID\"}")->mintable() == 7);
    CHECK(parse_mint_quote(old + "\"ISSUED\"}")->state() == MintQuote::State::Issued);
    CHECK_FALSE(parse_mint_quote(old + "\"PAID\"}")->expiry);
    CHECK_FALSE(parse_mint_quote(R"({"quote":"q","request":"r","unit":"sat"})"));
    CHECK_FALSE(parse_mint_quote(
        R"({"quote":"q","request":"r","unit":"sat","amount_paid":1,"amount_issued":2})"));
}

TEST_CASE("wire: a melt is written as it was read, and a state that we do not know is pending") {
    MeltQuote quote;
    quote.quote = "q";
    quote.request = "lnbc1";
    quote.unit = "sat";
    quote.amount = 10;
    quote.fee_reserve = 2;
    quote.state = MeltState::Paid;
    quote.payment_preimage = "00";
    quote.change.push_back(
        {1, KeysetId::parse(kId).value(), crypto::Point::from_hex(kPoint).value(), Dleq{}});
    Json json = Json::parse(write_melt_quote(quote));
    CHECK(json["state"] == "PAID");
    CHECK_FALSE(json["change"][0]["dleq"].contains("r"));
    CHECK(write_melt_quote(parse_melt_quote(json.dump()).value()) == json.dump());
    json["state"] = "FAILED";
    json["payment_preimage"] = nullptr;
    CHECK(parse_melt_quote(json.dump())->state == MeltState::Pending);

    const auto request = parse_melt_request(
        Json{{"quote", "q"}, {"inputs", Json::array({input()})}, {"prefer_async", true}}.dump());
    REQUIRE(request);
    CHECK(request->prefer_async);
    CHECK(request->outputs.empty());
    CHECK(parse_melt_request(write_melt_request(*request)));
    const auto options = parse_melt_quote_request(
        R"({"request":"r","unit":"sat","options":{"amountless":{"amount_msat":5},"mpp":{"amount":6}}})");
    REQUIRE(options);
    CHECK(options->amountless_msat == 5);
    CHECK(options->mpp_msat == 6);
    CHECK(write_melt_quote_request(*options).find("\"amount_msat\":5") != std::string::npos);
}

TEST_CASE("wire: states and restored outputs go both ways") {
    const auto y = crypto::Point::from_hex(kPoint).value();
    const auto ys = parse_check_state_request(write_check_state_request({y}));
    REQUIRE(ys);
    CHECK(ys->front() == y);
    CHECK_FALSE(parse_check_state_request(R"({"Ys":["00"]})"));
    const auto states = parse_check_state_response(
        write_check_state_response({{y, ProofState::Spent, "w"}, {y, ProofState::Unspent, {}}}));
    REQUIRE(states);
    CHECK(states->at(0).state == ProofState::Spent);
    CHECK(states->at(0).witness == "w");
    CHECK(states->at(1).state == ProofState::Unspent);

    const std::string outputs = Json::array({output()}).dump();
    const std::string signature = R"([{"amount":1,"id":")" + kId + R"(","C_":")" + kPoint + "\"}]";
    for (const char* name : {"signatures", "promises"}) {
        const auto restored = parse_restore_response("{\"outputs\":" + outputs + ",\"" + name +
                                                     "\":" + signature + "}");
        REQUIRE(restored);
        CHECK(parse_restore_response(write_restore_response(*restored)));
    }
    CHECK_FALSE(parse_restore_response("{\"outputs\":[],\"signatures\":" + signature + "}"));
}

TEST_CASE("wire: keysets of an unknown version are left out, keys that are ambiguous refused") {
    const auto keysets = parse_keysets(
        R"({"keysets":[{"id":"009a1f293253e41e","unit":"sat","active":false,"input_fee_ppk":null},)"
        R"({"id":"02ff","unit":"sat","active":true},{"id":"I2yN+iRYfkzT","unit":"sat","active":true}]})");
    REQUIRE(keysets);
    REQUIRE(keysets->size() == 1);
    CHECK_FALSE(keysets->front().active);
    const auto keys = [](const std::string& map) {
        return parse_keys(R"({"keysets":[{"id":"009a1f293253e41e","unit":"sat","keys":)" + map +
                          "}]}");
    };
    CHECK(keys("{\"1\":\"" + kPoint + "\"}")->front().active);
    CHECK(keys("{\"1\":\"" + kPoint + "\",\"01\":\"" + kPoint + "\"}").error().code ==
          Code::Duplicate);
    CHECK_FALSE(keys("{\"0\":\"" + kPoint + "\"}"));
    CHECK_FALSE(keys("{\"-1\":\"" + kPoint + "\"}"));
    CHECK_FALSE(keys("{\"18446744073709551616\":\"" + kPoint + "\"}"));
    const auto written = parse_keys(write_keys(*keys("{\"1\":\"" + kPoint + "\"}")));
    REQUIRE(written);
    CHECK(written->front().keys.at(1).hex() == kPoint);
    CHECK(parse_keysets(write_keysets(*keysets)));
}

TEST_CASE("wire: one malformed part of a mint's info spoils no other") {
    const auto info = parse_info(
        R"({"name":"m","version":"x/1","time":"now","urls":["a",1],"nuts":{)"
        R"("4":{"methods":[{"method":"bolt11","unit":"sat","max_amount":9,"description":true},)"
        R"({"method":"onchain","unit":7}],"disabled":false},"5":[],"7":{"supported":true},)"
        R"("15":[{}],"19":{"ttl":60,"cached_endpoints":[{"method":"POST","path":"/v1/swap"}]},"x":1}})");
    REQUIRE(info);
    CHECK(info->name == "m");
    REQUIRE(info->mint_methods.size() == 1);
    CHECK(info->mint_methods[0].max_amount == 9);
    CHECK(info->mint_methods[0].option == true);
    CHECK(info->supported == std::vector{7});
    CHECK(info->cache_ttl == 60);
    CHECK(info->cached_endpoints.size() == 1);
    const auto again = parse_info(write_info(*info));
    REQUIRE(again);
    CHECK(again->cached_endpoints[0].path == "/v1/swap");
    CHECK(again->supported == info->supported);
    CHECK(parse_info("{}"));
    CHECK_FALSE(parse_info("x"));
}

TEST_CASE("wire: a mint's info says what may be subscribed to, and how many quotes make a batch") {
    const auto info =
        parse_info(R"({"nuts":{"17":{"supported":[{"method":"bolt11","unit":"sat","commands":)"
                   R"(["bolt11_mint_quote",7,"proof_state"]},{"method":1},7]},)"
                   R"("29":{"supported":true,"max_batch_size":50,"methods":["bolt11"]},)"
                   R"("9":{"supported":true},"10":{"supported":false},"11":{"supported":"yes"},)"
                   R"("12":true,"14":null,"20":{"supported":true}},"max_array_length":1000})");
    REQUIRE(info);
    REQUIRE(info->subscriptions.size() == 1);
    CHECK(info->subscriptions[0].commands ==
          std::vector<std::string>{"bolt11_mint_quote", "proof_state"});
    REQUIRE(info->batch);
    CHECK(info->batch->max_batch_size == 50);
    CHECK(info->batch->methods == std::vector<std::string>{"bolt11"});
    CHECK(info->supports(9));
    CHECK(info->supports(20));
    for (const int nut : {10, 11, 12, 14, 7}) CHECK_FALSE(info->supports(nut));
    CHECK(info->max_array_length == 1000);
    const auto again = parse_info(write_info(*info));
    REQUIRE(again);
    CHECK(again->subscriptions[0].commands == info->subscriptions[0].commands);
    CHECK(again->batch->max_batch_size == 50);
    CHECK(parse_info(R"({"nuts":{"29":{}}})")->batch);
    for (const char* batch : {"[]", "7", "null", R"({"supported":false})",
                              R"({"max_batch_size":-1})", R"({"methods":"all"})"}) {
        CAPTURE(batch);
        CHECK_FALSE(parse_info(R"({"nuts":{"29":)" + std::string{batch} + "}}")->batch);
    }
    for (const char* list : {"[]", "7", R"({"supported":true})", R"({"supported":{}})"}) {
        CHECK(parse_info(R"({"nuts":{"17":)" + std::string{list} + "}}")->subscriptions.empty());
    }
}

TEST_CASE("wire: a melt quote is read from any generation of mints") {
    const std::string old = R"({"quote":"q","amount":10,"fee_reserve":2,"state":"PENDING",)"
                            R"("expiry":null,"payment_preimage":"","change":null,"paid":false})";
    const auto quote = parse_melt_quote(old);
    REQUIRE(quote);
    CHECK(quote->state == MeltState::Pending);
    CHECK(quote->method == "bolt11");
    CHECK_FALSE(quote->payment_preimage);
    CHECK(quote->change.empty());
    CHECK_FALSE(quote->expiry);
    const std::string fresh =
        R"({"quote":"q","request":"lnbc1","unit":"msat","method":"bolt12","amount":10,)"
        R"("fee_reserve":2,"state":"UNKNOWN","expiry":99,"payment_preimage":"00","change":[]})";
    const auto other = parse_melt_quote(fresh);
    REQUIRE(other);
    CHECK(other->state == MeltState::Pending);
    CHECK(other->method == "bolt12");
    CHECK(other->unit == "msat");
    CHECK(other->payment_preimage == "00");
    // Neither amount nor state can be guessed.
    CHECK(parse_melt_quote(R"({"quote":"q","state":"PAID"})").error().where == "amount");
    CHECK(parse_melt_quote(R"({"quote":"q","amount":1})").error().where == "state");
}

TEST_CASE("wire: a melt carries blanks of amount zero, and nothing where there are none") {
    const auto c = crypto::Point::from_hex(kPoint).value();
    const auto id = KeysetId::parse(kId).value();
    MeltRequest request;
    request.quote = "q";
    request.inputs.push_back({8, id, "s", c, {}, Dleq{}, c});
    request.outputs.push_back({0, id, c});
    const Json json = Json::parse(write_melt_request(request));
    CHECK(json["outputs"][0] == output(0));
    CHECK(json["inputs"][0] == input(8));
    CHECK_FALSE(json.contains("prefer_async"));
    CHECK(parse_melt_request(json.dump())->outputs.front().amount == 0);
    request.outputs.clear();
    CHECK_FALSE(Json::parse(write_melt_request(request)).contains("outputs"));
}

TEST_CASE("wire: errors of any shape are read") {
    CHECK(parse_error(R"({"detail":"no","code":11001})").code == 11001);
    CHECK(parse_error(R"({"detail":[{"msg":"x"}]})").detail == R"([{"msg":"x"}])");
    CHECK_FALSE(parse_error(R"({"detail":"slow down"})").code);
    CHECK(parse_error("<html>").detail.empty());
    CHECK_FALSE(parse_error(R"({"code":"11001"})").code);
    CHECK_FALSE(parse_error(R"({"code":-1})").code);
    CHECK(parse_error(write_error({"no", 12001})).code == 12001);
    CHECK(Json::parse(write_error({"\xff", {}})).is_object());
}

TEST_CASE("wire: signatures are written with their DLEQ in the order given") {
    const auto c = crypto::Point::from_hex(kPoint).value();
    const auto id = KeysetId::parse(kId).value();
    const auto parsed = parse_signatures(write_signatures({{2, id, c, Dleq{}}, {1, id, c, {}}}));
    REQUIRE(parsed);
    CHECK(parsed->at(0).amount == 2);
    CHECK(parsed->at(0).dleq);
    CHECK_FALSE(parsed->at(1).dleq);
    const auto mint = parse_mint_request(write_mint_request({"q", {{1, id, c}}, "ab"}));
    REQUIRE(mint);
    CHECK(mint->signature == "ab");
}

}  // namespace
}  // namespace nutgate::cashu::wire
