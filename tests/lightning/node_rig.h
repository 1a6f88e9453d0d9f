// A backend over HTTP with its fake node behind it, for the contract suite: faults come in between
// the two, through the client.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "contract/lightning_contract.h"
#include "fake_node.h"
#include "nutgate/lightning/node.h"
#include "nutgate/store/open.h"
#include "support/temp_dir.h"

namespace nutgate::test {

// What a network and a proxy on it do to one call.
class TroubledHttp final : public http::Client {
public:
    using Trouble = LightningRig::Trouble;

    explicit TroubledHttp(http::Client& behind) : behind_{behind} {}

    void trouble_at(int n, Trouble trouble) {
        left_ = n;
        trouble_ = trouble;
    }
    void no_trouble() { left_ = 0; }

    Result<http::Response, http::ClientError> call(const http::ClientRequest& request) override {
        using Kind = http::ClientError::Kind;
        const bool now = left_ > 0 && --left_ == 0;
        if (now && trouble_ == Trouble::RefuseConnection) {
            return fail(http::ClientError{Kind::NotSent, "refused"});
        }
        if (now && trouble_ == Trouble::LoseRequest) {
            return fail(http::ClientError{Kind::Ambiguous, "lost"});
        }
        auto answer = behind_.call(request);
        if (!now) return answer;
        switch (trouble_) {
            case Trouble::Double:
                return behind_.call(request);
            case Trouble::ServerError:
                return http::Response{502, {}, "<html>bad gateway</html>"};
            case Trouble::Nonsense:
                return http::json_response(200, "{\"");
            case Trouble::LoseAnswer:
            case Trouble::RefuseConnection:
            case Trouble::LoseRequest:
                break;
        }
        return fail(http::ClientError{Kind::Ambiguous, "timed out"});
    }

private:
    http::Client& behind_;
    int left_ = 0;
    Trouble trouble_ = Trouble::Double;
};

template <class Node>
class NodeRig : public LightningRig {
public:
    using Make =
        std::function<std::unique_ptr<LightningNode>(NodeOptions, http::Client&, store::Database&)>;

    NodeRig(std::string_view receive_credential, std::string_view pay_credential, Make make,
            int telling = 2)
        : receive_{receive_credential},
          pay_{pay_credential},
          make_{std::move(make)},
          telling_{telling} {
        open();
    }

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
    void trouble_at(int n, Trouble trouble) override { troubled_.trouble_at(n, trouble); }
    int telling() const override { return telling_; }
    void no_trouble() override { troubled_.no_trouble(); }
    void stop_node() override { node.stop(); }
    void start_node() override { node.start(); }
    void tell_again(const Invoice& invoice) override {
        const auto before = backend_->incoming(invoice.hash);
        REQUIRE(before.has_value());
        node.pay_in(invoice.hash, before->amount);
    }
    void expire(const Invoice& invoice) override { node.expire(invoice.hash); }
    std::string expired_invoice(Msat amount) override {
        return node.outside_invoice(amount, Outcome::Paid, Seconds{7200});
    }
    int times_paid(const PaymentHash& hash) override { return node.times_paid(hash); }

    Node node;

private:
    void open() {
        backend_.reset();
        database_.reset();
        database_ = *store::open(folder_.database_url());
        REQUIRE(migrate_lightning(*database_));
        NodeOptions options;
        options.url = node.url();
        options.network = Network::Regtest;
        options.receive_credential = Secret{to_bytes(receive_)};
        options.pay_credential = Secret{to_bytes(pay_)};
        options.label_key = Secret{Bytes(32, std::byte{3})};
        backend_ = make_(std::move(options), troubled_, *database_);
    }

    const std::string receive_;
    const std::string pay_;
    const Make make_;
    const int telling_;
    TempDir folder_;
    std::unique_ptr<http::Client> client_ = http::make_client({});
    TroubledHttp troubled_{*client_};
    std::unique_ptr<store::Database> database_;
    std::unique_ptr<LightningNode> backend_;
};

}  // namespace nutgate::test
