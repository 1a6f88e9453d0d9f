// The owner's money: put in, paid out over Lightning, and never more of it than is the owner's.
#include "cashier/world.h"

using namespace nutgate;
using namespace nutgate::literals;
using test::FakeLightning;
using test::FaultyMint;
using test::Receive;
using test::World;
using Code = CashierError::Code;

namespace {

OperationId request(int n) { return OperationId{ByteArray<16>{std::byte(n)}}; }

// 30 sat on a key, 12 of revenue.
struct EarnedWorld : World {
    KeyId key = key_of_token(42'000_msat);

    explicit EarnedWorld(test::Surroundings around = {}) : World{Receive::OverMint, {}, around} {
        charge(key, 12'000_msat);
    }
};

}  // namespace

TEST_CASE("cashier: the owner pays an invoice out of revenue, once for each request") {
    EarnedWorld world;
    const auto invoice = world.lightning.outside_invoice(7000_msat);
    const auto paid = world.cashier().owner_melt(request(1), invoice, std::nullopt);
    REQUIRE(paid.has_value());
    CHECK(paid->amount == 7000_msat);
    CHECK(paid->fee == 0_msat);
    CHECK(paid->mint == cashu::MintUrl::embedded());
    REQUIRE(paid->preimage.has_value());
    const auto hash = parse_bolt11(invoice)->payment_hash;
    CHECK(PaymentHash{crypto::sha256(paid->preimage->bytes())} == hash);
    CHECK_FALSE(paid->again);

    const auto again = world.cashier().owner_melt(request(1), invoice, std::nullopt);
    REQUIRE(again.has_value());
    CHECK(again->again);
    CHECK(again->preimage == paid->preimage);
    CHECK(world.lightning.times_paid(hash) == 1);
    CHECK(*world.cashier().revenue() == 5000_msat);
    CHECK(world.balance(world.key) == 30'000_msat);
}

TEST_CASE("cashier: the owner pays no invoice that with its fee is more than the revenue") {
    EarnedWorld world;
    const auto code = [&](Msat amount) {
        const auto invoice = world.lightning.outside_invoice(amount);
        const auto paid = world.cashier().owner_melt(request(1), invoice, std::nullopt);
        REQUIRE_FALSE(paid.has_value());
        return paid.error().code;
    };
    CHECK(code(12'001_msat) == Code::RevenueInsufficient);
    world.lightning.set_fee(1000_msat);
    CHECK(code(12'000_msat) == Code::RevenueInsufficient);  // The reserve on top.
    CHECK(world.cashier().owner_melt(request(1), "lnbc1", std::nullopt).error().code ==
          Code::InvoiceMalformed);
    const auto paid = world.cashier().owner_melt(
        request(1), world.lightning.outside_invoice(10'000_msat), std::nullopt);
    REQUIRE(paid.has_value());
    CHECK(paid->fee == 1000_msat);
    CHECK(*world.cashier().revenue() == 1000_msat);
    CHECK(world.posted({AccountKind::Fees, "embedded"}) == 1000_msat);
}

TEST_CASE("cashier: an invoice that could not be paid gives the revenue back, for good") {
    EarnedWorld world;
    const auto invoice = world.lightning.outside_invoice(7000_msat);
    world.lightning.next_pay(FakeLightning::Outcome::Failed);
    CHECK(world.cashier().owner_melt(request(1), invoice, std::nullopt).error().code ==
          Code::PaymentFailed);
    CHECK(*world.cashier().revenue() == 12'000_msat);
    // That request has failed; another may try.
    CHECK(world.cashier().owner_melt(request(1), invoice, std::nullopt).error().code ==
          Code::PaymentFailed);
    const auto other = world.lightning.outside_invoice(7000_msat);
    CHECK(world.cashier().owner_melt(request(2), other, std::nullopt).has_value());
    CHECK(*world.cashier().revenue() == 5000_msat);
}

TEST_CASE("cashier: while an invoice is being paid its money and its fee can't be spent") {
    EarnedWorld world;
    const auto invoice = world.lightning.outside_invoice(7000_msat);
    world.lightning.next_pay(FakeLightning::Outcome::Unknown);
    const auto open = world.cashier().owner_melt(request(1), invoice, std::nullopt);
    REQUIRE_FALSE(open.has_value());
    CHECK(open.error().code == Code::InProgress);
    CHECK(*world.cashier().revenue() == 5000_msat);
    world.node->audit();
    world.lightning.conclude(parse_bolt11(invoice)->payment_hash, PaymentState::Settled);
    world.node->mint.poll();
    world.clock.advance(Seconds{60});
    REQUIRE(world.node->wallet.recover());
    CHECK(world.cashier().owner_melt(request(1), invoice, std::nullopt)->again);
    CHECK(*world.cashier().revenue() == 5000_msat);
}

TEST_CASE("cashier: what the owner puts in is the owner's, and can be taken out again") {
    EarnedWorld world;
    const auto token = world.token(20'000_msat);
    const auto in = world.cashier().owner_receive(request(1), token);
    REQUIRE(in.has_value());
    CHECK(in->credited == 20'000_msat);
    CHECK(in->withdrawable == 32'000_msat);
    for (int i = 0; i < 2; ++i) {
        CHECK(world.cashier().owner_receive(request(1), token)->again);
        CHECK(world.posted({AccountKind::Owner, "paid_in"}) == 20'000_msat);
    }
    // The request stands for its token, and the token for its request.
    CHECK(world.cashier().owner_receive(request(1), "cashuBnothing")->credited == 20'000_msat);
    CHECK(world.cashier().owner_receive(request(2), token).error().code == Code::TokenUsed);
    CHECK(world.cashier().deposit_token(token, Bearer{}).error().code == Code::TokenUsed);
    CHECK(world.cashier().key_of_token(token).error().code == Code::KeyUnknown);
    CHECK(world.cashier().owner_receive(request(3), "cashuBnothing").error().code ==
          Code::TokenInvalid);

    const auto out = world.cashier().owner_send(request(4), 32_sat);
    REQUIRE(out.has_value());
    CHECK(world.customer.redeem(out->token) == 32'000_msat);
    CHECK(*world.cashier().revenue() == 0_msat);
    CHECK(world.posted({AccountKind::Owner, "paid_in"}) == 0_msat);
    CHECK(world.balance(world.key) == 30'000_msat);
}

TEST_CASE("cashier: a token that a key was made of is not the owner's to put in") {
    World world;
    const auto token = world.token(9000_msat);
    REQUIRE(world.cashier().deposit_token(token, Bearer{}).has_value());
    CHECK(world.cashier().owner_receive(request(1), token).error().code == Code::TokenUsed);
    CHECK(*world.cashier().revenue() == 0_msat);
}

TEST_CASE("cashier: what a restore found can be withdrawn") {
    World world;
    // As after the loss of the database: proofs of the seed that no row knew.
    const KeyId key = world.key_of_token(16'000_msat);
    REQUIRE(world.database->transact([&](store::Tx& tx) -> Result<bool, CashierError> {
        TRY_VOID(world.node->ledger.transfer(tx, {.id = TransferId{ByteArray<32>{std::byte{7}}},
                                                  .debit = key_account(key),
                                                  .credit = {AccountKind::Owner, "restored"},
                                                  .amount = 16'000_msat}));
        return true;
    }));
    CHECK(*world.cashier().revenue() == 16'000_msat);
    CHECK(world.cashier().owner_send(request(1), 16_sat).has_value());
}

TEST_CASE("cashier: a refund says whose ecash it is, what it cost and what its holder will pay") {
    World world{
        Receive::OverMint, {}, {.trusted = {"https://second.example"}, .input_fee_ppk = 1000}};
    auto& mint = *world.outside.front();
    // Of another mint, with a fee of a sat for each proof.
    const auto deposit = world.cashier().deposit_token(world.token_of(mint, 33'000_msat), Bearer{});
    REQUIRE(deposit.has_value());
    CHECK(deposit->credited == 31'000_msat);
    world.charge(deposit->key, 5000_msat);
    // The primary lends nothing: what was paid with is what is refunded with.
    REQUIRE(world.cashier().deposit_token(world.token_of(mint, 33'000_msat), Bearer{}));
    const auto refund = world.cashier().refund(deposit->key);
    REQUIRE(refund.has_value());
    CHECK(refund->amount == 26_sat);
    CHECK(refund->mint == mint.url.text());
    REQUIRE(refund->redeem_fee.has_value());
    test::Customer stranger{world.clock, 100};
    stranger.connect(mint);
    CHECK(stranger.redeem(refund->token) == *subtract(26'000_msat, *refund->redeem_fee));
    CHECK(*refund->redeem_fee > 0_msat);
    CHECK(world.posted({AccountKind::Fees, mint.url.text()}) == refund->fee);
    const auto again = world.cashier().refund(deposit->key);
    CHECK(again->fee == refund->fee);
    CHECK(again->redeem_fee.has_value());
}
