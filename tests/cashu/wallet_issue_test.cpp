#include <doctest/doctest.h>

#include <functional>
#include <thread>

#include "nutgate/cashu/wire.h"
#include "nutgate/lightning/invoice.h"
#include "support/wallet_world.h"

using namespace nutgate;
using namespace nutgate::cashu;
using namespace nutgate::test;
using Code = WalletError::Code;

namespace {

const MintUrl kMint = *MintUrl::parse(kFakeMintUrl);

PaymentHash request(WalletWorld& world, Msat amount) {
    const auto quote = world.wallet->request_quote(kMint, amount, "top-up");
    REQUIRE(quote);
    return parse_bolt11(quote->bolt11)->payment_hash;
}

std::size_t open_quotes(WalletWorld& world) {
    return world.database
        ->read([&](store::Reader& reader) -> Result<std::size_t, store::StoreFailure> {
            return world.wallet->open_quotes(reader, 100).size();
        })
        .value();
}

}  // namespace

TEST_CASE("wallet: a paid quote becomes ecash, once") {
    for (const bool legacy : {false, true}) {
        WalletWorld world{{.legacy_signatures = legacy}};
        const auto payment = request(world, sats(21));
        CHECK_EQ(world.wallet->settle_quote(payment)->state, PaymentState::Pending);
        CHECK_EQ(open_quotes(world), 1);
        world.mint.pay(payment);
        const auto settled = world.wallet->settle_quote(payment);
        REQUIRE(settled);
        CHECK_EQ(settled->state, PaymentState::Settled);
        CHECK_EQ(settled->amount, sats(21));
        CHECK_EQ(world.wallet->settle_quote(payment)->state, PaymentState::Settled);
        REQUIRE_EQ(world.told("issued").size(), 1);
        CHECK_EQ(world.told("issued")[0].reference, payment.hex());
        CHECK_EQ(world.available(), sats(21));
        CHECK_EQ(open_quotes(world), 0);
        world.audit();
    }
}

TEST_CASE("wallet: what was paid beyond an invoice is issued with it, where its mint does that") {
    for (const bool exactly : {false, true}) {
        CAPTURE(exactly);
        WalletWorld world{{.issues_exactly = exactly}};
        const auto payment = request(world, sats(1000));
        world.mint.pay(payment, 1200);
        const auto arrived = exactly ? sats(1000) : sats(1200);
        for (int i = 0; i < 2; ++i) {  // Said again, it is as much.
            const auto settled = world.wallet->settle_quote(payment);
            REQUIRE(settled);
            CHECK_EQ(settled->state, PaymentState::Settled);
            CHECK_EQ(settled->amount, arrived);
            world.reopen();
        }
        REQUIRE_EQ(world.told("issued").size(), 1);
        CHECK_EQ(world.told("issued")[0].amount, arrived);
        CHECK_EQ(world.available(), arrived);
        world.audit();
    }
}

TEST_CASE("wallet: what a mint says was paid is issued once, whatever the network does") {
    for (const auto fault : {Fault::NotSent, Fault::LoseRequest, Fault::LoseAnswer,
                             Fault::Duplicate, Fault::CutAnswer, Fault::ServerError}) {
        CAPTURE(static_cast<int>(fault));
        WalletWorld world;
        const auto payment = request(world, sats(21));
        world.mint.pay(payment, 30);
        world.mint.fault("/v1/mint/bolt11", fault, 2);
        REQUIRE(world.wallet->settle_quote(payment));
        world.recover_all();
        CHECK_EQ(world.wallet->settle_quote(payment)->amount, sats(30));
        CHECK_EQ(world.told("issued").size(), 1);
        CHECK_EQ(world.available(), sats(30));
        world.audit();
    }
}

TEST_CASE("wallet: a mint that issues its invoice and no more does so whatever the network did") {
    for (const auto fault : {Fault::NotSent, Fault::LoseRequest, Fault::LoseAnswer,
                             Fault::Duplicate, Fault::CutAnswer, Fault::ServerError}) {
        CAPTURE(static_cast<int>(fault));
        WalletWorld world{{.issues_exactly = true}};
        const auto payment = request(world, sats(21));
        world.mint.pay(payment, 30);
        world.mint.fault("/v1/mint/bolt11", fault, 2);
        REQUIRE(world.wallet->settle_quote(payment));
        for (int i = 0; i < 4; ++i) {
            world.clock.advance(Seconds{120});
            REQUIRE(world.wallet->recover());
            REQUIRE(world.wallet->settle_quote(payment));
        }
        REQUIRE_EQ(world.told("issued").size(), 1);
        CHECK_EQ(world.told("issued")[0].amount, sats(21));
        CHECK_EQ(world.available(), sats(21));
        world.audit();
    }
}

