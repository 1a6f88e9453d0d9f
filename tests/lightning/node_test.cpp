#include "nutgate/lightning/node.h"

#include <doctest/doctest.h>

#include <future>

#include "fake_cln.h"
#include "fake_lnbits.h"
#include "fake_lnd.h"
#include "fake_phoenixd.h"
#include "node_distrust.h"
#include "node_rig.h"
#include "support/certificate.h"
#include "support/websocket_peer.h"

using namespace nutgate;
using namespace nutgate::test;
using contract::check_settled;
using contract::invoice_order;
using contract::kAmount;
using contract::payment_order;
using Outcome = LightningRig::Outcome;

namespace {

std::unique_ptr<LightningNode> lnd(NodeOptions options, http::Client& client, store::Database&) {
    return make_lnd(std::move(options), client);
}
std::unique_ptr<LightningNode> cln(NodeOptions options, http::Client& client, store::Database&) {
    return make_cln(std::move(options), client);
}

struct FakeOldPhoenixd : FakePhoenixd {
    FakeOldPhoenixd() : FakePhoenixd{Release::WithoutLookUps} {}
};
struct FakeOldCln : FakeCln {
    FakeOldCln() : FakeCln{Commands::PayOnly} {}
};

struct LndRig : NodeRig<FakeLnd> {
    LndRig() : NodeRig{FakeLnd::kInvoiceMacaroon, FakeLnd::kPayMacaroon, lnd} {}
};
struct ClnRig : NodeRig<FakeCln> {
    ClnRig() : NodeRig{FakeCln::kInvoiceRune, FakeCln::kPayRune, cln} {}
};
struct PhoenixdRig : NodeRig<FakePhoenixd> {
    PhoenixdRig()
        : NodeRig{FakePhoenixd::kLimitedPassword, FakePhoenixd::kPassword, make_phoenixd} {}
};
struct LnBitsRig : NodeRig<FakeLnBits> {
    LnBitsRig() : NodeRig{FakeLnBits::kInvoiceKey, FakeLnBits::kAdminKey, make_lnbits, 4} {}
};

// The credentials of a stranger, or one that may only receive.
template <class Node>
void check_credentials(std::string_view receive, const typename NodeRig<Node>::Make& make) {
    SUBCASE("without a credential for paying it pays nothing, and receives") {
        NodeRig<Node> rig{receive, "", make};
        CHECK_FALSE(rig.backend().pays());
        const auto order = payment_order(rig.node.outside_invoice(kAmount, Outcome::Paid));
        CHECK_EQ(rig.backend().pay(order).error(), BackendError::Refused);
        CHECK_EQ(rig.node.times_paid(order.hash), 0);
        CHECK(rig.backend().create_invoice(invoice_order("a")).has_value());
    }
    SUBCASE("a credential that the node does not take pays nothing and knows nothing") {
        NodeRig<Node> rig{"stranger", "stranger", make};
        const auto order = payment_order(rig.node.outside_invoice(kAmount, Outcome::Paid));
        CHECK_FALSE(rig.backend().pay(order).has_value());
        CHECK_EQ(rig.node.times_paid(order.hash), 0);
        CHECK_FALSE(rig.backend().create_invoice(invoice_order("a")).has_value());
    }
}

// LND behind a certificate of its own.
class TlsLnd final : public FakeLnd {
public:
    TlsLnd() : FakeLnd{nullptr} { start(); }
    ~TlsLnd() override { stop(); }
    TlsLnd(const TlsLnd&) = delete;
    TlsLnd& operator=(const TlsLnd&) = delete;

    const Certificate certificate{"DNS:localhost,IP:127.0.0.1"};

private:
    std::unique_ptr<httplib::Server> make_server() override {
        return std::make_unique<httplib::SSLServer>(certificate.file.c_str(),
                                                    certificate.key.c_str());
    }
};

}  // namespace

TEST_CASE("lightning contract: LND keeps it") {
    lightning_contract([] { return std::make_unique<LndRig>(); });
}
TEST_CASE("lightning contract: Core Lightning keeps it") {
    lightning_contract([] { return std::make_unique<ClnRig>(); });
}
TEST_CASE("lightning contract: phoenixd keeps it") {
    lightning_contract([] { return std::make_unique<PhoenixdRig>(); });
}
TEST_CASE("lightning contract: LNbits keeps it") {
    lightning_contract([] { return std::make_unique<LnBitsRig>(); });
}

TEST_CASE("lnd: nothing that the node says is believed unseen") { check_distrust<LndRig>(); }
TEST_CASE("cln: nothing that the node says is believed unseen") { check_distrust<ClnRig>(); }
TEST_CASE("phoenixd: nothing that it says is believed unseen") { check_distrust<PhoenixdRig>(); }
TEST_CASE("lnbits: nothing that it says is believed unseen") { check_distrust<LnBitsRig>(); }

