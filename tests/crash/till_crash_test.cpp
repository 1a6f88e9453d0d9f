// A till whose process dies at every statement and around every commit, and one whose database
// fails, or says that it did, at every submission in turn. After a death each key has paid for its
// first so many requests and for no other, nothing is held, and the books add up. After a fault
// that nobody died of each has paid for all of them.
#include <doctest/doctest.h>

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "proxy/till_customer.h"
#include "support/crash_database.h"

using namespace nutgate;
using namespace nutgate::literals;
using proxy::Draw;
using test::FaultyDatabase;
using test::Node;

namespace {

// A process dies here, and no disk.
const std::string kInMemory = "sqlite::memory:";
constexpr Msat kDeposit = 20'000_msat;
constexpr Msat kRefund = 4000_msat;

// Somebody's balance, the keys that spend it, and what they asked of the till.
class Story {
public:
    explicit Story(Node& at)
        : node{at},
          parent{at.make_key(kDeposit)},
          child{at.make_key(0_msat, {}, parent)},
          limited{at.make_key(0_msat, {.balance_limit = 9000_msat}, parent)},
          other{at.make_key(kDeposit)},
          books{at.database.get()} {}

    // Asks again, once, as a client would.
    std::optional<Draw> draw(const KeyId& key, Msat amount) {
        for (int i = 0; i < 2; ++i) {
            if (auto drawn = test::draw(node, key, amount)) return *std::move(drawn);
        }
        return std::nullopt;
    }
    void settle(std::optional<Draw> drawn, const KeyId& key, Msat cost) {
        if (!drawn) return;
        costs[key].push_back(cost);
        (void)drawn->settle(cost);
    }
    void spend(const KeyId& key, Msat amount, Msat cost) { settle(draw(key, amount), key, cost); }

    // What was charged by then is in the books, if the till says so.
    std::optional<Spending::Pause> pause(const KeyId& payer) {
        for (int i = 0; i < 2; ++i) {
            if (dying != nullptr && dying->crashed()) break;  // Who is dead need not wait for it.
            auto paused = node.till->pause(payer);
            if (!paused) continue;
            for (auto& [key, of_key] : costs) {
                if ((key == other) == (payer == other)) posted[key] = of_key.size();
            }
            return *std::move(paused);
        }
        return std::nullopt;
    }
    void post_all() {
        (void)pause(parent);
        (void)pause(other);
    }

    // Takes money out under an id that was stored first: asked again it is the same refund.
    void refund() {
        refunding = true;
        const auto taken = books->transact([&](store::Tx& tx) -> Result<bool, Node::LedgerOrStore> {
            TRY_VOID(node.ledger.transfer(tx, {.id = TransferId{ByteArray<32>{std::byte{9}}},
                                               .debit = key_account(parent),
                                               .credit = {AccountKind::Ecash, "test:sat"},
                                               .amount = kRefund}));
            return true;
        });
        (void)taken.has_value();
    }
    void expire_holds() {
        const auto expired =
            books->transact([&](store::Tx& tx) -> Result<int, Node::LedgerOrStore> {
                return node.ledger.expire_holds(tx, 100);
            });
        (void)expired.has_value();
    }

    // `key` has paid for the first so many of its requests. Returns how much that was.
    Msat paid_in_order(const KeyId& key) {
        const KeyRecord record = node.record(key);
        const auto paid = static_cast<std::size_t>(record.total_requests);
        REQUIRE(paid <= costs[key].size());
        CHECK(paid >= posted[key]);
        Msat sum;
        for (std::size_t i = 0; i < paid; ++i) sum = *add(sum, costs[key][i]);
        CHECK(record.total_spent == sum);
        CHECK(record.limit_held == 0_msat);
        CHECK(record.limit_spent == sum);
        return sum;
    }
    void check_balance(const KeyId& payer, Msat spent, Msat taken) {
        CHECK(node.balance(payer).posted == *subtract(kDeposit, *add(spent, taken)));
        CHECK(node.balance(payer).held == 0_msat);
    }
    void check() {
        Msat of_parent;
        for (const KeyId& key : {parent, child, limited}) {
            of_parent = *add(of_parent, paid_in_order(key));
        }
        check_balance(parent, of_parent, refunding ? kRefund : 0_msat);
        check_balance(other, paid_in_order(other), 0_msat);
        const auto report = node.audit();
        CHECK(report.faults == std::vector<std::string>{});
        CHECK(report.holds_open == 0);
    }

