// Melting. The numbers are the conformance cases of the reference, D.6.
#include <doctest/doctest.h>

#include <algorithm>
#include <thread>

#include "cashu/mint_world.h"

using namespace nutgate;
using namespace nutgate::test;
using Outcome = FakeLightning::Outcome;

namespace {

// Blanks as wallets send them; their amount means nothing.
Blinded blanks(MintWorld& world, std::size_t count, Amount amount = 0) {
    return world.blind(std::vector<Amount>(count, amount));
}

wire::MeltQuote quote_of(const cashu::MintAnswer& answer) {
    CAPTURE(answer.body);
    REQUIRE(answer.status == 200);
    return wire::parse_melt_quote(answer.body).value();
}

Amount total(const std::vector<Proof>& proofs) { return cashu::sum(proofs).value(); }

// Somebody else who has the same node pays an invoice.
Result<Payment, BackendError> pay_beside(MintWorld& world, const std::string& invoice) {
    return world.lightning.pay({.hash = hash_of(invoice),
                                .bolt11 = invoice,
                                .amount = *parse_bolt11(invoice).value().amount,
                                .fee_max = {}});
}

// Takes three sats more than it was allowed to.
class GreedyNode final : public LightningBackend {
public:
    explicit GreedyNode(FakeLightning& behind) : behind_{behind} {}

