#include <doctest/doctest.h>

#include <thread>
#include <utility>

#include "contract/lightning_contract.h"
#include "nutgate/lightning/nodes.h"
#include "nutgate/store/open.h"
#include "support/fake_lightning.h"
#include "support/fixed_clock.h"
#include "support/temp_dir.h"

using namespace nutgate;
using namespace nutgate::test;
using contract::check_settled;
using contract::invoice_order;
using contract::kAmount;
using contract::payment_order;
using Outcome = FakeLightning::Outcome;

namespace {

// The fake as a node of that name.
class NamedNode final : public LightningNode {
public:
    NamedNode(std::string name, FakeLightning& fake) : name_{std::move(name)}, fake_{fake} {}

    std::string name() const override { return name_; }
    Network network() const override { return fake_.network(); }
    Result<Invoice, BackendError> create_invoice(const InvoiceOrder& order) override {
        ++asked;
        return fake_.create_invoice(order);
    }
    Result<Payment, BackendError> incoming(const PaymentHash& hash) override {
        return fake_.incoming(hash);
    }
    Result<Payment, BackendError> pay(const PaymentOrder& order) override {
        if (before_pay) before_pay();
        return fake_.pay(order);
    }
    Result<Payment, BackendError> outgoing(const PaymentHash& hash) override {
        return fake_.outgoing(hash);
    }
    Result<Msat, BackendError> estimate_fee(const Bolt11& invoice, Msat amount) override {
        return fake_.estimate_fee(invoice, amount);
    }
    void on_change(std::function<void(const PaymentHash&)> hint) override {
        fake_.on_change(std::move(hint));
    }
    Result<NodeStatus, BackendError> status() override {
        const auto there = fake_.incoming(PaymentHash{ByteArray<32>{}});
        if (!there && there.error() == BackendError::Unreachable) {
            return fail(BackendError::Unreachable);
        }
        return NodeStatus{};
    }
    bool pays() const override { return may_pay; }
    std::vector<OfferBackend*> offers() override { return fake_.offers(); }

    int asked = 0;
    bool may_pay = true;
    std::function<void()> before_pay;

private:
    const std::string name_;
    FakeLightning& fake_;
};

// Two nodes, "first" and "second", on a database that outlives their backend.
struct World {
    World() { open(); }
    void open() {
        nodes.reset();
        database.reset();
        database = *store::open(folder.database_url());
        REQUIRE(migrate_lightning(*database));
        nodes.emplace(std::vector<LightningNode*>{&first_node, &second_node}, *database, metrics);
    }

    TempDir folder;
    FixedClock clock;
    metrics::Registry metrics;
    FakeLightning first{clock};
    FakeLightning second{clock};
    NamedNode first_node{"first", first};
    NamedNode second_node{"second", second};
    std::unique_ptr<store::Database> database;
    std::optional<NodesInOrder> nodes;
};

class OrderRig final : public LightningRig {
public:
    LightningBackend& backend() override { return *world_.nodes; }
    void pay_in(const Invoice& invoice, Msat amount) override {
        world_.first.mark_paid(invoice.hash, amount);
    }
    std::string outside_invoice(Msat amount, Outcome outcome) override {
        switch (outcome) {
            case Outcome::Paid:
                world_.first.next_pay(FakeLightning::Outcome::Paid);
                break;
            case Outcome::Failed:
                world_.first.next_pay(FakeLightning::Outcome::Failed);
                break;
            case Outcome::UnknownThenPaid:
            case Outcome::UnknownThenFailed:
                world_.first.next_pay(FakeLightning::Outcome::Unknown);
                break;
        }
        return world_.first.outside_invoice(amount);
    }
    void wait_for_the_end_of(const PaymentHash& hash, Outcome outcome) override {
        world_.first.conclude(hash, outcome == Outcome::UnknownThenPaid ? PaymentState::Settled
                                                                        : PaymentState::Failed);
    }
    void reopen() override { world_.open(); }

private:
    World world_;
};

}  // namespace

TEST_CASE("lightning contract: several nodes in order keep it") {
    lightning_contract([] { return std::make_unique<OrderRig>(); });
}

