// What a payer posts to a payee (NUT-18).
#include <set>

#include "nutgate/cashu/payment_request.h"
#include "protocol/json_reader.h"
#include "protocol/wire_json.h"

namespace nutgate::cashu {

namespace {

using wire::Json;
using Code = wire::WireError::Code;

// What parse_token() looks for in a token.
void check_value(wire::Reader& reader, const std::vector<Proof>& proofs) {
    if (proofs.empty()) return reader.fail_with(Code::Missing, "proofs");
    if (proofs.size() > kTokenProofsMax) return reader.fail_with(Code::TooMany, "proofs");
    std::set<std::string_view> secrets;
    for (const Proof& proof : proofs) {
        const std::string where = "proofs[" + std::to_string(secrets.size()) + "].";
        if (proof.amount == 0) return reader.fail_with(Code::OutOfRange, where + "amount");
        if (proof.secret.empty()) return reader.fail_with(Code::OutOfRange, where + "secret");
        if (!secrets.insert(proof.secret).second) {
            return reader.fail_with(Code::Duplicate, where + "secret");
        }
    }
    if (!sum(proofs)) reader.fail_with(Code::OutOfRange, "proofs");
}

// With what a mint is not told: the payee checks the proof of equality, and finds its blinded key.
Json with_origin(const Proof& proof) {
    Json json = wire::to_json(proof);
    if (proof.dleq) {
        json["dleq"] = {{"e", to_hex(proof.dleq->e)}, {"s", to_hex(proof.dleq->s)}};
        if (proof.dleq->r) json["dleq"]["r"] = to_hex(*proof.dleq->r);
    }
    if (proof.p2pk_e) json["p2pk_e"] = proof.p2pk_e->hex();
    return json;
}

}  // namespace

wire::Parsed<RequestPayment> parse_request_payment(std::string_view json) {
    wire::Reader reader{json};
    const Json& root = reader.root();
    auto id = reader.maybe_text(root, "id", wire::kTextBytesMax);
    auto memo = reader.maybe_text(root, "memo", wire::kTextBytesMax);
    const std::string url = reader.text(root, "mint", wire::kTextBytesMax);
    const std::string unit = reader.text(root, "unit", wire::kUnitBytesMax);
    auto proofs = reader.proofs(root, "proofs");
    if (!reader.failed()) check_value(reader, proofs);
    auto mint = MintUrl::parse(url);
    if (!mint) {
        reader.fail_with(Code::OutOfRange, "mint");
        mint = MintUrl::embedded();
    }
    return reader.finish(
        RequestPayment{std::move(id), Token{*mint, unit, std::move(memo), std::move(proofs)}});
}

std::string write_request_payment(const RequestPayment& payment) {
    Json json{{"mint", payment.token.mint.text()},
              {"unit", payment.token.unit},
              {"proofs", Json::array()}};
    for (const Proof& proof : payment.token.proofs) {
        json["proofs"].push_back(with_origin(proof));
    }
    if (payment.id) json["id"] = *payment.id;
    if (payment.token.memo) json["memo"] = *payment.token.memo;
    return wire::dump(json);
}

}  // namespace nutgate::cashu
