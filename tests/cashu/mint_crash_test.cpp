// A process that dies at any statement or commit of the mint's (cases 88-93 of the reference, D.6):
// after the restart the books are equal to the tables, and the wallet that sends the same bytes
// again has what it would have had.
#include <doctest/doctest.h>

#include <functional>

#include "cashu/mint_world.h"
#include "nutgate/cashu/wire_offers.h"
#include "support/crash_database.h"

using namespace nutgate;
using namespace nutgate::test;
using Outcome = FakeLightning::Outcome;

namespace {

struct Plan {
    // Before anything can go wrong: what the wallet has, and the request that it will send.
    std::function<std::string(MintWorld&)> prepare;
    std::string path;
    // After the restart, with the answer to the same bytes.
    std::function<void(MintWorld&, const cashu::MintAnswer&)> check;
    bool is_final = true;  // Its answer is kept.
};

// How many places there were to die at.
std::int64_t crash_everywhere(const Plan& plan) {
    for (std::int64_t n = 1;; ++n) {
        CAPTURE(n);
        MintWorld world;
        const std::string body = plan.prepare(world);
        world.mint.reset();
        CrashDatabase crash{*world.database};
        world.start(crash);
        crash.crash_at(n);
        world.clock.advance(Seconds{1});
        const auto first = world.post(plan.path, body);
        const bool crashed = crash.crashed();
        world.reopen();
        audit(*world.database);
        world.clock.advance(Seconds{1});
        const auto again = world.post(plan.path, body);
        CAPTURE(again.body);
        // What is not final is not kept: a quote, and a melt whose end is not known.
        const bool final = plan.is_final && first.body.find("UNPAID") == std::string::npos &&
                           first.body.find("PENDING") == std::string::npos;
        if (first.status == 200 && final) CHECK(again.body == first.body);
        plan.check(world, again);
        if (!crashed) return n - 1;
    }
}

}  // namespace

