#include "nutgate/lightning/nwc.h"

#include <doctest/doctest.h>

#include <future>
#include <semaphore>
#include <thread>

#include "node_distrust.h"
#include "nwc_link.h"
#include "nwc_rig.h"

using namespace nutgate;
using namespace nutgate::test;
using contract::check_settled;
using contract::invoice_order;
using contract::kAmount;
using contract::payment_order;
using lightning::is_certain_refusal;
using lightning::NwcError;
using Outcome = LightningRig::Outcome;
using Trouble = LightningRig::Trouble;

namespace {

using Rig = NwcRig<>;
using OldRig = NwcRig<NwcEncryption::Nip04>;

// The value of that tag of the last request.
std::string tag(const Json& tags, std::string_view name) {
    for (const Json& one : tags) {
        if (one.at(0) == name) return one.at(1);
    }
    return {};
}

}  // namespace

TEST_CASE("lightning contract: Nostr Wallet Connect keeps it") {
    lightning_contract([] { return std::make_unique<Rig>(); });
}
TEST_CASE("lightning contract: a wallet service that knows NIP-04 alone keeps it") {
    lightning_contract([] { return std::make_unique<OldRig>(); });
}
TEST_CASE("nwc: nothing that the service says is believed unseen") { check_distrust<Rig>(); }

TEST_CASE("nwc: the newer encryption where the service has it, the older where it says nothing") {
    Rig rig;
    REQUIRE(rig.backend().create_invoice(invoice_order("a")).has_value());
    CHECK_EQ(tag(rig.node.last_tags(), "encryption"), "nip44_v2");
    OldRig old;
    REQUIRE(old.backend().create_invoice(invoice_order("a")).has_value());
    CHECK_EQ(tag(old.node.last_tags(), "encryption"), "nip04");
}

TEST_CASE("nwc: every request says until when it may be begun") {
    Rig rig;
    REQUIRE(rig.backend().create_invoice(invoice_order("a")).has_value());
    CHECK_EQ(tag(rig.node.last_tags(), "expiration"),
             std::to_string(to_unix_seconds(rig.clock.now() + Seconds{10})));
}

TEST_CASE("nwc: an address for receiving pays nothing, whether the client or the service says so") {
    Rig receives{FakeNwc::kReceiveSecret, ""};
    CHECK_FALSE(receives.backend().pays());
    const auto order = payment_order(receives.node.outside_invoice(kAmount, Outcome::Paid));
    CHECK_EQ(receives.backend().pay(order).error(), BackendError::Refused);
    CHECK_EQ(receives.node.told("pay_invoice"), 0);
    CHECK(receives.backend().create_invoice(invoice_order("a")).has_value());
    // One address for both, which the service lets only receive.
    Rig restricted{FakeNwc::kReceiveSecret, FakeNwc::kReceiveSecret};
    const auto other = payment_order(restricted.node.outside_invoice(kAmount, Outcome::Paid));
    CHECK_EQ(restricted.backend().pay(other).error(), BackendError::Refused);
    CHECK_EQ(restricted.node.told("pay_invoice"), 1);
    CHECK_EQ(restricted.node.times_paid(other.hash), 0);
    // And it is certain: nothing keeps it from being told anew.
    CHECK_EQ(restricted.backend().outgoing(other.hash).error(), BackendError::NotFound);
}

TEST_CASE("nwc: a stranger's address receives nothing, pays nothing and knows nothing") {
    const std::string stranger(64, '6');
    Rig rig{stranger, stranger};
    const auto order = payment_order(rig.node.outside_invoice(kAmount, Outcome::Paid));
    CHECK_FALSE(rig.backend().pay(order).has_value());
    CHECK_EQ(rig.node.times_paid(order.hash), 0);
    CHECK_EQ(rig.backend().create_invoice(invoice_order("a")).error(), BackendError::Refused);
    CHECK_EQ(rig.backend().incoming(order.hash).error(), BackendError::Unreachable);
    CHECK_EQ(rig.backend().status().error(), BackendError::Unreachable);
}

