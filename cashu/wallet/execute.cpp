// One run of an operation: ask, and if the answer proves nothing, resolve: replay the same bytes,
// then NUT-07, then NUT-09, in that order (cashu.md C.5). A check that says "spent" is final, so a
// restore that comes after it sees everything there is; the other way round it would not.
#include "wallet/execute.h"

#include <algorithm>

#include "nutgate/base/log.h"
#include "nutgate/cashu/quote_signature.h"
#include "nutgate/cashu/wire.h"
#include "wallet/calls.h"
#include "wallet/finish.h"
#include "wallet/impl.h"
#include "wallet/incoming.h"
#include "wallet/issue.h"
#include "wallet/selection.h"

namespace nutgate::cashu::wallet {
namespace {

using Code = WalletError::Code;

constexpr Seconds kBackOffFirst{1};
constexpr Seconds kBackOffMax{600};
// However long a mint was away, soon after its return all is finished. Asking whether it is back
// costs little: a pass that does not reach it asks for two of its operations only, and one that
// wants to be left alone is not called at all (patient_mint).
constexpr Seconds kBackOffAwayMax{15};
// How long a mint may sit on unspent inputs before an operator's eyes are asked for.
constexpr Seconds kPatience{3600};
// Between the two looks at spent inputs that make a loss certain, where bytes of ours may have been
// on their way before.
constexpr Seconds kTakenPause{2};
constexpr int kTransmissionsPerRun =
    3;  // Sent; once more after a lost answer; once after a new plan.

Time next_attempt(Time now, int attempts) {
    const auto doubled = kBackOffFirst * (std::int64_t{1} << std::min(attempts, 10));
    return now + std::min(doubled, kBackOffMax);
}

// Our counters lag behind (a database was restored from a backup): some outputs of the plan were
// signed in a life that we don't remember. With its inputs unspent, the plan can never be acted on.
bool is_output_refusal(const AnswerFacts& facts) {
    return facts.code && (*facts.code == 11003 || *facts.code == 11008);
}

bool is_keyset_refusal(const AnswerFacts& facts) {
    return facts.code && *facts.code >= 12001 && *facts.code <= 12003;
}

class Run {
public:
    Run(Wallet::Impl& wallet, Operation operation, const WalletMint& mint)
        : wallet_{wallet}, operation_{std::move(operation)}, mint_{mint} {}

    Result<Outcome, WalletError> go();

private:
    // Empty: ask once more.
    using Step = std::optional<Outcome>;

    Result<Step, WalletError> transmit();
    Result<Step, WalletError> judge(const Result<MintAnswer, MintFailure>& answer,
                                    Transmission transmission);
    Result<Step, WalletError> resolve(const AnswerFacts& facts, Transmission transmission);
    Result<Step, WalletError> resolve_swap(const AnswerFacts& facts, Transmission transmission);
    Result<Step, WalletError> resolve_issue(const AnswerFacts& facts);
    Result<Step, WalletError> resolve_offer_issue(const AnswerFacts& facts,
                                                  Transmission transmission);
    // What was signed of the outputs of all plans.
    struct Search {
        Step ended;        // All of one plan's, so that it is finished; or the mint did not tell.
        bool any = false;  // Not all, or not as was asked.
    };
    Result<Search, WalletError> search();
    std::vector<crypto::Point> ys_of_outputs() const;
    Result<Step, WalletError> restore(const std::set<ByteArray<33>>& spent,
                                      Transmission transmission);
    Result<Step, WalletError> taken(const std::set<ByteArray<33>>& spent,
                                    Transmission transmission);
    Result<Step, WalletError> sign_as_before(const AnswerFacts& facts);
    Result<Step, WalletError> new_plan(const AnswerFacts& facts);
    bool is_plan_retired();
    bool is_issue() const {
        return operation_.kind == OperationKind::Issue ||
               operation_.kind == OperationKind::OfferIssue;
    }
    Result<Step, WalletError> wait(Outcome outcome, std::string_view why);
    Result<Step, WalletError> block(std::string_view why);
    Result<MintAnswer, MintFailure> post(std::string_view path, std::string_view body) {
        return mint_.client->call(MintMethod::Post, path, body);
    }

