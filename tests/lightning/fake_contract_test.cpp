#include "contract/lightning_contract.h"
#include "support/fake_lightning.h"
#include "support/fixed_clock.h"

using namespace nutgate;

namespace {

class FakeRig final : public test::LightningRig {
public:
    LightningBackend& backend() override { return fake_; }
    void pay_in(const Invoice& invoice, Msat amount) override {
        fake_.mark_paid(invoice.hash, amount);
    }
    std::string outside_invoice(Msat amount, Outcome outcome) override {
        switch (outcome) {
            case Outcome::Paid:
                fake_.next_pay(test::FakeLightning::Outcome::Paid);
                break;
            case Outcome::Failed:
                fake_.next_pay(test::FakeLightning::Outcome::Failed);
                break;
            case Outcome::UnknownThenPaid:
            case Outcome::UnknownThenFailed:
                fake_.next_pay(test::FakeLightning::Outcome::Unknown);
                break;
        }
        return fake_.outside_invoice(amount);
    }
    void wait_for_the_end_of(const PaymentHash& hash, Outcome outcome) override {
        fake_.conclude(hash, outcome == Outcome::UnknownThenPaid ? PaymentState::Settled
                                                                 : PaymentState::Failed);
    }
    void reopen() override {}

private:
    test::FixedClock clock_;
    test::FakeLightning fake_{clock_};
};

}  // namespace

TEST_CASE("lightning contract: the fake keeps it") {
    test::lightning_contract([] { return std::make_unique<FakeRig>(); });
}

TEST_CASE("fake lightning: down is unreachable, and paying own invoices settles them") {
    test::FixedClock clock;
    test::FakeLightning fake{clock};
    const auto invoice = fake.create_invoice(test::contract::invoice_order("a"));
    const auto order = test::contract::payment_order(invoice->bolt11);
    fake.set_down(true);
    CHECK_EQ(fake.pay(order).error(), BackendError::Unreachable);
    CHECK_EQ(fake.incoming(invoice->hash).error(), BackendError::Unreachable);
    fake.set_down(false);
    test::contract::check_settled(fake.pay(order), order.hash);
    test::contract::check_settled(fake.incoming(order.hash), order.hash);
    CHECK_EQ(fake.times_paid(order.hash), 1);
}

TEST_CASE("fake lightning: a refused payment may be tried again, an overpayment is told as it is") {
    test::FixedClock clock;
    test::FakeLightning fake{clock};
    int hints = 0;
    fake.on_change([&](const PaymentHash&) { ++hints; });
    fake.next_pay(test::FakeLightning::Outcome::Refused);
    const auto order = test::contract::payment_order(fake.outside_invoice(21'000_msat));
    CHECK_EQ(fake.pay(order).error(), BackendError::Refused);
    CHECK_EQ(fake.pay(order)->state, PaymentState::Settled);
    const auto invoice = fake.create_invoice(test::contract::invoice_order("a"));
    fake.mark_paid(invoice->hash, 30'000_msat);
    CHECK_EQ(fake.incoming(invoice->hash)->amount, 30'000_msat);
    CHECK_EQ(hints, 1);
}