TEST_CASE("nodes in order: one that is away is passed over for new invoices, and seen") {
    World world;
    world.first.set_down(true);
    const auto invoice = world.nodes->create_invoice(invoice_order("a"));
    REQUIRE(invoice.has_value());
    CHECK_EQ(world.second.invoices_made(), 1);
    auto lines = world.nodes->lines();
    CHECK_EQ(lines.at(0).name, "first");
    CHECK_FALSE(lines.at(0).up);
    CHECK(lines.at(1).up);
    CHECK_NE(world.metrics.text().find("nutgate_lightning_backend_up{backend=\"first\"} 0"),
             std::string::npos);

    // Known to be away, it is not even asked.
    CHECK(world.nodes->create_invoice(invoice_order("b")).has_value());
    CHECK_EQ(world.first_node.asked, 1);

    world.first.set_down(false);
    world.nodes->check();
    CHECK(world.nodes->lines().at(0).up);
    CHECK(world.nodes->create_invoice(invoice_order("c")).has_value());
    CHECK_EQ(world.first.invoices_made(), 1);
}

TEST_CASE("nodes in order: an invoice stays its node's, whoever is there later") {
    World world;
    world.first.set_down(true);
    const auto invoice = world.nodes->create_invoice(invoice_order("a"));
    REQUIRE(invoice.has_value());
    world.first.set_down(false);
    world.nodes->check();
    world.open();
    CHECK_EQ(world.nodes->create_invoice(invoice_order("a"))->bolt11, invoice->bolt11);
    world.second.mark_paid(invoice->hash, kAmount);
    const auto paid = world.nodes->incoming(invoice->hash);
    check_settled(paid, invoice->hash);
    CHECK_EQ(paid->backend, "second");
    world.second.set_down(true);
    CHECK_EQ(world.nodes->incoming(invoice->hash).error(), BackendError::Unreachable);
}

TEST_CASE("nodes in order: with all away there is no invoice, and the first back makes one") {
    World world;
    world.first.set_down(true);
    world.second.set_down(true);
    CHECK_EQ(world.nodes->create_invoice(invoice_order("a")).error(), BackendError::Unreachable);
    world.second.set_down(false);
    CHECK(world.nodes->create_invoice(invoice_order("a")).has_value());
}

TEST_CASE("nodes in order: a payment that may be under way is no other node's") {
    World world;
    world.first.next_pay(Outcome::Unknown);
    const auto order = payment_order(world.first.outside_invoice(kAmount));
    CHECK_EQ(world.nodes->pay(order)->state, PaymentState::Pending);
    world.first.set_down(true);
    world.open();
    CHECK_EQ(world.nodes->pay(order)->state, PaymentState::Pending);
    CHECK_EQ(world.nodes->outgoing(order.hash).error(), BackendError::Unreachable);
    CHECK_EQ(world.second.times_paid(order.hash), 0);
    world.first.set_down(false);
    world.first.conclude(order.hash, PaymentState::Settled);
    const auto paid = world.nodes->pay(order);
    check_settled(paid, order.hash);
    CHECK_EQ(paid->backend, "first");
    CHECK_EQ(world.first.times_paid(order.hash), 1);
    CHECK_EQ(world.second.times_paid(order.hash), 0);
}

TEST_CASE("nodes in order: a node that went away while it may be paying is no error") {
    World world;
    NodesInOrder alone{{&world.first_node}, *world.database, world.metrics};
    CHECK_EQ(alone.name(), "first");
    world.first.next_pay(Outcome::Unknown);
    const auto order = payment_order(world.first.outside_invoice(kAmount));
    CHECK_EQ(alone.pay(order)->state, PaymentState::Pending);
    world.first.set_down(true);
    CHECK_EQ(alone.pay(order)->state, PaymentState::Pending);
    world.first.set_down(false);
    world.first.conclude(order.hash, PaymentState::Failed);
    CHECK_EQ(alone.pay(order)->state, PaymentState::Failed);
    CHECK_EQ(world.first.times_paid(order.hash), 0);
}

TEST_CASE("nodes in order: what nobody was told of is an error, time and again") {
    World world;
    const auto order = payment_order(world.second.outside_invoice(kAmount));
    world.first.set_down(true);
    world.second.set_down(true);
    for (int i = 0; i < 2; ++i) {
        CHECK_EQ(world.nodes->pay(order).error(), BackendError::Unreachable);
        CHECK_EQ(world.nodes->outgoing(order.hash).error(), BackendError::NotFound);
    }
    world.second.set_down(false);
    const auto paid = world.nodes->pay(order);
    check_settled(paid, order.hash);
    CHECK_EQ(paid->backend, "second");
}