    Wallet::Impl& wallet_;
    Operation operation_;
    const WalletMint& mint_;
    bool answer_lost_ = false;
    bool signed_as_before_ = false;
    bool planned_anew_ = false;
};

Result<Outcome, WalletError> Run::go() {
    if (operation_.path.empty()) return finish_exact(wallet_, operation_, mint_);
    for (int i = 0; i < kTransmissionsPerRun; ++i) {
        TRY(const auto step, transmit());
        if (step) return *step;
    }
    return Outcome::Waiting;
}

Result<Run::Step, WalletError> Run::transmit() {
    const auto body = wallet_.open(operation_.request, operation_.id, Sealed::Request);
    if (!body) return block("its request was written down under another seed");
    TRY(const auto count, wallet_.database.transact([&](store::Tx& tx) -> Result<int, WalletError> {
        return note_transmission(tx, operation_.id);
    }));
    return judge(post(operation_.path, *body),
                 count == 1 ? Transmission::First : Transmission::Repeated);
}

Result<Run::Step, WalletError> Run::judge(const Result<MintAnswer, MintFailure>& answer,
                                          Transmission transmission) {
    const auto facts = facts_of(answer);
    switch (classify(facts, transmission)) {
        case Verdict::Success: {
            const auto signatures = wire::parse_signatures(answer->body);
            const auto outputs = operation_.outputs_of(operation_.version);
            if (signatures) {
                TRY(const auto made, make_proofs(wallet_, mint_, outputs, *signatures));
                if (made) {
                    TRY(const auto outcome, finish(wallet_, operation_, mint_, *made));
                    return Step{outcome};
                }
            }
            wallet_.alarms.add();
            log::error("wallet_answer_wrong",
                       {{"mint", mint_.url.text()}, {"operation", operation_.id.hex()}});
            return resolve(facts, Transmission::Repeated);
        }
        case Verdict::NotSent:
            TRY_VOID(wallet_.database.transact([&](store::Tx& tx) -> Result<void, WalletError> {
                take_back_transmission(tx, operation_.id);
                return {};
            }));
            return wait(Outcome::MintAway, facts.detail);
        case Verdict::Busy:
            return wait(Outcome::MintAway, facts.detail);
        case Verdict::Refused: {
            if (is_issue() && !signed_as_before_ && facts.code == kQuoteSignatureInvalid) {
                return sign_as_before(facts);
            }
            if (is_keyset_refusal(facts)) {
                wallet_.keysets.expire(mint_.url);
                // It rotated while we were asking, and that is all there is to it.
                if (!planned_anew_ && is_plan_retired()) return new_plan(facts);
            }
            TRY(const auto outcome, finish_refused(wallet_, operation_, mint_, refusal(facts), {}));
            return Step{outcome};
        }
        case Verdict::Unknown:
            // A lost answer is most often mended by asking again at once.
            if (facts.failure && !answer_lost_) {
                answer_lost_ = true;
                return Step{};
            }
            return resolve(facts, transmission);
        case Verdict::InFlight:
            return resolve(facts, transmission);
    }
    VERIFY(false);
    return Step{};
}

Result<Run::Step, WalletError> Run::resolve(const AnswerFacts& facts, Transmission transmission) {
    if (facts.failure) return wait(Outcome::MintAway, facts.detail);
    if (operation_.kind == OperationKind::Issue) return resolve_issue(facts);
    if (operation_.kind == OperationKind::OfferIssue) {
        return resolve_offer_issue(facts, transmission);
    }
    return resolve_swap(facts, transmission);
}

Result<Run::Step, WalletError> Run::resolve_swap(const AnswerFacts& facts,
                                                 Transmission transmission) {
    const auto states = ask_states(mint_, ys_of(operation_.inputs));
    if (!states) return wait(states.error().outcome, states.error().why);
    if (states->pending) return wait(Outcome::Waiting, "its inputs are pending at the mint");
    if (!states->spent.empty()) return restore(states->spent, transmission);
    if (is_keyset_refusal(facts) || is_output_refusal(facts)) return new_plan(facts);
    if (is_no(facts)) {
        if (is_plan_retired()) return new_plan(facts);
        // Our only request was answered, and nothing came of it.
        if (transmission == Transmission::First) {
            TRY(const auto outcome, finish_refused(wallet_, operation_, mint_, refusal(facts), {}));
            return Step{outcome};
        }
    }
    // Unspent is a snapshot: a request may still be under way, so nothing is released.
    const bool long_ago = wallet_.clock.now() - operation_.created_at > kPatience;
    if (long_ago) return block("the mint does not act on it: " + facts.detail);
    return wait(Outcome::Waiting, "not done yet: " + facts.detail);
}

Result<Run::Step, WalletError> Run::resolve_issue(const AnswerFacts& facts) {
    if (facts.code == kQuoteSignatureInvalid && !signed_as_before_) return sign_as_before(facts);
    TRY(const auto state, ask_quote(wallet_, mint_, operation_.reference));
    if (!state) return wait(Outcome::Waiting, "the mint does not tell its quote's state");
    if (state->issued) return restore({}, Transmission::Repeated);
    if (is_keyset_refusal(facts) || is_output_refusal(facts)) return new_plan(facts);
    if (is_no(facts) && is_plan_retired()) return new_plan(facts);
    const bool long_ago = wallet_.clock.now() - operation_.created_at > kPatience;
    // Not every mint issues what was paid beyond its invoice, and most have no code of their own to
    // say so. Who says no to these bytes says it to each copy of them that is still under way.
    if (operation_.amount > state->amount && (is_no(facts) || long_ago)) {
        TRY(const auto outcome, finish_refused(wallet_, operation_, mint_, refusal(facts), {}));
        return Step{outcome};
    }
    if (long_ago) return block("the mint does not issue: " + facts.detail);
    return wait(Outcome::Waiting, "not issued yet: " + facts.detail);
}

// A quote that is issued again and again does not tell by its numbers what became of this request.
// What was signed does: a request that comes to the mint after its no is refused as well, and one
// that came before has left its signatures.
Result<Run::Step, WalletError> Run::resolve_offer_issue(const AnswerFacts& facts,
                                                        Transmission transmission) {
    if (facts.code == kQuoteSignatureInvalid && !signed_as_before_) return sign_as_before(facts);
    if (is_output_refusal(facts)) {
        const auto states = ask_states(mint_, ys_of_outputs());
        if (!states) return wait(states.error().outcome, states.error().why);
        // Nobody could have spent what was signed for this operation.
        if (!states->spent.empty()) return new_plan(facts);
    }
    TRY(const auto search, this->search());
    if (search.ended) return search.ended;
    if (is_keyset_refusal(facts) || is_output_refusal(facts)) return new_plan(facts);
    if (search.any) {
        wallet_.alarms.add();
        return block("the mint gives back only part of what it signed, or other than was asked");
    }
    if (is_no(facts) && is_plan_retired()) return new_plan(facts);
    if (transmission == Transmission::First && (is_no(facts) || facts.code == kQuoteIssued)) {
        TRY(const auto outcome, finish_refused(wallet_, operation_, mint_, refusal(facts), {}));
        return Step{outcome};
    }
    if (wallet_.clock.now() - operation_.created_at > kPatience) {
        return block("the mint does not issue: " + facts.detail);
    }
    return wait(Outcome::Waiting, "not issued yet: " + facts.detail);
}

// Of the proofs that our outputs become once they are signed.
std::vector<crypto::Point> Run::ys_of_outputs() const {
    std::vector<crypto::Point> ys;
    for (const auto& output : operation_.outputs_of(operation_.version)) {
        const auto secret = wallet_.secret_of(output.message.id, output.counter);
        if (const auto y = hash_to_curve(secret.secret)) ys.push_back(*y);
    }
    return ys;
}

Result<Run::Search, WalletError> Run::search() {
    std::vector<BlindedMessage> messages;
    for (const auto& output : operation_.outputs) messages.push_back(output.message);
    const auto found = ask_restore(mint_, messages);
    if (!found) {
        TRY(const auto step, wait(found.error().outcome, found.error().why));
        return Search{.ended = step};
    }
    bool any = false;
    for (int version = 1; version <= operation_.version; ++version) {
        const auto outputs = operation_.outputs_of(version);
        std::vector<BlindSignature> signatures;
        for (const auto& output : outputs) {
            const auto signature = found->find(output.message.B_.compressed());
            if (signature != found->end()) signatures.push_back(signature->second);
        }
        any = any || !signatures.empty();
        if (signatures.size() != outputs.size()) continue;
        TRY(const auto made, make_proofs(wallet_, mint_, outputs, signatures));
        if (!made) break;
        TRY(const auto outcome, finish(wallet_, operation_, mint_, *made));
        return Search{.ended = outcome, .any = true};
    }
    return Search{.ended = {}, .any = any};
}

Result<Run::Step, WalletError> Run::restore(const std::set<ByteArray<33>>& spent,
                                            Transmission transmission) {
    TRY(const auto search, this->search());
    if (search.ended) return search.ended;
    if (search.any) {
        wallet_.alarms.add();
        return block("the mint gives back only part of what it signed, or other than was asked");
    }
    if (operation_.kind == OperationKind::Issue) {
        wallet_.alarms.add();
        return block("the mint says that its quote was issued, and not to us");
    }
    return taken(spent, transmission);
}

// Inputs are spent and nothing of ours was signed.
Result<Run::Step, WalletError> Run::taken(const std::set<ByteArray<33>>& spent,
                                          Transmission transmission) {
    // The one and only request was answered with a no: nobody but somebody else can have spent
    // them. Otherwise a second look, a while later, must agree.
    if (transmission == Transmission::Repeated) {
        const auto now = wallet_.clock.now();
        if (!operation_.taken_at) {
            TRY_VOID(wallet_.database.transact([&](store::Tx& tx) -> Result<void, WalletError> {
                note_taken(tx, operation_.id, now);
                return {};
            }));
            return wait(Outcome::Waiting, "its inputs are spent, it seems not by us");
        }
        if (now - *operation_.taken_at < kTakenPause) {
            return wait(Outcome::Waiting, "its inputs are spent, it seems not by us");
        }
    }
    TRY(const auto outcome,
        finish_refused(wallet_, operation_, mint_,
                       WalletError{Code::TokenSpent, "the mint says that it is spent already"},
                       spent));
    return Step{outcome};
}

// Mints of the generation before know another message only. The outputs are the same, and a quote
// is issued once, so whichever request is taken gives the same proofs.
Result<Run::Step, WalletError> Run::sign_as_before(const AnswerFacts& facts) {
    signed_as_before_ = true;
    TRY(const auto body,
        issue_request(wallet_, operation_.kind, operation_.reference,
                      operation_.outputs_of(operation_.version), QuoteMessage::Legacy));
    if (!body) return block("its quote is not on file: " + facts.detail);
    operation_.request = wallet_.seal(as_bytes(*body), operation_.id, Sealed::Request);
    TRY_VOID(wallet_.database.transact([&](store::Tx& tx) -> Result<void, WalletError> {
        replace_request(tx, operation_.id, operation_.request);
        return {};
    }));
    return Step{};
}

Result<Run::Step, WalletError> Run::new_plan(const AnswerFacts& facts) {
    if (planned_anew_) return wait(Outcome::Waiting, facts.detail);
    planned_anew_ = true;
    auto keysets = wallet_.keysets.of(mint_, Freshness::Now);
    if (!keysets) return wait(Outcome::Waiting, keysets.error().detail);
    const auto* keyset = choose_active(*keysets, operation_.unit, wallet_.clock.now());
    if (keyset == nullptr) return wait(Outcome::Waiting, "the mint has no active keyset");
    std::vector<std::pair<Amount, Purpose>> amounts;
    for (const auto& output : operation_.outputs_of(operation_.version)) {
        const auto parts = split_by(keyset->keys, output.message.amount, kOutputsMax);
        if (!parts) return wait(Outcome::Waiting, "the mint's new keyset has no such keys");
        for (const auto part : *parts) amounts.emplace_back(part, output.purpose);
    }
    TRY(auto outputs, wallet_.plan(*keyset, amounts));
    std::string body;
    if (is_issue()) {
        TRY(auto text, issue_request(wallet_, operation_.kind, operation_.reference, outputs,
                                     QuoteMessage::V1));
        if (!text) return block("its quote is not on file: " + facts.detail);
        body = *std::move(text);
    } else {
        const auto text = wallet_.open(operation_.request, operation_.id, Sealed::Request);
        VERIFY(text.has_value());  // It was opened a moment ago, to be sent.
        auto request = wire::parse_swap_request(*text);
        VERIFY(request.has_value());
        request->outputs.clear();
        for (const auto& output : outputs) request->outputs.push_back(output.message);
        // A witness may have been over the old outputs (SIG_ALL).
        const auto unlocked = unlock(*std::move(request), {&wallet_.receive_secret, 1},
                                     to_unix_seconds(wallet_.clock.now()), wallet_.random);
        if (!unlocked) return block(locked(unlocked.error()).detail);
        body = wire::write_swap_request(*unlocked);
    }
    const int version = operation_.version + 1;
    auto sealed = wallet_.seal(as_bytes(body), operation_.id, Sealed::Request);
    TRY_VOID(wallet_.database.transact([&](store::Tx& tx) -> Result<void, WalletError> {
        replan(tx, operation_.id, version, outputs, sealed);
        return {};
    }));
    for (auto& output : outputs) output.version = version;
    operation_.outputs.insert(operation_.outputs.end(), outputs.begin(), outputs.end());
    operation_.version = version;
    operation_.request = std::move(sealed);
    return Step{};
}

// Whether the mint has rotated since the outputs were planned: not every mint says so when it
// refuses them, but its list of keysets does.
bool Run::is_plan_retired() {
    const auto keysets = wallet_.keysets.of(mint_, Freshness::Now);
    const auto outputs = operation_.outputs_of(operation_.version);
    if (!keysets || outputs.empty()) return false;
    const auto keyset = keysets->find(outputs.front().message.id);
    return keyset == keysets->end() || !keyset->second.active;
}

Result<Run::Step, WalletError> Run::wait(Outcome outcome, std::string_view why) {
    TRY(const auto waiting, wait_for_mint(wallet_, operation_, outcome, why));
    return Step{waiting};
}

Result<Run::Step, WalletError> Run::block(std::string_view why) {
    TRY(const auto outcome, park(wallet_, operation_, why));
    return Step{outcome};
}

}  // namespace

Result<Outcome, WalletError> wait_for_mint(Wallet::Impl& wallet, const Operation& operation,
                                           Outcome outcome, std::string_view why) {
    const auto latest = wallet.clock.now() + kBackOffAwayMax;
    TRY_VOID(wallet.database.transact([&](store::Tx& tx) -> Result<void, WalletError> {
        note_waiting(tx, operation.id, operation.state, why);
        if (outcome == Outcome::MintAway) note_no_later(tx, operation.id, latest);
        return {};
    }));
    return outcome;
}

Result<Outcome, WalletError> run_operation(Wallet::Impl& wallet, const OperationId& id) {
    TRY(auto operation,
        wallet.database.read(
            [&](store::Reader& reader) -> Result<std::optional<Operation>, WalletError> {
                return load(reader, id);
            }));
    VERIFY(operation.has_value());
    if (operation->state == OperationState::Done) return Outcome::Done;
    if (operation->state == OperationState::Failed) return Outcome::Failed;
    const auto next = next_attempt(wallet.clock.now(), operation->attempts);
    TRY_VOID(wallet.database.transact([&](store::Tx& tx) -> Result<void, WalletError> {
        note_run(tx, id, next);
        return {};
    }));
    const auto mint = wallet.find(operation->mint);
    if (mint == nullptr) return park(wallet, *operation, "its mint is no longer configured");
    switch (operation->kind) {
        case OperationKind::Receive:
        case OperationKind::Send:
        case OperationKind::Issue:
        case OperationKind::OfferIssue:
        case OperationKind::Consolidate:
            return Run{wallet, *std::move(operation), *mint}.go();
        case OperationKind::Melt:
        case OperationKind::Swap:
            return run_melt(wallet, *std::move(operation), *mint);
        case OperationKind::Fund:
            return run_fund(wallet, *operation);
    }
    VERIFY(false);
    return Outcome::Waiting;
}

// The quote that the operation paid and that is to become ecash, once it is paid.
Result<std::optional<PaymentHash>, WalletError> second_leg(Wallet::Impl& wallet,
                                                           const OperationId& id) {
    using Leg = std::optional<PaymentHash>;
    return wallet.database.read([&](store::Reader& reader) -> Result<Leg, WalletError> {
        const auto operation = load(reader, id);
        VERIFY(operation.has_value());
        const bool two_legs =
            operation->kind == OperationKind::Swap || operation->kind == OperationKind::Fund;
        if (!two_legs || operation->state != OperationState::Done) return Leg{};
        return Leg{operation->bill->payment};
    });
}

Result<void, WalletError> standing(Wallet::Impl& wallet, const OperationId& id) {
    TRY(const auto operation,
        wallet.database.read(
            [&](store::Reader& reader) -> Result<std::optional<Operation>, WalletError> {
                return load(reader, id);
            }));
    VERIFY(operation.has_value());
    switch (operation->state) {
        case OperationState::Done:
            return {};
        case OperationState::Failed:
            break;
        case OperationState::Submitted:
        case OperationState::Blocked:
            return fail(WalletError{Code::InProgress, operation->last_error});
    }
    VERIFY(operation->error_code.has_value());
    return fail(WalletError{failure_from_stored(*operation->error_code), operation->last_error});
}

}  // namespace nutgate::cashu::wallet

namespace nutgate::cashu {

Result<void, WalletError> Wallet::execute(const OperationId& id) {
    // As long as a call may take: who waits gets the other's answer rather than "in progress".
    constexpr Milliseconds kPatience{30'000};
    if (impl_->running.enter(id, kPatience)) {
        const auto outcome = wallet::run_operation(*impl_, id);
        impl_->running.leave(id);
        TRY_VOID(outcome);
    }
    TRY_VOID(wallet::standing(*impl_, id));
    TRY(const auto leg, wallet::second_leg(*impl_, id));
    if (!leg) return {};
    // Whatever is in the way of the second leg, the first has ended: recovery goes on with it.
    const auto arrived = settle_quote(*leg);
    if (arrived && arrived->state == PaymentState::Settled) return {};
    return fail(WalletError{WalletError::Code::InProgress,
                            arrived ? "paid, and not arrived yet" : arrived.error().detail});
}

}  // namespace nutgate::cashu
