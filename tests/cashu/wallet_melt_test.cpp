// Paying invoices with ecash.
#include <doctest/doctest.h>

#include "nutgate/lightning/invoice.h"
#include "support/wallet_world.h"

using namespace nutgate;
using namespace nutgate::cashu;
using Code = WalletError::Code;
using Melt = test::FakeMint::Melt;
using test::code_of;
using test::Fault;
using test::sats;
using test::WalletWorld;

namespace {

PaymentHash hash_of(const std::string& bolt11) { return parse_bolt11(bolt11)->payment_hash; }

// In the wallet, less what is gone: an invoice of 20 sat paid out of 64 + 8, at a cost of 1 sat and
// the mint's input fee.
void check_paid_once(WalletWorld& world, const std::string& bolt11, Msat fee) {
    const auto told = world.told("melted");
    REQUIRE_EQ(told.size(), 1);
    CHECK_EQ(told[0].amount, sats(20));
    CHECK_EQ(told[0].fee, fee);
    CHECK_EQ(world.mint.times_paid(hash_of(bolt11)), 1);
    CHECK_EQ(world.reserved(), Msat{});
    CHECK_EQ(world.available(), subtract(sats(72 - 20), fee).value());
    world.audit();
}

}  // namespace

TEST_CASE("wallet: an invoice is paid, and what was set aside for routing comes back") {
    WalletWorld world{{.input_fee_ppk = 100}};
    world.fund({64, 8, 4});
    const auto bolt11 = world.mint.outside_invoice(20);
    auto prepared = world.wallet->prepare_melt(bolt11, std::nullopt);
    REQUIRE(prepared);
    CHECK_EQ(world.wallet->worth(**prepared), sats(20));
    CHECK_EQ(world.wallet->fee_max(**prepared), sats(3));  // Reserve 2, input fee 1.
    CHECK_EQ(world.wallet->payment(**prepared), hash_of(bolt11));
    prepared->reset();  // Its proofs may be chosen again.
    REQUIRE(world.melt(bolt11, "m"));
    const auto told = world.told("melted");
    REQUIRE_EQ(told.size(), 1);
    CHECK_EQ(told[0].fee, sats(2));
    CHECK_EQ(world.available(), sats(75 - 20 - 2));  // 76 less the fee of receiving them.
    world.audit();
}

TEST_CASE("wallet: a melt under one reference is one melt") {
    WalletWorld world;
    world.fund({64, 8});
    const auto bolt11 = world.mint.outside_invoice(20);
    REQUIRE(world.melt(bolt11, "m"));
    REQUIRE(world.melt(bolt11, "m"));
    check_paid_once(world, bolt11, sats(1));
}

TEST_CASE("wallet: a lost answer to a melt is found out by asking, change included") {
    for (const bool once : {false, true}) {
        CAPTURE(once);
        WalletWorld world{{.tells_change_once = once}};
        world.fund({64, 8});
        const auto bolt11 = world.mint.outside_invoice(20);
        world.mint.fault("/v1/melt/bolt11", Fault::LoseAnswer);
        REQUIRE(world.melt(bolt11, "m"));
        check_paid_once(world, bolt11, sats(1));
    }
}

TEST_CASE("wallet: a payment under way holds its proofs until the mint knows") {
    for (const auto end : {Melt::Paid, Melt::Failed}) {
        WalletWorld world;
        world.fund({64, 8});
        const auto bolt11 = world.mint.outside_invoice(20);
        world.mint.next_melt(Melt::Pending);
        CHECK_EQ(code_of(world.melt(bolt11, "m")), Code::InProgress);
        CHECK_EQ(world.reserved(), sats(64));
        world.clock.advance(Seconds{3600});
        REQUIRE(world.wallet->recover());
        CHECK_EQ(world.reserved(), sats(64));
        world.mint.conclude_melts(end);
        world.clock.advance(Seconds{601});
        if (end == Melt::Failed) world.mint.next_melt(Melt::Failed);
        world.recover_all();
        if (end == Melt::Paid) {
            check_paid_once(world, bolt11, sats(1));
            continue;
        }
        CHECK_EQ(world.told("melt_failed").size(), 1);
        CHECK_EQ(world.available(), sats(72));
        CHECK_EQ(world.mint.times_paid(hash_of(bolt11)), 0);
        world.audit();
    }
}

TEST_CASE("wallet: a payment that failed gives its proofs back at once") {
    WalletWorld world;
    world.fund({64, 8});
    world.mint.next_melt(Melt::Failed);
    const auto bolt11 = world.mint.outside_invoice(20);
    CHECK_EQ(code_of(world.melt(bolt11, "m")), Code::PaymentFailed);
    CHECK_EQ(world.available(), sats(72));
    CHECK_EQ(world.told("melt_failed").size(), 1);
    // It may be tried again, under its own name.
    REQUIRE(world.melt(bolt11, "m"));
    check_paid_once(world, bolt11, sats(1));
}