    Node& node;
    const KeyId parent;
    const KeyId child;
    const KeyId limited;
    const KeyId other;
    store::Database* books;
    const test::CrashDatabase* dying = nullptr;
    std::map<KeyId, std::vector<Msat>> costs;
    std::map<KeyId, std::size_t> posted;  // So many of them, at least.
    bool refunding = false;
};

struct Scene {
    std::string name;
    std::function<void(Story&)> play;
};

const Scene kScenes[6] = {
    {"a slice is taken, and grows",
     [](Story& story) {
         for (const KeyId& key : {story.other, story.limited}) {
             story.spend(key, 10_msat, 7_msat);
             story.spend(key, 5000_msat, 900_msat);
             auto open = story.draw(key, 3000_msat);
             story.spend(key, 4000_msat, 11_msat);
             story.settle(std::move(open), key, 13_msat);
         }
         story.post_all();
     }},
    {"a slice grows by what others have idle",
     [](Story& story) {
         // The first one's slice is all there is by now.
         story.spend(story.child, 5000_msat, 10_msat);
         story.spend(story.limited, 8000_msat, 21_msat);
         story.spend(story.parent, 18'000_msat, 33_msat);
         story.spend(story.limited, 8900_msat, 47_msat);
         story.post_all();
     }},
    {"charges are posted in batches",
     [](Story& story) {
         for (const Msat cost : {1_msat, 20_msat, 300_msat}) {
             for (const KeyId& key : {story.parent, story.limited, story.other}) {
                 story.spend(key, 400_msat, cost);
                 story.spend(key, 400_msat, 3_msat);
             }
             (void)story.pause(story.other);
         }
         story.post_all();
     }},
    {"what is idle is given back",
     [](Story& story) {
         story.spend(story.limited, 100_msat, 30_msat);
         auto open = story.draw(story.child, 200_msat);
         story.post_all();
         story.node.clock.advance(Seconds{5});
         story.node.till->tend();
         story.settle(std::move(open), story.child, 70_msat);
         story.post_all();
         story.spend(story.limited, 100_msat, 5_msat);
         story.spend(story.other, 100_msat, 6_msat);
     }},
    {"a balance is paused for a refund",
     [](Story& story) {
         story.spend(story.limited, 700_msat, 30_msat);
         story.spend(story.parent, 100_msat, 31_msat);
         if (const auto paused = story.pause(story.parent)) story.refund();
         story.spend(story.limited, 100_msat, 5_msat);
         story.spend(story.parent, 15'000_msat, 6_msat);
         story.post_all();
     }},
    {"slices in use are renewed, and one that expired is charged",
     [](Story& story) {
         auto open = story.draw(story.limited, 500_msat);
         auto late = story.draw(story.other, 500_msat);
         story.node.clock.advance(Seconds{250});
         story.node.till->tend();
         story.settle(std::move(open), story.limited, 44_msat);
         story.post_all();
         story.node.clock.advance(Seconds{700});
         story.expire_holds();
         story.settle(std::move(late), story.other, 55_msat);
         story.spend(story.limited, 500_msat, 66_msat);
         story.post_all();
         story.spend(story.other, 500_msat, 77_msat);
     }},
};

void set_options(Node& node) {
    node.till_options.post_delay = Milliseconds{60'000};  // Until somebody pauses.
    node.till_options.retry_delay = Milliseconds{1};
    node.till_options.pause_timeout = Milliseconds{100};
}

// As a node starts, src/app/node.cpp: what a process that is gone had held goes back.
void start_again(Node& node) {
    node.till_database = &node.faulty;
    REQUIRE(node.database->transact([&](store::Tx& tx) -> Result<bool, Node::LedgerOrStore> {
        node.ledger.release_holds_of_requests(tx);
        node.keyring.release_admissions(tx);
        return true;
    }));
    node.open();
}

// Returns whether there was a n-th step to die at.
bool dies_at(const Scene& scene, std::int64_t n) {
    Node node{kInMemory};
    set_options(node);
    Story story{node};
    node.close();
    test::CrashDatabase dying{*node.database};
    node.till_database = &dying;
    story.books = &dying;
    story.dying = &dying;
    node.open();
    dying.crash_at(n);
    scene.play(story);
    node.close();
    start_again(node);
    story.books = node.database.get();
    story.dying = nullptr;
    if (story.refunding) story.refund();
    story.check();
    // All that is left can be spent.
    for (const KeyId& key : {story.parent, story.other}) {
        const Msat left = node.balance(key).posted;
        CHECK(test::spend(node, key, left, left) == 0_msat);
    }
    return dying.crashed();
}

// Returns whether there was a n-th submission.
bool survives(const Scene& scene, int n, FaultyDatabase::Fault fault) {
    Node node{kInMemory};
    set_options(node);
    Story story{node};
    node.settle();
    node.faulty.fault_at(n, fault);
    scene.play(story);
    const bool came = node.faulty.came_so_far();
    node.faulty.fault_at(0, fault);
    story.post_all();
    for (const auto& [key, of_key] : story.costs) CHECK(story.posted[key] == of_key.size());
    node.close();
    story.check();
    node.open();
    return came;
}

void dies_anywhere(std::span<const Scene> scenes) {
    for (const Scene& scene : scenes) {
        CAPTURE(scene.name);
        std::int64_t n = 1;
        for (;; ++n) {
            CAPTURE(n);
            if (!dies_at(scene, n)) break;
        }
        CHECK(n > 30);  // Or nothing was tried.
    }
}

}  // namespace

TEST_CASE("crash: a till that dies while it takes a slice has charged what came first") {
    dies_anywhere({&kScenes[0], 2});
}

TEST_CASE("crash: a till that dies while it posts or gives back has charged what came first") {
    dies_anywhere({&kScenes[2], 2});
}

TEST_CASE("crash: a till that dies in a refund or a renewal has charged what came first") {
    dies_anywhere({&kScenes[4], 2});
}

TEST_CASE("crash: a till outlives a database that fails once, or lies, with every charge") {
    for (const Scene& scene : kScenes) {
        for (const auto fault : {FaultyDatabase::Fault::Fails, FaultyDatabase::Fault::Lies}) {
            CAPTURE(scene.name);
            CAPTURE(static_cast<int>(fault));
            int n = 1;
            for (;; ++n) {
                CAPTURE(n);
                if (!survives(scene, n, fault)) break;
            }
            CHECK(n > 4);
        }
    }
}
