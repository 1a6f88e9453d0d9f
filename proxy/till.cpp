#include "till.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "nutgate/base/log.h"
#include "nutgate/base/verify.h"
#include "nutgate/cashier/books.h"

namespace nutgate::proxy {
namespace {

using Why = DrawRefusal::Why;

Why to_refusal(KeyringError error) {
    switch (error) {
        case KeyringError::Unknown:
            return Why::KeyUnknown;
        case KeyringError::Revoked:
            return Why::KeyRevoked;
        case KeyringError::Expired:
            return Why::KeyExpired;
        case KeyringError::LimitExceeded:
            return Why::LimitExceeded;
        case KeyringError::ParentIsChild:
            return Why::Broken;
    }
    return Why::Broken;
}

Account revenue() { return {AccountKind::Revenue, std::string{kRevenueRequests}}; }

}  // namespace

void Draw::close(Msat cost) {
    if (till_ == nullptr) return;
    VERIFY(cost <= amount_);
    std::exchange(till_, nullptr)->close(hold_, key_, cost);
}

Till::Till(Books books, Options options, metrics::Registry& metrics)
    : books_{books},
      options_{options},
      unposted_{
          metrics.gauge("nutgate_proxy_unposted_charges", "Charges on their way to the books.")},
      refused_{metrics.counter("nutgate_proxy_refused_charges_total",
                               "Charges that the books refused. Any is a bug.")},
      uncollected_{metrics.counter("nutgate_proxy_uncollected_msat_total",
                                   "Charges beyond what was left when their hold had expired.")} {}

Till::~Till() {
    submit_waiting();
    std::unique_lock lock{mutex_};
    idle_.wait(lock, [this] { return under_way_ == 0; });
    if (!endings_.empty()) log::error("till_closed_with_unposted", {{"charges", endings_.size()}});
}

bool Till::overloaded() {
    const std::lock_guard lock{mutex_};
    if (endings_.size() >= options_.unposted_max) return true;
    return !endings_.empty() &&
           books_.clock.now() - endings_.begin()->second.since > options_.unposted_age_max;
}

http::Task<Result<Draw, DrawRefusal>> Till::draw(KeyId key, Msat amount) {
    if (overloaded()) co_return fail(DrawRefusal{Why::Overloaded});
    const Hold wanted{.id = books_.random.id<HoldId>(),
                      .payer = key_account(key),
                      .amount = amount,
                      .deadline = books_.clock.now() + options_.hold_time};
    DrawRefusal refusal{Why::Broken};
    std::optional<Msat> available;
    const auto body = [&](store::Tx& tx) {
        available.reset();
        const auto payer = books_.keyring.admit(tx, key, wanted.id, amount);
        const auto record = books_.keyring.find(tx, key);
        Hold hold = wanted;
        if (record) hold.payer = key_account(record->billing());
        const auto held = payer ? books_.ledger.hold(tx, hold)
                                : Result<Applied, LedgerError>{fail(LedgerError::HoldUnknown)};
        const Balance balance = books_.ledger.balance(tx, hold.payer);
        Msat left = subtract(balance.posted, balance.held).value_or(Msat{});
        if (record && record->limits.balance_limit) {
            const Msat used = add(record->limit_spent, record->limit_held).value_or(Msat{});
            left = std::min(left, subtract(*record->limits.balance_limit, used).value_or(Msat{}));
        }
        if (!payer) {
            refusal = {to_refusal(payer.error()), left};
        } else if (!held) {
            const bool is_short = held.error() == LedgerError::InsufficientFunds;
            refusal = {is_short ? Why::BalanceShort : Why::Broken, left};
        } else {
            available = left;
        }
        return available.has_value();
    };
    const auto failure = co_await http::completion<std::optional<store::StoreFailure>>(
        [&](auto done) { books_.database.submit(body, std::move(done)); });
    if (failure) {
        // Whether it was committed is not known, so it is undone in any case.
        log::warn("draw_failed", {{"detail", failure->detail}});
        close(wanted.id, key, Msat{});
        co_return fail(DrawRefusal{Why::StoreUnavailable});
    }
    if (!available) co_return fail(refusal);
    {
        const std::lock_guard lock{mutex_};
        open_.emplace(wanted.id, wanted.deadline);
    }
    co_return Draw{*this, wanted.id, key, amount, *available};
}

void Till::close(const HoldId& hold, const KeyId& key, Msat cost) {
    Number number = 0;
    Ending* ending = nullptr;
    {
        const std::lock_guard lock{mutex_};
        open_.erase(hold);
        number = next_number_++;
        const Ending made{
            .hold = hold, .key = key, .cost = cost, .since = books_.clock.now(), .submitted = true};
        ending = &endings_.emplace(number, made).first->second;
        ++under_way_;
        unposted_.set(static_cast<std::int64_t>(endings_.size()));
    }
    submit(number, *ending);
}

void Till::end_admission(store::Tx& tx, const Ending& ending) {
    // A draw that the database failed to take may be of a key that there never was.
    if (!books_.keyring.find(tx, ending.key)) return;
    books_.keyring.settle(tx, ending.key, ending.hold, Msat{});
}

Result<void, LedgerError> Till::end_hold(store::Tx& tx, Ending& ending) {
    ending.uncollected = {};
    if (ending.cost == Msat{}) {
        TRY_VOID(books_.ledger.release(tx, ending.hold));
        end_admission(tx, ending);
        return {};
    }
    TRY(const auto charge, books_.ledger.post(tx, ending.hold, revenue(), ending.cost));
    if (charge.applied == Applied::Now) {
        books_.keyring.settle(tx, ending.key, ending.hold, charge.charged);
        ending.uncollected = subtract(ending.cost, charge.charged).value_or(Msat{});
    }
    return {};
}

void Till::submit(Number number, Ending& ending) {
    books_.database.submit(
        [this, &ending](store::Tx& tx) {
            const auto done = end_hold(tx, ending);
            ending.refusal.reset();
            if (done) return true;
            ending.refusal = done.error();
            // The ledger forgot a hold that was overdue for long; the limit does not count it any
            // more either.
            if (done.error() != LedgerError::HoldUnknown) return false;
            end_admission(tx, ending);
            return true;
        },
        [this, number](const std::optional<store::StoreFailure>& failure) {
            ended(number, !failure.has_value());
        });
}

void Till::report(const Ending& ending) {
    uncollected_.add(static_cast<std::uint64_t>(ending.uncollected.raw()));
    // A draw whose own transaction failed leaves nothing to release.
    const bool nothing_there = ending.cost == Msat{} && ending.refusal == LedgerError::HoldUnknown;
    if (!ending.refusal || nothing_there) return;
    refused_.add();
    log::error("charge_refused", {{"hold", ending.hold.hex()},
                                  {"cost", ending.cost},
                                  {"error", static_cast<int>(*ending.refusal)}});
}

void Till::ended(Number number, bool committed) {
    // Notified under the lock: once it is released, the destructor may have gone on.
    const std::lock_guard lock{mutex_};
    --under_way_;
    if (const auto found = endings_.find(number); found != endings_.end()) {
        if (committed) {
            report(found->second);
            endings_.erase(found);
        } else {
            found->second.submitted = false;
        }
    }
    unposted_.set(static_cast<std::int64_t>(endings_.size()));
    idle_.notify_all();
}

void Till::submit_waiting() {
    std::vector<std::pair<Number, Ending*>> waiting;
    {
        const std::lock_guard lock{mutex_};
        for (auto& [number, ending] : endings_) {
            if (ending.submitted) continue;
            ending.submitted = true;
            ++under_way_;
            waiting.emplace_back(number, &ending);
        }
    }
    for (const auto& [number, ending] : waiting) submit(number, *ending);
}

void Till::renew_open() {
    const Time now = books_.clock.now();
    const Time deadline = now + options_.hold_time;
    std::vector<HoldId> due;
    {
        const std::lock_guard lock{mutex_};
        for (auto& [hold, until] : open_) {
            if (until - now > options_.hold_time * 2 / 3) continue;
            until = deadline;
            due.push_back(hold);
        }
        if (due.empty()) return;
        ++under_way_;
    }
    books_.database.submit(
        [this, due, deadline](store::Tx& tx) {
            // One that was settled meanwhile is closed, which is no fault.
            for (const HoldId& hold : due) (void)books_.ledger.renew(tx, hold, deadline);
            return true;
        },
        [this](const std::optional<store::StoreFailure>&) { ended(0, true); });
}

void Till::tend() {
    submit_waiting();
    renew_open();
}

}  // namespace nutgate::proxy