TEST_CASE("nwc: errors are as certain as the specification makes them") {
    for (const auto* code :
         {"RATE_LIMITED", "NOT_IMPLEMENTED", "INSUFFICIENT_BALANCE", "QUOTA_EXCEEDED", "RESTRICTED",
          "UNAUTHORIZED", "UNSUPPORTED_ENCRYPTION"}) {
        CAPTURE(code);
        Rig rig;
        rig.node.refuse("pay_invoice", code);
        const auto order = payment_order(rig.node.outside_invoice(kAmount, Outcome::Paid));
        CHECK_EQ(rig.backend().pay(order).error(), BackendError::Refused);
        CHECK_EQ(rig.backend().outgoing(order.hash).error(), BackendError::NotFound);
    }
    for (const auto* code : {"PAYMENT_FAILED", "INTERNAL", "OTHER", "NOT_FOUND", "SOMETHING_NEW"}) {
        CAPTURE(code);
        Rig rig;
        rig.node.refuse("pay_invoice", code);
        const auto order = payment_order(rig.node.outside_invoice(kAmount, Outcome::Paid));
        CHECK_EQ(rig.backend().pay(order)->state, PaymentState::Pending);
        CHECK_EQ(rig.backend().outgoing(order.hash)->state, PaymentState::Pending);
        CHECK_EQ(rig.node.told("pay_invoice"), 1);
    }
    for (const auto error : {NwcError::NotSent, NwcError::NoAnswer, NwcError::Unreadable}) {
        CHECK_FALSE(is_certain_refusal(error));
    }
}

TEST_CASE("nwc: while a payment may be under way it is not told again, over a restart too") {
    Rig rig;
    const auto order = payment_order(rig.node.outside_invoice(kAmount, Outcome::UnknownThenPaid));
    // A service that shows a payment once it is over.
    rig.node.show_no_payments(true);
    CHECK_EQ(rig.backend().pay(order)->state, PaymentState::Pending);
    for (int i = 0; i < 2; ++i) {
        CHECK_EQ(rig.backend().pay(order)->state, PaymentState::Pending);
        CHECK_EQ(rig.backend().outgoing(order.hash)->state, PaymentState::Pending);
        rig.reopen();
    }
    CHECK_EQ(rig.node.told("pay_invoice"), 1);
    rig.node.conclude(order.hash, true);
    rig.node.show_no_payments(false);
    check_settled(rig.backend().pay(order), order.hash);
    CHECK_EQ(rig.node.told("pay_invoice"), 1);
    CHECK_EQ(rig.node.times_paid(order.hash), 1);
}

TEST_CASE("nwc: what was lost is told again once its time is over and nobody knows of it") {
    Rig rig;
    const auto order = payment_order(rig.node.outside_invoice(kAmount, Outcome::Paid));
    rig.trouble_at(rig.telling(), Trouble::LoseRequest);
    CHECK_EQ(rig.backend().pay(order)->state, PaymentState::Pending);
    CHECK_EQ(rig.backend().pay(order)->state, PaymentState::Pending);
    CHECK_EQ(rig.node.told("pay_invoice"), 0);
    rig.no_trouble();
    CHECK_EQ(rig.backend().outgoing(order.hash).error(), BackendError::NotFound);
    check_settled(rig.backend().pay(order), order.hash);
    CHECK_EQ(rig.node.told("pay_invoice"), 1);
}

TEST_CASE("nwc: our own no says nothing of a payment that was told before") {
    Rig rig;
    auto order = payment_order(rig.node.outside_invoice(kAmount, Outcome::Paid));
    rig.trouble_at(rig.telling(), Trouble::LoseAnswer);
    rig.node.show_no_payments(true);
    CHECK_EQ(rig.backend().pay(order)->state, PaymentState::Pending);
    rig.no_trouble();
    // Too little for its fee now, so nobody is told; but it was paid.
    order.fee_max = Msat{};
    CHECK_EQ(rig.backend().pay(order)->state, PaymentState::Pending);
    // Expired by now.
    rig.clock.advance(Seconds{7200});
    order.fee_max = 5'000_msat;
    CHECK_EQ(rig.backend().pay(order)->state, PaymentState::Pending);
    CHECK_EQ(rig.node.told("pay_invoice"), 1);
    rig.node.show_no_payments(false);
    check_settled(rig.backend().pay(order), order.hash);
}

TEST_CASE("nwc: a wallet is not told to pay itself") {
    Rig rig;
    const auto invoice = rig.backend().create_invoice(invoice_order("a"));
    REQUIRE(invoice.has_value());
    CHECK_EQ(rig.backend().pay(payment_order(invoice->bolt11)).error(), BackendError::Refused);
    CHECK_EQ(rig.node.told("pay_invoice"), 0);
    CHECK_EQ(rig.backend().incoming(invoice->hash)->state, PaymentState::Pending);
}

TEST_CASE("nwc: a service that can't say what became of a payment is told of none") {
    for (const auto* methods : {"pay_invoice make_invoice get_info", "lookup_invoice get_info"}) {
        Rig rig;
        rig.node.offer(methods);
        rig.reopen();
        const auto order = payment_order(rig.node.outside_invoice(kAmount, Outcome::Paid));
        CHECK_EQ(rig.backend().pay(order).error(), BackendError::Refused);
        CHECK_EQ(rig.node.told("pay_invoice"), 0);
    }
}

