#include "mint/exchange.h"

#include <algorithm>
#include <set>

#include "mint/impl.h"
#include "nutgate/cashu/dhke.h"

namespace nutgate::cashu {

namespace {

// A secret that begins as NUT-10's do. This mint enforces no conditions; to sign such an input off
// as if it had none would let anybody spend what was locked to somebody.
bool looks_conditional(std::string_view secret) {
    const auto first = secret.find_first_not_of(" \t\r\n");
    if (first == std::string_view::npos || secret[first] != '[') return false;
    const auto second = secret.find_first_not_of(" \t\r\n", first + 1);
    return second != std::string_view::npos && secret[second] == '"';
}

MintError too_many(MintCode code, std::size_t most) {
    return {code, "at most " + std::to_string(most)};
}

Result<void, MintError> same_unit(std::optional<Unit>& unit, Unit next) {
    if (unit.value_or(next) != next)
        return fail(MintError{MintCode::SeveralUnits, "one unit only"});
    unit = next;
    return {};
}

MintError proof_invalid(std::size_t index, const char* why) {
    return {MintCode::ProofInvalid, "inputs[" + std::to_string(index) + "]: " + why};
}

}  // namespace

nutgate::Msat msat_of(Amount amount, Unit unit) {
    const auto msat = to_msat(amount, unit);
    VERIFY(msat.has_value());
    return *msat;
}

Result<CheckedInputs, MintError> Exchange::check(const std::vector<Proof>& inputs) const {
    if (inputs.empty()) return fail(MintError{MintCode::Unbalanced, "no inputs"});
    if (inputs.size() > options_.inputs_max) {
        return fail(too_many(MintCode::TooManyInputs, options_.inputs_max));
    }
    std::set<std::string_view> secrets;
    for (const Proof& input : inputs) {
        if (!secrets.insert(input.secret).second) {
            return fail(MintError{MintCode::DuplicateInputs, "the same secret twice"});
        }
    }

    // All that is cheap, for all of them, before the first multiplication.
    std::map<KeysetId, std::uint64_t> ppk_of;
    std::optional<Unit> unit;
    std::vector<const crypto::Scalar*> keys;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
        const MintKeyset* const keyset = keysets_.find(inputs[i].id);
        if (keyset == nullptr) return fail(MintError{MintCode::KeysetUnknown, "unknown keyset"});
        TRY_VOID(same_unit(unit, keyset->unit));
        const auto key = keyset->keys.find(inputs[i].amount);
        if (key == keyset->keys.end()) return fail(proof_invalid(i, "no key for this amount"));
        if (inputs[i].secret.empty()) return fail(proof_invalid(i, "no secret"));
        if (looks_conditional(inputs[i].secret)) {
            return fail(proof_invalid(i, "this mint does not support spending conditions"));
        }
        keys.push_back(&key->second.secret);
        ppk_of.emplace(keyset->id, keyset->input_fee_ppk);
    }
    const auto total = sum(inputs);
    if (!total || !to_msat(*total, *unit)) {
        return fail(MintError{MintCode::Unbalanced, "the inputs' sum is out of range"});
    }

    CheckedInputs checked{{}, *unit, *total, input_fee(inputs, ppk_of)};
    for (std::size_t i = 0; i < inputs.size(); ++i) {
        const auto y = hash_to_curve(inputs[i].secret);
        if (!y || crypto::multiply(*y, *keys[i]) != inputs[i].C) {
            return fail(proof_invalid(i, "not a signature of this mint"));
        }
        checked.inputs.push_back(
            {y->compressed(), inputs[i].id, inputs[i].amount, inputs[i].witness});
    }
    std::ranges::sort(checked.inputs, {}, &CheckedInputs::Input::y);
    return checked;
}

Result<CheckedOutputs, MintError> Exchange::check(const std::vector<BlindedMessage>& outputs,
                                                  OutputKind kind) const {
    if (outputs.empty()) return fail(MintError{MintCode::Unbalanced, "no outputs"});
    if (outputs.size() > options_.outputs_max) {
        return fail(too_many(MintCode::TooManyOutputs, options_.outputs_max));
    }
    std::set<ByteArray<33>> seen;
    std::optional<Unit> unit;
    for (const BlindedMessage& output : outputs) {
        if (!seen.insert(output.B_.compressed()).second) {
            return fail(MintError{MintCode::DuplicateOutputs, "the same B_ twice"});
        }
        const MintKeyset* const keyset = keysets_.find(output.id);
        if (keyset == nullptr) return fail(MintError{MintCode::KeysetUnknown, "unknown keyset"});
        if (!keyset->active) return fail(MintError{MintCode::KeysetInactive, "inactive keyset"});
        TRY_VOID(same_unit(unit, keyset->unit));
        if (kind == OutputKind::Valued && !keyset->keys.contains(output.amount)) {
            return fail(MintError{MintCode::AmountOutsideLimits, "no key for this amount"});
        }
    }
    if (kind == OutputKind::Blank) return CheckedOutputs{*unit, 0};
    const auto total = sum(outputs);
    if (!total || !to_msat(*total, *unit)) {
        return fail(MintError{MintCode::Unbalanced, "the outputs' sum is out of range"});
    }
    return CheckedOutputs{*unit, *total};
}

