#include "nutgate/keyring/keyring.h"

#include <doctest/doctest.h>

#include <memory>
#include <set>
#include <string>

#include "nutgate/store/open.h"
#include "support/fixed_clock.h"
#include "support/seeded_random.h"

using namespace nutgate;
using namespace nutgate::literals;
using std::chrono::days;
using std::chrono::hours;

namespace {

struct Error {
    Error(KeyringError e) : keyring{e} {}
    Error(store::StoreFailure f) : detail{std::move(f.detail)} {}
    std::optional<KeyringError> keyring;
    std::string detail;
};

Secret seed_of(int n) { return Secret{Bytes(64, static_cast<std::byte>(n))}; }

// Wednesday, 2026-11-18, 10:00 UTC.
constexpr Time kWednesday = from_unix_seconds(1'794'996'000);

struct World {
    test::FixedClock clock{kWednesday};
    test::SeededRandom random{1};
    std::unique_ptr<store::Database> database =
        *store::open("sqlite::memory:", {.rehearses = true});
    Keyring keyring{seed_of(7), clock};

    World() { REQUIRE(Keyring::migrate(*database)); }

    template <class Body>
    auto in_tx(Body body) {
        return database->transact(
            [&](store::Tx& tx) -> Result<decltype(body(tx)), Error> { return body(tx); });
    }

    KeyId key(const KeyLimits& limits = {}, std::optional<KeyId> parent = std::nullopt) {
        const auto id = Keyring::random_id(random);
        const auto made = database->transact([&](store::Tx& tx) -> Result<Created, Error> {
            TRY(const auto created, keyring.create(tx, {id, parent, limits, ""}));
            return created;
        });
        REQUIRE(made.has_value());
        return id;
    }
    std::optional<KeyringError> admit(const KeyId& id, int hold, Msat amount) {
        const auto admitted = database->transact([&](store::Tx& tx) -> Result<KeyId, Error> {
            TRY(const auto allowance, keyring.allowance(tx, id));
            TRY_VOID(keyring.admit(tx, id, hold_of(hold), amount));
            return allowance.billing;
        });
        return admitted ? std::nullopt : admitted.error().keyring;
    }
    void give_back(const KeyId& id, int hold, Msat amount) {
        REQUIRE(in_tx([&](store::Tx& tx) {
            keyring.give_back(tx, id, hold_of(hold), amount);
            return true;
        }));
    }
    // A request that had a hold to itself.
    void settle(const KeyId& id, int hold, Msat cost) {
        REQUIRE(in_tx([&](store::Tx& tx) {
            keyring.spend(tx, id, hold_of(hold), cost, 1);
            keyring.give_back(tx, id, hold_of(hold), *Msat::from_raw(Msat::kMax));
            return true;
        }));
    }
    KeyRecord record(const KeyId& id) {
        return *in_tx([&](store::Tx& tx) { return *keyring.find(tx, id); });
    }
    static HoldId hold_of(int n) {
        ByteArray<16> bytes{};
        bytes[0] = static_cast<std::byte>(n);
        return HoldId{bytes};
    }
};

}  // namespace

TEST_CASE("keyring: a key's text is recognised, and no other is") {
    World world;
    const auto id = Keyring::random_id(world.random);
    const std::string text = world.keyring.text_of(id);
    CHECK(text.size() == Keyring::kTextSize);
    CHECK(text.starts_with("sk-"));
    CHECK(world.keyring.authenticate(text) == id);

    // Every single digit changed, and every other form.
    for (std::size_t i = 3; i < text.size(); ++i) {
        std::string wrong = text;
        wrong[i] = wrong[i] == '0' ? '1' : '0';
        CHECK_FALSE(world.keyring.authenticate(wrong).has_value());
    }
    std::string upper = text;
    for (char& c : upper) c = c >= 'a' && c <= 'f' ? static_cast<char>(c - 'a' + 'A') : c;
    CHECK_FALSE(world.keyring.authenticate(upper).has_value());
    for (const std::string& wrong :
         {std::string{}, std::string{"sk-"}, text.substr(0, 66), text + "0", " " + text,
          text.substr(3), "sk_" + text.substr(3), "sk-" + std::string(64, 'g')}) {
        CHECK_FALSE(world.keyring.authenticate(wrong).has_value());
    }
}

TEST_CASE("keyring: another node's key is not ours") {
    World world;
    const Keyring other{seed_of(8), world.clock};
    const auto id = Keyring::random_id(world.random);
    CHECK_FALSE(world.keyring.authenticate(other.text_of(id)).has_value());
}

TEST_CASE("keyring: a token or an invoice makes the same key each time, and never another's") {
    World world;
    const TokenIdentity token{ByteArray<32>{}};
    std::set<std::string> ids{world.keyring.id_of_token(token).hex(),
                              world.keyring.id_of_invoice("a").hex(),
                              world.keyring.id_of_invoice("b").hex(),
                              world.keyring.id_of_invoice(as_text(token.bytes())).hex()};
    CHECK(ids.size() == 4);
    CHECK(world.keyring.id_of_token(token) == world.keyring.id_of_token(token));
    const Keyring other{seed_of(8), world.clock};
    CHECK(other.id_of_token(token) != world.keyring.id_of_token(token));
}

TEST_CASE("keyring: creating a key again changes none of its limits") {
    World world;
    const auto id = world.key({.balance_limit = 1000_msat});
    const auto again = world.database->transact([&](store::Tx& tx) -> Result<Created, Error> {
        TRY(const auto created, world.keyring.create(tx, {id, std::nullopt, {}, "m"}));
        return created;
    });
    CHECK(*again == Created::Before);
    CHECK(world.record(id).limits.balance_limit == 1000_msat);
    CHECK(world.admit(id, 1, 1001_msat) == KeyringError::LimitExceeded);
}

TEST_CASE("keyring: what is held counts against a limit like what is spent") {
    World world;
    const auto parent = world.key();
    const auto child = world.key({.balance_limit = 1000_msat, .reset = LimitReset::Daily}, parent);
    CHECK_FALSE(world.admit(child, 1, 600_msat).has_value());
    CHECK(world.admit(child, 2, 600_msat) == KeyringError::LimitExceeded);
    CHECK(world.record(child).limit_held == 600_msat);

    world.settle(child, 1, 250_msat);
    CHECK(world.record(child).limit_held == 0_msat);
    CHECK(world.record(child).limit_spent == 250_msat);
    CHECK_FALSE(world.admit(child, 2, 600_msat).has_value());
    CHECK(world.admit(child, 3, 151_msat) == KeyringError::LimitExceeded);
    CHECK_FALSE(world.admit(child, 3, 150_msat).has_value());
    world.give_back(child, 2, 600_msat);
    world.settle(child, 3, 150_msat);

    const auto record = world.record(child);
    CHECK(record.limit_spent == 400_msat);
    CHECK(record.total_spent == 400_msat);
    CHECK(record.total_requests == 2);
    CHECK(record.billing() == parent);
}

TEST_CASE("keyring: a hold grows, is spent and given back in parts, and counts for what it has") {
    World world;
    const auto id = world.key({.balance_limit = 1000_msat});
    CHECK_FALSE(world.admit(id, 1, 600_msat).has_value());
    CHECK_FALSE(world.admit(id, 1, 400_msat).has_value());
    CHECK(world.admit(id, 1, 1_msat) == KeyringError::LimitExceeded);
    REQUIRE(world.in_tx([&](store::Tx& tx) {
        world.keyring.spend(tx, id, World::hold_of(1), 300_msat, 3);
        return true;
    }));
    CHECK(world.record(id).limit_held == 700_msat);
    CHECK(world.record(id).limit_spent == 300_msat);
    CHECK(world.record(id).total_requests == 3);
    CHECK(world.admit(id, 2, 1_msat) == KeyringError::LimitExceeded);
    world.give_back(id, 1, 500_msat);
    CHECK_FALSE(world.admit(id, 2, 500_msat).has_value());
    // More than it has: all of it, and never another's.
    world.give_back(id, 1, 900_msat);
    CHECK(world.record(id).limit_held == 500_msat);
}

TEST_CASE("keyring: what may be spent is what a limit leaves beside all that is held") {
    World world;
    const auto parent = world.key();
    const auto child =
        world.key({.balance_limit = 1000_msat, .valid_until = kWednesday + hours{1}}, parent);
    CHECK_FALSE(world.admit(child, 1, 600_msat).has_value());
    const auto allowance =
        world.in_tx([&](store::Tx& tx) { return world.keyring.allowance(tx, child).value(); });
    CHECK(allowance->billing == parent);
    CHECK(allowance->limit_left == 400_msat);
    CHECK(allowance->valid_until == kWednesday + hours{1});
    CHECK_FALSE(
        world.in_tx([&](store::Tx& tx) { return world.keyring.allowance(tx, parent).value(); })
            ->limit_left.has_value());
}

TEST_CASE("keyring: a period that is over counts for nothing") {
    World world;
    const auto id = world.key({.balance_limit = 1000_msat, .reset = LimitReset::Daily});
    CHECK_FALSE(world.admit(id, 1, 1000_msat).has_value());
    world.settle(id, 1, 1000_msat);
    world.clock.advance(hours{13});  // Before midnight.
    CHECK(world.admit(id, 2, 1_msat) == KeyringError::LimitExceeded);
    world.clock.advance(hours{1});
    CHECK(world.record(id).limit_spent == 0_msat);
    CHECK_FALSE(world.admit(id, 2, 1000_msat).has_value());
    CHECK(world.record(id).total_spent == 1000_msat);

    // Held over midnight: it still counts, and what it cost counts in the new period.
    world.clock.advance(hours{24});
    CHECK(world.admit(id, 3, 1_msat) == KeyringError::LimitExceeded);
    world.settle(id, 2, 300_msat);
    CHECK(world.record(id).limit_spent == 300_msat);
    CHECK_FALSE(world.admit(id, 3, 700_msat).has_value());
}

TEST_CASE("keyring: periods begin at midnight, on Monday, on the first, in UTC") {
    const Time midnight = from_unix_seconds(1'794'960'000);
    CHECK(period_begin(LimitReset::Daily, kWednesday) == midnight);
    CHECK(period_begin(LimitReset::Weekly, kWednesday) == midnight - days{2});
    CHECK(period_begin(LimitReset::Monthly, kWednesday) == midnight - days{17});
    CHECK(period_begin(LimitReset::Never, kWednesday) == Time{});
    const Time monday = midnight - days{2};
    CHECK(period_begin(LimitReset::Weekly, monday) == monday);
    CHECK(period_begin(LimitReset::Weekly, monday - Milliseconds{1}) == monday - days{7});
    for (const auto reset : {LimitReset::Daily, LimitReset::Weekly, LimitReset::Monthly}) {
        CHECK(parse_limit_reset(to_text(reset)) == reset);
    }
    CHECK_FALSE(parse_limit_reset("hourly").has_value());
    CHECK_FALSE(parse_limit_reset("").has_value());
}

TEST_CASE("keyring: an expired, revoked or unknown key spends nothing") {
    World world;
    const auto id = world.key({.valid_until = kWednesday + hours{1}});
    CHECK_FALSE(world.admit(id, 1, 1_msat).has_value());
    world.clock.advance(hours{1});
    CHECK(world.admit(id, 2, 1_msat) == KeyringError::Expired);
    CHECK(world.admit(Keyring::random_id(world.random), 3, 1_msat) == KeyringError::Unknown);

    const auto parent = world.key();
    const auto child = world.key({}, parent);
    CHECK(world.in_tx([&](store::Tx& tx) { return world.keyring.revoke(tx, parent).has_value(); })
              .value());
    CHECK(world.admit(parent, 4, 1_msat) == KeyringError::Revoked);
    CHECK(world.admit(child, 5, 1_msat) == KeyringError::Revoked);
}

TEST_CASE("keyring: children have no children, and only their parent resets them") {
    World world;
    const auto parent = world.key();
    const auto child = world.key({.balance_limit = 10_msat}, parent);
    const auto stranger = world.key();
    const auto grandchild = world.database->transact([&](store::Tx& tx) -> Result<Created, Error> {
        TRY(const auto created,
            world.keyring.create(tx, {Keyring::random_id(world.random), child, {}, ""}));
        return created;
    });
    CHECK(grandchild.error().keyring == KeyringError::ParentIsChild);

    CHECK_FALSE(world.admit(child, 1, 10_msat).has_value());
    world.settle(child, 1, 10_msat);
    const auto reset = [&](const KeyId& by) {
        return world
            .in_tx(
                [&](store::Tx& tx) { return world.keyring.reset_child(tx, by, child).has_value(); })
            .value();
    };
    CHECK_FALSE(reset(stranger));
    CHECK_FALSE(reset(child));
    CHECK(world.admit(child, 2, 1_msat) == KeyringError::LimitExceeded);
    CHECK(reset(parent));
    CHECK_FALSE(world.admit(child, 2, 10_msat).has_value());
    CHECK(world.record(child).total_spent == 10_msat);
    const auto children =
        *world.in_tx([&](store::Tx& tx) { return world.keyring.children(tx, parent); });
    REQUIRE(children.size() == 1);
    CHECK(children[0].id == child);
}

TEST_CASE("keyring: after a restart nothing is held by requests of before") {
    World world;
    const auto id = world.key({.balance_limit = 100_msat});
    CHECK_FALSE(world.admit(id, 1, 100_msat).has_value());
    REQUIRE(world.in_tx([&](store::Tx& tx) {
        world.keyring.release_admissions(tx);
        return true;
    }));
    CHECK(world.record(id).limit_held == 0_msat);
    CHECK_FALSE(world.admit(id, 2, 100_msat).has_value());
    // A late settle of the one that was released charges it, and holds nothing back twice.
    world.settle(id, 1, 40_msat);
    CHECK(world.record(id).limit_held == 100_msat);
    CHECK(world.record(id).limit_spent == 40_msat);
}
