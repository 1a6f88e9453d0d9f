// One run of a melt, which a swap's first leg is too. What decides is the quote's state, and with
// it the inputs' (cashu.md C.5): an invoice may be on its way long after our call has ended, so
// nothing is released while any request of ours could still be acted upon.
#include "nutgate/base/log.h"
#include "nutgate/crypto/hash.h"
#include "wallet/calls.h"
#include "wallet/execute.h"
#include "wallet/finish.h"

namespace nutgate::cashu::wallet {
namespace {

using Code = WalletError::Code;

// After the quote has ended, as the mint's clock may see it.
constexpr Seconds kPastExpiry{30};
// Where bytes of ours may still be on their way: between the two looks that find quote and inputs
// untouched, and which together end it. Longer than any of our calls, or a proxy's time-out.
constexpr Seconds kStragglers{180};

class MeltRun {
public:
    MeltRun(Wallet::Impl& wallet, Operation operation, const WalletMint& mint)
        : wallet_{wallet}, operation_{std::move(operation)}, mint_{mint} {}

    Result<Outcome, WalletError> go();

private:
    // Empty: tell the mint (again).
    using Step = std::optional<Outcome>;
    // What our last call to the mint came to.
    struct Told {
        bool answered = false;  // With a no that is the mint's own, of some kind.
        bool only_once = false;
        WalletError why;
    };

    Result<Step, WalletError> transmit();
    Result<Step, WalletError> resolve(const Told& told);
    Result<Step, WalletError> resolve_unpaid(const Told& told);
    Result<Step, WalletError> resolve_spent(const Told& told, const std::set<ByteArray<33>>& spent);
    Result<Step, WalletError> paid(const wire::MeltQuote& quote);
    Result<Step, WalletError> refuse(const WalletError& why, const std::set<ByteArray<33>>& spent);
    // True once the second of two looks agrees with the first, long enough after it.
    Result<bool, WalletError> seen_twice();
    Result<Step, WalletError> wait(Outcome outcome, std::string_view why) {
        TRY(const auto waiting, wait_for_mint(wallet_, operation_, outcome, why));
        return Step{waiting};
    }

