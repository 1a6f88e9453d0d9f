// The same of what moves the node's own money, and of tokens of mints that are not trusted: two
// legs, each at another mint, and the process or the network fails in between.
#include "crash/cashier_crash.h"

using namespace nutgate;
using namespace nutgate::literals;
using test::at_every_call;
using test::at_every_step;
using test::Beginning;
using test::Driver;
using test::Elsewhere;
using test::FaultyMint;
using test::Node;
using test::Receive;

namespace {

const OperationId kRequest{ByteArray<16>{std::byte{9}}};
const cashu::MintUrl kEmbedded = cashu::MintUrl::embedded();
const cashu::MintUrl kSecond = *cashu::MintUrl::parse("https://second.example");

Msat posted(Node& node, const Account& account) {
    return *node.database.read([&](store::Reader& reader) -> Result<Msat, store::StoreFailure> {
        return node.ledger.balance(reader, account).posted;
    });
}
Msat ecash(Node& node, const cashu::MintUrl& mint) {
    return posted(node, ecash_account(mint, cashu::Unit::Sat));
}

// Until every leg has ended, whatever back-off it has.
void pass(Beginning& world, Node& node) {
    for (int i = 0; i < 4; ++i) {
        world.clock.advance(Seconds{200});
        node.mint.poll();
        REQUIRE(node.wallet.recover());
        node.audit();
    }
    CHECK(posted(node, {AccountKind::Lightning, "transit"}) == 0_msat);
    CHECK(posted(node, {AccountKind::PaymentInFlight, "unclaimed"}) == 0_msat);
}

void at_the_guest(Beginning& world) {
    world.way = [](Node& node) -> FaultyMint& { return *node.connector.ways.front(); };
}
void at_the_second(Beginning& world) {
    world.way = [](Node& node) -> FaultyMint& { return *node.outside_clients.front(); };
}

void foreign_deposit_once(Driver drive, void (*where)(Beginning&) = nullptr) {
    Beginning world{Elsewhere::Guest};
    if (where != nullptr) where(world);
    drive(
        world,
        [&](Node& node) { (void)node.cashier->deposit_token(world.token_elsewhere, Bearer{}); },
        [&](Node& node) {
            pass(world, node);
            for (int i = 0; i < 2; ++i) {
                const auto deposit = node.cashier->deposit_token(world.token_elsewhere, Bearer{});
                REQUIRE(deposit.has_value());
                CHECK(deposit->credited == 21'000_msat);
                CHECK(node.balance(deposit->key) == 21'000_msat);
            }
            CHECK(ecash(node, kEmbedded) == 35'000_msat);
        });
}

void move_once(Driver drive, bool outwards, void (*where)(Beginning&) = nullptr) {
    Beginning world{Elsewhere::Trusted};
    if (where != nullptr) where(world);
    const auto move = [&](Node& node) {
        return node.cashier->move_ecash(kRequest, 9_sat, outwards ? kEmbedded : kSecond,
                                        outwards ? kSecond : kEmbedded);
    };
    drive(
        world, [&](Node& node) { (void)move(node).has_value(); },
        [&](Node& node) {
            pass(world, node);
            const auto moved = move(node);
            REQUIRE(moved.has_value());
            CHECK(moved->amount == 9000_msat);
            CHECK(move(node)->again);
            CHECK(ecash(node, kEmbedded) == (outwards ? 4000_msat : 22'000_msat));
            CHECK(ecash(node, kSecond) == (outwards ? 49'000_msat : 31'000_msat));
        });
}

void fund_once(Driver drive) {
    Beginning world;
    world.receive = Receive::OverNode;
    world.options.payers = {world.lightning.name()};
    world.wallet_options.payers = {&world.lightning};
    {
        // 50 sat at the node's own Lightning.
        const auto database = world.open("base.db");
        const auto node = world.node(*database);
        REQUIRE(node->start());
        const auto invoice = node->cashier->open_invoice(
            {.amount = 50_sat, .purpose = InvoicePurpose::TopUp, .key = world.key, .limits = {}});
        REQUIRE(invoice.has_value());
        world.lightning.mark_paid(invoice->payment_hash, 50'000_msat);
        node->cashier->hint(invoice->payment_hash);
        REQUIRE(node->balance(*world.key) == 61'000_msat);
    }
    const auto fund = [&](Node& node) {
        return node.cashier->fund(kRequest, kEmbedded, 30_sat, 1000_msat);
    };
    drive(
        world, [&](Node& node) { (void)fund(node).has_value(); },
        [&](Node& node) {
            pass(world, node);
            const auto funded = fund(node);
            REQUIRE(funded.has_value());
            CHECK(funded->amount == 30'000_msat);
            CHECK(fund(node)->again);
            CHECK(ecash(node, kEmbedded) == 43'000_msat);
        });
}

void melt_once(Driver drive) {
    Beginning world;
    std::string invoice;
    drive(
        world,
        [&](Node& node) {
            invoice = world.lightning.outside_invoice(2000_msat);
            (void)node.cashier->owner_melt(kRequest, invoice, std::nullopt);
        },
        [&](Node& node) {
            pass(world, node);
            const auto paid = node.cashier->owner_melt(kRequest, invoice, std::nullopt);
            REQUIRE(paid.has_value());
            CHECK(paid->amount == 2000_msat);
            CHECK(node.cashier->owner_melt(kRequest, invoice, std::nullopt)->again);
            CHECK(world.lightning.times_paid(parse_bolt11(invoice)->payment_hash) == 1);
            CHECK(*node.cashier->revenue() == 0_msat);
            CHECK(node.balance(*world.key) == 11'000_msat);
        });
}

void receive_once(Driver drive) {
    Beginning world;
    drive(
        world, [&](Node& node) { (void)node.cashier->owner_receive(kRequest, world.token); },
        [&](Node& node) {
            for (int i = 0; i < 2; ++i) {
                const auto in = node.cashier->owner_receive(kRequest, world.token);
                REQUIRE(in.has_value());
                CHECK(in->credited == 21'000_msat);
                CHECK(in->withdrawable == 23'000_msat);
            }
        });
}

void gather_once(Driver drive) {
    Beginning world{Elsewhere::Trusted};
    {
        const auto database = world.open("base.db");
        world.open_elsewhere("base.db");
        const auto node = world.node(*database);
        REQUIRE(node->start());
        for (const auto& token : {world.token_elsewhere, world.token, world.top_up}) {
            REQUIRE(node->cashier->deposit_token(token, TopUp{*world.key}).has_value());
        }
        // 69 sat are its own now. 40 are at the embedded mint, 61 at the other.
        REQUIRE(database->transact([&](store::Tx& tx) -> Result<bool, CashierError> {
            TRY_VOID(node->ledger.transfer(tx, {.id = TransferId{ByteArray<32>{std::byte{3}}},
                                                .debit = key_account(*world.key_elsewhere),
                                                .credit = key_account(*world.key),
                                                .amount = 10'000_msat}));
            return true;
        }));
    }
    world.mint_elsewhere.reset();
    drive(
        world, [&](Node& node) { (void)node.cashier->refund(*world.key); },
        [&](Node& node) {
            pass(world, node);
            const auto refund = node.cashier->refund(*world.key);
            REQUIRE(refund.has_value());
            CHECK(refund->amount == 69_sat);
            CHECK(node.cashier->refund(*world.key)->token == refund->token);
            CHECK(node.balance(*world.key) == 0_msat);
        });
}

}  // namespace

TEST_CASE("crash: a foreign token is credited once") { foreign_deposit_once(at_every_step); }

TEST_CASE("network: a foreign token is credited once, whatever its own mint's calls come to") {
    foreign_deposit_once(at_every_call, at_the_guest);
}

TEST_CASE("network: a foreign token is credited once, whatever our mint's calls come to") {
    foreign_deposit_once(at_every_call);
}

TEST_CASE("crash: ecash moves to another mint once") {
    for (const bool outwards : {true, false}) move_once(at_every_step, outwards);
}

TEST_CASE("network: ecash moves to another mint once, whatever the calls to either come to") {
    for (const bool outwards : {true, false}) {
        move_once(at_every_call, outwards);
        move_once(at_every_call, outwards, at_the_second);
    }
}

TEST_CASE("crash: a funding is paid and arrives once") { fund_once(at_every_step); }

TEST_CASE("network: a funding is paid and arrives once") { fund_once(at_every_call); }

TEST_CASE("crash: the owner's invoice is paid once") { melt_once(at_every_step); }

TEST_CASE("network: the owner's invoice is paid once") { melt_once(at_every_call); }

TEST_CASE("crash: what the owner puts in is booked once") { receive_once(at_every_step); }

TEST_CASE("network: what the owner puts in is booked once") { receive_once(at_every_call); }

TEST_CASE("crash: a refund that needs ecash of two mints is handed out once") {
    gather_once(at_every_step);
}