TEST_CASE("nwc: a service from before there were states settles by time and preimage") {
    Rig rig;
    rig.node.answer_without_states();
    const auto invoice = rig.backend().create_invoice(invoice_order("a"));
    REQUIRE(invoice.has_value());
    CHECK_EQ(rig.backend().incoming(invoice->hash)->state, PaymentState::Pending);
    rig.pay_in(*invoice, kAmount);
    check_settled(rig.backend().incoming(invoice->hash), invoice->hash);
    const auto order = payment_order(rig.node.outside_invoice(kAmount, Outcome::Paid));
    check_settled(rig.backend().pay(order), order.hash);
}

TEST_CASE("nwc: with two relays an invoice is made once, and one of them may be away") {
    FixedClock clock{SystemClock{}.now()};
    FakeNwc service{clock};
    FakeRelay one;
    FakeRelay two;
    service.serve_at(one);
    service.serve_at(two);
    metrics::Registry metrics;
    crypto::SystemRandom random;
    const auto database = *store::open("sqlite::memory:");
    REQUIRE(migrate_lightning(*database));
    http::WebSockets sockets{{}, metrics};
    auto options = Rig::options(sockets);
    options.receive_credential = Secret{to_bytes(service.uri(FakeNwc::kPaySecret))};
    options.pay_credential = options.receive_credential.copy();
    const auto backend = make_nwc(std::move(options), Rig::nwc_options(), *database, clock, random);
    one.wait_for_subscribed(1);
    two.wait_for_subscribed(1);
    REQUIRE(backend->create_invoice(invoice_order("a")).has_value());
    CHECK_EQ(service.told("make_invoice"), 1);
    one.stop();
    const auto order = payment_order(service.outside_invoice(kAmount, Outcome::Paid));
    check_settled(backend->pay(order), order.hash);
    CHECK_EQ(service.told("pay_invoice"), 1);
    two.stop();
    CHECK_EQ(backend->incoming(order.hash).error(), BackendError::Unreachable);
    one.start();
    one.wait_for_subscribed(1);
    check_settled(backend->outgoing(order.hash), order.hash);
    one.stop();
}

TEST_CASE("nwc: what the service tells of is a hint on which can be asked, and counts once") {
    Rig rig;
    const auto invoice = rig.backend().create_invoice(invoice_order("a"));
    const auto other = rig.backend().create_invoice(invoice_order("b"));
    REQUIRE((invoice.has_value() && other.has_value()));
    rig.pay_in(*invoice, kAmount);
    std::counting_semaphore<8> hints{0};
    std::atomic<int> settled_hints = 0;
    std::atomic<bool> was_other = false;
    rig.backend().on_change([&](const PaymentHash& hash) {
        // As whoever is told does, from within.
        const auto payment = rig.backend().incoming(hash);
        if (hash == invoice->hash && payment && payment->state == PaymentState::Settled) {
            ++settled_hints;
        }
        if (hash == other->hash) was_other = payment && payment->state == PaymentState::Pending;
        hints.release();
    });
    rig.node.notify("payment_received", invoice->hash, FakeNwc::kReceiveSecret);
    hints.acquire();
    // Told of, and yet not there: nothing but a hint.
    rig.node.notify("payment_received", other->hash, FakeNwc::kReceiveSecret);
    while (!was_other) hints.acquire();
    CHECK_EQ(settled_hints, 1);
    rig.backend().end_hints();
    CHECK_EQ(rig.backend().incoming(invoice->hash).error(), BackendError::Unreachable);
}

TEST_CASE("nwc: two calls at once pay once") {
    Rig rig;
    const auto order = payment_order(rig.node.outside_invoice(kAmount, Outcome::Paid));
    std::vector<std::future<Result<Payment, BackendError>>> calls;
    for (int i = 0; i < 8; ++i) {
        calls.push_back(std::async(std::launch::async, [&] { return rig.backend().pay(order); }));
    }
    for (auto& call : calls) CHECK_NE(call.get()->state, PaymentState::Failed);
    CHECK_EQ(rig.node.told("pay_invoice"), 1);
    check_settled(rig.backend().pay(order), order.hash);
    CHECK_EQ(rig.node.times_paid(order.hash), 1);
}

TEST_CASE("nwc: who can't be connected with is none") {
    FixedClock clock;
    metrics::Registry metrics;
    crypto::SystemRandom random;
    const auto database = *store::open("sqlite::memory:");
    http::WebSockets sockets{{}, metrics};
    auto options = Rig::options(sockets);
    options.receive_credential = Secret{to_bytes("nostr+walletconnect://nobody")};
    CHECK_EQ(make_nwc(std::move(options), {}, *database, clock, random), nullptr);
}