    Wallet::Impl& wallet_;
    Operation operation_;
    const WalletMint& mint_;
};

Result<Outcome, WalletError> MeltRun::go() {
    VERIFY(operation_.bill.has_value());
    // Told before: what became of it is asked before it is told again.
    if (operation_.transmissions > 0) {
        TRY(const auto step, resolve({.answered = false,
                                      .only_once = false,
                                      .why = {Code::PaymentFailed, "it was not paid in time"}}));
        if (step) return *step;
    }
    TRY(const auto step, transmit());
    return step.value_or(Outcome::Waiting);
}

Result<MeltRun::Step, WalletError> MeltRun::transmit() {
    const auto body = wallet_.open(operation_.request, operation_.id, Sealed::Request);
    if (!body) {
        TRY(const auto parked,
            park(wallet_, operation_, "its request was written down under another seed"));
        return Step{parked};
    }
    TRY(const auto count, wallet_.database.transact([&](store::Tx& tx) -> Result<int, WalletError> {
        return note_transmission(tx, operation_.id);
    }));
    const auto transmission = count == 1 ? Transmission::First : Transmission::Repeated;
    const auto answer = mint_.client->call(MintMethod::Post, operation_.path, *body);
    const auto facts = facts_of(answer);
    switch (classify(facts, transmission)) {
        case Verdict::Success: {
            const auto quote = wire::parse_melt_quote(answer->body);
            if (quote && quote->quote == operation_.bill->melt_quote &&
                quote->state == wire::MeltState::Paid) {
                return paid(*quote);
            }
            break;
        }
        case Verdict::NotSent:
            TRY_VOID(wallet_.database.transact([&](store::Tx& tx) -> Result<void, WalletError> {
                take_back_transmission(tx, operation_.id);
                return {};
            }));
            return wait(Outcome::MintAway, facts.detail);
        case Verdict::Busy:
            return wait(Outcome::MintAway, facts.detail);
        case Verdict::Refused:
            if (refusal(facts).code == Code::KeysetUnknown) wallet_.keysets.expire(mint_.url);
            return refuse(refusal(facts), {});
        case Verdict::Unknown:
        case Verdict::InFlight:
            break;
    }
    const bool answered = !facts.failure && facts.status >= 400 && facts.status < 500 && facts.code;
    const auto detail = "it could not be paid: " + facts.detail;
    TRY(const auto step,
        resolve(
            {.answered = answered, .only_once = count == 1, .why = {Code::PaymentFailed, detail}}));
    return step ? Result<Step, WalletError>{*step} : wait(Outcome::Waiting, facts.detail);
}

Result<MeltRun::Step, WalletError> MeltRun::resolve(const Told& told) {
    const auto quote = get_melt_quote(mint_, operation_.bill->melt_quote);
    if (!quote) {
        const bool away = quote.error().code != Code::MintRefused;
        return wait(away ? Outcome::MintAway : Outcome::Waiting, quote.error().detail);
    }
    switch (quote->state) {
        case wire::MeltState::Paid:
            return paid(*quote);
        case wire::MeltState::Pending:
            return wait(Outcome::Waiting, "the mint is paying");
        case wire::MeltState::Unpaid:
            return resolve_unpaid(told);
    }
    VERIFY(false);
    return Step{};
}

Result<MeltRun::Step, WalletError> MeltRun::resolve_unpaid(const Told& told) {
    const auto states = ask_states(mint_, ys_of(operation_.inputs));
    if (!states) return wait(states.error().outcome, states.error().why);
    if (states->pending) return wait(Outcome::Waiting, "its inputs are pending at the mint");
    if (!states->spent.empty()) return resolve_spent(told, states->spent);
    // The only request there ever was has been answered: nothing is on its way.
    if (told.answered && told.only_once) return refuse(told.why, {});
    const auto& ends = operation_.bill->expires_at;
    if (ends && wallet_.clock.now() > *ends + kPastExpiry) return refuse(told.why, {});
    if (!told.answered && !operation_.taken_at) return Step{};
    TRY(const bool sure, seen_twice());
    if (sure) return refuse(told.why, {});
    return wait(Outcome::Waiting, "not paid, it seems: " + told.why.detail);
}

// Spent is final, and a mint pays and spends at once: only what it says of the quote after that
// tells by whom.
Result<MeltRun::Step, WalletError> MeltRun::resolve_spent(const Told& told,
                                                          const std::set<ByteArray<33>>& spent) {
    const auto quote = get_melt_quote(mint_, operation_.bill->melt_quote);
    if (!quote) return wait(Outcome::MintAway, quote.error().detail);
    if (quote->state == wire::MeltState::Paid) return paid(*quote);
    TRY(const bool sure, seen_twice());
    if (quote->state == wire::MeltState::Pending || (!sure && !(told.answered && told.only_once))) {
        return wait(Outcome::Waiting, "its inputs are spent, it seems not by us");
    }
    return refuse({Code::TokenSpent, "the mint says that it is spent already"}, spent);
}

Result<bool, WalletError> MeltRun::seen_twice() {
    const auto now = wallet_.clock.now();
    if (operation_.taken_at) return now - *operation_.taken_at >= kStragglers;
    TRY_VOID(wallet_.database.transact([&](store::Tx& tx) -> Result<void, WalletError> {
        note_taken(tx, operation_.id, now);
        return {};
    }));
    operation_.taken_at = now;
    return false;
}

Result<MeltRun::Step, WalletError> MeltRun::paid(const wire::MeltQuote& quote) {
    const auto& blanks = operation_.outputs;
    std::vector<BlindSignature> signatures = quote.change;
    std::vector<PlannedOutput> signed_blanks{blanks.begin(), blanks.end()};
    if (signatures.empty() && !blanks.empty()) {
        // Some mints tell of change only once. What was signed is there to be asked for.
        std::vector<BlindedMessage> messages;
        for (const auto& blank : blanks) messages.push_back(blank.message);
        const auto found = ask_restore(mint_, messages);
        if (!found) return wait(found.error().outcome, found.error().why);
        signed_blanks.clear();
        for (const auto& blank : blanks) {
            const auto signature = found->find(blank.message.B_.compressed());
            if (signature == found->end()) continue;
            signed_blanks.push_back(blank);
            signatures.push_back(signature->second);
        }
    }
    auto change = make_change(wallet_, mint_, signed_blanks, signatures);
    // Its keyset can't be had at the moment: the change is not given up for that.
    if (!change) return wait(Outcome::MintAway, change.error().detail);
    std::optional<Preimage> preimage;
    if (quote.payment_preimage) preimage = Preimage::parse(*quote.payment_preimage);
    if (preimage && PaymentHash{crypto::sha256(preimage->bytes())} != operation_.bill->payment) {
        preimage.reset();
    }
    TRY(const auto outcome, finish_melt(wallet_, operation_, *change, preimage));
    return Step{outcome};
}

Result<MeltRun::Step, WalletError> MeltRun::refuse(const WalletError& why,
                                                   const std::set<ByteArray<33>>& spent) {
    TRY(const auto outcome, finish_refused(wallet_, operation_, mint_, why, spent));
    return Step{outcome};
}

}  // namespace

Result<Outcome, WalletError> run_melt(Wallet::Impl& wallet, Operation operation,
                                      const WalletMint& mint) {
    return MeltRun{wallet, std::move(operation), mint}.go();
}

}  // namespace nutgate::cashu::wallet
