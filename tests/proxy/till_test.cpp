// The till by itself, over real books: what it promises, one by one.
#include "nutgate/proxy/till.h"

#include <doctest/doctest.h>

#include <deque>
#include <future>

#include "till_customer.h"

using namespace nutgate;
using namespace nutgate::test;
using namespace nutgate::literals;
using Why = proxy::DrawRefusal::Why;

namespace {

Msat unposted(const Node& node, const KeyId& key) {
    Msat sum;
    for (const auto& charge : node.till->view(key).unposted) sum = *add(sum, charge.cost);
    return sum;
}

}  // namespace

TEST_CASE("till: many draws cost one hold, and what is told is what is left") {
    Node node;
    const KeyId key = node.make_key(100'000_msat);
    for (int i = 1; i <= 50; ++i) {
        const Msat left = spend(node, key, 1000_msat, 100_msat);
        CHECK(left == *Msat::from_raw(100'000 - 100 * i));
    }
    CHECK(node.audit().holds_open == 1);
    node.settle();
    CHECK(node.balance(key).posted == 95'000_msat);
    CHECK(node.balance(key).held == 0_msat);
    CHECK(node.record(key).total_spent == 5000_msat);
    CHECK(node.record(key).total_requests == 50);
}

TEST_CASE("till: many charges are one transfer") {
    Node node;
    node.till_options.post_delay = Milliseconds{60'000};
    node.settle();
    const KeyId key = node.make_key(100'000_msat);
    const auto before = node.audit().transfers;
    for (int i = 0; i < 50; ++i) (void)spend(node, key, 1000_msat, 100_msat);
    CHECK(unposted(node, key) == 5000_msat);
    node.settle();
    CHECK(node.audit().transfers == before + 1);
    CHECK(node.balance(key).posted == 95'000_msat);
}

TEST_CASE("till: a draw that is dropped gives all of it back, and counts as no request") {
    Node node;
    const KeyId key = node.make_key(1000_msat);
    { const auto drawn = draw(node, key, 1000_msat); }
    CHECK(spend(node, key, 1000_msat, 1000_msat) == 0_msat);
    node.settle();
    CHECK(node.record(key).total_requests == 1);
}

TEST_CASE("till: what is drawn is drawn from nobody else, and a refusal says what is left") {
    Node node;
    const KeyId key = node.make_key(1000_msat);
    auto first = draw(node, key, 700_msat);
    REQUIRE(first.has_value());
    const auto second = draw(node, key, 301_msat);
    REQUIRE_FALSE(second.has_value());
    CHECK(second.error().why == Why::BalanceShort);
    CHECK(second.error().available == 300_msat);
    CHECK(node.till->view(key).open == 700_msat);
    CHECK(first->settle(200_msat) == 800_msat);
    CHECK(draw(node, key, 800_msat).has_value());
}

TEST_CASE("till: a key that there is not, or that is over, draws nothing") {
    Node node;
    CHECK(draw(node, Keyring::random_id(node.random), 1_msat).error().why == Why::KeyUnknown);
    const KeyId key = node.make_key(1000_msat, {.valid_until = node.clock.now() + Seconds{60}});
    CHECK(spend(node, key, 1_msat, 1_msat) == 999_msat);
    CHECK(node.till->pause(key).has_value());  // A charge is not to wait for so long.
    CHECK(spend(node, key, 1_msat, 0_msat) == 999_msat);
    // Its slice is there, and covers it.
    node.clock.advance(Seconds{60});
    CHECK(draw(node, key, 1_msat).error().why == Why::KeyExpired);
}

TEST_CASE("till: of 64 draws at once of a balance for one, one is given") {
    Node node;
    const KeyId key = node.make_key(1000_msat);
    std::deque<Drawn> drawn;
    std::mutex mutex;
    std::vector<std::function<http::Task<void>()>> tasks;
    for (int i = 0; i < 64; ++i) {
        tasks.emplace_back([&]() -> http::Task<void> {
            auto answer = co_await node.till->draw(key, 1000_msat);
            const std::lock_guard lock{mutex};
            drawn.push_back(std::move(answer));
        });
    }
    run_all(std::move(tasks), 4);
    CHECK(std::ranges::count_if(drawn, [](const Drawn& one) { return one.has_value(); }) == 1);
}

TEST_CASE("till: a child's limit holds for all of its draws together, in whatever pieces") {
    Node node;
    const KeyId parent = node.make_key(100'000_msat);
    const KeyId child = node.make_key(0_msat, {.balance_limit = 1000_msat}, parent);
    CHECK(spend(node, child, 400_msat, 100_msat) == 900_msat);
    auto open = draw(node, child, 600_msat);
    REQUIRE(open.has_value());
    const auto beyond = draw(node, child, 301_msat);
    REQUIRE_FALSE(beyond.has_value());
    CHECK(beyond.error().why == Why::LimitExceeded);
    CHECK(beyond.error().available == 300_msat);
    CHECK(open->settle(600_msat) == 300_msat);
    CHECK(spend(node, child, 300_msat, 300_msat) == 0_msat);
    CHECK(draw(node, child, 1_msat).error().why == Why::LimitExceeded);
    node.settle();
    CHECK(node.record(child).limit_spent == 1000_msat);
    CHECK(node.record(child).limit_held == 0_msat);
    CHECK(node.balance(parent).posted == 99'000_msat);
}

TEST_CASE("till: what lies idle in one key's slice is there for the others of its balance") {
    Node node;
    const KeyId parent = node.make_key(1000_msat);
    const KeyId a = node.make_key(0_msat, {}, parent);
    const KeyId b = node.make_key(0_msat, {.balance_limit = 900_msat}, parent);
    CHECK(spend(node, a, 100_msat, 10_msat) == 990_msat);  // Its slice has all there is by now.
    CHECK(spend(node, b, 900_msat, 100_msat) == 800_msat);
    CHECK(spend(node, parent, 890_msat, 1_msat) == 889_msat);
    const auto beyond = draw(node, a, 890_msat);
    REQUIRE_FALSE(beyond.has_value());
    CHECK(beyond.error().why == Why::BalanceShort);
    CHECK(beyond.error().available == 889_msat);
    CHECK(spend(node, a, 889_msat, 889_msat) == 0_msat);
    node.settle();
    CHECK(node.balance(parent).posted == 0_msat);
}

TEST_CASE("till: money that comes in can be spent, and is told of, with the next draw") {
    Node node;
    const KeyId key = node.make_key(1000_msat);
    CHECK(spend(node, key, 1000_msat, 400_msat) == 600_msat);
    CHECK(draw(node, key, 601_msat).error().why == Why::BalanceShort);
    credit(node, key, 5000_msat);
    CHECK(draw(node, key, 5600_msat).has_value());
    credit(node, key, 1000_msat);
    node.till->credited(key);
    CHECK(spend(node, key, 1_msat, 1_msat) == 6599_msat);
}

TEST_CASE("till: while it is paused nothing is drawn, all is posted and what is idle is back") {
    Node node;
    node.till_options.post_delay = Milliseconds{60'000};
    node.settle();
    const KeyId key = node.make_key(1000_msat);
    (void)spend(node, key, 100_msat, 30_msat);
    auto open = draw(node, key, 200_msat);
    REQUIRE(open.has_value());
    {
        const auto pause = node.till->pause(key);
        REQUIRE(pause.has_value());
        CHECK(pause->open() == 200_msat);
        CHECK(node.balance(key).posted == 970_msat);
        CHECK(node.balance(key).held == 200_msat);
    }
    CHECK(open->settle(50_msat) == 920_msat);
    const auto pause = node.till->pause(key);
    CHECK(pause->open() == 0_msat);
    CHECK(node.balance(key).posted == 920_msat);
    CHECK(node.balance(key).held == 0_msat);
}

TEST_CASE("till: who draws while it is paused gets what is left when that is over") {
    Node node;
    const KeyId key = node.make_key(1000_msat);
    (void)spend(node, key, 100_msat, 0_msat);
    auto pause = std::make_optional(node.till->pause(key));
    REQUIRE(pause->has_value());
    std::vector<Drawn> drawn;
    run_all(
        {[&]() -> http::Task<void> {
             auto answer = co_await node.till->draw(key, 600_msat);
             drawn.push_back(std::move(answer));
         },
         [&]() -> http::Task<void> {
             // A refund takes most of it meanwhile.
             REQUIRE(
                 node.database->transact([&](store::Tx& tx) -> Result<bool, Node::LedgerOrStore> {
                     TRY_VOID(node.ledger.transfer(tx, {.id = TransferId{node.random.bytes<32>()},
                                                        .debit = key_account(key),
                                                        .credit = {AccountKind::Ecash, "test:sat"},
                                                        .amount = 500_msat}));
                     return true;
                 }));
             CHECK(drawn.empty());
             pause.reset();
             co_return;
         }});
    REQUIRE(drawn.size() == 1);
    REQUIRE_FALSE(drawn[0].has_value());
    CHECK(drawn[0].error().why == Why::BalanceShort);
    CHECK(drawn[0].error().available == 500_msat);
}

TEST_CASE("till: a slice that nobody uses goes back to its balance") {
    Node node;
    const KeyId key = node.make_key(1000_msat);
    (void)spend(node, key, 100_msat, 30_msat);
    CHECK(node.till->pause(key).has_value());  // Posted.
    auto open = draw(node, key, 100_msat);
    node.clock.advance(Seconds{5});
    node.till->tend();
    CHECK(node.balance(key).held > 0_msat);
    CHECK(open->settle(0_msat) == 970_msat);
    node.till->tend();
    CHECK(node.balance(key).held > 0_msat);  // Used a moment ago.
    node.clock.advance(Seconds{5});
    node.till->tend();
    CHECK(node.balance(key).held == 0_msat);
    CHECK(node.audit().holds_open == 0);
    CHECK(spend(node, key, 970_msat, 0_msat) == 970_msat);
}

TEST_CASE("till: a draw that costs nothing keeps its slice as long as it is open") {
    Node node;
    const KeyId key = node.make_key(1000_msat);
    auto open = draw(node, key, 0_msat);
    REQUIRE(open.has_value());
    node.clock.advance(Seconds{5});
    node.till->tend();
    CHECK(node.metrics.gauge("nutgate_proxy_slices", "").value() == 1);
    CHECK(open->settle(0_msat) == 1000_msat);
    node.clock.advance(Seconds{5});
    node.till->tend();
    CHECK(node.metrics.gauge("nutgate_proxy_slices", "").value() == 0);
}

TEST_CASE("till: a slice that is forgotten while others are given back is not looked at again") {
    Node node;
    const KeyId key = node.make_key(1000_msat);
    const KeyId other = node.make_key(1000_msat);
    (void)spend(node, key, 100_msat, 0_msat);
    CHECK(node.till->pause(key).has_value());  // It has no hold any more, and is known still.
    (void)spend(node, other, 100_msat, 0_msat);
    node.clock.advance(Seconds{5});
    Why why = Why::Broken;
    node.faulty.before_submit = [&] { why = draw(node, key, 1001_msat).error().why; };
    node.till->tend();
    CHECK(why == Why::BalanceShort);
    CHECK(node.metrics.gauge("nutgate_proxy_slices", "").value() == 0);
    CHECK(spend(node, key, 1000_msat, 1000_msat) == 0_msat);
}

TEST_CASE("till: no charge is lost or made by a database that fails for a while") {
    Node node;
    node.till_options.retry_delay = Milliseconds{1};
    node.till_options.pause_timeout = Milliseconds{500};
    node.settle();
    const KeyId key = node.make_key(10'000_msat);
    (void)spend(node, key, 100_msat, 30_msat);
    node.faulty.failing = true;
    for (int i = 0; i < 10; ++i) (void)spend(node, key, 100_msat, 30_msat);
    const KeyId other = node.make_key(500_msat);
    CHECK(draw(node, other, 100_msat).error().why == Why::StoreUnavailable);
    CHECK_FALSE(node.till->pause(key).has_value());
    node.clock.advance(Seconds{5});
    node.till->tend();
    node.faulty.failing = false;
    CHECK(node.till->pause(key).has_value());
    CHECK(node.balance(key).posted == 9670_msat);
    CHECK(node.balance(key).held == 0_msat);
    CHECK(spend(node, other, 500_msat, 500_msat) == 0_msat);
}

TEST_CASE("till: who draws while the books are behind waits until they have caught up") {
    Node node;
    node.till_options.retry_delay = Milliseconds{1};
    node.settle();
    const KeyId key = node.make_key(10'000_msat);
    (void)spend(node, key, 100_msat, 0_msat);
    node.faulty.failing = true;
    (void)spend(node, key, 100_msat, 30_msat);
    node.clock.advance(node.till_options.unposted_age_wait);
    CHECK(draw(node, key, 100_msat).has_value());  // Not more than that: it is not kept.
    node.clock.advance(Milliseconds{1});
    std::vector<Drawn> drawn;
    run_all({[&]() -> http::Task<void> {
                 auto answer = co_await node.till->draw(key, 600_msat);
                 drawn.push_back(std::move(answer));
             },
             [&]() -> http::Task<void> {
                 CHECK(drawn.empty());
                 node.faulty.failing = false;
                 co_return;
             }});
    REQUIRE(drawn.size() == 1);
    REQUIRE(drawn[0].has_value());
    CHECK(node.balance(key).posted == 9970_msat);
    CHECK(node.metrics.counter("nutgate_proxy_held_up_draws_total", "").value() == 1);
    CHECK(drawn[0]->settle(600_msat) == 9370_msat);
}

TEST_CASE("till: who waits for books that don't come is refused, and so is who comes then") {
    Node node;
    node.till_options.retry_delay = Milliseconds{1};
    node.settle();
    const KeyId key = node.make_key(10'000_msat);
    (void)spend(node, key, 100_msat, 0_msat);
    node.faulty.failing = true;
    auto open = draw(node, key, 100_msat);
    REQUIRE(open.has_value());
    (void)spend(node, key, 100_msat, 30_msat);
    node.clock.advance(Milliseconds{100});
    std::vector<Why> whys;
    run_all({[&]() -> http::Task<void> {
                 const auto answer = co_await node.till->draw(key, 100_msat);
                 REQUIRE_FALSE(answer.has_value());
                 whys.push_back(answer.error().why);
             },
             [&]() -> http::Task<void> {
                 const auto answer = co_await open->grow_of_books({100_msat, 200_msat});
                 REQUIRE_FALSE(answer.has_value());
                 whys.push_back(answer.error().why);
             },
             [&]() -> http::Task<void> {
                 CHECK(whys.empty());
                 node.clock.advance(node.till_options.unposted_age_max);
                 co_return;
             }});
    CHECK(whys == std::vector{Why::Overloaded, Why::Overloaded});
    CHECK(draw(node, key, 100_msat).error().why == Why::Overloaded);
    CHECK(open->settle(100_msat) == 9870_msat);
    node.faulty.failing = false;
    CHECK(node.till->pause(key).has_value());
    CHECK(node.balance(key).posted == 9870_msat);
}

TEST_CASE("till: a commit that seems to fail takes and charges no more than one that does not") {
    Node node;
    node.till_options.retry_delay = Milliseconds{1};
    node.till_options.pause_timeout = Milliseconds{500};
    node.settle();
    const KeyId parent = node.make_key(1000_msat);
    const KeyId key = node.make_key(0_msat, {.balance_limit = 800_msat}, parent);
    node.faulty.lying = true;  // Committed, and told to have failed.
    CHECK(draw(node, key, 100_msat).error().why == Why::StoreUnavailable);
    CHECK(draw(node, key, 100_msat).error().why == Why::StoreUnavailable);
    node.faulty.lying = false;
    CHECK(spend(node, key, 100_msat, 100_msat) == 700_msat);
    node.faulty.lying = true;
    (void)spend(node, key, 100_msat, 100_msat);
    CHECK_FALSE(node.till->pause(parent).has_value());
    node.faulty.lying = false;
    CHECK(node.till->pause(parent).has_value());
    CHECK(node.balance(parent).posted == 800_msat);
    CHECK(node.balance(parent).held == 0_msat);
    CHECK(node.record(key).limit_spent == 200_msat);
    CHECK(node.record(key).limit_held == 0_msat);
    CHECK(spend(node, key, 600_msat, 600_msat) == 0_msat);
}

TEST_CASE("till: keys and children that draw, settle, are topped up and paused at once add up") {
    Node node;
    const KeyId parent = node.make_key(200'000_msat);
    std::vector<KeyId> keys{parent};
    for (int i = 0; i < 3; ++i) {
        keys.push_back(node.make_key(0_msat, {.balance_limit = 40'000_msat}, parent));
    }
    // Whose money a key spends is known from its first draw on; before it, no pause stops it.
    for (const KeyId& key : keys) (void)spend(node, key, 100_msat, 0_msat);
    std::atomic<std::int64_t> charged = 0;
    std::vector<std::function<http::Task<void>()>> tasks;
    for (int i = 0; i < 16; ++i) {
        tasks.emplace_back([&, i]() -> http::Task<void> {
            for (int n = 0; n < 200; ++n) {
                const KeyId key = keys[static_cast<std::size_t>(i + n) % keys.size()];
                auto drawn = co_await node.till->draw(key, *Msat::from_raw(100 + 37 * i));
                if (!drawn) continue;
                const Msat cost = *Msat::from_raw((n * 13 + i) % 90);
                (void)drawn->settle(cost);
                charged += cost.raw();
            }
        });
    }
    {
        std::atomic<bool> done = false;
        const std::jthread pauser{[&] {
            while (!done) {
                const auto pause = node.till->pause(parent);
                if (pause && pause->open() == 0_msat) CHECK(node.balance(parent).held == 0_msat);
                node.till->tend();
            }
        }};
        run_all(std::move(tasks), 3);
        done = true;
    }
    node.settle();
    CHECK(node.balance(parent).posted == *Msat::from_raw(200'000 - charged));
    CHECK(charged > 0);
}

TEST_CASE("till: the faster a key is used, the further ahead its slice is taken") {
    Node node;
    node.till_options.requests_ahead = 4;
    node.till_options.requests_ahead_max = 16;
    node.settle();
    const KeyId key = node.make_key(1'000'000_msat);
    std::deque<Drawn> open;
    const auto held_after = [&](Msat amount) {
        open.push_back(draw(node, key, amount));
        REQUIRE(open.back().has_value());
        return node.balance(key).held;
    };
    // Each of these is more than is left of the slice: what was drawn, and so many more like it.
    CHECK(held_after(1000_msat) == 4000_msat);
    CHECK(held_after(4000_msat) == 33'000_msat);
    CHECK(held_after(29'000_msat) == 469'000_msat);
    CHECK(held_after(450'000_msat) == 1'000'000_msat);  // All there is.
    for (Drawn& drawn : open) (void)drawn->settle(0_msat);
    open.clear();
    REQUIRE(node.till->pause(key).has_value());

    node.clock.advance(Seconds{3});
    CHECK(held_after(1000_msat) == 8000_msat);
    node.clock.advance(Seconds{1});
    CHECK(held_after(8000_msat) == 65'000_msat);  // It has sufficed for a while.
    node.clock.advance(Seconds{3});
    CHECK(held_after(60'000_msat) == 249'000_msat);
    for (Drawn& drawn : open) (void)drawn->settle(0_msat);
    open.clear();
    node.settle();
    CHECK(node.balance(key).posted == 1'000'000_msat);
}

TEST_CASE("till: what is on its way back from an idle slice is still there to be spent") {
    Node node;
    const KeyId parent = node.make_key(10'000_msat);
    const KeyId child = node.make_key({}, {}, parent);
    CHECK(spend(node, child, 100_msat, 60_msat) == 9'940_msat);
    Drawn drawn = draw(node, parent, 100_msat);
    REQUIRE(drawn.has_value());
    while (node.balance(parent).posted != 9'940_msat) std::this_thread::yield();
    while (!node.till->view(parent).unposted.empty()) std::this_thread::yield();
    node.clock.advance(Seconds{3});
    // While the child's slice is given back, and nobody knows yet whether it was.
    std::optional<Msat> shown;
    node.faulty.before_submit = [&] { shown = drawn->settle(40_msat); };
    node.till->tend();
    CHECK(shown == 9'900_msat);
}
