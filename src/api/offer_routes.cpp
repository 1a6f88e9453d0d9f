// /lightning/offer and its mirror below /v1/balance: a text that is paid again and again (BOLT12).
#include "context.h"

namespace nutgate::api {
namespace {

using http::Method;
using http::Request;

Json offer_json(const Context& context, const std::string& id, const OfferStatus& status) {
    return {{"offer_id", id},
            {"status", to_text(status.state)},
            {"offer", status.text},
            {"amount_sats", status.amount ? Json(status.amount->raw()) : Json()},
            {"api_key", status.key ? Json(context.services.keyring.text_of(*status.key)) : Json()},
            {"amount_received_msats", status.credited.raw()},
            {"payments", status.payments},
            {"paid_at", status.paid_at ? Json(to_unix_seconds(*status.paid_at)) : Json()},
            {"created_at", to_unix_seconds(status.created_at)}};
}

Answer open_offer(Context& context, const Request& request) {
    TRY(const auto fields, Fields::of_body(request));
    TRY(const auto amount, fields.integer("amount_sats"));
    OfferRequest order;
    if (amount) {
        order.amount = Sat::from_raw(*amount);
        if (!order.amount || *amount < 1 || *amount > 1'000'000) {
            return fail(invalid_field("amount_sats", "amount_sats must be from 1 to 1000000"));
        }
    }
    TRY(order.limits, fields.limits());
    TRY(const auto key, paid_for(context, request, fields));
    if (key) {
        order.purpose = InvoicePurpose::TopUp;
        order.key = key;
    }
    TRY(const auto admitted, admit(context.invoices, request));
    VERIFY(admitted);
    const auto opened = context.services.cashier.open_offer(order);
    if (!opened && opened.error().code == CashierError::Code::KeyUnknown) {
        return fail(never_paid_key());
    }
    if (!opened) return fail(to_api_error(opened.error()));
    return Json{{"offer_id", opened->offer_id},
                {"offer", opened->text},
                {"amount_sats", opened->amount ? Json(opened->amount->raw()) : Json()}};
}

Answer offer_status(Context& context, const Request& request) {
    TRY(const auto admitted, admit(context.statuses, request));
    VERIFY(admitted);
    const std::string id{request.path_value("offer_id")};
    TRY(const auto status, of_cashier(context.services.cashier.offer_status(id)));
    return offer_json(context, id, status);
}

Answer close_offer(Context& context, const Request& request) {
    TRY(const auto admitted, admit(context.statuses, request));
    VERIFY(admitted);
    const std::string id{request.path_value("offer_id")};
    TRY(const auto status, of_cashier(context.services.cashier.close_offer(id)));
    return offer_json(context, id, status);
}

}  // namespace

void add_offer_routes(http::Server& server, Context& context, const std::string& prefix) {
    add(server, context, Method::Post, prefix + "/offer", open_offer);
    add(server, context, Method::Get, prefix + "/offer/{offer_id}", offer_status);
    add(server, context, Method::Post, prefix + "/offer/{offer_id}/close", close_offer);
}

}  // namespace nutgate::api
