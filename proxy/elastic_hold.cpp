#include "elastic_hold.h"

#include <algorithm>
#include <utility>

#include "nutgate/base/verify.h"

namespace nutgate::proxy {
namespace {

std::int64_t first_output(const TokenBounds& bounds, std::int64_t slice) {
    return slice == 0 ? bounds.output : std::min(slice, bounds.output);
}

Msat ceiling(const Price& price, TokenBounds bounds, std::int64_t output) {
    bounds.output = output;
    const auto cost = cost_ceiling(price, bounds);
    VERIFY(cost.has_value());  // Within the model's own bounds, which Models::make has priced.
    return *cost;
}

}  // namespace

Msat ElasticHold::first(const Price& price, const TokenBounds& bounds, std::int64_t slice) {
    return ceiling(price, bounds, first_output(bounds, slice));
}

ElasticHold::ElasticHold(const Price& price, const TokenBounds& bounds, std::int64_t slice,
                         Draw draw)
    : price_{price},
      bounds_{bounds},
      slice_{slice},
      draw_{std::move(draw)},
      covered_{first_output(bounds, slice)},
      ask_at_{holds_all() ? INT64_MAX : covered_ - slice / 2} {}

Msat ElasticHold::cost_at(std::int64_t output) const { return ceiling(price_, bounds_, output); }

Msat ElasticHold::lacking_for(Msat cost) const {
    return subtract(cost, draw_.amount()).value_or(Msat{});
}

Msat ElasticHold::lacking(std::int64_t output) const { return lacking_for(cost_at(output)); }

std::int64_t ElasticHold::ahead_of(std::int64_t output) const {
    return std::min(output + slice_, bounds_.output);
}

// While there is room a part of a slice helps, too; without it, what has come must be covered.
bool ElasticHold::ask(std::int64_t output) {
    const std::int64_t target = ahead_of(output);
    const std::int64_t useful = std::max(output, std::min(covered_ + slice_ / 4 + 1, target));
    (void)draw_.grow_at_once({.least = lacking(useful), .most = lacking(target)});
    learn(output);
    return output <= covered_;
}

// How much output what is held covers by now: the price alone knows what a part of a slice is good
// for, and it is asked in the one direction in which it answers.
void ElasticHold::learn(std::int64_t output) {
    std::int64_t beyond = bounds_.output + 1;
    while (covered_ + 1 < beyond) {
        const std::int64_t middle = covered_ + (beyond - covered_) / 2;
        if (cost_at(middle) <= draw_.amount()) {
            covered_ = middle;
        } else {
            beyond = middle;
        }
    }
    if (holds_all()) {
        ask_at_ = INT64_MAX;
        return;
    }
    // Half a slice ahead of the end; within it, not with every frame.
    const std::int64_t room = std::max<std::int64_t>(covered_ - output, 0);
    ask_at_ = std::max(covered_ - slice_ / 2, std::min(output, covered_) + room / 4 + 1);
}

http::Task<std::optional<DrawRefusal::Why>> ElasticHold::stretch(std::int64_t output) {
    const More more{.least = lacking(output), .most = lacking(ahead_of(output))};
    const auto grown = co_await draw_.grow_of_books(more);
    if (!grown) co_return grown.error().why;
    learn(output);
    VERIFY(covered_ >= output);
    co_return std::nullopt;
}

void ElasticHold::reach_at_once(Msat cost) {
    if (holds_all()) return;
    const Msat lacks = lacking_for(std::min(cost, cost_at(bounds_.output)));
    if (lacks > Msat{}) (void)draw_.grow_at_once({.least = lacks, .most = lacks});
}

http::Task<void> ElasticHold::reach(Msat cost) {
    reach_at_once(cost);
    if (holds_all()) co_return;
    const Msat lacks = lacking_for(std::min(cost, cost_at(bounds_.output)));
    if (lacks == Msat{}) co_return;
    const auto grown = co_await draw_.grow_of_books({.least = lacks, .most = lacks});
    if (grown) co_return;
    const Msat rest = std::min(grown.error().available, lacks);
    if (rest > Msat{}) (void)co_await draw_.grow_of_books({.least = rest, .most = rest});
}

}  // namespace nutgate::proxy