BlindSignature Exchange::sign(const BlindedMessage& output, Amount amount) const {
    const MintKeyset* const keyset = VERIFY_PTR(keysets_.find(output.id));
    const MintKeyset::Key& key = keyset->keys.at(amount);
    const auto signature = sign_blinded(output.B_, key.secret);
    return {amount, output.id, signature, prove_dleq(key.secret, key.point, output.B_, signature)};
}

std::vector<BlindSignature> Exchange::sign(const std::vector<BlindedMessage>& outputs) const {
    std::vector<BlindSignature> signatures;
    signatures.reserve(outputs.size());
    for (const BlindedMessage& output : outputs) signatures.push_back(sign(output, output.amount));
    return signatures;
}

std::vector<BlindSignature> Exchange::sign_change(const std::vector<BlindedMessage>& blanks,
                                                  Amount change) const {
    std::vector<BlindSignature> signatures;
    for (const BlindedMessage& blank : blanks) {
        if (change == 0) break;
        const auto& keys = VERIFY_PTR(keysets_.find(blank.id))->keys;
        const auto beyond = keys.upper_bound(change);
        VERIFY(beyond != keys.begin());  // Every keyset has a key for 1.
        const Amount amount = std::prev(beyond)->first;
        signatures.push_back(sign(blank, amount));
        change -= amount;
    }
    return signatures;
}

std::vector<MintBooks::SwapLine> Exchange::lines(const CheckedInputs& inputs,
                                                 const std::vector<BlindSignature>& signatures,
                                                 Unit unit) {
    struct Sums {
        Amount spent = 0;
        Amount signed_ = 0;
    };
    std::map<KeysetId, Sums> sums;  // Sums of these are parts of sums that were checked.
    for (const auto& input : inputs.inputs) sums[input.keyset].spent += input.amount;
    for (const auto& signature : signatures) sums[signature.id].signed_ += signature.amount;
    std::vector<MintBooks::SwapLine> result;
    for (const auto& [keyset, sum] : sums) {
        result.push_back({keyset, msat_of(sum.spent, unit), msat_of(sum.signed_, unit)});
    }
    return result;
}

Result<void, MintError> Exchange::store_inputs(store::Tx& tx, const CheckedInputs& inputs,
                                               StoredProof state,
                                               std::optional<std::string_view> quote, Time now) {
    for (const auto& input : inputs.inputs) {
        const auto stored = tx.execute(
            "INSERT INTO mint_proofs (y, keyset, amount, state, quote, witness, created_at) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (y) DO NOTHING",
            BytesView{input.y}, input.keyset.text(), to_sql(input.amount), static_cast<int>(state),
            quote, input.witness, now);
        if (stored == 1) continue;
        const auto row =
            tx.query_one("SELECT state FROM mint_proofs WHERE y = $1", BytesView{input.y});
        if (row && row->integer(0) == static_cast<int>(StoredProof::Pending)) {
            return fail(MintError{MintCode::InputsPending, "an input is part of a melt"});
        }
        return fail(MintError{MintCode::InputsSpent, "an input was spent before"});
    }
    return {};
}

namespace {

// Why the row of `output` was there before.
MintError conflict(store::Tx& tx, BytesView output) {
    const auto row = tx.query_one("SELECT c FROM mint_signatures WHERE b = $1", output);
    if (row && row->is_null(0)) {
        return {MintCode::OutputsPending, "an output waits for the change of a melt"};
    }
    return {MintCode::OutputsSigned, "an output was signed before"};
}

}  // namespace

Result<void, MintError> Exchange::store_signatures(store::Tx& tx,
                                                   const std::vector<BlindedMessage>& outputs,
                                                   const std::vector<BlindSignature>& signatures,
                                                   std::optional<std::string_view> quote,
                                                   Time now) {
    VERIFY(signatures.size() <= outputs.size());
    for (std::size_t i = 0; i < signatures.size(); ++i) {
        const auto b = outputs[i].B_.compressed();
        const BlindSignature& signature = signatures[i];
        const auto c = signature.C_.compressed();
        const auto stored = tx.execute(
            "INSERT INTO mint_signatures (b, keyset, amount, c, e, s, quote, position, created_at) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (b) DO NOTHING",
            BytesView{b}, signature.id.text(), to_sql(signature.amount), BytesView{c},
            BytesView{signature.dleq->e}, BytesView{signature.dleq->s}, quote, static_cast<int>(i),
            now);
        if (stored != 1) return fail(conflict(tx, b));
    }
    return {};
}

Result<void, MintError> Exchange::store_blanks(store::Tx& tx,
                                               const std::vector<BlindedMessage>& blanks,
                                               std::string_view quote, Time now) {
    for (std::size_t i = 0; i < blanks.size(); ++i) {
        const auto b = blanks[i].B_.compressed();
        const auto stored = tx.execute(
            "INSERT INTO mint_signatures (b, keyset, amount, quote, position, created_at) "
            "VALUES ($1, $2, 0, $3, $4, $5) ON CONFLICT (b) DO NOTHING",
            BytesView{b}, blanks[i].id.text(), quote, static_cast<int>(i), now);
        if (stored != 1) return fail(conflict(tx, b));
    }
    return {};
}

}  // namespace nutgate::cashu
