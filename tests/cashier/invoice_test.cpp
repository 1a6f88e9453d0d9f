#include <latch>
#include <thread>

#include "cashier/world.h"

using namespace nutgate;
using namespace nutgate::literals;
using test::FaultyMint;
using test::Node;
using test::Receive;
using test::World;
using Code = CashierError::Code;

namespace {

InvoiceRequest for_key(Sat amount, const KeyId& key) {
    return {.amount = amount, .purpose = InvoicePurpose::TopUp, .key = key, .limits = {}};
}
InvoiceRequest for_new_key(Sat amount) {
    return {.amount = amount, .purpose = InvoicePurpose::Create, .key = {}, .limits = {}};
}

// The preimage that paying revealed.
Preimage preimage_of(World& world, const PaymentHash& payment) {
    return *world.lightning.incoming(payment)->preimage;
}

}  // namespace

TEST_CASE("cashier: an invoice makes a key once it is paid, over a mint or over a node") {
    for (const Receive receive : {Receive::OverMint, Receive::OverNode}) {
        CAPTURE(static_cast<int>(receive));
        World world{receive};
        const auto invoice = world.cashier().open_invoice(for_new_key(21_sat));
        REQUIRE(invoice.has_value());
        CHECK(invoice->invoice_id.size() >= 22);
        CHECK(parse_bolt11(invoice->bolt11)->payment_hash == invoice->payment_hash);
        CHECK(parse_bolt11(invoice->bolt11)->amount == 21'000_msat);

        const auto pending = world.cashier().invoice_status(invoice->invoice_id);
        REQUIRE(pending.has_value());
        CHECK(pending->state == InvoiceState::Pending);
        CHECK_FALSE(pending->key.has_value());

        world.lightning.mark_paid(invoice->payment_hash, 21'000_msat);
        world.clock.advance(Seconds{2});
        for (int i = 0; i < 2; ++i) {
            const auto paid = world.cashier().invoice_status(invoice->invoice_id);
            REQUIRE(paid.has_value());
            CHECK(paid->state == InvoiceState::Paid);
            REQUIRE(paid->key.has_value());
            CHECK(paid->credited == 21'000_msat);
            CHECK(paid->amount == 21_sat);
            CHECK(paid->paid_at.has_value());
            CHECK(world.balance(*paid->key) == 21'000_msat);
        }
    }
}

TEST_CASE("cashier: an invoice that was paid with more credits what came, over a mint or a node") {
    for (const Receive receive : {Receive::OverMint, Receive::OverNode}) {
        CAPTURE(static_cast<int>(receive));
        World world{receive};
        const auto invoice = world.cashier().open_invoice(for_new_key(21_sat));
        REQUIRE(invoice.has_value());
        world.lightning.mark_paid(invoice->payment_hash, 26'000_msat);
        world.clock.advance(Seconds{2});
        const auto paid = world.cashier().invoice_status(invoice->invoice_id);
        REQUIRE(paid.has_value());
        CHECK(paid->state == InvoiceState::Paid);
        CHECK(paid->credited == 26'000_msat);
        CHECK(world.balance(*paid->key) == 26'000_msat);
    }
}

TEST_CASE("cashier: a top-up's status gives no key, and a child's is its parent's") {
    World world;
    const KeyId parent = world.key_of_token(1000_msat);
    const KeyId child = world.cashier().create_children(parent, 1, {})->keys.at(0);
    const auto invoice = world.cashier().open_invoice(for_key(5_sat, child));
    REQUIRE(invoice.has_value());
    world.lightning.mark_paid(invoice->payment_hash, 5000_msat);
    const auto status = world.cashier().invoice_status(invoice->invoice_id);
    REQUIRE(status.has_value());
    CHECK(status->state == InvoiceState::Paid);
    CHECK_FALSE(status->key.has_value());
    CHECK(world.balance(parent) == 6000_msat);
    const auto proven =
        world.cashier().recover_invoice(invoice->bolt11, preimage_of(world, invoice->payment_hash));
    CHECK_FALSE(proven->key.has_value());
}

TEST_CASE("cashier: an invoice alone tells its state; its preimage gives the key") {
    World world;
    const auto invoice = world.cashier().open_invoice(for_new_key(7_sat));
    REQUIRE(invoice.has_value());
    CHECK(world.cashier().recover_invoice(invoice->bolt11, std::nullopt)->state ==
          InvoiceState::Pending);
    world.lightning.mark_paid(invoice->payment_hash, 7000_msat);
    world.clock.advance(Seconds{2});
    const auto known = world.cashier().recover_invoice(invoice->bolt11, std::nullopt);
    REQUIRE(known.has_value());
    CHECK(known->state == InvoiceState::Paid);
    CHECK_FALSE(known->key.has_value());
    const auto wrong = world.cashier().recover_invoice(invoice->bolt11, Preimage{ByteArray<32>{}});
    CHECK_FALSE(wrong->key.has_value());
    const auto proven = world.cashier().recover_invoice("lightning:" + invoice->bolt11,
                                                        preimage_of(world, invoice->payment_hash));
    REQUIRE(proven.has_value());
    REQUIRE(proven->key.has_value());
    CHECK(world.balance(*proven->key) == 7000_msat);

    CHECK(world.cashier().recover_invoice("lnbc1nonsense", std::nullopt).error().code ==
          Code::InvoiceMalformed);
    CHECK(world.cashier()
              .recover_invoice(world.lightning.outside_invoice(1000_msat), std::nullopt)
              .error()
              .code == Code::InvoiceUnknown);
    CHECK(world.cashier().invoice_status("AAAAAAAAAAAAAAAAAAAAAA").error().code ==
          Code::InvoiceUnknown);
    CHECK(world.cashier().invoice_status(std::string(1000, 'A')).error().code ==
          Code::InvoiceUnknown);
}

TEST_CASE("cashier: money that comes late is credited, also to a key that has expired") {
    World world{Receive::OverNode};
    const auto made = world.cashier().deposit_token(
        world.token(1000_msat),
        CreateKey{{.balance_limit = 1_msat, .valid_until = world.clock.now() + Seconds{60}}});
    REQUIRE(made.has_value());
    const auto topping = world.cashier().open_invoice(for_key(5_sat, made->key));
    const auto making = world.cashier().open_invoice(for_new_key(9_sat));
    world.clock.advance(Seconds{7200});
    CHECK(world.cashier().invoice_status(topping->invoice_id)->state == InvoiceState::Expired);

    world.lightning.mark_paid(topping->payment_hash, 5000_msat);
    world.lightning.mark_paid(making->payment_hash, 9000_msat);
    CHECK(*world.cashier().settle_invoices() == 2);
    CHECK(world.balance(made->key) == 6000_msat);
    CHECK(world.cashier().invoice_status(topping->invoice_id)->state == InvoiceState::Paid);
}

TEST_CASE("cashier: long after its expiry an invoice is credited when somebody asks for it") {
    World world{Receive::OverNode};
    const auto invoice = world.cashier().open_invoice(for_new_key(9_sat));
    world.clock.advance(std::chrono::hours{24 * 30});
    CHECK(*world.cashier().settle_invoices() == 0);
    world.lightning.mark_paid(invoice->payment_hash, 9000_msat);
    world.clock.advance(Seconds{700});
    CHECK(*world.cashier().settle_invoices() == 0);  // The watcher has given it up.
    CHECK(world.cashier().recover_invoice(invoice->bolt11, std::nullopt)->state ==
          InvoiceState::Paid);
}

TEST_CASE("cashier: what arrived is credited, more or less than was asked for") {
    World world{Receive::OverNode};
    for (const Msat arrived : {1500_msat, 2'000'001_msat}) {
        const auto invoice = world.cashier().open_invoice(for_new_key(1000_sat));
        world.lightning.mark_paid(invoice->payment_hash, arrived);
        const auto status = world.cashier().invoice_status(invoice->invoice_id);
        CHECK(status->credited == arrived);
        CHECK(world.balance(*status->key) == arrived);
    }
}

TEST_CASE("cashier: what arrived at one of several nodes is booked at that one") {
    World world{Receive::OverNode};
    const auto arrive = [&](const std::string& place) {
        world.lightning.set_place(place);
        const auto invoice = world.cashier().open_invoice(for_new_key(21_sat));
        world.lightning.mark_paid(invoice->payment_hash, 21'000_msat);
        CHECK(world.cashier().invoice_status(invoice->invoice_id)->credited == 21'000_msat);
    };
    arrive("second");
    CHECK(world.posted(lightning_account("second")) == 21'000_msat);
    CHECK(world.posted(lightning_account("fake")) == Msat{});
    arrive("");
    CHECK(world.posted(lightning_account("second")) == 21'000_msat);
    CHECK(world.posted(lightning_account("fake")) == 21'000_msat);
}

TEST_CASE("cashier: invoices are refused beyond their bounds, and leave nothing") {
    Cashier::Options options;
    options.invoices_open_max = 2;
    World world{Receive::OverNode, options};
    auto& cashier = world.cashier();
    CHECK(cashier.open_invoice(for_new_key(0_sat)).error().code == Code::AmountOutOfRange);
    CHECK(cashier.open_invoice(for_new_key(1'000'001_sat)).error().code == Code::AmountOutOfRange);
    CHECK(cashier.open_invoice(for_key(1_sat, KeyId{ByteArray<16>{}})).error().code ==
          Code::KeyUnknown);
    world.lightning.set_down(true);
    for (int i = 0; i < 5; ++i) {
        CHECK(cashier.open_invoice(for_new_key(1_sat)).error().code == Code::LightningUnreachable);
    }
    world.lightning.set_down(false);
    REQUIRE(cashier.open_invoice(for_new_key(1_sat)).has_value());
    const auto second = cashier.open_invoice(for_new_key(1'000'000_sat));
    REQUIRE(second.has_value());
    CHECK(cashier.open_invoice(for_new_key(1_sat)).error().code == Code::TooManyInvoices);
    // One that is paid makes room, and so does time.
    world.lightning.mark_paid(second->payment_hash, 1000_msat);
    REQUIRE(cashier.invoice_status(second->invoice_id).has_value());
    CHECK(cashier.open_invoice(for_new_key(1_sat)).has_value());
    CHECK(cashier.open_invoice(for_new_key(1_sat)).error().code == Code::TooManyInvoices);
    world.clock.advance(Seconds{3601});
    CHECK(cashier.open_invoice(for_new_key(1_sat)).has_value());
}

TEST_CASE("cashier: a payment is credited once, whoever asks at the same moment") {
    for (const Receive receive : {Receive::OverMint, Receive::OverNode}) {
        World world{receive};
        const KeyId key = world.key_of_token(1000_msat);
        const auto invoice = world.cashier().open_invoice(for_key(8_sat, key));
        REQUIRE(invoice.has_value());
        world.lightning.mark_paid(invoice->payment_hash, 8000_msat);
        world.clock.advance(Seconds{20});
        constexpr int kThreads = 24;
        std::latch start{kThreads};
        {
            std::vector<std::jthread> threads;
            for (int i = 0; i < kThreads; ++i) {
                threads.emplace_back([&, i] {
                    start.arrive_and_wait();
                    if (i % 3 == 0) world.cashier().hint(invoice->payment_hash);
                    if (i % 3 == 1) (void)world.cashier().settle_invoices();
                    if (i % 3 == 2) (void)world.cashier().invoice_status(invoice->invoice_id);
                });
            }
        }
        world.cashier().hint(invoice->payment_hash);
        CHECK(world.balance(key) == 9000_msat);
    }
}

TEST_CASE("cashier: the watcher asks the young often and the old seldom") {
    World world{Receive::OverNode};
    const auto invoice = world.cashier().open_invoice(for_new_key(9_sat));
    CHECK(*world.cashier().settle_invoices() == 0);  // Its turn has not come.
    world.lightning.mark_paid(invoice->payment_hash, 9000_msat);
    CHECK(*world.cashier().settle_invoices() == 0);
    world.clock.advance(Seconds{10});
    CHECK(*world.cashier().settle_invoices() == 1);
    CHECK(*world.cashier().settle_invoices() == 0);

    const auto slow = world.cashier().open_invoice(for_new_key(9_sat));
    world.clock.advance(Seconds{1900});
    CHECK(*world.cashier().settle_invoices() == 0);  // Asked now; next in ten minutes.
    world.lightning.mark_paid(slow->payment_hash, 9000_msat);
    world.clock.advance(Seconds{590});
    CHECK(*world.cashier().settle_invoices() == 0);
    world.clock.advance(Seconds{10});
    CHECK(*world.cashier().settle_invoices() == 1);
}

TEST_CASE("cashier: a status asks the backend once within its interval") {
    World world{Receive::OverNode};
    const auto invoice = world.cashier().open_invoice(for_new_key(9_sat));
    CHECK(world.cashier().invoice_status(invoice->invoice_id)->state == InvoiceState::Pending);
    world.lightning.mark_paid(invoice->payment_hash, 9000_msat);
    CHECK(world.cashier().invoice_status(invoice->invoice_id)->state == InvoiceState::Pending);
    world.clock.advance(Seconds{1});
    CHECK(world.cashier().invoice_status(invoice->invoice_id)->state == InvoiceState::Paid);
}

TEST_CASE("cashier: a backend that is away leaves an invoice as it was") {
    World world{Receive::OverNode};
    const auto invoice = world.cashier().open_invoice(for_new_key(9_sat));
    world.lightning.mark_paid(invoice->payment_hash, 9000_msat);
    world.lightning.set_down(true);
    CHECK(world.cashier().invoice_status(invoice->invoice_id)->state == InvoiceState::Pending);
    world.cashier().hint(invoice->payment_hash);
    world.lightning.set_down(false);
    world.clock.advance(Seconds{1});
    CHECK(world.cashier().invoice_status(invoice->invoice_id)->state == InvoiceState::Paid);
}

TEST_CASE("cashier: a mint that is away is not asked about each of many invoices") {
    World world;
    for (int i = 0; i < 10; ++i) REQUIRE(world.cashier().open_invoice(for_new_key(9_sat)));
    const auto paid = world.cashier().open_invoice(for_new_key(9_sat));
    world.lightning.mark_paid(paid->payment_hash, 9000_msat);
    world.clock.advance(Seconds{10});
    world.node->client.set(FaultyMint::Fault::Away);
    const int before = world.node->client.calls();
    CHECK(*world.cashier().settle_invoices() == 0);
    CHECK(world.node->client.calls() - before == 2);
    // Their turn comes again.
    world.node->client.set(FaultyMint::Fault::None);
    world.clock.advance(Seconds{10});
    CHECK(*world.cashier().settle_invoices() == 1);
}

TEST_CASE("cashier: a paid quote whose ecash is late is credited when it comes, once") {
    World world;
    const KeyId key = world.key_of_token(1000_msat);
    const auto invoice = world.cashier().open_invoice(for_key(8_sat, key));
    world.lightning.mark_paid(invoice->payment_hash, 8000_msat);
    world.node->client.set(FaultyMint::Fault::AnswerLost);
    const auto status = world.cashier().invoice_status(invoice->invoice_id);
    REQUIRE(status.has_value());
    CHECK(status->state != InvoiceState::Paid);
    CHECK(world.balance(key) == 1000_msat);
    world.node->client.set(FaultyMint::Fault::None);
    world.clock.advance(Seconds{60});
    REQUIRE(world.node->wallet.recover());
    REQUIRE(world.cashier().settle_invoices());
    CHECK(world.cashier().invoice_status(invoice->invoice_id)->state == InvoiceState::Paid);
    CHECK(world.balance(key) == 9000_msat);
}

namespace {

// A network so fast that an invoice is paid, and its ecash issued, before its caller has heard of
// it: what the simulated one does with settle_ms = 0.
class Eager final : public LightningBackend {
public:
    explicit Eager(World& world) : world_{world} {}
    std::string name() const override { return real().name(); }
    Network network() const override { return real().network(); }
    Result<Invoice, BackendError> create_invoice(const InvoiceOrder& order) override {
        auto invoice = real().create_invoice(order);
        world_.lightning.mark_paid(invoice->hash, order.amount);
        CHECK(world_.node->wallet.settle_quote(invoice->hash)->state == PaymentState::Settled);
        return invoice;
    }
    Result<Payment, BackendError> incoming(const PaymentHash& hash) override {
        return real().incoming(hash);
    }
    Result<Payment, BackendError> pay(const PaymentOrder& order) override {
        return real().pay(order);
    }
    Result<Payment, BackendError> outgoing(const PaymentHash& hash) override {
        return real().outgoing(hash);
    }
    Result<Msat, BackendError> estimate_fee(const Bolt11& invoice, Msat amount) override {
        return real().estimate_fee(invoice, amount);
    }
    void on_change(std::function<void(const PaymentHash&)>) override {}

private:
    LightningBackend& real() const { return *world_.node->mint_lightning; }
    World& world_;
};

}  // namespace

TEST_CASE("cashier: money that is faster than its invoice waits for it, and is credited once") {
    World world;
    Eager eager{world};
    payment::PaymentMethods methods;
    methods.add(payment::make_lightning_method(eager, {}));
    Node& node = *world.node;
    Cashier cashier{node.database, node.ledger, node.keyring, node.books,
                    node.spending, node.wallet, methods,      node.seed,
                    node.clock,    node.random, {},           node.metrics};
    const auto invoice = cashier.open_invoice(for_new_key(33_sat));
    REQUIRE(invoice.has_value());
    const auto status = cashier.invoice_status(invoice->invoice_id);
    REQUIRE(status.has_value());
    CHECK(status->state == InvoiceState::Paid);
    REQUIRE(status->key.has_value());
    CHECK(world.balance(*status->key) == 33'000_msat);
    cashier.hint(invoice->payment_hash);
    CHECK(*cashier.settle_invoices() == 0);
    CHECK(world.balance(*status->key) == 33'000_msat);
}

TEST_CASE("cashier: a key made by an invoice has the limits that were asked for") {
    World world;
    auto request = for_new_key(5_sat);
    request.limits = {.balance_limit = 900_msat, .reset = LimitReset::Monthly};
    const auto invoice = world.cashier().open_invoice(request);
    world.lightning.mark_paid(invoice->payment_hash, 5000_msat);
    const auto key = world.cashier().invoice_status(invoice->invoice_id)->key;
    REQUIRE(key.has_value());
    CHECK(world.cashier().info(*key)->record.limits.balance_limit == 900_msat);
    CHECK(world.cashier().info(*key)->record.limits.reset == LimitReset::Monthly);
    request.limits.valid_until = world.clock.now();
    CHECK(world.cashier().open_invoice(request).error().code == Code::LimitInvalid);
    request.limits = {.balance_limit = {}, .reset = LimitReset::Daily};
    CHECK(world.cashier().open_invoice(request).error().code == Code::LimitInvalid);
}
