// The till's memory. till.cpp draws and settles, till_growth.cpp takes slices, till_posting.cpp
// brings charges to the books and slices back.
//
// One mutex guards all of it, for moments: no call of the database and no call back happens under
// it. Bodies of transactions see only what was copied for them, or what nobody else touches until
// they have ended (Slice::grown, Impl::posted).
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "slice.h"

namespace nutgate::proxy {

// A key's id is random or a MAC: its bytes are as good as a hash.
struct KeyIdHash {
    std::size_t operator()(const KeyId& id) const {
        std::size_t value = 0;
        for (std::size_t i = 0; i < sizeof value; ++i) {
            value = value << 8 | std::to_integer<std::size_t>(id.bytes()[i]);
        }
        return value;
    }
};

struct Till::Impl {
    using Lock = std::unique_lock<std::mutex>;
    using Answer = Result<Draw, DrawRefusal>;

    Impl(Till& till, Books books, Options options, metrics::Registry& metrics);

    // till.cpp. All with the lock held.
    bool is_overdue(Time now, Milliseconds age) const;  // The oldest charge.
    bool overloaded(Time now) const;
    // Empty: the books have to be asked, or waited for.
    std::optional<Answer> draw_now(const KeyId& key, Msat amount, Time now);
    // The same without the lock; what it leaves is filled up again, behind its back.
    std::optional<Answer> draw_and_grow(const KeyId& key, Msat amount);
    // Out of memory: else the books have to be asked.
    bool may_draw(const Slice& slice, Time now) const;
    Draw take(Slice& slice, Msat amount, Time now);
    // What a draw that is open gets more. Empty: not the least of it.
    std::optional<Msat> share(const Slice& slice, const More& more, Time now) const;
    // Whether the books may have more for it than it knows of.
    bool is_worth_asking(const Slice& slice) const;
    Msat spendable(const Slice& slice) const;
    Msat unused_beside(const Slice& slice) const;
    bool is_low(const Slice& slice, Msat amount) const;
    void look_ahead(Slice& slice) const;
    void forget(Slice& slice);

    // till_growth.cpp. With the lock held where it is not said otherwise.
    struct Call {
        std::function<void(Answer)> done;
        Answer answer;
    };
    // Without the lock: asks the books for a draw, or waits for them where they are behind.
    void wait(const KeyId& key, Waiter waiter);
    void ask_books(const KeyId& key, Waiter waiter);
    // Who waits for the books, once they are no longer behind; all of them are refused when these
    // don't come. Returned for go_on(), which is for after the lock.
    struct HeldUp {
        KeyId key;
        Waiter waiter;
    };
    std::vector<HeldUp> take_held_up();
    void go_on(std::vector<HeldUp> waited);
    Slice* find_or_make(const KeyId& key);
    // Says what to take, ahead for requests like that one, and marks it as under way. The caller
    // submits it without the lock.
    void begin_growth(Slice& slice, Msat request, bool from_others);
    void submit_growth(Slice& slice);
    void growth_ended(Slice& slice, const std::optional<store::StoreFailure>& failure);
    void learn(Slice& slice);
    void take_from_others(Slice& slice);
    void others_gave(Slice& slice, bool known);
    // Answers who can be answered; who is left needs another growth.
    void serve_waiting(Slice& slice, std::vector<Call>& calls);
    static void refuse_all(Slice& slice, DrawRefusal::Why why, std::vector<Call>& calls);
    Msat reach(const Slice& slice, Msat beside) const;
    DrawRefusal short_of(const Slice& slice, Msat amount) const;
    // The hold has expired or was released: the next is another one.
    void drop_hold(Slice& slice);

    // till_posting.cpp. With the lock held, which blocking ones release meanwhile.
    void run_poster();
    // Returns slices that need a hold before they can be posted.
    std::vector<Slice*> collect_batch();
    bool post_batch(Lock& lock);  // Blocking. False if it was given up.
    void take_posted();           // Of a batch that the books have.
    void batch_ended(const std::optional<store::StoreFailure>& failure);
    void report(const SliceCharge& charge, const Posted& result);
    // Gives back what no request has drawn of these, and ends those that nothing is drawn of.
    // Blocking. False if the database failed.
    bool give_back(Lock& lock, const std::vector<Slice*>& from);
    void given_back(Slice& slice, const GiveBack& part, const std::optional<Msat>& left);
    void renew(Lock& lock);
    bool run_and_wait(Lock& lock, std::function<void(store::Tx&)> body,
                      std::function<void(bool committed)> apply);
    void stop();

    Till& till;
    Books books;
    SliceBooks slice_books;
    const Options options;
    metrics::Gauge& unposted_gauge;
    metrics::Gauge& slices_gauge;
    metrics::Counter& refused;
    metrics::Counter& uncollected;
    metrics::Counter& held_up_draws;

    mutable std::mutex mutex;
    std::condition_variable changed;
    std::unordered_map<KeyId, Slice, KeyIdHash> slices;
    std::unordered_map<KeyId, Payer, KeyIdHash> payers;
    std::vector<Slice*> dirty;  // With a pending batch.
    std::size_t unposted_charges = 0;
    std::vector<HeldUp> held_up;  // Until the books are no longer behind.
    std::optional<Time> oldest_pending;
    std::optional<Time> oldest_posting;
    std::chrono::steady_clock::time_point dirty_since;
    int flushers = 0;  // Who waits until all is posted: nothing else waits for company then.
    bool stopping = false;
    std::size_t growths = 0;  // Under way.

    std::vector<Slice*> posting;  // The batch under way, or to be tried again.
    std::vector<Posted> posted;   // Written by its body.
    bool batch_under_way = false;

    std::jthread poster;  // Last: it starts when all above is there.
};

}  // namespace nutgate::proxy
