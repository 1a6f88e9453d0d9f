// Several nodes as one backend, in the operator's order: the first that is there makes an invoice
// or a payment. Which one it was is written down, an invoice's before anybody sees it and a
// payment's before the node is told, and from then on that node alone is asked: one that is away is
// passed over for what is new, never for what may be its own.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "nutgate/base/metrics.h"
#include "nutgate/base/sync.h"
#include "nutgate/lightning/node.h"

namespace nutgate {

// Thread-safe.
class NodesInOrder final : public LightningBackend {
public:
    // At least one, all of one network; they and the rest outlive it. Its tables are those of
    // migrate_lightning().
    NodesInOrder(std::vector<LightningNode*> nodes, store::Database& database,
                 metrics::Registry& metrics);
    ~NodesInOrder() override;
    NodesInOrder(const NodesInOrder&) = delete;
    NodesInOrder& operator=(const NodesInOrder&) = delete;

    // The one node's own where there is one; each Payment says at which it is.
    std::string name() const override;
    Network network() const override;

    // Made by a node that refuses or is away: asked of the next one.
    Result<Invoice, BackendError> create_invoice(const InvoiceOrder& order) override;
    Result<Payment, BackendError> incoming(const PaymentHash& hash) override;
    // Another node is told only after it is certain that the one before will not pay: it refused,
    // or nobody ever told it. One that may have been told is Pending while it is away. A payment
    // that failed stays so.
    Result<Payment, BackendError> pay(const PaymentOrder& order) override;
    Result<Payment, BackendError> outgoing(const PaymentHash& hash) override;
    // The most that any of them would take.
    Result<Msat, BackendError> estimate_fee(const Bolt11& invoice, Msat amount) override;
    void on_change(std::function<void(const PaymentHash&)> hint) override;
    // Of those that are there first, then of the others: what came in is asked of each.
    std::vector<OfferBackend*> offers() override;

    struct Line {
        std::string name;
        bool up;
    };
    // As they answered last; nobody is asked.
    std::vector<Line> lines() const;
    // Asks each whether it is there: to be called now and then, since what is away is not asked
    // otherwise.
    void check();

private:
    struct Member;
    std::vector<Member*> in_turn();
    Member* find(const std::string& name);
    void note(Member& member, bool up);
    Result<std::string, store::StoreFailure> assigned(const PaymentHash& hash) const;
    // False if it is no longer as it was before (empty: nobody's): another order of nodes, which
    // has the same table, was faster.
    Result<bool, store::StoreFailure> assign(const PaymentHash& hash, const std::string& before,
                                             const std::string& backend);
    void forget(const PaymentHash& hash, const std::string& backend);
    Result<Payment, BackendError> pay_by_one(const PaymentOrder& order);

    store::Database& database_;
    Mutex mutex_;
    std::set<PaymentHash> paying_ GUARDED_BY(mutex_);  // By a call that has not returned.
    std::deque<std::unique_ptr<Member>> members_;      // Constant after construction, but for `up`.
};

}  // namespace nutgate
