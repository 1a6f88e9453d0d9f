#include "change_desk.h"

#include <utility>

namespace nutgate::app {
namespace {

http::ApiError not_now(std::string code) {
    return {.status = 503,
            .type = "api_error",
            .code = std::move(code),
            .message = "The change is not at hand. It stays on the balance: ask for it."};
}

}  // namespace

ChangeDesk::ChangeDesk(Refund refund, Scheduler& scheduler, Milliseconds patience)
    : refund_{std::move(refund)}, scheduler_{scheduler}, patience_{patience} {
    pool_.emplace("change", kThreads, kWaitingMax);
}

ChangeDesk::~ChangeDesk() {
    pool_.reset();
    // Each alarm was cancelled with its answer; one may be at it.
    scheduler_.wait_for_running();
}

void ChangeDesk::give(const KeyId& key, Done done) {
    std::uint64_t number = 0;
    {
        const Lock lock{mutex_};
        number = next_++;
        const auto alarm =
            scheduler_.after(patience_, "change_late", [this, number](const std::stop_token&) {
                answer(number, fail(not_now("change_late")));
            });
        waiting_.emplace(number, Waiting{std::move(done), alarm});
    }
    const bool taken = pool_->submit([this, key, number](WorkPool::Turn turn) {
        if (turn == WorkPool::Turn::Closing) return answer(number, fail(not_now("closing")));
        answer(number, refund_(key));
    });
    if (!taken) answer(number, fail(not_now("overloaded")));
}

// Who comes second finds nobody.
void ChangeDesk::answer(std::uint64_t number, Result<std::string, http::ApiError> given) {
    std::map<std::uint64_t, Waiting>::node_type found;
    {
        const Lock lock{mutex_};
        found = waiting_.extract(number);
    }
    if (found.empty()) return;
    scheduler_.cancel(found.mapped().alarm);
    found.mapped().done(std::move(given));
}

}  // namespace nutgate::app
