#include "nutgate/lightning/lnurl.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "nutgate/base/bech32.h"
#include "nutgate/crypto/hash.h"
#include "support/fixed_clock.h"
#include "support/scripted_http.h"

using namespace nutgate;
using test::FixedClock;
using test::ScriptedHttp;
using Json = nlohmann::json;

namespace {

constexpr Msat kAmount = 21'000_msat;
const std::string kMetadata = R"([["text/plain","for ann"],["text/identifier","ann@a.example"]])";

std::string encoded(std::string_view url) {
    return encode_bech32("lnurl", to_groups(as_bytes(url)));
}

Json pay_request() {
    return {{"tag", "payRequest"},   {"callback", "https://a.example/pay?id=7"},
            {"minSendable", 1'000},  {"maxSendable", 100'000'000},
            {"metadata", kMetadata}, {"commentAllowed", 10}};
}
LnurlPay pay() { return *parse_lnurl_pay(pay_request().dump()); }

struct Written {
    Network network = Network::Regtest;
    Msat amount = kAmount;
    Seconds expiry{600};
};
std::string answer(const FixedClock& clock, const Written& written) {
    const auto bolt11 = write_bolt11({.network = written.network,
                                      .amount = written.amount,
                                      .created_at = clock.now(),
                                      .expiry = written.expiry,
                                      .payment_hash = PaymentHash{ByteArray<32>{std::byte{1}}},
                                      .payment_secret = {},
                                      .description = "for ann"},
                                     *crypto::Scalar::from_hex(std::string(64, '9')));
    return Json{{"pr", bolt11}, {"routes", Json::array()}}.dump();
}

LnurlError fault_of(const std::string& text) {
    const auto url = lnurl_url(text);
    REQUIRE_FALSE(url.has_value());
    return url.error().code;
}

}  // namespace

TEST_CASE("lnurl: the text of LUD-01 is the URL that it says") {
    const std::string text =
        "LNURL1DP68GURN8GHJ7UM9WFMXJCM99E3K7MF0V9CXJ0M385EKVCENXC6R2C35XVUKXEFCV5MKVV34X5EKZD3EV56N"
        "YD3"
        "HXQURZEPEXEJXXEPNXSCRVWFNV9NXZCN9XQ6XYEFHVGCXXCMYXYMNSERXFQ5FNS";
    const auto url = lnurl_url(text);
    REQUIRE(url.has_value());
    CHECK_EQ(*url,
             "https://service.com/api?q=3fc3645b439ce8e7f2553a69e5267081d96dcd340693afabe04be7b0ccd"
             "178df");
    CHECK_EQ(*lnurl_url("lightning:" + text), *url);
    CHECK_EQ(*lnurl_url(encoded("https://a.example/x")), "https://a.example/x");
}

TEST_CASE("lnurl: an address and the schemes of LUD-17 name an https URL, or one of an onion") {
    CHECK_EQ(*lnurl_url("Ann.b_c+d@A.example"), "https://a.example/.well-known/lnurlp/ann.b_c+d");
    CHECK_EQ(*lnurl_url(" ann@a.example\n"), "https://a.example/.well-known/lnurlp/ann");
    CHECK_EQ(*lnurl_url("ann@abc.onion"), "http://abc.onion/.well-known/lnurlp/ann");
    CHECK_EQ(*lnurl_url("lnurlp://a.example/p?x=1"), "https://a.example/p?x=1");
    CHECK_EQ(*lnurl_url("lnurlp://abc.onion/p"), "http://abc.onion/p");
    CHECK_EQ(*lnurl_url("lightning:lnurlp:a.example/p"), "https://a.example/p");
}

TEST_CASE("lnurl: what is something else, or names what may not be called, is refused") {
    CHECK_EQ(fault_of("hello"), LnurlError::NotLnurl);
    CHECK_EQ(fault_of("a@b@c.example"), LnurlError::NotLnurl);
    CHECK_EQ(fault_of("an n@a.example"), LnurlError::NotLnurl);
    CHECK_EQ(fault_of("../x@a.example"), LnurlError::NotLnurl);
    CHECK_EQ(fault_of("ann@a.example/x"), LnurlError::NotLnurl);
    CHECK_EQ(fault_of("ann@"), LnurlError::NotLnurl);
    CHECK_EQ(fault_of(std::string(5'000, 'a') + "@a.example"), LnurlError::NotLnurl);
    auto wrong = encoded("https://a.example/x");
    wrong.back() = wrong.back() == 'q' ? 'p' : 'q';
    CHECK_EQ(fault_of(wrong), LnurlError::NotLnurl);
    CHECK_EQ(fault_of(encoded("http://a.example/x")), LnurlError::UrlRefused);
    CHECK_EQ(fault_of(encoded("ftp://a.example/x")), LnurlError::UrlRefused);
    CHECK_EQ(fault_of(encoded("https://user:pass@a.example/x")), LnurlError::UrlRefused);
    CHECK_EQ(fault_of(encoded("https://a.example/x?tag=login&k1=0")), LnurlError::NotForPaying);
    CHECK_EQ(fault_of("lnurlw://a.example/x"), LnurlError::NotForPaying);
    CHECK_EQ(fault_of("keyauth://a.example/x"), LnurlError::NotForPaying);
}

TEST_CASE("lnurl: a pay request is read with its bounds, or refused") {
    const auto good = pay();
    CHECK_EQ(good.least, 1'000_msat);
    CHECK_EQ(good.most, 100'000'000_msat);
    CHECK_EQ(good.description, "for ann");
    CHECK_EQ(good.metadata, kMetadata);
    const auto with = [](const char* key, const Json& value) {
        auto json = pay_request();
        json[key] = value;
        const auto parsed = parse_lnurl_pay(json.dump());
        REQUIRE_FALSE(parsed.has_value());
        return parsed.error().code;
    };
    CHECK_EQ(with("tag", "withdrawRequest"), LnurlError::NotForPaying);
    CHECK_EQ(with("tag", nullptr), LnurlError::Malformed);
    CHECK_EQ(with("minSendable", 0), LnurlError::Malformed);
    CHECK_EQ(with("minSendable", -1), LnurlError::Malformed);
    CHECK_EQ(with("minSendable", 1.5), LnurlError::Malformed);
    CHECK_EQ(with("maxSendable", 999), LnurlError::Malformed);
    CHECK_EQ(with("callback", "http://a.example/"), LnurlError::UrlRefused);
    CHECK_EQ(with("callback", "https://a.example/#x"), LnurlError::UrlRefused);
    CHECK_EQ(with("metadata", "[]"), LnurlError::Malformed);
    CHECK_EQ(with("metadata", "nonsense"), LnurlError::Malformed);
    const auto declined = parse_lnurl_pay(R"({"status":"ERROR","reason":"no \u0007 such user"})");
    REQUIRE_FALSE(declined.has_value());
    CHECK_EQ(declined.error().code, LnurlError::Declined);
    CHECK_EQ(declined.error().detail, "no ? such user");
    CHECK_EQ(parse_lnurl_pay("<html>").error().code, LnurlError::Malformed);
}

TEST_CASE("lnurl: the callback says the amount in msat, within what is allowed") {
    CHECK_EQ(*lnurl_callback(pay(), kAmount), "https://a.example/pay?id=7&amount=21000");
    CHECK_EQ(*lnurl_callback(pay(), kAmount, "a b"),
             "https://a.example/pay?id=7&amount=21000&comment=a%20b");
    CHECK_EQ(lnurl_callback(pay(), 999_msat).error().code, LnurlError::AmountRefused);
    CHECK_EQ(lnurl_callback(pay(), 100'000'001_msat).error().code, LnurlError::AmountRefused);
    CHECK_EQ(lnurl_callback(pay(), kAmount, "more than ten").error().code,
             LnurlError::CommentTooLong);
}

TEST_CASE("lnurl: an invoice is taken only if it is the one that was asked for") {
    const FixedClock clock;
    const LnurlCheck check{.amount = kAmount, .network = Network::Regtest, .now = clock.now()};
    const auto fault = [&](const Written& written) {
        const auto invoice = parse_lnurl_invoice(answer(clock, written), pay(), check);
        REQUIRE_FALSE(invoice.has_value());
        return invoice.error().code;
    };
    const auto good = parse_lnurl_invoice(answer(clock, {}), pay(), check);
    REQUIRE(good.has_value());
    CHECK_EQ(good->parsed.amount, kAmount);
    CHECK_EQ(fault({.amount = 21'001_msat}), LnurlError::InvoiceAmount);
    CHECK_EQ(fault({.network = Network::Bitcoin}), LnurlError::InvoiceForeign);
    CHECK_EQ(fault({.expiry = Seconds{59}}), LnurlError::InvoiceExpired);
    CHECK_EQ(parse_lnurl_invoice(R"({"pr":"lnbc1x"})", pay(), check).error().code,
             LnurlError::InvoiceMalformed);
    CHECK_EQ(parse_lnurl_invoice("{}", pay(), check).error().code, LnurlError::Malformed);
    auto strict = check;
    strict.needs_hash = true;
    CHECK_EQ(parse_lnurl_invoice(answer(clock, {}), pay(), strict).error().code,
             LnurlError::InvoiceDescription);
}

TEST_CASE("lnurl: a description's hash is that of the metadata, byte for byte") {
    // The specification's example: its hash is that of "One piece of chocolate cake, …".
    const std::string bolt11 =
        "lnbc20m1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfq"
        "qqsy"
        "qcyq5rqwzqfqqqsyqcyq5rqwzqfqypqhp58yjmdan79s6qqdhdzgynm4zwqd5d7xmw5fk98klysy043l2ahrqs9qrs"
        "gq7ea"
        "976txfraylvgzuxs8kgcw23ezlrszfnh8r6qtfpr6cxga50aj6txm9rxrydzd06dfeawfk6swupvz4erwnyutnjq7x"
        "39ymw"
        "6j38gp7ynn44";
    const auto parsed = parse_bolt11(bolt11);
    REQUIRE(parsed.has_value());
    REQUIRE(parsed->description_hash.has_value());
    auto request = pay();
    request.metadata =
        "One piece of chocolate cake, one icecream cone, one pickle, one slice of swiss cheese, "
        "one "
        "slice of salami, one lollypop, one piece of cherry pie, one sausage, one cupcake, and one "
        "slice of watermelon";
    const LnurlCheck check{.amount = *parsed->amount,
                           .network = Network::Bitcoin,
                           .now = parsed->created_at,
                           .needs_hash = true};
    const auto body = Json{{"pr", bolt11}}.dump();
    CHECK(parse_lnurl_invoice(body, request, check).has_value());
    request.metadata += " ";
    CHECK_EQ(parse_lnurl_invoice(body, request, check).error().code,
             LnurlError::InvoiceDescription);
}

TEST_CASE("lnurl: only the public internet is asked, in bounds, and redirects keep to that") {
    FixedClock clock;
    ScriptedHttp http;
    LnurlClient client{http, clock, Network::Regtest};
    const auto moved = [](std::string location) {
        return [location](const http::ClientRequest&) -> ScriptedHttp::Outcome {
            return http::Response{302, {{"Location", location}}, ""};
        };
    };
    SUBCASE("from an address to an invoice") {
        http.then(ScriptedHttp::answer(404, pay_request().dump()));  // The status says nothing.
        http.then(ScriptedHttp::answer(200, answer(clock, {})));
        const auto request = client.ask("ann@a.example");
        REQUIRE(request.has_value());
        const auto invoice = client.invoice(*request, kAmount);
        REQUIRE(invoice.has_value());
        CHECK_EQ(invoice->parsed.amount, kAmount);
        const auto calls = http.calls();
        CHECK_EQ(calls.at(1).url, "https://a.example/pay?id=7&amount=21000");
        for (const auto& call : calls) {
            CHECK(call.reach == http::Reach::PublicOnly);
            CHECK_EQ(call.response_bytes_max, 64 * 1024);
            CHECK_EQ(call.timeout, Milliseconds{10'000});
        }
    }
    SUBCASE("a redirect is followed with the same rules") {
        http.then(moved("https://b.example/x"));
        http.then(moved("/y"));
        http.then(ScriptedHttp::answer(200, pay_request().dump()));
        CHECK(client.ask("ann@a.example").has_value());
        CHECK_EQ(http.calls().at(2).url, "https://b.example/y");
        CHECK(http.calls().at(1).reach == http::Reach::PublicOnly);
    }
    SUBCASE("not to http, and not for ever") {
        http.then(moved("http://b.example/x"));
        CHECK_EQ(client.ask("ann@a.example").error().code, LnurlError::UrlRefused);
        for (int i = 0; i < 3; ++i) http.then(moved("https://b.example/x"));
        CHECK_EQ(client.ask("ann@a.example").error().code, LnurlError::UrlRefused);
        CHECK_EQ(http.count(), 4);
    }
    SUBCASE("nobody there, or too much of an answer") {
        using Kind = http::ClientError::Kind;
        http.then(ScriptedHttp::failure(Kind::NotSent));
        CHECK_EQ(client.ask("ann@a.example").error().code, LnurlError::Unreachable);
        http.then(ScriptedHttp::failure(Kind::TooLarge));
        CHECK_EQ(client.ask("ann@a.example").error().code, LnurlError::Malformed);
        CHECK_EQ(client.ask("nonsense").error().code, LnurlError::NotLnurl);
        CHECK_EQ(http.count(), 2);
    }
}
