#include <doctest/doctest.h>

#include <atomic>
#include <latch>
#include <thread>

#include "support/wallet_world.h"
#include "wallet/keysets.h"

using namespace nutgate;
using namespace nutgate::cashu;
using namespace nutgate::test;
using Code = WalletError::Code;

TEST_CASE("wallet: a token becomes proofs of our own, and is credited once") {
    WalletWorld world;
    const auto token = world.token({1, 2, 4, 64});
    const auto text = write_token(token);
    const auto read = world.wallet->read_token(text);
    REQUIRE(read);
    CHECK(world.receive(*read, "a"));
    CHECK_EQ(world.available(), sats(71));
    REQUIRE_EQ(world.told("received").size(), 1);
    CHECK_EQ(world.told("received")[0].amount, sats(71));
    // The same again, under the same name: joins what is done.
    CHECK(world.receive(*read, "a"));
    CHECK_EQ(world.told("received").size(), 1);
    // Under another: it is spent.
    CHECK_EQ(code_of(world.receive(*read, "b")), Code::TokenSpent);
    world.audit();
}

TEST_CASE("wallet: the mint's input fee is told and never credited") {
    for (const int version : {0, 1}) {
        WalletWorld world{{.input_fee_ppk = 300, .keyset_version = version}};
        const auto token = world.token({8, 8, 8, 8});
        const auto prepared = world.wallet->prepare_receive(token);
        REQUIRE(prepared);
        CHECK_EQ(world.wallet->worth(**prepared), sats(30));
        CHECK(world.receive(token, "a"));
        CHECK_EQ(world.available(), sats(30));
        CHECK_EQ(world.told("received")[0].fee, sats(2));
        CHECK_EQ(code_of(world.receive(world.token({1}), "b")), Code::FeeExceedsAmount);
        world.audit(1);
    }
}

TEST_CASE("wallet: short keyset ids and keysets of before are taken") {
    WalletWorld world;
    auto old = world.token({4, 8});
    world.mint.rotate();
    auto fresh = world.token({16});
    old.proofs.insert(old.proofs.end(), fresh.proofs.begin(), fresh.proofs.end());
    for (auto& proof : old.proofs) proof.id = proof.id.shortened();
    CHECK(world.receive(old, "a"));
    CHECK_EQ(world.available(), sats(28));
    // A rotation that we have not heard of yet.
    world.mint.rotate();
    CHECK(world.receive(world.token({32}), "b"));
    CHECK_EQ(world.available(), sats(60));
    world.audit();
}

TEST_CASE("wallet: bad tokens get a fact and change nothing") {
    WalletWorld world;
    auto& wallet = *world.wallet;
    CHECK_EQ(code_of(wallet.read_token("hello")), Code::TokenMalformed);
    CHECK_EQ(code_of(wallet.read_token("cashuBhello")), Code::TokenMalformed);
    const auto read = [&](const Token& token) {
        return code_of(wallet.read_token(write_token(token)));
    };
    auto twice = world.token({8});
    twice.proofs.push_back(twice.proofs[0]);
    CHECK_EQ(read(twice), Code::TokenMalformed);
    auto large = world.token({8});
    large.proofs[0].secret = std::string(kSecretBytesMax + 1, 'a');
    CHECK_EQ(read(large), Code::TokenMalformed);
    auto empty = world.token({8});
    empty.proofs[0].amount = 0;
    CHECK_EQ(read(empty), Code::TokenZeroValue);
    auto beyond = world.token({8, 4});
    for (auto& proof : beyond.proofs) proof.amount = 1ULL << 63;
    CHECK_EQ(read(beyond), Code::AmountOverflow);
    auto foreign = world.token({8});
    foreign.mint = *MintUrl::parse("https://elsewhere.example");
    CHECK_EQ(code_of(wallet.read_token(write_token(foreign))), Code::MintForeign);
    CHECK_EQ(code_of(wallet.prepare_receive(foreign)), Code::MintForeign);
    auto dollars = world.token({8});
    dollars.unit = "usd";
    CHECK_EQ(code_of(wallet.read_token(write_token(dollars))), Code::UnitForeign);
    CHECK_EQ(code_of(wallet.prepare_receive(dollars)), Code::UnitForeign);
    auto locked = world.token({8});
    locked.proofs[0].secret = R"(["P2PK",{"nonce":"00","data":"02"}])";
    CHECK_EQ(code_of(wallet.prepare_receive(locked)), Code::LockedToOther);
    auto keyset = world.token({8});
    keyset.proofs[0].id = *KeysetId::parse("00deadbeefdeadbe");
    CHECK_EQ(code_of(wallet.prepare_receive(keyset)), Code::KeysetUnknown);
    auto forged = world.token({8, 4});
    std::swap(forged.proofs[0].C, forged.proofs[1].C);
    CHECK_EQ(code_of(wallet.prepare_receive(forged)), Code::ProofInvalid);
    auto amount = world.token({8});
    amount.proofs[0].amount = 7;
    CHECK_EQ(code_of(wallet.prepare_receive(amount)), Code::ProofInvalid);
    CHECK_EQ(world.mint.calls("/v1/swap"), 0);
    CHECK_EQ(world.available(), Msat{});
    CHECK(test::RecordingSettler::told(*world.database).empty());
}

