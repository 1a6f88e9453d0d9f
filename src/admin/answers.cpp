#include "answers.h"

#include <utility>

#include "nutgate/base/json_depth.h"

namespace nutgate::admin {
namespace {

using http::ApiError;
using http::Request;
using Code = CashierError::Code;

bool authorised(const Request& request, const Secret& token) {
    constexpr std::string_view kScheme = "Bearer ";
    const auto header = request.headers.find("authorization");
    if (!header || !header->starts_with(kScheme)) return false;
    return equal_in_constant_time(as_bytes(header->substr(kScheme.size())), token.reveal());
}

ApiError wrong(const char* name, const char* what) {
    return refusal(400, "invalid_" + std::string{name}, std::string{name} + " " + what);
}

std::string with_detail(std::string message, const std::string& detail) {
    return detail.empty() ? message : message + ": " + detail;
}

}  // namespace

ApiError refusal(int status, std::string code, std::string message) {
    return {.status = status,
            .type = status >= 500 ? "api_error" : "invalid_request_error",
            .code = std::move(code),
            .message = std::move(message)};
}

// A table: NOLINTNEXTLINE(readability-function-size)
namespace {

struct PayoutWords {
    Code code;
    int status;
    const char* name;
    const char* message;
};
constexpr PayoutWords kPayoutWords[] = {
    {Code::TargetInvalid, 400, "invalid_target",
     "that is no BOLT11 invoice, Lightning address or LNURL to pay to"},
    {Code::InvoiceForeign, 400, "invoice_foreign", "that invoice is of another network"},
    {Code::InvoiceAmountless, 400, "invoice_amountless", "that invoice names no amount"},
    {Code::InvoiceOtherAmount, 400, "invoice_other_amount", "that invoice names another amount"},
    {Code::InvoiceExpired, 400, "invoice_expired", "that invoice has expired, or is about to"},
    {Code::InvoiceOurs, 400, "invoice_ours", "that invoice is one of this node's own"},
    {Code::LnurlUnreachable, 400, "lnurl_unreachable", "nobody who may be asked answers there"},
    {Code::LnurlRefused, 400, "lnurl_refused", "that address can't be paid"},
    {Code::LnurlAmount, 400, "lnurl_amount", "that address does not take such an amount"},
    {Code::InvoiceSeen, 409, "invoice_seen", "that invoice was paid, or is being paid"},
    {Code::BalanceInsufficient, 409, "balance_insufficient", "there is not so much"},
    {Code::RemittanceOpen, 409, "payout_open", "another is under way"},
    {Code::RemittanceReused, 409, "request_reused",
     "that request stands for a payout to another target or of another amount"},
    {Code::RemittanceUnknown, 404, "payout_unknown", "there is no such payout"},
    {Code::PayingBusy, 503, "paying_busy", "so many payments are being made; try again"},
    {Code::BooksUnsound, 409, "books_unsound",
     "the audit fails, and nothing is taken out before it does not"},
};

ApiError of_payout(const CashierError& error) {
    for (const PayoutWords& words : kPayoutWords) {
        if (words.code != error.code) continue;
        return refusal(words.status, words.name, with_detail(words.message, error.detail));
    }
    VERIFY(false);
    return {};
}

}  // namespace

ApiError of_cashier(const CashierError& error) {
    const auto say = [&](int status, const char* code, const char* message) {
        return refusal(status, code, with_detail(message, error.detail));
    };
    switch (error.code) {
        case Code::RevenueInsufficient:
            return say(409, "revenue_insufficient",
                       "that, with what it may cost, is more than the revenue: customers' ecash is "
                       "not spendable");
        case Code::MintInsufficient:
            return say(409, "mint_insufficient", "there is not so much ecash at one mint");
        case Code::LightningInsufficient:
            return say(409, "lightning_insufficient",
                       "no Lightning backend of ours holds so much that is ours");
        case Code::MintFull:
            return say(409, "mint_full", "that is more than is to be held at that mint");
        case Code::PaymentFailed:
            return say(409, "payment_failed", "it could not be paid, and nothing was taken");
        case Code::InProgress:
            return say(503, "in_progress",
                       "begun, and it will be finished: ask again with the same request");
        case Code::StoreUnavailable:
            return say(503, "store_unavailable", "the database takes no writes");
        case Code::MintUnreachable:
            return say(503, "mint_unreachable", "the mint does not answer");
        case Code::MintRateLimited:
            return say(503, "mint_rate_limited", "the mint asks for patience");
        case Code::TokenSpent:
            return say(400, "token_spent", "the token is spent");
        case Code::TokenUsed:
            return say(400, "token_used", "the token was taken in before, for something else");
        case Code::TokenMintForeign:
            return say(400, "mint_foreign", "that is none of the node's mints");
        case Code::TokenFeesExceedAmount:
            return say(400, "fees_exceed_amount", "the token is worth less than its fees");
        case Code::TokenInvalid:
        case Code::TokenZeroValue:
        case Code::TokenLocked:
        case Code::TokenUnitForeign:
        case Code::TokenAmountOverflow:
        case Code::TokenKeysetUnknown:
        case Code::TokenPending:
            return say(400, "invalid_token", "the token can't be taken in");
        case Code::InvoiceMalformed:
            return say(400, "invalid_invoice", "that invoice can't be paid");
        case Code::AmountOutOfRange:
            return say(400, "invalid_amount", "that is no amount to move");
        case Code::TargetInvalid:
        case Code::InvoiceForeign:
        case Code::InvoiceAmountless:
        case Code::InvoiceOtherAmount:
        case Code::InvoiceExpired:
        case Code::InvoiceOurs:
        case Code::LnurlUnreachable:
        case Code::LnurlRefused:
        case Code::LnurlAmount:
        case Code::InvoiceSeen:
        case Code::BalanceInsufficient:
        case Code::RemittanceOpen:
        case Code::RemittanceReused:
        case Code::RemittanceUnknown:
        case Code::PayingBusy:
        case Code::BooksUnsound:
            return of_payout(error);
        case Code::MintRefused:
        case Code::KeyUnknown:
        case Code::KeyRevoked:
        case Code::ChildKey:
        case Code::ChildUnknown:
        case Code::NotTheParent:
        case Code::CountOutOfRange:
        case Code::LimitInvalid:
        case Code::InvoiceUnknown:
        case Code::RequestUnknown:
        case Code::RequestExpired:
        case Code::RequestPaid:
        case Code::PaymentUnfit:
        case Code::TooManyInvoices:
        case Code::LightningOff:
        case Code::OffersOff:
        case Code::OfferUnknown:
        case Code::TooManyOffers:
        case Code::KeyHasOffers:
        case Code::LightningUnreachable:
        case Code::LightningRefused:
        case Code::NoBalance:
        case Code::BalanceTooSmall:
        case Code::RequestsInFlight:
        case Code::BooksRefused:
            return say(502, "refused", "it was refused");
    }
    VERIFY(false);
    return {};
}

ApiError of_wallet(const cashu::WalletError& error) { return of_cashier(CashierError{error}); }

Result<Body, ApiError> Body::of(const Request& request) {
    Body body;
    if (request.body.empty()) {
        body.body_ = Json::object();
    } else if (!nests_too_deep(request.body)) {
        body.body_ = Json::parse(request.body, nullptr, false);
    }
    if (body.body_.is_object()) return body;
    return fail(refusal(400, "invalid_json", "the body must be a JSON object"));
}

Result<std::string, ApiError> Body::text(const char* name) const {
    const auto field = body_.find(name);
    if (field == body_.end() || !field->is_string()) return fail(wrong(name, "must be a text"));
    return field->get<std::string>();
}

Result<std::optional<Sat>, ApiError> Body::optional_sats(const char* name) const {
    const auto field = body_.find(name);
    if (field == body_.end() || field->is_null()) return std::optional<Sat>{};
    if (!field->is_number_integer()) return fail(wrong(name, "must be a whole number"));
    const auto amount = Sat::from_raw(field->get<std::int64_t>());
    if (!amount) return fail(wrong(name, "is out of range"));
    return amount;
}

Result<Sat, ApiError> Body::sats(const char* name) const {
    TRY(const auto amount, optional_sats(name));
    if (!amount || *amount == Sat{}) return fail(wrong(name, "must be at least 1"));
    return *amount;
}

Result<std::optional<cashu::MintUrl>, ApiError> Body::optional_mint(const char* name) const {
    const auto field = body_.find(name);
    if (field == body_.end() || field->is_null()) return std::optional<cashu::MintUrl>{};
    TRY(const auto url, text(name));
    const auto mint = cashu::MintUrl::parse(url);
    if (!mint) return fail(wrong(name, "must be a mint's URL or \"embedded\""));
    return mint;
}

Result<cashu::MintUrl, ApiError> Body::mint(const char* name) const {
    TRY(const auto mint, optional_mint(name));
    if (!mint) return fail(wrong(name, "is required"));
    return *mint;
}

Result<OperationId, ApiError> Body::request_id() const {
    TRY(const auto name, text("request"));
    const auto id = OperationId::parse(name);
    if (!id) return fail(wrong("request", "must be 32 hex digits"));
    return *id;
}

void add(http::Server& server, const Services& services, http::Route route, Effect effect,
         Handler handler) {
    server.route_blocking(
        std::move(route),
        [services, effect, handler = std::move(handler)](const Request& request) -> http::Response {
            if (!authorised(request, services.operator_token)) {
                return http::to_response(
                    refusal(401, "invalid_operator_token",
                            "the token in the data dir's operator.token is required"),
                    request.request_id);
            }
            if (services.read_only && effect == Effect::Writes) {
                return http::to_response(
                    refusal(503, "read_only", "the books do not add up: see nutgate audit --full"),
                    request.request_id);
            }
            const Answer answer = handler(services, request);
            if (!answer) return http::to_response(answer.error(), request.request_id);
            return http::json_response(
                200, answer->dump(-1, ' ', false, Json::error_handler_t::replace));
        });
}

}  // namespace nutgate::admin