TEST_CASE("lnd: its macaroons are for what they are for") {
    check_credentials<FakeLnd>(FakeLnd::kInvoiceMacaroon, lnd);
}
TEST_CASE("cln: its runes are for what they are for") {
    check_credentials<FakeCln>(FakeCln::kInvoiceRune, cln);
}
TEST_CASE("phoenixd: its passwords are for what they are for") {
    check_credentials<FakePhoenixd>(FakePhoenixd::kLimitedPassword, make_phoenixd);
}
TEST_CASE("lnbits: its keys are for what they are for") {
    check_credentials<FakeLnBits>(FakeLnBits::kInvoiceKey, make_lnbits);
}

TEST_CASE("lnd, cln: the hash of an invoice follows from its label alone") {
    LndRig lnd_rig;
    ClnRig cln_rig;
    const auto at_lnd = lnd_rig.backend().create_invoice(invoice_order("a"));
    const auto at_cln = cln_rig.backend().create_invoice(invoice_order("a"));
    REQUIRE((at_lnd.has_value() && at_cln.has_value()));
    const auto preimage =
        crypto::hmac_sha256(Bytes(32, std::byte{3}), {as_bytes("invoice|"), as_bytes("a")});
    CHECK_EQ(at_lnd->hash, PaymentHash{crypto::sha256(preimage)});
    CHECK_EQ(at_cln->hash, at_lnd->hash);
    CHECK_EQ(lnd_rig.node.invoices_made(), 1);
}