TEST_CASE("wallet: without a proof of equality it is the mint that refuses a forged token") {
    WalletWorld world;
    auto forged = world.token({8, 4});
    std::swap(forged.proofs[0].C, forged.proofs[1].C);
    for (auto& proof : forged.proofs) proof.dleq.reset();
    CHECK_EQ(code_of(world.receive(forged, "a")), Code::ProofInvalid);
    CHECK_EQ(world.told("receive_failed").size(), 1);
    // It was let go: whole again, it is taken under the same name.
    std::swap(forged.proofs[0].C, forged.proofs[1].C);
    CHECK(world.receive(forged, "a"));
    CHECK_EQ(world.available(), sats(12));
    world.audit();
}

TEST_CASE("wallet: a token that somebody else has spent, all or in part, is told as spent") {
    WalletWorld world;
    const auto all = world.token({8, 4});
    world.mint.spend(all.proofs, 2);
    CHECK_EQ(code_of(world.receive(all, "a")), Code::TokenSpent);
    const auto part = world.token({8, 4});
    world.mint.spend(part.proofs, 1);
    CHECK_EQ(code_of(world.receive(part, "b")), Code::TokenSpent);
    CHECK_EQ(world.told("receive_failed").size(), 2);
    CHECK(world.told("received").empty());
    CHECK_EQ(world.wallet->recover()->waiting, 0);
}

TEST_CASE("wallet: every fault of the network ends in one credit") {
    for (const auto fault :
         {Fault::NotSent, Fault::LoseRequest, Fault::LoseAnswer, Fault::Duplicate, Fault::CutAnswer,
          Fault::ServerError, Fault::TooMany, Fault::BadSignature}) {
        for (const int times : {1, 2, 3}) {
            CAPTURE(static_cast<int>(fault));
            CAPTURE(times);
            WalletWorld world;
            world.mint.fault("/v1/swap", fault, times);
            world.mint.fault("/v1/checkstate", Fault::LoseRequest, times - 1);
            world.mint.fault("/v1/restore", Fault::LoseAnswer, times - 1);
            const auto token = world.token({1, 4, 16});
            const auto first = world.receive(token, "a");
            if (!first) CHECK_EQ(first.error().code, Code::InProgress);
            world.recover_all();
            CHECK(world.receive(token, "a"));
            CHECK_EQ(world.told("received").size(), 1);
            CHECK(world.told("receive_failed").empty());
            CHECK_EQ(world.available(), sats(21));
            world.audit();
        }
    }
}

