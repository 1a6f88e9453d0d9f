// A process that dies at every statement and around every commit of a deposit, an invoice and a
// refund. Whatever it had done, the next one ends it: exactly once, and the books prove it.
#include <filesystem>
#include <functional>

#include "cashier/world.h"
#include "support/crash_database.h"
#include "support/temp_dir.h"

using namespace nutgate;
using namespace nutgate::literals;
using test::Customer;
using test::Node;
using test::Receive;

namespace {

// What all tries begin from: a node's database on disk, and the texts that are out in the world.
struct Beginning {
    test::TempDir folder;
    test::FixedClock clock;
    test::FakeLightning lightning{clock};
    Customer customer{clock};
    std::string token;
    std::string top_up;
    std::optional<KeyId> key;  // With 11 sat on it, and 2 of revenue.

    Beginning() {
        const auto database = open("base.db");
        test::migrate_all(*database);
        Node node{*database, lightning, clock};
        REQUIRE(node.start());
        customer.connect(node);
        customer.fund(lightning, 40'000_msat);
        token = customer.token(21'000_msat);
        top_up = customer.token(6000_msat);
        key = node.cashier->deposit_token(customer.token(13'000_msat), Bearer{})->key;
        REQUIRE(database->transact([&](store::Tx& tx) -> Result<bool, CashierError> {
            TRY_VOID(node.ledger.transfer(tx, {.id = TransferId{ByteArray<32>{}},
                                               .debit = key_account(*key),
                                               .credit = revenue_account(kRevenueRequests),
                                               .amount = 2000_msat}));
            return true;
        }));
        node.audit();
    }

    std::unique_ptr<store::Database> open(const std::string& name) const {
        auto database = store::open("sqlite:" + folder.file(name));
        REQUIRE(database.has_value());
        return *std::move(database);
    }
    // A fresh copy of the beginning.
    void copy() const {
        for (const std::string end : {"", "-wal", "-shm"}) {
            std::filesystem::remove(folder.file("try.db" + end));
        }
        std::filesystem::copy_file(folder.file("base.db"), folder.file("try.db"));
    }
};

// Dies at the n-th step of `operation`, for every n; then starts again, and `check`s.
void at_every_step(Beginning& world, Receive receive, const std::function<void(Node&)>& operation,
                   const std::function<void(Node&)>& check) {
    int steps = 0;
    for (std::int64_t n = 1;; ++n) {
        CAPTURE(n);
        world.copy();
        bool crashed = false;
        {
            const auto database = world.open("try.db");
            test::CrashDatabase dying{*database};
            Node node{dying, world.lightning, world.clock, receive};
            REQUIRE(node.start());
            dying.crash_at(n);
            operation(node);
            crashed = dying.crashed();
        }
        const auto database = world.open("try.db");
        Node node{*database, world.lightning, world.clock, receive};
        REQUIRE(node.start());
        node.audit();
        world.clock.advance(Seconds{60});
        REQUIRE(node.wallet.recover());
        REQUIRE(node.cashier->recover());
        node.audit();
        check(node);
        node.audit();
        if (!crashed) break;
        ++steps;
    }
    CHECK(steps > 5);  // Or nothing was tried.
}

// By somebody new: each try makes the same tokens, which one wallet would take once only.
Msat redeemed(const Beginning& world, Node& node, const std::string& token) {
    Customer stranger{world.clock, 100};
    stranger.connect(node);
    return stranger.redeem(token);
}

}  // namespace

TEST_CASE("crash: a token's deposit makes its key once") {
    Beginning world;
    at_every_step(
        world, Receive::OverMint,
        [&](Node& node) { (void)node.cashier->deposit_token(world.token, Bearer{}); },
        [&](Node& node) {
            for (int i = 0; i < 2; ++i) {
                const auto deposit = node.cashier->deposit_token(world.token, Bearer{});
                REQUIRE(deposit.has_value());
                CHECK(deposit->credited == 21'000_msat);
                CHECK(node.balance(deposit->key) == 21'000_msat);
            }
        });
}

TEST_CASE("crash: a token's top-up is credited once") {
    Beginning world;
    at_every_step(
        world, Receive::OverMint,
        [&](Node& node) { (void)node.cashier->deposit_token(world.top_up, TopUp{*world.key}); },
        [&](Node& node) {
            for (int i = 0; i < 2; ++i) {
                REQUIRE(node.cashier->deposit_token(world.top_up, TopUp{*world.key}).has_value());
                CHECK(node.balance(*world.key) == 17'000_msat);
            }
        });
}

TEST_CASE("crash: an invoice that somebody saw is credited once") {
    for (const Receive receive : {Receive::OverMint, Receive::OverNode}) {
        CAPTURE(static_cast<int>(receive));
        Beginning world;
        std::optional<OpenInvoice> shown;
        at_every_step(
            world, receive,
            [&](Node& node) {
                shown.reset();
                const auto invoice = node.cashier->open_invoice({.amount = 5_sat,
                                                                 .purpose = InvoicePurpose::TopUp,
                                                                 .key = world.key,
                                                                 .limits = {}});
                if (!invoice) return;
                shown = *invoice;
                world.lightning.mark_paid(invoice->payment_hash, 5000_msat);
                (void)node.cashier->invoice_status(invoice->invoice_id);
            },
            [&](Node& node) {
                if (shown) {
                    const auto status = node.cashier->invoice_status(shown->invoice_id);
                    REQUIRE(status.has_value());
                    CHECK(status->state == InvoiceState::Paid);
                }
                node.cashier->hint(shown ? shown->payment_hash : PaymentHash{ByteArray<32>{}});
                CHECK(node.balance(*world.key) == (shown ? 16'000_msat : 11'000_msat));
            });
    }
}

TEST_CASE("crash: a refund is handed out once, and whole") {
    Beginning world;
    at_every_step(
        world, Receive::OverMint, [&](Node& node) { (void)node.cashier->refund(*world.key); },
        [&](Node& node) {
            const auto refund = node.cashier->refund(*world.key);
            REQUIRE(refund.has_value());
            CHECK(refund->amount == 11_sat);
            CHECK(node.cashier->refund(*world.key)->token == refund->token);
            CHECK(node.balance(*world.key) == 0_msat);
            CHECK(redeemed(world, node, refund->token) == 11'000_msat);
        });
}

TEST_CASE("crash: the owner's payout is taken from revenue once") {
    Beginning world;
    const OperationId request{ByteArray<16>{std::byte{9}}};
    at_every_step(
        world, Receive::OverMint,
        [&](Node& node) { (void)node.cashier->owner_send(request, 2_sat); },
        [&](Node& node) {
            const auto payout = node.cashier->owner_send(request, 2_sat);
            REQUIRE(payout.has_value());
            CHECK(node.cashier->owner_send(request, 2_sat)->token == payout->token);
            CHECK(*node.cashier->revenue() == 0_msat);
            CHECK(node.balance(*world.key) == 11'000_msat);
            CHECK(redeemed(world, node, payout->token) == 2000_msat);
        });
}