TEST_CASE("lnd, cln: the limit of the fee goes to the node with every payment") {
    LndRig lnd_rig;
    auto order = payment_order(lnd_rig.node.outside_invoice(kAmount, Outcome::Paid));
    order.fee_max = 1'013_msat;
    check_settled(lnd_rig.backend().pay(order), order.hash);
    const auto told = Json::parse(lnd_rig.node.last_body("/v2/router/send"));
    CHECK_EQ(told.at("fee_limit_msat"), "1013");
    CHECK_FALSE(told.contains("amt_msat"));  // The invoice says it.
    ClnRig cln_rig;
    order = payment_order(cln_rig.node.outside_invoice(kAmount, Outcome::Paid));
    order.fee_max = 1'013_msat;
    const auto paid = cln_rig.backend().pay(order);
    check_settled(paid, order.hash);
    CHECK_EQ(paid->fee, 1'013_msat);
    CHECK_EQ(Json::parse(cln_rig.node.last_body("/v1/xpay")).at("maxfee"), 1'013);
}

TEST_CASE("cln: a release without xpay is told by pay") {
    NodeRig<FakeOldCln> rig{FakeCln::kInvoiceRune, FakeCln::kPayRune, cln};
    const auto order = payment_order(rig.node.outside_invoice(kAmount, Outcome::Paid));
    check_settled(rig.backend().pay(order), order.hash);
    CHECK_FALSE(rig.node.last_body("/v1/pay").empty());
}

TEST_CASE("phoenixd, lnbits: fractions of a satoshi are refused, not rounded") {
    PhoenixdRig phoenixd;
    LnBitsRig lnbits;
    auto order = invoice_order("a");
    order.amount = 21'001_msat;
    CHECK_EQ(phoenixd.backend().create_invoice(order).error(), BackendError::Refused);
    CHECK_EQ(lnbits.backend().create_invoice(order).error(), BackendError::Refused);
    CHECK_EQ(phoenixd.node.invoices_made(), 0);
    CHECK_EQ(lnbits.node.invoices_made(), 0);
}

TEST_CASE("phoenixd: a release that can't say what became of a payment is told of none") {
    NodeRig<FakeOldPhoenixd> rig{FakePhoenixd::kLimitedPassword, FakePhoenixd::kPassword,
                                 make_phoenixd};
    const auto order = payment_order(rig.node.outside_invoice(kAmount, Outcome::Paid));
    for (int i = 0; i < 2; ++i) {
        CHECK_EQ(rig.backend().pay(order).error(), BackendError::Unreachable);
    }
    CHECK_EQ(rig.node.times_paid(order.hash), 0);
}

TEST_CASE("lnbits: a wallet is not told to pay itself") {
    LnBitsRig rig;
    const auto invoice = rig.backend().create_invoice(invoice_order("a"));
    REQUIRE(invoice.has_value());
    const auto order = payment_order(invoice->bolt11);
    for (int i = 0; i < 2; ++i) {
        CHECK_EQ(rig.backend().pay(order).error(), BackendError::Refused);
    }
    // The last that it was told of was to make the invoice.
    CHECK_EQ(Json::parse(rig.node.last_body("/api/v1/payments")).at("out"), false);
    CHECK_EQ(rig.backend().incoming(invoice->hash)->state, PaymentState::Pending);
}

TEST_CASE("phoenixd: what counts is what is left of a payment that opened a channel") {
    PhoenixdRig rig;
    rig.node.charge_for_liquidity(4'000_msat);
    const auto invoice = rig.backend().create_invoice(invoice_order("a"));
    REQUIRE(invoice.has_value());
    rig.node.pay_in(invoice->hash, kAmount);
    const auto payment = rig.backend().incoming(invoice->hash);
    REQUIRE(payment.has_value());
    CHECK_EQ(payment->amount, 17'000_msat);
    CHECK_EQ(payment->fee, 4'000_msat);
}

TEST_CASE("lnd: its own certificate is taken where it was given, and no other") {
    TlsLnd node;
    NodeOptions options;
    options.url = "https" + node.url().substr(4);
    options.network = Network::Regtest;
    options.receive_credential = Secret{to_bytes(FakeLnd::kInvoiceMacaroon)};
    options.label_key = Secret{Bytes(32, std::byte{3})};
    const auto pinned = http::make_client({.ca_file = node.certificate.file});
    const auto with = make_lnd(NodeOptions{options.url,
                                           options.network,
                                           options.receive_credential.copy(),
                                           {},
                                           options.label_key.copy()},
                               *pinned);
    CHECK(with->create_invoice(invoice_order("a")).has_value());
    const auto strangers = http::make_client({});
    const auto without = make_lnd(std::move(options), *strangers);
    CHECK_EQ(without->create_invoice(invoice_order("b")).error(), BackendError::Unreachable);
    CHECK_EQ(node.invoices_made(), 1);
}

TEST_CASE("lnd: a macaroon that may not ask who the node is does so once") {
    struct InvoicesOnly final : http::Client {
        int asked = 0;
        bool starting = false;
        Result<http::Response, http::ClientError> call(
            const http::ClientRequest& request) override {
            if (request.url.find("/v1/getinfo") == std::string::npos) {
                return http::json_response(200, R"({"invoices":[]})");
            }
            ++asked;
            return http::json_response(
                500, starting ? R"({"code":2,"message":"the RPC server is starting up"})"
                              : R"({"code":2,"message":"permission denied","details":[]})");
        }
    } client;
    NodeOptions options;
    options.url = "https://127.0.0.1:8080";
    const auto node = make_lnd(std::move(options), client);
    client.starting = true;
    CHECK(node->status().has_value());
    client.starting = false;
    for (int i = 0; i < 3; ++i) CHECK(node->status().has_value());
    CHECK_EQ(client.asked, 2);
}

TEST_CASE("lnd, phoenixd, lnbits: what a node pushes is a hint to ask, and nothing else") {
    struct Case {
        std::string_view kind;
        std::string_view target;
        std::string message;
    };
    const PaymentHash hash{ByteArray<32>{std::byte{7}}};
    const std::string base64 = to_base64(hash.bytes());
    for (const Case& pushed :
         {Case{"lnd", "/v1/invoices/subscribe?method=GET",
               R"({"result":{"r_hash":")" + base64 + R"(","state":"SETTLED"}})"},
          Case{"phoenixd", "/websocket",
               R"({"type":"payment_received","amountSat":21,"paymentHash":")" + hash.hex() + "\"}"},
          Case{"lnbits", "/api/v1/ws/invoice-key",
               R"({"wallet_balance":1,"payment":{"payment_hash":")" + hash.hex() + "\"}}"}}) {
        CAPTURE(pushed.kind);
        std::promise<PaymentHash> hinted;
        std::promise<void> done;
        std::string asked;
        RawServer server{[&](RawSocket& socket, std::size_t) {
            WebSocketPeer peer{socket};
            if (!peer.accept()) return;
            asked = peer.target();
            if (pushed.kind == "lnd") CHECK_EQ(peer.read(), "{}");
            peer.send("nonsense");
            peer.send(R"({"result":{"r_hash":5},"payment":[],"paymentHash":"x"})");
            peer.send(pushed.message);
            done.get_future().wait();
        }};
        metrics::Registry metrics;
        http::WebSockets sockets{{}, metrics};
        const auto client = http::make_client({});
        const auto database = *store::open("sqlite::memory:");
        NodeOptions options;
        options.url = server.url();
        options.network = Network::Regtest;
        options.receive_credential = Secret{to_bytes("invoice-key")};
        options.pushes = &sockets;
        const auto node = pushed.kind == "lnd" ? make_lnd(std::move(options), *client)
                          : pushed.kind == "phoenixd"
                              ? make_phoenixd(std::move(options), *client, *database)
                              : make_lnbits(std::move(options), *client, *database);
        node->on_change([&](const PaymentHash& payment) { hinted.set_value(payment); });
        CHECK_EQ(hinted.get_future().get(), hash);
        CHECK_EQ(asked, pushed.target);
        done.set_value();
    }
}
