#include "nutgate/proxy/till.h"

#include <algorithm>
#include <utility>

#include "nutgate/base/log.h"
#include "nutgate/base/verify.h"
#include "till_impl.h"

namespace nutgate::proxy {

using Why = DrawRefusal::Why;

Till::Impl::Impl(Till& owner, Books with, Options chosen, metrics::Registry& metrics)
    : till{owner},
      books{with},
      slice_books{with.ledger, with.keyring},
      options{chosen},
      unposted_gauge{
          metrics.gauge("nutgate_proxy_unposted_charges", "Charges on their way to the books.")},
      slices_gauge{metrics.gauge("nutgate_proxy_slices", "Keys of which a slice is held.")},
      refused{metrics.counter("nutgate_proxy_refused_charges_total",
                              "Charges that the books refused. Any is a bug.")},
      uncollected{metrics.counter("nutgate_proxy_uncollected_msat_total",
                                  "Charges beyond what was left when their hold had expired.")},
      poster{[this] { run_poster(); }} {}

Till::Till(Books books, Options options, metrics::Registry& metrics)
    : impl_{std::make_unique<Impl>(*this, books, options, metrics)} {}

Till::~Till() { impl_->stop(); }

bool Till::Impl::overloaded() const {
    if (unposted_charges >= options.unposted_max) return true;
    const auto& oldest = oldest_posting ? oldest_posting : oldest_pending;
    return oldest && books.clock.now() - *oldest > options.unposted_age_max;
}

Draw Till::Impl::take(Slice& slice, Msat amount) {
    slice.drawn = *add(slice.drawn, amount);
    ++slice.draws;
    slice.used_at = books.clock.now();
    return Draw{till, slice, amount};
}

// What is left is for less than a quarter of the requests that a slice is taken for, and the
// balance has more.
bool Till::Impl::is_low(const Slice& slice, Msat amount) const {
    if (!slice.may_grow() || slice.payer->available == Msat{}) return false;
    if (slice.limit_left && *slice.limit_left == Msat{}) return false;
    const auto enough = multiply_floor(amount, options.requests_ahead, 4);
    return enough && slice.idle() < *enough;
}

std::optional<Till::Impl::Answer> Till::Impl::draw_now(const KeyId& key, Msat amount) {
    if (overloaded()) return fail(DrawRefusal{Why::Overloaded});
    const auto found = slices.find(key);
    if (found == slices.end()) return std::nullopt;
    Slice& slice = found->second;
    const Time now = books.clock.now();
    if (!slice.is_open || slice.ending || !slice.waiting.empty()) return std::nullopt;
    if (slice.payer->pauses > 0 || slice.payer->credited) return std::nullopt;
    // Another node may free what is overdue, by its own clock: from half of the time on it is not
    // drawn from before it was renewed.
    if (now >= slice.deadline - options.hold_time / 2) return std::nullopt;
    if (slice.valid_until && now >= *slice.valid_until) return fail(DrawRefusal{Why::KeyExpired});
    if (slice.idle() < amount) return std::nullopt;
    return take(slice, amount);
}

Msat Till::Impl::idle_beside(const Slice& slice) const {
    Msat sum;
    for (const Slice* other : slice.payer->slices) {
        if (other != &slice) sum = *add(sum, other->idle());
    }
    return sum;
}

Msat Till::Impl::spendable(const Slice& slice) const {
    return reach(slice, *add(slice.payer->available, idle_beside(slice)));
}

// Nothing refers to it any more.
void Till::Impl::forget(Slice& slice) {
    VERIFY(slice.is_quiet() && !slice.is_open && !slice.perhaps_open);
    if (Payer* payer = slice.payer; payer != nullptr) {
        std::erase(payer->slices, &slice);
        if (payer->slices.empty() && payer->pauses == 0) payers.erase(KeyId{payer->id});
    }
    slices.erase(KeyId{slice.key});
    slices_gauge.set(static_cast<std::int64_t>(slices.size()));
}

std::optional<Till::Impl::Answer> Till::Impl::draw_and_grow(const KeyId& key, Msat amount) {
    Slice* low = nullptr;
    // Not held over the submission: a database that is full calls back at once.
    const auto draw = [&]() -> std::optional<Answer> {
        const Lock lock{mutex};
        auto answer = draw_now(key, amount);
        if (!answer || !*answer) return answer;
        Slice& slice = *(*answer)->slice_;
        if (is_low(slice, amount)) {
            begin_growth(slice, amount, false);
            low = &slice;
        }
        return answer;
    };
    auto answer = draw();
    if (low != nullptr) submit_growth(*low);
    return answer;
}

http::Task<Result<Draw, DrawRefusal>> Till::draw(KeyId key, Msat amount) {
    auto answer = impl_->draw_and_grow(key, amount);
    if (answer) co_return *std::move(answer);
    co_return co_await http::completion<Impl::Answer>(
        [&](auto done) { impl_->wait(key, amount, std::move(done)); });
}

Msat Till::close(Slice& slice, Msat amount, Msat cost) {
    Impl& my = *impl_;
    const Impl::Lock lock{my.mutex};
    const Time now = my.books.clock.now();
    slice.drawn = *subtract(slice.drawn, amount);
    --slice.draws;
    slice.used_at = now;
    if (cost > Msat{}) {
        if (slice.pending.requests == 0) my.dirty.push_back(&slice);
        slice.pending.cost = *add(slice.pending.cost, cost);
        ++slice.pending.requests;
        ++my.unposted_charges;
        my.unposted_gauge.set(static_cast<std::int64_t>(my.unposted_charges));
        if (!my.oldest_pending) {
            my.oldest_pending = now;
            my.dirty_since = std::chrono::steady_clock::now();
            // The poster alone waits for that, or one who pauses does, who is not kept by it.
            my.changed.notify_all();
        }
    }
    return my.spendable(slice);
}

Spending::View Till::view(const KeyId& payer) const {
    const Impl::Lock lock{impl_->mutex};
    View view{.open = {}, .unposted = {}};
    const auto found = impl_->payers.find(payer);
    if (found == impl_->payers.end()) return view;
    for (const Slice* slice : found->second.slices) {
        view.open = *add(view.open, slice->drawn);
        if (const auto& charge = slice->posting) {
            view.unposted.push_back({.hold = charge->hold,
                                     .sequence = charge->sequence,
                                     .key = slice->key,
                                     .cost = charge->cost,
                                     .requests = charge->requests});
        }
        if (slice->pending.requests > 0) {
            view.unposted.push_back({.hold = slice->hold,
                                     .sequence = slice->sequence + 1,
                                     .key = slice->key,
                                     .cost = slice->pending.cost,
                                     .requests = slice->pending.requests});
        }
    }
    return view;
}

void Till::credited(const KeyId& payer) {
    const Impl::Lock lock{impl_->mutex};
    const auto found = impl_->payers.find(payer);
    if (found != impl_->payers.end()) found->second.credited = true;
}

Result<Spending::Pause, store::StoreFailure> Till::pause(const KeyId& payer) {
    Impl& my = *impl_;
    Impl::Lock lock{my.mutex};
    Payer& paused = my.payers.try_emplace(payer, payer).first->second;
    ++paused.pauses;
    ++my.flushers;
    my.changed.notify_all();
    const auto is_settled = [](const Slice* slice) {
        return !slice->growing && slice->jobs == 0 && slice->unposted() == Msat{};
    };
    // A request may settle while its slice is given back: then that is not all of it yet.
    const auto may_give = [](const Slice* slice) {
        return slice->is_open && slice->drawn == Msat{};
    };
    const auto until = std::chrono::steady_clock::now() + my.options.pause_timeout;
    bool given = false;
    do {
        given = my.changed.wait_until(
            lock, until, [&] { return std::ranges::all_of(paused.slices, is_settled); });
        if (!given) break;
        const std::vector<Slice*> slices = paused.slices;
        given = my.give_back(lock, slices);
    } while (given && std::ranges::any_of(paused.slices, may_give));
    --my.flushers;
    Msat open;
    for (const Slice* slice : paused.slices) open = *add(open, slice->drawn);
    lock.unlock();
    if (!given) {
        resume(payer);
        return fail(store::StoreFailure{"charges are waiting for the database"});
    }
    return Pause{*this, payer, open};
}

void Till::resume(const KeyId& payer) {
    std::vector<Slice*> waiting;
    {
        const Impl::Lock lock{impl_->mutex};
        const auto found = impl_->payers.find(payer);
        VERIFY(found != impl_->payers.end());
        if (--found->second.pauses > 0) return;
        for (Slice* slice : found->second.slices) {
            if (slice->waiting.empty() || !slice->may_grow()) continue;
            impl_->begin_growth(*slice, {}, false);
            waiting.push_back(slice);
        }
        if (found->second.slices.empty()) impl_->payers.erase(found);
    }
    for (Slice* slice : waiting) impl_->submit_growth(*slice);
}

void Till::tend() {
    Impl& my = *impl_;
    Impl::Lock lock{my.mutex};
    const Time now = my.books.clock.now();
    std::vector<Slice*> unused;
    std::vector<KeyId> keys;
    for (auto& [key, slice] : my.slices) {
        const bool paused = slice.payer != nullptr && slice.payer->pauses > 0;
        if (paused || !slice.is_quiet()) continue;
        // A clock that was set back says that it was used in the future.
        if (now - slice.used_at < my.options.idle_time && now >= slice.used_at) continue;
        unused.push_back(&slice);
        keys.push_back(key);
    }
    (void)my.give_back(lock, unused);
    std::vector<Slice*> waiting;
    for (const KeyId& key : keys) {
        // Meanwhile somebody may have asked for it, been refused, and had it forgotten.
        const auto found = my.slices.find(key);
        if (found == my.slices.end()) continue;
        Slice* const slice = &found->second;
        if (slice->is_quiet() && !slice->is_open && !slice->perhaps_open) {
            my.forget(*slice);
        } else if (!slice->waiting.empty() && slice->may_grow()) {
            // Somebody came while it was given back.
            my.begin_growth(*slice, {}, false);
            waiting.push_back(slice);
        }
    }
    my.renew(lock);
    lock.unlock();
    for (Slice* slice : waiting) my.submit_growth(*slice);
}

}  // namespace nutgate::proxy
