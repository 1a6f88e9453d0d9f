// Another configuration says who receives: what was opened by the one before is paid all the same,
// and by nobody twice. The mint is carried by the very node that receives, which so sees what comes
// in for the mint's invoices and offers, too.
#include <doctest/doctest.h>

#include "cashier/world.h"
#include "nutgate/lightning/bolt12.h"

using namespace nutgate;
using namespace nutgate::literals;
using test::Receive;
using test::World;

namespace {

struct SwitchWorld : World {
    explicit SwitchWorld(Receive first) : World{first} { look(); }

    void look() {
        (void)lightning.with_offers();
        clock.advance(Seconds{3600});
        node->mint_offers.look();
    }
    void receive_by(Receive next) {
        receives = next;
        restart();
        look();
    }
    OpenInvoice invoice() {
        const auto opened = cashier().open_invoice({.amount = 20_sat, .key = {}, .limits = {}});
        REQUIRE(opened.has_value());
        return *opened;
    }
    void pay(const OpenInvoice& invoice) { lightning.mark_paid(invoice.payment_hash, 20'000_msat); }
    // The balance of the key that it has made, and has to have made.
    Msat credited(const OpenInvoice& invoice) {
        const auto status = cashier().invoice_status(invoice.invoice_id);
        REQUIRE(status.has_value());
        REQUIRE(status->key.has_value());
        return balance(*status->key);
    }
    OpenOffer offer(const KeyId& key) {
        const auto opened =
            cashier().open_offer({.purpose = InvoicePurpose::TopUp, .key = key, .limits = {}});
        REQUIRE(opened.has_value());
        return *opened;
    }
    void pay(const OpenOffer& offer, Msat amount) {
        (void)lightning.with_offers().pay(OfferId{parse_offer(offer.text)->id}, amount);
    }
    // Long enough for whatever is asked about seldom.
    void settle() {
        clock.advance(Seconds{3600});
        REQUIRE(cashier().settle_invoices().has_value());
        REQUIRE(cashier().settle_offers().has_value());
        node->audit();
    }
    Msat at_node() { return posted(lightning_account("fake")); }
    Msat ecash() { return posted(ecash_account(cashu::MintUrl::embedded(), cashu::Unit::Sat)); }
};

}  // namespace

TEST_CASE("cashier: an invoice of the mint becomes ecash when a node receives by now") {
    SwitchWorld world{Receive::OverMint};
    const auto invoice = world.invoice();
    world.receive_by(Receive::OverNode);
    world.settle();
    world.pay(invoice);
    world.settle();
    CHECK(world.credited(invoice) == 20'000_msat);
    CHECK(world.ecash() == 20'000_msat);
    // One invoice more, of the node's own, is at the node.
    const auto own = world.invoice();
    world.pay(own);
    world.settle();
    CHECK(world.ecash() == 20'000_msat);
    CHECK(world.at_node() == 40'000_msat);  // What carries the mint's is there as well.
}

TEST_CASE("cashier: an invoice of a node is credited when the mint receives by now") {
    SwitchWorld world{Receive::OverNode};
    const auto invoice = world.invoice();
    world.receive_by(Receive::OverMint);
    world.settle();
    world.pay(invoice);
    world.settle();
    CHECK(world.credited(invoice) == 20'000_msat);
    CHECK(world.at_node() == 20'000_msat);
    CHECK(world.ecash() == Msat{});
}

TEST_CASE("cashier: an offer goes on being its maker's, there and back, and is credited once") {
    for (const Receive first : {Receive::OverMint, Receive::OverNode}) {
        CAPTURE(first == Receive::OverMint);
        SwitchWorld world{first};
        const KeyId key = world.key_of_token(1000_msat);
        const Receive other = first == Receive::OverMint ? Receive::OverNode : Receive::OverMint;
        const auto offer = world.offer(key);
        Msat expected = 1000_msat;
        for (const Receive next : {first, other, first, other}) {
            world.receive_by(next);
            world.pay(offer, 5000_msat);
            expected = *add(expected, 5000_msat);
            world.settle();
            CHECK(world.balance(key) == expected);
            world.settle();
            CHECK(world.balance(key) == expected);
        }
        // The customer's token is ecash of the mint's in both.
        CHECK(world.ecash() == (first == Receive::OverMint ? 21'000_msat : 1000_msat));
        CHECK(world.at_node() == 21'000_msat);
        CHECK(world.posted({AccountKind::PaymentInFlight, "unclaimed"}) == Msat{});
    }
}

TEST_CASE("cashier: what is paid to the mint's invoice is not the node's, though its mint forgot") {
    SwitchWorld world{Receive::OverMint};
    const auto invoice = world.invoice();
    world.receive_by(Receive::OverNode);
    REQUIRE(world.database->transact([&](store::Tx& tx) -> Result<bool, CashierError> {
        tx.execute("DELETE FROM mint_quotes");
        return true;
    }));
    world.pay(invoice);
    world.settle();
    CHECK(world.at_node() == Msat{});
    const auto status = world.cashier().invoice_status(invoice.invoice_id);
    REQUIRE(status.has_value());
    CHECK(status->state != InvoiceState::Paid);
}
