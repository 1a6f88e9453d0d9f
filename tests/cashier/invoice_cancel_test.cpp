// Whoever waits for an invoice, and whoever will not pay it.
#include "cashier/world.h"

using namespace nutgate;
using namespace nutgate::literals;
using test::Receive;
using test::World;
using Code = CashierError::Code;

namespace {

InvoiceRequest for_new_key(Sat amount) {
    return {.amount = amount, .purpose = InvoicePurpose::Create, .key = {}, .limits = {}};
}

}  // namespace

TEST_CASE(
    "cashier: a cancelled invoice is open no longer, and late money is credited all the same") {
    for (const Receive receive : {Receive::OverMint, Receive::OverNode}) {
        CAPTURE(static_cast<int>(receive));
        Cashier::Options options;
        options.invoices_open_max = 1;
        World world{receive, options};
        const auto invoice = world.cashier().open_invoice(for_new_key(21_sat));
        REQUIRE(invoice.has_value());
        CHECK(world.cashier().open_invoice(for_new_key(5_sat)).error().code ==
              Code::TooManyInvoices);
        for (int i = 0; i < 2; ++i) {
            const auto cancelled = world.cashier().cancel_invoice(invoice->invoice_id);
            REQUIRE(cancelled.has_value());
            CHECK(cancelled->state == InvoiceState::Cancelled);
            world.clock.advance(Seconds{2});
        }
        CHECK(world.cashier().open_invoice(for_new_key(5_sat)).has_value());
        // A day later it is still known.
        world.clock.advance(Seconds{20 * 3600});
        REQUIRE(world.cashier().recover());
        world.lightning.mark_paid(invoice->payment_hash, 21'000_msat);
        world.clock.advance(Seconds{700});
        REQUIRE(world.cashier().settle_invoices());
        const auto paid = world.cashier().invoice_seen(invoice->invoice_id);
        REQUIRE(paid.has_value());
        CHECK(paid->state == InvoiceState::Paid);
        REQUIRE(paid->key.has_value());
        CHECK(world.balance(*paid->key) == 21'000_msat);
    }
}

TEST_CASE("cashier: what is paid can't be cancelled, and nobody cancels what they don't know") {
    World world;
    const auto invoice = world.cashier().open_invoice(for_new_key(21_sat));
    REQUIRE(invoice.has_value());
    world.lightning.mark_paid(invoice->payment_hash, 21'000_msat);
    CHECK(world.cashier().cancel_invoice(invoice->invoice_id)->state == InvoiceState::Paid);
    CHECK(world.cashier().cancel_invoice("nothing").error().code == Code::InvoiceUnknown);
    CHECK(world.cashier().cancel_invoice(std::string(65, 'a')).error().code ==
          Code::InvoiceUnknown);
    CHECK(world.cashier().invoice_seen("nothing").error().code == Code::InvoiceUnknown);
}

TEST_CASE("cashier: who waits for an invoice is told when it is paid or cancelled, and only then") {
    for (const Receive receive : {Receive::OverMint, Receive::OverNode}) {
        World world{receive};
        std::vector<std::string> told;
        world.cashier().on_invoice([&](const std::string& topic) { told.push_back(topic); });
        const auto first = world.cashier().open_invoice(for_new_key(21_sat));
        const auto second = world.cashier().open_invoice(for_new_key(22_sat));
        REQUIRE(first.has_value());
        REQUIRE(second.has_value());
        world.clock.advance(Seconds{11});
        REQUIRE(world.cashier().settle_invoices());
        CHECK(told.empty());
        world.lightning.mark_paid(first->payment_hash, 21'000_msat);
        world.clock.advance(Seconds{2});
        world.cashier().hint(first->payment_hash);
        world.cashier().hint(first->payment_hash);
        CHECK(told == std::vector{world.cashier().invoice_topic(first->invoice_id)});
        REQUIRE(world.cashier().cancel_invoice(second->invoice_id));
        CHECK(told.back() == world.cashier().invoice_topic(second->invoice_id));
        CHECK(told.size() == 2);
        CHECK(told.front() != told.back());
    }
}

TEST_CASE("cashier: a look at what is stored asks no backend") {
    World world{Receive::OverNode};
    const auto invoice = world.cashier().open_invoice(for_new_key(21_sat));
    REQUIRE(invoice.has_value());
    world.lightning.mark_paid(invoice->payment_hash, 21'000_msat);
    CHECK(world.cashier().invoice_seen(invoice->invoice_id)->state == InvoiceState::Pending);
    world.clock.advance(Seconds{2});
    CHECK(world.cashier().invoice_status(invoice->invoice_id)->state == InvoiceState::Paid);
}
