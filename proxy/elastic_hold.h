// What is held for a request, and how far its output may go before more has to be.
//
// All that a prompt can cost is held from the start. Of an elastic one's output only a slice is:
// the hold grows ahead of the stream, and where the balance can't follow, the stream has to end
// before a frame that is not covered. So what is charged for what was passed on never exceeds what
// is held. Of a request that is not elastic everything is held from the start, and nothing grows.
//
// Output is counted as it would be charged if the stream ended now: an estimate, or an upstream's
// own running count where there is one and it says more. The numbers are in the README.
#pragma once

#include <cstdint>
#include <optional>

#include "nutgate/base/amount.h"
#include "nutgate/http/task.h"
#include "nutgate/proxy/pricing.h"
#include "nutgate/proxy/till.h"

namespace nutgate::proxy {

class ElasticHold {
public:
    // What such a hold begins with. `slice`: tokens of output that are held for ahead; zero: all.
    static Msat first(const Price& price, const TokenBounds& bounds, std::int64_t slice);

    // `draw` is of first(), of the same. The price outlives it.
    ElasticHold(const Price& price, const TokenBounds& bounds, std::int64_t slice, Draw draw);

    Msat amount() const { return draw_.amount(); }
    // All that it can ever cost is held.
    bool holds_all() const { return covered_ == bounds_.output; }

    // Whether that much output is covered. Where it comes near the end of what is, more is asked
    // for: out of memory, or behind the stream's back. It takes no time.
    bool covers(std::int64_t output) { return output < ask_at_ || ask(output); }
    // The same, waiting for the books. Why not, if it can't be.
    http::Task<std::optional<DrawRefusal::Why>> stretch(std::int64_t output);

    // For a cost that is known at the end, of work that nobody saw come: as much of it as there is
    // and as the bounds allow, out of memory or waiting for the books.
    void reach_at_once(Msat cost);
    http::Task<void> reach(Msat cost);

    Msat settle(Msat cost, const UsageRow& work) { return draw_.settle(cost, work); }
    void let_go() { (void)draw_.settle(Msat{}); }

private:
    Msat cost_at(std::int64_t output) const;
    Msat lacking(std::int64_t output) const;
    Msat lacking_for(Msat cost) const;
    std::int64_t ahead_of(std::int64_t output) const;
    bool ask(std::int64_t output);
    void learn(std::int64_t output);

    const Price& price_;
    const TokenBounds bounds_;
    const std::int64_t slice_;
    Draw draw_;
    std::int64_t covered_;  // Tokens of output.
    std::int64_t ask_at_;   // At most one beyond what is covered.
};

}  // namespace nutgate::proxy
