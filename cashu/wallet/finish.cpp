#include "wallet/finish.h"

#include <algorithm>

#include "nutgate/base/log.h"
#include "wallet/issue.h"
#include "wallet/offers.h"

namespace nutgate::cashu::wallet {
namespace {

std::optional<ByteArray<64>> packed(const std::optional<Dleq>& dleq) {
    if (!dleq) return std::nullopt;
    ByteArray<64> bytes;
    std::copy(dleq->e.begin(), dleq->e.end(), bytes.begin());
    std::copy(dleq->s.begin(), dleq->s.end(), bytes.begin() + 32);
    return bytes;
}

Input as_input(const NewProof& proof) {
    return {.y = proof.y,
            .keyset = proof.keyset,
            .amount = proof.amount,
            .msat = proof.msat,
            .counter = proof.counter,
            .signature = proof.signature,
            .dleq = proof.dleq,
            .derived_from = proof.derived_from};
}

// The proof that a signature makes of an output of ours; empty if the mint did not sign it, or with
// no key of the keyset that it names.
Result<std::optional<NewProof>, WalletError> unblinded(Wallet::Impl& wallet, const WalletMint& mint,
                                                       const PlannedOutput& output,
                                                       const BlindSignature& signature) {
    using Answer = std::optional<NewProof>;
    TRY(const auto keyset, wallet.keysets.with_keys(mint, signature.id));
    const auto key = keyset.keys.find(signature.amount);
    const auto unit = parse_unit(keyset.unit);
    if (key == keyset.keys.end() || !unit) return Answer{};
    if (signature.dleq &&
        !verify_dleq(*signature.dleq, key->second, output.message.B_, signature.C_)) {
        return Answer{};
    }
    const auto secret = wallet.secret_of(output.message.id, output.counter);
    const auto y = hash_to_curve(secret.secret);
    const auto c = unblind(signature.C_, secret.r, key->second);
    const auto msat = to_msat(signature.amount, *unit);
    if (!y || !c || !msat) return Answer{};
    NewProof proof{.y = y->compressed(),
                   .keyset = signature.id,
                   .amount = signature.amount,
                   .msat = *msat,
                   .counter = output.counter,
                   .signature = c->compressed(),
                   .dleq = packed(signature.dleq)};
    if (signature.id != output.message.id) proof.derived_from = output.message.id;
    return Answer{std::move(proof)};
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
        case OperationKind::OfferIssue: {
            const auto offer = offer_of(operation.reference);
            count_issued(tx, offer, operation.amount);
            return wallet.settler.offer_issued(tx, {.offer = offer,
                                                    .operation = operation.id,
                                                    .mint = operation.mint,
                                                    .unit = operation.unit,
                                                    .amount = operation.amount});
        }
        case OperationKind::Consolidate:
            return wallet.settler.consolidated(tx, {.operation = operation.id,
                                                    .mint = operation.mint,
                                                    .unit = operation.unit,
                                                    .fee = operation.fee});
        case OperationKind::Melt:
        case OperationKind::Swap:
        case OperationKind::Fund:
            break;  // They end by finish_melt() and finish_fund().
    }
    VERIFY(false);
    return {};
}

// What the books are told of an operation that failed for good.
Result<void, SettlerRefusal> tell_failed(Wallet::Impl& wallet, store::Tx& tx,
                                         const Operation& operation, const WalletError& why) {
    switch (operation.kind) {
        case OperationKind::Receive:
            return wallet.settler.receive_failed(tx, operation.reference, why);
        case OperationKind::Send:
            return wallet.settler.send_failed(tx, operation.reference, why);
        case OperationKind::Melt:
        case OperationKind::Swap:
            return wallet.settler.melt_failed(tx, operation.reference, why);
        case OperationKind::Fund:
            return wallet.settler.fund_failed(tx, operation.reference, why);
        case OperationKind::OfferIssue:
            count_refused(tx, offer_of(operation.reference), operation.amount, wallet.clock.now());
            return {};
        case OperationKind::Issue:        // Its quote stays open: it is asked about again.
        case OperationKind::Consolidate:  // What may be spent is what it was.
            return {};
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
    for (std::size_t i = 0; i < outputs.size(); ++i) {
        const auto& output = outputs[i];
        const auto& signature = signatures[i];
        if (signature.id != output.message.id || signature.amount != output.message.amount) {
            return Answer{};
        }
        TRY(auto proof, unblinded(wallet, mint, output, signature));
        if (!proof) return Answer{};
        if (output.purpose == Purpose::Send) {
            proof->state = ProofState::Sent;
            made.sent.push_back(wallet.proof_of(as_input(*proof)));
        }
        made.proofs.push_back(*std::move(proof));
    }
    return Answer{std::move(made)};
}

Result<std::vector<NewProof>, WalletError> make_change(
    Wallet::Impl& wallet, const WalletMint& mint, const std::vector<PlannedOutput>& blanks,
    const std::vector<BlindSignature>& signatures) {
    std::vector<NewProof> proofs;
    for (std::size_t i = 0; i < std::min(blanks.size(), signatures.size()); ++i) {
        if (signatures[i].amount == 0) continue;
        TRY(auto proof, unblinded(wallet, mint, blanks[i], signatures[i]));
        if (proof) {
            proofs.push_back(*std::move(proof));
            continue;
        }
        wallet.alarms.add();
        log::error("wallet_change_wrong", {{"mint", mint.url.text()}, {"position", i}});
    }
    return proofs;
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
    nutgate::Msat lost;
    for (const auto& input : operation.inputs) {
        if (!input.foreign && spent.contains(input.y)) lost = add(lost, input.msat).value_or(lost);
    }
    const bool ours_lost = lost > nutgate::Msat{};
    const auto now = wallet.clock.now();
    const auto body = [&](store::Tx& tx) -> Result<void, Setback> {
        if (!end(tx, operation.id, OperationState::Failed, why, now)) return {};
        for (const auto& y : spent) move_input(tx, operation.id, y, ProofState::Dead);
        release_inputs(tx, operation.id);
        if (ours_lost) {
            TRY_VOID(wallet.settler.lost(tx, {.operation = operation.id,
                                              .mint = operation.mint,
                                              .unit = operation.unit,
                                              .amount = lost}));
        }
        TRY_VOID(tell_failed(wallet, tx, operation, why));
        return {};
    };
    if (ours_lost) {
        wallet.alarms.add();
        log::error("wallet_proofs_lost", {{"mint", mint.url.text()}, {"msat", lost}});
    }
    return commit(wallet, operation, Outcome::Failed, body);
}

Result<Outcome, WalletError> finish_melt(Wallet::Impl& wallet, const Operation& operation,
                                         const std::vector<NewProof>& change,
                                         const std::optional<Preimage>& preimage) {
    VERIFY(operation.bill.has_value());
    nutgate::Msat inputs;
    nutgate::Msat back;
    bool foreign = false;
    for (const auto& input : operation.inputs) {
        inputs = add(inputs, input.msat).value_or(inputs);
        foreign = foreign || input.foreign;
    }
    for (const auto& proof : change) back = add(back, proof.msat).value_or(back);
    // A mint that gives back more than it took beyond the invoice makes money out of nothing: ours
    // to refuse, since the books would not add up.
    const auto spent = subtract(inputs, back);
    const auto fee = spent ? subtract(*spent, operation.amount) : std::nullopt;
    if (!fee) {
        wallet.alarms.add();
        return park(wallet, operation, "the mint gives back more than it was given");
    }
    if (*fee > operation.fee) {
        wallet.alarms.add();
        log::error("wallet_melt_fee_exceeded",
                   {{"operation", operation.id.hex()}, {"fee", *fee}, {"most", operation.fee}});
    }
    const auto now = wallet.clock.now();
    return commit(wallet, operation, Outcome::Done, [&](store::Tx& tx) -> Result<void, Setback> {
        if (!end(tx, operation.id, OperationState::Done, std::nullopt, now)) return {};
        move_inputs(tx, operation.id, ProofState::Spent);
        insert_proofs(tx, operation, change);
        TRY_VOID(wallet.settler.melted(
            tx, {.reference = operation.reference,
                 .mint = operation.mint,
                 .unit = operation.unit,
                 .inputs = foreign ? Settler::Inputs::Token : Settler::Inputs::Ours,
                 .payment = operation.bill->payment,
                 .amount = operation.amount,
                 .fee = *fee,
                 .change = back,
                 .preimage = preimage}));
        return {};
    });
}

Result<Outcome, WalletError> finish_fund(Wallet::Impl& wallet, const Operation& operation,
                                         const Payment& payment) {
    VERIFY(operation.bill.has_value());
    const auto now = wallet.clock.now();
    return commit(wallet, operation, Outcome::Done, [&](store::Tx& tx) -> Result<void, Setback> {
        if (!end(tx, operation.id, OperationState::Done, std::nullopt, now)) return {};
        TRY_VOID(wallet.settler.funded(tx, {.reference = operation.reference,
                                            .backend = operation.bill->payer,
                                            .payment = operation.bill->payment,
                                            .amount = operation.amount,
                                            .fee = payment.fee}));
        return {};
    });
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
