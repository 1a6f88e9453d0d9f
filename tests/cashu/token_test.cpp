#include "nutgate/cashu/token.h"

#include "cashu/vectors.h"
#include "nutgate/cashu/dhke.h"
#include "protocol/cbor.h"
#include "protocol/utf8.h"

namespace nutgate::cashu {
namespace {

using test::Json;
using test::vectors;

void check_proofs(const std::vector<Proof>& read, const std::vector<Proof>& wanted) {
    REQUIRE(read.size() == wanted.size());
    for (std::size_t i = 0; i < read.size(); ++i) {
        CHECK(read[i].amount == wanted[i].amount);
        CHECK(read[i].id == wanted[i].id);
        CHECK(read[i].secret == wanted[i].secret);
        CHECK(read[i].C == wanted[i].C);
        CHECK(read[i].witness == wanted[i].witness);
        CHECK(read[i].p2pk_e == wanted[i].p2pk_e);
        REQUIRE(read[i].dleq.has_value() == wanted[i].dleq.has_value());
        if (!read[i].dleq) continue;
        CHECK(read[i].dleq->e == wanted[i].dleq->e);
        CHECK(read[i].dleq->s == wanted[i].dleq->s);
        CHECK(read[i].dleq->r == wanted[i].dleq->r);
    }
}

// The token of a V4 vector of NUT-00.
Token v4_token(const Json& json) {
    Token token{MintUrl::parse(json["mint"].get<std::string>()).value(), json["unit"], {}, {}};
    if (!json["memo"].is_null()) token.memo = json["memo"].get<std::string>();
    for (const Json& group : json["token"]) {
        for (const Json& item : group["proofs"]) {
            token.proofs.push_back(test::proof(item, test::keyset_id(group["keyset_id"])));
        }
    }
    return token;
}

void check_v3(const Token& token, const Json& json) {
    CHECK(token.mint.text() == test::text(json["token"][0]["mint"]));
    CHECK(token.unit == test::text(json["unit"]));
    CHECK(token.memo == json["memo"].get<std::string>());
    std::vector<Proof> wanted;
    for (const Json& item : json["token"][0]["proofs"]) {
        wanted.push_back(test::proof(item, test::keyset_id(item["id"])));
    }
    check_proofs(token.proofs, wanted);
}

std::string without_padding(std::string text) {
    while (text.ends_with('=')) text.pop_back();
    return text;
}

TEST_CASE("tokens: the V3 texts of NUT-00 are read or refused as they say") {
    const Json file = vectors("nut00")["token_v3"];
    for (const Json& vector : file["serialize"]) {
        const auto token = parse_token(vector["serialized"].get<std::string>());
        REQUIRE(token);
        check_v3(*token, vector["json"]);
    }
    for (const Json& vector : file["deserialize"]) {
        CAPTURE(vector["reason"].get<std::string>());
        const auto token = parse_token(vector["serialized"].get<std::string>());
        REQUIRE(token.has_value() == vector["valid"].get<bool>());
        if (token) {
            check_v3(*token, vector["json"]);
        } else {
            CHECK(token.error() == TokenError::NotAToken);
        }
    }
}

TEST_CASE("tokens: the V4 texts of NUT-00 are read, and written to the byte") {
    const Json file = vectors("nut00")["token_v4"];
    for (const Json& vector : file["serialize"]) {
        CAPTURE(vector["name"].get<std::string>());
        const Token wanted = v4_token(vector["token"]);
        const auto token = parse_token(vector["serialized"].get<std::string>());
        REQUIRE(token);
        CHECK(token->mint == wanted.mint);
        CHECK(token->unit == wanted.unit);
        CHECK(token->memo == wanted.memo);
        check_proofs(token->proofs, wanted.proofs);
        CHECK(write_token(wanted) == without_padding(vector["serialized"]));
    }
    for (const Json& vector : file["raw_binary"]) {
        CAPTURE(vector["name"].get<std::string>());
        const auto token = parse_raw_token(test::bytes(vector["raw_hex"]));
        REQUIRE(token);
        check_proofs(token->proofs, v4_token(vector["token"]).proofs);
    }
}

TEST_CASE("interop: the tokens of cashu-ts, as text and raw, are read and written back") {
    const Json file = vectors("interop_cashu_ts");
    std::vector<KeysetId> known;
    for (const Json& keyset : file["keysets"]) known.push_back(test::keyset_id(keyset["id"]));
    for (const Json& vector : file["tokens"]) {
        CAPTURE(vector["name"].get<std::string>());
        const auto structural = parse_token(vector["serialized"].get<std::string>());
        // The library gave no raw form of the token without its DLEQs.
        const auto raw = vector["raw_hex"].is_null()
                             ? structural
                             : parse_raw_token(test::bytes(vector["raw_hex"]));
        if (vector["proofs"].empty()) {
            // A token of nothing is well-formed and worth nothing: there is nothing to do with it.
            REQUIRE_FALSE(structural);
            CHECK(structural.error() == TokenError::ZeroValue);
            CHECK(raw.error() == TokenError::ZeroValue);
            continue;
        }
        REQUIRE(structural);
        REQUIRE(raw);
        std::vector<Proof> wanted;
        for (const Json& item : vector["proofs"]) {
            wanted.push_back(test::proof(item, test::keyset_id(item["id"])));
            if (vector["dleq_removed"].get<bool>()) wanted.back().dleq.reset();
        }
        const auto token = resolve_keysets(*structural, known);
        REQUIRE(token);
        CHECK(token->mint.text() == test::text(vector["mint"]));
        CHECK(token->unit == test::text(vector["unit"]));
        std::optional<std::string> memo;
        if (!vector["memo"].is_null()) memo = vector["memo"].get<std::string>();
        CHECK(token->memo == memo);
        check_proofs(token->proofs, wanted);
        check_proofs(raw->proofs, wanted);
        for (const Proof& proof : token->proofs) {
            if (!proof.dleq) continue;
            CHECK(verify_dleq(proof, test::point(file["keys"][std::to_string(proof.amount)])));
        }
        const auto again = parse_token(write_token(*token));
        REQUIRE(again);
        check_proofs(resolve_keysets(*again, known)->proofs, wanted);
        CHECK(identity_of(again->proofs) == identity_of(raw->proofs));
    }
}

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

TEST_CASE("cbor: optional parts of a token may be null, and cdk's long witness key is read") {
    // {"m":"http://a","u":"sat","d":null,"t":[{"i":h'00…','p':[{"a":1,"s":"x","c":…,"d":null,
    //  "witness":"\"{}\""}]}]}
    const std::string proof =
        "a56161016173617861635821" +
        std::string{"02a9acc1e48c25eeeb9289b5031cc57da9fe72f3fe2861d264bdc074209b107ba2"} +
        "6164f6" + "677769746e65737364227b7d22";
    const std::string hex = "a4616d68" + to_hex(as_bytes("http://a")) + "617563" +
                            to_hex(as_bytes("sat")) + "6164f6" + "617481a2616948009a1f293253e41e" +
                            "617081" + proof;
    const auto token = parse_token("cashuB" + to_base64url(from_hex(hex).value()));
    REQUIRE(token);
    CHECK_FALSE(token->memo);
    CHECK_FALSE(token->proofs[0].dleq);
    CHECK(token->proofs[0].witness == "{}");
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
