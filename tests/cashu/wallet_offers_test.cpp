// Offers of a mint, paid by anybody and again and again: what is paid becomes ecash once, whatever
// the mint says of it and whatever the network does.
#include <doctest/doctest.h>

#include <functional>
#include <thread>

#include "nutgate/cashu/mint_offers.h"
#include "nutgate/cashu/wire_offers.h"
#include "nutgate/lightning/bolt12.h"
#include "support/wallet_world.h"

using namespace nutgate;
using namespace nutgate::cashu;
using namespace nutgate::test;
using namespace nutgate::literals;
using Code = WalletError::Code;

namespace {

const MintUrl kOfferMint = *MintUrl::parse(kFakeMintUrl);
constexpr auto kQuotePath = "/v1/mint/quote/bolt12";

OfferId offer(WalletWorld& world, std::optional<Msat> amount = {}) {
    const auto made = world.wallet->request_offer(kOfferMint, amount, "tips");
    REQUIRE(made);
    return made->id;
}

Msat settle(WalletWorld& world, const OfferId& id) {
    const auto brought = world.wallet->settle_offer(id);
    REQUIRE(brought);
    return *brought;
}

Msat told_sum(WalletWorld& world) {
    Msat sum;
    for (const auto& event : world.told("offer_issued")) sum = add(sum, event.amount).value();
    return sum;
}

// What the wallet counted on its offers is what its operations did, and all of it is told.
void audit(WalletWorld& world) {
    world.audit();
    const auto counted =
        world.database
            ->read([](store::Reader& reader) -> Result<std::pair<Msat, Msat>, store::StoreFailure> {
                const auto row = reader.query_one(
                    "SELECT CAST(COALESCE(SUM(issued), 0) AS BIGINT), "
                    "CAST(COALESCE(SUM(pending), 0) AS BIGINT) FROM wallet_offer");
                return std::pair{row->msat(0), row->msat(1)};
            })
            .value();
    CHECK_EQ(counted.first, told_sum(world));
    CHECK_EQ(counted.second, Msat{});
}

void lie_of_quote(WalletWorld& world, const std::function<void(wire::OfferQuote&)>& change) {
    world.mint.lie(kQuotePath, [change](std::string_view, MintAnswer& answer) {
        auto quote = wire::parse_offer_quote(answer.body);
        if (!quote) return;
        change(*quote);
        answer.body = wire::write_offer_quote(*quote);
    });
}

}  // namespace

TEST_CASE("wallet offers: what is paid becomes ecash, as often as it is") {
    for (const bool legacy : {false, true}) {
        WalletWorld world{{.legacy_signatures = legacy}};
        const auto id = offer(world);
        CHECK_EQ(settle(world, id), Msat{});
        world.mint.offers.pay(id, 21);
        CHECK_EQ(settle(world, id), sats(21));
        CHECK_EQ(settle(world, id), Msat{});
        world.mint.offers.pay(id, 2);
        world.mint.offers.pay(id, 3);
        CHECK_EQ(settle(world, id), sats(5));
        REQUIRE_EQ(world.told("offer_issued").size(), 2);
        CHECK_EQ(world.told("offer_issued")[0].reference, id.hex());
        CHECK_EQ(world.told("offer_issued")[0].amount, sats(21));
        CHECK_EQ(world.told("offer_issued")[1].amount, sats(5));
        CHECK_EQ(world.available(), sats(26));
        audit(world);
    }
}

TEST_CASE("wallet offers: two offers are two accounts, of an amount or of any") {
    WalletWorld world;
    const auto open = offer(world);
    const auto fixed = offer(world, sats(4));
    CHECK_NE(open, fixed);
    world.mint.offers.pay(fixed, 4);
    world.mint.offers.pay(fixed, 4);
    world.mint.offers.pay(open, 1);
    CHECK_EQ(settle(world, fixed), sats(8));
    CHECK_EQ(settle(world, open), sats(1));
    audit(world);
}

