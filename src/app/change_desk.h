// The change of tokens that paid for one request, on threads of their own: an answer that is
// charged waits behind no stranger's redemption, and for no mint longer than kPatience. Then it
// goes out without its change, and the refund goes on behind it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>

#include "nutgate/base/scheduler.h"
#include "nutgate/base/sync.h"
#include "nutgate/base/work_pool.h"
#include "nutgate/proxy/gateway.h"

namespace nutgate::app {

// Thread-safe. Who waits when it ends is answered that there is none at hand.
class ChangeDesk {
public:
    using Done = proxy::TokenRedeemer::Changed;
    // Blocking, on one of the threads here: what is left of a key, as TokenRedeemer has it.
    using Refund = std::function<Result<std::string, http::ApiError>(const KeyId&)>;
    static constexpr std::size_t kThreads = 4;
    static constexpr std::size_t kWaitingMax = 64;
    static constexpr Milliseconds kPatience{5'000};

    // The scheduler outlives it.
    ChangeDesk(Refund refund, Scheduler& scheduler, Milliseconds patience = kPatience);
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

    const Refund refund_;
    Scheduler& scheduler_;
    const Milliseconds patience_;
    Mutex mutex_;
    std::map<std::uint64_t, Waiting> waiting_ GUARDED_BY(mutex_);
    std::uint64_t next_ GUARDED_BY(mutex_) = 0;
    std::optional<WorkPool> pool_;
};

}  // namespace nutgate::app
