// What the till remembers of a slice, and of the balance that it is a part of.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <vector>

#include "nutgate/base/amount.h"
#include "nutgate/base/clock.h"
#include "nutgate/base/id.h"
#include "nutgate/base/result.h"
#include "nutgate/proxy/till.h"
#include "slice_books.h"

namespace nutgate::proxy {

// The balance that one or more keys spend.
struct Payer {
    explicit Payer(const KeyId& of) : id{of} {}

    const KeyId id;
    Msat available;              // Beside all slices, as the books said last.
    bool credited = false;       // Since then.
    int pauses = 0;              // While there are any, nothing is drawn.
    std::vector<Slice*> slices;  // Of its own key and of its children's.
};

// A request that its slice did not cover at once.
struct Waiter {
    Msat amount;
    Msat like;  // What those that follow are likely to ask for.
    std::function<void(Result<Draw, DrawRefusal>)> done;
};

// Charges of one slice that go to the books as one.
struct Batch {
    Msat cost;
    std::int64_t requests = 0;
    std::vector<UsageRow> rows{};
};

struct Slice {
    Slice(const KeyId& of, const HoldId& first_hold) : key{of}, hold{first_hold} {}

    const KeyId key;
    Payer* payer = nullptr;  // Not known before the books were asked.

    // In the books, as they said last.
    HoldId hold;
    bool is_open = false;
    bool perhaps_open = false;  // A transaction failed, and may have been committed all the same.
    std::optional<HoldId> lost{};  // The hold before this one, if that expired.
    Msat held;
    std::optional<Msat> limit_left;
    std::optional<Time> valid_until;
    Time deadline;
    std::int64_t sequence = 0;  // Of the newest charge that was submitted.

    std::size_t ahead = 0;           // For so many requests it is taken; 0: not yet.
    std::optional<Time> grown_at{};  // When it was last grown.

    Msat drawn;                          // By requests under way.
    int draws = 0;                       // Their number: some may cost nothing.
    Msat returning;                      // On its way back to the balance.
    Batch pending;                       // Settled, and waiting to be posted.
    std::optional<SliceCharge> posting;  // Submitted; its end is not known.
    std::vector<UsageRow> spare{};       // Room that the last batch's rows had, for the next one's.
    Time used_at;

    // What is on its way to the books, and refers to this: it is not forgotten meanwhile.
    bool growing = false;
    bool ending = false;  // Its hold is being released: nothing is drawn any more.
    int jobs = 0;         // Others than a growth.
    std::optional<Growth> growth{};
    Grown grown{};
    std::vector<Slice*> growth_from{};  // Of growth->first.
    std::deque<Waiter> waiting{};

    Msat unposted() const { return *add(pending.cost, posting ? posting->cost : Msat{}); }
    // What is not there for the next request.
    Msat used() const { return *add(*add(drawn, returning), unposted()); }
    Msat idle() const { return subtract(held, used()).value_or(Msat{}); }
    // What is on its way back is nobody's for a moment, and its balance's all the time.
    Msat unused() const { return *add(idle(), returning); }
    bool is_quiet() const {
        return !growing && jobs == 0 && waiting.empty() && draws == 0 && returning == Msat{} &&
               unposted() == Msat{};
    }
    bool may_grow() const {
        return !growing && !ending && (payer == nullptr || payer->pauses == 0);
    }
};

}  // namespace nutgate::proxy
