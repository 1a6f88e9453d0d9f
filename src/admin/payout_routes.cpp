// /admin/payouts: the owner takes revenue out over Lightning. Each names itself, so that it can be
// asked again.
#include "answers.h"

namespace nutgate::admin {
namespace {

using http::Method;
using http::Request;

constexpr int kListMax = 100;

Json to_json(const Remittance& payout) {
    return {
        {"request", payout.id.hex()},
        {"status", to_text(payout.state)},
        {"target", payout.target},
        {"amount_msat", payout.amount.raw()},
        {"fee_max_msat", payout.fee_max.raw()},
        {"fee_msat", payout.fee.raw()},
        {"payment_hash", payout.payment.hex()},
        {"preimage", payout.preimage ? Json(payout.preimage->hex()) : Json()},
        {"paid_by", payout.backend.empty() ? "mint" : payout.backend},
        {"reason", payout.failure ? Json(of_cashier(CashierError{*payout.failure}).code) : Json()},
        {"created_at", to_unix_seconds(payout.created_at)},
        {"ended_at", payout.ended_at ? Json(to_unix_seconds(*payout.ended_at)) : Json()},
        {"again", payout.again}};
}

Result<RemittanceOrder, http::ApiError> order_of(const Request& request) {
    TRY(const auto body, Body::of(request));
    TRY(const auto target, body.text("target"));
    TRY(const auto amount, body.optional_sats("amount_sats"));
    TRY(const auto id, body.request_id());
    return RemittanceOrder{.id = id,
                           .target = target,
                           .amount = amount ? std::optional{to_msat(*amount)} : std::nullopt};
}

Answer send(const Services& services, const Request& request) {
    TRY(const auto order, order_of(request));
    const auto sent = services.remitter.remit(std::nullopt, order);
    if (!sent) return fail(of_cashier(sent.error()));
    if (sent->state == RemittanceState::Failed) {
        return fail(
            of_cashier(CashierError{sent->failure.value_or(CashierError::Code::PaymentFailed)}));
    }
    return to_json(*sent);
}

Answer estimate(const Services& services, const Request& request) {
    TRY(const auto order, order_of(request));
    const auto found = services.remitter.estimate(std::nullopt, order);
    if (!found) return fail(of_cashier(found.error()));
    return Json{{"amount_msat", found->amount.raw()},
                {"fee_max_msat", found->fee_max.raw()},
                {"withdrawable_msat", found->available.raw()},
                {"is_exact", found->is_exact}};
}

Answer list(const Services& services, const Request& request) {
    Json lines = Json::array();
    if (const auto asked = request.query_value("request")) {
        const auto id = OperationId::parse(*asked);
        if (!id) return fail(refusal(400, "invalid_request", "request must be 32 hex digits"));
        const auto found = services.remitter.find(std::nullopt, *id);
        if (!found) return fail(of_cashier(found.error()));
        lines.push_back(to_json(*found));
    } else {
        const auto all = services.remitter.list(std::nullopt, kListMax);
        if (!all) return fail(of_cashier(all.error()));
        for (const Remittance& payout : *all) lines.push_back(to_json(payout));
    }
    return Json{{"payouts", lines}};
}

}  // namespace

void add_payout_routes(http::Server& server, const Services& services) {
    add(server, services, {.method = Method::Post, .pattern = "/admin/payouts"}, Effect::Writes,
        send);
    add(server, services, {.method = Method::Post, .pattern = "/admin/payouts/estimate"},
        Effect::Writes, estimate);
    add(server, services, {.method = Method::Get, .pattern = "/admin/payouts"}, Effect::Reads,
        list);
}

}  // namespace nutgate::admin
