// Tokens of mints that are not trusted, where the configuration says that they are swapped.
#include <stop_token>
#include <thread>

#include "cashier/world.h"

using namespace nutgate;
using namespace nutgate::literals;
using test::FaultyMint;
using test::Receive;
using test::World;
using Code = CashierError::Code;

namespace {

constexpr const char* kGuest = "https://guest.example";
constexpr const char* kSecond = "https://second.example";

Cashier::Options swapping() {
    Cashier::Options options;
    options.foreign_mints = ForeignMints::Swap;
    return options;
}

struct ForeignWorld : World {
    explicit ForeignWorld(std::uint64_t input_fee_ppk = 0, std::optional<Msat> exposure_max = {})
        : World{Receive::OverMint,
                swapping(),
                {.trusted = {},
                 .guests = {kGuest},
                 .input_fee_ppk = input_fee_ppk,
                 .node_pays = false,
                 .exposure_max = exposure_max}} {}

    test::OutsideMint& guest() { return *outside.back(); }
    std::string guest_token(Msat amount) { return token_of(guest(), amount); }
    Msat ecash_at(const cashu::MintUrl& mint) {
        return posted(ecash_account(mint, cashu::Unit::Sat));
    }
};

}  // namespace

TEST_CASE("cashier: a token of another mint is refused where it is not said to be swapped") {
    World world{Receive::OverMint, {}, {.guests = {kGuest}}};
    const auto token = world.token_of(*world.outside.back(), 20'000_msat);
    CHECK(world.cashier().deposit_token(token, Bearer{}).error().code == Code::TokenMintForeign);
    CHECK(world.cashier().key_of_token(token).error().code == Code::TokenMintForeign);
}

TEST_CASE("cashier: a token of another mint pays our mint, and what arrives is credited once") {
    ForeignWorld world;
    const auto token = world.guest_token(20'000_msat);
    const auto deposit = world.cashier().deposit_token(token, Bearer{});
    REQUIRE(deposit.has_value());
    CHECK(deposit->credited == 20'000_msat);
    CHECK_FALSE(deposit->again);
    CHECK(world.balance(deposit->key) == 20'000_msat);
    CHECK(world.ecash_at(cashu::MintUrl::embedded()) == 20'000_msat);
    CHECK(world.ecash_at(world.guest().url) == 0_msat);

    const auto again = world.cashier().deposit_token(token, Bearer{});
    REQUIRE(again.has_value());
    CHECK(again->again);
    CHECK(again->key == deposit->key);
    CHECK(*world.cashier().key_of_token(token) == deposit->key);
    CHECK(world.cashier().deposit_token(token, TopUp{deposit->key}).error().code ==
          Code::TokenUsed);
    CHECK(world.cashier().history(deposit->key)->at(0).mint == kGuest);

    // It is the node's own ecash now: refunded by its own mint.
    const auto refund = world.cashier().refund(deposit->key);
    REQUIRE(refund.has_value());
    CHECK(refund->mint == test::kPublicMint.text());
    CHECK(world.customer.redeem(refund->token) == 20'000_msat);
}

TEST_CASE("cashier: a top-up by a token of another mint goes to that key") {
    ForeignWorld world;
    const KeyId key = world.key_of_token(5000_msat);
    REQUIRE(world.cashier().deposit_token(world.guest_token(7000_msat), TopUp{key}).has_value());
    CHECK(world.balance(key) == 12'000_msat);
}

TEST_CASE("cashier: the fees of both mints come off, the reserve's change is owed to nobody") {
    ForeignWorld world{1000};  // A sat for each proof.
    world.lightning.set_fee(3000_msat);
    const auto token = world.guest_token(64'000_msat);
    world.lightning.set_fee(1000_msat);
    const auto deposit = world.cashier().deposit_token(token, Bearer{});
    REQUIRE(deposit.has_value());
    CHECK(deposit->credited < 64'000_msat);
    CHECK(deposit->credited > 50'000_msat);
    CHECK(world.balance(deposit->key) == deposit->credited);
    CHECK(world.posted({AccountKind::PaymentInFlight, "foreign_change"}) ==
          world.ecash_at(world.guest().url));
    // Not the owner's either: a mint of the buyer's own could give anything as change.
    CHECK(*world.cashier().revenue() == 0_msat);
}

TEST_CASE("cashier: a token that costs more to move than it is worth is refused with the number") {
    ForeignWorld world{1000};
    world.lightning.set_fee(5000_msat);
    const auto token = world.guest_token(4000_msat);
    const auto refused = world.cashier().deposit_token(token, Bearer{});
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().code == Code::TokenFeesExceedAmount);
    CHECK(refused.error().detail.find(" of its 4 sat") != std::string::npos);
    CHECK(world.node->connector.ways.front()->calls() > 0);
    // It was not touched.
    test::Customer stranger{world.clock, 100};
    stranger.connect(world.guest());
    CHECK(stranger.redeem(token) == 3000_msat);
}

TEST_CASE(
    "cashier: a token of another mint that was spent is refused, and one unpaid is as it was") {
    ForeignWorld world;
    const auto token = world.guest_token(20'000_msat);
    test::Customer stranger{world.clock, 100};
    stranger.connect(world.guest());
    REQUIRE(stranger.redeem(token) == 20'000_msat);
    CHECK(world.cashier().deposit_token(token, Bearer{}).error().code == Code::TokenSpent);

    // Its mint finds no way to pay us.
    const auto unlucky = world.guest_token(10'000_msat);
    world.lightning.next_pay(test::FakeLightning::Outcome::Failed);
    CHECK(world.cashier().deposit_token(unlucky, Bearer{}).error().code == Code::PaymentFailed);
    CHECK(world.cashier().key_of_token(unlucky).error().code == Code::KeyUnknown);
    const auto later = world.cashier().deposit_token(unlucky, Bearer{});
    REQUIRE(later.has_value());
    CHECK(later->credited == 10'000_msat);
}

TEST_CASE("cashier: while a leg is open the token is in progress, and a recovery finishes it") {
    for (const bool restarted : {false, true}) {
        CAPTURE(restarted);
        ForeignWorld world;
        const auto token = world.guest_token(20'000_msat);
        world.lightning.next_pay(test::FakeLightning::Outcome::Unknown);
        const auto begun = world.cashier().deposit_token(token, Bearer{});
        REQUIRE_FALSE(begun.has_value());
        CHECK(begun.error().code == Code::InProgress);
        CHECK(begun.error().retry_after.has_value());
        world.node->audit();
        CHECK(world.cashier().deposit_token(token, Bearer{}).error().code == Code::InProgress);
        CHECK(world.cashier().key_of_token(token).error().code == Code::InProgress);
        if (restarted) world.restart();

        const auto payment =
            *world.database->read([](store::Reader& reader) -> Result<PaymentHash, CashierError> {
                return reader.query_one("SELECT payment_hash FROM deposit")->id<PaymentHash>(0);
            });
        world.lightning.conclude(payment, PaymentState::Settled);
        for (test::OutsideMint* mint : {&world.guest()}) mint->mint.poll();
        world.clock.advance(Seconds{60});
        REQUIRE(world.node->wallet.recover());
        const auto key = world.cashier().key_of_token(token);
        REQUIRE(key.has_value());
        CHECK(world.balance(*key) == 20'000_msat);
        CHECK(world.cashier().deposit_token(token, Bearer{})->again);
        CHECK(world.lightning.times_paid(payment) == 1);
    }
}

TEST_CASE("cashier: the same token of another mint, from many at once, is credited once") {
    ForeignWorld world;
    const auto token = world.guest_token(20'000_msat);
    {
        std::vector<std::jthread> threads;
        for (int i = 0; i < 6; ++i) {
            threads.emplace_back([&] { (void)world.cashier().deposit_token(token, Bearer{}); });
        }
    }
    const auto deposit = world.cashier().deposit_token(token, Bearer{});
    REQUIRE(deposit.has_value());
    CHECK(world.balance(deposit->key) == 20'000_msat);
}

TEST_CASE(
    "cashier: where the primary mint holds as much as it may, a foreign token goes to the next") {
    World world{Receive::OverMint,
                swapping(),
                {.trusted = {kSecond},
                 .guests = {kGuest},
                 .exposure_max = 15'000_msat,
                 .before_embedded = true}};
    auto& second = *world.outside.front();
    auto& guest = *world.outside.back();
    const auto at = [&](const cashu::MintUrl& mint) {
        return world.posted(ecash_account(mint, cashu::Unit::Sat));
    };
    REQUIRE(world.cashier().deposit_token(world.token_of(guest, 9000_msat), Bearer{}));
    CHECK(at(second.url) == 9000_msat);
    REQUIRE(world.cashier().deposit_token(world.token_of(guest, 20'000_msat), Bearer{}));
    CHECK(at(second.url) == 9000_msat);
    CHECK(at(cashu::MintUrl::embedded()) == 20'000_msat);
    // A token of the primary itself has nowhere else to go.
    CHECK(
        world.cashier().deposit_token(world.token_of(second, 20'000_msat), Bearer{}).error().code ==
        Code::MintFull);
}
