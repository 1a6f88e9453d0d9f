// Slices are taken here: for those who wait, and ahead of those who will.
#include <algorithm>
#include <utility>

#include "nutgate/base/log.h"
#include "nutgate/base/verify.h"
#include "till_impl.h"

namespace nutgate::proxy {
namespace {

using Why = DrawRefusal::Why;

// How much more it has to hold for another `amount` to be there.
Msat lacking(const Slice& slice, Msat amount) {
    const auto wanted = add(slice.used(), amount);
    return wanted ? subtract(*wanted, slice.held).value_or(Msat{}) : kAll;
}

}  // namespace

Slice* Till::Impl::find_or_make(const KeyId& key) {
    if (const auto found = slices.find(key); found != slices.end()) return &found->second;
    if (slices.size() >= options.slices_max) return nullptr;
    Slice& made = slices.try_emplace(key, key, books.random.id<HoldId>()).first->second;
    made.used_at = books.clock.now();
    slices_gauge.set(static_cast<std::int64_t>(slices.size()));
    return &made;
}

void Till::Impl::wait(const KeyId& key, Waiter waiter) {
    {
        const Lock lock{mutex};
        if (is_overdue(books.clock.now(), options.unposted_age_wait)) {
            held_up_draws.add();
            held_up.push_back({key, std::move(waiter)});
            return;
        }
    }
    ask_books(key, std::move(waiter));
}

std::vector<Till::Impl::HeldUp> Till::Impl::take_held_up() {
    const Time now = books.clock.now();
    const bool goes_on = overloaded(now) || !is_overdue(now, options.unposted_age_wait);
    return goes_on ? std::exchange(held_up, {}) : std::vector<HeldUp>{};
}

void Till::Impl::go_on(std::vector<HeldUp> waited) {
    for (auto& [key, waiter] : waited) {
        auto answer = draw_and_grow(key, waiter.amount);
        if (answer) {
            waiter.done(*std::move(answer));
        } else {
            wait(key, std::move(waiter));
        }
    }
}

void Till::Impl::ask_books(const KeyId& key, Waiter waiter) {
    Slice* slice = nullptr;
    bool grows = false;
    {
        const Lock lock{mutex};
        slice = find_or_make(key);
        if (slice != nullptr) {
            const Msat like = waiter.like;
            slice->waiting.push_back(std::move(waiter));
            grows = slice->may_grow();
            if (grows) begin_growth(*slice, like, false);
        }
    }
    if (slice == nullptr) return waiter.done(fail(DrawRefusal{Why::Overloaded}));
    if (grows) submit_growth(*slice);
}

// How far, by how long the last growth has sufficed: each is a transaction, and a key that is used
// by thousands of requests a second would need hundreds of them.
void Till::Impl::look_ahead(Slice& slice) const {
    const Time now = books.clock.now();
    const auto last = std::exchange(slice.grown_at, now);
    if (!last || slice.ahead == 0) {
        slice.ahead = options.requests_ahead;
    } else if (now - *last < options.growth_lasts_min) {
        slice.ahead = std::min(2 * slice.ahead, options.requests_ahead_max);
    } else if (now - *last > 8 * options.growth_lasts_min) {
        slice.ahead = std::max(slice.ahead / 2, options.requests_ahead);
    }
}

void Till::Impl::begin_growth(Slice& slice, Msat request, bool from_others) {
    look_ahead(slice);
    Msat all;
    Msat least = slice.is_open ? *Msat::from_raw(1) : Msat{};
    for (const Waiter& waiter : slice.waiting) {
        least = &waiter == &slice.waiting.front() ? waiter.amount : std::min(least, waiter.amount);
        request = std::max({request, waiter.amount, waiter.like});
        all = add(all, waiter.amount).value_or(kAll);
    }
    if (!slice.waiting.empty()) least = lacking(slice, least);
    const Msat ahead = multiply_floor(request, slice.ahead, 1).value_or(kAll);
    slice.growth = Growth{.key = slice.key,
                          .hold = slice.hold,
                          .is_open = slice.is_open,
                          .least = least,
                          .needed = lacking(slice, all),
                          .target = lacking(slice, ahead),
                          .deadline = books.clock.now() + options.hold_time,
                          .first = {},
                          .lost = slice.lost};
    slice.growing = true;
    ++growths;
    // What comes in from here on is seen by it, or told of again.
    if (slice.payer != nullptr) slice.payer->credited = false;
    if (from_others) take_from_others(slice);
}

void Till::Impl::take_from_others(Slice& slice) {
    for (Slice* other : slice.payer->slices) {
        const Msat idle = other->idle();
        if (other == &slice || idle == Msat{} || !other->is_open) continue;
        other->returning = *add(other->returning, idle);
        ++other->jobs;
        slice.growth->first.push_back({other->hold, other->key, idle});
        slice.growth_from.push_back(other);
    }
}

void Till::Impl::others_gave(Slice& slice, bool known) {
    for (std::size_t i = 0; i < slice.growth_from.size(); ++i) {
        const auto left = known ? std::optional{slice.grown.given[i]} : std::nullopt;
        given_back(*slice.growth_from[i], slice.growth->first[i], left);
    }
    slice.growth_from.clear();
}

void Till::Impl::submit_growth(Slice& slice) {
    books.database.submit(
        [this, &slice](store::Tx& tx) {
            slice.grown = slice_books.grow(tx, *slice.growth);
            return true;
        },
        [this, &slice](const std::optional<store::StoreFailure>& failure) {
            growth_ended(slice, failure);
        });
}

void Till::Impl::drop_hold(Slice& slice) {
    slice.hold = books.random.id<HoldId>();
    slice.is_open = false;
    slice.perhaps_open = false;
    slice.held = Msat{};
    slice.sequence = 0;
}

// What the books said of the slice, and of its balance.
void Till::Impl::learn(Slice& slice) {
    const Grown& grown = slice.grown;
    if (!grown.payer) return;
    if (slice.payer == nullptr) {
        slice.payer = &payers.try_emplace(*grown.payer, *grown.payer).first->second;
        slice.payer->slices.push_back(&slice);
    }
    slice.payer->available = grown.available;
    slice.limit_left = grown.limit_left;
    slice.valid_until = grown.valid_until;
    if (grown.hold_lost) {
        slice.lost = slice.hold;
        drop_hold(slice);
    }
    if (!grown.held) return;
    slice.is_open = true;
    slice.perhaps_open = false;
    slice.lost.reset();
    slice.held = *grown.held;
    slice.deadline = slice.growth->deadline;
}

void Till::Impl::refuse_all(Slice& slice, Why why, std::vector<Call>& calls) {
    for (Waiter& waiter : slice.waiting) {
        calls.push_back({std::move(waiter.done), fail(DrawRefusal{why})});
    }
    slice.waiting.clear();
}

// What the key could draw if `beside` of its balance were its slice's, too.
Msat Till::Impl::reach(const Slice& slice, Msat beside) const {
    if (slice.limit_left) beside = std::min(beside, *slice.limit_left);
    return *add(slice.unused(), beside);
}

DrawRefusal Till::Impl::short_of(const Slice& slice, Msat amount) const {
    const bool limited =
        slice.limit_left && add(slice.unused(), *slice.limit_left).value_or(kAll) < amount;
    return {limited ? Why::LimitExceeded : Why::BalanceShort, spendable(slice)};
}

void Till::Impl::serve_waiting(Slice& slice, std::vector<Call>& calls) {
    const Time now = books.clock.now();
    std::deque<Waiter> left;
    for (Waiter& waiter : slice.waiting) {
        if (slice.is_open && waiter.amount <= slice.idle()) {
            calls.push_back({std::move(waiter.done), take(slice, waiter.amount, now)});
        } else {
            left.push_back(std::move(waiter));
        }
    }
    slice.waiting.clear();
    // Who can't be served even by all there is, idle slices of the same balance included, is told.
    for (Waiter& waiter : left) {
        if (spendable(slice) >= waiter.amount) {
            slice.waiting.push_back(std::move(waiter));
        } else {
            calls.push_back({std::move(waiter.done), fail(short_of(slice, waiter.amount))});
        }
    }
}

void Till::Impl::growth_ended(Slice& slice, const std::optional<store::StoreFailure>& failure) {
    std::vector<Call> calls;
    bool again = false;
    {
        const Lock lock{mutex};
        slice.growing = false;
        --growths;
        others_gave(slice, !failure.has_value());
        if (failure) {
            log::warn("slice_not_taken", {{"detail", failure->detail}});
            // Whether it was taken is not known. What is not known to be there is not drawn from.
            slice.perhaps_open = !slice.is_open;
            refuse_all(slice, Why::StoreUnavailable, calls);
        } else {
            learn(slice);
            if (slice.grown.refusal) {
                refuse_all(slice, *slice.grown.refusal, calls);
            } else if (!slice.grown.hold_lost) {
                serve_waiting(slice, calls);
            }
            again = !slice.waiting.empty() && slice.may_grow();
        }
        if (again) {
            Msat least = kAll;
            for (const Waiter& waiter : slice.waiting) least = std::min(least, waiter.amount);
            begin_growth(slice, {}, reach(slice, slice.payer->available) < least);
        } else if (slice.is_quiet() && !slice.is_open && !slice.perhaps_open) {
            forget(slice);
        }
        changed.notify_all();
    }
    for (Call& call : calls) call.done(std::move(call.answer));
    if (again) submit_growth(slice);
}

}  // namespace nutgate::proxy
