// What the backends over a node's HTTP interface share: how it is called, and how an answer is
// seen.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "hint_queue.h"
#include "json_value.h"
#include "nutgate/lightning/node.h"
#include "pay_once.h"

namespace nutgate::lightning {

struct NodeAnswer {
    int status = 0;
    Json json;  // Null if the body is none.
    bool has_body = false;

    bool is_success() const { return status >= 200 && status < 300; }
};

struct NodeCall {
    http::Method method = http::Method::Get;
    std::string path;  // With its query: what is secret in it is not logged.
    http::Headers headers = {};
    std::string body = {};
    std::string content_type = "application/json";
    Milliseconds timeout{0};  // 0: the options' own.
    bool first_line_only = false;
    // An invoice, a payment with all its attempts: tens of kilobytes.
    std::size_t answer_bytes_max = 1024 * 1024;
};

// What a node calls its network. Empty: none that we know.
std::optional<Network> network_from(std::string_view name);

class NodeBackend : public LightningNode {
public:
    Network network() const final { return options_.network; }
    bool pays() const final { return !options_.pay_credential.empty(); }

    Result<Payment, BackendError> pay(const PaymentOrder& order) final;
    Result<Msat, BackendError> estimate_fee(const Bolt11& invoice, Msat amount) override;
    void on_change(std::function<void(const PaymentHash&)> hint) override;
    void end_hints() override {
        if (hints_) hints_->stop();
    }

protected:
    NodeBackend(std::string name, NodeOptions options, http::Client& client);

    // Where the node tells of payments, if it does. What comes is a hint to ask, so nothing in it
    // is believed but the hash.
    struct Push {
        std::string path;
        http::Headers headers;
        std::string hello;  // Sent once the connection is open, unless it is empty.
        std::optional<PaymentHash> (*read)(const Json& message);
    };
    virtual std::optional<Push> push() const { return std::nullopt; }
    virtual Told tell(const PaymentOrder& order, const Bolt11& invoice) = 0;

    std::string credential(const Secret& secret) const {
        return std::string{as_text(secret.reveal())};
    }
    const NodeOptions& options() const { return options_; }

    Result<NodeAnswer, http::ClientError::Kind> call(const NodeCall& to_make) const;
    // Whether that, which is no success, is the node's own word that it knows of nothing of the
    // kind. A proxy that knows no such path also says 404.
    virtual bool is_not_found(const NodeAnswer&) const { return false; }
    // Of a call that changes nothing: its object. What is none is NotFound or out of reach.
    Result<Json, BackendError> look(const NodeCall& to_make) const;
    static Told told(const Result<NodeAnswer, http::ClientError::Kind>& answer);

    // Of an invoice whose node takes ours: of one label always the same. Refused if it is no order.
    Result<ByteArray<32>, BackendError> preimage_for(const InvoiceOrder& order) const;

    // Refused unless it is an invoice of our network over that amount, and of that hash if one is
    // expected.
    Result<Invoice, BackendError> checked(std::string_view bolt11, Msat amount,
                                          const std::optional<PaymentHash>& hash) const;

private:
    void listen(const Push& push);

    const std::string name_;
    const NodeOptions options_;
    http::Client& client_;
    // What a hint leads to asks the node and the database: no work for the sockets' thread. There
    // from the first on_change() of a node that tells.
    std::unique_ptr<HintQueue> hints_;
    std::unique_ptr<http::WebSocket> pushes_;  // Last: its callbacks end before all else goes.
};

}  // namespace nutgate::lightning
