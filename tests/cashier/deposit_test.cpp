#include <algorithm>
#include <latch>
#include <thread>

#include "cashier/world.h"

using namespace nutgate;
using namespace nutgate::literals;
using test::FaultyMint;
using test::World;
using Code = CashierError::Code;

namespace {

Account owed(const KeyId& key) { return key_account(key); }

}  // namespace

TEST_CASE("cashier: a token makes a key, and finds it again") {
    World world;
    const std::string token = world.token(21'000_msat);
    const auto first = world.cashier().deposit_token(token, Bearer{});
    REQUIRE(first.has_value());
    CHECK(first->credited == 21'000_msat);
    CHECK(first->balance == 21'000_msat);
    CHECK_FALSE(first->again);

    const auto second = world.cashier().deposit_token(token, CreateKey{});
    REQUIRE(second.has_value());
    CHECK(second->key == first->key);
    CHECK(second->again);
    CHECK(second->balance == 21'000_msat);
    CHECK(*world.cashier().key_of_token(token) == first->key);
    CHECK(world.node->keyring.authenticate(world.node->keyring.text_of(first->key)) == first->key);
}

TEST_CASE("cashier: the same proofs in another encoding are the same token") {
    World world;
    const std::string text = world.token(21'000_msat);
    const auto first = world.cashier().deposit_token(text, Bearer{});
    REQUIRE(first.has_value());
    cashu::Token token = world.customer.parsed(text);
    std::ranges::reverse(token.proofs);
    token.memo = "thanks";
    const std::string other = cashu::write_token(token, cashu::TokenDleq::Remove);
    REQUIRE(other != text);
    const auto again = world.cashier().deposit_token(" " + other + "\n", Bearer{});
    REQUIRE(again.has_value());
    CHECK(again->key == first->key);
    CHECK(world.posted(owed(first->key)) == 21'000_msat);
}

TEST_CASE("cashier: a token that topped up a key makes none and finds none") {
    World world;
    const KeyId key = world.key_of_token(10'000_msat);
    const std::string token = world.token(5000_msat);
    const auto topped = world.cashier().deposit_token(token, TopUp{key});
    REQUIRE(topped.has_value());
    CHECK(topped->key == key);
    CHECK(topped->credited == 5000_msat);
    CHECK(topped->balance == 15'000_msat);

    CHECK(world.cashier().deposit_token(token, Bearer{}).error().code == Code::TokenUsed);
    CHECK(world.cashier().deposit_token(token, CreateKey{}).error().code == Code::TokenUsed);
    CHECK(world.cashier().key_of_token(token).error().code == Code::KeyUnknown);
    // Its answer may have been lost, so the same request again is answered, and credits nothing.
    const auto again = world.cashier().deposit_token(token, TopUp{key});
    REQUIRE(again.has_value());
    CHECK(again->again);
    CHECK(world.balance(key) == 15'000_msat);
    // Another key gets nothing of it; and what made a key tops up none.
    const std::string making = world.token(3000_msat);
    const auto other = world.cashier().deposit_token(making, Bearer{});
    CHECK(world.cashier().deposit_token(token, TopUp{other->key}).error().code == Code::TokenUsed);
    CHECK(world.cashier().deposit_token(making, TopUp{key}).error().code == Code::TokenUsed);
}

TEST_CASE("cashier: money for a child is its parent's") {
    World world;
    const KeyId parent = world.key_of_token(10'000_msat);
    const auto children = world.cashier().create_children(parent, 1, {});
    REQUIRE(children.has_value());
    const KeyId child = children->keys.at(0);
    const auto topped = world.cashier().deposit_token(world.token(5000_msat), TopUp{child});
    REQUIRE(topped.has_value());
    CHECK(topped->key == parent);
    CHECK(world.balance(parent) == 15'000_msat);
    CHECK(world.posted(owed(child)) == 0_msat);
}

TEST_CASE("cashier: a token that shares proofs with one before is refused") {
    World world;
    const std::string first_text = world.token(7000_msat);
    const cashu::Token first = world.customer.parsed(first_text);
    REQUIRE(first.proofs.size() > 1);
    REQUIRE(world.cashier().deposit_token(first_text, Bearer{}).has_value());

    cashu::Token part = first;
    part.proofs.erase(part.proofs.begin() + 1, part.proofs.end());
    CHECK(world.cashier().deposit_token(cashu::write_token(part), Bearer{}).error().code ==
          Code::TokenSpent);
    cashu::Token more = world.customer.parsed(world.token(4000_msat));
    more.proofs.push_back(first.proofs.front());
    CHECK(world.cashier().deposit_token(cashu::write_token(more), Bearer{}).error().code ==
          Code::TokenSpent);
}

TEST_CASE("cashier: a token that somebody spent is refused, and remembered") {
    World world;
    const std::string token = world.token(8000_msat);
    CHECK(world.customer.redeem(token) == 8000_msat);
    CHECK(world.cashier().deposit_token(token, Bearer{}).error().code == Code::TokenSpent);
    const int asked = world.node->client.calls();
    CHECK(world.cashier().deposit_token(token, Bearer{}).error().code == Code::TokenSpent);
    CHECK(world.node->client.calls() == asked);
    CHECK(world.cashier().key_of_token(token).error().code == Code::KeyUnknown);
}

TEST_CASE("cashier: a damaged copy of a token does not spoil the token") {
    World world;
    const std::string text = world.token(7000_msat);
    cashu::Token copy = world.customer.parsed(text);
    for (auto& proof : copy.proofs) proof.dleq.reset();
    REQUIRE(copy.proofs.size() > 1);
    std::swap(copy.proofs[0].C, copy.proofs[1].C);
    const std::string damaged = cashu::write_token(copy);
    CHECK(world.cashier().deposit_token(damaged, Bearer{}).error().code == Code::TokenInvalid);
    const int asked = world.node->client.calls();
    CHECK(world.cashier().deposit_token(damaged, Bearer{}).error().code == Code::TokenInvalid);
    CHECK(world.node->client.calls() == asked);
    CHECK(world.cashier().deposit_token(text, Bearer{})->credited == 7000_msat);
}

TEST_CASE("cashier: what is no token of ours changes nothing") {
    World world;
    auto& cashier = world.cashier();
    CHECK(cashier.deposit_token("", Bearer{}).error().code == Code::TokenInvalid);
    CHECK(cashier.deposit_token("cashuBnonsense", Bearer{}).error().code == Code::TokenInvalid);
    CHECK(cashier.deposit_token("sk-00", Bearer{}).error().code == Code::TokenInvalid);
    cashu::Token foreign = world.customer.parsed(world.token(2000_msat));
    foreign.mint = *cashu::MintUrl::parse("https://elsewhere.example");
    for (auto& proof : foreign.proofs) proof.id = *cashu::KeysetId::parse("00ffffffffffffff");
    CHECK(cashier.deposit_token(cashu::write_token(foreign), Bearer{}).error().code ==
          Code::TokenMintForeign);
    const std::string token = world.token(2000_msat);
    CHECK(cashier.deposit_token(token, TopUp{KeyId{ByteArray<16>{}}}).error().code ==
          Code::KeyUnknown);
    CHECK(cashier
              .deposit_token(token,
                             CreateKey{{.balance_limit = 1_msat, .valid_until = world.clock.now()}})
              .error()
              .code == Code::LimitInvalid);
    // None of that cost it.
    CHECK(cashier.deposit_token(token, Bearer{})->credited == 2000_msat);
}

TEST_CASE("cashier: while the mint is away nothing is begun, and later all is well") {
    World world;
    const std::string token = world.token(6000_msat);
    const std::string other = world.token(1000_msat);
    REQUIRE(world.cashier().deposit_token(other, Bearer{}).has_value());  // Keysets are known.
    world.node->client.set(FaultyMint::Fault::Away);
    const auto refused = world.cashier().deposit_token(token, Bearer{});
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().retry_after.has_value());
    CHECK((refused.error().code == Code::MintUnreachable ||
           refused.error().code == Code::InProgress));
    world.node->client.set(FaultyMint::Fault::None);
    world.clock.advance(Seconds{60});
    REQUIRE(world.node->wallet.recover());
    const auto deposit = world.cashier().deposit_token(token, Bearer{});
    REQUIRE(deposit.has_value());
    CHECK(deposit->credited == 6000_msat);
}

TEST_CASE("cashier: a lost answer is in progress, and the same token finds its key later") {
    World world;
    const std::string token = world.token(6000_msat);
    REQUIRE(world.cashier().deposit_token(world.token(1000_msat), Bearer{}).has_value());
    world.node->client.set(FaultyMint::Fault::AnswerLost);
    const auto lost = world.cashier().deposit_token(token, Bearer{});
    REQUIRE_FALSE(lost.has_value());
    CHECK(lost.error().code == Code::InProgress);
    CHECK(lost.error().retry_after.has_value());
    // Its key exists only with its money.
    CHECK(world.cashier().key_of_token(token).error().code == Code::InProgress);
    // Something else can't be made of it meanwhile.
    const KeyId key = world.node->keyring.id_of_invoice("none");
    CHECK(world.cashier().deposit_token(token, TopUp{key}).error().code == Code::KeyUnknown);

    world.node->client.set(FaultyMint::Fault::None);
    world.clock.advance(Seconds{60});
    REQUIRE(world.node->wallet.recover());
    REQUIRE(world.cashier().recover());
    const auto found = world.cashier().deposit_token(token, Bearer{});
    REQUIRE(found.has_value());
    CHECK(found->credited == 6000_msat);
    CHECK(world.balance(found->key) == 6000_msat);
}

TEST_CASE("cashier: 64 deposits of one token at once credit it once") {
    World world;
    const std::string token = world.token(64'000_msat);
    constexpr int kThreads = 64;
    std::latch start{kThreads};
    std::atomic<int> credited = 0;
    std::atomic<int> found = 0;
    std::atomic<int> later = 0;
    {
        std::vector<std::jthread> threads;
        for (int i = 0; i < kThreads; ++i) {
            threads.emplace_back([&] {
                start.arrive_and_wait();
                const auto deposit = world.cashier().deposit_token(token, Bearer{});
                if (deposit) {
                    ++(deposit->again ? found : credited);
                } else if (deposit.error().code == Code::InProgress) {
                    ++later;
                }
            });
        }
    }
    CHECK(credited == 1);
    CHECK(credited + found + later == kThreads);
    const KeyId key = world.cashier().deposit_token(token, Bearer{})->key;
    CHECK(world.balance(key) == 64'000_msat);
}

TEST_CASE("cashier: of 32 who top up different keys with one token, one does") {
    World world;
    constexpr int kThreads = 32;
    std::vector<KeyId> keys;
    for (int i = 0; i < kThreads; ++i) keys.push_back(world.key_of_token(1000_msat));
    const std::string token = world.token(9000_msat);
    std::latch start{kThreads};
    std::atomic<int> credited = 0;
    {
        std::vector<std::jthread> threads;
        for (int i = 0; i < kThreads; ++i) {
            threads.emplace_back([&, i] {
                start.arrive_and_wait();
                const auto deposit =
                    world.cashier().deposit_token(token, TopUp{keys[std::size_t(i)]});
                if (deposit) ++credited;
            });
        }
    }
    CHECK(credited == 1);
    int topped = 0;
    for (const KeyId& key : keys) topped += world.balance(key) == 10'000_msat ? 1 : 0;
    CHECK(topped == 1);
}

TEST_CASE("cashier: a key's limits are those it was made with") {
    World world;
    const std::string token = world.token(5000_msat);
    const auto made = world.cashier().deposit_token(
        token, CreateKey{{.balance_limit = 700_msat, .reset = LimitReset::Daily}});
    REQUIRE(made.has_value());
    REQUIRE(world.cashier().deposit_token(token, CreateKey{}).has_value());
    const auto info = world.cashier().info(made->key);
    CHECK(info->record.limits.balance_limit == 700_msat);
    CHECK(info->record.limits.reset == LimitReset::Daily);
}