TEST_CASE("wallet offers: an operation is shown as an issue of its offer") {
    WalletWorld world;
    const auto id = offer(world);
    world.mint.offers.pay(id, 5);
    CHECK_EQ(settle(world, id), sats(5));
    world.mint.offers.pay(id, 6);
    CHECK_EQ(settle(world, id), sats(6));
    const auto operations =
        world.database
            ->read([](store::Reader& reader)
                       -> Result<std::vector<OperationView>, store::StoreFailure> {
                return Wallet::operations(reader, 10);
            })
            .value();
    REQUIRE_EQ(operations.size(), 2);
    for (const auto& operation : operations) {
        CHECK_EQ(operation.kind, OperationKind::OfferIssue);
        CHECK_EQ(operation.state, OperationState::Done);
        CHECK(operation.reference.starts_with(id.hex() + ":"));
    }
    CHECK_NE(operations[0].reference, operations[1].reference);
}

TEST_CASE("wallet offers: every fault of the network ends in one issue") {
    for (const auto fault :
         {Fault::NotSent, Fault::LoseRequest, Fault::LoseAnswer, Fault::Duplicate, Fault::CutAnswer,
          Fault::ServerError, Fault::TooMany, Fault::BadSignature, Fault::Late, Fault::Later}) {
        for (const bool legacy : {false, true}) {
            for (const int times : {1, 2, 3}) {
                CAPTURE(static_cast<int>(fault));
                CAPTURE(times);
                WalletWorld world{{.legacy_signatures = legacy}};
                const auto id = offer(world);
                world.mint.offers.pay(id, 21);
                world.mint.fault("/v1/mint/bolt12", fault, times);
                world.mint.fault("/v1/restore", Fault::LoseAnswer, times - 1);
                (void)settle(world, id);
                // Another payment comes while that is not done: it is issued beside it.
                world.mint.offers.pay(id, 4);
                (void)settle(world, id);
                world.recover_all();
                (void)settle(world, id);
                CHECK_EQ(told_sum(world), sats(25));
                CHECK_EQ(world.available(), sats(25));
                audit(world);
            }
        }
    }
}

TEST_CASE("wallet offers: an issue outlives a rotation, before its first transmission and after") {
    WalletWorld world;
    const auto id = offer(world);
    world.mint.offers.pay(id, 21);
    world.mint.fault("/v1/mint/bolt12", Fault::LoseRequest, 2);
    CHECK_EQ(settle(world, id), Msat{});
    world.mint.rotate();
    world.recover_all();
    world.mint.offers.pay(id, 5);
    world.mint.rotate();  // The keysets that we know are a minute old at most.
    CHECK_EQ(settle(world, id), sats(5));
    CHECK_EQ(world.available(), sats(26));
    audit(world);
}

TEST_CASE(
    "wallet offers: an answer that was lost at a rotation is found, and not asked for again") {
    WalletWorld world;
    const auto id = offer(world);
    world.mint.offers.pay(id, 21);
    world.mint.offers.pay(id, 21);
    world.mint.fault("/v1/mint/bolt12", Fault::LoseAnswer);
    world.mint.fault("/v1/mint/bolt12", Fault::NotSent);
    CHECK_EQ(settle(world, id), Msat{});
    world.mint.offers.pay(id, 30);  // There would be room for it to be issued a second time.
    world.mint.rotate();
    world.recover_all();
    CHECK_EQ(world.available(), sats(42));
    CHECK_EQ(settle(world, id), sats(30));
    audit(world);
}

TEST_CASE("wallet offers: numbers that lag behind, go back, or are too low issue nothing twice") {
    WalletWorld world;
    const auto id = offer(world);
    world.mint.offers.pay(id, 8);
    CHECK_EQ(settle(world, id), sats(8));
    // It has forgotten what it issued.
    lie_of_quote(world, [](wire::OfferQuote& quote) { quote.amount_issued = 0; });
    CHECK_EQ(settle(world, id), Msat{});
    world.mint.offers.pay(id, 2);
    CHECK_EQ(settle(world, id), sats(2));
    // It has forgotten what was paid.
    lie_of_quote(world,
                 [](wire::OfferQuote& quote) { quote.amount_paid = quote.amount_issued = 3; });
    world.mint.offers.pay(id, 4);
    CHECK_EQ(settle(world, id), Msat{});
    CHECK_EQ(world.mint.calls("/v1/mint/bolt12"), 2);
    lie_of_quote(world, [](wire::OfferQuote&) {});
    CHECK_EQ(settle(world, id), sats(4));
    CHECK_EQ(world.available(), sats(14));
    audit(world);
}