TEST_CASE("wallet: one lost answer is mended within the same call") {
    for (const auto fault : {Fault::LoseRequest, Fault::LoseAnswer, Fault::CutAnswer,
                             Fault::ServerError, Fault::Duplicate, Fault::BadSignature}) {
        CAPTURE(static_cast<int>(fault));
        WalletWorld world;
        world.mint.fault("/v1/swap", fault);
        const bool done = fault != Fault::LoseRequest;
        CHECK(world.receive(world.token({1, 2, 4}), "a"));
        CHECK_EQ(world.mint.calls("/v1/restore") > 0, done);
        world.audit();
    }
}

TEST_CASE("wallet: a no to bytes that may have been sent before is not believed") {
    WalletWorld world;
    const auto token = world.token({8, 2});
    // Done, the answer lost, the keyset rotated: the mint now refuses what it has already signed.
    world.mint.fault("/v1/swap", Fault::LoseAnswer, 1);
    world.mint.fault("/v1/swap", Fault::NotSent, 1);
    CHECK_EQ(code_of(world.receive(token, "a")), Code::InProgress);
    world.mint.rotate();
    world.recover_all();
    CHECK_EQ(world.available(), sats(10));
    CHECK(world.told("receive_failed").empty());
    world.audit();
}

TEST_CASE("wallet: a plan that a rotation made useless is made anew, and the old one kept") {
    WalletWorld world;
    const auto token = world.token({8, 2});
    world.mint.fault("/v1/swap", Fault::LoseRequest, 2);
    CHECK_EQ(code_of(world.receive(token, "a")), Code::InProgress);
    world.mint.rotate();
    world.recover_all();
    CHECK_EQ(world.available(), sats(10));
    CHECK_EQ(world.told("received").size(), 1);
    world.audit();
}

namespace {

// Nutshell's way: most refusals have the one code.
void use_one_code(FakeMint& mint) {
    mint.lie("/v1/swap", [](std::string_view, MintAnswer& answer) {
        if (answer.status == 400) answer.body = R"({"detail":"no","code":11000})";
    });
}

}  // namespace

TEST_CASE("wallet: a mint that rotated and refuses gets a new plan, whether it says why or not") {
    WalletWorld world;
    REQUIRE(world.receive(world.token({1}), "known"));
    SUBCASE("it says that the keyset is inactive") {}
    SUBCASE("it says nothing") { use_one_code(world.mint); }
    const auto token = world.token({8, 2});
    world.mint.rotate();  // The keysets that we know are a minute old at most.
    CHECK(world.receive(token, "a"));
    const auto after_loss = world.token({4, 2});
    world.mint.fault("/v1/swap", Fault::LoseRequest, 2);
    CHECK_EQ(code_of(world.receive(after_loss, "b")), Code::InProgress);
    world.mint.rotate();
    world.recover_all();
    CHECK_EQ(world.told("received").size(), 3);
    CHECK_EQ(world.available(), sats(17));
    world.audit();
}

TEST_CASE("wallet: a no under a code that we don't know is one, if its inputs are unspent") {
    WalletWorld world;
    use_one_code(world.mint);
    auto forged = world.token({8, 4});
    std::swap(forged.proofs[0].C, forged.proofs[1].C);
    for (auto& proof : forged.proofs) proof.dleq.reset();
    CHECK_EQ(code_of(world.receive(forged, "a")), Code::MintRefused);
    CHECK_EQ(world.told("receive_failed").size(), 1);
    // Not of bytes that may have been on their way before.
    auto again = world.token({2, 1});
    std::swap(again.proofs[0].C, again.proofs[1].C);
    for (auto& proof : again.proofs) proof.dleq.reset();
    world.mint.fault("/v1/swap", Fault::LoseRequest, 1);
    CHECK_EQ(code_of(world.receive(again, "b")), Code::InProgress);
    world.recover_all();
    CHECK_EQ(code_of(world.receive(again, "b")), Code::InProgress);
    CHECK_EQ(world.available(), Msat{});
    world.audit(15);  // What was forged is still good as it was.
}

