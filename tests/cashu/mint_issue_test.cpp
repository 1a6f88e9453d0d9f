// Mint quotes, issuing, and kept answers. The numbers are the conformance cases of the reference.
#include <doctest/doctest.h>

#include <algorithm>
#include <thread>

#include "cashu/mint_world.h"

using namespace nutgate;
using namespace nutgate::test;

namespace {

const std::string kIssue = "/v1/mint/bolt11";

int issue(MintWorld& world, const wire::MintQuote& quote, const Blinded& blinded) {
    return code(world.post(kIssue, world.issue_body(quote, blinded)));
}

std::string quote_body(Amount amount, const std::string& unit = "sat") {
    return Json{{"amount", amount}, {"unit", unit}}.dump();
}

}  // namespace

TEST_CASE("mint quotes: an answer has both generations of fields, and an invoice of that amount") {
    MintWorld world;
    const auto answer =
        world.post("/v1/mint/quote/bolt11", R"({"amount":21,"unit":"sat","description":"tea"})");
    REQUIRE(answer.status == 200);
    const Json json = Json::parse(answer.body);
    CHECK(json["state"] == "UNPAID");
    CHECK(json["method"] == "bolt11");
    CHECK(json["amount"] == 21);
    CHECK(json["amount_paid"] == 0);
    CHECK(json["amount_issued"] == 0);
    CHECK(json["updated_at"].is_number_unsigned());
    CHECK_FALSE(json.contains("pubkey"));
    const std::string id = json["quote"];
    CHECK(id.size() == 36);
    CHECK(id[14] == '7');
    const auto invoice = parse_bolt11(json["request"].get<std::string>());
    REQUIRE(invoice);
    CHECK(invoice->amount == 21'000_msat);
    CHECK(invoice->description == "tea");
    CHECK(json["expiry"] == to_unix_seconds(invoice->expires_at()));
    CHECK(world.get("/v1/mint/quote/bolt11/" + id).body == answer.body);
}

TEST_CASE("mint 34: an unpaid quote is not issued") {
    MintWorld world;
    const auto quote = world.quote(4);
    const auto blinded = world.blind({4});
    CHECK(issue(world, quote, blinded) == 20001);
    world.pay(quote);
    world.clock.advance(Milliseconds{200});
    CHECK(issue(world, quote, blinded) == 0);
}

TEST_CASE("mint 35: a quote is issued once") {
    MintWorld world;
    const auto quote = world.quote(4);
    world.pay(quote);
    CHECK(issue(world, quote, world.blind({4})) == 0);
    CHECK(issue(world, quote, world.blind({4})) == 20002);
    CHECK(world.quote_again(quote.quote).state() == wire::MintQuote::State::Issued);
    CHECK(audit(*world.database) == 4'000_msat);
}

TEST_CASE("mint 36: more than was paid is refused, and the quote is as good as before") {
    MintWorld world;
    const auto quote = world.quote(4);
    world.pay(quote);
    const auto more = world.blind({4, 1});
    CHECK(issue(world, quote, more) == 11005);
    CHECK(world.quote_again(quote.quote).mintable() == 4);
    // Less is allowed (#377): the rest stays mintable.
    CHECK(issue(world, quote, world.blind({1})) == 0);
    const auto partly = world.quote_again(quote.quote);
    CHECK(partly.mintable() == 3);
    CHECK(partly.state() == wire::MintQuote::State::Paid);
    CHECK(issue(world, quote, world.blind({4})) == 11005);
    CHECK(issue(world, quote, world.blind({2, 1})) == 0);
    CHECK(issue(world, quote, world.blind({1})) == 20002);
}

TEST_CASE("mint 37: of many who issue one quote at once, exactly one is served") {
    MintWorld world;
    const auto quote = world.quote(4);
    world.pay(quote);
    constexpr std::size_t kThreads = 8;
    std::vector<std::string> bodies;
    for (std::size_t i = 0; i < kThreads; ++i) {
        bodies.push_back(world.issue_body(quote, world.blind({4})));
    }
    std::vector<int> codes(kThreads);
    {
        std::vector<std::jthread> threads;
        for (std::size_t i = 0; i < kThreads; ++i) {
            threads.emplace_back([&, i] { codes[i] = code(world.post(kIssue, bodies[i])); });
        }
    }
    CHECK(std::ranges::count(codes, 0) == 1);
    // Who asked before the winner was told that it is paid may hear so.
    CHECK(std::ranges::count(codes, 20002) + std::ranges::count(codes, 20001) == kThreads - 1);
    CHECK(audit(*world.database) == 4'000_msat);
}

TEST_CASE("mint 38: a quote that nobody made") {
    MintWorld world;
    CHECK(code(world.get("/v1/mint/quote/bolt11/none")) == 20000);
    CHECK(code(world.get("/v1/mint/quote/bolt11/")) == 20000);
    CHECK(code(world.get("/v1/melt/quote/bolt11/none")) == 20000);
    wire::MintQuote none;
    none.quote = "none";
    CHECK(issue(world, none, world.blind({4})) == 20000);
}

TEST_CASE("mint 39: a locked quote is for who has its key, in either form of the signature") {
    MintWorld world;
    const auto key = crypto::Scalar::random(world.random);
    const auto locked = [&] {
        auto quote = world.quote(4, Unit::Sat, crypto::generator_times(key));
        world.pay(quote);
        return quote;
    };
    const auto with = [&](const wire::MintQuote& quote, const Blinded& blinded,
                          std::optional<std::string> signature) {
        return code(world.post(kIssue, wire::write_mint_request(
                                           {quote.quote, blinded.outputs, std::move(signature)})));
    };
    const auto quote = locked();
    CHECK(quote.pubkey == crypto::generator_times(key));
    const auto blinded = world.blind({4});
    const auto sign = [&](cashu::QuoteMessage form, const wire::MintQuote& of,
                          const crypto::Scalar& with_key) {
        return cashu::sign_quote(form, of.quote, blinded.outputs, with_key, world.random);
    };
    CHECK(with(quote, blinded, std::nullopt) == 20008);
    CHECK(with(quote, blinded, "00") == 20008);
    CHECK(with(quote, blinded,
               sign(cashu::QuoteMessage::V1, quote, crypto::Scalar::random(world.random))) ==
          20008);
    // A signature of other outputs than these: whoever saw it can't take the money.
    CHECK(with(quote, world.blind({4}), sign(cashu::QuoteMessage::V1, quote, key)) == 20008);
    CHECK(with(quote, blinded, sign(cashu::QuoteMessage::V1, quote, key)) == 0);

    const auto other = locked();
    auto fresh = world.blind({4});
    CHECK(with(other, fresh,
               cashu::sign_quote(cashu::QuoteMessage::Legacy, other.quote, fresh.outputs, key,
                                 world.random)) == 0);
    CHECK(code(world.post("/v1/mint/quote/bolt11",
                          R"({"amount":1,"unit":"sat","pubkey":"02ff"})")) == 10000);
}

TEST_CASE("mint 40: outputs of several units, or of another than the quote's") {
    MintWorld world{{.units = {Unit::Sat, Unit::Msat}}};
    const auto quote = world.quote(4);
    world.pay(quote);
    auto mixed = world.blind({2});
    mixed.outputs.push_back(world.blind({2}, Unit::Msat).outputs[0]);
    CHECK(issue(world, quote, mixed) == 11009);
    CHECK(issue(world, quote, world.blind({4}, Unit::Msat)) == 11010);
    CHECK(issue(world, quote, world.blind({4})) == 0);
}

TEST_CASE("mint 41: amounts outside the limits, units that are not there") {
    MintWorld world{{.mint_amount_max = 100}};
    const auto ask = [&](const std::string& body) {
        return code(world.post("/v1/mint/quote/bolt11", body));
    };
    CHECK(ask(quote_body(0)) == 11006);
    CHECK(ask(quote_body(101)) == 11006);
    CHECK(ask(quote_body(100)) == 0);
    CHECK(ask(quote_body(1, "usd")) == 11013);
    CHECK(ask(quote_body(1, "msat")) == 11013);
    CHECK(ask(R"({"unit":"sat"})") == 10000);
    CHECK(
        ask(Json{{"amount", 1}, {"unit", "sat"}, {"description", std::string(640, 'a')}}.dump()) ==
        10000);
    CHECK(world.lightning.invoices_made() == 1);
}

TEST_CASE("mint 42: what was paid is mintable after its quote has expired (#427)") {
    MintWorld world;
    const auto quote = world.quote(4);
    world.pay(quote);
    world.clock.advance(Seconds{7200});
    CHECK(world.quote_again(quote.quote).state() == wire::MintQuote::State::Paid);
    world.clock.advance(Seconds{365 * 24 * 3600});
    world.mint->poll();
    CHECK(issue(world, quote, world.blind({4})) == 0);
}

TEST_CASE("mint 43: updated_at strictly increases, and no more is issued than paid") {
    MintWorld world;
    const auto quote = world.quote(4);
    const auto unpaid = world.quote_again(quote.quote);
    world.pay(quote);
    const auto paid = world.quote_again(quote.quote);
    REQUIRE(issue(world, quote, world.blind({1})) == 0);
    const auto partly = world.quote_again(quote.quote);
    REQUIRE(issue(world, quote, world.blind({2, 1})) == 0);
    const auto issued = world.quote_again(quote.quote);
    CHECK(unpaid.updated_at < paid.updated_at);
    CHECK(paid.updated_at < partly.updated_at);
    CHECK(partly.updated_at < issued.updated_at);
    CHECK(issued.amount_issued == issued.amount_paid);
}

TEST_CASE("mint 44: a payment is credited once, whoever tells of it and how often") {
    MintWorld world;
    const auto quote = world.quote(4);
    world.pay(quote);
    const auto hash = hash_of(quote.request);
    {
        std::vector<std::jthread> threads;
        for (int i = 0; i < 8; ++i) threads.emplace_back([&] { world.mint->poll(hash); });
    }
    world.mint->poll();
    world.mint->poll(hash);
    CHECK(world.quote_again(quote.quote).amount_paid == 4);
    world.reopen();
    world.mint->poll(hash);
    CHECK(world.quote_again(quote.quote).amount_paid == 4);
    CHECK(audit(*world.database) == 0_msat);
}

TEST_CASE(
    "mint: what was paid too much is mintable too; what is less than a unit is kept in flight") {
    MintWorld world;
    const auto quote = world.quote(4);
    world.pay(quote, 5'700_msat);
    CHECK(world.quote_again(quote.quote).amount_paid == 5);
    CHECK(issue(world, quote, world.blind({4, 1})) == 0);
    const auto rest =
        world.database->read([](store::Reader& reader) -> Result<Msat, store::StoreFailure> {
            return cashu::Mint::in_flight(reader);
        });
    CHECK(*rest == 700_msat);
}

TEST_CASE("mint 46: the mint's time to live is the invoice's") {
    MintWorld world{{.quote_expiry = Seconds{60}}};
    const auto quote = world.quote(4);
    CHECK(quote.expiry == to_unix_seconds(world.clock.now()) + 60);
    CHECK(parse_bolt11(quote.request)->expiry == Seconds{60});
}

TEST_CASE("mint 47: a mint that issues nothing any more") {
    MintWorld world;
    const auto proofs = world.buy({4});
    const auto quote = world.quote(4);
    world.pay(quote);
    world.options.mint_disabled = true;
    world.options.melt_disabled = true;
    world.reopen();
    CHECK(code(world.post("/v1/mint/quote/bolt11", quote_body(1))) == 20003);
    CHECK(issue(world, quote, world.blind({4})) == 20003);
    CHECK(code(world.post("/v1/melt/quote/bolt11", R"({"request":"x","unit":"sat"})")) == 20003);
    CHECK(wire::parse_info(world.get("/v1/info").body)->mint_disabled);
    world.swapped(proofs, {4});
    world.options.mint_disabled = false;
    world.reopen();
    CHECK(issue(world, quote, world.blind({4})) == 0);
}

TEST_CASE("mint: open quotes are bounded, and paid or expired ones are not open") {
    MintWorld world{{.quotes_open_max = 2}};
    const auto first = world.quote(1);
    world.quote(1);
    CHECK(world.post("/v1/mint/quote/bolt11", quote_body(1)).status == 503);
    world.pay(first);
    world.mint->poll(hash_of(first.request));
    world.quote(1);
    CHECK(world.post("/v1/mint/quote/bolt11", quote_body(1)).status == 503);
    world.clock.advance(Seconds{3601});
    world.quote(1);
}

TEST_CASE("mint: a Lightning node that is away costs nobody anything") {
    MintWorld world;
    const auto quote = world.quote(4);
    world.pay(quote);
    world.lightning.set_down(true);
    CHECK(world.quote_again(quote.quote).amount_paid == 0);
    CHECK(world.post("/v1/mint/quote/bolt11", quote_body(1)).status == 503);
    world.clock.advance(Milliseconds{200});
    CHECK(issue(world, quote, world.blind({4})) == 20001);
    world.mint->poll();
    world.lightning.set_down(false);
    world.mint->poll();
    CHECK(world.quote_again(quote.quote).amount_paid == 4);
    // The quote whose invoice was never made is not left behind.
    const auto rows = world.database->read(
        [](store::Reader& reader) -> Result<std::int64_t, store::StoreFailure> {
            return reader.query_one("SELECT COUNT(*) FROM mint_quotes")->integer(0);
        });
    CHECK(*rows == 1);
}

TEST_CASE("mint: a quote that is polled in a loop asks the node five times a second at most") {
    MintWorld world;
    const auto quote = world.quote(4);
    const auto ask = [&] { return world.get("/v1/mint/quote/bolt11/" + quote.quote); };
    CHECK(wire::parse_mint_quote(ask().body)->amount_paid == 0);
    world.pay(quote);
    CHECK(wire::parse_mint_quote(ask().body)->amount_paid == 0);  // Asked a moment ago.
    world.clock.advance(Milliseconds{199});
    CHECK(wire::parse_mint_quote(ask().body)->amount_paid == 0);
    world.clock.advance(Milliseconds{1});
    CHECK(wire::parse_mint_quote(ask().body)->amount_paid == 4);
}

TEST_CASE("mint: polling goes round all open quotes, however many there are") {
    MintWorld world;
    std::vector<wire::MintQuote> quotes;
    for (int i = 0; i < 450; ++i) quotes.push_back(world.quote(1));
    for (const auto& quote : quotes) world.pay(quote);
    for (int i = 0; i < 3; ++i) world.mint->poll();
    const auto paid = world.database->read(
        [](store::Reader& reader) -> Result<std::int64_t, store::StoreFailure> {
            return reader.query_one("SELECT COUNT(*) FROM mint_quotes WHERE paid = 1")->integer(0);
        });
    CHECK(*paid == 450);
}

TEST_CASE("mint: quotes that nobody paid are forgotten after a month, paid ones never") {
    MintWorld world;
    const auto unpaid = world.quote(1);
    const auto paid = world.quote(1);
    world.pay(paid);
    world.mint->poll();
    world.clock.advance(Seconds{32 * 24 * 3600});
    world.mint->poll();
    CHECK(code(world.get("/v1/mint/quote/bolt11/" + unpaid.quote)) == 20000);
    CHECK(issue(world, paid, world.blind({1})) == 0);
}

TEST_CASE(
    "mint 96: the same bytes have the same answer, after a restart too; other bytes have not") {
    MintWorld world;
    const auto quote = world.quote(4);
    world.pay(quote);
    const auto blinded = world.blind({4});
    const std::string body = world.issue_body(quote, blinded);
    const auto first = world.post(kIssue, body);
    REQUIRE(first.status == 200);
    CHECK(world.post(kIssue, body).body == first.body);
    CHECK(code(world.post(kIssue, body + " ")) == 20002);
    const auto proofs = world.unblind(blinded, wire::parse_signatures(first.body).value());

    const std::string swap = wire::write_swap_request({proofs, world.blind({2, 2}).outputs});
    const auto swapped = world.post("/v1/swap", swap);
    REQUIRE(swapped.status == 200);
    world.reopen();
    world.clock.advance(Seconds{365 * 24 * 3600});
    CHECK(world.post("/v1/swap", swap).body == swapped.body);
    CHECK(world.post(kIssue, body).body == first.body);
    CHECK(code(world.post("/v1/swap", swap + "\n")) == 11001);
    CHECK(audit(*world.database) == 4'000_msat);
}

TEST_CASE("mint 96: the same bytes at the same time have the same answer") {
    MintWorld world;
    const std::string body = wire::write_swap_request({world.buy({4}), world.blind({4}).outputs});
    constexpr std::size_t kThreads = 8;
    std::vector<cashu::MintAnswer> answers(kThreads);
    {
        std::vector<std::jthread> threads;
        for (std::size_t i = 0; i < kThreads; ++i) {
            threads.emplace_back([&, i] { answers[i] = world.post("/v1/swap", body); });
        }
    }
    for (const auto& answer : answers) {
        CHECK(answer.status == 200);
        CHECK(answer.body == answers[0].body);
    }
}

TEST_CASE("mint 97: a refusal is not kept") {
    MintWorld world;
    const auto quote = world.quote(4);
    const std::string body = world.issue_body(quote, world.blind({4}));
    CHECK(code(world.post(kIssue, body)) == 20001);
    world.pay(quote);
    world.clock.advance(Milliseconds{200});
    CHECK(code(world.post(kIssue, body)) == 0);
}

TEST_CASE("mint: old quotes are forgotten a few at a time, and those that were paid never") {
    MintWorld world;
    const auto melted = world.melt_quote(world.lightning.outside_invoice(4'000_msat));
    REQUIRE(code(world.melt(melted, world.buy({4}))) == 0);
    const auto old = world.melt_quote(world.lightning.outside_invoice(4'000_msat));
    const auto quote = world.quote(4);
    constexpr int kMore = 300;
    REQUIRE(world.database->transact([&](store::Tx& tx) -> Result<void, store::StoreFailure> {
        for (int i = 0; i < kMore; ++i) {
            const std::string id = "old " + std::to_string(i);
            tx.execute(
                "INSERT INTO mint_melts (id, payment_hash, request, unit, amount, amount_msat, "
                "fee_reserve, state, expires_at, created_at) SELECT $1, payment_hash, request, "
                "unit, amount, amount_msat, fee_reserve, state, expires_at, created_at "
                "FROM mint_melts WHERE id = $2",
                id, old.quote);
            tx.execute(
                "INSERT INTO mint_quotes (id, unit, amount, expires_at, created_at, updated_at) "
                "SELECT $1, unit, amount, expires_at, created_at, updated_at FROM mint_quotes "
                "WHERE id = $2",
                id, quote.quote);
        }
        return {};
    }));
    const auto left = [&](const std::string& table) {
        return world.database
            ->read([&](store::Reader& reader) -> Result<std::int64_t, store::StoreFailure> {
                return reader.query_one("SELECT COUNT(*) FROM " + table)->integer(0);
            })
            .value();
    };
    world.clock.advance(Seconds{31 * 24 * 3600});
    world.mint->poll();
    CHECK(left("mint_melts") == 1 + 1 + kMore - 256);
    // What was bought for the melt was paid for.
    CHECK(left("mint_quotes") == 1 + 1 + kMore - 256);
    world.mint->poll();
    CHECK(left("mint_melts") == 1);
    CHECK(left("mint_quotes") == 1);
}

TEST_CASE("mint: who deletes a quote finds what was paid for it without reading all payments") {
    MintWorld world;
    for (const std::string table : {"mint_payments", "mint_offer_payments"}) {
        const auto plan = world.database->read(
            [&](store::Reader& reader) -> Result<std::string, store::StoreFailure> {
                return reader
                    .query_one("EXPLAIN QUERY PLAN SELECT 1 FROM " + table + " WHERE quote = 'a'")
                    ->text(3);
            });
        REQUIRE(plan);
        CAPTURE(*plan);
        CHECK(plan->starts_with("SEARCH"));
    }
}
