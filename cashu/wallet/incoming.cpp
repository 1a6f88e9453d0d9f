#include "wallet/incoming.h"

#include <algorithm>

namespace nutgate::cashu::wallet {
namespace {

using Code = WalletError::Code;

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

Result<std::vector<Input>, WalletError> inputs_of(const Token& token, Unit unit) {
    std::vector<Input> inputs;
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
                          .dleq = std::nullopt,
                          .foreign = true});
    }
    return inputs;
}

}  // namespace

WalletError locked(const LockFault& fault) {
    return {Code::LockedToOther, "the token is locked: " + describe(fault)};
}

Result<Incoming, WalletError> look_at(Wallet::Impl& impl, const WalletMint& mint,
                                      const Token& token) {
    const auto unit = parse_unit(token.unit);
    if (!unit) return fail(WalletError{Code::UnitForeign, "its unit is not taken here"});
    if (token.proofs.empty()) return fail(WalletError{Code::TokenZeroValue, "it has no proofs"});
    const auto spendable =
        can_spend(token.proofs, {&impl.receive_secret, 1}, to_unix_seconds(impl.clock.now()));
    if (!spendable) return fail(locked(spendable.error()));
    TRY(auto resolved, resolve(impl, mint, token));
    TRY_VOID(check_proofs(impl, mint, resolved));
    std::map<KeysetId, std::uint64_t> rates;
    for (const auto& [id, keyset] : resolved.keysets) rates.emplace(id, keyset.input_fee_ppk);
    const auto total = sum(resolved.token.proofs);
    if (!total || !to_msat(*total, *unit)) {
        return fail(WalletError{Code::AmountOverflow, "the token's amount is too large"});
    }
    const Amount fee = input_fee(resolved.token.proofs, rates);
    if (fee >= *total) {
        return fail(WalletError{Code::FeeExceedsAmount,
                                "the mint's fee leaves nothing of the token: " +
                                    std::to_string(*total) + " less " + std::to_string(fee)});
    }
    TRY(auto inputs, inputs_of(resolved.token, *unit));
    return Incoming{.token = std::move(resolved.token),
                    .unit = *unit,
                    .keysets = std::move(resolved.keysets),
                    .total = *total,
                    .fee = fee,
                    .inputs = std::move(inputs)};
}

}  // namespace nutgate::cashu::wallet
