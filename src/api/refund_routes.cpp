// Refunds over Lightning, beside the token's: POST /refund with a target, an estimate before it and
// the state after it. The token's fields and statuses are routstr-contract 1.2's; so are
// `lightning_address`, `recipient`, and 409 with `refund_id` and `status`.
#include "refund_routes.h"

namespace nutgate::api {
namespace {

using http::Method;
using http::Request;

constexpr const char* kTargets[] = {"bolt11", "lightning_address", "lnurl"};

Json to_json(const Remittance& remittance) {
    const bool paid = remittance.state == RemittanceState::Paid;
    const bool whole = to_msat(to_sat_floor(remittance.amount)) == remittance.amount;
    Json body{
        {"refund_id", remittance.id.hex()},
        {"status", to_text(remittance.state)},
        {"recipient", remittance.target},
        {"amount_msats", remittance.amount.raw()},
        {"fee_reserve_msats", remittance.fee_max.raw()},
        {"fee_msats", paid ? Json(remittance.fee.raw()) : Json()},
        {"payment_hash", remittance.payment.hex()},
        {"preimage", remittance.preimage ? Json(remittance.preimage->hex()) : Json()},
        {"created_at", to_unix_seconds(remittance.created_at)},
        {"ended_at", remittance.ended_at ? Json(to_unix_seconds(*remittance.ended_at)) : Json()}};
    body[whole ? "sats" : "msats"] =
        std::to_string(whole ? to_sat_floor(remittance.amount).raw() : remittance.amount.raw());
    if (remittance.failure) body["reason"] = to_api_error(CashierError{*remittance.failure}).code;
    return body;
}

http::ApiError to_error(const Remittance& failed) {
    auto error =
        to_api_error(CashierError{failed.failure.value_or(CashierError::Code::PaymentFailed)});
    error.status = 502;
    error.message = "The payment failed. All that was taken for it is back on the key.";
    error.detail = {{"refund_id", http::json_quote(failed.id.hex())},
                    {"status", http::json_quote("failed")}};
    return error;
}

// In sats or in msats, not in both.
Parsed<std::optional<Msat>> amount_of(const Fields& fields) {
    TRY(const auto sats, fields.integer("amount_sats"));
    TRY(const auto msats, fields.integer("amount_msats"));
    if (sats && msats) {
        return fail(
            invalid_field("amount_msats", "amount_sats and amount_msats exclude each other"));
    }
    if (!sats && !msats) return std::optional<Msat>{};
    const auto whole = sats ? Sat::from_raw(*sats) : std::nullopt;
    const auto amount =
        sats ? (whole ? std::optional{to_msat(*whole)} : std::nullopt) : Msat::from_raw(*msats);
    if (!amount || *amount == Msat{}) {
        return fail(
            invalid_field(sats ? "amount_sats" : "amount_msats", "the amount must be positive"));
    }
    return amount;
}

// Empty: no target is named.
Parsed<std::optional<RemittanceOrder>> order_of(Remitter& remitter, const Request& request) {
    if (request.body.empty()) return std::optional<RemittanceOrder>{};
    TRY(const auto fields, Fields::of_body(request));
    std::optional<std::string> target;
    for (const char* name : kTargets) {
        TRY(const auto named, fields.text(name));
        if (!named) continue;
        if (target) return fail(invalid_field(name, "name one target only"));
        target = named;
    }
    TRY(const auto amount, amount_of(fields));
    TRY(const auto name, fields.text("refund_id"));
    if (!target) return std::optional<RemittanceOrder>{};
    const auto id = name ? OperationId::parse(*name) : remitter.name_for(*target);
    if (!id) return fail(invalid_field("refund_id", "refund_id must be 32 hex digits"));
    return std::optional{RemittanceOrder{.id = *id, .target = *target, .amount = amount}};
}

Parsed<RemittanceOrder> required_order(Remitter& remitter, const Request& request) {
    TRY(const auto order, order_of(remitter, request));
    if (order) return *order;
    return fail(invalid_field("bolt11", "bolt11, lightning_address or lnurl is required"));
}

Answer estimate(Context& context, const Request& request) {
    TRY(const auto key, identify(context, request, FreshToken::Refuse));
    TRY(const auto order, required_order(context.services.remitter, request));
    TRY(const auto admitted, admit(context.refunds, request));
    VERIFY(admitted);
    TRY(const auto found, of_cashier(context.services.remitter.estimate(key, order)));
    const auto taken = add(found.amount, found.fee_max);
    VERIFY(taken.has_value());  // It is not more than the balance.
    return Json{{"amount_msats", found.amount.raw()},
                {"fee_reserve_msats", found.fee_max.raw()},
                {"total_msats", taken->raw()},
                {"balance_msats", found.available.raw()},
                {"is_exact", found.is_exact}};
}

Answer status(Context& context, const Request& request) {
    TRY(const auto key, identify(context, request, FreshToken::Refuse));
    TRY(const auto admitted, admit(context.statuses, request));
    VERIFY(admitted);
    const auto id = OperationId::parse(request.path_value("refund_id"));
    if (!id) return fail(to_api_error(CashierError{CashierError::Code::RemittanceUnknown}));
    TRY(const auto found, of_cashier(context.services.remitter.find(key, *id)));
    return to_json(found);
}

}  // namespace

Result<std::optional<Json>, http::ApiError> refund_over_lightning(Context& context,
                                                                  const KeyId& key,
                                                                  const Request& request) {
    TRY(const auto order, order_of(context.services.remitter, request));
    if (!order) return std::optional<Json>{};
    TRY(const auto admitted, admit(context.refunds, request));
    VERIFY(admitted);
    const auto sent = context.services.remitter.remit(key, *order);
    if (!sent && sent.error().code == CashierError::Code::KeyUnknown) return fail(unknown_bearer());
    if (!sent) return fail(to_api_error(sent.error()));
    if (sent->state == RemittanceState::Failed) return fail(to_error(*sent));
    return std::optional{to_json(*sent)};
}

void add_refund_routes(http::Server& server, Context& context, const std::string& prefix) {
    add(server, context, Method::Post, prefix + "/refund/estimate", estimate);
    add(server, context, Method::Get, prefix + "/refund/{refund_id}", status);
}

}  // namespace nutgate::api
