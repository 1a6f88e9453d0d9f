#include "nutgate/base/log.h"
#include "wallet/impl.h"
#include "wallet/issue.h"

namespace nutgate::cashu {
namespace {

constexpr int kOperationsPerPass = 1000;
// A mint that was not reached so often in one pass is let be until the next: its other operations
// would each wait for a time-out.
constexpr int kAwayMax = 2;
// At start everything is due, whatever its back-off says: a restart is news.
constexpr Seconds kFarAhead{365LL * 24 * 3600};

constexpr int kLegsPerPass = 100;

}  // namespace

Result<Recovery, WalletError> Wallet::recover() {
    auto& impl = *impl_;
    TRY_VOID(impl.mints.load(impl.database));
    bool first = false;
    std::call_once(impl.started, [&first] { first = true; });
    const auto until = first ? impl.clock.now() + kFarAhead : impl.clock.now();
    TRY(const auto due,
        impl.database.read(
            [&](store::Reader& reader) -> Result<std::vector<wallet::Due>, WalletError> {
                return wallet::due(reader, until, kOperationsPerPass);
            }));

    Recovery recovery;
    std::map<MintUrl, int> away;
    for (const auto& operation : due) {
        if (away[operation.mint] >= kAwayMax) continue;
        if (!impl.running.enter(operation.id, Milliseconds{0})) continue;
        const auto outcome = wallet::run_operation(impl, operation.id);
        impl.running.leave(operation.id);
        if (!outcome) {
            log::error("wallet_recovery_failed",
                       {{"operation", operation.id.hex()}, {"why", outcome.error().detail}});
            continue;
        }
        switch (*outcome) {
            case wallet::Outcome::Done:
                ++recovery.finished;
                break;
            case wallet::Outcome::Failed:
                ++recovery.failed;
                break;
            case wallet::Outcome::Waiting:
                break;
            case wallet::Outcome::MintAway:
                ++away[operation.mint];
                break;
        }
    }
    const auto now = impl.clock.now();
    TRY(const auto legs,
        impl.database.transact([&](store::Tx& tx) -> Result<std::vector<PaymentHash>, WalletError> {
            return wallet::take_due_legs(tx, now, kLegsPerPass);
        }));
    int unanswered = 0;
    for (const auto& leg : legs) {
        if (unanswered >= kAwayMax) break;
        const auto settled = settle_quote(leg);
        if (!settled) ++unanswered;
        if (settled && settled->state == PaymentState::Settled) ++recovery.finished;
    }
    TRY(const auto unarrived,
        impl.database.read([&](store::Reader& reader) -> Result<std::int64_t, WalletError> {
            return wallet::count_unarrived(reader);
        }));
    impl.unarrived.set(unarrived);
    TRY(recovery.waiting,
        impl.database.read([&](store::Reader& reader) -> Result<int, WalletError> {
            return wallet::unfinished(reader);
        }));
    impl.waiting.set(recovery.waiting);
    return recovery;
}

}  // namespace nutgate::cashu
