// Our own money from one of our assets to ecash at a mint: by the operator's word, to keep a
// reserve, and because a refund needs it.
#include "cashier/world.h"

using namespace nutgate;
using namespace nutgate::literals;
using test::FakeLightning;
using test::FaultyMint;
using test::Receive;
using test::World;
using Code = CashierError::Code;

namespace {

constexpr const char* kSecond = "https://second.example";
constexpr const char* kThird = "https://third.example";
const cashu::MintUrl kEmbedded = cashu::MintUrl::embedded();

OperationId request(int n) { return OperationId{ByteArray<16>{std::byte(n)}}; }

struct MovesWorld : World {
    explicit MovesWorld(Receive receive = Receive::OverMint, Cashier::Options options = {},
                        bool node_pays = false)
        : World{receive,
                std::move(options),
                {.trusted = {kSecond, kThird}, .guests = {}, .node_pays = node_pays}} {}

    test::OutsideMint& second() { return *outside.at(0); }
    test::OutsideMint& third() { return *outside.at(1); }
    Msat at(const cashu::MintUrl& mint) { return posted(ecash_account(mint, cashu::Unit::Sat)); }
    Msat at(const test::OutsideMint& mint) { return at(mint.url); }
    KeyId key_of(test::OutsideMint& mint, Msat amount) {
        const auto deposit = cashier().deposit_token(token_of(mint, amount), Bearer{});
        REQUIRE(deposit.has_value());
        return deposit->key;
    }
    // A customer pays the node's own Lightning.
    KeyId key_by_invoice(Sat amount) {
        const auto invoice = cashier().open_invoice(
            {.amount = amount, .purpose = InvoicePurpose::Create, .key = {}, .limits = {}});
        REQUIRE(invoice.has_value());
        lightning.mark_paid(invoice->payment_hash, to_msat(amount));
        return *cashier().invoice_status(invoice->invoice_id)->key;
    }
    void pass(Seconds time = Seconds{60}) {
        clock.advance(time);
        REQUIRE(node->wallet.recover());
        REQUIRE(node->cashier->recover());
    }
};

}  // namespace

