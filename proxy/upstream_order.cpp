#include "upstream_order.h"

#include <algorithm>

#include "nutgate/base/verify.h"

namespace nutgate::proxy {
namespace {

// Numbers that follow one another, made far apart (splitmix64): a share of the requests in a row
// is then a share of any few of them.
std::uint64_t scattered(std::uint64_t turn) {
    std::uint64_t x = turn * 0x9e3779b97f4a7c15ULL;
    x = (x ^ (x >> 30U)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27U)) * 0x94d049bb133111ebULL;
    return x ^ (x >> 31U);
}

std::size_t drawn_by_weight(const std::vector<Route>& routes, std::uint64_t turn) {
    std::uint64_t all = 0;
    for (const Route& route : routes) all += route.weight;
    VERIFY(all > 0);
    std::uint64_t at = scattered(turn) % all;
    std::size_t place = 0;
    while (at >= routes[place].weight) at -= routes[place++].weight;
    return place;
}

}  // namespace

UpstreamOrder::UpstreamOrder(const Model& model, std::uint64_t turn)
    : count_{model.upstreams.size()} {
    VERIFY(count_ > 0 && count_ <= kUpstreamsMax);
    for (std::size_t i = 0; i < count_; ++i) places_[i] = i;
    if (count_ == 1) return;
    switch (model.routing) {
        case Routing::Order:
            return;
        case Routing::Weight:
            put_first(drawn_by_weight(model.upstreams, turn));
            return;
    }
}

// All others stay in their order.
void UpstreamOrder::put_first(std::size_t at) {
    const auto begin = places_.begin();
    std::rotate(begin, begin + static_cast<std::ptrdiff_t>(at),
                begin + static_cast<std::ptrdiff_t>(at) + 1);
}

}  // namespace nutgate::proxy
