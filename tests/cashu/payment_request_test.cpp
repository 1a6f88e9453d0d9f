#include "nutgate/cashu/payment_request.h"

#include "cashu/vectors.h"
#include "nutgate/base/bech32.h"
#include "protocol/nostr_name.h"

namespace nutgate::cashu {
namespace {

using test::Json;
using Error = PaymentRequestError;
using Code = wire::WireError::Code;

PaymentRequest some_request() {
    PaymentRequest request;
    request.id = "b7a90176";
    request.amount = 1ULL << 63;
    request.unit = "msat";
    request.single_use = true;
    request.mints = {MintUrl::parse("https://mint.example.com/Bitcoin").value()};
    request.mints_are_preferred = false;
    request.fee_reserve = 0;
    request.methods = {{"bolt11", std::nullopt}, {"bolt12", 5}};
    request.description = "Kaffee, schwarz: \xe2\x98\x95";
    request.transports = {{"post", "https://node.example.com/pay", {{"n", "a", "b"}}}};
    request.lock = LockTerms{"P2PK", "02ab", {{"locktime", "21"}}};
    return request;
}

std::string creq_a(const std::string& hex) { return "creqA" + to_base64url(from_hex(hex).value()); }
std::string creq_b(const std::string& hex) {
    return encode_bech32("creqb", to_groups(from_hex(hex).value()), Bech32Form::Bech32m);
}

TEST_CASE("requests: what is written in either text is read as it was") {
    const PaymentRequest request = some_request();
    CHECK(parse_payment_request(write_creq_a(request)).value() == request);
    const std::string upper = write_creq_b(request).value();
    CHECK(upper.starts_with("CREQB1"));
    CHECK(parse_payment_request(upper).value() == request);
    std::string lower = upper;
    for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    CHECK(parse_payment_request("\n " + lower + "\t").value() == request);
    CHECK(parse_payment_request(write_creq_a({})).value() == PaymentRequest{});
    CHECK(parse_payment_request("CREQB1" + write_creq_b({}).value().substr(6)).value() ==
          PaymentRequest{});
}

TEST_CASE("requests: base64 of either alphabet, padded or not, behind a beginning of either case") {
    PaymentRequest request;
    request.description = "\xc3\xbf\xc3\xbf?>~";
    const std::string hex = "a1616467" + to_hex(as_bytes(*request.description));
    const std::string url = to_base64url(from_hex(hex).value());
    const std::string standard = to_base64(from_base64(url).value());
    REQUIRE(standard != url);
    REQUIRE(standard.ends_with('='));
    for (const std::string& text : {"creqA" + url, "creqA" + standard, "CREQA" + url}) {
        CHECK(parse_payment_request(text).value() == request);
    }
}

TEST_CASE("requests: what is no request is not taken for one") {
    for (const char* text : {"", " ", "creq", "creqC1qqq", "cashuBabc", "lnbc1", "creqb"}) {
        CAPTURE(text);
        const auto parsed = parse_payment_request(text);
        REQUIRE_FALSE(parsed);
        CHECK((parsed.error() == Error::NotARequest || parsed.error() == Error::Malformed));
    }
    CHECK(parse_payment_request("cashuBabc").error() == Error::NotARequest);
    CHECK(parse_payment_request("creqA!").error() == Error::Malformed);
    CHECK(parse_payment_request("creqA").error() == Error::Malformed);
    CHECK(parse_payment_request(encode_bech32("creqbb", {}, Bech32Form::Bech32m)).error() ==
          Error::NotARequest);
    // Bech32's checksum is not Bech32m's.
    CHECK(parse_payment_request(encode_bech32("creqb", {})).error() == Error::Malformed);
    CHECK(parse_payment_request(std::string(kPaymentRequestBytesMax + 1, ' ')).error() ==
          Error::TooLarge);
}

TEST_CASE(
    "requests: CBOR fields of another kind are faults, nulls and unknown ones are not there") {
    CHECK(parse_payment_request(creq_a("a0")).value() == PaymentRequest{});
    // {"i":null,"t":undefined,"g":-1,"s":false}
    PaymentRequest not_single;
    not_single.single_use = false;
    CHECK(parse_payment_request(creq_a("a46169f66174f76167206173f4")).value() == not_single);
    for (const char* hex : {
             "80",                        // A list.
             "a1616901",                  // The id a number.
             "a161610a",                  // An amount of what?
             "a261616131617563736174",    // The amount a text.
             "a1617301",                  // A number for a flag.
             "a1616d6161",                // The mints a text.
             "a1616d8101",                // A mint that is a number …
             "a1616d816161",              // … and one that is no URL.
             "a1617481a0",                // A transport of nothing.
             "a1617481a261746161616101",  // A target that is a number.
             "a16174a0",                  // Transports in a map.
             "a1656e7574313080",          // A lock that is a list.
             "a1656e75743130a1616b6161",  // A lock without data.
             "a162736d81a1626d6601",      // A method without a name.
             "a0a0",                      // Something behind the end.
             "a2616961616169616"
             "1",  // A field twice.
         }) {
        CAPTURE(hex);
        const auto parsed = parse_payment_request(creq_a(hex));
        REQUIRE_FALSE(parsed);
        CHECK(parsed.error() == Error::Malformed);
    }
}

TEST_CASE("requests: TLV fields that are cut, twice there, or of another size are faults") {
    PaymentRequest request;
    request.unit = "sat";
    CHECK(parse_payment_request(creq_b("03000100")).value() == request);
    CHECK(parse_payment_request(creq_b("0300037361"
                                       "74"))
              .value() == request);
    // Tags that we don't know are passed over, within others too.
    CHECK(parse_payment_request(creq_b("030001007f0002beefff0000")).value() == request);
    request.transports = {{"7", "x", {}}};
    CHECK(parse_payment_request(creq_b("0300010007000c"
                                       "01000107"
                                       "02000178"
                                       "090001ff"))
              .value() == request);
    CHECK(write_creq_b(request).has_value());
    for (const char* hex : {
             "01",        // Cut in the length …
             "010002aa",  // … and in the value.
             "01000161010001"
             "62",  // An id twice.
             "0100"
             "01ff",  // Text that is no UTF-8.
             "020004"
             "0000000a03000100",        // An amount of four bytes.
             "020008000000000000000a",  // An amount of what?
             "04000102",                // Neither yes nor no.
             "040000",
             "05000161",  // A mint that is no URL.
             "070000",    // A transport of nothing.
             "070004"
             "01000100",  // One without a target.
             "070008"
             "01000100"
             "02000141",  // A Nostr key of one byte.
             "07000f"
             "01000101"
             "02000178"
             "0300040261"
             "62"
             "05",  // A tuple that is cut.
             "07000b"
             "01000101"
             "02000178"
             "030000",  // A tuple of nothing.
             "080004"
             "01000100",  // A lock without data.
             "0900010209000100",
             "0b000b"
             "020008"
             "0000000000000001",  // A method without a name.
         }) {
        CAPTURE(hex);
        const auto parsed = parse_payment_request(creq_b(hex));
        REQUIRE_FALSE(parsed);
        CHECK(parsed.error() == Error::Malformed);
    }
}

TEST_CASE("requests: what has no place in TLV is said so, and CBOR takes it") {
    const auto inexpressible = [](auto change) {
        PaymentRequest request = some_request();
        change(request);
        REQUIRE(parse_payment_request(write_creq_a(request)).value() == request);
        const auto written = write_creq_b(request);
        REQUIRE_FALSE(written);
        CHECK(written.error() == Error::Inexpressible);
    };
    inexpressible([](auto& request) { request.transports[0].kind = "carrier pigeon"; });
    inexpressible([](auto& request) { request.transports[0].kind = "nostr"; });
    inexpressible([](auto& request) { request.transports[0].tags = {{std::string(256, 'a')}}; });
    inexpressible([](auto& request) { request.lock->kind = "DLC"; });
    inexpressible([](auto& request) { request.lock->kind = "256"; });
    inexpressible([](auto& request) { request.lock->kind = "1"; });
    inexpressible([](auto& request) { request.transports[0].kind = "0"; });
    inexpressible([](auto& request) { request.unit = std::string(1, '\0'); });
    PaymentRequest long_one;
    long_one.description = std::string(0x10000, 'a');
    CHECK(write_creq_b(long_one).error() == Error::Inexpressible);
}

TEST_CASE("requests: a Nostr key comes back with its relays, or alone") {
    NostrName name;
    name.key[31] = std::byte{7};
    const std::string alone = write_nostr_name(name);
    CHECK(alone.starts_with("npub1"));
    name.relays = {"wss://a.example", "wss://b.example"};
    const std::string profile = write_nostr_name(name);
    CHECK(profile.starts_with("nprofile1"));
    PaymentRequest request;
    for (const std::string& target : {alone, profile}) {
        CHECK(write_nostr_name(parse_nostr_name(target).value()) == target);
        request.transports = {{"nostr", target, {{"n", "17"}}}};
        CHECK(parse_payment_request(write_creq_b(request).value()).value() == request);
    }
    for (const char* text :
         {"", "npub1", "nsec1", "abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw"}) {
        CHECK_FALSE(parse_nostr_name(text));
    }
    const auto profile_of = [](const char* hex) {
        return encode_bech32("nprofile", to_groups(from_hex(hex).value()));
    };
    CHECK_FALSE(parse_nostr_name(profile_of("")));
    CHECK_FALSE(parse_nostr_name(profile_of("0001ff")));
    CHECK_FALSE(parse_nostr_name(profile_of("0120ff")));
    CHECK_FALSE(parse_nostr_name(profile_of("01")));
    CHECK_FALSE(parse_nostr_name(profile_of(("0020" + std::string(64, '0') + "0101ff").c_str())));
}

// --- What payers post
// -----------------------------------------------------------------------------

Json some_payment() {
    const std::string point = "02a9acc1e48c25eeeb9289b5031cc57da9fe72f3fe2861d264bdc074209b107ba2";
    const std::string scalar(64, '1');
    const Json proof{{"amount", 8},
                     {"id", "009a1f293253e41e"},
                     {"secret", "s"},
                     {"C", point},
                     {"witness", "{\"signatures\":[]}"},
                     {"dleq", {{"e", scalar}, {"s", scalar}, {"r", scalar}}},
                     {"p2pk_e", point}};
    return {{"id", "b7a90176"},
            {"memo", "thanks"},
            {"mint", "https://mint.example.com"},
            {"unit", "sat"},
            {"proofs", Json::array({proof})}};
}

TEST_CASE("payments: a payer's JSON is read with all that its proofs carry, and written the same") {
    const Json json = some_payment();
    const auto payment = parse_request_payment(json.dump());
    REQUIRE(payment);
    CHECK(payment->id == "b7a90176");
    CHECK(payment->token.memo == "thanks");
    CHECK(payment->token.mint.text() == "https://mint.example.com");
    REQUIRE(payment->token.proofs.size() == 1);
    CHECK(payment->token.proofs[0].dleq->r);
    CHECK(payment->token.proofs[0].p2pk_e);
    CHECK(Json::parse(write_request_payment(*payment)) == json);
    Json bare = json;
    bare.erase("id");
    bare["memo"] = nullptr;
    bare["later"] = 1;
    bare["proofs"][0]["id"] = "01c0d98178afd62d";  // A short id: resolved as a token's is.
    const auto read = parse_request_payment(bare.dump());
    REQUIRE(read);
    CHECK_FALSE(read->id);
    CHECK_FALSE(read->token.memo);
    CHECK(read->token.proofs[0].id.is_short());
}

TEST_CASE("payments: what is no money, or the same money twice, is refused with its place") {
    const auto fault = [](auto change) {
        Json json = some_payment();
        change(json);
        const auto payment = parse_request_payment(json.dump());
        REQUIRE_FALSE(payment);
        return payment.error();
    };
    const auto check = [&](auto change, Code code, const char* where) {
        const auto found = fault(change);
        CHECK(found.code == code);
        CHECK(found.where == where);
    };
    check([](Json& json) { json.erase("mint"); }, Code::Missing, "mint");
    check([](Json& json) { json["mint"] = "mint.example.com"; }, Code::OutOfRange, "mint");
    check([](Json& json) { json.erase("unit"); }, Code::Missing, "unit");
    check([](Json& json) { json.erase("proofs"); }, Code::Missing, "proofs");
    check([](Json& json) { json["proofs"] = Json::array(); }, Code::Missing, "proofs");
    check([](Json& json) { json["proofs"] = "cashuB"; }, Code::WrongType, "proofs");
    check([](Json& json) { json["id"] = 7; }, Code::WrongType, "id");
    check([](Json& json) { json["proofs"][0]["amount"] = 0; }, Code::OutOfRange,
          "proofs[0].amount");
    check([](Json& json) { json["proofs"][0]["secret"] = ""; }, Code::OutOfRange,
          "proofs[0].secret");
    check([](Json& json) { json["proofs"].push_back(json["proofs"][0]); }, Code::Duplicate,
          "proofs[1].secret");
    check(
        [](Json& json) {
            json["proofs"].push_back(json["proofs"][0]);
            json["proofs"][1]["secret"] = "other";
            json["proofs"][1]["amount"] = 18446744073709551615ULL;
        },
        Code::OutOfRange, "proofs");
    check([](Json& json) { json["proofs"] = Json(kTokenProofsMax + 1, json["proofs"][0]); },
          Code::TooMany, "proofs");
    CHECK(parse_request_payment("[]").error().code == Code::WrongType);
    CHECK(parse_request_payment("{").error().code == Code::NotJson);
}

}  // namespace
}  // namespace nutgate::cashu
