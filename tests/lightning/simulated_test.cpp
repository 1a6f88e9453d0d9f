#include "nutgate/lightning/simulated.h"

#include <doctest/doctest.h>

#include <barrier>
#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>

#include "contract/lightning_contract.h"
#include "nutgate/store/open.h"
#include "support/crash_database.h"
#include "support/fixed_clock.h"
#include "support/seeded_random.h"
#include "support/temp_dir.h"

using namespace nutgate;
using test::contract::check_settled;
using test::contract::invoice_order;
using test::contract::payment_order;

namespace {

constexpr Milliseconds kSettleAfter{500};

SimulatedLightning::Options options(Milliseconds settle_after = kSettleAfter) {
    return {.node_key = *crypto::Scalar::from_hex(std::string(64, '7')),
            .settle_after = settle_after};
}

// A node on a file of its own, with 1,000,000 msat to spend. Ends with what it holds being right.
class World {
public:
    explicit World(Milliseconds settle_after = kSettleAfter) : settle_after_{settle_after} {
        open();
        auto order = invoice_order("fund");
        order.amount = 1'000'000_msat;
        REQUIRE(node->create_invoice(order).has_value());
        clock.advance(settle_after_);
    }
    void open() {
        node.reset();
        database.reset();
        auto opened = store::open(folder_.database_url());
        REQUIRE(opened.has_value());
        database = *std::move(opened);
        REQUIRE(SimulatedLightning::migrate(*database).has_value());
        node = make(*database);
    }
    std::unique_ptr<SimulatedLightning> make(store::Database& on) {
        return std::make_unique<SimulatedLightning>(on, clock, scheduler, random,
                                                    options(settle_after_));
    }
    Msat balance() { return *simulated_balance(*database, clock); }
    // Of an invoice that nobody pays by itself.
    PaymentOrder own(const std::string& label, const std::string& description) {
        auto order = invoice_order(label);
        order.memo = description;
        return payment_order(node->create_invoice(order)->bolt11);
    }
    PaymentOrder outside(const std::string& description) {
        return payment_order(node->outside_invoice(test::contract::kAmount, description));
    }

