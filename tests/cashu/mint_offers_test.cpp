// Quotes that are paid by an offer (NUT-25): many payments, many issues, and never more of these
// than of those. World's end is an audit.
#include <doctest/doctest.h>

#include <algorithm>
#include <thread>

#include "cashu/mint_world.h"
#include "nutgate/cashu/wire_offers.h"

using namespace nutgate;
using namespace nutgate::test;

namespace {

const std::string kOfferQuotes = "/v1/mint/quote/bolt12";
const std::string kOfferIssue = "/v1/mint/bolt12";

struct OfferWorld : MintWorld {
    explicit OfferWorld(Options mint_options = {}) : MintWorld{std::move(mint_options)} {
        (void)lightning.with_offers();
    }

    FakeOffers& node() { return lightning.with_offers(); }
    cashu::MintAnswer ask(std::optional<Amount> amount, Unit unit = Unit::Sat) {
        return post(kOfferQuotes,
                    wire::write_offer_quote_request(
                        {amount, std::string{to_text(unit)}, "tea", crypto::generator_times(key)}));
    }
    wire::OfferQuote offer(std::optional<Amount> amount = {}, Unit unit = Unit::Sat) {
        const auto answer = ask(amount, unit);
        CAPTURE(answer.body);
        REQUIRE(answer.status == 200);
        return wire::parse_offer_quote(answer.body).value();
    }
    wire::OfferQuote offer_again(const wire::OfferQuote& of) {
        clock.advance(Milliseconds{200});
        return wire::parse_offer_quote(get(kOfferQuotes + "/" + of.quote).body).value();
    }
    PaymentHash pay_offer(const wire::OfferQuote& of, Msat amount) {
        return node().pay(OfferId{parse_offer(of.request)->id}, amount);
    }
    std::string offer_body(const wire::OfferQuote& of, const Blinded& blinded) {
        return wire::write_mint_request(
            {of.quote, blinded.outputs,
             cashu::sign_quote(cashu::QuoteMessage::V1, of.quote, blinded.outputs, key, random)});
    }
    int issue(const wire::OfferQuote& of, const Blinded& blinded) {
        clock.advance(Milliseconds{200});
        return code(post(kOfferIssue, offer_body(of, blinded)));
    }

    crypto::Scalar key = crypto::Scalar::random(random);
};

}  // namespace

