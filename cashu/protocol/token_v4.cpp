#include "protocol/token_v4.h"

#include <algorithm>

#include "nutgate/cashu/wire.h"
#include "protocol/cbor.h"

namespace nutgate::cashu {

namespace {

using cbor::Map;
using cbor::Value;

template <class T>
const T* as(const Value* value) {
    return value == nullptr ? nullptr : std::get_if<T>(&value->content);
}

std::optional<ByteArray<32>> scalar(const Map& map, std::string_view key) {
    const Bytes* const bytes = as<Bytes>(cbor::find(map, key));
    if (bytes == nullptr || bytes->size() != 32) return std::nullopt;
    ByteArray<32> array;
    std::ranges::copy(*bytes, array.begin());
    return array;
}

// False if it is there and malformed.
bool read_dleq(const Map& map, Proof& proof) {
    const Value* const value = cbor::find(map, "d");
    if (value == nullptr) return true;
    const Map* const dleq = as<Map>(value);
    if (dleq == nullptr) return false;
    const auto e = scalar(*dleq, "e");
    const auto s = scalar(*dleq, "s");
    const auto r = scalar(*dleq, "r");
    if (!e || !s || (!r && cbor::find(*dleq, "r") != nullptr)) return false;
    proof.dleq = Dleq{.e = *e, .s = *s, .r = r};
    return true;
}

bool read_witness(const Map& map, Proof& proof) {
    const Value* value = cbor::find(map, "w");
    if (value == nullptr) value = cbor::find(map, "witness");  // As cdk names it.
    if (value == nullptr) return true;
    const std::string* const text = as<std::string>(value);
    if (text == nullptr) return false;
    proof.witness = wire::unwrap_witness(*text);
    return true;
}

std::optional<Proof> read_proof(const Value& value, const KeysetId& id) {
    const Map* const map = as<Map>(&value);
    if (map == nullptr) return std::nullopt;
    const auto* const amount = as<std::uint64_t>(cbor::find(*map, "a"));
    const auto* const secret = as<std::string>(cbor::find(*map, "s"));
    const auto* const c = as<Bytes>(cbor::find(*map, "c"));
    if (amount == nullptr || secret == nullptr || c == nullptr) return std::nullopt;
    const auto point = crypto::Point::from_bytes(*c);
    if (!point) return std::nullopt;
    Proof proof{*amount, id, *secret, *point, std::nullopt, std::nullopt, std::nullopt};
    if (!read_dleq(*map, proof) || !read_witness(*map, proof)) return std::nullopt;
    if (const Value* const ephemeral = cbor::find(*map, "pe"); ephemeral != nullptr) {
        const Bytes* const bytes = as<Bytes>(ephemeral);
        if (bytes != nullptr) proof.p2pk_e = crypto::Point::from_bytes(*bytes);
        if (!proof.p2pk_e) return std::nullopt;
    }
    return proof;
}

Result<void, TokenError> read_group(const Value& value, std::vector<Proof>& proofs) {
    const Map* const map = as<Map>(&value);
    if (map == nullptr) return fail(TokenError::Malformed);
    const Bytes* const id_bytes = as<Bytes>(cbor::find(*map, "i"));
    const auto* const items = as<cbor::Array>(cbor::find(*map, "p"));
    if (id_bytes == nullptr || items == nullptr) return fail(TokenError::Malformed);
    const auto id = KeysetId::from_bytes(*id_bytes);
    if (!id) return fail(TokenError::KeysetUnknown);
    if (proofs.size() + items->size() > kTokenProofsMax) return fail(TokenError::TooLarge);
    for (const Value& item : *items) {
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
    const Map* const map = document ? as<Map>(&*document) : nullptr;
    if (map == nullptr) return fail(TokenError::Malformed);
    const auto* const mint_text = as<std::string>(cbor::find(*map, "m"));
    const auto* const unit = as<std::string>(cbor::find(*map, "u"));
    const auto* const groups = as<cbor::Array>(cbor::find(*map, "t"));
    const Value* const memo = cbor::find(*map, "d");
    if (mint_text == nullptr || unit == nullptr || groups == nullptr) {
        return fail(TokenError::Malformed);
    }
    const auto mint = MintUrl::parse(*mint_text);
    if (!mint || (memo != nullptr && as<std::string>(memo) == nullptr)) {
        return fail(TokenError::Malformed);
    }
    Token token{*mint, *unit, std::nullopt, {}};
    if (memo != nullptr) token.memo = *as<std::string>(memo);
    for (const Value& group : *groups) TRY_VOID(read_group(group, token.proofs));
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
