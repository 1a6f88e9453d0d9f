#pragma once

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <fstream>
#include <iterator>
#include <string>

#include "nutgate/base/bytes.h"
#include "nutgate/base/secret.h"
#include "nutgate/cashu/proof.h"
#include "nutgate/crypto/curve.h"

namespace nutgate::test {

using Json = nlohmann::json;

inline Json vectors(const std::string& name) {
    std::ifstream file{std::string{NUTGATE_VECTORS} + "/" + name + ".json"};
    REQUIRE(file.is_open());
    return Json::parse(file);
}

inline std::string text(const Json& json) { return json.get<std::string>(); }
inline crypto::Point point(const Json& hex) { return crypto::Point::from_hex(text(hex)).value(); }
inline crypto::Scalar scalar(const Json& hex) {
    return crypto::Scalar::from_hex(text(hex)).value();
}
inline Bytes bytes(const Json& hex) { return from_hex(text(hex)).value(); }
inline ByteArray<32> bytes32(const Json& hex) { return array_from_hex<32>(text(hex)).value(); }
inline cashu::KeysetId keyset_id(const Json& hex) {
    return cashu::KeysetId::parse(text(hex)).value();
}
inline Secret seed(const Json& hex) { return Secret{bytes(hex)}; }

// The keys of a keyset; empty where one of them is no compressed point.
inline std::optional<std::map<cashu::Amount, crypto::Point>> keys(const Json& json) {
    std::map<cashu::Amount, crypto::Point> result;
    for (const auto& [amount, hex] : json.items()) {
        const auto key = crypto::Point::from_hex(text(hex));
        if (!key) return std::nullopt;
        result.emplace(std::stoull(amount), *key);
    }
    return result;
}

inline std::optional<cashu::Dleq> dleq(const Json& json) {
    if (!json.contains("dleq")) return std::nullopt;
    const Json& d = json["dleq"];
    cashu::Dleq result{bytes32(d["e"]), bytes32(d["s"]), std::nullopt};
    if (d.contains("r")) result.r = bytes32(d["r"]);
    return result;
}

inline cashu::Proof proof(const Json& json, const cashu::KeysetId& id) {
    cashu::Proof result{json["amount"], id,         json["secret"], point(json["C"]),
                        std::nullopt,   dleq(json), std::nullopt};
    if (json.contains("witness")) result.witness = json["witness"].get<std::string>();
    if (json.contains("p2pk_e")) result.p2pk_e = point(json["p2pk_e"]);
    return result;
}

inline void check_proofs(const std::vector<cashu::Proof>& read,
                         const std::vector<cashu::Proof>& wanted) {
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

inline std::vector<cashu::BlindedMessage> outputs(const Json& json) {
    std::vector<cashu::BlindedMessage> result;
    for (const Json& item : json) {
        result.push_back({item["amount"], keyset_id(item["id"]), point(item["B_"])});
    }
    return result;
}

}  // namespace nutgate::test
