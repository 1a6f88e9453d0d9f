// Ecash found again from the seed alone, and a wallet that tidies itself.
#include <doctest/doctest.h>

#include "support/wallet_world.h"

using namespace nutgate;
using namespace nutgate::cashu;
using test::sats;
using test::WalletWorld;

namespace {

// As after the loss of the disk: the words are all there is.
void lose_database(WalletWorld& world) {
    world.wallet.reset();
    world.database = store::open("sqlite::memory:").value();
    VERIFY(Wallet::migrate(*world.database).has_value());
    test::RecordingSettler::migrate(*world.database);
    world.reopen();
}

}  // namespace

TEST_CASE("wallet: the seed alone brings back what is unspent, of all keysets") {
    for (const int version : {0, 1}) {
        CAPTURE(version);
        WalletWorld world{{.keyset_version = version}};
        world.fund({64, 8, 1});
        world.mint.rotate();
        world.fund({32, 2});
        REQUIRE(world.send(sats(3), "s"));
        const auto token = parse_token(world.told("sent")[0].token);
        world.mint.spend(token->proofs, token->proofs.size());
        const auto before = world.available();
        lose_database(world);
        const auto restored = world.wallet->restore();
        REQUIRE(restored);
        REQUIRE_EQ(restored->size(), 1);
        CHECK_EQ(restored->front().found, before);
        CHECK_EQ(restored->front().error, "");
        CHECK_EQ(world.available(), before);
        CHECK_EQ(world.told("restored").size(), 2);  // One of each keyset.
        // Nothing is found twice, and no counter is used again.
        const auto again = world.wallet->restore();
        REQUIRE(again);
        CHECK_EQ(again->front().proofs, 0);
        CHECK_EQ(world.available(), before);
        world.fund({16});
        REQUIRE(world.send(sats(50), "s2"));
    }
}

TEST_CASE("wallet: a restore goes over gaps of counters, and stops after three empty batches") {
    WalletWorld world;
    world.fund({4});
    for (int i = 0; i < 40; ++i) {
        REQUIRE(world.wallet->prepare_receive(world.token({64, 32, 16, 8, 4, 2, 1})));
    }
    REQUIRE(world.receive(world.token({2}), "late"));
    lose_database(world);
    const auto restored = world.wallet->restore();
    REQUIRE(restored);
    CHECK_EQ(restored->front().found, sats(6));
}

TEST_CASE("wallet: a restore beside operations under way takes nothing from them") {
    WalletWorld world;
    const auto token = world.token({32, 1});
    world.mint.fault("/v1/swap", test::Fault::LoseAnswer, 9);
    world.mint.fault("/v1/checkstate", test::Fault::NotSent, 1);
    CHECK_FALSE(world.receive(token, "a"));
    const auto restored = world.wallet->restore();
    REQUIRE(restored);
    CHECK_EQ(restored->front().proofs, 0);
    world.recover_all();
    CHECK_EQ(world.told("received").size(), 1);
    CHECK_EQ(world.available(), sats(33));
    world.audit();
}

TEST_CASE("wallet: a mint that is away leaves a restore unfinished, and it says so") {
    WalletWorld world;
    world.fund({8});
    lose_database(world);
    world.mint.set_away(true);
    const auto restored = world.wallet->restore();
    REQUIRE(restored);
    CHECK_NE(restored->front().error, "");
    CHECK_EQ(world.available(), Msat{});
}

TEST_CASE("wallet: proofs of a keyset that is no longer active move to one that is") {
    WalletWorld world{{.input_fee_ppk = 100}};
    world.fund({64, 8, 1});
    const auto old = world.available();
    const auto fresh = world.mint.rotate();
    world.clock.advance(Seconds{61});
    CHECK_EQ(world.wallet->consolidate().value(), 1);
    CHECK_EQ(world.available(), subtract(old, sats(1)).value());
    const auto others = world.database->read(
        [&](store::Reader& reader) -> Result<std::int64_t, store::StoreFailure> {
            return reader
                .query_one("SELECT COUNT(*) FROM wallet_proof WHERE state = 1 AND keyset <> $1",
                           fresh.text())
                ->integer(0);
        });
    CHECK_EQ(*others, 0);
    CHECK_EQ(world.told("consolidated").size(), 1);
    CHECK_EQ(world.told("consolidated")[0].fee, sats(1));
    CHECK_EQ(world.wallet->consolidate().value(), 0);
    world.audit();
}

TEST_CASE("wallet: many small proofs become few, and enough of each stay") {
    WalletWorld world;
    for (int i = 0; i < 5; ++i) world.fund(std::vector<Amount>(40, 1));
    // 40 sat each: received as 32 + 8. Small ones come from sends.
    for (int i = 0; i < 6; ++i) world.fund({1});
    CHECK_EQ(world.wallet->consolidate().value(), 0);
    for (int i = 0; i < 200; ++i) world.fund({1});
    CHECK_EQ(world.wallet->consolidate().value(), 1);
    CHECK_EQ(world.available(), sats(406));
    const auto ones = world.database->read(
        [&](store::Reader& reader) -> Result<std::int64_t, store::StoreFailure> {
            return reader
                .query_one("SELECT COUNT(*) FROM wallet_proof WHERE state = 1 AND amount = 1")
                ->integer(0);
        });
    CHECK_EQ(*ones, 64);
    world.audit();
}