TEST_CASE("wallet: pending inputs are waited for, however long") {
    WalletWorld world;
    const auto token = world.token({8, 2});
    world.mint.set_pending(token.proofs, true);
    CHECK_EQ(code_of(world.receive(token, "a")), Code::InProgress);
    // Under another name it is busy, not spent.
    CHECK_EQ(code_of(world.receive(token, "b")), Code::TokenPending);
    for (int i = 0; i < 5; ++i) {
        world.clock.advance(Seconds{3601});
        CHECK_EQ(world.wallet->recover()->waiting, 1);
    }
    world.mint.set_pending(token.proofs, false);
    world.recover_all();
    CHECK_EQ(world.available(), sats(10));
    world.audit();
}

TEST_CASE("wallet: what the books refuse is parked, shown, and finished once they agree") {
    WalletWorld world;
    world.settler.refuse(true);
    const auto token = world.token({8, 2});
    CHECK_EQ(code_of(world.receive(token, "a")), Code::InProgress);
    const auto views = world.database->read(
        [](store::Reader& reader) -> Result<std::vector<OperationView>, store::StoreFailure> {
            return Wallet::operations(reader, 10);
        });
    REQUIRE_EQ(views->size(), 1);
    CHECK_EQ(views->front().state, OperationState::Blocked);
    CHECK_EQ(views->front().last_error, "the books refuse it: the books are closed");
    CHECK_EQ(world.available(), Msat{});
    // It stands in nobody's way.
    world.settler.refuse(false);
    CHECK(world.receive(world.token({32}), "b"));
    world.recover_all();
    CHECK_EQ(world.available(), sats(42));
    CHECK_EQ(world.told("received").size(), 2);
    world.audit();
}

TEST_CASE("wallet: a mint that gives back only part is never settled by guessing") {
    WalletWorld world;
    world.mint.fault("/v1/swap", Fault::LoseAnswer, 1);
    world.mint.fault("/v1/swap", Fault::NotSent, 1);
    CHECK_EQ(code_of(world.receive(world.token({1, 2, 4, 8}), "a")), Code::InProgress);
    world.mint.forget_half();
    world.recover_all();
    CHECK_EQ(world.wallet->recover()->waiting, 1);
    CHECK(test::RecordingSettler::told(*world.database).empty());
}

TEST_CASE("wallet: inputs spent after bytes of ours were on their way are looked at twice") {
    WalletWorld world;
    const auto token = world.token({8, 2});
    world.mint.fault("/v1/swap", Fault::LoseRequest, 2);
    CHECK_EQ(code_of(world.receive(token, "a")), Code::InProgress);
    world.mint.spend(token.proofs, 2);
    CHECK_EQ(world.wallet->recover()->waiting, 1);  // Spent, it seems: not concluded yet.
    CHECK(world.told("receive_failed").empty());
    world.clock.advance(Seconds{601});
    const auto second = world.wallet->recover();
    CHECK_EQ(second->failed, 1);
    CHECK_EQ(second->waiting, 0);
    CHECK_EQ(world.told("receive_failed").size(), 1);
    CHECK_EQ(code_of(world.receive(token, "a")), Code::TokenSpent);
}

TEST_CASE("wallet: a mint that is away begins nothing, and one that leaves is waited for") {
    WalletWorld world;
    const auto token = world.token({8, 2});
    world.mint.set_away(true);
    CHECK_EQ(code_of(world.receive(token, "a")), Code::MintUnreachable);
    world.mint.set_away(false);
    const auto id = world.begin_receive(token, "a");
    REQUIRE(id);
    world.mint.set_away(true);
    CHECK_EQ(code_of(world.wallet->execute(*id)), Code::InProgress);
    world.reopen();
    CHECK_EQ(world.wallet->recover()->waiting, 1);
    world.mint.set_away(false);
    CHECK_EQ(world.wallet->recover()->waiting, 1);  // Its back-off has not passed.
    world.recover_all();
    CHECK_EQ(world.available(), sats(10));
    world.audit();
}