TEST_CASE("mint offers: a quote has the offer that was asked for, and no end") {
    OfferWorld world;
    const auto answer = world.ask(21);
    REQUIRE(answer.status == 200);
    const Json json = Json::parse(answer.body);
    CHECK(json["method"] == "bolt12");
    CHECK(json["amount"] == 21);
    CHECK(json["unit"] == "sat");
    CHECK(json["expiry"].is_null());
    CHECK(json["amount_paid"] == 0);
    CHECK(json["amount_issued"] == 0);
    CHECK(json["pubkey"] == crypto::generator_times(world.key).hex());
    CHECK_FALSE(json.contains("state"));
    const auto offer = parse_offer(json["request"].get<std::string>());
    REQUIRE(offer);
    CHECK(offer->amount == 21'000);
    CHECK(offer->description == "tea");
    CHECK(world.get(kOfferQuotes + "/" + json["quote"].get<std::string>()).body == answer.body);

    const auto open = world.offer();
    CHECK_FALSE(open.amount);
    CHECK_FALSE(parse_offer(open.request)->amount);
    CHECK(open.request != json["request"].get<std::string>());
}

TEST_CASE("mint offers: paid twice by one, and once by another, and issued as it comes") {
    OfferWorld world;
    const auto one = world.offer();
    const auto other = world.offer(4);
    CHECK(world.issue(one, world.blind({1})) == 20001);
    world.pay_offer(one, 5'000_msat);
    world.node().pay_others();
    CHECK(world.issue(one, world.blind({4})) == 0);  // Asks by itself.
    world.pay_offer(one, 5'000_msat);
    world.pay_offer(other, 4'000_msat);
    const auto paid = world.offer_again(one);
    CHECK(paid.amount_paid == 10);
    CHECK(paid.amount_issued == 4);
    CHECK(world.issue(one, world.blind({4, 2})) == 0);
    CHECK(world.issue(one, world.blind({1})) == 20002);
    world.pay_offer(one, 1'000_msat);
    CHECK(world.issue(one, world.blind({1})) == 0);
    CHECK(world.issue(other, world.blind({4})) == 0);
    CHECK(world.offer_again(other).amount_issued == 4);
    CHECK(audit(*world.database) == 15'000_msat);
}

TEST_CASE("mint offers: what is issued is proofs that can be spent") {
    OfferWorld world;
    const auto quote = world.offer();
    world.pay_offer(quote, 3'000_msat);
    const auto blinded = world.blind({2, 1});
    const auto answer = world.post(kOfferIssue, world.offer_body(quote, blinded));
    REQUIRE(answer.status == 200);
    const auto proofs = world.unblind(blinded, wire::parse_signatures(answer.body).value());
    world.swapped(proofs, {2, 1});
    CHECK(audit(*world.database) == 3'000_msat);
}

TEST_CASE("mint offers: more than is left is refused, and the quote is as good as before") {
    OfferWorld world;
    const auto quote = world.offer();
    world.pay_offer(quote, 4'000_msat);
    CHECK(world.issue(quote, world.blind({4, 1})) == 11005);
    CHECK(world.issue(quote, world.blind({2})) == 0);
    CHECK(world.issue(quote, world.blind({2, 1})) == 11005);
    CHECK(world.issue(quote, world.blind({2})) == 0);
    CHECK(audit(*world.database) == 4'000_msat);
}

TEST_CASE("mint offers: parts of a unit add up over payments") {
    OfferWorld world;
    const auto quote = world.offer();
    world.pay_offer(quote, 1'600_msat);
    CHECK(world.offer_again(quote).amount_paid == 1);
    world.pay_offer(quote, 400_msat);
    const auto paid = world.offer_again(quote);
    CHECK(paid.amount_paid == 2);
    world.pay_offer(quote, 1_msat);
    const auto beyond = world.offer_again(quote);
    CHECK(beyond.amount_paid == 2);
    CHECK(*beyond.updated_at > *paid.updated_at);
    CHECK(world.issue(quote, world.blind({2})) == 0);
}

TEST_CASE("mint offers: of many who issue at once, no more are served than was paid for") {
    OfferWorld world;
    const auto quote = world.offer();
    world.pay_offer(quote, 12'000_msat);
    CHECK(world.offer_again(quote).amount_paid == 12);
    constexpr std::size_t kThreads = 8;
    std::vector<std::string> bodies;
    for (std::size_t i = 0; i < kThreads; ++i) {
        bodies.push_back(world.offer_body(quote, world.blind({4})));
    }
    std::vector<int> codes(kThreads);
    {
        std::vector<std::jthread> threads;
        for (std::size_t i = 0; i < kThreads; ++i) {
            threads.emplace_back([&, i] { codes[i] = code(world.post(kOfferIssue, bodies[i])); });
        }
    }
    CHECK(std::ranges::count(codes, 0) == 3);
    CHECK(std::ranges::count(codes, 20002) == kThreads - 3);
    CHECK(audit(*world.database) == 12'000_msat);
}

TEST_CASE("mint offers: the same bytes have the same answer, after a restart and for two at once") {
    OfferWorld world;
    const auto quote = world.offer();
    world.pay_offer(quote, 8'000_msat);
    const auto body = world.offer_body(quote, world.blind({4}));
    const auto first = world.post(kOfferIssue, body);
    REQUIRE(first.status == 200);
    CHECK(world.post(kOfferIssue, body).body == first.body);
    world.reopen();
    CHECK(world.post(kOfferIssue, body).body == first.body);
    CHECK(world.offer_again(quote).amount_issued == 4);
    // Under the other method's path these bytes are another request, of a quote that is not there.
    CHECK(code(world.post("/v1/mint/bolt11", body)) == 20000);
}

TEST_CASE("mint offers: a payment that is told again after a restart is credited once") {
    OfferWorld world;
    const auto quote = world.offer();
    for (int i = 0; i < 25; ++i) world.pay_offer(quote, 1'000_msat);  // More than fits one answer.
    CHECK(world.offer_again(quote).amount_paid == 25);
    // As a database that was restored, or a node that begins to count anew.
    REQUIRE(world.database->transact([](store::Tx& tx) -> Result<void, store::StoreFailure> {
        tx.execute("UPDATE mint_offer_marks SET mark = ''");
        return {};
    }));
    world.reopen();
    world.clock.advance(Milliseconds{200});
    world.mint->poll();
    CHECK(world.offer_again(quote).amount_paid == 25);
    const int asked = world.node().times_asked();
    world.clock.advance(Milliseconds{200});
    world.mint->poll();
    CHECK(world.node().times_asked() == asked + 1);  // From the end: nothing is listed twice.
    CHECK(world.issue(quote, world.blind({16, 8, 1})) == 0);
    CHECK(audit(*world.database) == 25'000_msat);
}

TEST_CASE("mint offers: what comes in while its offer is being made is not passed by") {
    OfferWorld world;
    const auto known = world.offer();
    const auto early = world.offer();
    const auto as_it_is_made = [&](bool made) {
        REQUIRE(world.database->transact([&](store::Tx& tx) -> Result<void, store::StoreFailure> {
            tx.execute(
                "UPDATE mint_offer_quotes SET offer = $2 WHERE id = $1", early.quote,
                made ? std::optional{OfferId{parse_offer(early.request)->id}} : std::nullopt);
            return {};
        }));
    };
    as_it_is_made(false);
    world.pay_offer(early, 3'000_msat);
    world.pay_offer(known, 4'000_msat);
    CHECK(world.offer_again(known).amount_paid == 4);
    as_it_is_made(true);
    CHECK(world.offer_again(early).amount_paid == 3);
    CHECK(world.offer_again(known).amount_paid == 4);
}

TEST_CASE("mint offers: a hint of a payment that nobody knows asks what came in to offers") {
    OfferWorld world;
    const auto nobodys = PaymentHash{ByteArray<32>{std::byte{1}}};
    world.mint->poll(nobodys);
    CHECK(world.node().times_asked() == 0);  // There is no offer yet.
    const auto quote = world.offer();
    const auto hash = world.pay_offer(quote, 2'000_msat);
    world.clock.advance(Milliseconds{200});
    world.mint->poll(hash);
    CHECK(world.node().times_asked() == 1);
    world.mint->poll(hash);  // In no hurry.
    CHECK(world.node().times_asked() == 1);
    CHECK(world.offer_again(quote).amount_paid == 2);
}

TEST_CASE("mint offers: a quote is for who has its key, in either form of the signature") {
    OfferWorld world;
    const auto quote = world.offer();
    world.pay_offer(quote, 8'000_msat);
    const auto blinded = world.blind({4});
    const auto with = [&](std::optional<std::string> signature) {
        world.clock.advance(Milliseconds{200});
        return code(world.post(kOfferIssue, wire::write_mint_request({quote.quote, blinded.outputs,
                                                                      std::move(signature)})));
    };
    const auto sign = [&](cashu::QuoteMessage form, const crypto::Scalar& by) {
        return cashu::sign_quote(form, quote.quote, blinded.outputs, by, world.random);
    };
    CHECK(with(std::nullopt) == 20008);
    CHECK(with("00") == 20008);
    CHECK(with(sign(cashu::QuoteMessage::V1, crypto::Scalar::random(world.random))) == 20008);
    CHECK(with(sign(cashu::QuoteMessage::Legacy, world.key)) == 0);
    // Whoever saw that signature can't use it for outputs of their own.
    const auto theirs = world.blind({4});
    CHECK(code(world.post(kOfferIssue, wire::write_mint_request(
                                           {quote.quote, theirs.outputs,
                                            sign(cashu::QuoteMessage::V1, world.key)}))) == 20008);
}

TEST_CASE("mint offers: no quote without a key, of another unit, or beyond the limits") {
    OfferWorld world{{.mint_amount_max = 100}};
    const auto ask = [&](const Json& json) { return code(world.post(kOfferQuotes, json.dump())); };
    const std::string key = crypto::generator_times(world.key).hex();
    CHECK(ask({{"amount", 1}, {"unit", "sat"}}) == 20009);
    CHECK(ask({{"amount", 1}, {"unit", "sat"}, {"pubkey", nullptr}}) == 20009);
    CHECK(ask({{"amount", 1}, {"unit", "sat"}, {"pubkey", "02ff"}}) == 20009);
    CHECK(ask({{"amount", 0}, {"unit", "sat"}, {"pubkey", key}}) == 11006);
    CHECK(ask({{"amount", 101}, {"unit", "sat"}, {"pubkey", key}}) == 11006);
    CHECK(ask({{"amount", 1}, {"unit", "usd"}, {"pubkey", key}}) == 11013);
    CHECK(ask({{"amount", "1"}, {"unit", "sat"}, {"pubkey", key}}) == 10000);
    CHECK(ask({{"unit", "sat"}, {"pubkey", key}, {"description", std::string(640, 'a')}}) == 10000);
    CHECK(ask({{"unit", "sat"}, {"pubkey", key}}) == 0);
    CHECK(code(world.get(kOfferQuotes + "/none")) == 20000);
}

TEST_CASE("mint offers: outputs of another unit than the quote's") {
    OfferWorld world{{.units = {Unit::Sat, Unit::Msat}}};
    const auto quote = world.offer(4, Unit::Msat);
    CHECK(parse_offer(quote.request)->amount == 4);
    world.pay_offer(quote, 4_msat);
    CHECK(world.issue(quote, world.blind({4})) == 11010);
    CHECK(world.issue(quote, world.blind({4}, Unit::Msat)) == 0);
    CHECK(audit(*world.database) == 4_msat);
}

TEST_CASE("mint offers: unpaid ones of a day are bounded, and an old one can still be paid") {
    OfferWorld world{{.quotes_open_max = 2}};
    const auto old = world.offer();
    const auto paid = world.offer();
    CHECK(world.ask(1).status == 503);
    world.pay_offer(paid, 1'000_msat);
    CHECK(world.offer_again(paid).amount_paid == 1);
    (void)world.offer();
    CHECK(world.ask(1).status == 503);
    const auto id_of = [](const wire::OfferQuote& quote) {
        return OfferId{parse_offer(quote.request)->id};
    };
    world.clock.advance(Seconds{29 * 24 * 3600});
    world.mint->poll();
    CHECK_FALSE(world.node().is_closed(id_of(old)));
    world.clock.advance(Seconds{2 * 24 * 3600});
    world.node().set_down(true);
    world.mint->poll();
    world.node().set_down(false);
    world.mint->poll();
    CHECK(world.node().is_closed(id_of(old)));
    CHECK_FALSE(world.node().is_closed(id_of(paid)));
    (void)world.offer();
    // By an invoice that its node had given before.
    world.pay_offer(old, 1'000_msat);
    CHECK(world.issue(old, world.blind({1})) == 0);
}

TEST_CASE("mint offers: only a mint whose node can makes them, and it says so") {
    MintWorld plain;
    const auto info = wire::parse_info(plain.get("/v1/info").body).value();
    CHECK(info.mints_by("bolt12", "sat") == nullptr);
    CHECK(plain.post(kOfferQuotes, R"({"unit":"sat"})").status == 404);

    OfferWorld world{{.mint_amount_max = 100}};
    const auto able = wire::parse_info(world.get("/v1/info").body).value();
    const auto* const setting = able.mints_by("bolt12", "sat");
    REQUIRE(setting != nullptr);
    CHECK(setting->max_amount == 100);
    CHECK(setting->option == true);
    CHECK(std::ranges::any_of(able.cached_endpoints,
                              [](const auto& cached) { return cached.path == kOfferIssue; }));
}

TEST_CASE("mint offers: a node that is down makes none, and what came in waits for it") {
    OfferWorld world;
    const auto quote = world.offer();
    world.pay_offer(quote, 4'000_msat);
    world.node().set_down(true);
    CHECK(world.ask(1).status == 503);
    CHECK(world.offer_again(quote).amount_paid == 0);
    CHECK(world.issue(quote, world.blind({4})) == 20001);
    world.node().set_down(false);
    CHECK(world.offer_again(quote).amount_paid == 4);
    CHECK(world.issue(quote, world.blind({4})) == 0);
}

TEST_CASE("mint offers: nothing is made or issued while that is disabled, or the mint is frozen") {
    OfferWorld world;
    const auto quote = world.offer();
    world.pay_offer(quote, 4'000_msat);
    world.options.mint_disabled = true;
    world.reopen();
    CHECK(code(world.ask(1)) == 20003);
    CHECK(world.issue(quote, world.blind({4})) == 20003);
    world.options.mint_disabled = false;
    REQUIRE(cashu::Mint::freeze(*world.database));
    world.reopen();
    CHECK(world.ask(1).status == 503);
    CHECK(world.post(kOfferIssue, world.offer_body(quote, world.blind({4}))).status == 503);
    REQUIRE(world.mint->unfreeze());
    CHECK(world.issue(quote, world.blind({4})) == 0);
}