TEST_CASE("wallet: what our own money pays is issued as it is on its way, and no more") {
    WalletWorld world;
    const auto quote = world.wallet->request_funding(kMint, sats(40));
    REQUIRE(quote);
    CHECK_EQ(code_of(world.fund_by(*quote, "f")), Code::InProgress);
    world.mint.pay(*quote, 50);
    world.recover_all();
    REQUIRE(world.fund_by(*quote, "f"));
    CHECK_EQ(world.available(), sats(40));
}

TEST_CASE("wallet: every fault of the network ends in one issue") {
    for (const auto fault :
         {Fault::NotSent, Fault::LoseRequest, Fault::LoseAnswer, Fault::Duplicate, Fault::CutAnswer,
          Fault::ServerError, Fault::TooMany, Fault::BadSignature}) {
        for (const bool legacy : {false, true}) {
            for (const int times : {1, 2, 3}) {
                CAPTURE(static_cast<int>(fault));
                CAPTURE(times);
                WalletWorld world{{.legacy_signatures = legacy}};
                const auto payment = request(world, sats(21));
                world.mint.pay(payment);
                world.mint.fault("/v1/mint/bolt11", fault, times);
                world.mint.fault("/v1/restore", Fault::LoseAnswer, times - 1);
                const auto first = world.wallet->settle_quote(payment);
                REQUIRE(first);
                CHECK_NE(first->state, PaymentState::Failed);
                world.recover_all();
                CHECK_EQ(world.wallet->settle_quote(payment)->state, PaymentState::Settled);
                CHECK_EQ(world.told("issued").size(), 1);
                CHECK_EQ(world.available(), sats(21));
                world.audit();
            }
        }
    }
}

TEST_CASE("wallet: a quote that was paid late is issued, and one never paid is given up") {
    WalletWorld world;
    const auto late = request(world, sats(21));
    const auto never = request(world, sats(4));
    world.clock.advance(Seconds{3600 + 23 * 3600});
    CHECK_EQ(open_quotes(world), 2);
    world.mint.pay(late);
    CHECK_EQ(world.wallet->settle_quote(late)->state, PaymentState::Settled);
    CHECK_EQ(world.wallet->settle_quote(never)->state, PaymentState::Pending);
    world.clock.advance(Seconds{2 * 3600});
    CHECK_EQ(open_quotes(world), 0);
    CHECK_EQ(world.wallet->settle_quote(never)->state, PaymentState::Failed);
    // Even then: who asks about a quote that was paid gets its ecash.
    world.mint.pay(never);
    CHECK_EQ(world.wallet->settle_quote(never)->state, PaymentState::Settled);
    CHECK_EQ(world.available(), sats(25));
    world.audit();
}

TEST_CASE("wallet: an issue outlives a rotation, before its first transmission and after") {
    WalletWorld world;
    const auto payment = request(world, sats(21));
    world.mint.pay(payment);
    world.mint.fault("/v1/mint/bolt11", Fault::LoseRequest, 2);
    CHECK_EQ(world.wallet->settle_quote(payment)->state, PaymentState::Pending);
    world.mint.rotate();
    world.recover_all();
    CHECK_EQ(world.wallet->settle_quote(payment)->state, PaymentState::Settled);
    const auto second = request(world, sats(5));
    world.mint.pay(second);
    world.mint.rotate();  // The keysets that we know are a minute old at most.
    CHECK_EQ(world.wallet->settle_quote(second)->state, PaymentState::Settled);
    CHECK_EQ(world.available(), sats(26));
    CHECK_EQ(world.told("issued").size(), 2);
    world.audit();
}

TEST_CASE("wallet: what the mint of a quote can't be asked is told as unreachable") {
    WalletWorld world;
    const auto payment = request(world, sats(21));
    world.mint.set_away(true);
    CHECK_EQ(world.wallet->settle_quote(payment).error().code, Code::MintUnreachable);
    CHECK_EQ(world.wallet->request_quote(kMint, sats(1), "").error().code, Code::MintUnreachable);
    world.mint.set_away(false);
    CHECK_EQ(world.wallet->settle_quote(PaymentHash{{}}).error().code, Code::MintRefused);
    CHECK_EQ(world.wallet->request_quote(kMint, Msat{}, "").error().code, Code::MintRefused);
}

