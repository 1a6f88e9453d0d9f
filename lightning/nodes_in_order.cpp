#include <utility>

#include "invoice_book.h"
#include "nutgate/base/log.h"
#include "nutgate/base/verify.h"
#include "nutgate/lightning/nodes.h"
#include "pay_once.h"

namespace nutgate {

using lightning::BookedInvoice;
using lightning::InvoiceBook;
using lightning::pending;
using store::StoreFailure;

struct NodesInOrder::Member {
    LightningNode& node;
    metrics::Gauge& gauge;
    std::atomic<bool> up = true;  // Until it is seen not to be.
};

namespace {

BackendError out_of_reach(const StoreFailure& failure) {
    log::warn("lightning_store", {{"detail", failure.detail}});
    return BackendError::Unreachable;
}

}  // namespace

NodesInOrder::NodesInOrder(std::vector<LightningNode*> nodes, store::Database& database,
                           metrics::Registry& metrics)
    : database_{database} {
    VERIFY(!nodes.empty());
    for (LightningNode* node : nodes) {
        VERIFY(node->network() == nodes.front()->network());
        auto& gauge =
            metrics.gauge("nutgate_lightning_backend_up", "1 while the Lightning node answers.",
                          {{"backend", node->name()}});
        gauge.set(1);
        members_.push_back(std::unique_ptr<Member>{new Member{*node, gauge}});
    }
}

NodesInOrder::~NodesInOrder() = default;

std::string NodesInOrder::name() const {
    return members_.size() == 1 ? members_.front()->node.name() : "nodes";
}

Network NodesInOrder::network() const { return members_.front()->node.network(); }

// Those that are there first: where none is, the first one may be back.
std::vector<NodesInOrder::Member*> NodesInOrder::in_turn() {
    std::vector<Member*> up;
    std::vector<Member*> all;
    for (const auto& member : members_) {
        all.push_back(member.get());
        if (member->up) up.push_back(member.get());
    }
    return up.empty() ? all : up;
}

NodesInOrder::Member* NodesInOrder::find(const std::string& name) {
    for (const auto& member : members_) {
        if (member->node.name() == name) return member.get();
    }
    return nullptr;
}

void NodesInOrder::note(Member& member, bool up) {
    member.gauge.set(up ? 1 : 0);  // Others may look at the same node.
    if (member.up.exchange(up) == up) return;
    log::warn(up ? "lightning_node_back" : "lightning_node_away",
              {{"backend", member.node.name()}});
}

Result<Invoice, BackendError> NodesInOrder::create_invoice(const InvoiceOrder& order) {
    InvoiceBook book{database_, ""};
    return lightning::invoice_once(book, order, [&]() -> Result<BookedInvoice, BackendError> {
        BackendError why = BackendError::Unreachable;
        for (Member* member : in_turn()) {
            auto invoice = member->node.create_invoice(order);
            note(*member, invoice || invoice.error() != BackendError::Unreachable);
            if (invoice) {
                return BookedInvoice{.invoice = *std::move(invoice),
                                     .amount = order.amount,
                                     .backend = member->node.name()};
            }
            if (invoice.error() == BackendError::Refused) why = BackendError::Refused;
        }
        return fail(why);
    });
}

Result<Payment, BackendError> NodesInOrder::incoming(const PaymentHash& hash) {
    const auto booked = InvoiceBook{database_, ""}.find(hash);
    if (!booked) return fail(out_of_reach(booked.error()));
    if (!*booked) return fail(BackendError::NotFound);
    Member* const member = find((*booked)->backend);
    if (member == nullptr) return fail(BackendError::Unreachable);  // No longer configured.
    auto payment = member->node.incoming(hash);
    if (payment) payment->backend = member->node.name();
    return payment;
}

Result<Payment, BackendError> NodesInOrder::outgoing(const PaymentHash& hash) {
    const auto backend = assigned(hash);
    if (!backend) return fail(out_of_reach(backend.error()));
    if (backend->empty()) return fail(BackendError::NotFound);
    Member* const member = find(*backend);
    if (member == nullptr) return fail(BackendError::Unreachable);
    auto payment = member->node.outgoing(hash);
    if (payment) payment->backend = member->node.name();
    return payment;
}

Result<Payment, BackendError> NodesInOrder::pay(const PaymentOrder& order) {
    {
        // Two calls at once could each find another node to be the one.
        const Lock lock{mutex_};
        if (!paying_.insert(order.hash).second) return pending();
    }
    auto paid = pay_by_one(order);
    const Lock lock{mutex_};
    paying_.erase(order.hash);
    return paid;
}

Result<Payment, BackendError> NodesInOrder::pay_by_one(const PaymentOrder& order) {
    const auto told = assigned(order.hash);
    if (!told) return fail(out_of_reach(told.error()));
    const auto tell = [&](Member& member) {
        auto paid = member.node.pay(order);
        note(member, paid || paid.error() != BackendError::Unreachable);
        if (paid) paid->backend = member.node.name();
        return paid;
    };
    if (!told->empty()) {
        Member* const member = find(*told);
        if (member == nullptr) return pending();  // It may be paying: who knows.
        auto paid = tell(*member);
        if (paid) return paid;
        // It was not told now, but an earlier call may have told it.
        if (paid.error() != BackendError::Refused) return pending();
    }
    BackendError why = BackendError::Refused;
    std::string last = *told;
    for (Member* member : in_turn()) {
        if (member->node.name() == *told || !member->node.pays()) continue;
        const auto is_ours = assign(order.hash, last, member->node.name());
        if (!is_ours) return fail(out_of_reach(is_ours.error()));
        if (!*is_ours) return pending();  // Somebody else may be paying it.
        last = member->node.name();
        auto paid = tell(*member);
        if (paid) return paid;
        if (paid.error() == BackendError::Unreachable) why = BackendError::Unreachable;
    }
    forget(order.hash, last);
    return fail(why);
}

Result<Msat, BackendError> NodesInOrder::estimate_fee(const Bolt11& invoice, Msat amount) {
    Result<Msat, BackendError> most = fail(BackendError::Unreachable);
    for (Member* member : in_turn()) {
        const auto fee = member->node.estimate_fee(invoice, amount);
        if (fee && (!most || *fee > *most)) most = *fee;
    }
    return most;
}

void NodesInOrder::on_change(std::function<void(const PaymentHash&)> hint) {
    for (const auto& member : members_) member->node.on_change(hint);
}

std::vector<OfferBackend*> NodesInOrder::offers() {
    std::vector<OfferBackend*> found;
    for (const bool up : {true, false}) {
        for (const auto& member : members_) {
            if (member->up != up) continue;
            for (OfferBackend* offers : member->node.offers()) found.push_back(offers);
        }
    }
    return found;
}

std::vector<NodesInOrder::Line> NodesInOrder::lines() const {
    std::vector<Line> found;
    for (const auto& member : members_) found.push_back({member->node.name(), member->up});
    return found;
}

void NodesInOrder::check() {
    for (const auto& member : members_) note(*member, member->node.status().has_value());
}

// Empty: nobody was told of it.
Result<std::string, StoreFailure> NodesInOrder::assigned(const PaymentHash& hash) const {
    return database_.read([&](store::Reader& reader) -> Result<std::string, StoreFailure> {
        const auto row =
            reader.query_one("SELECT backend FROM lightning_payment WHERE payment_hash = $1", hash);
        return row ? row->text(0) : std::string{};
    });
}

Result<bool, StoreFailure> NodesInOrder::assign(const PaymentHash& hash, const std::string& before,
                                                const std::string& backend) {
    return database_.transact([&](store::Tx& tx) -> Result<bool, StoreFailure> {
        if (before.empty()) {
            return tx.execute(
                       "INSERT INTO lightning_payment (payment_hash, backend) VALUES ($1, $2) "
                       "ON CONFLICT (payment_hash) DO NOTHING",
                       hash, backend) == 1;
        }
        return tx.execute(
                   "UPDATE lightning_payment SET backend = $2 WHERE payment_hash = $1 AND "
                   "backend = $3",
                   hash, backend, before) == 1;
    });
}

// Everybody's no is certain. Should this fail, it is only held to be less certain than it is.
void NodesInOrder::forget(const PaymentHash& hash, const std::string& backend) {
    const auto done = database_.transact([&](store::Tx& tx) -> Result<bool, StoreFailure> {
        tx.execute("DELETE FROM lightning_payment WHERE payment_hash = $1 AND backend = $2", hash,
                   backend);
        return true;
    });
    if (!done) (void)out_of_reach(done.error());
}

}  // namespace nutgate
