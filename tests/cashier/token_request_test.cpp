// Requests for a token: paid once, by what was asked for.
#include "cashier/world.h"

using namespace nutgate;
using namespace nutgate::literals;
using test::FaultyMint;
using test::Receive;
using test::World;
using Code = CashierError::Code;

namespace {

constexpr const char* kSecond = "https://second.example";

struct RequestWorld : World {
    explicit RequestWorld(test::Surroundings around = {}) : World{Receive::OverMint, {}, around} {}

    std::string open(TokenRequest request) {
        const auto opened = cashier().open_request(request);
        REQUIRE(opened.has_value());
        return opened->request_id;
    }
    Result<Deposit, CashierError> pay(const std::string& id, const std::string& text) {
        return cashier().pay_request(id, *cashu::parse_token(text));
    }
    Code refused(const std::string& id, const std::string& text) {
        const auto paid = pay(id, text);
        REQUIRE_FALSE(paid.has_value());
        return paid.error().code;
    }
};

}  // namespace

TEST_CASE("cashier: a request is paid once, and gives its key to who knows its id") {
    RequestWorld world;
    const auto id = world.open({.amount = 20_sat});
    CHECK_FALSE(world.cashier().request_status(id)->paid);
    CHECK_FALSE(world.cashier().request_status(id)->key.has_value());
    const auto token = world.token(21'000_msat);  // More is credited, too.
    const auto paid = world.pay(id, token);
    REQUIRE(paid.has_value());
    CHECK(paid->credited == 21'000_msat);
    const auto status = world.cashier().request_status(id);
    CHECK(status->paid);
    CHECK(status->credited == 21'000_msat);
    REQUIRE(status->key.has_value());
    CHECK(world.balance(*status->key) == 21'000_msat);

    // The same again is what it was; another is refused and good elsewhere.
    CHECK(world.pay(id, token)->again);
    const auto other = world.token(30'000_msat);
    CHECK(world.refused(id, other) == Code::RequestPaid);
    CHECK(world.cashier().deposit_token(other, Bearer{}).has_value());
    CHECK(world.cashier().request_status(id)->credited == 21'000_msat);
    CHECK(world.refused("nonsense", other) == Code::RequestUnknown);
    CHECK(world.cashier().request_status("nonsense").error().code == Code::RequestUnknown);
    CHECK(world.refused(std::string(100, 'x'), other) == Code::RequestUnknown);
}

TEST_CASE("cashier: a request for several uses credits each payment to one key") {
    RequestWorld world;
    const auto id = world.open({.amount = std::nullopt, .single_use = false});
    const auto first = world.pay(id, world.token(5000_msat));
    const auto second = world.pay(id, world.token(7000_msat));
    REQUIRE(second.has_value());
    CHECK(first->key == second->key);
    CHECK(world.balance(first->key) == 12'000_msat);
    CHECK(world.cashier().request_status(id)->credited == 12'000_msat);
}

TEST_CASE("cashier: a request may top up a key, and then gives none") {
    RequestWorld world;
    const KeyId key = world.key_of_token(5000_msat);
    const auto id =
        world.open({.amount = 7_sat, .purpose = InvoicePurpose::TopUp, .key = key, .limits = {}});
    REQUIRE(world.pay(id, world.token(7000_msat)).has_value());
    CHECK(world.balance(key) == 12'000_msat);
    CHECK(world.cashier().request_status(id)->paid);
    CHECK_FALSE(world.cashier().request_status(id)->key.has_value());
}

TEST_CASE("cashier: what was not asked for is refused, and not touched") {
    RequestWorld world{
        {.trusted = {kSecond}, .guests = {"https://guest.example"}, .input_fee_ppk = 1000}};
    auto& second = *world.outside.at(0);
    const auto embedded = world.open({.amount = 8_sat, .mints = {cashu::MintUrl::embedded()}});
    const auto there = world.token_of(second, 16'000_msat);
    CHECK(world.refused(embedded, there) == Code::PaymentUnfit);
    CHECK(world.refused(embedded, world.token_of(*world.outside.at(1), 9000_msat)) ==
          Code::PaymentUnfit);
    CHECK(world.refused(embedded, world.token(7000_msat)) == Code::PaymentUnfit);
    const auto msat = world.open({.amount = 8_sat, .unit = cashu::Unit::Msat});
    CHECK(world.refused(msat, world.token(8000_msat)) == Code::PaymentUnfit);
    // Net of its mint's fee: 16 sat are worth 15.
    const auto exact = world.open({.amount = 16_sat, .mints = {second.url}});
    CHECK(world.refused(exact, there) == Code::PaymentUnfit);
    const auto less = world.open({.amount = 15_sat, .mints = {second.url}});
    CHECK(world.pay(less, there)->credited == 15'000_msat);

    CHECK(world.cashier().open_request({.amount = 0_sat}).error().code == Code::AmountOutOfRange);
    CHECK(
        world.cashier()
            .open_request({.amount = 1_sat, .mints = {*cashu::MintUrl::parse("https://x.example")}})
            .error()
            .code == Code::TokenMintForeign);
    CHECK(world.cashier()
              .open_request({.amount = 1_sat, .purpose = InvoicePurpose::TopUp})
              .error()
              .code == Code::KeyUnknown);
}

TEST_CASE("cashier: a request that has expired takes nothing, but tells of what it took") {
    RequestWorld world;
    const auto paid = world.open({.amount = 5_sat});
    const auto token = world.token(5000_msat);
    REQUIRE(world.pay(paid, token).has_value());
    const auto late = world.open({.amount = 5_sat});
    const auto other = world.token(5000_msat);
    world.clock.advance(Seconds{3600});
    CHECK(world.refused(late, other) == Code::RequestExpired);
    CHECK(world.cashier().request_status(late)->expired);
    CHECK(world.pay(paid, token)->again);
    CHECK_FALSE(world.cashier().request_status(paid)->expired);
    world.clock.advance(Seconds{25 * 3600});
    REQUIRE(world.cashier().recover());
    CHECK(world.cashier().request_status(late).error().code == Code::RequestUnknown);
    CHECK(world.cashier().request_status(paid)->paid);
}

TEST_CASE("cashier: open requests and invoices count together") {
    Cashier::Options options;
    options.invoices_open_max = 2;
    World world{Receive::OverMint, options};
    REQUIRE(world.cashier().open_request({.amount = 1_sat}).has_value());
    REQUIRE(world.cashier().open_invoice({.amount = 1_sat, .key = {}, .limits = {}}).has_value());
    CHECK(world.cashier().open_request({.amount = 1_sat}).error().code == Code::TooManyInvoices);
    CHECK(world.cashier().open_invoice({.amount = 1_sat, .key = {}, .limits = {}}).error().code ==
          Code::TooManyInvoices);
}

TEST_CASE("cashier: who counts what is open reads nothing that has expired") {
    World world;
    for (const std::string table : {"invoice", "token_request"}) {
        const auto plan =
            world.database->read([&](store::Reader& reader) -> Result<std::string, CashierError> {
                return reader
                    .query_one("EXPLAIN QUERY PLAN SELECT COUNT(*) FROM " + table +
                               " WHERE state IN (1, 2) AND expires_at > 5")
                    ->text(3);
            });
        REQUIRE(plan.has_value());
        CAPTURE(*plan);
        CHECK(plan->find("(state=? AND expires_at>?)") != std::string::npos);
    }
}
