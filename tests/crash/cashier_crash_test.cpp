// A process that dies at every statement and around every commit of a deposit, an invoice, a refund
// and a payout; and a network that fails each of their calls to the mint in every way, whether the
// process goes on or is started anew. Whatever was done, it ends: exactly once, and the books prove
// it.
#include <algorithm>
#include <filesystem>
#include <functional>

#include "cashier/world.h"
#include "support/crash_database.h"
#include "support/temp_dir.h"

using namespace nutgate;
using namespace nutgate::literals;
using test::Customer;
using test::FaultyMint;
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

using Play = std::function<void(Node&)>;
// Runs `operation` again and again, interrupted in another place each time, ends what is left of it
// and lets `check` see.
using Driver = void (*)(Beginning& world, Receive receive, const Play& operation,
                        const Play& check);

int unfinished(Node& node) {
    const auto operations =
        node.database.read([](store::Reader& reader)
                               -> Result<std::vector<cashu::OperationView>, store::StoreFailure> {
            return cashu::Wallet::operations(reader, 100);
        });
    REQUIRE(operations.has_value());
    return static_cast<int>(
        std::ranges::count_if(*operations, [](const cashu::OperationView& operation) {
            return operation.state == cashu::OperationState::Submitted ||
                   operation.state == cashu::OperationState::Blocked;
        }));
}

void finish(Beginning& world, Node& node, const Play& check) {
    node.audit();
    world.clock.advance(Seconds{60});
    REQUIRE(node.wallet.recover());
    REQUIRE(node.cashier->recover());
    node.audit();
    CHECK(unfinished(node) == 0);
    check(node);
    node.audit();
    CHECK(unfinished(node) == 0);
}

// Dies at the n-th step of `operation`, for every n; then starts again, and `check`s.
void at_every_step(Beginning& world, Receive receive, const Play& operation, const Play& check) {
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
        finish(world, node, check);
        if (!crashed) break;
        ++steps;
    }
    CHECK(steps > 5);  // Or nothing was tried.
}

enum class Afterwards {
    GoesOn,
    StartsAnew,
    FailsAgain,  // So does the first call of the recovery, and then of the process after it.
};

// Returns whether there was a n-th call.
bool fails_at(Beginning& world, Receive receive, const Play& operation, const Play& check, int n,
              FaultyMint::Fault fault, Afterwards afterwards) {
    world.copy();
    const auto database = world.open("try.db");
    auto node = std::make_unique<Node>(*database, world.lightning, world.clock, receive);
    REQUIRE(node->start());
    node->client.fault_at(n, fault);
    operation(*node);
    const bool came = node->client.came_so_far();
    if (afterwards == Afterwards::FailsAgain) {
        node->client.fault_at(1, fault);
        world.clock.advance(Seconds{60});
        REQUIRE(node->wallet.recover());
        REQUIRE(node->cashier->recover());
        node->audit();
    }
    if (afterwards != Afterwards::GoesOn) {
        auto straggler = node->client.take_straggler();
        node.reset();
        node = std::make_unique<Node>(*database, world.lightning, world.clock, receive);
        node->client.bring(std::move(straggler));
        if (afterwards == Afterwards::FailsAgain) node->client.fault_at(1, fault);
        REQUIRE(node->start());
        node->client.fault_at(0, fault);
    }
    finish(world, *node, check);
    return came;
}

// The n-th call to the mint fails, for every n and in every way.
void at_every_call(Beginning& world, Receive receive, const Play& operation, const Play& check) {
    using Fault = FaultyMint::Fault;
    for (const Fault fault :
         {Fault::Away, Fault::RequestLost, Fault::AnswerLost, Fault::Twice, Fault::Late,
          Fault::Later, Fault::ServerError, Fault::ProxyError, Fault::TooMany, Fault::Cut}) {
        for (const auto afterwards :
             {Afterwards::GoesOn, Afterwards::StartsAnew, Afterwards::FailsAgain}) {
            CAPTURE(static_cast<int>(fault));
            CAPTURE(static_cast<int>(afterwards));
            int n = 1;
            for (;; ++n) {
                CAPTURE(n);
                if (!fails_at(world, receive, operation, check, n, fault, afterwards)) break;
            }
            CHECK((n > 1 || receive == Receive::OverNode));  // Or nothing was tried.
        }
    }
}

// By somebody new: each try makes the same tokens, which one wallet would take once only.
Msat redeemed(const Beginning& world, Node& node, const std::string& token) {
    Customer stranger{world.clock, 100};
    stranger.connect(node);
    return stranger.redeem(token);
}

void deposit_once(Driver drive) {
    Beginning world;
    drive(
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

void top_up_once(Driver drive) {
    Beginning world;
    drive(
        world, Receive::OverMint,
        [&](Node& node) { (void)node.cashier->deposit_token(world.top_up, TopUp{*world.key}); },
        [&](Node& node) {
            for (int i = 0; i < 2; ++i) {
                REQUIRE(node.cashier->deposit_token(world.top_up, TopUp{*world.key}).has_value());
                CHECK(node.balance(*world.key) == 17'000_msat);
            }
        });
}

void invoice_once(Driver drive) {
    for (const Receive receive : {Receive::OverMint, Receive::OverNode}) {
        CAPTURE(static_cast<int>(receive));
        Beginning world;
        std::optional<OpenInvoice> shown;
        drive(
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

void refund_once(Driver drive) {
    Beginning world;
    drive(
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

void payout_once(Driver drive) {
    Beginning world;
    const OperationId request{ByteArray<16>{std::byte{9}}};
    drive(
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

}  // namespace

TEST_CASE("crash: a token's deposit makes its key once") { deposit_once(at_every_step); }

TEST_CASE("network: a token's deposit makes its key once") { deposit_once(at_every_call); }

TEST_CASE("crash: a token's top-up is credited once") { top_up_once(at_every_step); }

TEST_CASE("network: a token's top-up is credited once") { top_up_once(at_every_call); }

TEST_CASE("crash: an invoice that somebody saw is credited once") { invoice_once(at_every_step); }

TEST_CASE("network: an invoice that somebody saw is credited once") { invoice_once(at_every_call); }

TEST_CASE("crash: a refund is handed out once, and whole") { refund_once(at_every_step); }

TEST_CASE("network: a refund is handed out once, and whole") { refund_once(at_every_call); }

TEST_CASE("crash: the owner's payout is taken from revenue once") { payout_once(at_every_step); }

TEST_CASE("network: the owner's payout is taken from revenue once") { payout_once(at_every_call); }
