#include "nutgate/base/log.h"
#include "wallet/impl.h"

namespace nutgate::cashu {
namespace {

constexpr int kOperationsPerPass = 1000;
// A mint that was not reached so often in one pass is let be until the next: its other operations
// would each wait for a time-out.
constexpr int kAwayMax = 2;
// At start everything is due, whatever its back-off says: a restart is news.
constexpr Seconds kFarAhead{365LL * 24 * 3600};

}  // namespace

Result<Recovery, WalletError> Wallet::recover() {
    auto& impl = *impl_;
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
    TRY(recovery.waiting,
        impl.database.read([&](store::Reader& reader) -> Result<int, WalletError> {
            return wallet::unfinished(reader);
        }));
    impl.waiting.set(recovery.waiting);
    return recovery;
}

}  // namespace nutgate::cashu
