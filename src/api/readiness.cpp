#include "readiness.h"

#include <utility>

#include "nutgate/base/log.h"

namespace nutgate::api {
namespace {

const std::string kTopic = "touched";

std::string not_answering() { return "the database does not answer"; }

}  // namespace

Readiness::Readiness(store::Database& database, const Clock& clock,
                     std::function<void(store::Tx&)> touch)
    : database_{database}, clock_{clock}, touch_{std::move(touch)} {}

Readiness::~Readiness() {
    const Lock lock{mutex_};
    while (is_under_way_) ended_.wait(mutex_);
}

Readiness::Known Readiness::look() {
    const Lock lock{mutex_};
    const Milliseconds age = clock_.now() - since_;
    if (is_under_way_ && age < kPatience) return {};
    if (is_under_way_) return {.is_known = true, .fault = not_answering()};
    // A clock that was set back makes nothing fresh for longer.
    if (age >= Milliseconds{} && age < kFresh) return {.is_known = true, .fault = fault_};
    is_under_way_ = true;
    since_ = clock_.now();
    return {.begins = true};
}

void Readiness::begin() {
    database_.submit(
        [this](store::Tx& tx) {
            touch_(tx);
            return true;
        },
        [this](const std::optional<store::StoreFailure>& failure) {
            // Under the lock to the end: once it is released, the destructor may have gone on.
            const Lock lock{mutex_};
            is_under_way_ = false;
            fault_.reset();
            if (failure) {
                log::error("not_ready", {{"detail", failure->detail}});
                fault_ = "the database does not take writes";
            }
            topics_.publish(kTopic);
            ended_.notify_all();
        });
}

std::optional<std::string> Readiness::outcome() {
    const Lock lock{mutex_};
    return is_under_way_ ? not_answering() : fault_;
}

http::Task<std::optional<std::string>> Readiness::fault() {
    const auto ticket = topics_.ticket(kTopic);
    Known known = look();
    if (known.is_known) co_return std::move(known.fault);
    if (known.begins) begin();
    (void)co_await topics_.wait_for(kTopic, ticket, kPatience);
    co_return outcome();
}

}  // namespace nutgate::api
