// A wallet by Nostr Wallet Connect with its fake service and relay, for the contract suite: faults
// come in where they do in this protocol, between relay, service and client. Time is the clock's
// alone: what is lost makes it pass.
#pragma once

#include <memory>
#include <string>

#include "fake_nwc.h"
#include "nutgate/lightning/nwc.h"
#include "nutgate/store/open.h"
#include "support/temp_dir.h"

namespace nutgate::test {

template <NwcEncryption kEncryption = NwcEncryption::Nip44>
class NwcRig : public LightningRig {
public:
    explicit NwcRig(std::string_view receive_secret = FakeNwc::kReceiveSecret,
                    std::string_view pay_secret = FakeNwc::kPaySecret)
        : receive_{receive_secret}, pay_{pay_secret} {
        node.serve_at(relay);
        open();
    }
    ~NwcRig() override { relay.stop(); }
    NwcRig(const NwcRig&) = delete;
    NwcRig& operator=(const NwcRig&) = delete;

    LightningNode& backend() override { return *backend_; }
    void pay_in(const Invoice& invoice, Msat amount) override { node.pay_in(invoice.hash, amount); }
    std::string outside_invoice(Msat amount, Outcome outcome) override {
        return node.outside_invoice(amount, outcome);
    }
    void wait_for_the_end_of(const PaymentHash& hash, Outcome outcome) override {
        node.conclude(hash, outcome == Outcome::UnknownThenPaid);
    }
    void reopen() override { open(); }

    bool has_node() const override { return true; }
    void trouble_at(int n, Trouble trouble) override { node.trouble_at(n, trouble); }
    // Looked up, looked up once more whether it is our own, told.
    int telling() const override { return 3; }
    void no_trouble() override { node.no_trouble(); }
    void stop_node() override { relay.stop(); }
    void start_node() override {
        relay.start();
        // Each address is a client of its own.
        relay.wait_for_subscribed(pay_.empty() || pay_ == receive_ ? 1 : 2);
    }
    void tell_again(const Invoice& invoice) override {
        node.notify("payment_received", invoice.hash, FakeNwc::kReceiveSecret);
    }
    void expire(const Invoice& invoice) override { node.expire(invoice.hash); }
    std::string expired_invoice(Msat amount) override {
        return node.outside_invoice(amount, Outcome::Paid, Seconds{7200});
    }
    int times_paid(const PaymentHash& hash) override { return node.times_paid(hash); }

    static NodeOptions options(http::WebSockets& sockets) {
        NodeOptions options;
        options.network = Network::Regtest;
        options.pushes = &sockets;
        options.timeout = Seconds{10};
        options.pay_time = Seconds{10};
        return options;
    }
    static NwcOptions nwc_options() {
        return {.relay_patience = Milliseconds{20},
                .grace = Seconds{5},
                .backoff_first = Milliseconds{5},
                .backoff_max = Milliseconds{20}};
    }

    FixedClock clock{SystemClock{}.now()};
    FakeNwc node{clock, kEncryption};
    FakeRelay relay;  // After the service: its thread calls that.

private:
    void open() {
        backend_.reset();
        sockets_.reset();
        database_.reset();
        database_ = *store::open(folder_.database_url());
        REQUIRE(migrate_lightning(*database_));
        sockets_ = std::make_unique<http::WebSockets>(http::WebSockets::Options{}, metrics_);
        auto wanted = options(*sockets_);
        wanted.receive_credential = Secret{to_bytes(node.uri(receive_))};
        if (!pay_.empty()) wanted.pay_credential = Secret{to_bytes(node.uri(pay_))};
        backend_ = make_nwc(std::move(wanted), nwc_options(), *database_, clock, random_);
        REQUIRE(backend_ != nullptr);
    }

    const std::string receive_;
    const std::string pay_;
    TempDir folder_;
    metrics::Registry metrics_;
    crypto::SystemRandom random_;
    std::unique_ptr<store::Database> database_;
    std::unique_ptr<http::WebSockets> sockets_;
    std::unique_ptr<LightningNode> backend_;
};

}  // namespace nutgate::test
