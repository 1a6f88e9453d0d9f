// /lightning and its mirror below /v1/balance (RIP-08, routstr-contract 1.3).
#include "context.h"
#include "invoice_json.h"

namespace nutgate::api {
namespace {

using http::Method;
using http::Request;

// The bearer, a key or a token as everywhere, wins over the body's legacy field. To a buyer a key
// that this node never made and one that was never paid for are the same: neither can be topped up.
Result<KeyId, http::ApiError> key_to_top_up(Context& context, const Request& request,
                                            const Fields& fields) {
    const Keyring& keyring = context.services.keyring;
    const auto is_unknown = [&keyring](std::string_view text) {
        return text.starts_with("sk-") && text.size() == Keyring::kTextSize &&
               !keyring.authenticate(text);
    };
    if (const auto bearer = bearer_of(request)) {
        if (is_unknown(*bearer)) return fail(never_paid_key());
        return identify(context, request, FreshToken::Deposit);
    }
    TRY(const auto text, fields.text("api_key"));
    if (!text) {
        auto error = missing_key();
        error.message = "Authorization bearer api key is required for topup";
        return fail(std::move(error));
    }
    if (is_unknown(*text)) return fail(never_paid_key());
    const auto key = keyring.authenticate(*text);
    if (!key) return fail(invalid_field("api_key", "Invalid API key format"));
    return *key;
}

Answer open_invoice(Context& context, const Request& request) {
    TRY(const auto fields, Fields::of_body(request));
    TRY(const auto amount, fields.required_integer("amount_sats"));
    TRY(const auto limits, fields.limits());
    InvoiceRequest order;
    order.limits = limits;
    const auto sats = Sat::from_raw(amount);
    if (!sats || amount < 1 || amount > 1'000'000) {
        return fail(invalid_field("amount_sats", "amount_sats must be from 1 to 1000000"));
    }
    order.amount = *sats;
    TRY(order.key, paid_for(context, request, fields));
    if (order.key) order.purpose = InvoicePurpose::TopUp;
    TRY(const auto admitted, admit(context.invoices, request));
    VERIFY(admitted);
    const auto opened = context.services.cashier.open_invoice(order);
    if (!opened && opened.error().code == CashierError::Code::KeyUnknown) {
        return fail(never_paid_key());
    }
    if (!opened) return fail(to_api_error(opened.error()));
    return Json{{"invoice_id", opened->invoice_id},
                {"bolt11", opened->bolt11},
                {"amount_sats", opened->amount.raw()},
                {"expires_at", to_unix_seconds(opened->expires_at)},
                {"payment_hash", opened->payment_hash.hex()}};
}

Answer cancel(Context& context, const Request& request) {
    TRY(const auto admitted, admit(context.statuses, request));
    VERIFY(admitted);
    TRY(const auto status,
        of_cashier(context.services.cashier.cancel_invoice(request.path_value("invoice_id"))));
    return invoice_json(context, status);
}

Answer recover(Context& context, const Request& request) {
    TRY(const auto fields, Fields::of_body(request));
    TRY(const auto bolt11, fields.required_text("bolt11"));
    TRY(const auto preimage_text, fields.text("preimage"));
    std::optional<Preimage> preimage;
    if (preimage_text) {
        preimage = Preimage::parse(*preimage_text);
        if (!preimage) return fail(invalid_field("preimage", "preimage must be 64 hex digits"));
    }
    TRY(const auto admitted, admit(context.statuses, request));
    VERIFY(admitted);
    TRY(const auto status, of_cashier(context.services.cashier.recover_invoice(bolt11, preimage)));
    return invoice_json(context, status);
}

}  // namespace

http::ApiError never_paid_key() {
    auto error = unknown_bearer();
    error.status = 404;
    return error;
}

Result<std::optional<KeyId>, http::ApiError> paid_for(Context& context, const Request& request,
                                                      const Fields& fields) {
    TRY(const auto purpose, fields.text("purpose"));
    if (purpose.value_or("create") == "create") return std::optional<KeyId>{};
    if (*purpose != "topup") {
        return fail(invalid_field("purpose", "purpose must be create or topup"));
    }
    TRY(const auto key, key_to_top_up(context, request, fields));
    return std::optional{key};
}

Json invoice_json(const Context& context, const InvoiceStatus& status) {
    return {{"status", to_text(status.state)},
            {"api_key", status.key ? Json(context.services.keyring.text_of(*status.key)) : Json()},
            {"amount_sats", status.amount.raw()},
            {"amount_received_msats", status.credited.raw()},
            {"paid_at", status.paid_at ? Json(to_unix_seconds(*status.paid_at)) : Json()},
            {"created_at", to_unix_seconds(status.created_at)},
            {"expires_at", to_unix_seconds(status.expires_at)}};
}

void add_lightning_routes(http::Server& server, Context& context, const std::string& prefix) {
    add(server, context, Method::Post, prefix + "/invoice", open_invoice);
    add_invoice_waits(server, context, prefix);
    add(server, context, Method::Post, prefix + "/invoice/{invoice_id}/cancel", cancel);
    add(server, context, Method::Post, prefix + "/recover", recover);
}

}  // namespace nutgate::api
