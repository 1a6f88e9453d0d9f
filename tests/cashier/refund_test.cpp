#include <latch>
#include <stop_token>
#include <thread>

#include "cashier/world.h"

using namespace nutgate;
using namespace nutgate::literals;
using test::FaultyMint;
using test::Receive;
using test::World;
using Code = CashierError::Code;

TEST_CASE("cashier: a refund is all whole sats, and the rest stays") {
    World world;
    const KeyId key = world.key_of_token(21'000_msat);
    world.charge(key, 1234_msat);
    const auto refund = world.cashier().refund(key);
    REQUIRE(refund.has_value());
    CHECK(refund->amount == 19_sat);
    CHECK_FALSE(refund->again);
    CHECK(world.balance(key) == 766_msat);
    CHECK(world.customer.redeem(refund->token) == 19'000_msat);
    CHECK(world.posted(revenue_account(kRevenueRequests)) == 1234_msat);
}

TEST_CASE("cashier: asked again with nothing new, a refund is the same token") {
    World world;
    const KeyId key = world.key_of_token(21'000_msat);
    const auto first = world.cashier().refund(key);
    REQUIRE(first.has_value());
    const auto second = world.cashier().refund(key);
    REQUIRE(second.has_value());
    CHECK(second->token == first->token);
    CHECK(second->again);

    // New money: a new token; the old one is not handed out for it.
    REQUIRE(world.cashier().deposit_token(world.token(5000_msat), TopUp{key}).has_value());
    const auto third = world.cashier().refund(key);
    REQUIRE(third.has_value());
    CHECK(third->token != first->token);
    CHECK(third->amount == 5_sat);

    // New money that was spent: there is nothing to hand out, old or new.
    REQUIRE(world.cashier().deposit_token(world.token(5000_msat), TopUp{key}).has_value());
    world.charge(key, 5000_msat);
    CHECK(world.cashier().refund(key).error().code == Code::NoBalance);
    CHECK(world.customer.redeem(first->token) == 21'000_msat);
    CHECK(world.customer.redeem(third->token) == 5000_msat);
}

TEST_CASE("cashier: a refund is refused where it is nobody's turn") {
    World world;
    const KeyId key = world.key_of_token(3000_msat);
    const KeyId child = world.cashier().create_children(key, 1, {})->keys.at(0);
    CHECK(world.cashier().refund(child).error().code == Code::ChildKey);
    CHECK(world.cashier().refund(KeyId{ByteArray<16>{}}).error().code == Code::KeyUnknown);

    const HoldId hold = world.begin_request(key, 1000_msat);
    CHECK(world.cashier().refund(key).error().code == Code::RequestsInFlight);
    CHECK(world.posted(key_account(key)) == 3000_msat);
    world.end_request(hold, 600_msat);
    world.charge(key, 1500_msat);
    CHECK(world.cashier().refund(key).error().code == Code::BalanceTooSmall);
    world.charge(key, 900_msat);
    CHECK(world.cashier().refund(key).error().code == Code::NoBalance);
}

TEST_CASE("cashier: what requests have spent is not refunded, in the books already or not") {
    World world;
    const KeyId key = world.key_of_token(9000_msat);
    auto& spending = world.node->spending;
    const auto hold = world.node->random.id<HoldId>();
    // 1300 msat were charged; the books know of none of it before the refund's pause.
    spending.unposted = {
        {.hold = hold, .sequence = 1, .key = key, .cost = 300_msat, .requests = 2},
        {.hold = hold, .sequence = 2, .key = key, .cost = 1000_msat, .requests = 1}};
    const auto post = [&](std::int64_t sequence, Msat cost) {
        REQUIRE(world.database->transact([&](store::Tx& tx) -> Result<bool, CashierError> {
            TRY_VOID(world.node->ledger.capture(
                tx, {hold, sequence, revenue_account(kRevenueRequests), cost}));
            return true;
        }));
    };
    const auto all_the_same = [&] {
        const auto info = world.cashier().info(key);
        REQUIRE(info.has_value());
        CHECK(info->balance == 7700_msat);
        CHECK(info->record.total_spent <= 1300_msat);
    };
    all_the_same();
    CHECK(world.cashier().info(key)->record.total_spent == 1300_msat);
    CHECK(world.cashier().info(key)->record.total_requests == 3);
    spending.on_pause = [&] {
        REQUIRE(world.database->transact([&](store::Tx& tx) -> Result<bool, CashierError> {
            TRY_VOID(world.node->ledger.hold(
                tx, {hold, key_account(key), 1300_msat, world.clock.now() + Seconds{600}}));
            return true;
        }));
        post(1, 300_msat);
        post(2, 1000_msat);
        spending.on_pause = {};
    };
    const auto refund = world.cashier().refund(key);
    REQUIRE(refund.has_value());
    CHECK(refund->amount == 7_sat);
    // They are told of still, and counted once.
    CHECK(world.balance(key) == 700_msat);
}

TEST_CASE("cashier: money that is at Lightning cannot be refunded as ecash, and nothing changes") {
    World world{Receive::OverNode};
    const auto invoice = world.cashier().open_invoice(
        {.amount = 50_sat, .purpose = InvoicePurpose::Create, .key = {}, .limits = {}});
    world.lightning.mark_paid(invoice->payment_hash, 50'000_msat);
    const KeyId key = *world.cashier().invoice_status(invoice->invoice_id)->key;
    CHECK(world.cashier().refund(key).error().code == Code::MintInsufficient);
    CHECK(world.balance(key) == 50'000_msat);
    // Somebody else's ecash is there for it: money is fungible, and this is the node's to lay out.
    REQUIRE(world.cashier().deposit_token(world.token(60'000_msat), Bearer{}).has_value());
    const auto refund = world.cashier().refund(key);
    REQUIRE(refund.has_value());
    CHECK(world.customer.redeem(refund->token) == 50'000_msat);
}

TEST_CASE("cashier: a refund whose answer was lost is taken from the balance, and comes") {
    World world;
    const KeyId key = world.key_of_token(13'000_msat);
    world.charge(key, 2000_msat);  // 11 sat of 13: a swap at the mint is needed.
    world.node->client.set(FaultyMint::Fault::AnswerLost);
    const auto lost = world.cashier().refund(key);
    REQUIRE_FALSE(lost.has_value());
    CHECK(lost.error().code == Code::InProgress);
    CHECK(lost.error().retry_after.has_value());
    CHECK(world.balance(key) == 0_msat);
    world.node->audit();
    CHECK(world.cashier().refund(key).error().code == Code::InProgress);

    world.node->client.set(FaultyMint::Fault::None);
    world.clock.advance(Seconds{60});
    REQUIRE(world.node->wallet.recover());
    REQUIRE(world.cashier().recover());
    const auto refund = world.cashier().refund(key);
    REQUIRE(refund.has_value());
    CHECK(refund->amount == 11_sat);
    CHECK(world.customer.redeem(refund->token) == 11'000_msat);
}

TEST_CASE("cashier: 32 refunds at once are one token") {
    World world;
    const KeyId key = world.key_of_token(31'000_msat);
    constexpr int kThreads = 32;
    std::latch start{kThreads};
    std::vector<std::string> tokens(kThreads);
    {
        std::vector<std::jthread> threads;
        for (std::size_t i = 0; i < kThreads; ++i) {
            threads.emplace_back([&, i] {
                start.arrive_and_wait();
                const auto refund = world.cashier().refund(key);
                if (refund) tokens[i] = refund->token;
            });
        }
    }
    const auto token = world.cashier().refund(key)->token;
    for (const std::string& one : tokens) CHECK((one.empty() || one == token));
    CHECK(world.customer.redeem(token) == 31'000_msat);
    CHECK(world.balance(key) == 0_msat);
}

TEST_CASE("cashier: refunds racing top-ups conserve the sum") {
    World world;
    const KeyId key = world.key_of_token(10'000_msat);
    constexpr int kTopUps = 8;
    std::vector<std::string> tokens;
    for (int i = 0; i < kTopUps; ++i) tokens.push_back(world.token(3000_msat));
    std::latch start{kTopUps + 4};
    std::mutex mutex;
    std::map<std::string, Sat> refunds;
    {
        std::vector<std::jthread> threads;
        for (const std::string& token : tokens) {
            threads.emplace_back([&] {
                start.arrive_and_wait();
                const auto topped = world.cashier().deposit_token(token, TopUp{key});
                CHECK(topped.has_value());
            });
        }
        for (int i = 0; i < 4; ++i) {
            threads.emplace_back([&] {
                start.arrive_and_wait();
                for (int j = 0; j < 3; ++j) {
                    const auto refund = world.cashier().refund(key);
                    const std::lock_guard lock{mutex};
                    if (refund) refunds.emplace(refund->token, refund->amount);
                }
            });
        }
    }
    if (const auto refund = world.cashier().refund(key)) {
        refunds.emplace(refund->token, refund->amount);
    }
    Msat out;
    for (const auto& [token, amount] : refunds) {
        CHECK(world.customer.redeem(token) == to_msat(amount));
        out = *add(out, to_msat(amount));
    }
    CHECK(add(out, world.balance(key)) == 34'000_msat);
}

TEST_CASE("cashier: the owner takes revenue, once for each request, and no msat more") {
    World world;
    const KeyId key = world.key_of_token(21'000_msat);
    world.charge(key, 8500_msat);
    CHECK(*world.cashier().revenue() == 8500_msat);
    const OperationId request{ByteArray<16>{std::byte{1}}};
    CHECK(world.cashier().owner_send(request, 9_sat).error().code == Code::RevenueInsufficient);
    const auto sent = world.cashier().owner_send(request, 8_sat);
    REQUIRE(sent.has_value());
    const auto again = world.cashier().owner_send(request, 8_sat);
    REQUIRE(again.has_value());
    CHECK(again->token == sent->token);
    CHECK(*world.cashier().revenue() == 500_msat);
    CHECK(
        world.cashier().owner_send(OperationId{ByteArray<16>{std::byte{2}}}, 1_sat).error().code ==
        Code::RevenueInsufficient);
    CHECK(world.customer.redeem(sent->token) == 8000_msat);
    CHECK(world.balance(key) == 12'500_msat);
    CHECK(world.customer.redeem(world.cashier().refund(key)->token) == 12'000_msat);
}

TEST_CASE("cashier: a payout that the mint refuses gives all back, and stays refused") {
    World world;
    const KeyId key = world.key_of_token(21'000_msat);
    world.charge(key, 8500_msat);
    world.node->client.set(FaultyMint::Fault::Refused);
    const auto payout = [&](int id) {
        return world.cashier().owner_send(OperationId{ByteArray<16>{std::byte(id)}}, 8_sat);
    };
    const auto refused = payout(1);
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().code == Code::MintRefused);
    CHECK(*world.cashier().revenue() == 8500_msat);
    const auto kept = world.cashier().refund(key);
    REQUIRE_FALSE(kept.has_value());
    CHECK(kept.error().code == Code::MintRefused);
    CHECK(world.balance(key) == 12'500_msat);
    world.node->audit();

    world.node->client.set(FaultyMint::Fault::None);
    // A request has one outcome; a new one has its own. A refund is not named by its caller.
    CHECK(payout(1).error().code == Code::MintRefused);
    const auto sent = payout(2);
    REQUIRE(sent.has_value());
    CHECK(*world.cashier().revenue() == 500_msat);
    const auto refund = world.cashier().refund(key);
    REQUIRE(refund.has_value());
    CHECK(world.customer.redeem(sent->token) == 8000_msat);
    CHECK(world.customer.redeem(refund->token) == 12'000_msat);
}

TEST_CASE("cashier: fees and losses are the owner's, not the customers'") {
    World world;
    const KeyId key = world.key_of_token(21'000_msat);
    world.charge(key, 8500_msat);
    // As the Settler books a loss. It stands for a mint's fees, too.
    const Account ecash = ecash_account(cashu::MintUrl::embedded(), cashu::Unit::Sat);
    const Account losses{AccountKind::Losses, "ecash"};
    const auto post = [&](int id, const Account& debit, const Account& credit) {
        REQUIRE(world.database->transact([&](store::Tx& tx) -> Result<Applied, CashierError> {
            TRY(const auto applied,
                world.node->ledger.transfer(tx, {.id = TransferId{ByteArray<32>{std::byte(id)}},
                                                 .debit = debit,
                                                 .credit = credit,
                                                 .amount = 600_msat}));
            return applied;
        }));
    };
    post(1, losses, ecash);
    CHECK(*world.cashier().revenue() == 7900_msat);
    const auto send = [&](int id, Sat amount) {
        return world.cashier().owner_send(OperationId{ByteArray<16>{std::byte(id)}}, amount);
    };
    CHECK(send(1, 8_sat).error().code == Code::RevenueInsufficient);
    CHECK(send(2, 7_sat).has_value());
    // What the customer has is still there as ecash.
    CHECK(world.posted(ecash) >= world.balance(key));
    post(2, ecash, losses);
}

TEST_CASE("cashier: a refund whose answer was lost is in the history, whatever came after it") {
    World world;
    const KeyId key = world.key_of_token(21'000_msat);
    world.clock.advance(Seconds{1});
    REQUIRE(world.cashier().refund(key).has_value());  // Nobody read it.
    world.clock.advance(Seconds{1});
    REQUIRE(world.cashier().deposit_token(world.token(5000_msat), TopUp{key}).has_value());
    world.clock.advance(Seconds{1});
    const auto second = world.cashier().refund(key);
    REQUIRE(second.has_value());

    const auto history = world.cashier().history(key);
    REQUIRE(history.has_value());
    REQUIRE(history->size() == 4);
    CHECK(history->at(0).token == second->token);
    CHECK(history->at(1).token.empty());
    CHECK(world.customer.redeem(history->at(2).token) == 21'000_msat);
    CHECK(world.customer.redeem(second->token) == 5000_msat);
}

TEST_CASE("cashier: history tells what came and went, newest first") {
    World world;
    const KeyId key = world.key_of_token(10'000_msat);
    world.clock.advance(Seconds{10});
    const auto invoice = world.cashier().open_invoice(
        {.amount = 5_sat, .purpose = InvoicePurpose::TopUp, .key = key, .limits = {}});
    world.lightning.mark_paid(invoice->payment_hash, 5000_msat);
    REQUIRE(world.cashier().invoice_status(invoice->invoice_id)->state == InvoiceState::Paid);
    world.clock.advance(Seconds{10});
    REQUIRE(world.cashier().refund(key).has_value());

    const auto history = world.cashier().history(key);
    REQUIRE(history.has_value());
    REQUIRE(history->size() == 3);
    using Source = HistoryEntry::Source;
    CHECK(history->at(0).source == Source::Refund);
    CHECK_FALSE(history->at(0).incoming);
    CHECK(history->at(0).amount == 15'000_msat);
    CHECK(history->at(1).source == Source::Lightning);
    CHECK(history->at(1).amount == 5000_msat);
    CHECK(history->at(2).source == Source::Cashu);
    CHECK(history->at(2).amount == 10'000_msat);
    CHECK(world.cashier().history(key, 1)->size() == 1);
    const KeyId child =
        world.cashier().create_children(world.key_of_token(1000_msat), 1, {})->keys.at(0);
    CHECK(world.cashier().history(child).error().code == Code::ChildKey);
}

TEST_CASE("cashier: children cost what is asked for them, and share their parent's balance") {
    Cashier::Options options;
    options.child_key_cost = 300_msat;
    World world{Receive::OverMint, options};
    const KeyId key = world.key_of_token(1000_msat);
    const auto children = world.cashier().create_children(
        key, 3, {.balance_limit = 50_msat, .reset = LimitReset::Weekly});
    REQUIRE(children.has_value());
    CHECK(children->cost == 900_msat);
    CHECK(children->balance == 100_msat);
    CHECK(world.cashier().create_children(key, 1, {}).error().code == Code::BalanceTooSmall);
    CHECK(world.cashier().create_children(key, 0, {}).error().code == Code::CountOutOfRange);
    CHECK(world.cashier().create_children(key, 51, {}).error().code == Code::CountOutOfRange);
    CHECK(world.cashier().create_children(children->keys[0], 1, {}).error().code == Code::ChildKey);

    const auto info = world.cashier().info(children->keys[0]);
    CHECK(info->balance == 100_msat);
    CHECK(info->record.parent == key);
    CHECK(world.cashier().info(key)->children.size() == 3);
    CHECK(world.cashier().reset_child(key, children->keys[0]).has_value());
    CHECK(world.cashier().reset_child(children->keys[1], children->keys[0]).error().code ==
          Code::NotTheParent);
    const KeyId other = world.key_of_token(1000_msat);
    CHECK(world.cashier().reset_child(other, children->keys[0]).error().code == Code::NotTheParent);
    CHECK(world.cashier().reset_child(key, other).error().code == Code::NotTheParent);
    const KeyId nobody{ByteArray<16>{}};
    CHECK(world.cashier().reset_child(key, nobody).error().code == Code::ChildUnknown);
    CHECK(world.cashier().reset_child(nobody, children->keys[0]).error().code == Code::KeyUnknown);
}

TEST_CASE(
    "cashier: an audit finds proofs that the books do not know, and only a sound one is sealed") {
    World world;
    const KeyId key = world.key_of_token(10'000_msat);
    const Transfer wrong{.id = TransferId{ByteArray<32>{}},
                         .debit = ecash_account(cashu::MintUrl::embedded(), cashu::Unit::Sat),
                         .credit = key_account(key),
                         .amount = 7_msat};
    Transfer mended = wrong;
    mended.id = TransferId{ByteArray<32>{std::byte{1}}};
    std::swap(mended.debit, mended.credit);
    const auto post = [&](const Transfer& transfer) {
        REQUIRE(world.database->transact([&](store::Tx& tx) -> Result<Applied, CashierError> {
            TRY(const auto applied, world.node->ledger.transfer(tx, transfer));
            return applied;
        }));
    };
    post(wrong);
    const auto report = world.cashier().audit_report(Ledger::Depth::Full);
    REQUIRE(report.has_value());
    CHECK_FALSE(report->sound());
    CHECK(report->ledger.sound());  // The books by themselves add up: it takes both to see it.
    REQUIRE(report->faults.size() == 1);
    CHECK(report->faults[0].find("7 msat") != std::string::npos);

    // What is not sound is not sealed: the next audit looks at it again.
    const auto checked = [&] {
        const auto sealed = world.cashier().audit_and_seal();
        REQUIRE(sealed.has_value());
        return std::pair{sealed->sound(), sealed->ledger.transfers_checked};
    };
    const auto all = report->ledger.transfers_checked;
    CHECK(checked() == std::pair{false, all});
    CHECK(checked() == std::pair{false, all});
    post(mended);
    CHECK(checked() == std::pair{true, all + 1});
    CHECK(checked() == std::pair{true, std::int64_t{0}});
}

TEST_CASE("cashier: a checkpoint of many transfers is sealed in steps, to the end unless stopped") {
    World world;
    world.key_of_token(21'000_msat);
    constexpr int kMany = 1200;
    REQUIRE(world.database->transact([&](store::Tx& tx) -> Result<Applied, CashierError> {
        Transfer nothing{.id = TransferId{ByteArray<32>{}},
                         .debit = revenue_account(kRevenueRequests),
                         .credit = revenue_account(kRevenueMint),
                         .amount = 0_msat};
        for (int i = 1; i <= kMany; ++i) {
            nothing.id = TransferId{
                ByteArray<32>{static_cast<std::byte>(i), static_cast<std::byte>(i >> 8)}};
            TRY_VOID(world.node->ledger.transfer(tx, nothing));
        }
        return Applied::Now;
    }));
    const auto newer = [&] {
        return world.cashier()
            .audit_report(Ledger::Depth::SinceCheckpoint)
            ->ledger.transfers_checked;
    };
    const std::int64_t all = newer();
    std::stop_source stopped;
    stopped.request_stop();
    REQUIRE(world.cashier().audit_and_seal(stopped.get_token()));
    const std::int64_t left = newer();
    CHECK(left > 0);
    CHECK(left < all);
    REQUIRE(world.cashier().audit_and_seal());
    CHECK(newer() == 0);
}