TEST_CASE("mint 88-89, crash: a swap is done or not done, and done by the same bytes") {
    std::vector<Proof> inputs;
    Blinded outputs;
    const auto places =
        crash_everywhere({.prepare =
                              [&](MintWorld& world) {
                                  inputs = world.buy({8, 2});
                                  outputs = world.blind({4, 4, 2});
                                  return wire::write_swap_request({inputs, outputs.outputs});
                              },
                          .path = "/v1/swap",
                          .check =
                              [&](MintWorld& world, const cashu::MintAnswer& answer) {
                                  REQUIRE(answer.status == 200);
                                  const auto proofs = world.unblind(
                                      outputs, wire::parse_signatures(answer.body).value());
                                  CHECK(audit(*world.database) == 10'000_msat);
                                  world.swapped(proofs, {8, 2});
                                  CHECK(world.state(inputs[0]) == wire::ProofState::Spent);
                              }});
    CHECK(places > 8);
}

TEST_CASE("mint 88-89, crash: a quote is issued or not issued, and by the same bytes") {
    Blinded outputs;
    const auto places = crash_everywhere(
        {.prepare =
             [&](MintWorld& world) {
                 const auto quote = world.quote(10);
                 world.pay(quote);
                 outputs = world.blind({8, 2});
                 return world.issue_body(quote, outputs);
             },
         .path = "/v1/mint/bolt11",
         .check =
             [&](MintWorld& world, const cashu::MintAnswer& answer) {
                 REQUIRE(answer.status == 200);
                 world.unblind(outputs, wire::parse_signatures(answer.body).value());
                 CHECK(audit(*world.database) == 10'000_msat);
             }});
    CHECK(places > 8);
}

TEST_CASE("mint crash: a quote without its invoice is never told, and gone after the restart") {
    const auto places = crash_everywhere(
        {.prepare = [](MintWorld&) { return std::string{R"({"amount":4,"unit":"sat"})"}; },
         .path = "/v1/mint/quote/bolt11",
         .check =
             [](MintWorld& world, const cashu::MintAnswer& answer) {
                 REQUIRE(answer.status == 200);
                 const auto orphans = world.database->read(
                     [](store::Reader& reader) -> Result<std::int64_t, store::StoreFailure> {
                         return reader
                             .query_one(
                                 "SELECT COUNT(*) FROM mint_quotes WHERE payment_hash IS NULL")
                             ->integer(0);
                     });
                 CHECK(*orphans == 0);
             }});
    CHECK(places >= 6);
}

namespace {

// An offer's quote, and what is to be issued of it: 8 and 2 are paid for before, in two payments.
struct Offered {
    wire::OfferQuote quote;
    Blinded outputs;

    std::string prepare(MintWorld& world) {
        auto& node = world.lightning.with_offers();
        const auto key = crypto::Scalar::random(world.random);
        quote = wire::parse_offer_quote(
                    world
                        .post("/v1/mint/quote/bolt12",
                              wire::write_offer_quote_request(
                                  {std::nullopt, "sat", {}, crypto::generator_times(key)}))
                        .body)
                    .value();
        const OfferId offer{parse_offer(quote.request)->id};
        (void)node.pay(offer, 8'000_msat);
        (void)node.pay(offer, 2'000_msat);
        outputs = world.blind({8, 2});
        return wire::write_mint_request({quote.quote, outputs.outputs,
                                         cashu::sign_quote(cashu::QuoteMessage::V1, quote.quote,
                                                           outputs.outputs, key, world.random)});
    }
};

}  // namespace

TEST_CASE("mint crash: what came in to an offer is credited once, and issued by the same bytes") {
    Offered offered;
    const auto places = crash_everywhere(
        {.prepare = [&](MintWorld& world) { return offered.prepare(world); },
         .path = "/v1/mint/bolt12",
         .check =
             [&](MintWorld& world, const cashu::MintAnswer& answer) {
                 REQUIRE(answer.status == 200);
                 world.unblind(offered.outputs, wire::parse_signatures(answer.body).value());
                 world.mint->poll();
                 CHECK(audit(*world.database) == 10'000_msat);
             }});
    CHECK(places > 16);
}

TEST_CASE("mint crash: a poll that dies has credited all that it stored the mark of") {
    std::int64_t n = 1;
    for (;; ++n) {
        CAPTURE(n);
        MintWorld world;
        Offered offered;
        const auto body = offered.prepare(world);
        world.mint.reset();
        CrashDatabase crash{*world.database};
        world.start(crash);
        world.clock.advance(Seconds{1});
        crash.crash_at(n);
        world.mint->poll();
        const bool crashed = crash.crashed();
        world.reopen();
        audit(*world.database);
        world.clock.advance(Seconds{1});
        REQUIRE(world.post("/v1/mint/bolt12", body).status == 200);
        CHECK(audit(*world.database) == 10'000_msat);
        if (!crashed) break;
    }
    CHECK(n > 10);
}

TEST_CASE("mint crash: a quote without its offer is never told, and gone after the restart") {
    const auto places = crash_everywhere(
        {.prepare =
             [](MintWorld& world) {
                 (void)world.lightning.with_offers();
                 const auto key = crypto::Scalar::random(world.random);
                 return wire::write_offer_quote_request(
                     {4, "sat", {}, crypto::generator_times(key)});
             },
         .path = "/v1/mint/quote/bolt12",
         .check =
             [](MintWorld& world, const cashu::MintAnswer& answer) {
                 REQUIRE(answer.status == 200);
                 const auto orphans = world.database->read(
                     [](store::Reader& reader) -> Result<std::int64_t, store::StoreFailure> {
                         return reader
                             .query_one(
                                 "SELECT COUNT(*) FROM mint_offer_quotes WHERE offer IS NULL")
                             ->integer(0);
                     });
                 CHECK(*orphans == 0);
             },
         .is_final = false});
    CHECK(places >= 6);
}

TEST_CASE("mint 91-92, crash: a melt pays once or not at all, and gives its change or all back") {
    for (const Outcome outcome : {Outcome::Paid, Outcome::Unknown, Outcome::Refused}) {
        std::vector<Proof> inputs;
        Blinded change;
        std::string invoice;
        wire::MeltQuote melt;
        const auto places = crash_everywhere(
            {.prepare =
                 [&](MintWorld& world) {
                     world.lightning.set_fee(1'000_msat);
                     inputs = world.buy({16});
                     invoice = world.lightning.outside_invoice(10'000_msat);
                     melt = world.melt_quote(invoice);
                     change = world.blind({0, 0, 0});
                     world.lightning.next_pay(outcome);
                     return world.melt_body(melt, inputs, change);
                 },
             .path = "/v1/melt/bolt11",
             .check =
                 [&](MintWorld& world, const cashu::MintAnswer& answer) {
                     const auto hash = hash_of(invoice);
                     const auto told = wire::parse_melt_quote(answer.body);
                     const bool pending = told && told->state == wire::MeltState::Pending;
                     if (pending || code(answer) == 20005) {
                         CHECK(world.state(inputs[0]) == wire::ProofState::Pending);
                         const auto known = world.lightning.outgoing(hash);
                         REQUIRE(known);
                         if (known->state == PaymentState::Pending) {
                             world.lightning.conclude(hash, PaymentState::Settled);
                         }
                         world.mint->poll();
                     }
                     auto now = world.melt_quote_again(melt.quote);
                     if (now.state == wire::MeltState::Unpaid) {
                         CHECK(world.state(inputs[0]) == wire::ProofState::Unspent);
                         CHECK(world.lightning.times_paid(hash) == 0);
                         CHECK(code(world.melt(melt, inputs, change)) == 0);
                         now = world.melt_quote_again(melt.quote);
                     }
                     REQUIRE(now.state == wire::MeltState::Paid);
                     CHECK(world.lightning.times_paid(hash) == 1);
                     Amount returned = 0;
                     for (const auto& proof : world.unblind(change, now.change)) {
                         returned += proof.amount;
                     }
                     CHECK(returned == 5);
                     CHECK(audit(*world.database) == 5'000_msat);
                 }});
        CHECK(places > 12);
    }
}

TEST_CASE("mint 93, crash: an internal settlement is done on both sides or on none") {
    wire::MintQuote bought;
    wire::MeltQuote melt;
    std::vector<Proof> inputs;
    Blinded change;
    const auto places = crash_everywhere(
        {.prepare =
             [&](MintWorld& world) {
                 inputs = world.buy({16});
                 bought = world.quote(10);
                 melt = world.melt_quote(bought.request);
                 change = world.blind({0, 0, 0});
                 return world.melt_body(melt, inputs, change);
             },
         .path = "/v1/melt/bolt11",
         .check =
             [&](MintWorld& world, const cashu::MintAnswer& answer) {
                 REQUIRE(answer.status == 200);
                 CHECK(wire::parse_melt_quote(answer.body)->state == wire::MeltState::Paid);
                 CHECK(world.quote_again(bought.quote).mintable() == 10);
                 CHECK(audit(*world.database) == 6'000_msat);
                 CHECK(world.lightning.times_paid(hash_of(bought.request)) == 0);
             }});
    CHECK(places > 8);
}

TEST_CASE("mint 90, crash: a start that dies is started again") {
    std::int64_t n = 1;
    for (;; ++n) {
        CAPTURE(n);
        MintWorld world;
        const auto proofs = world.buy({4});
        const std::string invoice = world.lightning.outside_invoice(2'000_msat);
        const auto melt = world.melt_quote(invoice);
        world.lightning.next_pay(Outcome::Unknown);
        world.melt(melt, proofs, world.blind({0}));
        world.lightning.conclude(hash_of(invoice), PaymentState::Settled);
        world.options.input_fee_ppk = 100;  // So that it makes a keyset, too.
        world.mint.reset();
        CrashDatabase crash{*world.database};
        crash.crash_at(n);
        static_cast<void>(world.try_start(crash));
        const bool crashed = crash.crashed();
        world.reopen();
        CHECK(world.keysets().size() == 2);
        CHECK(world.active().input_fee_ppk == 100);
        CHECK(world.melt_quote_again(melt.quote).state == wire::MeltState::Paid);
        if (!crashed) break;
    }
    CHECK(n > 10);
}
