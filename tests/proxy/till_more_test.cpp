// Draws that grow: what a stream does at the till.
#include <doctest/doctest.h>

#include <deque>

#include "till_customer.h"

using namespace nutgate;
using namespace nutgate::test;
using namespace nutgate::literals;
using Why = proxy::DrawRefusal::Why;
using Grown = Result<void, proxy::DrawRefusal>;

namespace {

Grown grow_of_books(proxy::Draw& draw, const proxy::More& more) {
    std::optional<Grown> grown;
    run_all({[&]() -> http::Task<void> {
        auto answer = co_await draw.grow_of_books(more);
        grown.emplace(std::move(answer));
    }});
    return *std::move(grown);
}

Msat amount_of(const std::deque<Drawn>& draws) {
    Msat sum;
    for (const Drawn& drawn : draws) sum = *add(sum, drawn->amount());
    return sum;
}

}  // namespace

TEST_CASE("till: a draw grows out of its key's slice, and can be charged all of it") {
    Node node;
    const KeyId key = node.make_key(100'000_msat);
    auto open = draw(node, key, 1000_msat);
    CHECK(open->grow_at_once({.least = 1_msat, .most = 500_msat}));
    CHECK(open->amount() == 1500_msat);
    CHECK(node.till->view(key).open == 1500_msat);
    CHECK(draw(node, key, 98'501_msat).error().available == 98'500_msat);
    CHECK(open->settle(1500_msat) == 98'500_msat);
    node.settle();
    CHECK(node.record(key).total_requests == 1);
    CHECK(node.balance(key).posted == 98'500_msat);
}

TEST_CASE("till: a draw that grew and is dropped gives all of it back") {
    Node node;
    const KeyId key = node.make_key(1000_msat);
    {
        auto open = draw(node, key, 100_msat);
        REQUIRE(open->grow_at_once({.least = 100_msat, .most = 100_msat}));
        REQUIRE(grow_of_books(*open, {.least = 800_msat, .most = 800_msat}));
        CHECK(open->amount() == 1000_msat);
    }
    CHECK(spend(node, key, 1000_msat, 1000_msat) == 0_msat);
}

TEST_CASE("till: what a draw grows by was nobody else's, and a refusal changes nothing") {
    Node node;
    const KeyId key = node.make_key(1000_msat);
    auto a = draw(node, key, 400_msat);
    auto b = draw(node, key, 400_msat);
    CHECK_FALSE(a->grow_at_once({.least = 201_msat, .most = 300_msat}));
    const Grown refused = grow_of_books(*a, {.least = 201_msat, .most = 300_msat});
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().why == Why::BalanceShort);
    CHECK(refused.error().available == 200_msat);
    CHECK(a->amount() == 400_msat);
    CHECK(grow_of_books(*a, {.least = 150_msat, .most = 300_msat}));
    CHECK(a->amount() >= 550_msat);
    CHECK(*add(a->amount(), b->amount()) <= 1000_msat);
}

TEST_CASE("till: where little is left, each of those who grow gets a fair part of it") {
    Node node;
    const KeyId key = node.make_key(10'000_msat);
    (void)spend(node, key, 9000_msat, 0_msat);  // Its slice is all there is.
    std::deque<Drawn> open;
    for (int i = 0; i < 8; ++i) open.push_back(draw(node, key, 100_msat));
    // One that is greedy gets no more than its part of what there is.
    REQUIRE(open[0]->grow_at_once({.least = 1_msat, .most = 10'000_msat}));
    CHECK(open[0]->amount() == *Msat::from_raw(100 + 9200 / 8));
    // As streams do, by turns, until nobody gets anything any more.
    bool any = true;
    while (any) {
        any = false;
        for (Drawn& drawn : open) {
            any = drawn->grow_at_once({.least = 10_msat, .most = 2000_msat}) || any;
        }
    }
    Msat least = open[0]->amount();
    Msat most = least;
    for (const Drawn& drawn : open) {
        least = std::min(least, drawn->amount());
        most = std::max(most, drawn->amount());
    }
    CHECK(amount_of(open) > 9990_msat);
    CHECK(amount_of(open) <= 10'000_msat);
    CHECK(*subtract(most, least) < 2300_msat);  // It came first, twice.
}

TEST_CASE("till: a slice that is nearly used up grows behind a draw that grows") {
    Node node;
    node.till_options.requests_ahead = 2;
    node.settle();
    const KeyId key = node.make_key(100'000_msat);
    auto open = draw(node, key, 100_msat);
    CHECK(node.balance(key).held == 200_msat);
    // There is not as much in the slice, but in the books, which are asked by it.
    CHECK_FALSE(open->grow_at_once({.least = 1000_msat, .most = 1000_msat}));
    REQUIRE(grow_of_books(*open, {.least = 1_msat, .most = 1_msat}));
    CHECK(open->grow_at_once({.least = 1000_msat, .most = 1000_msat}));
    CHECK(open->amount() == 1101_msat);
}

TEST_CASE("till: a balance with nothing more is not asked for it with every frame") {
    Node node;
    const KeyId key = node.make_key(1000_msat);
    auto open = draw(node, key, 900_msat);
    int submitted = 0;
    for (int i = 0; i < 100; ++i) {
        node.faulty.before_submit = [&] { ++submitted; };
        CHECK_FALSE(open->grow_at_once({.least = 200_msat, .most = 500_msat}));
    }
    CHECK(submitted == 0);
    // Money that came in is asked for.
    credit(node, key, 5000_msat);
    node.till->credited(key);
    CHECK_FALSE(open->grow_at_once({.least = 200_msat, .most = 500_msat}));
    CHECK(submitted == 1);
    REQUIRE(grow_of_books(*open, {.least = 200_msat, .most = 500_msat}));
    CHECK(open->amount() == 1400_msat);
}

TEST_CASE("till: a child's draw grows within its limit, and by what others of it have idle") {
    Node node;
    const KeyId parent = node.make_key(10'000_msat);
    const KeyId child = node.make_key(0_msat, {.balance_limit = 1000_msat}, parent);
    (void)spend(node, parent, 5000_msat, 0_msat);  // Its slice has all there is by now.
    auto open = draw(node, child, 100_msat);
    REQUIRE(grow_of_books(*open, {.least = 900_msat, .most = 900_msat}));
    const Grown refused = grow_of_books(*open, {.least = 1_msat, .most = 1_msat});
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().why == Why::LimitExceeded);
    (void)open->settle(1000_msat);
    node.settle();
    CHECK(node.record(child).limit_spent == 1000_msat);
    CHECK(node.record(child).limit_held == 0_msat);
}

TEST_CASE("till: while it is paused no draw grows, and what has grown counts as open") {
    Node node;
    const KeyId key = node.make_key(1000_msat);
    auto open = draw(node, key, 100_msat);
    REQUIRE(open->grow_at_once({.least = 100_msat, .most = 100_msat}));
    std::optional<Grown> grown;
    auto pause = std::make_optional(node.till->pause(key));
    REQUIRE(pause->has_value());
    CHECK((*pause)->open() == 200_msat);
    CHECK_FALSE(open->grow_at_once({.least = 1_msat, .most = 100_msat}));
    run_all({[&]() -> http::Task<void> {
                 auto answer = co_await open->grow_of_books({.least = 300_msat, .most = 300_msat});
                 grown.emplace(std::move(answer));
             },
             [&]() -> http::Task<void> {
                 CHECK_FALSE(grown.has_value());
                 pause.reset();
                 co_return;
             }});
    CHECK(grown->has_value());
    CHECK(open->amount() == 500_msat);
}

TEST_CASE("till: a key that has expired gets no more, and past half of its lease nobody does") {
    Node node;
    const KeyId key = node.make_key(10'000_msat, {.valid_until = node.clock.now() + Seconds{60}});
    const KeyId other = node.make_key(10'000_msat);
    auto open = draw(node, key, 100_msat);
    auto leased = draw(node, other, 100_msat);
    node.clock.advance(Seconds{60});
    CHECK_FALSE(open->grow_at_once({.least = 1_msat, .most = 1_msat}));
    CHECK(grow_of_books(*open, {.least = 1_msat, .most = 1_msat}).error().why == Why::KeyExpired);
    CHECK(leased->grow_at_once({.least = 1_msat, .most = 1_msat}));
    node.clock.advance(Seconds{240});
    CHECK_FALSE(leased->grow_at_once({.least = 1_msat, .most = 1_msat}));
    node.till->tend();  // Renewed.
    CHECK(leased->grow_at_once({.least = 1_msat, .most = 1_msat}));
    CHECK(leased->settle(102_msat) == 9898_msat);
}

TEST_CASE("till: a draw whose hold expired grows out of another one") {
    Node node;
    const KeyId key = node.make_key(10'000_msat);
    auto open = draw(node, key, 100_msat);
    node.clock.advance(Seconds{700});
    REQUIRE(node.database->transact([&](store::Tx& tx) -> Result<int, Node::LedgerOrStore> {
        return node.ledger.expire_holds(tx, 100);
    }));
    CHECK_FALSE(open->grow_at_once({.least = 1_msat, .most = 1_msat}));
    REQUIRE(grow_of_books(*open, {.least = 100_msat, .most = 100_msat}));
    CHECK(open->amount() == 200_msat);
    CHECK(open->settle(200_msat) == 9800_msat);
}

TEST_CASE("till: draws that grow, settle, are paused, limited, expire and outlive leases add up") {
    Node node;
    const KeyId parent = node.make_key(60'000_msat);
    std::vector<KeyId> keys{parent};
    for (int i = 0; i < 3; ++i) {
        keys.push_back(node.make_key(0_msat, {.balance_limit = 15'000_msat}, parent));
    }
    keys.push_back(node.make_key(0_msat, {.valid_until = node.clock.now() + Seconds{900}}, parent));
    for (const KeyId& key : keys) (void)spend(node, key, 100_msat, 0_msat);
    std::atomic<std::int64_t> charged = 0;
    std::atomic<std::int64_t> grown = 0;
    std::vector<std::function<http::Task<void>()>> tasks;
    for (int i = 0; i < 12; ++i) {
        tasks.emplace_back([&, i]() -> http::Task<void> {
            for (int n = 0; n < 60; ++n) {
                const KeyId key = keys[static_cast<std::size_t>(i + n) % keys.size()];
                auto drawn = co_await node.till->draw(key, *Msat::from_raw(100 + 7 * i));
                if (!drawn) continue;
                for (int more = 0; more < 4; ++more) {
                    const proxy::More step{.least = *Msat::from_raw(10 + n), .most = 400_msat};
                    if (drawn->grow_at_once(step)) {
                        ++grown;
                    } else {
                        const auto waited = co_await drawn->grow_of_books(step);
                        if (!waited) break;
                    }
                }
                const Msat cost = *Msat::from_raw(drawn->amount().raw() * ((n + i) % 5) / 20);
                (void)drawn->settle(cost);
                charged += cost.raw();
            }
        });
    }
    {
        std::atomic<bool> done = false;
        const std::jthread pauser{[&] {
            for (int turn = 1; !done; ++turn) {
                // A slice that time has passed over is forgotten, and no pause stops the first draw
                // of its key: so what is held meanwhile is not looked at, but what it comes to is.
                (void)node.till->pause(parent);
                node.till->tend();
                if (turn % 8 == 0) node.clock.advance(Seconds{200});  // A third of a lease.
            }
        }};
        run_all(std::move(tasks), 3);
        done = true;
    }
    node.settle();
    CHECK(node.balance(parent).posted == *Msat::from_raw(60'000 - charged));
    CHECK(charged > 0);
    CHECK(grown > 0);
    CHECK(node.metrics.counter("nutgate_proxy_uncollected_msat_total", "").value() == 0);
}