TEST_CASE("cashier: ecash moves from one of our mints to another, once for each request") {
    MovesWorld world;
    const KeyId key = world.key_of(world.second(), 40'000_msat);
    for (int i = 0; i < 2; ++i) {
        const auto moved =
            world.cashier().move_ecash(request(1), 25_sat, world.second().url, kEmbedded);
        REQUIRE(moved.has_value());
        CHECK(moved->amount == 25'000_msat);
        CHECK(moved->again == (i == 1));
        CHECK(world.at(world.second()) == 15'000_msat);
        CHECK(world.at(kEmbedded) == 25'000_msat);
    }
    CHECK(world.balance(key) == 40'000_msat);
    // Back again: the embedded mint pays the other.
    REQUIRE(world.cashier().move_ecash(request(2), 25_sat, kEmbedded, world.second().url));
    CHECK(world.at(world.second()) == 40'000_msat);
}

TEST_CASE("cashier: moving ecash costs the node its mint's fees, and no customer anything") {
    MovesWorld world;
    const KeyId key = world.key_of(world.second(), 40'000_msat);
    world.lightning.set_fee(2000_msat);
    const auto moved =
        world.cashier().move_ecash(request(1), 25_sat, world.second().url, kEmbedded);
    REQUIRE(moved.has_value());
    CHECK(moved->fee == 2000_msat);
    CHECK(world.posted({AccountKind::Fees, kSecond}) == 2000_msat);
    CHECK(world.at(world.second()) == 13'000_msat);
    CHECK(world.balance(key) == 40'000_msat);
}

TEST_CASE("cashier: what can't be moved is refused, and nothing changes") {
    MovesWorld world;
    (void)world.key_of(world.second(), 40'000_msat);
    const auto code = [&](Sat amount, const cashu::MintUrl& from, const cashu::MintUrl& to) {
        const auto moved = world.cashier().move_ecash(request(1), amount, from, to);
        REQUIRE_FALSE(moved.has_value());
        return moved.error().code;
    };
    const auto unknown = *cashu::MintUrl::parse("https://unknown.example");
    CHECK(code(0_sat, world.second().url, kEmbedded) == Code::AmountOutOfRange);
    CHECK(code(41_sat, world.second().url, kEmbedded) == Code::MintInsufficient);
    CHECK(code(10_sat, unknown, kEmbedded) == Code::TokenMintForeign);
    CHECK(code(10_sat, world.second().url, unknown) == Code::TokenMintForeign);
    CHECK(code(10_sat, kEmbedded, kEmbedded) == Code::MintRefused);
    world.lightning.next_pay(FakeLightning::Outcome::Failed);
    CHECK(code(10_sat, world.second().url, kEmbedded) == Code::PaymentFailed);
    CHECK(world.at(world.second()) == 40'000_msat);
    // The request has failed, and stays so.
    CHECK(code(10_sat, world.second().url, kEmbedded) == Code::PaymentFailed);
    CHECK(world.cashier().move_ecash(request(2), 10_sat, world.second().url, kEmbedded));
}

TEST_CASE("cashier: money on its way is in transit, through a restart, until it arrives") {
    MovesWorld world;
    (void)world.key_of(world.second(), 40'000_msat);
    // The embedded mint is away once the other has paid: the second leg stays open.
    world.node->client.fault_at(2, FaultyMint::Fault::Away);
    const auto moved =
        world.cashier().move_ecash(request(1), 25_sat, world.second().url, kEmbedded);
    REQUIRE_FALSE(moved.has_value());
    CHECK(moved.error().code == Code::InProgress);
    CHECK(world.posted({AccountKind::Lightning, "transit"}) == 25'000_msat);
    CHECK(world.at(world.second()) == 15'000_msat);
    world.node->audit();
    world.restart();
    world.pass();
    CHECK(world.posted({AccountKind::Lightning, "transit"}) == 0_msat);
    CHECK(world.at(kEmbedded) == 25'000_msat);
    CHECK(world.cashier().move_ecash(request(1), 25_sat, world.second().url, kEmbedded)->again);
}

TEST_CASE("cashier: the node's Lightning pays for ecash, with what is not the embedded mint's") {
    MovesWorld world{Receive::OverNode, {}, true};
    // The mint's Lightning is the node's, too: what an outside wallet minted is not ours.
    world.customer.fund(world.lightning, 500'000_msat);
    CHECK(world.cashier().fund(request(1), kEmbedded, 10_sat, 0_msat).error().code ==
          Code::LightningInsufficient);
    const KeyId key = world.key_by_invoice(50_sat);
    CHECK(world.cashier().fund(request(1), kEmbedded, 51_sat, 0_msat).error().code ==
          Code::LightningInsufficient);
    CHECK(world.cashier().fund(request(1), kEmbedded, 50_sat, 1_msat).error().code ==
          Code::LightningInsufficient);
    for (int i = 0; i < 2; ++i) {
        const auto funded = world.cashier().fund(request(2), kEmbedded, 30_sat, 0_msat);
        REQUIRE(funded.has_value());
        CHECK(funded->amount == 30'000_msat);
        CHECK(funded->again == (i == 1));
    }
    CHECK(world.at(kEmbedded) == 30'000_msat);
    world.lightning.set_fee(1500_msat);
    const auto elsewhere = world.cashier().fund(request(3), world.third().url, 10_sat, 2000_msat);
    REQUIRE(elsewhere.has_value());
    CHECK(elsewhere->fee == 1500_msat);
    CHECK(world.at(world.third()) == 10'000_msat);
    CHECK(world.posted({AccountKind::Fees, "fake"}) == 1500_msat);
    CHECK(world.balance(key) == 50'000_msat);
}

TEST_CASE("cashier: a funding that was refused leaves the money where it was") {
    MovesWorld world{Receive::OverNode, {}, true};
    (void)world.key_by_invoice(50_sat);
    world.lightning.set_fee(5000_msat);
    CHECK(world.cashier().fund(request(1), world.second().url, 20_sat, 1000_msat).error().code ==
          Code::PaymentFailed);
    CHECK(world.posted(lightning_account("fake")) == 50'000_msat);
    CHECK(world.at(world.second()) == 0_msat);
}

TEST_CASE("cashier: a funding under way is not paid for with the same money twice") {
    MovesWorld world{Receive::OverNode, {}, true};
    (void)world.key_by_invoice(50_sat);
    world.lightning.next_pay(FakeLightning::Outcome::Unknown);
    CHECK(world.cashier().fund(request(1), world.second().url, 30_sat, 1000_msat).error().code ==
          Code::InProgress);
    world.node->audit();
    CHECK(world.cashier().fund(request(2), world.second().url, 20_sat, 0_msat).error().code ==
          Code::LightningInsufficient);
    CHECK(world.cashier().fund(request(2), world.second().url, 19_sat, 0_msat).has_value());
}

TEST_CASE("cashier: the reserve is filled at each trusted mint, by steps that are worth it") {
    Cashier::Options options;
    options.reserve = 100'000_msat;
    options.fund_fee_max_base = 1000_msat;
    MovesWorld world{Receive::OverNode, options, true};
    CHECK(*world.cashier().keep_reserve() == 0);  // There is no money for it.
    const KeyId key = world.key_by_invoice(400_sat);
    CHECK(*world.cashier().keep_reserve() == 3);
    CHECK(world.at(kEmbedded) == 100'000_msat);
    CHECK(world.at(world.second()) == 100'000_msat);
    CHECK(world.at(world.third()) == 100'000_msat);
    CHECK(*world.cashier().keep_reserve() == 0);

    // Less than a tenth is missing, then more.
    const KeyId small = world.key_by_invoice(8_sat);
    REQUIRE(world.cashier().refund(small).has_value());
    CHECK(*world.cashier().keep_reserve() == 0);
    const KeyId more = world.key_by_invoice(8_sat);
    REQUIRE(world.cashier().refund(more).has_value());
    CHECK(*world.cashier().keep_reserve() == 1);
    CHECK(world.at(kEmbedded) == 100'000_msat);
    CHECK(world.balance(key) == 400'000_msat);
}

TEST_CASE("cashier: one funding at a time for each mint, and a pause after one that failed") {
    Cashier::Options options;
    options.reserve = 100'000_msat;
    World world{Receive::OverNode, options, {.node_pays = true}};
    const auto invoice = world.cashier().open_invoice(
        {.amount = 400_sat, .purpose = InvoicePurpose::Create, .key = {}, .limits = {}});
    world.lightning.mark_paid(invoice->payment_hash, 400'000_msat);
    (void)world.cashier().invoice_status(invoice->invoice_id);

    world.lightning.next_pay(FakeLightning::Outcome::Unknown);
    CHECK(*world.cashier().keep_reserve() == 1);
    CHECK(*world.cashier().keep_reserve() == 0);
    const auto payment =
        *world.database->read([](store::Reader& reader) -> Result<PaymentHash, CashierError> {
            return reader.query_one("SELECT payment_hash FROM transit")->id<PaymentHash>(0);
        });
    world.lightning.conclude(payment, PaymentState::Failed);
    world.clock.advance(Seconds{60});
    REQUIRE(world.node->wallet.recover());
    CHECK(world.posted(lightning_account("fake")) == 400'000_msat);

    world.lightning.next_pay(FakeLightning::Outcome::Failed);
    CHECK(*world.cashier().keep_reserve() == 0);
    const auto made = world.lightning.invoices_made();
    CHECK(*world.cashier().keep_reserve() == 0);
    CHECK(world.lightning.invoices_made() == made);
    world.clock.advance(Seconds{601});
    CHECK(*world.cashier().keep_reserve() == 1);
    CHECK(world.posted(ecash_account(kEmbedded, cashu::Unit::Sat)) == 100'000_msat);
}

TEST_CASE("cashier: a refund that no mint can give is brought together at the primary") {
    MovesWorld world;
    const KeyId key = world.key_of(world.second(), 40'000_msat);
    (void)world.key_of(world.third(), 30'000_msat);
    REQUIRE(world.cashier().deposit_token(world.token(20'000_msat), TopUp{key}).has_value());
    // 60 sat are owed to it; 20, 40 and 30 are there.
    const auto refund = world.cashier().refund(key);
    REQUIRE(refund.has_value());
    CHECK(refund->amount == 60_sat);
    CHECK(world.customer.redeem(refund->token) == 60'000_msat);
}

TEST_CASE("cashier: what is being brought together is said to be in progress, and comes") {
    MovesWorld world;
    const KeyId key = world.key_of(world.second(), 40'000_msat);
    REQUIRE(world.cashier().deposit_token(world.token(20'000_msat), TopUp{key}).has_value());
    (void)world.key_of(world.third(), 30'000_msat);
    world.lightning.next_pay(FakeLightning::Outcome::Unknown);
    const auto waiting = world.cashier().refund(key);
    REQUIRE_FALSE(waiting.has_value());
    CHECK(waiting.error().code == Code::InProgress);
    CHECK(world.balance(key) == 60'000_msat);
    const auto count = [&] {
        return *world.database->read(
            [](store::Reader& reader) -> Result<std::int64_t, CashierError> {
                return reader.query_one("SELECT COUNT(*) FROM transit")->integer(0);
            });
    };
    for (int i = 0; i < 3; ++i) {
        CHECK(world.cashier().refund(key).error().code == Code::InProgress);
        CHECK(count() == 1);
    }
    const auto payment =
        *world.database->read([](store::Reader& reader) -> Result<PaymentHash, CashierError> {
            return reader.query_one("SELECT payment_hash FROM transit")->id<PaymentHash>(0);
        });
    world.lightning.conclude(payment, PaymentState::Settled);
    world.second().mint.poll();
    world.third().mint.poll();
    world.pass();
    const auto refund = world.cashier().refund(key);
    REQUIRE(refund.has_value());
    CHECK(refund->amount == 60_sat);
}

TEST_CASE("cashier: where all ecash together is too little, nothing is moved") {
    World world{Receive::OverNode, {}, {.trusted = {kSecond}}};
    const auto invoice = world.cashier().open_invoice(
        {.amount = 50_sat, .purpose = InvoicePurpose::Create, .key = {}, .limits = {}});
    world.lightning.mark_paid(invoice->payment_hash, 50'000_msat);
    const KeyId key = *world.cashier().invoice_status(invoice->invoice_id)->key;
    REQUIRE(world.cashier()
                .deposit_token(world.token_of(*world.outside.front(), 30'000_msat), Bearer{})
                .has_value());
    CHECK(world.cashier().refund(key).error().code == Code::MintInsufficient);
    CHECK(world.posted(ecash_account(world.outside.front()->url, cashu::Unit::Sat)) == 30'000_msat);
    CHECK(world.balance(key) == 50'000_msat);
}

TEST_CASE("cashier: money at the node's Lightning becomes the ecash that a refund asks for") {
    MovesWorld world{Receive::OverNode, {}, true};
    const KeyId key = world.key_by_invoice(50_sat);
    (void)world.key_by_invoice(30_sat);
    const auto refund = world.cashier().refund(key);
    REQUIRE(refund.has_value());
    CHECK(refund->amount == 50_sat);
    CHECK(world.customer.redeem(refund->token) == 50'000_msat);
}
