// What requests spend of a balance while the books do not say it yet.
//
// Requests draw from a part of the balance that is held for them in advance, and what they cost is
// posted some milliseconds after their answers. So the books alone say neither what is in use nor
// what is left. The proxy's till knows; the cashier asks it here, and stops it where it moves money
// out of a balance itself.
//
// Thread-safe.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "nutgate/base/amount.h"
#include "nutgate/base/id.h"
#include "nutgate/base/result.h"
#include "nutgate/store/store.h"

namespace nutgate {

class Spending {
public:
    // A sum of charges that may not be in the books yet: it is if Ledger::captures() of the hold
    // has come to that sequence.
    struct Unposted {
        HoldId hold;
        std::int64_t sequence;
        KeyId key;
        Msat cost;
        std::int64_t requests;
    };
    struct View {
        Msat open;  // Set aside for requests under way.
        std::vector<Unposted> unposted;
    };

    // While it lives nothing new is drawn from this balance: who asks waits for its end.
    class Pause {
    public:
        Pause(Spending& spending, const KeyId& payer, Msat open)
            : spending_{&spending}, payer_{payer}, open_{open} {}
        Pause(Pause&& other) noexcept
            : spending_{std::exchange(other.spending_, nullptr)},
              payer_{other.payer_},
              open_{other.open_} {}
        Pause& operator=(Pause&&) = delete;
        ~Pause() {
            if (spending_ != nullptr) spending_->resume(payer_);
        }

        // What requests under way have set aside: all that the books still hold.
        Msat open() const { return open_; }

    private:
        Spending* spending_;
        KeyId payer_;
        Msat open_;
    };

    Spending() = default;
    Spending(const Spending&) = delete;
    Spending& operator=(const Spending&) = delete;
    virtual ~Spending() = default;

    // Of the balance of `payer`: its own requests and those of its children. Taken before the books
    // are read, so that what is posted in between is in them and is not counted twice.
    virtual View view(const KeyId& payer) const = 0;

    // Stops new draws, posts every charge and gives back what no request has drawn. Blocking; not
    // within a transaction. Fails, and stops nothing, if the database does not take it in time.
    // It does not stop a key's first draw, of which nobody knows yet whose balance it is for: who
    // moves money looks at what the books hold, in the transaction that moves it.
    virtual Result<Pause, store::StoreFailure> pause(const KeyId& payer) = 0;

    // Money has come in: what was known of the balance is old.
    virtual void credited(const KeyId& payer) = 0;

private:
    virtual void resume(const KeyId& payer) = 0;
};

}  // namespace nutgate
