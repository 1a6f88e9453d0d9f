#include "protocol/token_v4.h"

#include <algorithm>

#include "nutgate/cashu/wire.h"
#include "protocol/cbor.h"

namespace nutgate::cashu {

namespace {

using cbor::Value;
using Kind = Value::Kind;

std::optional<ByteArray<32>> scalar(const Value& map, std::string_view key) {
    const Value* const value = cbor::find(map, key, Kind::Bytes);
    if (value == nullptr || value->bytes.size() != 32) return std::nullopt;
    ByteArray<32> array;
    std::ranges::copy(value->bytes, array.begin());
    return array;
}

// False if it is there and malformed.
bool read_dleq(const Value& map, Proof& proof) {
    if (!cbor::has(map, "d")) return true;
    const Value* const dleq = cbor::find(map, "d", Kind::Map);
    if (dleq == nullptr) return false;
    const auto e = scalar(*dleq, "e");
    const auto s = scalar(*dleq, "s");
    const auto r = scalar(*dleq, "r");
    if (!e || !s || (!r && cbor::has(*dleq, "r"))) return false;
    proof.dleq = Dleq{.e = *e, .s = *s, .r = r};
    return true;
}

bool read_witness(const Value& map, Proof& proof) {
    const char* const key = cbor::has(map, "w") ? "w" : "witness";  // The latter is cdk's name.
    if (!cbor::has(map, key)) return true;
    const Value* const witness = cbor::find(map, key, Kind::Text);
    if (witness == nullptr) return false;
    proof.witness = wire::unwrap_witness(witness->text);
    return true;
}

std::optional<Proof> read_proof(const Value& map, const KeysetId& id) {
    const Value* const amount = cbor::find(map, "a", Kind::Number);
    const Value* const secret = cbor::find(map, "s", Kind::Text);
    const Value* const c = cbor::find(map, "c", Kind::Bytes);
    if (amount == nullptr || secret == nullptr || c == nullptr) return std::nullopt;
    const auto point = crypto::Point::from_bytes(c->bytes);
    if (!point) return std::nullopt;
    Proof proof{amount->number, id, secret->text, *point, std::nullopt, std::nullopt, std::nullopt};
    if (!read_dleq(map, proof) || !read_witness(map, proof)) return std::nullopt;
    if (cbor::has(map, "pe")) {
        const Value* const ephemeral = cbor::find(map, "pe", Kind::Bytes);
        if (ephemeral != nullptr) proof.p2pk_e = crypto::Point::from_bytes(ephemeral->bytes);
        if (!proof.p2pk_e) return std::nullopt;
    }
    return proof;
}

Result<void, TokenError> read_group(const Value& map, std::vector<Proof>& proofs) {
    const Value* const id_bytes = cbor::find(map, "i", Kind::Bytes);
    const Value* const list = cbor::find(map, "p", Kind::Array);
    if (id_bytes == nullptr || list == nullptr) return fail(TokenError::Malformed);
    const auto id = KeysetId::from_bytes(id_bytes->bytes);
    if (!id) return fail(TokenError::KeysetUnknown);
    if (proofs.size() + list->items.size() > kTokenProofsMax) return fail(TokenError::TooLarge);
    for (const Value& item : list->items) {
        auto proof = read_proof(item, *id);
        if (!proof) return fail(TokenError::Malformed);
        proofs.push_back(*std::move(proof));
    }
    return {};
}

void write_proof(cbor::Writer& writer, const Proof& proof, TokenDleq dleq) {
    // Without r it proves nothing to whom the token goes.
    const bool with_dleq = dleq == TokenDleq::Keep && proof.dleq && proof.dleq->r;
    writer.map(3U + (with_dleq ? 1U : 0U) + (proof.witness ? 1U : 0U) + (proof.p2pk_e ? 1U : 0U));
    writer.text("a");
    writer.number(proof.amount);
    writer.text("s");
    writer.text(proof.secret);
    writer.text("c");
    writer.bytes(proof.C.compressed());
    if (with_dleq) {
        writer.text("d");
        writer.map(3);
        writer.text("e");
        writer.bytes(proof.dleq->e);
        writer.text("s");
        writer.bytes(proof.dleq->s);
        writer.text("r");
        writer.bytes(*proof.dleq->r);
    }
    if (proof.witness) {
        writer.text("w");
        writer.text(*proof.witness);
    }
    if (proof.p2pk_e) {
        writer.text("pe");
        writer.bytes(proof.p2pk_e->compressed());
    }
}

}  // namespace

Result<Token, TokenError> read_token_v4(BytesView bytes) {
    const auto document = cbor::read(bytes);
    if (!document) return fail(TokenError::Malformed);
    const Value* const mint_text = cbor::find(*document, "m", Kind::Text);
    const Value* const unit = cbor::find(*document, "u", Kind::Text);
    const Value* const groups = cbor::find(*document, "t", Kind::Array);
    const Value* const memo = cbor::find(*document, "d", Kind::Text);
    if (mint_text == nullptr || unit == nullptr || groups == nullptr ||
        (memo == nullptr && cbor::has(*document, "d"))) {
        return fail(TokenError::Malformed);
    }
    const auto mint = MintUrl::parse(mint_text->text);
    if (!mint) return fail(TokenError::Malformed);
    Token token{*mint, unit->text, std::nullopt, {}};
    if (memo != nullptr) token.memo = memo->text;
    for (const Value& group : groups->items) TRY_VOID(read_group(group, token.proofs));
    return token;
}

Bytes write_token_v4(const Token& token, TokenDleq dleq) {
    std::vector<KeysetId> keysets;  // In the order of their first proof.
    for (const Proof& proof : token.proofs) {
        if (std::ranges::find(keysets, proof.id) == keysets.end()) keysets.push_back(proof.id);
    }
    cbor::Writer writer;
    writer.map(token.memo ? 4 : 3);
    writer.text("t");
    writer.array(keysets.size());
    for (const KeysetId& id : keysets) {
        const auto count = std::ranges::count(token.proofs, id, &Proof::id);
        writer.map(2);
        writer.text("i");
        writer.bytes(id.shortened().bytes());
        writer.text("p");
        writer.array(static_cast<std::size_t>(count));
        for (const Proof& proof : token.proofs) {
            if (proof.id == id) write_proof(writer, proof, dleq);
        }
    }
    if (token.memo) {
        writer.text("d");
        writer.text(*token.memo);
    }
    writer.text("m");
    writer.text(token.mint.text());
    writer.text("u");
    writer.text(token.unit);
    return writer.take();
}

}  // namespace nutgate::cashu
