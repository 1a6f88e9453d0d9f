#include <doctest/doctest.h>

#include <thread>

#include "support/wallet_world.h"

using namespace nutgate;
using namespace nutgate::cashu;
using namespace nutgate::test;
using Code = WalletError::Code;

TEST_CASE("wallet: proofs that fit are handed on without asking the mint") {
    WalletWorld world;
    world.fund({1, 2, 4, 8});
    const int before = world.mint.calls("/v1/swap");
    world.mint.set_away(true);
    REQUIRE(world.send(sats(6), "s"));
    CHECK_EQ(world.mint.calls("/v1/swap"), before);
    const auto sent = world.told("sent");
    REQUIRE_EQ(sent.size(), 1);
    CHECK_EQ(sent[0].amount, sats(6));
    CHECK_EQ(sent[0].fee, Msat{});
    CHECK_EQ(world.available(), sats(9));
    // A holder can check it against the mint's keys, and spend it.
    const auto token = parse_token(sent[0].token);
    REQUIRE(token);
    CHECK_EQ(token->mint.text(), kFakeMintUrl);
    for (const auto& proof : token->proofs) CHECK(proof.dleq.has_value());
    world.mint.set_away(false);
    WalletWorld other;
    world.audit();
}

TEST_CASE("wallet: otherwise change is made, the fee told, and the token kept by the books") {
    for (const int version : {0, 1}) {
        WalletWorld world{{.input_fee_ppk = 600, .keyset_version = version}};
        world.fund({64, 64, 64});
        const auto had = world.available();
        REQUIRE(world.send(sats(11), "s"));
        const auto sent = world.told("sent");
        REQUIRE_EQ(sent.size(), 1);
        CHECK_EQ(sent[0].amount, sats(11));
        CHECK(sent[0].fee > Msat{});
        CHECK_EQ(add(add(world.available(), sats(11)).value(), sent[0].fee).value(), had);
        world.audit();
        // Handed out and come back: it is received like anybody's.
        const auto token = world.wallet->read_token(sent[0].token);
        REQUIRE(token);
        CHECK(world.receive(*token, "back"));
        world.audit();
    }
}

TEST_CASE("wallet: a token of ours that comes back is taken once, also where no swap made it") {
    WalletWorld world;
    world.fund({1, 2, 4, 8});
    REQUIRE(world.send(sats(6), "s"));
    const auto token = world.wallet->read_token(world.told("sent")[0].token);
    REQUIRE(token);
    CHECK(world.receive(*token, "back"));
    CHECK_EQ(code_of(world.receive(*token, "again")), Code::TokenSpent);
    CHECK_EQ(world.available(), sats(15));
    world.audit();
}

TEST_CASE("wallet: the same send again is the same token") {
    WalletWorld world;
    world.fund({64});
    REQUIRE(world.send(sats(10), "s"));
    REQUIRE(world.send(sats(10), "s"));
    CHECK_EQ(world.told("sent").size(), 1);
    CHECK_EQ(world.available(), sats(54));
    world.audit();
}

TEST_CASE("wallet: more than there is is refused, and change under way is told from that") {
    WalletWorld world;
    CHECK_EQ(code_of(world.send(sats(1), "s")), Code::InsufficientFunds);
    world.fund({64});
    CHECK_EQ(code_of(world.send(sats(65), "s")), Code::InsufficientFunds);
    CHECK_EQ(code_of(world.wallet->prepare_send(Msat{}, std::nullopt)), Code::InsufficientFunds);
    const auto first = world.begin_send(sats(10), "a");
    REQUIRE(first);
    CHECK_EQ(world.available(), Msat{});
    CHECK_EQ(world.reserved(), sats(64));
    CHECK_EQ(code_of(world.send(sats(54), "b")), Code::TokenPending);
    CHECK_EQ(code_of(world.send(sats(55), "b")), Code::InsufficientFunds);
    CHECK(world.wallet->execute(*first));
    CHECK(world.send(sats(54), "b"));
    CHECK_EQ(world.available(), Msat{});
    world.audit();
}