TEST_CASE("nodes in order: a payment told to a node that is no longer configured stays pending") {
    World world;
    world.first.next_pay(Outcome::Unknown);
    const auto order = payment_order(world.second.outside_invoice(kAmount));
    CHECK_EQ(world.nodes->pay(order)->state, PaymentState::Pending);
    NodesInOrder rest{{&world.second_node}, *world.database, world.metrics};
    CHECK_EQ(rest.pay(order)->state, PaymentState::Pending);
    CHECK_EQ(rest.outgoing(order.hash).error(), BackendError::Unreachable);
    CHECK_EQ(world.second.times_paid(order.hash), 0);
}

TEST_CASE("nodes in order: what one refuses, or is away for, the next one pays") {
    World world;
    world.first.next_pay(Outcome::Refused);
    const auto refused = payment_order(world.second.outside_invoice(kAmount));
    check_settled(world.nodes->pay(refused), refused.hash);
    CHECK_EQ(world.second.times_paid(refused.hash), 1);
    world.first.set_down(true);
    const auto away = payment_order(world.second.outside_invoice(kAmount));
    check_settled(world.nodes->pay(away), away.hash);
    world.first.set_down(false);
    check_settled(world.nodes->pay(away), away.hash);
    CHECK_EQ(world.first.times_paid(away.hash), 0);
    CHECK_EQ(world.second.times_paid(away.hash), 1);
}

TEST_CASE("nodes in order: one that failed for good is not tried at another") {
    World world;
    world.first.next_pay(Outcome::Failed);
    const auto order = payment_order(world.first.outside_invoice(kAmount));
    CHECK_EQ(world.nodes->pay(order)->state, PaymentState::Failed);
    CHECK_EQ(world.nodes->pay(order)->state, PaymentState::Failed);
    CHECK_EQ(world.second.times_paid(order.hash), 0);
}

TEST_CASE("nodes in order: one that only receives is told of no payment") {
    World world;
    world.first_node.may_pay = false;
    const auto order = payment_order(world.second.outside_invoice(kAmount));
    const auto paid = world.nodes->pay(order);
    check_settled(paid, order.hash);
    CHECK_EQ(paid->backend, "second");
    world.second_node.may_pay = false;
    CHECK_EQ(world.nodes->pay(payment_order(world.first.outside_invoice(kAmount))).error(),
             BackendError::Refused);
}

TEST_CASE("nodes in order: a second call for a payment that is being begun begins nothing") {
    World world;
    world.first.next_pay(Outcome::Refused);
    const auto order = payment_order(world.second.outside_invoice(kAmount));
    std::optional<Result<Payment, BackendError>> meanwhile;
    world.first_node.before_pay = [&] {
        std::jthread other{[&] { meanwhile = world.nodes->pay(order); }};
    };
    check_settled(world.nodes->pay(order), order.hash);
    REQUIRE(meanwhile.has_value());
    CHECK_EQ((*meanwhile)->state, PaymentState::Pending);
    CHECK_EQ(world.second.times_paid(order.hash), 1);
}

TEST_CASE("nodes in order: two orders that share a table do not both pay") {
    World world;
    FakeLightning elsewhere{world.clock};
    NamedNode elsewhere_node{"elsewhere", elsewhere};
    NodesInOrder first{{&world.first_node}, *world.database, world.metrics};
    NodesInOrder other{{&elsewhere_node}, *world.database, world.metrics};
    const auto order = payment_order(world.second.outside_invoice(kAmount));
    world.first.next_pay(Outcome::Refused);
    world.first.next_pay(Outcome::Refused);
    // While the first node is being told, it says no to somebody else, who forgets it; then a third
    // party begins anew.
    bool is_begun = false;
    world.first_node.before_pay = [&] {
        if (std::exchange(is_begun, true)) return;
        CHECK_EQ(first.pay(order).error(), BackendError::Refused);
        CHECK_EQ(other.pay(order)->state, PaymentState::Settled);
    };
    CHECK_EQ(world.nodes->pay(order)->state, PaymentState::Pending);
    CHECK_EQ(elsewhere.times_paid(order.hash), 1);
    CHECK_EQ(world.second.times_paid(order.hash), 0);
}

TEST_CASE("nodes: those that make offers make them, whoever is there first") {
    World world;
    CHECK(world.nodes->offers().empty());
    OfferBackend* const seconds = &world.second.with_offers();
    CHECK(world.nodes->offers() == std::vector<OfferBackend*>{seconds});
    OfferBackend* const firsts = &world.first.with_offers();
    CHECK(world.nodes->offers() == std::vector<OfferBackend*>{firsts, seconds});
    world.first.set_down(true);
    world.nodes->check();
    CHECK(world.nodes->offers() == std::vector<OfferBackend*>{seconds, firsts});
}
