#include <nlohmann/json.hpp>

#include <string>
#include <string_view>

#include "nutgate/admin/admin.h"
#include "nutgate/http/error_envelope.h"

namespace nutgate::admin {
namespace {

using http::Request;
using http::Response;
using Json = nlohmann::ordered_json;

Response refuse(const Request& request, int status, std::string code, std::string message) {
    return http::to_response({.status = status,
                              .type = status >= 500 ? "api_error" : "invalid_request_error",
                              .code = std::move(code),
                              .message = std::move(message)},
                             request.request_id);
}

bool authorised(const Request& request, const Secret& token) {
    constexpr std::string_view kScheme = "Bearer ";
    const auto header = request.headers.find("authorization");
    if (!header || !header->starts_with(kScheme)) return false;
    return equal_in_constant_time(as_bytes(header->substr(kScheme.size())), token.reveal());
}

// Facts that an operator can act upon; all others are in the log with their detail.
Response refuse_payout(const Request& request, const CashierError& error) {
    switch (error.code) {
        case CashierError::Code::RevenueInsufficient:
            return refuse(request, 409, "revenue_insufficient",
                          "that is more than the revenue: customers' ecash is not spendable");
        case CashierError::Code::MintInsufficient:
            return refuse(request, 409, "mint_insufficient",
                          "the revenue is there, the ecash is not: " + error.detail);
        case CashierError::Code::InProgress:
            return refuse(request, 503, "in_progress",
                          "begun, and it will be finished: ask again with the same request");
        case CashierError::Code::StoreUnavailable:
            return refuse(request, 503, "store_unavailable", error.detail);
        case CashierError::Code::TokenInvalid:
        case CashierError::Code::TokenSpent:
        case CashierError::Code::TokenUsed:
        case CashierError::Code::TokenZeroValue:
        case CashierError::Code::TokenLocked:
        case CashierError::Code::TokenFeesExceedAmount:
        case CashierError::Code::TokenUnitForeign:
        case CashierError::Code::TokenMintForeign:
        case CashierError::Code::TokenAmountOverflow:
        case CashierError::Code::TokenKeysetUnknown:
        case CashierError::Code::TokenPending:
        case CashierError::Code::MintRefused:
        case CashierError::Code::MintUnreachable:
        case CashierError::Code::MintRateLimited:
        case CashierError::Code::KeyUnknown:
        case CashierError::Code::KeyRevoked:
        case CashierError::Code::ChildKey:
        case CashierError::Code::ChildUnknown:
        case CashierError::Code::NotTheParent:
        case CashierError::Code::CountOutOfRange:
        case CashierError::Code::LimitInvalid:
        case CashierError::Code::AmountOutOfRange:
        case CashierError::Code::InvoiceUnknown:
        case CashierError::Code::InvoiceMalformed:
        case CashierError::Code::TooManyInvoices:
        case CashierError::Code::LightningOff:
        case CashierError::Code::LightningUnreachable:
        case CashierError::Code::LightningRefused:
        case CashierError::Code::NoBalance:
        case CashierError::Code::BalanceTooSmall:
        case CashierError::Code::RequestsInFlight:
        case CashierError::Code::MintFull:
        case CashierError::Code::PaymentFailed:
        case CashierError::Code::LightningInsufficient:
        case CashierError::Code::BooksRefused:
            return refuse(request, 502, "payout_failed", "the payout failed: " + error.detail);
    }
    return refuse(request, 500, "internal_error", error.detail);
}

Response wallet_send(Cashier& cashier, const Request& request) {
    const auto body = Json::parse(request.body, nullptr, false);
    const bool shaped = body.is_object() && body.contains("amount_sats") &&
                        body["amount_sats"].is_number_integer() && body.contains("request") &&
                        body["request"].is_string();
    if (!shaped) {
        return refuse(request, 400, "invalid_json",
                      "amount_sats (a whole number) and request (32 hex digits) are required");
    }
    const auto amount = Sat::from_raw(body["amount_sats"].get<std::int64_t>());
    const auto name = OperationId::parse(body["request"].get<std::string>());
    if (!amount || amount->raw() < 1) {
        return refuse(request, 400, "invalid_amount", "amount_sats must be at least 1");
    }
    if (!name) return refuse(request, 400, "invalid_request", "request must be 32 hex digits");
    const auto sent = cashier.owner_send(*name, *amount);
    if (!sent) return refuse_payout(request, sent.error());
    return http::json_response(
        200,
        Json{{"token", sent->token}, {"amount_sats", sent->amount.raw()}, {"again", sent->again}}
            .dump());
}

}  // namespace

void add_routes(http::Server& server, Services services) {
    server.route_blocking(
        {.method = http::Method::Get, .pattern = "/metrics"}, [services](const Request&) {
            if (services.refresh_metrics) services.refresh_metrics();
            Response response;
            response.headers.set("Content-Type", "text/plain; version=0.0.4; charset=utf-8");
            response.body = services.metrics.text();
            return response;
        });
    server.route_blocking(
        {.method = http::Method::Post, .pattern = "/admin/wallet/send"},
        [services](const Request& request) {
            if (!authorised(request, services.operator_token)) {
                return refuse(request, 401, "invalid_operator_token",
                              "the token in the data dir's operator.token is required");
            }
            if (services.read_only) {
                return refuse(request, 503, "read_only",
                              "the books do not add up: see nutgate audit --full");
            }
            return wallet_send(services.cashier, request);
        });
}

}  // namespace nutgate::admin