TEST_CASE("wallet: while a copy of the request may be on its way, a failure releases nothing") {
    WalletWorld world;
    world.fund({64, 8});
    const auto bolt11 = world.mint.outside_invoice(20);
    // The first is delayed past its deadline and arrives much later; the second is answered.
    world.mint.fault("/v1/melt/bolt11", Fault::LoseRequest);
    CHECK_EQ(code_of(world.melt(bolt11, "m")), Code::InProgress);
    world.mint.next_melt(Melt::Failed);
    world.clock.advance(Seconds{2});
    REQUIRE(world.wallet->recover());
    CHECK_EQ(world.reserved(), sats(64));
    world.clock.advance(Seconds{60});
    REQUIRE(world.wallet->recover());
    CHECK_EQ(world.reserved(), sats(64));
    CHECK_EQ(world.mint.calls("/v1/melt/bolt11"), 2);  // Asked about, not told again.
    world.clock.advance(Seconds{601});
    REQUIRE(world.wallet->recover());
    CHECK_EQ(world.available(), sats(72));
    CHECK_EQ(world.told("melt_failed").size(), 1);
    world.audit();
}

TEST_CASE("wallet: a melt of proofs that somebody else spent is a loss, and said to be one") {
    WalletWorld world;
    world.fund({64});
    const auto prepared = world.wallet->prepare_melt(world.mint.outside_invoice(20), std::nullopt);
    const auto id = world.begin_melt(prepared, "m");
    REQUIRE(id);
    const auto y = world.database->read(
        [](store::Reader& reader) -> Result<ByteArray<33>, store::StoreFailure> {
            ByteArray<33> found;
            const auto row = reader.query_one("SELECT y FROM wallet_proof WHERE state = 2");
            std::copy(row->bytes(0).begin(), row->bytes(0).end(), found.begin());
            return found;
        });
    world.mint.spend(*y);
    CHECK_EQ(code_of(world.wallet->execute(*id)), Code::TokenSpent);
    const auto lost = world.told("lost");
    REQUIRE_EQ(lost.size(), 1);
    CHECK_EQ(lost[0].amount, sats(64));
    CHECK_EQ(world.told("melt_failed").size(), 1);
    CHECK_EQ(world.available(), Msat{});
}

TEST_CASE("wallet: change on a keyset newer than the blanks' can be spent") {
    WalletWorld world;
    world.fund({64, 8});
    const auto bolt11 = world.mint.outside_invoice(20);
    world.mint.next_melt(Melt::Pending);
    CHECK_EQ(code_of(world.melt(bolt11, "m")), Code::InProgress);
    world.mint.rotate();
    world.mint.conclude_melts(Melt::Paid);
    world.recover_all();
    check_paid_once(world, bolt11, sats(1));
    REQUIRE(world.send(sats(43), "s"));  // Of the change too: 64 - 20 - 1.
    world.audit();
}

TEST_CASE("wallet: invoices that can't be paid are refused before anything is begun") {
    WalletWorld world;
    world.fund({16});
    const auto refusal = [&](std::string_view text) {
        return code_of(world.wallet->prepare_melt(text, std::nullopt));
    };
    CHECK_EQ(refusal("lnbc1nothing"), Code::InvoiceInvalid);
    CHECK_EQ(refusal(world.lightning.outside_invoice(std::nullopt)), Code::InvoiceInvalid);
    CHECK_EQ(refusal(world.mint.outside_invoice(100)), Code::InsufficientFunds);
    CHECK_EQ(refusal(world.mint.outside_invoice(15)), Code::InsufficientFunds);  // The reserve.
    const auto late = world.mint.outside_invoice(4);
    world.clock.advance(Seconds{3601});
    CHECK_EQ(refusal(late), Code::InvoiceInvalid);
    CHECK_EQ(world.available(), sats(16));
    world.audit();
}

TEST_CASE("wallet: a mint that asks for more than it may is not melted at") {
    WalletWorld world{{.melt_reserve = 60}};
    world.fund({64, 32});
    const auto bolt11 = world.mint.outside_invoice(4);
    CHECK_EQ(code_of(world.wallet->prepare_melt(bolt11, std::nullopt)), Code::MintRefused);
    CHECK_EQ(world.available(), sats(96));
}

TEST_CASE("wallet: a mint that says paid and signs more change than it owes is not believed") {
    WalletWorld world;
    world.fund({32});
    auto stolen = std::string{};
    world.mint.lie("/v1/melt/bolt11", [&](std::string_view, MintAnswer& answer) {
        // What is paid back is more than what was given less the invoice: signatures repeated.
        auto quote = wire::parse_melt_quote(answer.body);
        if (!quote || quote->change.empty()) return;
        while (quote->change.size() < 4) quote->change.push_back(quote->change.front());
        answer.body = wire::write_melt_quote(*quote);
    });
    REQUIRE(world.melt(world.mint.outside_invoice(20), "m"));
    // Each blank has a secret of its own, so a signature that was another's verifies for none.
    CHECK_EQ(world.available(), sats(11));
    world.audit();
}
