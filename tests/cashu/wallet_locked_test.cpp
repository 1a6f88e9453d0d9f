// Tokens that are locked to this node: received by whoever has its key, and by nobody else.
#include <doctest/doctest.h>

#include "nutgate/cashu/blinded_key.h"
#include "nutgate/crypto/hash.h"
#include "support/wallet_world.h"

using namespace nutgate;
using namespace nutgate::cashu;
using Code = WalletError::Code;
using test::code_of;
using test::sats;
using test::WalletWorld;

namespace {

Token locked(WalletWorld& world, const LockTerms& terms) {
    return world.mint.locked_token({8, 2}, test::kFakeMintUrl, terms);
}

LockTerms to_us(WalletWorld& world, std::vector<std::vector<std::string>> tags = {}) {
    auto terms = lock_to(world.wallet->receive_key());
    terms.tags = std::move(tags);
    return terms;
}

crypto::Point somebody() {
    test::SeededRandom random{4711};
    return crypto::generator_times(crypto::Scalar::random(random));
}

}  // namespace

TEST_CASE("wallet: a token that is locked to this node's key is received") {
    for (const bool all : {false, true}) {
        CAPTURE(all);
        WalletWorld world;
        const auto tags = all ? std::vector<std::vector<std::string>>{{"sigflag", "SIG_ALL"}}
                              : std::vector<std::vector<std::string>>{};
        REQUIRE(world.receive(locked(world, to_us(world, tags)), "r"));
        CHECK_EQ(world.available(), sats(10));
        world.audit();
    }
}

TEST_CASE("wallet: a lock that signs the outputs is signed anew for a new plan") {
    WalletWorld world;
    const auto token = locked(world, to_us(world, {{"sigflag", "SIG_ALL"}}));
    const auto id = world.begin_receive(token, "r");
    REQUIRE(id);
    world.mint.rotate();
    world.mint.fault("/v1/swap", test::Fault::LoseRequest);
    REQUIRE(world.wallet->execute(*id));
    CHECK_EQ(world.available(), sats(10));
    world.audit();
}

TEST_CASE("wallet: a token that is locked to another key is refused, and nothing is asked") {
    WalletWorld world;
    CHECK_EQ(code_of(world.receive(locked(world, lock_to(somebody())), "r")), Code::LockedToOther);
    const auto both = to_us(world, {{"pubkeys", somebody().hex()}, {"n_sigs", "2"}});
    CHECK_EQ(code_of(world.receive(locked(world, both), "r")), Code::LockedToOther);
    CHECK_EQ(world.mint.calls("/v1/swap"), 0);
    world.audit(20);
}

TEST_CASE("wallet: one of two keys is enough where one signature is") {
    WalletWorld world;
    auto terms = lock_to(somebody());
    terms.tags = {{"pubkeys", world.wallet->receive_key().hex()}};
    REQUIRE(world.receive(locked(world, terms), "r"));
    CHECK_EQ(world.available(), sats(10));
}

TEST_CASE("wallet: a hash lock opens with the preimage that came along") {
    WalletWorld world;
    const Preimage preimage{crypto::sha256(as_bytes("open"))};
    const LockTerms terms{.kind = "HTLC",
                          .data = to_hex(crypto::sha256(preimage.bytes())),
                          .tags = {{"pubkeys", world.wallet->receive_key().hex()}}};
    auto token = locked(world, terms);
    CHECK_EQ(code_of(world.receive(token, "r")), Code::LockedToOther);
    for (auto& proof : token.proofs) {
        proof.witness = R"({"preimage":")" + preimage.hex() + R"(","signatures":[]})";
    }
    REQUIRE(world.receive(token, "r"));
    CHECK_EQ(world.available(), sats(10));
    world.audit();
}

TEST_CASE("wallet: texts that look like a condition and are none that we know are refused") {
    WalletWorld world;
    for (const char* secret : {R"(["FUTURE",{"nonce":"00","data":"01"}])", "[not json",
                               R"(["P2PK",{"nonce":"00","data":"02"}])"}) {
        CAPTURE(secret);
        const auto token = world.mint.token_of(
            {4}, test::kFakeMintUrl, [&](crypto::Random&) { return std::string{secret}; });
        CHECK_EQ(code_of(world.receive(token, "r")), Code::LockedToOther);
    }
    CHECK_EQ(world.available(), Msat{});
}
