#include <algorithm>

#include "nutgate/cashu/wire.h"
#include "wallet/impl.h"
#include "wallet/selection.h"

namespace nutgate::cashu {
namespace {

using Code = WalletError::Code;
using wallet::Freshness;
using wallet::KeysetMap;
using wallet::Purpose;

// A spending condition (NUT-10) is a JSON array in text. One that we don't know is no ordinary
// secret either: some mints let anybody spend it, others nobody.
bool is_locked(const Proof& proof) {
    const auto first = proof.secret.find_first_not_of(" \t\r\n");
    return proof.p2pk_e || (first != std::string::npos && proof.secret[first] == '[');
}

std::vector<KeysetId> ids_of(const KeysetMap& keysets) {
    std::vector<KeysetId> ids;
    for (const auto& [id, keyset] : keysets) ids.push_back(id);
    return ids;
}

struct Resolved {
    Token token;
    KeysetMap keysets;
};

// Keyset ids in full, against what the mint has now; asked anew once if one is unknown.
Result<Resolved, WalletError> resolve(Wallet::Impl& impl, const WalletMint& mint,
                                      const Token& token) {
    for (const auto freshness : {Freshness::Recent, Freshness::Now}) {
        TRY(auto keysets, impl.keysets.of(mint, freshness));
        auto resolved = resolve_keysets(token, ids_of(keysets));
        if (!resolved) continue;
        if (std::all_of(resolved->proofs.begin(), resolved->proofs.end(),
                        [&](const Proof& proof) { return keysets.contains(proof.id); })) {
            return Resolved{*std::move(resolved), std::move(keysets)};
        }
    }
    return fail(
        WalletError{Code::KeysetUnknown, "the token is of a keyset that its mint does not have"});
}

// Each amount has a key, each proof of equality that came along holds.
Result<void, WalletError> check_proofs(Wallet::Impl& impl, const WalletMint& mint,
                                       const Resolved& resolved) {
    KeysetMap complete;
    for (const auto& proof : resolved.token.proofs) {
        auto keyset = complete.find(proof.id);
        if (keyset == complete.end()) {
            TRY(auto keys, impl.keysets.with_keys(mint, proof.id));
            if (keys.unit != resolved.token.unit) {
                return fail(WalletError{Code::UnitForeign, "the token's unit is not its keyset's"});
            }
            keyset = complete.emplace(proof.id, std::move(keys)).first;
        }
        const auto key = keyset->second.keys.find(proof.amount);
        if (key == keyset->second.keys.end()) {
            return fail(WalletError{Code::ProofInvalid, "the mint has no key for an amount of it"});
        }
        if (proof.dleq && proof.dleq->r && !verify_dleq(proof, key->second)) {
            return fail(
                WalletError{Code::ProofInvalid, "a proof of it was not signed by its mint"});
        }
    }
    return {};
}

struct Value {
    Amount net = 0;
    nutgate::Msat credited;
    nutgate::Msat fee;
};

Result<Value, WalletError> value_of(const Resolved& resolved, Unit unit) {
    std::map<KeysetId, std::uint64_t> rates;
    for (const auto& [id, keyset] : resolved.keysets) rates.emplace(id, keyset.input_fee_ppk);
    const auto total = sum(resolved.token.proofs);
    if (!total || !to_msat(*total, unit)) {
        return fail(WalletError{Code::AmountOverflow, "the token's amount is too large"});
    }
    const Amount fee = input_fee(resolved.token.proofs, rates);
    if (fee >= *total) {
        return fail(WalletError{Code::FeeExceedsAmount,
                                "the mint's fee leaves nothing of the token: " +
                                    std::to_string(*total) + " less " + std::to_string(fee)});
    }
    return Value{*total - fee, *to_msat(*total - fee, unit), *to_msat(fee, unit)};
}

Result<std::vector<wallet::Input>, WalletError> inputs_of(const Token& token, Unit unit) {
    std::vector<wallet::Input> inputs;
    for (const auto& proof : token.proofs) {
        const auto y = hash_to_curve(proof.secret);
        const auto msat = to_msat(proof.amount, unit);
        if (!y || !msat) return fail(WalletError{Code::ProofInvalid, "a secret of it is no point"});
        inputs.push_back({.y = y->compressed(),
                          .keyset = proof.id,
                          .amount = proof.amount,
                          .msat = *msat,
                          .counter = std::nullopt,
                          .signature = proof.C.compressed(),
                          .dleq = std::nullopt});
    }
    return inputs;
}

}  // namespace

Result<Wallet::Owned<Wallet::PreparedReceive>, WalletError> Wallet::prepare_receive(
    const Token& token) {
    auto& impl = *impl_;
    TRY(const auto* mint, impl.mint_of(token));
    const auto unit = parse_unit(token.unit);
    if (!unit) return fail(WalletError{Code::UnitForeign, "its unit is not taken here"});
    if (token.proofs.empty()) return fail(WalletError{Code::TokenZeroValue, "it has no proofs"});
    if (std::any_of(token.proofs.begin(), token.proofs.end(), is_locked)) {
        return fail(
            WalletError{Code::LockedToOther, "the token is locked by a spending condition"});
    }
    TRY(const auto resolved, resolve(impl, *mint, token));
    TRY_VOID(check_proofs(impl, *mint, resolved));
    TRY(const auto value, value_of(resolved, *unit));
    TRY(auto inputs, inputs_of(resolved.token, *unit));

    const auto* keyset = wallet::choose_active(resolved.keysets, *unit, impl.clock.now());
    if (keyset == nullptr) {
        return fail(WalletError{Code::KeysetUnknown, "the mint has no active keyset"});
    }
    auto parts = wallet::split_by(keyset->keys, value.net, wallet::kOutputsMax);
    if (!parts) {
        return fail(WalletError{Code::AmountOverflow, "the mint has no keys for such an amount"});
    }
    std::vector<std::pair<Amount, Purpose>> amounts;
    for (auto part = parts->rbegin(); part != parts->rend(); ++part) {
        amounts.emplace_back(*part, Purpose::Keep);  // Ascending: the order tells nothing.
    }
    TRY(auto outputs, impl.plan(*keyset, amounts));

    wire::SwapRequest request{.inputs = resolved.token.proofs, .outputs = {}};
    for (const auto& output : outputs) request.outputs.push_back(output.message);
    const auto id = impl.random.id<OperationId>();
    return Owned<PreparedReceive>{new PreparedReceive{wallet::Draft{
        .id = id,
        .kind = OperationKind::Receive,
        .mint = mint->url,
        .unit = *unit,
        .amount = value.credited,
        .fee = value.fee,
        .path = "/v1/swap",
        .request =
            impl.seal(as_bytes(wire::write_swap_request(request)), id, wallet::Sealed::Request),
        .token = impl.seal(as_bytes(write_token(resolved.token)), id, wallet::Sealed::Token),
        .inputs = std::move(inputs),
        .outputs = std::move(outputs)}}};
}

nutgate::Msat Wallet::worth(const PreparedReceive& prepared) const { return prepared.draft.amount; }

template <>
void Wallet::Dispose<Wallet::PreparedReceive>::operator()(PreparedReceive* prepared) const {
    delete prepared;
}

Result<OperationId, WalletError> Wallet::begin_receive(store::Tx& tx,
                                                       const PreparedReceive& prepared,
                                                       std::string_view reference) {
    if (const auto id = wallet::find_joinable(tx, OperationKind::Receive, reference)) return *id;
    TRY_VOID(wallet::claim_foreign(tx, prepared.draft));
    wallet::insert(tx, prepared.draft, reference, impl_->clock.now());
    return prepared.draft.id;
}

}  // namespace nutgate::cashu
