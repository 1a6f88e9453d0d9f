// A balance on its way out over Lightning, and the process or the network fails in between: it is
// paid once, or it is back.
#include "crash/cashier_crash.h"
#include "nutgate/cashier/remittance.h"
#include "support/scripted_http.h"

using namespace nutgate;
using namespace nutgate::literals;
using test::at_every_call;
using test::at_every_step;
using test::Beginning;
using test::Driver;
using test::FakeLightning;
using test::Node;
using test::Receive;
using test::ScriptedHttp;

namespace {

const OperationId kName{ByteArray<16>{std::byte{9}}};
constexpr Seconds kLong{86'400};

enum class Pays { Mint, Node };

// Eleven sat on the key; where a node pays, 50 more, which are at Lightning.
struct Remitting {
    explicit Remitting(Pays pays) {
        options.network = Network::Regtest;
        options.lnurl = &lnurl;
        if (pays == Pays::Mint) return;
        options.payers = {&world.lightning};
        world.receive = Receive::OverNode;
        world.options.payers = {world.lightning.name()};
        world.wallet_options.payers = {&world.lightning};
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

    Result<Remittance, CashierError> send(Node& node, const std::string& target,
                                          std::optional<Msat> amount = {}) {
        Remitter remitter{*node.cashier, options, node.metrics};
        return remitter.remit(world.key, {.id = kName, .target = target, .amount = amount});
    }
    void pass(Node& node) {
        Remitter remitter{*node.cashier, options, node.metrics};
        for (int i = 0; i < 4; ++i) {
            world.clock.advance(Seconds{200});
            node.mint.poll();
            REQUIRE(node.wallet.recover());
            REQUIRE(remitter.settle());
            node.audit();
        }
    }

    Beginning world;
    ScriptedHttp http;
    LnurlClient lnurl{http, world.clock, Network::Regtest};
    Remitter::Options options;
};

void pay_once(Driver drive, Pays pays) {
    Remitting remitting{pays};
    auto& world = remitting.world;
    std::string invoice;
    const Msat before = pays == Pays::Mint ? 11'000_msat : 61'000_msat;
    drive(
        world,
        [&](Node& node) {
            invoice = world.lightning.outside_invoice(5000_msat, "", kLong);
            (void)remitting.send(node, invoice);
        },
        [&](Node& node) {
            remitting.pass(node);
            for (int i = 0; i < 2; ++i) {
                const auto sent = remitting.send(node, invoice);
                REQUIRE(sent.has_value());
                CHECK(sent->state == RemittanceState::Paid);
            }
            CHECK(world.lightning.times_paid(parse_bolt11(invoice)->payment_hash) == 1);
            CHECK(node.balance(*world.key) == *subtract(before, 5000_msat));
        });
}

// The node neither says that it paid nor that it did not, until long after.
void end_once(Driver drive, PaymentState end) {
    Remitting remitting{Pays::Node};
    auto& world = remitting.world;
    std::string invoice;
    drive(
        world,
        [&](Node& node) {
            invoice = world.lightning.outside_invoice(5000_msat, "", kLong);
            world.lightning.next_pay(FakeLightning::Outcome::Unknown);
            (void)remitting.send(node, invoice);
        },
        [&](Node& node) {
            const auto hash = parse_bolt11(invoice)->payment_hash;
            const auto sent = remitting.send(node, invoice);
            REQUIRE(sent.has_value());
            REQUIRE(sent->state == RemittanceState::UnderWay);
            CHECK(node.balance(*world.key) == 56'000_msat);
            world.lightning.conclude(hash, end);
            remitting.pass(node);
            const bool paid = end == PaymentState::Settled;
            CHECK(remitting.send(node, invoice)->state ==
                  (paid ? RemittanceState::Paid : RemittanceState::Failed));
            CHECK(world.lightning.times_paid(hash) == (paid ? 1 : 0));
            CHECK(node.balance(*world.key) == (paid ? 56'000_msat : 61'000_msat));
        });
}

// Whatever was asked for before the process died, of all its invoices one is paid.
void pay_address_once(Driver drive, Pays pays) {
    Remitting remitting{pays};
    auto& world = remitting.world;
    std::vector<std::string> invoices;
    remitting.http.on(
        http::Method::Get, "https://a.example/.well-known/lnurlp/ann",
        ScriptedHttp::answer(200, R"({"tag":"payRequest","callback":"https://a.example/pay",)"
                                  R"("minSendable":1000,"maxSendable":9000,"metadata":)"
                                  R"("[[\"text/plain\",\"for ann\"]]"})"));
    remitting.http.on(
        http::Method::Get, "https://a.example/pay",
        [&](const http::ClientRequest&) -> ScriptedHttp::Outcome {
            invoices.push_back(world.lightning.outside_invoice(5000_msat, "for ann", kLong));
            return http::json_response(200, R"({"pr":")" + invoices.back() + "\"}");
        });
    const auto times_paid = [&] {
        int times = 0;
        for (const auto& invoice : invoices) {
            times += world.lightning.times_paid(parse_bolt11(invoice)->payment_hash);
        }
        return times;
    };
    int before = 0;
    drive(
        world,
        [&](Node& node) {
            before = times_paid();
            (void)remitting.send(node, "ann@a.example", 5000_msat);
        },
        [&](Node& node) {
            remitting.pass(node);
            const auto sent = remitting.send(node, "ann@a.example", 5000_msat);
            REQUIRE(sent.has_value());
            CHECK(sent->state == RemittanceState::Paid);
            CHECK(times_paid() == before + 1);
            CHECK(node.balance(*world.key) == (pays == Pays::Mint ? 6'000_msat : 56'000_msat));
        });
}

}  // namespace

TEST_CASE("crash: a key's invoice is paid once, by a mint or by a node") {
    for (const Pays pays : {Pays::Mint, Pays::Node}) pay_once(at_every_step, pays);
}

TEST_CASE("network: a key's invoice is paid once, whatever the calls to the mint come to") {
    pay_once(at_every_call, Pays::Mint);
}

TEST_CASE("crash: a payment of unknown outcome stays held, and ends once") {
    for (const auto end : {PaymentState::Settled, PaymentState::Failed}) {
        end_once(at_every_step, end);
    }
}

TEST_CASE("crash: of the invoices that an address wrote one is paid") {
    for (const Pays pays : {Pays::Mint, Pays::Node}) pay_address_once(at_every_step, pays);
}
