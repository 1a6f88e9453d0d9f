// Tokens (NUT-00), keys and keyset ids (NUT-01, NUT-02), by the specification and by cashu-ts.
#include "cashu/vector_cases.h"
#include "nutgate/cashu/dhke.h"
#include "nutgate/cashu/token.h"
#include "nutgate/cashu/unlock.h"
#include "nutgate/cashu/wire.h"

namespace nutgate::test {
namespace {

using namespace cashu;

// The token of a V4 vector of NUT-00.
Token v4_token(const Json& json) {
    Token token{MintUrl::parse(json["mint"].get<std::string>()).value(), json["unit"], {}, {}};
    if (!json["memo"].is_null()) token.memo = json["memo"].get<std::string>();
    for (const Json& group : json["token"]) {
        for (const Json& item : group["proofs"]) {
            token.proofs.push_back(proof(item, keyset_id(group["keyset_id"])));
        }
    }
    return token;
}

void check_v3(const Token& token, const Json& json) {
    CHECK(token.mint.text() == text(json["token"][0]["mint"]));
    CHECK(token.unit == text(json["unit"]));
    CHECK(token.memo == json["memo"].get<std::string>());
    std::vector<Proof> wanted;
    for (const Json& item : json["token"][0]["proofs"]) {
        wanted.push_back(proof(item, keyset_id(item["id"])));
    }
    check_proofs(token.proofs, wanted);
}

std::string without_padding(std::string text) {
    while (text.ends_with('=')) text.pop_back();
    return text;
}

void v3_is_read(const Json&, const Json& vector) {
    const auto token = parse_token(vector["serialized"].get<std::string>());
    REQUIRE(token.has_value() == vector.value("valid", true));
    if (token) {
        check_v3(*token, vector["json"]);
    } else {
        CHECK(token.error() == TokenError::NotAToken);
    }
}

void v4_is_read_and_written(const Json&, const Json& vector) {
    const Token wanted = v4_token(vector["token"]);
    const auto token = parse_token(vector["serialized"].get<std::string>());
    REQUIRE(token);
    CHECK(token->mint == wanted.mint);
    CHECK(token->unit == wanted.unit);
    CHECK(token->memo == wanted.memo);
    check_proofs(token->proofs, wanted.proofs);
    CHECK(write_token(wanted) == without_padding(vector["serialized"]));
}

void raw_is_read(const Json&, const Json& vector) {
    const auto token = parse_raw_token(bytes(vector["raw_hex"]));
    REQUIRE(token);
    check_proofs(token->proofs, v4_token(vector["token"]).proofs);
}

void keys_are_read(const Json&, const Json& vector) {
    const Json answer{
        {"keysets",
         Json::array({{{"id", "009a1f293253e41e"}, {"unit", "sat"}, {"keys", vector["keys"]}}})}};
    const auto parsed = wire::parse_keys(answer.dump());
    REQUIRE(parsed.has_value() == vector["valid"].get<bool>());
    if (parsed) CHECK(parsed->front().keys.size() == vector["keys"].size());
}

void id_v1_is(const Json&, const Json& vector) {
    const auto points = keys(vector["keys"]).value();
    CHECK(derive_keyset_id_v1(points).text() == text(vector["keyset_id"]));
    Keyset keyset{keyset_id(vector["keyset_id"]), "sat", true, 0, {}, points};
    CHECK(keyset_id_matches(keyset));
    keyset.keys.erase(keyset.keys.begin());
    CHECK_FALSE(keyset_id_matches(keyset));
}

void id_v2_is(const Json&, const Json& vector) {
    const auto points = keys(vector["keys"]).value();
    const auto fee =
        vector["input_fee_ppk"].is_null() ? 0 : vector["input_fee_ppk"].get<std::uint64_t>();
    std::optional<std::int64_t> expiry;
    if (!vector["final_expiry"].is_null()) expiry = vector["final_expiry"].get<std::int64_t>();
    const std::string unit = vector["unit"];
    const KeysetId id = derive_keyset_id_v2(points, unit, fee, expiry);
    CHECK(id.text() == text(vector["keyset_id"]));
    CHECK(id.shortened().text() == text(vector["short_id"]));
    CHECK(id.shortened().is_short());
    // Fee and expiry are inside the id, so a mint can't change them behind its wallets' backs.
    CHECK(keyset_id_matches({id, unit, true, fee, expiry, points}));
    CHECK_FALSE(keyset_id_matches({id, unit, true, fee + 1, expiry, points}));
    CHECK_FALSE(keyset_id_matches({id, unit, true, fee, expiry.value_or(0) + 1, points}));
}

// Other than the rule that others go by, the zero is in the id.
void keyset_that_expires_at_zero(const Json&, const Json& vector) {
    Keyset keyset{keyset_id(vector["id"]), "sat", true, 1000, 0, keys(vector["keys"]).value()};
    CHECK(keyset_id_matches(keyset));
    keyset.final_expiry = 1;
    CHECK_FALSE(keyset_id_matches(keyset));
    keyset.final_expiry.reset();
    CHECK_FALSE(keyset_id_matches(keyset));
}

void keyset_of_cashu_ts(const Json& file, const Json& vector) {
    Keyset keyset{keyset_id(vector["id"]),   vector["unit"], true, vector["input_fee_ppk"], {},
                  keys(file["keys"]).value()};
    if (!vector["final_expiry"].is_null()) keyset.final_expiry = vector["final_expiry"];
    CHECK(keyset_id_matches(keyset));
}

// What its proofs are, in full.
std::vector<Proof> proofs_of(const Json& vector) {
    std::vector<Proof> proofs;
    for (const Json& item : vector["proofs"]) {
        proofs.push_back(proof(item, keyset_id(item["id"])));
        if (vector["dleq_removed"].get<bool>()) proofs.back().dleq.reset();
    }
    return proofs;
}

void check_read(const Json& file, const Json& vector, const Token& structural, const Token& raw) {
    std::vector<KeysetId> known;
    for (const Json& keyset : file["keysets"]) known.push_back(keyset_id(keyset["id"]));
    const auto wanted = proofs_of(vector);
    const auto token = resolve_keysets(structural, known);
    REQUIRE(token);
    CHECK(token->mint.text() == text(vector["mint"]));
    CHECK(token->unit == text(vector["unit"]));
    CHECK(token->memo ==
          (vector["memo"].is_null() ? std::nullopt : std::optional{text(vector["memo"])}));
    check_proofs(token->proofs, wanted);
    check_proofs(raw.proofs, wanted);
    for (const Proof& one : token->proofs) {
        if (one.dleq) CHECK(verify_dleq(one, point(file["keys"][std::to_string(one.amount)])));
    }
    const auto again = parse_token(write_token(*token));
    REQUIRE(again);
    check_proofs(resolve_keysets(*again, known)->proofs, wanted);
    CHECK(identity_of(again->proofs) == identity_of(raw.proofs));
    // Its witnesses unlock what they are attached to; without one, the key is needed.
    const bool needs_key = vector["name"] == "P2BK locked (pe)";
    CHECK(check_locks(wire::SwapRequest{wanted, {}}, 0).has_value() != needs_key);
    const auto receiver = scalar(file["p2bk"][0]["receiver_secret"]);
    CHECK(can_spend(wanted, std::vector{receiver}, 0));
}

void token_of_cashu_ts(const Json& file, const Json& vector) {
    const auto structural = parse_token(vector["serialized"].get<std::string>());
    // The library gave no raw form of the token without its DLEQs.
    const auto raw =
        vector["raw_hex"].is_null() ? structural : parse_raw_token(bytes(vector["raw_hex"]));
    if (vector["proofs"].empty()) {
        // A token of nothing is well-formed and worth nothing: there is nothing to do with it.
        REQUIRE_FALSE(structural);
        CHECK(structural.error() == TokenError::ZeroValue);
        CHECK(raw.error() == TokenError::ZeroValue);
        return;
    }
    REQUIRE(structural);
    REQUIRE(raw);
    check_read(file, vector, *structural, *raw);
}

}  // namespace

std::vector<VectorSection> token_vectors() {
    return {
        {"nut00", "/token_v3/serialize", v3_is_read},
        {"nut00", "/token_v3/deserialize", v3_is_read},
        {"nut00", "/token_v4/serialize", v4_is_read_and_written},
        {"nut00", "/token_v4/raw_binary", raw_is_read},
        {"nut01", "/keysets", keys_are_read},
        {"nut02", "/v1", id_v1_is},
        {"nut02", "/v2", id_v2_is},
        {"interop_cashu_ts", "/keysets", keyset_of_cashu_ts},
        {"nutshell_expires_at_zero", "/keyset", keyset_that_expires_at_zero},
        {"interop_cashu_ts", "/tokens", token_of_cashu_ts},
    };
}

}  // namespace nutgate::test