TEST_CASE("wallet: however long its mint was away, an operation ends soon after its return") {
    WalletWorld world;
    const auto token = world.token({8, 2});
    world.mint.fault("/v1/swap", Fault::LoseAnswer, 2000);
    CHECK_EQ(code_of(world.receive(token, "a")), Code::InProgress);
    for (int seconds = 0; seconds < 3600; seconds += 5) {
        world.clock.advance(Seconds{5});
        CHECK_EQ(world.wallet->recover()->waiting, 1);
    }
    world.mint.clear_faults();
    world.clock.advance(Seconds{15});
    CHECK_EQ(world.wallet->recover()->waiting, 0);
    CHECK_EQ(world.available(), sats(10));
    world.audit();
}

TEST_CASE("wallet: of one token received by 32 at once, one is credited") {
    WalletWorld world;
    const auto token = world.token({8, 2, 32});
    std::atomic<int> good = 0;
    std::atomic<int> bad = 0;
    {
        std::vector<std::jthread> threads;
        for (int i = 0; i < 32; ++i) {
            threads.emplace_back([&, i] {
                // Half of them under one name, half each under its own.
                const auto name = i % 2 == 0 ? std::string{"same"} : std::to_string(i);
                const auto result = world.receive(token, name);
                if (result) {
                    ++good;
                } else {
                    ++bad;
                    const auto code = result.error().code;
                    const bool expected = code == Code::TokenSpent || code == Code::TokenPending;
                    CHECK(expected);
                }
            });
        }
    }
    world.recover_all();
    CHECK_EQ(good + bad, 32);
    CHECK(good >= 1);
    CHECK_EQ(world.told("received").size(), 1);
    CHECK_EQ(world.available(), sats(42));
    world.audit();
}

TEST_CASE("wallet: keysets that could make us use a secret twice are left out") {
    using wallet::collide;
    using wallet::derivation_number;
    const auto id = [](const char* hex) { return *KeysetId::parse(hex); };
    // 0x00…00 and 0x00…7fffffff are the same number modulo 2^31 - 1.
    CHECK_EQ(derivation_number(id("000000007fffffff")), 0);
    CHECK(collide(id("0000000000000000"), id("000000007fffffff")));
    CHECK_FALSE(collide(id("0000000000000001"), id("000000007fffffff")));
    CHECK_FALSE(collide(id("0000000000000001"), id("0000000000000001")));
    const auto a = id(("01" + std::string(14, 'a') + std::string(50, 'b')).c_str());
    const auto b = id(("01" + std::string(14, 'a') + std::string(50, 'c')).c_str());
    CHECK(collide(a, b));
}

TEST_CASE("wallet: a keyset that expires soon makes nothing new, one that expires at zero does") {
    WalletWorld world;
    const auto token = world.token({8, 2});
    for (const std::int64_t expiry : {std::int64_t{0}, std::int64_t{1}}) {
        wallet::KeysetMap keysets;
        auto keyset = Keyset{.id = token.proofs.front().id,
                             .unit = "sat",
                             .active = true,
                             .input_fee_ppk = 0,
                             .final_expiry = expiry,
                             .keys = {{Amount{1}, crypto::Point{token.proofs.front().C}}}};
        keysets.emplace(keyset.id, keyset);
        const auto* chosen = wallet::choose_active(keysets, Unit::Sat, world.clock.now());
        CHECK_EQ(chosen != nullptr, expiry == 0);
    }
}

