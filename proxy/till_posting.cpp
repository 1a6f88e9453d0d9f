// Charges go to the books here, and slices back to their balances.
#include <algorithm>
#include <utility>

#include "nutgate/base/log.h"
#include "nutgate/base/verify.h"
#include "till_impl.h"

namespace nutgate::proxy {
namespace {

constexpr std::size_t kBatchMax = 1024;    // Slices: a commit is not to take for ever.
constexpr std::size_t kSpareRowsMin = 64;  // Some 20 KB, of each key in use.
constexpr std::size_t kSpareTimesMax = 4;  // Of what the last batch of a key took.

}  // namespace

void Till::Impl::run_poster() {
    pthread_setname_np(pthread_self(), "till");
    Lock lock{mutex};
    for (;;) {
        changed.wait(lock, [this] { return stopping || !dirty.empty(); });
        if (dirty.empty()) return;
        changed.wait_until(lock, dirty_since + options.post_delay,
                           [this] { return stopping || flushers > 0; });
        const std::vector<Slice*> without_hold = collect_batch();
        if (!without_hold.empty()) {
            lock.unlock();
            for (Slice* slice : without_hold) submit_growth(*slice);
            lock.lock();
        }
        if (posting.empty()) {
            // All of them wait for a hold, which is under way or was refused by the database.
            changed.wait_for(lock, options.retry_delay, [this] { return stopping; });
            if (stopping) return;
            auto waited = take_held_up();
            lock.unlock();
            go_on(std::move(waited));
            lock.lock();
            continue;
        }
        if (!post_batch(lock)) return;
    }
}

std::vector<Slice*> Till::Impl::collect_batch() {
    std::vector<Slice*> without_hold;
    std::vector<Slice*> left;
    for (Slice* slice : dirty) {
        if (!slice->is_open && slice->may_grow()) {
            begin_growth(*slice, {}, false);
            without_hold.push_back(slice);
        }
        if (!slice->is_open || posting.size() == kBatchMax) {
            left.push_back(slice);
            continue;
        }
        slice->posting = SliceCharge{.key = slice->key,
                                     .payer = slice->payer->id,
                                     .hold = slice->hold,
                                     .sequence = ++slice->sequence,
                                     .cost = slice->pending.cost,
                                     .requests = slice->pending.requests,
                                     .rows = std::move(slice->pending.rows)};
        slice->pending = {};
        slice->pending.rows = std::move(slice->spare);
        posting.push_back(slice);
    }
    dirty = std::move(left);
    oldest_posting = oldest_pending;
    if (dirty.empty()) {
        oldest_pending.reset();
    } else {
        dirty_since = std::chrono::steady_clock::now();
    }
    return without_hold;
}

// Until the database has taken it: a charge that was made is not dropped. Told again, one that it
// had taken after all is known by its sequence.
bool Till::Impl::post_batch(Lock& lock) {
    for (;;) {
        posted.assign(posting.size(), Posted{});
        batch_under_way = true;
        const bool last_try = stopping;
        lock.unlock();
        books.database.submit(
            [this](store::Tx& tx) {
                for (std::size_t i = 0; i < posting.size(); ++i) {
                    posted[i] = slice_books.post(tx, *posting[i]->posting);
                }
                return true;
            },
            [this](const std::optional<store::StoreFailure>& failure) { batch_ended(failure); });
        lock.lock();
        changed.wait(lock, [this] { return !batch_under_way; });
        if (posting.empty()) return true;
        if (last_try) {
            log::error("till_closed_with_unposted", {{"charges", unposted_charges}});
            return false;
        }
        changed.wait_for(lock, options.retry_delay, [this] { return stopping; });
    }
}

void Till::Impl::report(const SliceCharge& charge, const Posted& result) {
    uncollected.add(static_cast<std::uint64_t>(result.uncollected.raw()));
    if (!result.refusal) return;
    refused.add();
    log::error("charge_refused", {{"hold", charge.hold.hex()},
                                  {"cost", charge.cost},
                                  {"error", static_cast<int>(*result.refusal)}});
}

void Till::Impl::take_posted() {
    for (std::size_t i = 0; i < posting.size(); ++i) {
        Slice& slice = *posting[i];
        SliceCharge charge = *std::exchange(slice.posting, std::nullopt);
        const auto worth = std::max(kSpareRowsMin, kSpareTimesMax * charge.rows.size());
        charge.rows.clear();
        if (charge.rows.capacity() <= worth) slice.spare = std::move(charge.rows);
        unposted_charges -= static_cast<std::size_t>(charge.requests);
        report(charge, posted[i]);
        if (posted[i].refusal) continue;
        slice.payer->available = posted[i].available;
        if (slice.hold == charge.hold) slice.held = posted[i].held;
    }
    posting.clear();
    oldest_posting.reset();
    unposted_gauge.set(static_cast<std::int64_t>(unposted_charges));
}

void Till::Impl::batch_ended(const std::optional<store::StoreFailure>& failure) {
    Lock lock{mutex};
    batch_under_way = false;
    if (failure) {
        log::warn("charges_not_posted", {{"detail", failure->detail}});
    } else {
        take_posted();
    }
    auto waited = take_held_up();
    changed.notify_all();
    lock.unlock();
    go_on(std::move(waited));
}

// Applied on the writer's thread, so in the order in which the books were changed: what another
// transaction says of the same slice a moment later is newer.
bool Till::Impl::run_and_wait(Lock& lock, std::function<void(store::Tx&)> body,
                              std::function<void(bool committed)> apply) {
    std::optional<bool> committed;
    lock.unlock();
    books.database.submit(
        [&body](store::Tx& tx) {
            body(tx);
            return true;
        },
        [&](const std::optional<store::StoreFailure>& failure) {
            const Lock applying{mutex};
            apply(!failure.has_value());
            committed = !failure.has_value();
            changed.notify_all();
        });
    lock.lock();
    changed.wait(lock, [&] { return committed.has_value(); });
    return *committed;
}

void Till::Impl::given_back(Slice& slice, const GiveBack& part, const std::optional<Msat>& left) {
    slice.returning = *subtract(slice.returning, std::min(part.amount, slice.returning));
    --slice.jobs;
    if (left && slice.payer != nullptr) {
        const Msat freed = part.end ? slice.held : part.amount;
        slice.payer->available = add(slice.payer->available, freed).value_or(kAll);
    }
    if (part.end) {
        slice.ending = false;
        if (left) return drop_hold(slice);
        slice.is_open = false;
        slice.perhaps_open = true;
        slice.held = Msat{};
    } else if (slice.hold == part.hold) {
        // Not known: as if it were gone.
        slice.held = left.value_or(subtract(slice.held, part.amount).value_or(Msat{}));
    }
}

bool Till::Impl::give_back(Lock& lock, const std::vector<Slice*>& from) {
    std::vector<Slice*> giving;
    std::vector<GiveBack> parts;
    for (Slice* slice : from) {
        const Msat idle = slice->idle();
        const bool end = slice->drawn == Msat{};
        if (!slice->is_open && !(slice->perhaps_open && end)) continue;
        if (idle == Msat{} && !end) continue;
        slice->returning = *add(slice->returning, idle);
        slice->ending = end;
        ++slice->jobs;
        giving.push_back(slice);
        parts.push_back({slice->hold, slice->key, end ? kAll : idle, end});
    }
    if (parts.empty()) return true;
    std::vector<Msat> left;
    return run_and_wait(
        lock,
        [&](store::Tx& tx) {
            left.clear();
            for (const GiveBack& part : parts) left.push_back(slice_books.give_back(tx, part));
        },
        [&](bool committed) {
            for (std::size_t i = 0; i < giving.size(); ++i) {
                given_back(*giving[i], parts[i], committed ? std::optional{left[i]} : std::nullopt);
            }
        });
}

void Till::Impl::renew(Lock& lock) {
    const Time now = books.clock.now();
    const Time deadline = now + options.hold_time;
    std::vector<std::pair<Slice*, HoldId>> due;
    for (auto& [key, slice] : slices) {
        if (!slice.is_open || slice.ending) continue;
        if (slice.deadline - now > options.hold_time * 2 / 3) continue;
        ++slice.jobs;
        due.emplace_back(&slice, slice.hold);
    }
    if (due.empty()) return;
    std::vector<std::optional<Msat>> held;
    (void)run_and_wait(
        lock,
        [&](store::Tx& tx) {
            held.clear();
            for (const auto& [slice, hold] : due) {
                held.push_back(slice_books.renew(tx, hold, deadline));
            }
        },
        [&](bool committed) {
            for (std::size_t i = 0; i < due.size(); ++i) {
                auto& [slice, hold] = due[i];
                --slice->jobs;
                if (!committed || slice->hold != hold) continue;
                if (held[i]) {
                    slice->deadline = deadline;
                    slice->held = *held[i];
                } else {
                    slice->lost = hold;
                    drop_hold(*slice);
                }
            }
        });
}

void Till::Impl::stop() {
    {
        const Lock lock{mutex};
        stopping = true;
        changed.notify_all();
    }
    poster.join();
    Lock lock{mutex};
    changed.wait(lock, [this] { return growths == 0; });
    std::vector<Slice*> all;
    for (auto& [key, slice] : slices) all.push_back(&slice);
    (void)give_back(lock, all);
}

}  // namespace nutgate::proxy
