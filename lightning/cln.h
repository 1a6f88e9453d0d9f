// Core Lightning over clnrest: POST /v1/METHOD with a rune. Success is 201; the errors of its
// commands come as 500 with a code, which is what counts.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "node_backend.h"
#include "nutgate/lightning/offers.h"

namespace nutgate::lightning {

class Cln final : public NodeBackend, public OfferBackend {
public:
    Cln(NodeOptions options, http::Client& client)
        : NodeBackend{"cln", std::move(options), client} {}

    std::string name() const override { return "cln"; }

    // cln.cpp
    Result<Invoice, BackendError> create_invoice(const InvoiceOrder& order) override;
    Result<Payment, BackendError> incoming(const PaymentHash& hash) override;
    Result<Payment, BackendError> outgoing(const PaymentHash& hash) override;
    Result<NodeStatus, BackendError> status() override;

    // cln_offers.cpp
    std::vector<OfferBackend*> offers() override { return {this}; }
    Result<NodeOffer, BackendError> create_offer(const OfferOrder& order) override;
    Result<void, BackendError> close_offer(const OfferId& offer) override;
    Result<void, BackendError> check_offers() override;
    Result<OfferPayments, BackendError> payments(std::string_view mark) override;

private:
    Told tell(const PaymentOrder& order, const Bolt11& invoice) override;
    std::pair<Told, std::int64_t> tell_by(std::string_view method, const Json& parameters);
    // Of several under one label always the same.
    Result<NodeOffer, BackendError> find_offer(const OfferOrder& order) const;
    // `before`: the code that says that it was done already.
    Result<void, BackendError> done(const NodeCall& to_make, std::int64_t before) const;

    NodeCall rpc(std::string_view method, const Json& parameters, const Secret& rune) const;
};

}  // namespace nutgate::lightning
