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
      held_up_draws{metrics.counter("nutgate_proxy_held_up_draws_total",
                                    "Requests that waited for the books to catch up.")},
      poster{[this] { run_poster(); }} {}

Till::Till(Books books, Options options, metrics::Registry& metrics)
    : impl_{std::make_unique<Impl>(*this, books, options, metrics)} {}

Till::~Till() { impl_->stop(); }

bool Till::Impl::is_overdue(Time now, Milliseconds age) const {
    const auto& oldest = oldest_posting ? oldest_posting : oldest_pending;
    return oldest && now - *oldest > age;
}

bool Till::Impl::overloaded(Time now) const {
    return unposted_charges >= options.unposted_max || is_overdue(now, options.unposted_age_max);
}

Draw Till::Impl::take(Slice& slice, Msat amount, Time now) {
    slice.drawn = *add(slice.drawn, amount);
    ++slice.draws;
    slice.used_at = now;
    return Draw{till, slice, amount};
}

// What is left is for less than a quarter of the requests that a slice is taken for, and the
// balance has more.
bool Till::Impl::is_low(const Slice& slice, Msat amount) const {
    if (!slice.may_grow() || slice.payer->available == Msat{}) return false;
    if (slice.limit_left && *slice.limit_left == Msat{}) return false;
    const auto enough = multiply_floor(amount, slice.ahead, 4);
    return enough && slice.idle() < *enough;
}

bool Till::Impl::may_draw(const Slice& slice, Time now) const {
    if (!slice.is_open || slice.ending || !slice.waiting.empty()) return false;
    if (slice.payer->pauses > 0 || slice.payer->credited) return false;
    // Another node may free what is overdue, by its own clock: from half of the time on it is not
    // drawn from before it was renewed.
    return now < slice.deadline - options.hold_time / 2;
}

std::optional<Msat> Till::Impl::share(const Slice& slice, const More& more, Time now) const {
    if (overloaded(now) || !may_draw(slice, now)) return std::nullopt;
    if (slice.valid_until && now >= *slice.valid_until) return std::nullopt;
    const Msat idle = slice.idle();
    if (idle < more.least) return std::nullopt;
    const auto draws = static_cast<std::uint64_t>(std::max(slice.draws, 1));
    const Msat fair = multiply_floor(idle, 1, draws).value_or(Msat{});
    return std::clamp(fair, more.least, std::max(more.least, more.most));
}

bool Till::Impl::is_worth_asking(const Slice& slice) const {
    if (!slice.may_grow()) return false;
    if (!slice.is_open || slice.payer->credited) return true;
    if (slice.limit_left && *slice.limit_left == Msat{}) return false;
    return slice.payer->available > Msat{};
}

std::optional<Till::Impl::Answer> Till::Impl::draw_now(const KeyId& key, Msat amount, Time now) {
    if (overloaded(now)) return fail(DrawRefusal{Why::Overloaded});
    if (is_overdue(now, options.unposted_age_wait)) return std::nullopt;
    const auto found = slices.find(key);
    if (found == slices.end()) return std::nullopt;
    Slice& slice = found->second;
    if (!may_draw(slice, now)) return std::nullopt;
    if (slice.valid_until && now >= *slice.valid_until) return fail(DrawRefusal{Why::KeyExpired});
    if (slice.idle() < amount) return std::nullopt;
    return take(slice, amount, now);
}

Msat Till::Impl::unused_beside(const Slice& slice) const {
    Msat sum;
    for (const Slice* other : slice.payer->slices) {
        if (other != &slice) sum = *add(sum, other->unused());
    }
    return sum;
}

Msat Till::Impl::spendable(const Slice& slice) const {
    return reach(slice, *add(slice.payer->available, unused_beside(slice)));
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
    const Time now = books.clock.now();
    Slice* low = nullptr;
    // Not held over the submission: a database that is full calls back at once.
    const auto draw = [&]() -> std::optional<Answer> {
        const Lock lock{mutex};
        auto answer = draw_now(key, amount, now);
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

std::optional<Result<Draw, DrawRefusal>> Till::draw_at_once(const KeyId& key, Msat amount) {
    return impl_->draw_and_grow(key, amount);
}

http::Task<Result<Draw, DrawRefusal>> Till::draw_like(const KeyId& key, Msat amount, Msat like) {
    return http::completion<Impl::Answer>([this, key, amount, like](auto done) {
        impl_->wait(key, {.amount = amount, .like = like, .done = std::move(done)});
    });
}

http::Task<Result<Draw, DrawRefusal>> Till::draw_of_books(KeyId key, Msat amount) {
    return draw_like(key, amount, amount);
}

bool Till::grow(Draw& draw, const More& more) {
    Impl& my = *impl_;
    const Time now = my.books.clock.now();
    Slice& slice = *draw.slice_;
    bool asks = false;
    std::optional<Msat> part;
    {
        const Impl::Lock lock{my.mutex};
        part = my.share(slice, more, now);
        if (part) {
            slice.drawn = *add(slice.drawn, *part);
            slice.used_at = now;
            draw.amount_ = *add(draw.amount_, *part);
        }
        asks = part ? my.is_low(slice, more.most) : my.is_worth_asking(slice);
        if (asks) my.begin_growth(slice, more.most, false);
    }
    if (asks) my.submit_growth(slice);
    return part.has_value();
}

void Till::join(Draw& draw, Draw other) {
    VERIFY(draw.slice_ == other.slice_);
    const Impl::Lock lock{impl_->mutex};
    --draw.slice_->draws;
    draw.amount_ = *add(draw.amount_, other.amount_);
    other.till_ = nullptr;
}

http::Task<Result<void, DrawRefusal>> Draw::grow_of_books(More more) {
    auto drawn = co_await till_->draw_like(slice_->key, more.least, more.most);
    if (!drawn) co_return fail(drawn.error());
    till_->join(*this, *std::move(drawn));
    if (const auto rest = subtract(more.most, more.least); rest && *rest > Msat{}) {
        (void)grow_at_once({.least = Msat{}, .most = *rest});
    }
    co_return Result<void, DrawRefusal>{};
}

http::Task<Result<Draw, DrawRefusal>> Till::draw(KeyId key, Msat amount) {
    auto answer = draw_at_once(key, amount);
    if (answer) co_return *std::move(answer);
    co_return co_await draw_of_books(key, amount);
}

Msat Draw::settle(Msat cost) { return settle(cost, UsageRow{}); }

Msat Till::close(Slice& slice, Msat amount, Msat cost, const UsageRow& work) {
    Impl& my = *impl_;
    const Time now = my.books.clock.now();
    const Impl::Lock lock{my.mutex};
    slice.drawn = *subtract(slice.drawn, amount);
    --slice.draws;
    slice.used_at = now;
    if (cost > Msat{}) {
        if (slice.pending.requests == 0) my.dirty.push_back(&slice);
        slice.pending.cost = *add(slice.pending.cost, cost);
        ++slice.pending.requests;
        if (my.books.keeps_usage) {
            UsageRow& row = slice.pending.rows.emplace_back(work);
            row.charged = cost;
            row.at = now;
        }
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
