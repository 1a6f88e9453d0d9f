#include "wallet/finish.h"

#include <algorithm>

#include "nutgate/base/log.h"
#include "wallet/issue.h"

namespace nutgate::cashu::wallet {
namespace {

// Why a finishing transaction was rolled back.
struct Setback {
    Setback(SettlerRefusal why) : refusal{std::move(why)} {}       // NOLINT: implicit, for TRY.
    Setback(store::StoreFailure why) : failure{std::move(why)} {}  // NOLINT: implicit, for TRY.

    std::optional<SettlerRefusal> refusal;
    std::optional<store::StoreFailure> failure;
};

std::optional<ByteArray<64>> packed(const std::optional<Dleq>& dleq) {
    if (!dleq) return std::nullopt;
    ByteArray<64> bytes;
    std::copy(dleq->e.begin(), dleq->e.end(), bytes.begin());
    std::copy(dleq->s.begin(), dleq->s.end(), bytes.begin() + 32);
    return bytes;
}

// What the books are told of an end. Runs within its transaction.
Result<void, SettlerRefusal> tell(Wallet::Impl& wallet, store::Tx& tx, const Operation& operation,
                                  const std::string& token) {
    switch (operation.kind) {
        case OperationKind::Receive:
            return wallet.settler.received(tx, {.reference = operation.reference,
                                                .mint = operation.mint,
                                                .unit = operation.unit,
                                                .credited = operation.amount,
                                                .fee = operation.fee});
        case OperationKind::Send:
            return wallet.settler.sent(tx, {.reference = operation.reference,
                                            .mint = operation.mint,
                                            .unit = operation.unit,
                                            .amount = operation.amount,
                                            .fee = operation.fee,
                                            .token = token});
        case OperationKind::Issue: {
            const auto payment = PaymentHash::parse(operation.reference);
            VERIFY(payment.has_value());
            mark_issued(tx, *payment);
            return wallet.settler.issued(tx, {.payment = *payment,
                                              .mint = operation.mint,
                                              .unit = operation.unit,
                                              .amount = operation.amount});
        }
    }
    VERIFY(false);
    return {};
}

// Commits what `body` does, or parks the operation if the books refuse it.
template <class Body>
Result<Outcome, WalletError> commit(Wallet::Impl& wallet, const Operation& operation,
                                    Outcome outcome, Body body) {
    const auto done =
        wallet.database.transact([&](store::Tx& tx) -> Result<void, Setback> { return body(tx); });
    if (!done) {
        if (done.error().failure) return fail(*done.error().failure);
        return park(wallet, operation, "the books refuse it: " + done.error().refusal->detail);
    }
    (outcome == Outcome::Done ? wallet.finished : wallet.failed).add();
    return outcome;
}

}  // namespace

Result<std::optional<Made>, WalletError> make_proofs(
    Wallet::Impl& wallet, const WalletMint& mint, const std::vector<PlannedOutput>& outputs,
    const std::vector<BlindSignature>& signatures) {
    using Answer = std::optional<Made>;
    if (outputs.size() != signatures.size()) return Answer{};
    Made made;
    std::optional<Keyset> keyset;  // All outputs of one plan are of one keyset.
    for (std::size_t i = 0; i < outputs.size(); ++i) {
        const auto& output = outputs[i];
        const auto& signature = signatures[i];
        if (signature.id != output.message.id || signature.amount != output.message.amount) {
            return Answer{};
        }
        if (!keyset || keyset->id != signature.id) {
            TRY(keyset, wallet.keysets.with_keys(mint, signature.id));
        }
        const auto key = keyset->keys.find(signature.amount);
        if (key == keyset->keys.end()) return Answer{};
        if (signature.dleq &&
            !verify_dleq(*signature.dleq, key->second, output.message.B_, signature.C_)) {
            return Answer{};
        }
        const auto secret = wallet.secret_of(signature.id, output.counter);
        const auto y = hash_to_curve(secret.secret);
        const auto c = unblind(signature.C_, secret.r, key->second);
        const auto msat = to_msat(signature.amount, *parse_unit(keyset->unit));
        if (!y || !c || !msat) return Answer{};
        const bool send = output.purpose == Purpose::Send;
        made.proofs.push_back({.y = y->compressed(),
                               .keyset = signature.id,
                               .amount = signature.amount,
                               .msat = *msat,
                               .counter = output.counter,
                               .signature = c->compressed(),
                               .dleq = packed(signature.dleq),
                               .state = send ? ProofState::Sent : ProofState::Unspent});
        if (!send) continue;
        const auto& proof = made.proofs.back();
        made.sent.push_back(wallet.proof_of({.y = proof.y,
                                             .keyset = proof.keyset,
                                             .amount = proof.amount,
                                             .msat = proof.msat,
                                             .counter = proof.counter,
                                             .signature = proof.signature,
                                             .dleq = proof.dleq}));
    }
    return Answer{std::move(made)};
}

Result<Outcome, WalletError> finish(Wallet::Impl& wallet, const Operation& operation,
                                    const WalletMint& mint, const Made& made) {
    const auto token =
        made.sent.empty() ? std::string{} : wallet.token_text(mint, operation.unit, made.sent);
    const auto now = wallet.clock.now();
    return commit(wallet, operation, Outcome::Done, [&](store::Tx& tx) -> Result<void, Setback> {
        if (!end(tx, operation.id, OperationState::Done, std::nullopt, now)) return {};
        move_inputs(tx, operation.id, ProofState::Spent);
        insert_proofs(tx, operation, made.proofs);
        TRY_VOID(tell(wallet, tx, operation, token));
        return {};
    });
}

Result<Outcome, WalletError> finish_exact(Wallet::Impl& wallet, const Operation& operation,
                                          const WalletMint& mint) {
    std::vector<Proof> proofs;
    for (const auto& input : operation.inputs) proofs.push_back(wallet.proof_of(input));
    const auto token = wallet.token_text(mint, operation.unit, std::move(proofs));
    const auto now = wallet.clock.now();
    return commit(wallet, operation, Outcome::Done, [&](store::Tx& tx) -> Result<void, Setback> {
        if (!end(tx, operation.id, OperationState::Done, std::nullopt, now)) return {};
        move_inputs(tx, operation.id, ProofState::Sent);
        TRY_VOID(tell(wallet, tx, operation, token));
        return {};
    });
}

Result<Outcome, WalletError> finish_refused(Wallet::Impl& wallet, const Operation& operation,
                                            const WalletMint& mint, const WalletError& why,
                                            const std::set<ByteArray<33>>& spent) {
    const auto free =
        operation.kind == OperationKind::Send ? ProofState::Unspent : ProofState::Released;
    nutgate::Msat lost;
    for (const auto& input : operation.inputs) {
        if (spent.contains(input.y)) lost = add(lost, input.msat).value_or(lost);
    }
    const bool ours_lost = operation.kind == OperationKind::Send && lost > nutgate::Msat{};
    const auto now = wallet.clock.now();
    const auto body = [&](store::Tx& tx) -> Result<void, Setback> {
        if (!end(tx, operation.id, OperationState::Failed, why, now)) return {};
        for (const auto& y : spent) move_input(tx, operation.id, y, ProofState::Dead);
        move_inputs(tx, operation.id, free);
        if (ours_lost) {
            TRY_VOID(wallet.settler.lost(tx, {.operation = operation.id,
                                              .mint = operation.mint,
                                              .unit = operation.unit,
                                              .amount = lost}));
        }
        switch (operation.kind) {
            case OperationKind::Receive:
                TRY_VOID(wallet.settler.receive_failed(tx, operation.reference, why));
                break;
            case OperationKind::Send:
                TRY_VOID(wallet.settler.send_failed(tx, operation.reference, why));
                break;
            case OperationKind::Issue:
                break;  // Its quote stays open: it is asked about again.
        }
        return {};
    };
    if (ours_lost) {
        wallet.alarms.add();
        log::error("wallet_proofs_lost", {{"mint", mint.url.text()}, {"msat", lost}});
    }
    return commit(wallet, operation, Outcome::Failed, body);
}

Result<Outcome, WalletError> park(Wallet::Impl& wallet, const Operation& operation,
                                  std::string_view why) {
    TRY_VOID(wallet.database.transact([&](store::Tx& tx) -> Result<void, WalletError> {
        note_waiting(tx, operation.id, OperationState::Blocked, why);
        return {};
    }));
    wallet.blocked.add();
    log::error("wallet_operation_blocked", {{"operation", operation.id.hex()}, {"why", why}});
    return Outcome::Waiting;
}

}  // namespace nutgate::cashu::wallet
