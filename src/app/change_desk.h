// The change of tokens that paid for one request, on threads of their own: an answer that is
// charged waits behind no stranger's redemption, and for no mint longer than kPatience. Then it
// goes out without its change, and the refund goes on behind it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>

#include "nutgate/base/scheduler.h"
#include "nutgate/base/sync.h"
#include "nutgate/base/work_pool.h"
#include "nutgate/cashier/cashier.h"
#include "nutgate/proxy/gateway.h"

namespace nutgate::app {

// Thread-safe. Who waits when it ends is answered that there is none at hand.
class ChangeDesk {
public:
    using Done = proxy::TokenRedeemer::Changed;
    static constexpr std::size_t kThreads = 4;
    static constexpr std::size_t kWaitingMax = 64;
    static constexpr Milliseconds kPatience{5'000};

    // Both outlive it.
    ChangeDesk(Cashier& cashier, Scheduler& scheduler);
    ~ChangeDesk();
    ChangeDesk(const ChangeDesk&) = delete;
    ChangeDesk& operator=(const ChangeDesk&) = delete;

    // Calls `done` once: with the change, or with why there is none yet.
    void give(const KeyId& key, Done done);

private:
    struct Waiting {
        Done done;
        Scheduler::JobId alarm;
    };

    void answer(std::uint64_t number, Result<std::string, http::ApiError> given) EXCLUDES(mutex_);

    Cashier& cashier_;
    Scheduler& scheduler_;
    Mutex mutex_;
    std::map<std::uint64_t, Waiting> waiting_ GUARDED_BY(mutex_);
    std::uint64_t next_ GUARDED_BY(mutex_) = 0;
    std::optional<WorkPool> pool_;
};

}  // namespace nutgate::app