    std::string name() const override { return behind_.name(); }
    Network network() const override { return behind_.network(); }
    Result<Invoice, BackendError> create_invoice(const InvoiceOrder& order) override {
        return behind_.create_invoice(order);
    }
    Result<Payment, BackendError> incoming(const PaymentHash& hash) override {
        return behind_.incoming(hash);
    }
    Result<Payment, BackendError> pay(const PaymentOrder& order) override {
        auto payment = behind_.pay(order);
        if (payment) payment->fee = *add(order.fee_max, 3'000_msat);
        return payment;
    }
    Result<Payment, BackendError> outgoing(const PaymentHash& hash) override {
        return behind_.outgoing(hash);
    }
    Result<Msat, BackendError> estimate_fee(const Bolt11& invoice, Msat amount) override {
        return behind_.estimate_fee(invoice, amount);
    }
    void on_change(std::function<void(const PaymentHash&)> hint) override {
        behind_.on_change(std::move(hint));
    }

private:
    FakeLightning& behind_;
};

}  // namespace

TEST_CASE("mint 55: our own invoice is settled within the mint, both sides at once") {
    MintWorld world;
    const auto proofs = world.buy({16});
    const auto bought = world.quote(10);
    const auto melt = world.melt_quote(bought.request);
    CHECK(melt.amount == 10);
    CHECK(melt.fee_reserve == 0);
    const auto change = blanks(world, 3);
    const auto paid = quote_of(world.melt(melt, proofs, change));
    CHECK(paid.state == wire::MeltState::Paid);
    const auto returned = world.unblind(change, paid.change);
    CHECK(total(returned) == 6);
    CHECK(world.state(proofs[0]) == wire::ProofState::Spent);
    CHECK(world.lightning.times_paid(hash_of(bought.request)) == 0);
    const auto now =
        wire::parse_mint_quote(world.get("/v1/mint/quote/bolt11/" + bought.quote).body);
    CHECK(now->amount_paid == 10);
    const auto blinded = world.blind({8, 2});
    CHECK(code(world.post("/v1/mint/bolt11", world.issue_body(bought, blinded))) == 0);
    CHECK(audit(*world.database) == 16'000_msat);
    world.swapped(returned, {2, 4});
}

TEST_CASE("mint 55: an own invoice that was paid already is not paid again") {
    MintWorld world;
    const auto proofs = world.buy({16});
    const auto bought = world.quote(10);
    const auto first = world.melt_quote(bought.request);
    const auto second = world.melt_quote(bought.request);
    world.pay(bought);
    world.mint->poll(hash_of(bought.request));
    CHECK(code(world.melt(first, proofs)) == 20006);
    CHECK(code(world.melt(second, proofs)) == 20006);
    world.swapped(proofs, {16});
}

TEST_CASE("mint 55: an own invoice that was paid from outside a moment ago is not paid again") {
    MintWorld world;
    const auto proofs = world.buy({16});
    const auto bought = world.quote(10);
    const auto melt = world.melt_quote(bought.request);
    world.pay(bought);
    CHECK(code(world.melt(melt, proofs)) == 20006);
    CHECK(world.quote_again(bought.quote).mintable() == 10);
    world.swapped(proofs, {16});
}

TEST_CASE("mint 55: an invoice under the hash of ours, of another amount, does not pay ours") {
    MintWorld world;
    const auto proofs = world.buy({16});
    const auto bought = world.quote(1000);
    const auto forged = [&](nutgate::Msat amount) {
        return write_bolt11({.network = Network::Regtest,
                             .amount = amount,
                             .created_at = world.clock.now(),
                             .expiry = Seconds{3600},
                             .payment_hash = hash_of(bought.request),
                             .payment_secret = ByteArray<32>{std::byte{1}},
                             .description = ""},
                            *crypto::Scalar::reduce(ByteArray<32>{std::byte{7}}));
    };
    wire::MeltQuoteRequest request;
    request.request = forged(1'000_msat);
    request.unit = "sat";
    const auto answer =
        world.post("/v1/melt/quote/bolt11", wire::write_melt_quote_request(request));
    // Were it taken, one sat would be booked as all that ever came in for the quote.
    CHECK(code(answer) == 10000);
    if (answer.status == 200) {
        const auto melt = wire::parse_melt_quote(answer.body).value();
        (void)world.melt(melt, proofs);
    }
    world.pay(bought);
    CHECK(world.quote_again(bought.quote).mintable() == 1000);
    world.swapped(proofs, {16});
}

TEST_CASE("mint 56, 60: a payment has its preimage, and what it did not cost is change") {
    MintWorld world;
    world.lightning.set_fee(5'000_msat);
    const auto proofs = world.buy({64});
    const std::string invoice = world.lightning.outside_invoice(50'000_msat);
    const auto melt = world.melt_quote(invoice);
    CHECK(melt.amount == 50);
    CHECK(melt.fee_reserve == 5);
    CHECK(melt.state == wire::MeltState::Unpaid);
    world.lightning.set_fee(2'300_msat);
    const auto change = blanks(world, 4);
    const auto paid = quote_of(world.melt(melt, proofs, change));
    CHECK(paid.state == wire::MeltState::Paid);
    REQUIRE(paid.payment_preimage);
    CHECK(crypto::sha256(from_hex(*paid.payment_preimage).value()) == hash_of(invoice).bytes());
    // 64 - 50 - 3 (2.3 rounded up): the 0.7 is the mint's.
    CHECK(total(world.unblind(change, paid.change)) == 11);
    CHECK(world.melt_quote_again(melt.quote).change.size() == paid.change.size());
    CHECK(world.lightning.times_paid(hash_of(invoice)) == 1);
    CHECK(audit(*world.database) == 11'000_msat);
    const auto revenue = world.database->read(
        [](store::Reader& reader) -> Result<std::int64_t, store::StoreFailure> {
            return RecordingBooks::balance(reader, "revenue");
        });
    CHECK(*revenue == 700);
}

TEST_CASE("mint 57: too little is refused, and the proofs stay") {
    MintWorld world{{.input_fee_ppk = 1000}};
    world.lightning.set_fee(1'000_msat);
    const auto proofs = world.buy({8, 4});
    const auto melt = world.melt_quote(world.lightning.outside_invoice(10'000_msat));
    // 10 and a reserve of 1 and a fee of 2: 13 are needed.
    CHECK(code(world.melt(melt, proofs)) == 11005);
    CHECK(world.state(proofs[0]) == wire::ProofState::Unspent);
    CHECK(code(world.melt(melt, world.buy({16}))) == 0);
    CHECK(code(world.melt(world.melt_quote(world.lightning.outside_invoice(9'000_msat)), proofs)) ==
          0);
}

TEST_CASE("mint 58: amounts and reserves of less than a unit are rounded up") {
    MintWorld world;
    world.lightning.set_fee(1_msat);
    const auto melt = world.melt_quote(world.lightning.outside_invoice(10'001_msat));
    CHECK(melt.amount == 11);
    CHECK(melt.fee_reserve == 1);
    const auto change = blanks(world, 4);
    const auto paid = quote_of(world.melt(melt, world.buy({16}), change));
    CHECK(total(world.unblind(change, paid.change)) == 4);

    MintWorld msats{{.units = {Unit::Msat}}};
    const auto exact = msats.melt_quote(msats.lightning.outside_invoice(10'001_msat), Unit::Msat);
    CHECK(exact.amount == 10'001);
    CHECK(exact.unit == "msat");
}

TEST_CASE("mint 59: change goes on the first blanks, and those left over are forgotten") {
    MintWorld world;
    const auto melt = world.melt_quote(world.lightning.outside_invoice(10'000_msat));
    const auto change = blanks(world, 6, 1);
    const auto paid = quote_of(world.melt(melt, world.buy({16}), change));
    REQUIRE(paid.change.size() == 2);
    CHECK(paid.change[0].amount == 4);
    CHECK(paid.change[1].amount == 2);
    world.unblind(change, paid.change);
    // The other four can be signed as anything else.
    Blinded unused;
    for (std::size_t i = 2; i < 6; ++i) unused.outputs.push_back(change.outputs[i]);
    for (auto& output : unused.outputs) output.amount = 1;
    CHECK(code(world.swap(world.buy({4}), unused)) == 0);

    // With too few blanks the largest amounts are given back, and the rest is the mint's.
    const auto again = world.melt_quote(world.lightning.outside_invoice(1'000_msat));
    const auto one = blanks(world, 1);
    const auto kept = quote_of(world.melt(again, world.buy({16}), one));
    REQUIRE(kept.change.size() == 1);
    CHECK(kept.change[0].amount == 8);
    // With nothing to return none is signed.
    const auto exact = world.melt_quote(world.lightning.outside_invoice(16'000_msat));
    CHECK(quote_of(world.melt(exact, world.buy({16}), blanks(world, 2))).change.empty());
}

TEST_CASE("mint 61: a payment that fails gives everything back, and may be tried again") {
    MintWorld world;
    const auto proofs = world.buy({16});
    const std::string invoice = world.lightning.outside_invoice(10'000_msat);
    const auto melt = world.melt_quote(invoice);
    const auto change = blanks(world, 3);
    for (int i = 0; i < 3; ++i) {
        world.lightning.next_pay(Outcome::Refused);
        CHECK(code(world.melt(melt, proofs, change)) == 20004);
        CHECK(world.state(proofs[0]) == wire::ProofState::Unspent);
        CHECK(world.melt_quote_again(melt.quote).state == wire::MeltState::Unpaid);
        CHECK(audit(*world.database) == 16'000_msat);
    }
    CHECK(quote_of(world.melt(melt, proofs, change)).state == wire::MeltState::Paid);
    CHECK(world.lightning.times_paid(hash_of(invoice)) == 1);

    const auto other = world.buy({16});
    const auto failing = world.melt_quote(world.lightning.outside_invoice(10'000_msat));
    world.lightning.next_pay(Outcome::Failed);
    CHECK(code(world.melt(failing, other)) == 20004);
    world.swapped(other, {16});
}

TEST_CASE("mint 62-63, 68, 94: what is unknown stays pending, until it is known") {
    for (const auto end : {PaymentState::Settled, PaymentState::Failed}) {
        for (const bool restart : {false, true}) {
            MintWorld world;
            const auto proofs = world.buy({16});
            const std::string invoice = world.lightning.outside_invoice(10'000_msat);
            const auto melt = world.melt_quote(invoice);
            const auto change = blanks(world, 3);
            world.lightning.next_pay(Outcome::Unknown);
            const std::string body = world.melt_body(melt, proofs, change);
            CHECK(quote_of(world.post("/v1/melt/bolt11", body)).state == wire::MeltState::Pending);
            CHECK(world.state(proofs[0]) == wire::ProofState::Pending);
            CHECK(code(world.swap(proofs, world.blind({16}))) == 11002);
            CHECK(code(world.melt(melt, world.buy({16}))) == 20005);
            Blinded taken = change;
            for (auto& output : taken.outputs) output.amount = 1;
            CHECK(code(world.swap(world.buy({2, 1}), taken)) == 11004);
            CHECK(world.melt_quote_again(melt.quote).state == wire::MeltState::Pending);

            world.lightning.set_down(true);
            if (restart) world.reopen();
            world.mint->poll();
            CHECK(world.melt_quote_again(melt.quote).state == wire::MeltState::Pending);
            world.lightning.set_down(false);
            world.mint->poll();
            CHECK(world.melt_quote_again(melt.quote).state == wire::MeltState::Pending);
            audit(*world.database);

            world.lightning.conclude(hash_of(invoice), end);
            world.mint->poll(hash_of(invoice));
            const auto ended = world.melt_quote_again(melt.quote);
            if (end == PaymentState::Settled) {
                CHECK(ended.state == wire::MeltState::Paid);
                CHECK(total(world.unblind(change, ended.change)) == 6);
                CHECK(world.state(proofs[0]) == wire::ProofState::Spent);
                // The answer that the request could not have is kept for who asks with its bytes.
                CHECK(quote_of(world.post("/v1/melt/bolt11", body)).state == wire::MeltState::Paid);
            } else {
                CHECK(ended.state == wire::MeltState::Unpaid);
                world.swapped(proofs, {16});
            }
            CHECK(world.lightning.times_paid(hash_of(invoice)) ==
                  (end == PaymentState::Settled ? 1 : 0));
        }
    }
}

TEST_CASE("mint 64: one invoice by two quotes is paid once") {
    MintWorld world;
    const std::string invoice = world.lightning.outside_invoice(10'000_msat);
    const auto first = world.melt_quote(invoice);
    const auto second = world.melt_quote(invoice);
    const auto proofs = world.buy({16});
    const auto other = world.buy({16});
    world.lightning.next_pay(Outcome::Unknown);
    CHECK(quote_of(world.melt(first, proofs)).state == wire::MeltState::Pending);
    CHECK(code(world.melt(second, other)) == 20006);
    world.lightning.conclude(hash_of(invoice), PaymentState::Settled);
    world.mint->poll();
    CHECK(code(world.melt(second, other)) == 20006);
    CHECK(code(world.melt(first, other)) == 20006);
    CHECK(world.lightning.times_paid(hash_of(invoice)) == 1);
    world.swapped(other, {16});
}

TEST_CASE("mint: an invoice that somebody else pays from the same node takes no tokens") {
    for (const auto outcome : {Outcome::Paid, Outcome::Unknown}) {
        MintWorld world;
        const std::string invoice = world.lightning.outside_invoice(10'000_msat);
        const auto melt = world.melt_quote(invoice);
        const auto proofs = world.buy({16});
        world.lightning.next_pay(outcome);
        REQUIRE(pay_beside(world, invoice));
        CHECK(code(world.melt(melt, proofs)) == 20006);
        world.mint->poll();
        CHECK(world.melt_quote_again(melt.quote).state == wire::MeltState::Unpaid);
        CHECK(audit(*world.database) == 16'000_msat);
        world.swapped(proofs, {16});
    }
}

TEST_CASE("mint: an invoice that somebody else could not pay is tried, and fails again") {
    MintWorld world;
    const std::string invoice = world.lightning.outside_invoice(10'000_msat);
    const auto melt = world.melt_quote(invoice);
    const auto proofs = world.buy({16});
    world.lightning.next_pay(Outcome::Failed);
    REQUIRE(pay_beside(world, invoice));
    CHECK(code(world.melt(melt, proofs)) == 20004);
    world.lightning.set_down(true);
    CHECK(code(world.melt(melt, proofs)) == 20004);
    world.lightning.set_down(false);
    world.swapped(proofs, {16});
}

TEST_CASE("mint: what the books say no to takes no tokens, and nothing is paid") {
    using MayPay = cashu::MintBooks::MayPay;
    MintWorld world;
    world.lightning.set_fee(1'500_msat);
    const std::string invoice = world.lightning.outside_invoice(10'000_msat);
    const auto melt = world.melt_quote(invoice);
    const auto proofs = world.buy({16});
    world.books.says = MayPay::Elsewhere;
    CHECK(code(world.melt(melt, proofs)) == 20006);
    // The reserve is of whole sats.
    CHECK(world.books.asked == 12'000);
    world.books.says = MayPay::Short;
    CHECK(code(world.melt(melt, proofs)) == 20004);
    CHECK(world.lightning.times_paid(hash_of(invoice)) == 0);
    CHECK(world.state(proofs[0]) == wire::ProofState::Unspent);
    // An invoice of our own needs nothing of what is at Lightning.
    CHECK(code(world.melt(world.melt_quote(world.quote(16).request), proofs)) == 0);
}

TEST_CASE("mint: what a payment costs beyond its reserve is the mint's, and is booked") {
    MintWorld world;
    world.lightning.set_fee(2'000_msat);
    const auto proofs = world.buy({16});
    world.buy({64});
    GreedyNode greedy{world.lightning};
    world.mint =
        std::make_unique<cashu::Mint>(*world.database, greedy, world.books, world.secret,
                                      world.clock, world.random, world.options, world.metrics);
    REQUIRE(world.mint->start());
    const auto melt = world.melt_quote(world.lightning.outside_invoice(10'000_msat));
    const auto change = blanks(world, 3);
    const auto paid = quote_of(world.melt(melt, proofs, change));
    // 16 - 10 - the reserve of 2: who melts pays what was quoted.
    CHECK(total(world.unblind(change, paid.change)) == 4);
    const auto booked = [&](std::string_view account) {
        return world.database
            ->read([&](store::Reader& reader) -> Result<std::int64_t, store::StoreFailure> {
                return RecordingBooks::balance(reader, account);
            })
            .value();
    };
    CHECK(booked("fees") == 3'000);
    CHECK(booked("lightning") == 80'000 - 10'000 - 5'000);
    world.mint.reset();  // Before its node.
}

TEST_CASE("mint 65: of many melts of one quote at once, one pays") {
    MintWorld world;
    const std::string invoice = world.lightning.outside_invoice(10'000_msat);
    const auto melt = world.melt_quote(invoice);
    constexpr std::size_t kThreads = 6;
    std::vector<std::string> bodies;
    for (std::size_t i = 0; i < kThreads; ++i) {
        bodies.push_back(world.melt_body(melt, world.buy({16})));
    }
    std::vector<int> codes(kThreads);
    {
        std::vector<std::jthread> threads;
        for (std::size_t i = 0; i < kThreads; ++i) {
            threads.emplace_back(
                [&, i] { codes[i] = code(world.post("/v1/melt/bolt11", bodies[i])); });
        }
        threads.emplace_back([&] { world.mint->poll(); });
    }
    CHECK(std::ranges::count(codes, 0) == 1);
    CHECK(std::ranges::count(codes, 20005) + std::ranges::count(codes, 20006) == kThreads - 1);
    CHECK(world.lightning.times_paid(hash_of(invoice)) == 1);
    // Without blanks what was too much is the mint's; the others' money is theirs.
    CHECK(audit(*world.database) == 80'000_msat);
}

TEST_CASE("mint 66-67: inputs that are spent or pending, blanks that were signed") {
    MintWorld world;
    const auto proofs = world.buy({16});
    const auto melt = [&] {
        return world.melt_quote(world.lightning.outside_invoice(10'000_msat));
    };
    const auto change = blanks(world, 3);
    REQUIRE(code(world.melt(melt(), proofs, change)) == 0);
    CHECK(code(world.melt(melt(), proofs)) == 11001);
    const auto fresh = world.buy({16});
    CHECK(code(world.melt(melt(), fresh, change)) == 11003);
    world.lightning.next_pay(Outcome::Unknown);
    REQUIRE(quote_of(world.melt(melt(), fresh)).state == wire::MeltState::Pending);
    CHECK(code(world.melt(melt(), fresh)) == 11002);
}

TEST_CASE("mint 69-70: amounts in options, invoices without one, shares of one") {
    MintWorld world{{.melt_amount_max = 100}};
    const auto ask = [&](const std::string& invoice, const Json& options) {
        return code(
            world.post("/v1/melt/quote/bolt11",
                       Json{{"request", invoice}, {"unit", "sat"}, {"options", options}}.dump()));
    };
    const std::string some = world.lightning.outside_invoice(10'000_msat);
    const std::string none = world.lightning.outside_invoice(std::nullopt);
    CHECK(ask(some, nullptr) == 0);
    CHECK(ask(some, {{"amountless", {{"amount_msat", 10'000}}}}) == 0);
    CHECK(ask(some, {{"amountless", {{"amount_msat", 9'999}}}}) == 11012);
    CHECK(ask(none, nullptr) == 11011);
    CHECK(ask(none, {{"amountless", {{"amount_msat", 10'000}}}}) == 11011);
    CHECK(ask(some, {{"mpp", {{"amount", 5'000}}}}) == 10000);
    CHECK(ask(world.lightning.outside_invoice(100'001_msat), nullptr) == 11006);
    CHECK(ask("lnbc1nothing", nullptr) == 10000);
    CHECK(code(world.post("/v1/melt/quote/bolt11",
                          Json{{"request", some}, {"unit", "usd"}}.dump())) == 11013);
}

TEST_CASE("mint 71: proofs and blanks of another unit") {
    MintWorld world{{.units = {Unit::Sat, Unit::Msat}}};
    const auto melt = world.melt_quote(world.lightning.outside_invoice(10_msat), Unit::Sat);
    CHECK(code(world.melt(melt, world.buy({16}, Unit::Msat))) == 11010);
    CHECK(code(world.melt(melt, world.buy({16}), world.blind({0}, Unit::Msat))) == 11010);
}

TEST_CASE("mint: an invoice of another network is not quoted") {
    MintWorld world;
    const auto real = write_bolt11({.network = Network::Bitcoin,
                                    .amount = 10'000_msat,
                                    .created_at = world.clock.now(),
                                    .expiry = Seconds{3600},
                                    .payment_hash = world.random.id<PaymentHash>(),
                                    .payment_secret = world.random.bytes<32>(),
                                    .description = "",
                                    .min_final_cltv = 18},
                                   crypto::Scalar::random(world.random));
    const auto answer =
        world.post("/v1/melt/quote/bolt11", Json{{"request", real}, {"unit", "sat"}}.dump());
    CHECK(answer.status == 400);
    CHECK(wire::parse_error(answer.body).detail == "an invoice of another network");
}

TEST_CASE("mint 72: an expired quote is not paid, nor is an expired invoice quoted") {
    MintWorld world;
    const std::string invoice = world.lightning.outside_invoice(10'000_msat, "", Seconds{100});
    const auto melt = world.melt_quote(invoice);
    CHECK(melt.expiry == to_unix_seconds(world.clock.now()) + 100);
    const auto proofs = world.buy({16});
    world.clock.advance(Seconds{100});
    CHECK(code(world.melt(melt, proofs)) == 20007);
    CHECK(code(world.post("/v1/melt/quote/bolt11",
                          Json{{"request", invoice}, {"unit", "sat"}}.dump())) == 20007);
    world.swapped(proofs, {16});
}

TEST_CASE(
    "mint 73-74: states come in the order asked, what is unknown is unspent, a witness late") {
    MintWorld world;
    auto spent = world.buy({8});
    spent[0].witness = "{\"signatures\":[]}";
    world.swapped(spent, {8});
    auto pending = world.buy({16});
    pending[0].witness = "{}";
    world.lightning.next_pay(Outcome::Unknown);
    world.melt(world.melt_quote(world.lightning.outside_invoice(10'000_msat)), pending);
    const auto unspent = world.buy({4});
    std::vector<crypto::Point> ys;
    for (const auto& proof : {unspent[0], spent[0], pending[0]}) {
        ys.push_back(cashu::hash_to_curve(proof.secret).value());
    }
    ys.push_back(crypto::generator_times(crypto::Scalar::random(world.random)));
    const auto states = wire::parse_check_state_response(
        world.post("/v1/checkstate", wire::write_check_state_request(ys)).body);
    REQUIRE(states);
    REQUIRE(states->size() == 4);
    for (std::size_t i = 0; i < 4; ++i) CHECK(states->at(i).Y == ys[i]);
    CHECK(states->at(0).state == wire::ProofState::Unspent);
    CHECK(states->at(1).state == wire::ProofState::Spent);
    CHECK(states->at(1).witness == "{\"signatures\":[]}");
    CHECK(states->at(2).state == wire::ProofState::Pending);
    CHECK_FALSE(states->at(2).witness);
    CHECK(states->at(3).state == wire::ProofState::Unspent);
    CHECK(code(world.post("/v1/checkstate", R"({"Ys":["02ff"]})")) == 10000);
}

TEST_CASE("mint 75-77: what was signed is restored, after a rotation too, and nothing else") {
    MintWorld world;
    const auto quote = world.quote(450);
    world.pay(quote);
    const auto blinded = world.blind(std::vector<Amount>(450, 1));
    const auto answer = world.post("/v1/mint/bolt11", world.issue_body(quote, blinded));
    const auto signatures = wire::parse_signatures(answer.body).value();
    REQUIRE(world.mint->rotate(Unit::Sat, 0));

    // Some that were signed, in another order and with another amount, between some that were not.
    const auto gaps = world.blind(std::vector<Amount>(300, 1));
    std::vector<BlindedMessage> asked = gaps.outputs;
    for (std::size_t i = blinded.outputs.size(); i-- > 0;) {
        asked.push_back(blinded.outputs[i]);
        asked.back().amount = 64;
    }
    const auto restored = wire::parse_restore_response(
        world.post("/v1/restore", wire::write_restore_request(asked)).body);
    REQUIRE(restored);
    REQUIRE(restored->signatures.size() == 450);
    for (std::size_t i = 0; i < 450; ++i) {
        CHECK(restored->outputs[i].B_ == blinded.outputs[449 - i].B_);
        CHECK(restored->signatures[i].C_ == signatures[449 - i].C_);
        CHECK(restored->signatures[i].dleq->e == signatures[449 - i].dleq->e);
        CHECK(restored->signatures[i].amount == 1);
    }
    CHECK(world.post("/v1/restore", R"({"outputs":[]})").status == 200);

    // A blank that waits for change is not restored; once it is signed it is.
    const std::string invoice = world.lightning.outside_invoice(10'000_msat);
    const auto change = blanks(world, 3);
    world.lightning.next_pay(Outcome::Unknown);
    world.melt(world.melt_quote(invoice), world.buy({16}), change);
    const auto restore = [&] {
        return wire::parse_restore_response(
                   world.post("/v1/restore", wire::write_restore_request(change.outputs)).body)
            .value()
            .signatures;
    };
    CHECK(restore().empty());
    world.lightning.conclude(hash_of(invoice), PaymentState::Settled);
    world.mint->poll();
    CHECK(total(world.unblind(change, restore())) == 6);
}

TEST_CASE("mint 95: a melt that can't be concluded stops no other, nor the start") {
    MintWorld world;
    std::vector<std::string> invoices;
    std::vector<wire::MeltQuote> melts;
    for (int i = 0; i < 3; ++i) {
        invoices.push_back(world.lightning.outside_invoice(10'000_msat));
        melts.push_back(world.melt_quote(invoices.back()));
        world.lightning.next_pay(Outcome::Unknown);
        world.melt(melts.back(), world.buy({16}));
    }
    world.lightning.conclude(hash_of(invoices[0]), PaymentState::Settled);
    world.lightning.conclude(hash_of(invoices[2]), PaymentState::Failed);
    world.reopen();
    CHECK(world.melt_quote_again(melts[0].quote).state == wire::MeltState::Paid);
    CHECK(world.melt_quote_again(melts[1].quote).state == wire::MeltState::Pending);
    CHECK(world.melt_quote_again(melts[2].quote).state == wire::MeltState::Unpaid);
}

TEST_CASE("mint: a frozen mint pursues no melt") {
    MintWorld world;
    const std::string invoice = world.lightning.outside_invoice(10'000_msat);
    const auto melt = world.melt_quote(invoice);
    world.lightning.next_pay(Outcome::Unknown);
    world.melt(melt, world.buy({16}));
    world.lightning.conclude(hash_of(invoice), PaymentState::Settled);
    REQUIRE(cashu::Mint::freeze(*world.database));
    world.reopen();
    world.mint->poll();
    world.mint->poll(hash_of(invoice));
    CHECK(world.melt_quote_again(melt.quote).state == wire::MeltState::Pending);
    REQUIRE(world.mint->unfreeze());
    world.mint->poll();
    CHECK(world.melt_quote_again(melt.quote).state == wire::MeltState::Paid);
}