TEST_CASE("wallet: a quote that is not what was asked for is refused, and nothing waits for it") {
    using Change = std::function<void(wire::MintQuote&)>;
    const auto key = crypto::generator_times(*crypto::Scalar::from_hex(std::string(64, '2')));
    WalletWorld world;
    const auto other = world.wallet->request_quote(kMint, sats(5), "");
    REQUIRE(other);
    const std::vector<Change> changes{
        [](wire::MintQuote& quote) { quote.amount += 1; },
        [&](wire::MintQuote& quote) { quote.pubkey = key; },
        [](wire::MintQuote& quote) { quote.quote = "../keys"; },
        [](wire::MintQuote& quote) { quote.request = "lnbcrt1"; },
        [&](wire::MintQuote& quote) { quote.request = other->bolt11; },
    };
    for (std::size_t i = 0; i < changes.size(); ++i) {
        CAPTURE(i);
        world.mint.lie("/v1/mint/quote/bolt11", [&](std::string_view, MintAnswer& answer) {
            auto quote = wire::parse_mint_quote(answer.body).value();
            changes[i](quote);
            answer.body = wire::write_mint_quote(quote);
        });
        CHECK_EQ(code_of(world.wallet->request_quote(kMint, sats(21), "")), Code::MintRefused);
    }
    world.mint.lie("/v1/mint/quote/bolt11",
                   [](std::string_view, MintAnswer& answer) { answer.body = "{}"; });
    CHECK_EQ(code_of(world.wallet->request_quote(kMint, sats(21), "")), Code::MintRefused);
    CHECK_EQ(open_quotes(world), 1);
    world.mint.lie("", nullptr);
    const auto payment = request(world, sats(21));
    world.mint.pay(payment);
    CHECK_EQ(world.wallet->settle_quote(payment)->state, PaymentState::Settled);
    CHECK_EQ(world.available(), sats(21));
    world.audit();
}

TEST_CASE("wallet: an invoice that the mint gave out before is not given out again") {
    WalletWorld world;
    const auto first = world.wallet->request_quote(kMint, sats(21), "");
    REQUIRE(first);
    world.mint.lie("/v1/mint/quote/bolt11", [&](std::string_view, MintAnswer& answer) {
        auto quote = wire::parse_mint_quote(answer.body).value();
        quote.request = first->bolt11;
        answer.body = wire::write_mint_quote(quote);
    });
    // Else one payment would be two credits.
    CHECK_EQ(code_of(world.wallet->request_quote(kMint, sats(21), "")), Code::MintRefused);
    world.mint.lie("", nullptr);
    const auto payment = parse_bolt11(first->bolt11)->payment_hash;
    world.mint.pay(payment);
    CHECK_EQ(world.wallet->settle_quote(payment)->state, PaymentState::Settled);
    CHECK_EQ(world.told("issued").size(), 1);
    CHECK_EQ(world.available(), sats(21));
}

TEST_CASE("wallet: a mint that writes no descriptions is asked without one") {
    WalletWorld world;
    world.mint.lie("/v1/mint/quote/bolt11", [](std::string_view asked, MintAnswer& answer) {
        if (asked.find("description") == std::string_view::npos) return;
        answer = {400, R"({"detail":"description not supported","code":20000})"};
    });
    const auto quote = world.wallet->request_quote(kMint, sats(21), "top-up");
    REQUIRE(quote);
    CHECK_EQ(parse_bolt11(quote->bolt11)->description, "");
    CHECK_EQ(world.mint.calls("/v1/mint/quote/bolt11"), 2);
}

TEST_CASE("wallet: a quote that was issued to somebody else is blocked, seen and never credited") {
    WalletWorld world;
    const auto payment = request(world, sats(21));
    world.mint.issue_to_another(payment);
    CHECK_EQ(world.wallet->settle_quote(payment)->state, PaymentState::Pending);
    world.recover_all();
    const auto views = world.database->read(
        [](store::Reader& reader) -> Result<std::vector<OperationView>, store::StoreFailure> {
            return Wallet::operations(reader, 10);
        });
    REQUIRE_EQ(views->size(), 1);
    CHECK_EQ(views->front().state, OperationState::Blocked);
    CHECK_EQ(views->front().last_error, "the mint says that its quote was issued, and not to us");
    CHECK(world.told("issued").empty());
    CHECK_EQ(world.available(), Msat{});
    world.audit(21);
}

TEST_CASE("wallet: a mint that is asked too often is told as that, wherever it says so") {
    WalletWorld world;
    const auto token = world.token({8});
    world.mint.fault("/v1/keys", Fault::TooMany);
    CHECK_EQ(code_of(world.wallet->prepare_receive(token)), Code::MintRateLimited);
    world.mint.fault("/v1/mint/quote/bolt11", Fault::TooMany);
    CHECK_EQ(code_of(world.wallet->request_quote(kMint, sats(1), "")), Code::MintRateLimited);
    CHECK(world.receive(token, "a"));
    world.audit();
}

