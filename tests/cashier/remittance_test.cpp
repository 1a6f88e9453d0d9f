// What leaves a balance over Lightning: paid once, at its true cost, or given back whole.
#include <latch>
#include <thread>

#include "cashier/remittance_world.h"

using namespace nutgate;
using namespace nutgate::literals;
using test::FakeLightning;
using test::hash_of;
using test::Pays;
using test::RemittanceWorld;
using Code = CashierError::Code;
using Outcome = FakeLightning::Outcome;

namespace {

constexpr Pays kBoth[] = {Pays::Mint, Pays::Node};

Msat balance_of(Pays payer, Msat less) {
    return *subtract(payer == Pays::Mint ? 30'000_msat : 130'000_msat, less);
}

}  // namespace

TEST_CASE("remittance: a key pays an invoice and what that really cost, once for each name") {
    for (const Pays payer : kBoth) {
        CAPTURE(static_cast<int>(payer));
        RemittanceWorld world{payer};
        world.lightning.set_fee(2000_msat);
        const auto invoice = world.lightning.outside_invoice(20'000_msat);
        const auto sent = world.remit(1, invoice);
        REQUIRE(sent.has_value());
        CHECK(sent->state == RemittanceState::Paid);
        CHECK(sent->amount == 20'000_msat);
        CHECK(sent->fee_max == 2000_msat);
        CHECK(sent->fee == 2000_msat);
        CHECK(sent->backend == (payer == Pays::Node ? "fake" : ""));
        CHECK_FALSE(sent->again);
        REQUIRE(sent->preimage.has_value());
        CHECK(PaymentHash{crypto::sha256(sent->preimage->bytes())} == sent->payment);

        const auto again = world.remit(1, invoice);
        REQUIRE(again.has_value());
        CHECK(again->again);
        CHECK(again->preimage == sent->preimage);
        CHECK(world.lightning.times_paid(hash_of(invoice)) == 1);
        CHECK(world.balance(*world.key) == balance_of(payer, 22'000_msat));
        CHECK(*world.cashier().revenue() == 12'000_msat);
    }
}

TEST_CASE("remittance: what the fee left over comes back, and a fee beyond it is the node's") {
    RemittanceWorld world{Pays::Node};
    world.lightning.set_fee(3000_msat);
    const auto invoice = world.lightning.outside_invoice(20'000_msat);
    world.lightning.next_pay(Outcome::Unknown);
    CHECK(world.remit(1, invoice)->state == RemittanceState::UnderWay);
    CHECK(world.balance(*world.key) == balance_of(Pays::Node, 23'000_msat));
    const auto end = [&](Msat fee) {
        return world.database->transact([&](store::Tx& tx) -> Result<void, CashierError> {
            const std::string reference =
                "remit:" + world.key->hex() + ":" + RemittanceWorld::name(1).hex();
            REQUIRE(world.node->books.remitted(tx, {.reference = reference,
                                                    .asset = lightning_account("fake"),
                                                    .fees = {AccountKind::Fees, "fake"},
                                                    .amount = 20'000_msat,
                                                    .fee = fee,
                                                    .preimage = {}}));
            return {};
        });
    };
    SUBCASE("less") {
        REQUIRE(end(500_msat));
        CHECK(world.balance(*world.key) == balance_of(Pays::Node, 20'500_msat));
        CHECK(world.posted({AccountKind::Fees, "fake"}) == 0_msat);
    }
    SUBCASE("more") {
        REQUIRE(end(4500_msat));
        CHECK(world.balance(*world.key) == balance_of(Pays::Node, 23'000_msat));
        CHECK(world.posted({AccountKind::Fees, "fake"}) == 1500_msat);
        CHECK(*world.cashier().revenue() == 10'500_msat);
    }
    REQUIRE(end(9'000_msat));  // Told again, it is booked as it was.
    CHECK(world.remitter->find(world.key, RemittanceWorld::name(1))->state ==
          RemittanceState::Paid);
}

TEST_CASE("remittance: an estimate shows what would be taken, and takes nothing") {
    for (const Pays payer : kBoth) {
        RemittanceWorld world{payer};
        world.lightning.set_fee(2000_msat);
        const auto invoice = world.lightning.outside_invoice(20'000_msat);
        const RemittanceOrder order{.id = RemittanceWorld::name(1), .target = invoice};
        const auto estimate = world.remitter->estimate(world.key, order);
        REQUIRE(estimate.has_value());
        CHECK(estimate->amount == 20'000_msat);
        CHECK(estimate->fee_max == 2000_msat);
        CHECK(estimate->is_exact);
        CHECK(world.balance(*world.key) == balance_of(payer, 0_msat));
        CHECK(world.lightning.times_paid(hash_of(invoice)) == 0);
        CHECK(world.remitter->find(world.key, order.id).error().code == Code::RemittanceUnknown);
    }
}

TEST_CASE("remittance: one that failed gives everything back, and its name has failed for good") {
    for (const Pays payer : kBoth) {
        for (const Outcome outcome : {Outcome::Failed, Outcome::Refused}) {
            RemittanceWorld world{payer};
            world.lightning.set_fee(2000_msat);
            world.lightning.next_pay(outcome);
            const auto invoice = world.lightning.outside_invoice(20'000_msat);
            const auto sent = world.remit(1, invoice);
            REQUIRE(sent.has_value());
            world.pass();
            for (int i = 0; i < 2; ++i) {
                const auto failed = world.remit(1, invoice);
                REQUIRE(failed.has_value());
                CHECK(failed->state == RemittanceState::Failed);
                CHECK(failed->failure == Code::PaymentFailed);
                CHECK(world.balance(*world.key) == balance_of(payer, 0_msat));
            }
            CHECK(world.lightning.times_paid(hash_of(invoice)) == 0);
            const auto other = world.lightning.outside_invoice(10'000_msat, "", Seconds{7200});
            CHECK(world.remit(2, other)->state == RemittanceState::Paid);
            CHECK(world.balance(*world.key) == balance_of(payer, 12'000_msat));
        }
    }
}

TEST_CASE("remittance: while its outcome is unknown the money is nobody's to spend or send") {
    for (const Pays payer : kBoth) {
        for (const auto end : {PaymentState::Settled, PaymentState::Failed}) {
            for (const bool restarted : {false, true}) {
                CAPTURE(static_cast<int>(payer));
                RemittanceWorld world{payer};
                const auto invoice =
                    world.lightning.outside_invoice(20'000_msat, "", Seconds{86'400});
                world.lightning.next_pay(Outcome::Unknown);
                CHECK(world.remit(1, invoice)->state == RemittanceState::UnderWay);
                world.pass();
                CHECK(world.remit(1, invoice)->state == RemittanceState::UnderWay);
                CHECK(world.balance(*world.key) == balance_of(payer, 20'000_msat));
                const auto other = world.lightning.outside_invoice(1000_msat, "", Seconds{86'400});
                const auto second = world.remit(2, other);
                REQUIRE_FALSE(second.has_value());
                CHECK(second.error().code == Code::RemittanceOpen);
                CHECK(second.error().detail == RemittanceWorld::name(1).hex());
                if (restarted) world.start_anew();
                int told = 0;
                world.remitter->on_end([&](const Remittance& remittance) {
                    CHECK(remittance.id == RemittanceWorld::name(1));
                    ++told;
                });
                world.lightning.conclude(hash_of(invoice), end);
                world.pass();
                CHECK(told == 1);
                const auto ended = world.remitter->find(world.key, RemittanceWorld::name(1));
                REQUIRE(ended.has_value());
                const bool paid = end == PaymentState::Settled;
                CHECK(ended->state == (paid ? RemittanceState::Paid : RemittanceState::Failed));
                CHECK(world.balance(*world.key) == balance_of(payer, paid ? 20'000_msat : 0_msat));
                CHECK(world.lightning.times_paid(hash_of(invoice)) == (paid ? 1 : 0));
            }
        }
    }
}

TEST_CASE("remittance: an invoice that may not be paid is refused before anything is taken") {
    RemittanceWorld world;
    CHECK(world.refused(1, "hello") == Code::TargetInvalid);
    CHECK(world.refused(1, "lno1pqps7sjqpgt") == Code::TargetInvalid);
    CHECK(world.refused(1, std::string(9000, 'a')) == Code::TargetInvalid);
    auto torn = world.lightning.outside_invoice(5000_msat);
    torn.back() = torn.back() == 'q' ? 'p' : 'q';
    CHECK(world.refused(1, torn) == Code::InvoiceMalformed);
    CHECK(world.refused(1, world.lightning.outside_invoice({})) == Code::InvoiceAmountless);
    CHECK(world.refused(1, world.lightning.outside_invoice(5000_msat), 4000_msat) ==
          Code::InvoiceOtherAmount);
    CHECK(world.refused(1, world.lightning.outside_invoice(5000_msat, "", Seconds{59})) ==
          Code::InvoiceExpired);
    CHECK(world.refused(1, write_bolt11({.network = Network::Bitcoin,
                                         .amount = 5000_msat,
                                         .created_at = world.clock.now(),
                                         .payment_hash = PaymentHash{ByteArray<32>{}},
                                         .payment_secret = {},
                                         .description = ""},
                                        *crypto::Scalar::from_hex(std::string(64, '9')))) ==
          Code::InvoiceForeign);
    CHECK(world.refused(1, world.lightning.outside_invoice(30'001_msat)) ==
          Code::BalanceInsufficient);
    world.lightning.set_fee(1000_msat);
    CHECK(world.refused(1, world.lightning.outside_invoice(30'000_msat)) ==
          Code::BalanceInsufficient);
    CHECK(world.balance(*world.key) == 30'000_msat);
    CHECK(
        world.remit(1, "  LIGHTNING:" + world.lightning.outside_invoice(5000_msat) + "\n")->state ==
        RemittanceState::Paid);
}

TEST_CASE("remittance: the node pays no invoice of its own, and none twice") {
    for (const Pays payer : kBoth) {
        RemittanceWorld world{payer};
        const auto own = world.cashier().open_invoice(
            {.amount = 5_sat, .purpose = InvoicePurpose::TopUp, .key = world.key, .limits = {}});
        REQUIRE(own.has_value());
        CHECK(world.refused(1, own->bolt11) == Code::InvoiceOurs);
        const auto invoice = world.lightning.outside_invoice(5000_msat);
        REQUIRE(world.remit(1, invoice).has_value());
        CHECK(world.refused(2, invoice) == Code::InvoiceSeen);
        CHECK(world.refused(1, world.lightning.outside_invoice(5000_msat)) ==
              Code::RemittanceReused);
        CHECK(world.refused(1, invoice, 5000_msat) == Code::RemittanceReused);
        CHECK(world.balance(*world.key) == balance_of(payer, 5000_msat));
    }
}

TEST_CASE("remittance: what a melt of somebody's tokens pays is not charged to a key as well") {
    for (const Pays payer : kBoth) {
        for (const Outcome outcome : {Outcome::Paid, Outcome::Unknown}) {
            RemittanceWorld world{payer};
            const auto invoice = world.lightning.outside_invoice(5000_msat);
            const auto token = world.token(5000_msat);
            world.lightning.next_pay(outcome);
            REQUIRE(world.melt_outside(invoice, token).status == 200);
            CHECK(world.refused(1, invoice) == Code::InvoiceSeen);
            const RemittanceOrder order{.id = RemittanceWorld::name(1), .target = invoice};
            CHECK(world.remitter->estimate(world.key, order).error().code == Code::InvoiceSeen);
            world.pass();
            CHECK(world.balance(*world.key) == balance_of(payer, 0_msat));
        }
    }
}

TEST_CASE("remittance: what a key pays burns nobody's tokens at the mint") {
    for (const Pays payer : kBoth) {
        for (const Outcome outcome : {Outcome::Paid, Outcome::Unknown}) {
            RemittanceWorld world{payer};
            const auto invoice = world.lightning.outside_invoice(5000_msat);
            const auto token = world.token(5000_msat);
            world.lightning.next_pay(outcome);
            REQUIRE(world.remit(1, invoice).has_value());
            const auto answer = world.melt_outside(invoice, token);
            CHECK(cashu::wire::parse_error(answer.body).code == 20006);
            CHECK(world.customer.redeem(token) == 5000_msat);
            CHECK(world.balance(*world.key) == balance_of(payer, 5000_msat));
        }
    }
}

TEST_CASE("remittance: a mint whose node is short melts nothing, and all is given back") {
    RemittanceWorld world;
    // As after the mint was put on another node: what it is owed lies at the old one.
    const Msat all = world.posted(lightning_account("fake"));
    REQUIRE(world.database->transact([&](store::Tx& tx) -> Result<Applied, CashierError> {
        TRY(const auto applied,
            world.node->ledger.transfer(tx, {.id = TransferId{ByteArray<32>{std::byte{1}}},
                                             .debit = lightning_account("old"),
                                             .credit = lightning_account("fake"),
                                             .amount = all}));
        return applied;
    }));
    const auto invoice = world.lightning.outside_invoice(20'000_msat);
    REQUIRE(world.remit(1, invoice).has_value());
    world.pass();
    CHECK(world.lightning.times_paid(hash_of(invoice)) == 0);
    CHECK(world.remit(1, invoice)->state == RemittanceState::Failed);
    CHECK(world.balance(*world.key) == 30'000_msat);
}

TEST_CASE("remittance: what a melt cost beyond its reserve is gone, and no owner's to send") {
    RemittanceWorld world;
    const auto end_melt = [&](Msat beyond, Msat left, Msat fees) {
        const auto undone =
            world.database->transact([&](store::Tx& tx) -> Result<void, CashierError> {
                const auto keyset = cashu::Mint::outstanding(tx).front().keyset;
                const Account node = lightning_account("fake");
                world.node->books.melt_begun(tx, "melt", {{keyset, 9000_msat, {}}});
                world.node->books.melt_paid(tx, "melt",
                                            {.paid = 8000_msat,
                                             .routing_fee = 1000_msat,
                                             .fee_kept = {},
                                             .change = {},
                                             .beyond = beyond});
                CHECK(world.node->ledger.balance(tx, node).posted == left);
                CHECK(world.node->ledger.balance(tx, {AccountKind::Fees, "fake"}).posted == fees);
                return fail(CashierError{Code::BooksRefused, "only to see"});
            });
        CHECK(undone.error().detail == "only to see");
    };
    const Msat rest = *subtract(world.posted(lightning_account("fake")), 9000_msat);
    end_melt({}, rest, {});
    end_melt(1500_msat, *subtract(rest, 1500_msat), 1500_msat);
    // It has been paid: that the books have not so much there does not keep it from its end.
    end_melt(*add(rest, 1_msat), {}, rest);
}

TEST_CASE("remittance: a key that may not be refunded sends nothing") {
    RemittanceWorld world;
    const auto invoice = world.lightning.outside_invoice(5000_msat);
    const auto code = [&](const KeyId& key) {
        return world.remitter
            ->remit(key, {.id = RemittanceWorld::name(1), .target = invoice, .amount = {}})
            .error()
            .code;
    };
    CHECK(code(KeyId{ByteArray<16>{}}) == Code::KeyUnknown);
    const auto children = world.cashier().create_children(*world.key, 1, {});
    REQUIRE(children.has_value());
    CHECK(code(children->keys[0]) == Code::ChildKey);
}

TEST_CASE("remittance: what requests under way may still need is not sent away") {
    RemittanceWorld world;
    const auto request = world.begin_request(*world.key, 8000_msat);
    CHECK(world.refused(1, world.lightning.outside_invoice(25'000_msat)) == Code::RequestsInFlight);
    // The rest can go.
    CHECK(world.remit(2, world.lightning.outside_invoice(22'000_msat))->state ==
          RemittanceState::Paid);
    world.end_request(request, 8000_msat);
    CHECK(world.balance(*world.key) == 0_msat);
}

TEST_CASE("remittance: where nobody can pay nothing is taken") {
    RemittanceWorld world{Pays::Node};
    world.lightning.set_down(true);  // The mint's backend is the same node.
    CHECK_FALSE(world.remit(1, world.lightning.outside_invoice(20'000_msat)).has_value());
    CHECK(world.remitter->find(world.key, RemittanceWorld::name(1)).error().code ==
          Code::RemittanceUnknown);
    CHECK(world.balance(*world.key) == 130'000_msat);
}

TEST_CASE("remittance: beyond what a node of ours holds ecash pays, brought together for it") {
    RemittanceWorld world{Pays::Node};
    const auto invoice = world.lightning.outside_invoice(100'001_msat);
    const auto sent = world.remit(1, invoice);
    REQUIRE(sent.has_value());
    CHECK(sent->state == RemittanceState::Paid);
    CHECK(sent->backend.empty());
    CHECK(world.lightning.times_paid(hash_of(invoice)) == 1);
    // A mint of whole sats: what rounding takes is its fee.
    CHECK(sent->fee == 999_msat);
    CHECK(world.balance(*world.key) == 29'000_msat);
}

TEST_CASE("remittance: nothing is brought together for who only asks, or has not as much") {
    RemittanceWorld world{Pays::Node};
    const auto moves = [&] {
        return *world.database->read(
            [](store::Reader& reader) -> Result<std::int64_t, CashierError> {
                return reader.query_one("SELECT COUNT(*) FROM transit")->integer(0);
            });
    };
    // More than the node holds free: ecash would have to pay.
    const auto invoice = world.lightning.outside_invoice(100'001_msat);
    const RemittanceOrder order{.id = RemittanceWorld::name(1), .target = invoice, .amount = {}};
    const auto estimate = world.remitter->estimate(world.key, order);
    REQUIRE(estimate.has_value());
    CHECK(estimate->amount == 100'001_msat);
    CHECK(estimate->fee_max > 0_msat);
    CHECK_FALSE(estimate->is_exact);  // By the rule.

    const KeyId poor = world.key_of_token(3000_msat);
    CHECK(world.remitter->estimate(poor, order).error().code == Code::BalanceInsufficient);
    CHECK(world.remitter->remit(poor, order).error().code == Code::BalanceInsufficient);
    const auto request = world.begin_request(poor, 2000_msat);
    CHECK(world.remitter->estimate(poor, order).error().code == Code::BalanceInsufficient);
    CHECK(world.remitter->remit(poor, order).error().code == Code::BalanceInsufficient);
    world.end_request(request, 2000_msat);
    CHECK(moves() == 0);

    REQUIRE(world.remit(1, invoice).has_value());
    CHECK(moves() == 1);
}

TEST_CASE("remittance: of two at once on the same key one goes, and of one name one is paid") {
    for (const Pays payer : kBoth) {
        RemittanceWorld world{payer};
        constexpr int kCallers = 6;
        std::vector<std::string> invoices;
        for (int i = 0; i < kCallers; ++i) {
            invoices.push_back(world.lightning.outside_invoice(20'000_msat));
        }
        std::latch start{kCallers};
        std::atomic<int> paid = 0;
        {
            std::vector<std::jthread> callers;
            for (int i = 0; i < kCallers; ++i) {
                callers.emplace_back([&, i] {
                    start.arrive_and_wait();
                    // Three names, each by two callers; the balance of the mint's covers one.
                    const auto& target = invoices[static_cast<std::size_t>(i / 2)];
                    const auto sent = world.remitter->remit(
                        world.key,
                        {.id = RemittanceWorld::name(10 + i / 2), .target = target, .amount = {}});
                    if (sent && sent->state == RemittanceState::Paid && !sent->again) ++paid;
                });
            }
        }
        world.pass();
        int left = 0;
        for (const auto& invoice : invoices) {
            const int times = world.lightning.times_paid(hash_of(invoice));
            CHECK(times <= 1);
            left += times;
        }
        CHECK(left >= 1);
        CHECK(world.balance(*world.key) ==
              balance_of(payer, *multiply_floor(20'000_msat, static_cast<std::uint64_t>(left), 1)));
        if (payer == Pays::Mint) CHECK(left == 1);
    }
}

namespace {

// Somebody else looks after the payment while its node is being told of it.
class Interrupted final : public LightningBackend {
public:
    explicit Interrupted(FakeLightning& behind) : behind_{behind} {}

    std::string name() const override { return behind_.name(); }
    Network network() const override { return behind_.network(); }
    Result<Invoice, BackendError> create_invoice(const InvoiceOrder& order) override {
        return behind_.create_invoice(order);
    }
    Result<Payment, BackendError> incoming(const PaymentHash& hash) override {
        return behind_.incoming(hash);
    }
    Result<Payment, BackendError> pay(const PaymentOrder& order) override {
        if (is_elsewhere) return Payment{};
        if (++tellings > 1) return fail(BackendError::Refused);  // The first is yet to arrive.
        meanwhile();
        return behind_.pay(order);
    }
    Result<Payment, BackendError> outgoing(const PaymentHash& hash) override {
        if (is_elsewhere) return fail(BackendError::Unreachable);
        return behind_.outgoing(hash);
    }
    Result<Msat, BackendError> estimate_fee(const Bolt11& invoice, Msat amount) override {
        return behind_.estimate_fee(invoice, amount);
    }
    void on_change(std::function<void(const PaymentHash&)> hint) override {
        behind_.on_change(std::move(hint));
    }

    int tellings = 0;
    bool is_elsewhere = false;  // Another node was told of each payment.
    std::function<void()> meanwhile;

private:
    FakeLightning& behind_;
};

}  // namespace

TEST_CASE("remittance: nobody tells a node again while it is being told") {
    RemittanceWorld world{Pays::Node};
    Interrupted node{world.lightning};
    Remitter::Options options;
    options.network = Network::Regtest;
    options.payers = {&node};
    Remitter remitter{world.cashier(), options, world.node->metrics};
    const auto invoice = world.lightning.outside_invoice(20'000_msat);
    node.meanwhile = [&] {
        REQUIRE(remitter.settle());
        remitter.hint(hash_of(invoice));
    };
    const auto sent = remitter.remit(
        world.key, {.id = RemittanceWorld::name(1), .target = invoice, .amount = {}});
    REQUIRE(sent.has_value());
    CHECK(sent->state == RemittanceState::Paid);
    CHECK(node.tellings == 1);
    CHECK(world.lightning.times_paid(hash_of(invoice)) == 1);
    CHECK(world.balance(*world.key) == balance_of(Pays::Node, 20'000_msat));
    world.pass();
}

TEST_CASE("remittance: a node is not told of what another node was told of: ecash pays it") {
    RemittanceWorld world{Pays::Node};
    Interrupted node{world.lightning};
    node.is_elsewhere = true;
    Remitter::Options options;
    options.network = Network::Regtest;
    options.payers = {&node};
    Remitter remitter{world.cashier(), options, world.node->metrics};
    const auto invoice = world.lightning.outside_invoice(20'000_msat);
    const auto sent = remitter.remit(
        world.key, {.id = RemittanceWorld::name(1), .target = invoice, .amount = {}});
    REQUIRE(sent.has_value());
    CHECK(sent->state == RemittanceState::Paid);
    CHECK(sent->backend.empty());
    CHECK(world.lightning.times_paid(hash_of(invoice)) == 1);
}

TEST_CASE("remittance: a token refund beside one takes only what is left") {
    RemittanceWorld world;
    world.lightning.next_pay(Outcome::Unknown);
    const auto invoice = world.lightning.outside_invoice(20'000_msat);
    REQUIRE(world.remit(1, invoice)->state == RemittanceState::UnderWay);
    const auto refund = world.cashier().refund(*world.key);
    REQUIRE(refund.has_value());
    CHECK(refund->amount == 10_sat);
    world.lightning.conclude(hash_of(invoice), PaymentState::Failed);
    world.pass();
    CHECK(world.balance(*world.key) == 20'000_msat);
}