TEST_CASE("wallet: a stolen database spends nothing") {
    WalletWorld world;
    const auto token = world.token({8, 2});
    const auto id = world.begin_receive(token, "a");
    REQUIRE(id);
    const auto leaks =
        world.database->read([&](store::Reader& reader) -> Result<int, store::StoreFailure> {
            int found = 0;
            for (const auto& row : reader.query(
                     "SELECT request, token FROM wallet_operation WHERE request IS NOT NULL")) {
                for (const auto& proof : token.proofs) {
                    for (const std::size_t column : {0U, 1U}) {
                        const auto text = as_text(row.bytes(column));
                        if (text.find(proof.secret) != std::string_view::npos) ++found;
                    }
                }
            }
            return found;
        });
    CHECK_EQ(*leaks, 0);
}

TEST_CASE("wallet: counters that lag behind cost a plan, not the token") {
    WalletWorld world;
    world.fund({1, 2, 4});
    // As after a backup was restored: outputs of the next plan were signed before.
    const auto forgotten = world.database->transact([](store::Tx& tx) -> Result<void, WalletError> {
        tx.execute("UPDATE wallet_counter SET next = 0");
        tx.execute("DELETE FROM wallet_output");
        return {};
    });
    REQUIRE(forgotten);
    const auto token = world.token({8, 16, 32});
    static_cast<void>(world.receive(token, "a").has_value());
    world.recover_all();
    CHECK(world.receive(token, "a"));
    CHECK_EQ(world.available(), sats(63));
    world.audit();
}

TEST_CASE("wallet: another seed finishes nothing, says so, and harms nothing") {
    WalletWorld world;
    const auto token = world.token({8, 2});
    world.mint.fault("/v1/swap", Fault::NotSent);
    CHECK_EQ(code_of(world.receive(token, "a")), Code::InProgress);
    std::swap(world.seed[0], world.seed[1]);
    world.reopen();
    const auto recovery = world.wallet->recover();
    REQUIRE(recovery);
    CHECK_EQ(recovery->waiting, 1);
    CHECK_EQ(world.told("receive_failed").size(), 0);
    std::swap(world.seed[0], world.seed[1]);
    world.reopen();
    world.recover_all();
    CHECK_EQ(world.available(), sats(10));
    world.audit();
}

namespace {

// Answers no swap before so many are with it at once.
class CrowdedMint final : public MintClient {
public:
    CrowdedMint(test::FakeMint& mint, int crowd) : mint_{mint}, arrived_{crowd} {}

    Result<MintAnswer, MintFailure> call(MintMethod method, std::string_view path,
                                         std::string_view body) override {
        if (path == "/v1/swap") arrived_.arrive_and_wait();
        return mint_.call(method, path, body);
    }

private:
    test::FakeMint& mint_;
    std::latch arrived_;
};

}  // namespace

TEST_CASE("wallet: two hundred redemptions at once wait for their mint and for nobody else") {
    constexpr int kCrowd = 200;
    test::WalletWorld world;
    CrowdedMint crowded{world.mint, kCrowd};
    Wallet wallet{*world.database,
                  {WalletMint{.url = *MintUrl::parse(test::kFakeMintUrl),
                              .also_known_as = {},
                              .token_url = test::kFakeMintUrl,
                              .client = &crowded}},
                  Secret{to_bytes(world.seed)},
                  world.settler,
                  world.clock,
                  *world.random,
                  world.metrics};
    std::vector<OperationId> begun;
    for (int i = 0; i < kCrowd; ++i) {
        const auto prepared = wallet.prepare_receive(world.token({4}));
        REQUIRE(prepared);
        const auto id =
            world.database->transact([&](store::Tx& tx) -> Result<OperationId, WalletError> {
                return wallet.begin_receive(tx, **prepared, "r" + std::to_string(i));
            });
        REQUIRE(id);
        begun.push_back(*id);
    }
    std::atomic<int> done = 0;
    {
        std::vector<std::jthread> threads;
        for (const auto& id : begun) {
            threads.emplace_back([&wallet, &done, id] {
                if (wallet.execute(id)) ++done;
            });
        }
    }
    CHECK_EQ(done.load(), kCrowd);
    CHECK_EQ(world.available(), test::sats(4 * kCrowd));
    world.audit();
}