TEST_CASE("wallet: 16 ask about one paid quote, and it is issued once") {
    WalletWorld world;
    const auto payment = request(world, sats(21));
    world.mint.pay(payment);
    {
        std::vector<std::jthread> threads;
        for (int i = 0; i < 16; ++i) {
            threads.emplace_back([&] { CHECK(world.wallet->settle_quote(payment)); });
        }
    }
    world.recover_all();
    CHECK_EQ(world.told("issued").size(), 1);
    CHECK_EQ(world.available(), sats(21));
    world.audit();
}

TEST_CASE("mint lightning: one label, one invoice; settled when the ecash is ours") {
    WalletWorld world;
    const auto backend =
        make_mint_lightning(*world.wallet, kMint, Network::Regtest, *world.database);
    const InvoiceOrder order{
        .amount = sats(21), .memo = "m", .expiry = Seconds{600}, .label = "order-1"};
    const auto first = backend->create_invoice(order);
    const auto again = backend->create_invoice(order);
    REQUIRE(first);
    REQUIRE(again);
    CHECK_EQ(first->hash, again->hash);
    CHECK_EQ(first->bolt11, again->bolt11);
    auto other_amount = order;
    other_amount.amount = sats(22);
    CHECK_EQ(backend->create_invoice(other_amount).error(), BackendError::Refused);
    CHECK_EQ(backend->incoming(first->hash)->state, PaymentState::Pending);
    CHECK_EQ(backend->incoming(PaymentHash{{}}).error(), BackendError::NotFound);
    world.mint.pay(first->hash);
    CHECK_EQ(backend->incoming(first->hash)->state, PaymentState::Settled);
    CHECK_EQ(backend->incoming(first->hash)->amount, sats(21));
    world.mint.set_away(true);
    CHECK_EQ(backend->create_invoice({.amount = sats(1), .memo = "", .expiry = {}, .label = "x"})
                 .error(),
             BackendError::Unreachable);
    // Nothing is ever paid through it, nor claimed to have been.
    CHECK_EQ(backend->outgoing(first->hash).error(), BackendError::NotFound);
    world.mint.set_away(false);
    const auto other = make_mint_lightning(*world.wallet, kMint, Network::Bitcoin, *world.database);
    CHECK_EQ(
        other->create_invoice({.amount = sats(1), .memo = "", .expiry = {}, .label = "y"}).error(),
        BackendError::Refused);
    world.audit();
}

TEST_CASE("wallet: a mint that takes many quotes at once is asked once about all that are open") {
    for (const bool announced : {true, false}) {
        CAPTURE(announced);
        test::WalletWorld world{{.announces_batches = announced}};
        std::vector<PaymentHash> payments;
        for (int i = 0; i < 20; ++i) {
            const auto quote =
                world.wallet->request_quote(world.wallet->primary(), test::sats(1 + i), "");
            REQUIRE(quote);
            payments.push_back(parse_bolt11(quote->bolt11)->payment_hash);
        }
        world.mint.pay(payments[3]);
        int settled = 0;
        for (const auto& payment : payments) {
            const auto now = world.wallet->settle_quote(payment);
            REQUIRE(now);
            if (now->state == PaymentState::Settled) ++settled;
        }
        CHECK_EQ(settled, 1);
        CHECK_EQ(world.mint.calls("/v1/mint/quote/bolt11/check"), announced ? 1 : 0);
        // A moment later it is asked anew.
        world.clock.advance(Seconds{1});
        world.mint.pay(payments[7]);
        CHECK_EQ(world.wallet->settle_quote(payments[7])->state, PaymentState::Settled);
        CHECK_EQ(world.mint.calls("/v1/mint/quote/bolt11/check"), announced ? 2 : 0);
        world.audit();
    }
}

TEST_CASE("wallet: a quote that its mint forgot spoils the question for no other") {
    test::WalletWorld world{{.announces_batches = true}};
    std::vector<PaymentHash> payments;
    for (int i = 0; i < 3; ++i) {
        const auto quote = world.wallet->request_quote(world.wallet->primary(), test::sats(8), "");
        REQUIRE(quote);
        payments.push_back(parse_bolt11(quote->bolt11)->payment_hash);
    }
    world.mint.lie("/v1/mint/quote/bolt11/check", [](std::string_view, MintAnswer& answer) {
        answer = {400, R"({"detail":"unknown quote","code":50000})"};
    });
    for (const auto& payment : payments) {
        world.mint.pay(payment);
        CHECK_EQ(world.wallet->settle_quote(payment)->state, PaymentState::Settled);
    }
    CHECK_EQ(world.mint.calls("/v1/mint/quote/bolt11/check"), 1);
    world.audit();
}