    test::FixedClock clock;
    test::SeededRandom random;
    Scheduler scheduler;
    std::unique_ptr<store::Database> database;
    std::unique_ptr<SimulatedLightning> node;

private:
    test::TempDir folder_;
    Milliseconds settle_after_;
};

class SimulatedRig final : public test::LightningRig {
public:
    LightningBackend& backend() override { return *world_.node; }
    void pay_in(const Invoice&, Msat) override { world_.clock.advance(kSettleAfter); }
    std::string outside_invoice(Msat amount, Outcome outcome) override {
        switch (outcome) {
            case Outcome::Paid:
                return world_.node->outside_invoice(amount, "");
            case Outcome::Failed:
                return world_.node->outside_invoice(amount, "fail");
            case Outcome::UnknownThenPaid:
                return world_.node->outside_invoice(amount, "unknown-then-paid:3000");
            case Outcome::UnknownThenFailed:
                return world_.node->outside_invoice(amount, "unknown-then-failed:3000");
        }
        return {};
    }
    void wait_for_the_end_of(const PaymentHash&, Outcome) override {
        world_.clock.advance(Milliseconds{3000});
    }
    void reopen() override { world_.open(); }

private:
    World world_;
};

// Collects hints, and waits for one.
class Hints {
public:
    void operator()(const PaymentHash& hash) {
        const std::lock_guard lock{mutex_};
        seen_.insert(hash);
        changed_.notify_all();
    }
    bool wait_for(const PaymentHash& hash) {
        std::unique_lock lock{mutex_};
        return changed_.wait_for(lock, std::chrono::seconds{20},
                                 [&] { return seen_.contains(hash); });
    }
    bool has(const PaymentHash& hash) {
        const std::lock_guard lock{mutex_};
        return seen_.contains(hash);
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::set<PaymentHash> seen_;
};

}  // namespace

TEST_CASE("lightning contract: the simulated node keeps it") {
    test::lightning_contract([] { return std::make_unique<SimulatedRig>(); });
}

TEST_CASE("simulated lightning: an invoice is paid when its time has come, not before") {
    World world;
    const auto invoice = world.node->create_invoice(invoice_order("a"));
    world.clock.advance(kSettleAfter - Milliseconds{1});
    CHECK_EQ(world.node->incoming(invoice->hash)->state, PaymentState::Pending);
    CHECK_EQ(world.balance(), 1'000'000_msat);
    world.clock.advance(Milliseconds{1});
    check_settled(world.node->incoming(invoice->hash), invoice->hash);
    CHECK_EQ(world.balance(), 1'021'000_msat);
}

TEST_CASE("simulated lightning: settled stays settled when the clock is set back") {
    World world;
    const auto invoice = world.node->create_invoice(invoice_order("a"));
    world.clock.advance(kSettleAfter);
    check_settled(world.node->incoming(invoice->hash), invoice->hash);
    world.clock.advance(-Milliseconds{3'600'000});
    check_settled(world.node->incoming(invoice->hash), invoice->hash);
}

TEST_CASE("simulated lightning: what is due comes when the clock is set back") {
    World world;
    const auto invoice = world.node->create_invoice(invoice_order("a"));
    world.clock.advance(-Milliseconds{3'600'000});
    CHECK(world.node->incoming(invoice->hash)->state == PaymentState::Pending);
    world.clock.advance(kSettleAfter);
    check_settled(world.node->incoming(invoice->hash), invoice->hash);
}

TEST_CASE("simulated lightning: with no delay an invoice is paid at once") {
    World world{Milliseconds{0}};
    const auto invoice = world.node->create_invoice(invoice_order("a"));
    check_settled(world.node->incoming(invoice->hash), invoice->hash);
}

TEST_CASE("simulated lightning: what expires before it would be paid is never paid") {
    World world{Milliseconds{60'000}};
    auto order = invoice_order("short");
    order.expiry = Seconds{30};
    const auto invoice = world.node->create_invoice(order);
    world.clock.advance(Seconds{3600});
    CHECK_EQ(world.node->incoming(invoice->hash)->state, PaymentState::Pending);
}

TEST_CASE("simulated lightning: orders beyond its limits are refused") {
    World world;
    auto order = invoice_order("a");
    order.amount = *add(SimulatedLightning::kAmountMax, 1_msat);
    CHECK_EQ(world.node->create_invoice(order).error(), BackendError::Refused);
    order = invoice_order("a");
    order.expiry = Seconds{0};
    CHECK_EQ(world.node->create_invoice(order).error(), BackendError::Refused);
    order.expiry = Seconds::max();
    CHECK_EQ(world.node->create_invoice(order).error(), BackendError::Refused);
    CHECK_EQ(world.node->create_invoice(invoice_order("")).error(), BackendError::Refused);
    REQUIRE(world.node->create_invoice(invoice_order("a")).has_value());
    order = invoice_order("a");
    order.amount = 1_msat;
    CHECK_EQ(world.node->create_invoice(order).error(), BackendError::Refused);
}

TEST_CASE("simulated lightning: paying takes the amount once, and a failed payment nothing") {
    World world;
    const auto paid = world.outside("");
    check_settled(world.node->pay(paid), paid.hash);
    check_settled(world.node->pay(paid), paid.hash);
    CHECK_EQ(world.balance(), 979'000_msat);
    const auto failed = world.outside("fail");
    CHECK_EQ(world.node->pay(failed)->state, PaymentState::Failed);
    CHECK_EQ(world.node->outgoing(failed.hash)->state, PaymentState::Failed);
    CHECK_EQ(world.balance(), 979'000_msat);
}

TEST_CASE(
    "simulated lightning: a pending payment counts until it is gone, a failed one comes back") {
    World world;
    const auto pending = world.outside("pending:1000");
    CHECK_EQ(world.node->pay(pending)->state, PaymentState::Pending);
    const auto unknown = world.outside("unknown-then-failed:1000");
    CHECK_EQ(world.node->pay(unknown)->state, PaymentState::Pending);
    CHECK_EQ(world.balance(), 1'000'000_msat);
    world.clock.advance(Milliseconds{1000});
    check_settled(world.node->outgoing(pending.hash), pending.hash);
    CHECK_EQ(world.node->outgoing(unknown.hash)->state, PaymentState::Failed);
    CHECK_EQ(world.balance(), 979'000_msat);
}

TEST_CASE("simulated lightning: it spends no more than it holds, what is on its way included") {
    World world;
    const auto pay = [&](Msat amount, const std::string& description) {
        const auto text = world.node->outside_invoice(amount, description);
        return world.node->pay({.hash = parse_bolt11(text)->payment_hash,
                                .bolt11 = text,
                                .amount = amount,
                                .fee_max = 1000_msat});
    };
    CHECK_EQ(pay(1'000'001_msat, "").error(), BackendError::Refused);
    CHECK_EQ(pay(600'000_msat, "pending:1000")->state, PaymentState::Pending);
    CHECK_EQ(pay(400'001_msat, "").error(), BackendError::Refused);
    CHECK_EQ(pay(400'000_msat, "fee:1").error(), BackendError::Refused);
    CHECK_EQ(pay(400'000_msat, "")->state, PaymentState::Settled);
    world.clock.advance(Milliseconds{1000});
    CHECK_EQ(world.balance(), 0_msat);
}

TEST_CASE(
    "simulated lightning: a fee that was asked for is said before, and never beyond the limit") {
    World world;
    auto order = world.outside("fee:700");
    CHECK_EQ(*world.node->estimate_fee(*parse_bolt11(order.bolt11), order.amount), 700_msat);
    order.fee_max = 699_msat;
    CHECK_EQ(world.node->pay(order).error(), BackendError::Refused);
    order.fee_max = 700_msat;
    CHECK_EQ(world.node->pay(order)->fee, 700_msat);
    CHECK_EQ(world.balance(), 978'300_msat);
}

TEST_CASE("simulated lightning: paying an invoice of its own settles it, and nothing is lost") {
    World world;
    const auto order = world.own("a", "unpaid");
    world.clock.advance(Milliseconds{60'000});
    CHECK_EQ(world.node->incoming(order.hash)->state, PaymentState::Pending);
    check_settled(world.node->pay(order), order.hash);
    check_settled(world.node->incoming(order.hash), order.hash);
    CHECK_EQ(world.balance(), 1'000'000_msat);
}

TEST_CASE("simulated lightning: an invoice under our hash, of another amount, does not pay ours") {
    World world;
    const auto order = world.own("a", "unpaid");
    const auto before = world.balance();
    PaymentOrder forged = order;
    forged.amount = 1_msat;
    forged.bolt11 = write_bolt11({.network = Network::Regtest,
                                  .amount = forged.amount,
                                  .created_at = world.clock.now(),
                                  .payment_hash = order.hash,
                                  .description = ""},
                                 *crypto::Scalar::from_hex(std::string(64, '5')));
    CHECK(world.node->pay(forged).error() == BackendError::Refused);
    CHECK(world.node->incoming(order.hash)->state == PaymentState::Pending);
    CHECK(world.balance() == before);
}

TEST_CASE("simulated lightning: an own invoice ends as the payment of it does") {
    World world;
    const auto late = world.own("late", "unknown-then-paid:2000");
    CHECK_EQ(world.node->pay(late)->state, PaymentState::Pending);
    CHECK_EQ(world.node->incoming(late.hash)->state, PaymentState::Pending);
    const auto never = world.own("never", "fail");
    CHECK_EQ(world.node->pay(never)->state, PaymentState::Failed);
    world.clock.advance(Milliseconds{2000});
    check_settled(world.node->incoming(late.hash), late.hash);
    check_settled(world.node->outgoing(late.hash), late.hash);
    CHECK_EQ(world.node->incoming(never.hash)->state, PaymentState::Pending);
    CHECK_EQ(world.balance(), 1'000'000_msat);
}

TEST_CASE("simulated lightning: an invoice that is paid or expired is not paid") {
    World world;
    const auto invoice = world.node->create_invoice(invoice_order("a"));
    world.clock.advance(kSettleAfter);
    CHECK_EQ(world.node->pay(payment_order(invoice->bolt11)).error(), BackendError::Refused);
    const auto old = world.outside("");
    world.clock.advance(Seconds{3600});
    CHECK_EQ(world.node->pay(old).error(), BackendError::Refused);
}

TEST_CASE("simulated lightning: it takes any regtest invoice, with or without an amount") {
    World world;
    const auto invoice = [&](Network network, std::optional<Msat> amount) {
        return write_bolt11({.network = network,
                             .amount = amount,
                             .created_at = world.clock.now(),
                             .payment_hash = PaymentHash{world.random.bytes<32>()},
                             .description = "theirs"},
                            *crypto::Scalar::from_hex(std::string(64, '9')));
    };
    const auto paid = world.node->pay(payment_order(invoice(Network::Regtest, std::nullopt)));
    REQUIRE(paid.has_value());
    CHECK_EQ(paid->state, PaymentState::Settled);
    CHECK_FALSE(paid->preimage.has_value());
    CHECK_EQ(world.node->pay(payment_order(invoice(Network::Bitcoin, 21'000_msat))).error(),
             BackendError::Refused);
}

TEST_CASE("simulated lightning: a description that only looks like an outcome is a description") {
    World world;
    int label = 0;
    for (const std::string text : {"pending:", "pending:-1", "pending:9999999999999", "failed",
                                   "fee:x", "Fail", "unknown-then-paid", "pending:5 ms"}) {
        CAPTURE(text);
        auto order = invoice_order("text" + std::to_string(++label));
        order.memo = text;
        const auto invoice = world.node->create_invoice(order);
        world.clock.advance(kSettleAfter);
        CHECK_EQ(world.node->incoming(invoice->hash)->state, PaymentState::Settled);
        CHECK_EQ(world.node->pay(world.outside(text))->state, PaymentState::Settled);
    }
}

TEST_CASE(
    "simulated lightning: a hint comes for what is paid and what ends, also after a restart") {
    World world{Milliseconds{1}};
    Hints hints;
    world.node->on_change([&](const PaymentHash& hash) { hints(hash); });
    const auto invoice = world.node->create_invoice(invoice_order("a"));
    const auto pending = world.outside("pending:1");
    REQUIRE(world.node->pay(pending).has_value());
    world.clock.advance(Milliseconds{10});
    CHECK(hints.wait_for(invoice->hash));
    CHECK(hints.wait_for(pending.hash));

    const auto own = world.own("own", "unpaid");
    REQUIRE(world.node->pay(own).has_value());
    CHECK(hints.wait_for(own.hash));

    const auto late = world.node->create_invoice(invoice_order("late"));
    world.node.reset();
    world.clock.advance(Seconds{60});
    world.open();
    Hints after;
    world.node->on_change([&](const PaymentHash& hash) { after(hash); });
    CHECK(after.wait_for(late->hash));
    CHECK_FALSE(after.has(invoice->hash));
    check_settled(world.node->incoming(late->hash), late->hash);
    world.node.reset();  // Before the collectors of hints go.
}

TEST_CASE("simulated lightning: what is unknown ends without a hint") {
    World world{Milliseconds{1}};
    Hints hints;
    world.node->on_change([&](const PaymentHash& hash) { hints(hash); });
    const auto quiet = world.outside("unknown-then-paid:1");
    REQUIRE(world.node->pay(quiet).has_value());
    world.clock.advance(Milliseconds{10});
    // Whatever the first round noted is told of before the hint of a later one comes.
    const auto invoice = world.node->create_invoice(invoice_order("a"));
    world.clock.advance(Milliseconds{10});
    CHECK(hints.wait_for(invoice->hash));
    check_settled(world.node->outgoing(quiet.hash), quiet.hash);
    CHECK_FALSE(hints.has(quiet.hash));
    world.node.reset();
}

TEST_CASE("simulated lightning: many threads that pay one invoice pay it once") {
    World world;
    const auto order = world.outside("");
    constexpr int kThreads = 8;
    std::barrier start{kThreads};
    std::atomic<int> settled{0};
    {
        std::vector<std::jthread> threads;
        for (int i = 0; i < kThreads; ++i) {
            threads.emplace_back([&] {
                start.arrive_and_wait();
                const auto paid = world.node->pay(order);
                if (paid.has_value() && paid->state == PaymentState::Settled) ++settled;
                (void)world.node->create_invoice(invoice_order("same"));
            });
        }
    }
    CHECK_EQ(settled, kThreads);
    world.clock.advance(kSettleAfter);
    CHECK_EQ(world.balance(), 1'000'000_msat);  // 21,000 out, and 21,000 in by the one invoice.
}

TEST_CASE("simulated lightning: a crash at any point pays once and invoices once") {
    for (std::int64_t n = 1;; ++n) {
        World world;
        const auto order = world.outside("");
        test::CrashDatabase crash{*world.database};
        bool finished = false;
        {
            auto node = world.make(crash);
            crash.crash_at(n);
            const auto invoice = node->create_invoice(invoice_order("a"));
            const auto paid = node->pay(order);
            // Certain only where it is: never an error when the money may have left.
            if (!paid.has_value()) FAIL("an error of pay() must be certain");
            finished = !crash.crashed();
            if (finished) CHECK_EQ(paid->state, PaymentState::Settled);
        }
        world.open();
        CHECK(world.node->create_invoice(invoice_order("a")).has_value());
        check_settled(world.node->pay(order), order.hash);
        CHECK_EQ(world.balance(), 979'000_msat);
        if (finished) break;
    }
}

TEST_CASE(
    "simulated lightning: a database out of reach is a node out of reach, and pay is unknown") {
    World world;
    const auto order = world.outside("");
    test::CrashDatabase crash{*world.database};
    auto node = world.make(crash);
    crash.crash_at(1);
    CHECK_EQ(node->pay(order)->state, PaymentState::Pending);
    CHECK_EQ(node->create_invoice(invoice_order("a")).error(), BackendError::Unreachable);
    CHECK_EQ(node->outgoing(order.hash).error(), BackendError::Unreachable);
    CHECK_EQ(node->incoming(order.hash).error(), BackendError::Unreachable);
}
