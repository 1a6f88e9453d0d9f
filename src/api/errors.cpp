#include "errors.h"

#include <string>

#include "nutgate/api/api.h"

namespace nutgate::api {
namespace {

using Code = CashierError::Code;
using http::ApiError;

ApiError make(int status, std::string type, std::string code, std::string message) {
    return {.status = status,
            .type = std::move(type),
            .code = std::move(code),
            .message = std::move(message)};
}

ApiError invalid(std::string code, std::string message) {
    return make(400, "invalid_request_error", std::move(code), std::move(message));
}

// A table: NOLINTNEXTLINE(readability-function-size)
ApiError of_code(Code code) {
    switch (code) {
        case Code::TokenInvalid:
        case Code::TokenAmountOverflow:
            return make(400, "invalid_token", "invalid_cashu_token", "The Cashu token is invalid.");
        case Code::TokenSpent:
        case Code::TokenUsed:
            return make(400, "token_already_spent", "cashu_token_already_spent",
                        "The Cashu token has already been spent.");
        case Code::TokenZeroValue:
            return make(400, "cashu_error", "cashu_token_zero_value",
                        "The Cashu token is worth nothing.");
        case Code::TokenLocked:
            return make(400, "cashu_error", "cashu_token_redemption_failed",
                        "The Cashu token is locked to somebody else.");
        case Code::TokenFeesExceedAmount:
            return make(422, "mint_error", "cashu_token_swap_fees_exceed_amount",
                        "The Cashu token is worth less than the fees of taking it.");
        case Code::TokenUnitForeign:
            return make(400, "cashu_error", "cashu_token_redemption_failed",
                        "Only tokens in sat or msat are taken.");
        case Code::TokenMintForeign:
            return make(
                400, "untrusted_mint", "cashu_untrusted_source_mint",
                "This node does not take tokens of that mint; /v1/info lists those it does.");
        case Code::TokenKeysetUnknown:
            return make(400, "cashu_error", "cashu_token_redemption_failed",
                        "The token's keyset is not one of its mint's.");
        case Code::TokenPending:
            return make(503, "token_pending", "cashu_token_pending",
                        "Another operation at the mint has this token at the moment. Try again.");
        case Code::MintRefused:
            return make(400, "cashu_error", "cashu_token_redemption_failed",
                        "The mint refused the token.");
        case Code::MintUnreachable:
            return make(503, "mint_unreachable", "cashu_source_mint_unreachable",
                        "The mint does not answer. The token was not touched.");
        case Code::MintRateLimited:
            return make(503, "mint_rate_limited", "cashu_mint_rate_limited",
                        "The mint asks for patience. The token was not touched.");
        case Code::InProgress:
            return make(503, "mint_timeout", "cashu_mint_timeout",
                        "Begun, and it will be finished: ask again with the same request.");
        case Code::KeyUnknown:
            return make(401, "invalid_request_error", "invalid_api_key",
                        "There is no such API key.");
        case Code::KeyRevoked:
            return make(401, "invalid_request_error", "invalid_api_key",
                        "This API key was revoked.");
        case Code::ChildKey:
            return invalid("child_key", "A child key can't do that: use its parent.");
        case Code::ChildUnknown:
            return make(404, "invalid_request_error", "child_key_not_found",
                        "Child key not found.");
        case Code::NotTheParent:
            return make(403, "invalid_request_error", "not_the_parent",
                        "That key is no child of this one.");
        case Code::CountOutOfRange:
            return invalid("count_out_of_range", "Count must be between 1 and 50.");
        case Code::LimitInvalid:
            return invalid("limit_invalid", "The validity date is over already.");
        case Code::AmountOutOfRange:
            return invalid("amount_out_of_range", "amount_sats must be from 1 to 1000000.");
        case Code::InvoiceUnknown:
            return make(404, "invalid_request_error", "invoice_not_found", "Invoice not found");
        case Code::InvoiceMalformed:
            return invalid("invalid_bolt11", "This is not a BOLT11 invoice.");
        case Code::RequestUnknown:
            return make(404, "invalid_request_error", "request_not_found",
                        "There is no such payment request.");
        case Code::RequestExpired:
            return make(410, "invalid_request_error", "request_expired",
                        "This payment request has expired. The token was not touched.");
        case Code::RequestPaid:
            return make(409, "invalid_request_error", "request_paid",
                        "This payment request was paid by another token. Yours was not touched.");
        case Code::PaymentUnfit:
            return invalid("payment_unfit",
                           "That is not what was asked for. The token was not touched:");
        case Code::TooManyInvoices:
            return make(503, "api_error", "too_many_invoices",
                        "Too many invoices are open at the moment. Try again later.");
        case Code::LightningOff:
            return make(503, "api_error", "lightning_off", "This node makes no invoices.");
        case Code::LightningUnreachable:
            return make(503, "api_error", "lightning_unreachable",
                        "The Lightning backend does not answer.");
        case Code::LightningRefused:
            return make(502, "api_error", "lightning_refused",
                        "The Lightning backend refused to make an invoice.");
        case Code::OffersOff:
            return make(503, "api_error", "offers_off",
                        "This node makes no offers: ask for an invoice.");
        case Code::OfferUnknown:
            return make(404, "invalid_request_error", "offer_not_found", "Offer not found");
        case Code::TooManyOffers:
            return make(503, "api_error", "too_many_offers",
                        "Too many offers are open at the moment. Ask for an invoice.");
        case Code::KeyHasOffers:
            return make(409, "invalid_request_error", "key_has_offers",
                        "This key has as many offers as it may. Close one first.");
        case Code::NoBalance:
            return invalid("no_balance", "No balance to refund");
        case Code::BalanceTooSmall:
            return invalid("balance_too_small", "Balance too small to refund");
        case Code::RequestsInFlight:
            return invalid("requests_in_flight",
                           "Cannot refund key. There are ongoing requests for this api key.");
        case Code::MintInsufficient:
            return make(503, "api_error", "mint_insufficient",
                        "Mint service unavailable: the node has not enough ecash at hand. The "
                        "balance was not touched.");
        case Code::MintFull:
            return make(503, "api_error", "mint_full",
                        "This node holds as much of that mint as it wants to. The token was not "
                        "touched: pay with one of another mint, or over Lightning.");
        case Code::PaymentFailed:
            return make(502, "api_error", "payment_failed",
                        "The payment failed. Nothing was taken.");
        case Code::RevenueInsufficient:
            return invalid("revenue_insufficient", "That is more than the revenue.");
        case Code::LightningInsufficient:
            return invalid("lightning_insufficient",
                           "No Lightning backend of the node holds so much.");
        case Code::TargetInvalid:
            return invalid("invalid_target",
                           "That is no BOLT11 invoice, Lightning address or LNURL to pay to.");
        case Code::InvoiceForeign:
            return invalid("invoice_foreign", "That invoice is of another network.");
        case Code::InvoiceAmountless:
            return invalid("invoice_amountless",
                           "That invoice names no amount: give one that does.");
        case Code::InvoiceOtherAmount:
            return invalid("invoice_other_amount",
                           "That invoice names another amount than the request.");
        case Code::InvoiceExpired:
            return invalid("invoice_expired", "That invoice has expired, or is about to.");
        case Code::InvoiceOurs:
            return invalid("invoice_ours", "That invoice is one of this node's own.");
        case Code::InvoiceSeen:
            return make(409, "invalid_request_error", "invoice_seen",
                        "This node has paid that invoice, or is paying it.");
        case Code::LnurlUnreachable:
            return make(400, "invalid_request_error", "lnurl_unreachable",
                        "Nobody who may be asked answers for that address.");
        case Code::LnurlRefused:
            return make(400, "invalid_request_error", "lnurl_refused",
                        "That address can't be paid:");
        case Code::LnurlAmount:
            return invalid("lnurl_amount", "That address does not take such an amount:");
        case Code::BalanceInsufficient:
            return invalid("balance_insufficient", "The balance does not cover that:");
        case Code::RemittanceOpen:
            return make(409, "invalid_request_error", "refund_in_progress",
                        "Another Lightning refund of this key is under way.");
        case Code::RemittanceReused:
            return make(409, "invalid_request_error", "refund_id_reused",
                        "That refund_id stands for a refund to another target or amount.");
        case Code::RemittanceUnknown:
            return make(404, "invalid_request_error", "refund_not_found", "Refund not found");
        case Code::PayingBusy:
            return make(503, "api_error", "paying_busy",
                        "So many payments are being made that another must wait. Nothing was "
                        "taken.");
        case Code::BooksUnsound:
        case Code::BooksRefused:
            return make(500, "api_error", "internal_error",
                        "The books refused this. Nothing was changed; please tell the operator.");
        case Code::StoreUnavailable:
            return make(503, "api_error", "store_unavailable",
                        "The node's database is not available. Nothing was changed.");
    }
    return {};
}

}  // namespace

http::ApiError to_api_error(const CashierError& error) {
    ApiError answer = of_code(error.code);
    // With the numbers: they say how much more a token needs.
    const bool tells = error.code == Code::TokenFeesExceedAmount ||
                       error.code == Code::PaymentUnfit || error.code == Code::LnurlRefused ||
                       error.code == Code::LnurlAmount || error.code == Code::BalanceInsufficient;
    if (tells && !error.detail.empty()) answer.message += " " + error.detail + ".";
    if (error.code == Code::RemittanceOpen) {
        answer.detail = {{"refund_id", http::json_quote(error.detail)},
                         {"status", http::json_quote("pending")}};
    }
    if (error.code == Code::LimitInvalid) answer.param = "validity_date";
    const bool temporary = answer.status == 503;
    if (error.retry_after || temporary) {
        const auto seconds = error.retry_after.value_or(Seconds{2});
        answer.headers.set("Retry-After", std::to_string(seconds.count()));
    }
    return answer;
}

http::ApiError invalid_field(std::string_view param, std::string message) {
    auto error = invalid("invalid_value", std::move(message));
    error.param = std::string{param};
    return error;
}

http::ApiError too_many_requests(Seconds retry_after) {
    auto error = make(429, "rate_limit_error", "rate_limit_exceeded",
                      "Too many requests from your address. Try again later.");
    error.headers.set("Retry-After", std::to_string(retry_after.count()));
    return error;
}

http::ApiError missing_key() {
    return make(401, "invalid_request_error", "missing_api_key", "API key or Cashu token required");
}

http::ApiError malformed_key() {
    return make(401, "invalid_request_error", "invalid_api_key",
                "Invalid API key format. Expected an 'sk-...' API key or a 'cashu...' token.");
}

http::ApiError unknown_bearer() {
    return make(401, "invalid_request_error", "key_not_found", "API key not found.");
}

}  // namespace nutgate::api
