#include "nutgate/cashu/token.h"

#include <algorithm>
#include <functional>

#include "cashu/vectors.h"
#include "nutgate/cashu/wire.h"
#include "protocol/cbor.h"
#include "protocol/utf8.h"

namespace nutgate::cashu {
namespace {

using test::Json;
using test::vectors;

std::string some_token() { return vectors("nut00")["token_v4"]["serialize"][0]["serialized"]; }

TEST_CASE("tokens: prefixes and white space are taken off, other text is not a token") {
    const std::string token = some_token();
    for (const char* prefix : {"cashu:", "cashu://", "web+cashu://", "  \n"}) {
        CHECK(parse_token(prefix + token + "\r\n"));
        CHECK(looks_like_token(prefix + token));
    }
    CHECK(parse_token(token.substr(0, 40) + "\n  " + token.substr(40)));
    for (const char* text : {"", "cashu:", "sk-00", "lnbc1", "cashuC1234567890123456"}) {
        CHECK_FALSE(looks_like_token(text));
        CHECK(parse_token(text).error() == TokenError::NotAToken);
    }
    CHECK(parse_token("cashuB!!!!").error() == TokenError::Malformed);
    CHECK(parse_token("cashuA!!!!").error() == TokenError::Malformed);
    CHECK(parse_token("cashuB" + std::string(kTokenBytesMax, 'A')).error() == TokenError::TooLarge);
}

Token one_proof() { return parse_token(some_token()).value(); }

TEST_CASE("tokens: what holds no value, or the same proof twice, is refused") {
    Token token = one_proof();
    token.proofs.push_back(token.proofs[0]);
    CHECK(parse_token(write_token(token)).error() == TokenError::DuplicateProof);
    token = one_proof();
    token.proofs[0].amount = 0;
    CHECK(parse_token(write_token(token)).error() == TokenError::ZeroValue);
    token.proofs.clear();
    CHECK(parse_token(write_token(token)).error() == TokenError::ZeroValue);
    token = one_proof();
    token.proofs[0].amount = 1ULL << 63;
    token.proofs.push_back(token.proofs[0]);
    token.proofs[1].secret = "another";
    CHECK(parse_token(write_token(token)).error() == TokenError::AmountOverflow);
    token = one_proof();
    token.proofs[0].secret = std::string(kSecretBytesMax + 1, 'a');
    CHECK(parse_token(write_token(token)).error() == TokenError::TooLarge);
    token.proofs[0].secret = "";
    CHECK(parse_token(write_token(token)).error() == TokenError::Malformed);
    token = one_proof();
    for (std::size_t i = 0; i < kTokenProofsMax; ++i) {
        token.proofs.push_back(token.proofs[0]);
        token.proofs.back().secret = "s" + std::to_string(i);
    }
    CHECK(parse_token(write_token(token)).error() == TokenError::TooLarge);
    token.proofs.pop_back();
    CHECK(parse_token(write_token(token)));
}

std::string v3(const std::string& json) { return "cashuA" + to_base64url(as_bytes(json)); }

TEST_CASE("tokens: a V3 text of several mints, or of a keyset that we can't know, is refused") {
    const std::string proof =
        R"({"amount":1,"id":"ID","secret":"s1","C":"02a9acc1e48c25eeeb9289b5031cc57da9fe72f3fe2861d264bdc074209b107ba2"})";
    const auto entry = [&](const char* mint, const char* id, const char* secret) {
        std::string text = proof;
        text.replace(text.find("ID"), 2, id);
        text.replace(text.find("s1"), 2, secret);
        return R"({"mint":")" + std::string{mint} + R"(","proofs":[)" + text + "]}";
    };
    const char* id = "009a1f293253e41e";
    const auto token = parse_token(v3(R"({"token":[)" + entry("https://a.example", id, "x") + "," +
                                      entry("https://A.example/", id, "y") + "]}"));
    REQUIRE(token);
    CHECK(token->proofs.size() == 2);
    CHECK(token->unit == "sat");
    CHECK(parse_token(v3(R"({"token":[)" + entry("https://a.example", id, "x") + "," +
                         entry("https://b.example", id, "y") + "]}"))
              .error() == TokenError::SeveralMints);
    CHECK(parse_token(v3(R"({"token":[)" + entry("https://a.example", "I2yN+iRYfkzT", "x") + "]}"))
              .error() == TokenError::KeysetUnknown);
    CHECK(parse_token(v3(R"({"token":[]})")).error() == TokenError::ZeroValue);
    CHECK(parse_token(v3(R"({"token":{}})")).error() == TokenError::Malformed);
    CHECK(parse_token(v3("[]")).error() == TokenError::Malformed);
}

TEST_CASE("tokens: a short keyset id is resolved to one keyset or to none") {
    const auto full =
        KeysetId::parse("01c0d98178afd62dd3080bfdf7084cec96af55ffec62177670be8637d0a287a149")
            .value();
    const auto twin = KeysetId::parse("01c0d98178afd62d" + std::string(50, '0')).value();
    Token token = one_proof();
    token.proofs[0].id = full.shortened();
    const auto resolved = resolve_keysets(token, std::vector{full});
    REQUIRE(resolved);
    CHECK(resolved->proofs[0].id == full);
    CHECK(resolve_keysets(token, std::vector{full, full}));
    CHECK(resolve_keysets(token, std::vector{full, twin}).error() == TokenError::KeysetUnknown);
    CHECK(resolve_keysets(token, std::vector<KeysetId>{}).error() == TokenError::KeysetUnknown);
}

TEST_CASE("tokens: the identity is of the proofs, not of the text") {
    Token token = one_proof();
    token.proofs.push_back(token.proofs[0]);
    token.proofs[1].secret = "another";
    const auto identity = identity_of(token.proofs);
    std::swap(token.proofs[0], token.proofs[1]);
    CHECK(identity == identity_of(token.proofs));
    token.proofs.pop_back();
    CHECK(identity != identity_of(token.proofs));
}

std::optional<cbor::Value> cbor_of(const char* hex) { return cbor::read(from_hex(hex).value()); }

TEST_CASE("cbor: only definite, bounded, unambiguous documents are read") {
    CHECK(cbor_of("a1616101"));
    CHECK(cbor_of("a161611a00000001"));      // A length longer than it need be.
    CHECK(cbor_of("a26161f66162f7"));        // null, undefined
    CHECK_FALSE(cbor_of("a161610100"));      // A byte behind the end.
    CHECK_FALSE(cbor_of("a2616101616102"));  // A key twice.
    CHECK_FALSE(cbor_of("bf616101ff"));      // Indefinite lengths.
    CHECK_FALSE(cbor_of("9f01ff"));
    CHECK_FALSE(cbor_of("5f4101ff"));
    CHECK_FALSE(cbor_of("a10102"));  // A key that is no text.
    CHECK_FALSE(cbor_of("c101"));    // A tag.
    CHECK_FALSE(cbor_of("61ff"));    // Text that is no UTF-8.
    CHECK_FALSE(cbor_of("9bffffffffffffffff"));
    CHECK_FALSE(cbor_of("5b7fffffffffffffff00"));
    CHECK_FALSE(cbor_of("818181818181818181818101"));  // Deeper than any token.
    CHECK_FALSE(cbor_of(""));
    CHECK_FALSE(cbor_of("1a0000"));
}

// --- What wallets write otherwise than the text has it (reference: tokens in the wild)
// ------------

const std::string kPoint = "02a9acc1e48c25eeeb9289b5031cc57da9fe72f3fe2861d264bdc074209b107ba2";
const std::string kDoubled = "\"{\\\"signatures\\\":[]}\"";

// A V4 token written key by key, so that it can be written otherwise.
using Write = std::function<void(cbor::Writer&)>;
using Fields = std::vector<std::pair<std::string, Write>>;

Write text_value(std::string text) {
    return [text](cbor::Writer& writer) { writer.text(text); };
}
Write bytes_value(const std::string& hex) {
    return [hex](cbor::Writer& writer) { writer.bytes(from_hex(hex).value()); };
}
// As they are: what no writer of ours would write.
Write raw_value(const std::string& hex) {
    return [hex](cbor::Writer& writer) { writer.raw(from_hex(hex).value()); };
}
Write map_value(const Fields& fields) {
    return [fields](cbor::Writer& writer) {
        writer.map(fields.size());
        for (const auto& [key, value] : fields) {
            writer.text(key);
            value(writer);
        }
    };
}
Write list_value(const std::vector<Write>& items) {
    return [items](cbor::Writer& writer) {
        writer.array(items.size());
        for (const Write& item : items) item(writer);
    };
}

Fields proof_fields(const std::string& secret = "x") {
    return {{"a", raw_value("01")}, {"s", text_value(secret)}, {"c", bytes_value(kPoint)}};
}
Write group(const Fields& proof, const std::string& id = "009a1f293253e41e") {
    return map_value({{"i", bytes_value(id)}, {"p", list_value({map_value(proof)})}});
}
Fields token_fields(const Write& group) {
    return {{"m", text_value("http://a")}, {"u", text_value("sat")}, {"t", list_value({group})}};
}
Bytes cbor_bytes(const Fields& fields) {
    cbor::Writer writer;
    map_value(fields)(writer);
    return writer.take();
}
Result<Token, TokenError> read_v4(const Fields& fields) {
    return parse_token("cashuB" + to_base64url(cbor_bytes(fields)));
}
Result<Token, TokenError> read_with(const std::string& key, const Write& value) {
    Fields proof = proof_fields();
    proof.emplace_back(key, value);
    return read_v4(token_fields(group(proof)));
}

std::string v3_proof(const std::string& more = "", const std::string& id = "009a1f293253e41e") {
    return R"({"amount":1,"id":")" + id + R"(","secret":"x","C":")" + kPoint + "\"" + more + "}";
}
std::string v3_token(const std::string& proof, const std::string& more = "") {
    return v3(R"({"token":[{"mint":"https://a.example","proofs":[)" + proof + "]}]" + more + "}");
}

TEST_CASE("divergence: base64 of either alphabet, padded or not, V3 and V4") {
    Token token = one_proof();
    token.memo = "\xc3\xbf\xc3\xbf>>??";
    bool had_padding = false;
    for (int i = 0; i < 3; ++i) {
        *token.memo += "~";
        const std::string url = write_token(token).substr(6);
        const std::string standard = to_base64(from_base64(url).value());
        had_padding |= standard.ends_with('=');
        CHECK(parse_token("cashuB" + url)->memo == token.memo);
        CHECK(parse_token("cashuB" + standard)->memo == token.memo);
        const std::string json = v3_token(v3_proof(), ",\"memo\":\"" + *token.memo + "\"");
        const std::string padded = to_base64(from_base64(json.substr(6)).value());
        CHECK(parse_token(json)->memo == token.memo);
        CHECK(parse_token("cashuA" + padded)->memo == token.memo);
    }
    CHECK(had_padding);
}

TEST_CASE("divergence: a short keyset id in V3 is resolved as in V4") {
    const auto full =
        KeysetId::parse("01c0d98178afd62dd3080bfdf7084cec96af55ffec62177670be8637d0a287a149")
            .value();
    const auto token = parse_token(v3_token(v3_proof("", full.shortened().text())));
    REQUIRE(token);
    CHECK(token->proofs[0].id.is_short());
    CHECK(resolve_keysets(*token, std::vector{full})->proofs[0].id == full);
}

TEST_CASE("divergence: a legacy keyset id of twelve base64 characters is named as unknown") {
    CHECK(parse_token(v3_token(v3_proof("", "I2yN+iRYfkzT"))).error() == TokenError::KeysetUnknown);
    CHECK(read_v4(token_fields(group(proof_fields(), to_hex(as_bytes("I2yN+iRYfkzT"))))).error() ==
          TokenError::KeysetUnknown);
}

TEST_CASE("divergence: the witness is called w, or witness as cdk has it") {
    for (const char* key : {"w", "witness"}) {
        CHECK(read_with(key, text_value("{\"signatures\":[]}"))->proofs[0].witness ==
              "{\"signatures\":[]}");
    }
    CHECK(read_with("w", raw_value("01")).error() == TokenError::Malformed);
}

TEST_CASE("divergence: a witness may be JSON of a text that holds JSON, or in V3 an object") {
    CHECK(read_with("w", text_value(kDoubled))->proofs[0].witness == "{\"signatures\":[]}");
    for (const std::string& form : {std::string{R"("{\"signatures\":[]}")"}, Json(kDoubled).dump(),
                                    std::string{R"({"signatures":[]})"}}) {
        const auto token = parse_token(v3_token(v3_proof(",\"witness\":" + form)));
        REQUIRE(token);
        CHECK(token->proofs[0].witness == "{\"signatures\":[]}");
    }
}

TEST_CASE("divergence: optional keys may be null or undefined") {
    for (const char* nothing : {"f6", "f7"}) {
        for (const char* key : {"d", "w", "witness", "pe"}) {
            const auto token = read_with(key, raw_value(nothing));
            REQUIRE(token);
            CHECK_FALSE(token->proofs[0].dleq);
            CHECK_FALSE(token->proofs[0].witness);
            CHECK_FALSE(token->proofs[0].p2pk_e);
        }
        Fields fields = token_fields(group(proof_fields()));
        fields.emplace_back("d", raw_value(nothing));
        CHECK_FALSE(read_v4(fields)->memo);
    }
    const auto token = parse_token(v3_token(
        v3_proof(R"(,"witness":null,"dleq":null,"p2pk_e":null)"), R"(,"memo":null,"unit":null)"));
    REQUIRE(token);
    CHECK_FALSE(token->memo);
    CHECK(token->unit == "sat");
}

TEST_CASE("divergence: keys in any order, and keys that we don't know") {
    Fields proof = proof_fields();
    std::ranges::reverse(proof);
    Fields fields = token_fields(group(proof));
    std::ranges::reverse(fields);
    fields.emplace_back("zz", raw_value("a1617801"));
    const auto token = read_v4(fields);
    REQUIRE(token);
    CHECK(token->proofs[0].secret == "x");
    CHECK(parse_token(v3_token(v3_proof(R"(,"reserved":[1])"), R"(,"later":{})")));
}

TEST_CASE("divergence: numbers and lengths longer than they need be") {
    for (const char* one : {"01", "1801", "190001", "1a00000001", "1b0000000000000001"}) {
        Fields proof = proof_fields();
        proof[0].second = raw_value(one);
        CHECK(read_v4(token_fields(group(proof)))->proofs[0].amount == 1);
    }
    Fields proof = proof_fields();
    proof[1].second = raw_value(
        "7900"
        "0178");
    CHECK(read_v4(token_fields(group(proof)))->proofs[0].secret == "x");
}

TEST_CASE("divergence: a key twice, or bytes behind the end, is no token") {
    Fields fields = token_fields(group(proof_fields()));
    fields.emplace_back("m", text_value("http://b"));
    CHECK(read_v4(fields).error() == TokenError::Malformed);
    Fields proof = proof_fields();
    proof.emplace_back("s", text_value("y"));
    CHECK(read_v4(token_fields(group(proof))).error() == TokenError::Malformed);
    Bytes bytes = cbor_bytes(token_fields(group(proof_fields())));
    CHECK(parse_token("cashuB" + to_base64url(bytes)));
    bytes.push_back(std::byte{0xf6});
    CHECK(parse_token("cashuB" + to_base64url(bytes)).error() == TokenError::Malformed);
}

TEST_CASE("divergence: the raw form, with whole keyset ids of either version") {
    for (const char* id : {"009a1f293253e41e", "01c0d98178afd62d",
                           "01c0d98178afd62dd3080bfdf7084cec96af55ffec62177670be8637d0a287a149"}) {
        Bytes raw = to_bytes(std::string_view{"crawB"});
        const Bytes cbor = cbor_bytes(token_fields(group(proof_fields(), id)));
        raw.insert(raw.end(), cbor.begin(), cbor.end());
        const auto token = parse_raw_token(raw);
        REQUIRE(token);
        CHECK(token->proofs[0].id.text() == id);
    }
    CHECK(parse_raw_token(to_bytes(std::string_view{"crawA"})).error() == TokenError::NotAToken);
    CHECK(parse_raw_token(to_bytes(std::string_view{"crawB"})).error() == TokenError::Malformed);
}

TEST_CASE("divergence: several keysets, and units other than sat, are kept as they are") {
    Fields fields = token_fields(group(proof_fields()));
    fields[1].second = text_value("msat");
    fields[2].second =
        list_value({group(proof_fields("x")), group(proof_fields("y"), "01c0d98178afd62d"),
                    group(proof_fields("z"))});
    const auto token = read_v4(fields);
    REQUIRE(token);
    CHECK(token->unit == "msat");
    REQUIRE(token->proofs.size() == 3);
    CHECK(token->proofs[1].id.is_short());
    CHECK(sum(token->proofs) == 3);
    CHECK(parse_unit(token->unit) == Unit::Msat);
    CHECK(parse_token(v3_token(v3_proof(), R"(,"unit":"usd")"))->unit == "usd");
    CHECK_FALSE(parse_unit("usd"));
    // Written again, proofs of one keyset lie together and the unit is there.
    const auto again = parse_token(write_token(*token));
    REQUIRE(again);
    CHECK(again->unit == "msat");
    CHECK(identity_of(again->proofs) == identity_of(token->proofs));
}

TEST_CASE("utf8: exactly what RFC 3629 allows") {
    CHECK(is_utf8("aé☕😀"));
    for (const char* text :
         {"\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xed\xa0\x80", "\xf0\x80\x80\x80",
          "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xe2\x98"}) {
        CHECK_FALSE(is_utf8(text));
    }
}

}  // namespace
}  // namespace nutgate::cashu