TEST_CASE("wallet: a payout in millisatoshis is rounded down to what the mint has") {
    WalletWorld world;
    world.fund({64});
    const auto prepared = world.wallet->prepare_send(10'999_msat, std::nullopt);
    REQUIRE(prepared);
    CHECK_EQ(world.wallet->worth(**prepared), sats(10));
    CHECK_EQ(code_of(world.wallet->prepare_send(999_msat, std::nullopt)), Code::InsufficientFunds);
}

TEST_CASE("wallet: every fault of the network ends in one token") {
    for (const auto fault :
         {Fault::NotSent, Fault::LoseRequest, Fault::LoseAnswer, Fault::Duplicate, Fault::CutAnswer,
          Fault::ServerError, Fault::TooMany, Fault::BadSignature}) {
        for (const int times : {1, 2, 3}) {
            CAPTURE(static_cast<int>(fault));
            CAPTURE(times);
            WalletWorld world{{.input_fee_ppk = 100}};
            world.fund({64, 32});
            world.mint.fault("/v1/swap", fault, times);
            world.mint.fault("/v1/checkstate", Fault::LoseRequest, times - 1);
            world.mint.fault("/v1/restore", Fault::CutAnswer, times - 1);
            const auto first = world.send(sats(7), "s");
            if (!first) CHECK_EQ(first.error().code, Code::InProgress);
            world.recover_all();
            CHECK(world.send(sats(7), "s"));
            CHECK_EQ(world.told("sent").size(), 1);
            CHECK(world.told("send_failed").empty());
            world.audit();
        }
    }
}

TEST_CASE("wallet: a mint that rotates between the plan and its transmission gets a new plan") {
    WalletWorld world;
    world.fund({64});
    const auto id = world.begin_send(sats(10), "s");
    REQUIRE(id);
    world.mint.rotate();
    CHECK(world.wallet->execute(*id));
    CHECK(world.told("send_failed").empty());
    CHECK_EQ(world.told("sent").size(), 1);
    CHECK_EQ(world.available(), sats(54));
    world.audit();
}

TEST_CASE("wallet: a plan that a rotation made useless is made anew for sends as well") {
    WalletWorld world;
    world.fund({64});
    world.mint.fault("/v1/swap", Fault::LoseRequest, 2);
    CHECK_EQ(code_of(world.send(sats(10), "s")), Code::InProgress);
    world.mint.rotate();
    world.recover_all();
    CHECK_EQ(world.told("sent").size(), 1);
    CHECK_EQ(world.available(), sats(54));
    world.audit();
}

TEST_CASE("wallet: proofs of ours that somebody else spent are a loss in the books") {
    WalletWorld world;
    world.fund({64});
    const auto id = world.begin_send(sats(10), "s");
    REQUIRE(id);
    const auto y = world.database->read(
        [](store::Reader& reader) -> Result<ByteArray<33>, store::StoreFailure> {
            const auto row = reader.query_one("SELECT y FROM wallet_proof WHERE state = 2");
            ByteArray<33> bytes;
            std::copy(row->bytes(0).begin(), row->bytes(0).end(), bytes.begin());
            return bytes;
        });
    world.mint.spend(*y);
    CHECK_EQ(code_of(world.wallet->execute(*id)), Code::TokenSpent);
    CHECK_EQ(world.told("send_failed").size(), 1);
    REQUIRE_EQ(world.told("lost").size(), 1);
    CHECK_EQ(world.told("lost")[0].amount, sats(64));
    CHECK_EQ(world.available(), Msat{});
}

TEST_CASE("wallet: 64 sends race, and no proof is given away twice") {
    WalletWorld world;
    std::vector<Amount> amounts(40, 1);
    amounts.push_back(64);
    world.fund(amounts);
    std::atomic<int> good = 0;
    {
        std::vector<std::jthread> threads;
        for (int i = 0; i < 64; ++i) {
            threads.emplace_back([&, i] {
                for (int attempt = 0; attempt < 200; ++attempt) {
                    const auto result = world.send(sats(2), "s" + std::to_string(i));
                    if (result) {
                        ++good;
                        return;
                    }
                    if (result.error().code == Code::InsufficientFunds) return;
                    std::this_thread::yield();
                }
            });
        }
    }
    world.recover_all();
    std::set<std::string> secrets;
    std::size_t proofs = 0;
    for (const auto& event : world.told("sent")) {
        const auto token = parse_token(event.token);
        REQUIRE(token);
        for (const auto& proof : token->proofs) {
            ++proofs;
            secrets.insert(proof.secret);
        }
    }
    CHECK_EQ(secrets.size(), proofs);
    CHECK_EQ(world.told("sent").size(), static_cast<std::size_t>(good));
    CHECK_EQ(add(world.available(), sats(2 * good)).value(), sats(104));
    CHECK(good > 0);
    world.audit();
}
