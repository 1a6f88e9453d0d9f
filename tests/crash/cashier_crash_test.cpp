// A process that dies at every statement and around every commit of a deposit, an invoice, a refund
// and a payout; and a network that fails each of their calls to the mint in every way, whether the
// process goes on or is started anew. Whatever was done, it ends: exactly once, and the books prove
// it.
#include "crash/cashier_crash.h"

#include "nutgate/lightning/bolt12.h"

using namespace nutgate;
using namespace nutgate::literals;
using test::at_every_call;
using test::at_every_step;
using test::Beginning;
using test::Customer;
using test::Driver;
using test::Node;
using test::Receive;

namespace {

// By somebody new: each try makes the same tokens, which one wallet would take once only.
Msat redeemed(const Beginning& world, Node& node, const std::string& token) {
    Customer stranger{world.clock, 100};
    stranger.connect(node);
    return stranger.redeem(token);
}

void deposit_once(Driver drive) {
    Beginning world;
    drive(
        world, [&](Node& node) { (void)node.cashier->deposit_token(world.token, Bearer{}); },
        [&](Node& node) {
            for (int i = 0; i < 2; ++i) {
                const auto deposit = node.cashier->deposit_token(world.token, Bearer{});
                REQUIRE(deposit.has_value());
                CHECK(deposit->credited == 21'000_msat);
                CHECK(node.balance(deposit->key) == 21'000_msat);
            }
        });
}

void top_up_once(Driver drive) {
    Beginning world;
    drive(
        world,
        [&](Node& node) { (void)node.cashier->deposit_token(world.top_up, TopUp{*world.key}); },
        [&](Node& node) {
            for (int i = 0; i < 2; ++i) {
                REQUIRE(node.cashier->deposit_token(world.top_up, TopUp{*world.key}).has_value());
                CHECK(node.balance(*world.key) == 17'000_msat);
            }
        });
}

void invoice_once(Driver drive) {
    for (const Receive receive : {Receive::OverMint, Receive::OverNode}) {
        CAPTURE(static_cast<int>(receive));
        Beginning world;
        world.receive = receive;
        std::optional<OpenInvoice> shown;
        drive(
            world,
            [&](Node& node) {
                shown.reset();
                const auto invoice = node.cashier->open_invoice({.amount = 5_sat,
                                                                 .purpose = InvoicePurpose::TopUp,
                                                                 .key = world.key,
                                                                 .limits = {}});
                if (!invoice) return;
                shown = *invoice;
                world.lightning.mark_paid(invoice->payment_hash, 5000_msat);
                (void)node.cashier->invoice_status(invoice->invoice_id);
            },
            [&](Node& node) {
                if (shown) {
                    const auto status = node.cashier->invoice_status(shown->invoice_id);
                    REQUIRE(status.has_value());
                    CHECK(status->state == InvoiceState::Paid);
                }
                node.cashier->hint(shown ? shown->payment_hash : PaymentHash{ByteArray<32>{}});
                CHECK(node.balance(*world.key) == (shown ? 16'000_msat : 11'000_msat));
            });
    }
}

void offer_once(Driver drive) {
    for (const InvoicePurpose purpose : {InvoicePurpose::TopUp, InvoicePurpose::Create}) {
        CAPTURE(static_cast<int>(purpose));
        Beginning world;
        world.receive = Receive::OverNode;
        auto& offers = world.lightning.with_offers();
        const bool creates = purpose == InvoicePurpose::Create;
        std::optional<OpenOffer> shown;
        drive(
            world,
            [&](Node& node) {
                shown.reset();
                offers.forget_payments();  // Of other tries.
                OfferRequest request{.purpose = purpose};
                if (!creates) request.key = world.key;
                const auto offer = node.cashier->open_offer(request);
                if (!offer) return;
                shown = *offer;
                for (int i = 0; i < 2; ++i) {
                    offers.pay_others();
                    (void)offers.pay(OfferId{parse_offer(offer->text)->id}, 5000_msat);
                }
                (void)node.cashier->settle_offers();
                (void)node.cashier->close_offer(offer->offer_id);
            },
            [&](Node& node) {
                REQUIRE(node.cashier->settle_offers().has_value());
                CHECK(*node.cashier->settle_offers() == 0);
                const bool tops_up = shown && !creates;
                CHECK(node.balance(*world.key) == (tops_up ? 21'000_msat : 11'000_msat));
                if (!shown) return;
                const auto status = node.cashier->offer_status(shown->offer_id);
                REQUIRE(status.has_value());
                CHECK(status->payments == 2);
                CHECK(status->credited == 10'000_msat);
                CHECK(status->key.has_value() == creates);
                if (status->key) CHECK(node.balance(*status->key) == 10'000_msat);
            });
    }
}

// The embedded mint's: its quote, the wallet's issue and the key's credit are in one database.
void mint_offer_once(Driver drive) {
    for (const InvoicePurpose purpose : {InvoicePurpose::TopUp, InvoicePurpose::Create}) {
        CAPTURE(static_cast<int>(purpose));
        Beginning world;
        auto& offers = world.lightning.with_offers();
        const bool creates = purpose == InvoicePurpose::Create;
        std::optional<OpenOffer> shown;
        const auto pay = [&](Msat amount) {
            (void)offers.pay(OfferId{parse_offer(shown->text)->id}, amount);
        };
        drive(
            world,
            [&](Node& node) {
                shown.reset();
                offers.forget_payments();  // Of other tries.
                OfferRequest request{.purpose = purpose};
                if (!creates) request.key = world.key;
                const auto offer = node.cashier->open_offer(request);
                if (!offer) return;
                shown = *offer;
                pay(4600_msat);
                pay(5400_msat);
                (void)node.cashier->offer_status(offer->offer_id);
            },
            [&](Node& node) {
                if (!shown) {
                    CHECK(node.balance(*world.key) == 11'000_msat);
                    return;
                }
                pay(2000_msat);
                for (int i = 0; i < 3; ++i) {
                    world.clock.advance(Seconds{601});
                    REQUIRE(node.wallet.recover());
                    REQUIRE(node.cashier->offer_status(shown->offer_id).has_value());
                }
                const auto status = node.cashier->offer_status(shown->offer_id);
                REQUIRE(status.has_value());
                CHECK(status->credited == 12'000_msat);
                CHECK(node.balance(*world.key) == (creates ? 11'000_msat : 23'000_msat));
                CHECK(status->key.has_value() == creates);
                if (status->key) CHECK(node.balance(*status->key) == 12'000_msat);
            });
    }
}

void refund_once(Driver drive) {
    Beginning world;
    drive(
        world, [&](Node& node) { (void)node.cashier->refund(*world.key); },
        [&](Node& node) {
            const auto refund = node.cashier->refund(*world.key);
            REQUIRE(refund.has_value());
            CHECK(refund->amount == 11_sat);
            CHECK(node.cashier->refund(*world.key)->token == refund->token);
            CHECK(node.balance(*world.key) == 0_msat);
            CHECK(redeemed(world, node, refund->token) == 11'000_msat);
        });
}

void payout_once(Driver drive) {
    Beginning world;
    const OperationId request{ByteArray<16>{std::byte{9}}};
    drive(
        world, [&](Node& node) { (void)node.cashier->owner_send(request, 2_sat); },
        [&](Node& node) {
            const auto payout = node.cashier->owner_send(request, 2_sat);
            REQUIRE(payout.has_value());
            CHECK(node.cashier->owner_send(request, 2_sat)->token == payout->token);
            CHECK(*node.cashier->revenue() == 0_msat);
            CHECK(node.balance(*world.key) == 11'000_msat);
            CHECK(redeemed(world, node, payout->token) == 2000_msat);
        });
}

void request_once(Driver drive) {
    Beginning world;
    std::string id;
    drive(
        world,
        [&](Node& node) {
            id.clear();
            const auto opened = node.cashier->open_request({.amount = 20_sat});
            if (!opened) return;
            id = opened->request_id;
            (void)node.cashier->pay_request(id, *cashu::parse_token(world.token));
        },
        [&](Node& node) {
            if (id.empty()) return;
            for (int i = 0; i < 2; ++i) {
                REQUIRE(node.cashier->pay_request(id, *cashu::parse_token(world.token)));
                const auto status = node.cashier->request_status(id);
                REQUIRE(status->key.has_value());
                CHECK(status->credited == 21'000_msat);
                CHECK(node.balance(*status->key) == 21'000_msat);
            }
            const auto other = node.cashier->pay_request(id, *cashu::parse_token(world.top_up));
            CHECK_FALSE(other.has_value());
        });
}

}  // namespace

TEST_CASE("crash: a request for a token is paid once") { request_once(at_every_step); }

TEST_CASE("network: a request for a token is paid once") { request_once(at_every_call); }

TEST_CASE("crash: a token's deposit makes its key once") { deposit_once(at_every_step); }

TEST_CASE("network: a token's deposit makes its key once") { deposit_once(at_every_call); }

TEST_CASE("crash: a token's top-up is credited once") { top_up_once(at_every_step); }

TEST_CASE("network: a token's top-up is credited once") { top_up_once(at_every_call); }

TEST_CASE("crash: an invoice that somebody saw is credited once") { invoice_once(at_every_step); }

TEST_CASE("network: an invoice that somebody saw is credited once") { invoice_once(at_every_call); }

TEST_CASE("crash: each payment to an offer that somebody saw is credited once") {
    offer_once(at_every_step);
}

TEST_CASE("crash: what is paid to the mint's offer that somebody saw is credited once") {
    mint_offer_once(at_every_step);
}

TEST_CASE("network: what is paid to the mint's offer that somebody saw is credited once") {
    mint_offer_once(at_every_call);
}

TEST_CASE("crash: a refund is handed out once, and whole") { refund_once(at_every_step); }

TEST_CASE("network: a refund is handed out once, and whole") { refund_once(at_every_call); }

TEST_CASE("crash: the owner's payout is taken from revenue once") { payout_once(at_every_step); }

TEST_CASE("network: the owner's payout is taken from revenue once") { payout_once(at_every_call); }