TEST_CASE(
    "wallet offers: what a mint says is paid and does not issue is asked for ever less often") {
    WalletWorld world;
    const auto id = offer(world);
    world.mint.offers.pay(id, 1);
    lie_of_quote(world, [](wire::OfferQuote& quote) { quote.amount_paid = 1'000'000; });
    for (int i = 0; i < 3600; ++i) {
        CHECK_EQ(settle(world, id), Msat{});
        world.clock.advance(Seconds{1});
    }
    CHECK(world.mint.calls("/v1/mint/bolt12") < 20);
    CHECK(world.told("offer_issued").empty());
    lie_of_quote(world, [](wire::OfferQuote&) {});
    world.clock.advance(Seconds{600});
    CHECK_EQ(settle(world, id), sats(1));
    audit(world);
}

TEST_CASE("wallet offers: an amount beyond one request is issued in several") {
    WalletWorld world{{.key_count = 2}};  // 1 and 2: five hundred outputs are a thousand.
    const auto id = offer(world);
    world.mint.offers.pay(id, 2'300);
    CHECK_EQ(settle(world, id), sats(2'300));
    CHECK(world.told("offer_issued").size() > 2);
    CHECK_EQ(world.available(), sats(2'300));
    audit(world);
}

TEST_CASE(
    "wallet offers: of threads that settle one offer at once, none issues what another does") {
    WalletWorld world;
    const auto id = offer(world);
    world.mint.offers.pay(id, 21);
    {
        std::vector<std::jthread> threads;
        for (int i = 0; i < 6; ++i) {
            threads.emplace_back([&] { (void)world.wallet->settle_offer(id).has_value(); });
        }
    }
    world.recover_all();
    CHECK_EQ(told_sum(world), sats(21));
    CHECK_EQ(world.told("offer_issued").size(), 1);
    audit(world);
}

TEST_CASE("wallet offers: books that refuse park the issue, and another start finishes it") {
    WalletWorld world;
    const auto id = offer(world);
    world.mint.offers.pay(id, 21);
    world.settler.refuse(true);
    CHECK_EQ(settle(world, id), Msat{});
    CHECK(world.told("offer_issued").empty());
    CHECK_EQ(settle(world, id), Msat{});  // Under way: not begun again.
    world.settler.refuse(false);
    world.reopen();
    world.recover_all();
    CHECK_EQ(world.told("offer_issued").size(), 1);
    CHECK_EQ(settle(world, id), Msat{});
    CHECK_EQ(world.available(), sats(21));
    audit(world);
}

TEST_CASE("wallet offers: outputs that were signed in a life that is forgotten are planned anew") {
    WalletWorld world;
    const auto id = offer(world);
    world.mint.offers.pay(id, 4);
    CHECK_EQ(settle(world, id), sats(4));
    // As a database that was restored: its counters point at outputs that were signed, and spent.
    REQUIRE(world.database->transact([&](store::Tx& tx) -> Result<void, store::StoreFailure> {
        for (const auto& row : tx.query("SELECT y FROM wallet_proof")) {
            ByteArray<33> y;
            std::copy(row.bytes(0).begin(), row.bytes(0).end(), y.begin());
            world.mint.spend(y);
        }
        tx.execute("UPDATE wallet_counter SET next = 0 WHERE name <> 'quote-lock'");
        tx.execute("DELETE FROM wallet_output");
        tx.execute("DELETE FROM wallet_proof");
        return {};
    }));
    world.mint.offers.pay(id, 4);
    CHECK_EQ(settle(world, id), sats(4));
    CHECK_EQ(world.told("offer_issued").size(), 2);
    CHECK_EQ(world.available(), sats(4));
    world.audit(4);  // What the former life gave away.
}

TEST_CASE("wallet offers: an offer that is not what was asked for is refused") {
    using Change = std::function<void(wire::OfferQuote&)>;
    const auto key = crypto::Scalar::from_hex(std::string(64, '2')).value();
    const auto written = [&](std::optional<Msat> amount) {
        return write_offer({.network = Network::Regtest,
                            .metadata = {},
                            .amount = amount,
                            .description = "x",
                            .issuer_id = crypto::generator_times(key).compressed()});
    };
    WalletWorld world;
    const auto other = world.wallet->request_offer(kOfferMint, sats(21), "");
    REQUIRE(other);
    const std::vector<Change> changes{
        [](wire::OfferQuote& quote) { quote.amount = 22; },
        [](wire::OfferQuote& quote) { quote.amount.reset(); },
        [&](wire::OfferQuote& quote) { quote.pubkey = crypto::generator_times(key); },
        [](wire::OfferQuote& quote) { quote.quote = "../keys"; },
        [](wire::OfferQuote& quote) { quote.unit = "msat"; },
        [](wire::OfferQuote& quote) { quote.request = "lno1"; },
        [](wire::OfferQuote& quote) { quote.expiry = 1'900'000'000; },
        [&](wire::OfferQuote& quote) { quote.request = written(sats(22)); },
        [&](wire::OfferQuote& quote) { quote.request = written(std::nullopt); },
        [&](wire::OfferQuote& quote) { quote.request = other->bolt12; },
    };
    for (std::size_t i = 0; i < changes.size(); ++i) {
        CAPTURE(i);
        lie_of_quote(world, changes[i]);
        CHECK_EQ(code_of(world.wallet->request_offer(kOfferMint, sats(21), "")), Code::MintRefused);
    }
    CHECK_EQ(code_of(world.wallet->request_offer(kOfferMint, Msat{}, "")), Code::MintRefused);
    CHECK_EQ(code_of(world.wallet->request_offer(*MintUrl::parse(kOtherMintUrl), sats(1), "")),
             Code::MintForeign);
    CHECK_EQ(code_of(world.wallet->settle_offer(OfferId{ByteArray<32>{}})), Code::MintRefused);
    world.mint.set_away(true);
    CHECK_EQ(code_of(world.wallet->request_offer(kOfferMint, {}, "")), Code::MintUnreachable);
    CHECK_EQ(code_of(world.wallet->settle_offer(other->id)), Code::MintUnreachable);
}

TEST_CASE("mint offers: one label is one offer, of one amount, and of our network") {
    WalletWorld world;
    MintOffers offers{*world.wallet, kOfferMint, Network::Regtest, *world.database, world.clock};
    const auto first = offers.create_offer({.label = "a", .description = "d", .amount = {}});
    REQUIRE(first);
    CHECK_EQ(first->id, OfferId{parse_offer(first->bolt12)->id});
    CHECK_EQ(offers.create_offer({.label = "a", .description = "d", .amount = {}})->id, first->id);
    CHECK_EQ(offers.create_offer({.label = "a", .description = "d", .amount = sats(1)}).error(),
             BackendError::Refused);
    CHECK_EQ(offers.create_offer({.label = "", .description = "d", .amount = {}}).error(),
             BackendError::Refused);
    CHECK_NE(offers.create_offer({.label = "b", .description = "d", .amount = {}})->id, first->id);
    world.reopen();
    MintOffers reopened{*world.wallet, kOfferMint, Network::Regtest, *world.database, world.clock};
    CHECK_EQ(reopened.create_offer({.label = "a", .description = "d", .amount = {}})->id,
             first->id);
    world.mint.offers.pay(first->id, 5);
    CHECK(reopened.bring_in(first->id));
    CHECK_EQ(world.available(), sats(5));
    MintOffers real{*world.wallet, kOfferMint, Network::Bitcoin, *world.database, world.clock};
    CHECK_EQ(real.create_offer({.label = "c", .description = "", .amount = {}}).error(),
             BackendError::Refused);
    world.mint.set_away(true);
    CHECK_EQ(reopened.create_offer({.label = "d", .description = "", .amount = {}}).error(),
             BackendError::Unreachable);
    CHECK_EQ(reopened.bring_in(first->id).error(), BackendError::Unreachable);
    world.mint.set_away(false);
    audit(world);
}

TEST_CASE(
    "mint offers: whether a mint makes them it says itself, and is asked again an hour later") {
    for (const bool makes : {true, false}) {
        WalletWorld world{{.announces_offers = makes}};
        MintOffers offers{*world.wallet, kOfferMint, Network::Regtest, *world.database,
                          world.clock};
        CHECK_FALSE(offers.able());
        world.mint.set_away(true);
        offers.look();
        CHECK_FALSE(offers.able());
        world.mint.set_away(false);
        offers.look();  // Too soon.
        CHECK_EQ(world.mint.calls("/v1/info"), 1);
        world.clock.advance(Seconds{15});
        offers.look();
        CHECK_EQ(offers.able(), makes);
        offers.look();
        CHECK_EQ(world.mint.calls("/v1/info"), 2);
        world.clock.advance(Seconds{3600});
        world.mint.set_away(true);
        offers.look();
        CHECK_EQ(offers.able(), makes);  // As it said last.
    }
}
