// Where it goes: what an address or an LNURL says is checked, and asked for once.
#include <nlohmann/json.hpp>

#include "cashier/remittance_world.h"

using namespace nutgate;
using namespace nutgate::literals;
using test::FakeLightning;
using test::hash_of;
using test::Pays;
using test::RemittanceWorld;
using test::ScriptedHttp;
using Code = CashierError::Code;
using Json = nlohmann::json;

namespace {

const std::string kAnn = "ann@a.example";
constexpr auto kMetadata = R"([["text/plain","for ann"]])";

// a.example takes from 1 to 25 sat for Ann, and writes a new invoice each time it is asked.
struct AddressWorld : RemittanceWorld {
    explicit AddressWorld(Pays payer = Pays::Mint) : RemittanceWorld{payer} {
        const Json pay{{"tag", "payRequest"},
                       {"callback", "https://a.example/pay"},
                       {"minSendable", 1000},
                       {"maxSendable", 25'000},
                       {"metadata", kMetadata}};
        http.on(http::Method::Get, "https://a.example/.well-known/lnurlp/ann",
                ScriptedHttp::answer(200, pay.dump()));
        http.on(http::Method::Get, "https://a.example/pay?amount=",
                [this](const http::ClientRequest& request) -> ScriptedHttp::Outcome {
                    const auto text = request.url.substr(request.url.rfind('=') + 1);
                    const auto asked = Msat::from_raw(std::stoll(text));
                    invoices.push_back(lightning.outside_invoice(invoice_amount.value_or(*asked),
                                                                 "for ann", Seconds{86'400}));
                    return http::json_response(200, Json{{"pr", invoices.back()}}.dump());
                });
    }
    std::vector<std::string> invoices;
    std::optional<Msat> invoice_amount;
};

}  // namespace

TEST_CASE("remittance: an address is asked for one invoice, and that is paid") {
    for (const Pays payer : {Pays::Mint, Pays::Node}) {
        AddressWorld world{payer};
        const auto sent = world.remit(1, kAnn, 7000_msat);
        REQUIRE(sent.has_value());
        CHECK(sent->state == RemittanceState::Paid);
        CHECK(sent->amount == 7000_msat);
        CHECK(sent->target == kAnn);
        REQUIRE(world.invoices.size() == 1);
        CHECK(world.lightning.times_paid(hash_of(world.invoices[0])) == 1);
        CHECK(world.remit(1, kAnn, 7000_msat)->again);
        CHECK(world.refused(1, kAnn, 8000_msat) == Code::RemittanceReused);
        CHECK(world.invoices.size() == 1);
    }
}

TEST_CASE("remittance: whose outcome is unknown keeps its invoice, whatever is asked again") {
    AddressWorld world;
    world.lightning.next_pay(FakeLightning::Outcome::Unknown);
    CHECK(world.remit(1, kAnn, 7000_msat)->state == RemittanceState::UnderWay);
    world.start_anew();
    CHECK(world.remit(1, kAnn, 7000_msat)->state == RemittanceState::UnderWay);
    REQUIRE(world.invoices.size() == 1);
    world.lightning.conclude(hash_of(world.invoices[0]), PaymentState::Settled);
    world.pass();
    CHECK(world.remit(1, kAnn, 7000_msat)->state == RemittanceState::Paid);
    CHECK(world.invoices.size() == 1);
    CHECK(world.balance(*world.key) == 23'000_msat);
}

TEST_CASE("remittance: all there is goes, but for what paying may cost and the address takes") {
    SUBCASE("as much as it takes") {
        AddressWorld world;
        CHECK(world.remit(1, kAnn)->amount == 25'000_msat);
    }
    SUBCASE("as much as there is") {
        AddressWorld world;
        world.charge(*world.key, 10'500_msat);
        // 19.5 sat less a percent and 3 sat, in whole sats.
        const auto sent = world.remit(1, kAnn);
        REQUIRE(sent.has_value());
        CHECK(sent->amount == 16'000_msat);
        CHECK(world.balance(*world.key) == 3500_msat);
    }
    SUBCASE("not while requests are under way") {
        AddressWorld world;
        const auto request = world.begin_request(*world.key, 1000_msat);
        CHECK(world.refused(1, kAnn) == Code::RequestsInFlight);
        world.end_request(request, 1000_msat);
    }
}

TEST_CASE("remittance: an address that can't be paid says why, and nothing is taken") {
    AddressWorld world;
    CHECK(world.refused(1, kAnn, 25'001_msat) == Code::LnurlAmount);
    CHECK(world.refused(1, kAnn, 999_msat) == Code::LnurlAmount);
    CHECK(world.refused(1, kAnn, 31'000_msat) == Code::BalanceInsufficient);
    CHECK(world.refused(1, "bob@nowhere.example", 5000_msat) == Code::LnurlUnreachable);
    CHECK(world.refused(1, "lnurlp://127.0.0.1:1/x@", 5000_msat) == Code::LnurlUnreachable);
    world.invoice_amount = 9000_msat;
    CHECK(world.refused(1, kAnn, 5000_msat) == Code::LnurlRefused);
    world.invoice_amount.reset();
    world.http.then(ScriptedHttp::answer(200, R"({"status":"ERROR","reason":"not today"})"));
    const auto declined = world.remit(1, kAnn, 5000_msat);
    REQUIRE_FALSE(declined.has_value());
    CHECK(declined.error().code == Code::LnurlRefused);
    CHECK(declined.error().detail.find("not today") != std::string::npos);
    CHECK(world.balance(*world.key) == 30'000_msat);
    // Asked for by a stranger's word: only who is on the public internet.
    for (const auto& call : world.http.calls()) CHECK(call.reach == http::Reach::PublicOnly);
}

TEST_CASE("remittance: an estimate of an address asks for no invoice") {
    AddressWorld world;
    const auto estimate = world.remitter->estimate(
        world.key, {.id = RemittanceWorld::name(1), .target = kAnn, .amount = 20'000_msat});
    REQUIRE(estimate.has_value());
    CHECK(estimate->amount == 20'000_msat);
    CHECK(estimate->fee_max == 3200_msat);
    CHECK_FALSE(estimate->is_exact);
    CHECK(world.invoices.empty());
}

TEST_CASE("payout: the owner sends revenue, and not an msat of what is owed to buyers") {
    for (const Pays payer : {Pays::Mint, Pays::Node}) {
        AddressWorld world{payer};
        const auto invoice = world.lightning.outside_invoice(12'001_msat);
        const auto send = [&](int n, const std::string& target, std::optional<Msat> amount) {
            return world.remitter->remit(
                std::nullopt, {.id = RemittanceWorld::name(n), .target = target, .amount = amount});
        };
        CHECK(send(1, invoice, {}).error().code == Code::BalanceInsufficient);
        CHECK(send(1, kAnn, 12'001_msat).error().code == Code::BalanceInsufficient);
        world.lightning.set_fee(1000_msat);
        CHECK(send(1, world.lightning.outside_invoice(11'001_msat), {}).error().code ==
              Code::RevenueInsufficient);
        const auto paid = send(1, kAnn, 10'000_msat);
        REQUIRE(paid.has_value());
        CHECK(paid->state == RemittanceState::Paid);
        CHECK(paid->fee == 1000_msat);
        CHECK(*world.cashier().revenue() == 1000_msat);
        CHECK(send(1, kAnn, 10'000_msat)->again);
        REQUIRE(world.remitter->list(std::nullopt, 10)->size() == 1);
        CHECK(world.remitter->list(world.key, 10)->empty());
    }
}

TEST_CASE("payout: one that fails gives the revenue back to where it was earned") {
    AddressWorld world;
    world.lightning.next_pay(FakeLightning::Outcome::Failed);
    (void)world.remitter->remit(
        std::nullopt, {.id = RemittanceWorld::name(1), .target = kAnn, .amount = 10'000_msat});
    world.pass();
    CHECK(world.remitter->find(std::nullopt, RemittanceWorld::name(1))->state ==
          RemittanceState::Failed);
    CHECK(*world.cashier().revenue() == 12'000_msat);
    CHECK(world.posted(revenue_account(kRevenueRequests)) == 12'000_msat);
}

TEST_CASE("payout: by schedule the revenue goes once it has come to the threshold, one at a time") {
    AddressWorld world;
    CHECK_FALSE(*world.remitter->remit_revenue(kAnn, 12'001_msat));
    world.lightning.next_pay(FakeLightning::Outcome::Unknown);
    CHECK(*world.remitter->remit_revenue(kAnn, 5000_msat));
    // 12 sat less a percent and 3 sat are on their way; the rest is below the threshold, and would
    // wait in any case.
    CHECK_FALSE(*world.remitter->remit_revenue(kAnn, 1_msat));
    REQUIRE(world.invoices.size() == 1);
    CHECK(parse_bolt11(world.invoices[0])->amount == 8000_msat);
    world.lightning.conclude(hash_of(world.invoices[0]), PaymentState::Settled);
    world.pass();
    CHECK(*world.cashier().revenue() == 4000_msat);
}

TEST_CASE("payout: books that do not add up let nothing out") {
    AddressWorld world;
    Transfer wrong{.id = TransferId{ByteArray<32>{}},
                   .debit = ecash_account(cashu::MintUrl::embedded(), cashu::Unit::Sat),
                   .credit = key_account(*world.key),
                   .amount = 7_msat};
    const auto post = [&] {
        REQUIRE(world.database->transact([&](store::Tx& tx) -> Result<Applied, CashierError> {
            TRY(const auto applied, world.node->ledger.transfer(tx, wrong));
            return applied;
        }));
    };
    post();
    const auto sent = world.remitter->remit(
        std::nullopt, {.id = RemittanceWorld::name(1), .target = kAnn, .amount = 5000_msat});
    REQUIRE_FALSE(sent.has_value());
    CHECK(sent.error().code == Code::BooksUnsound);
    CHECK(world.invoices.empty());
    std::swap(wrong.debit, wrong.credit);
    wrong.id = TransferId{ByteArray<32>{std::byte{1}}};
    post();
}
