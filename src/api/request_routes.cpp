// /v1/balance/request: asks for a token, as wallets read it (NUT-18, NUT-26), and takes it.
#include "context.h"
#include "nutgate/cashu/payment_request.h"
#include "nutgate/cashu/token.h"

namespace nutgate::api {
namespace {

using http::Method;
using http::Request;

constexpr std::int64_t kAmountSatsMax = 1'000'000;
constexpr std::size_t kDescriptionBytesMax = 200;
constexpr std::size_t kMintsMax = 50;

// A mint of ours by any of its names.
std::optional<cashu::MintUrl> find_mint(const cashu::Wallet& wallet, const std::string& name) {
    const auto url = cashu::MintUrl::parse(name);
    if (!url) return std::nullopt;
    for (const auto& mint : wallet.mints()) {
        if (mint == *url || cashu::MintUrl::parse(wallet.token_url(mint)) == url) return mint;
    }
    return std::nullopt;
}

Parsed<TokenRequest> read_order(const Context& context, const Fields& fields) {
    TokenRequest order;
    TRY(const auto amount, fields.integer("amount_sats"));
    if (amount) {
        order.amount = Sat::from_raw(*amount);
        if (!order.amount || *amount < 1 || *amount > kAmountSatsMax) {
            return fail(invalid_field("amount_sats", "amount_sats must be from 1 to 1000000"));
        }
    }
    TRY(const auto unit_text, fields.text("unit"));
    const auto unit = cashu::parse_unit(unit_text.value_or("sat"));
    if (!unit) return fail(invalid_field("unit", "unit must be sat or msat"));
    order.unit = *unit;
    TRY(const auto names, fields.texts("mints", kMintsMax));
    for (const std::string& name : names) {
        const auto mint = find_mint(context.services.wallet, name);
        if (!mint) {
            return fail(invalid_field("mints", "mints must be of those that /v1/info lists"));
        }
        order.mints.push_back(*mint);
    }
    TRY(const auto single_use, fields.flag("single_use"));
    order.single_use = single_use.value_or(true);
    TRY(order.limits, fields.limits());
    return order;
}

Answer open_request(Context& context, const Request& request) {
    TRY(const auto fields, Fields::of_body(request));
    TRY(auto order, read_order(context, fields));
    TRY(const auto description, fields.text("description"));
    if (description && description->size() > kDescriptionBytesMax) {
        return fail(invalid_field("description", "description must be of at most 200 bytes"));
    }
    if (bearer_of(request)) {
        order.purpose = InvoicePurpose::TopUp;
        TRY(order.key, identify(context, request, FreshToken::Refuse));
    }
    TRY(const auto admitted, admit(context.invoices, request));
    VERIFY(admitted);
    TRY(const auto opened, of_cashier(context.services.cashier.open_request(order)));

    const std::string url = context.options.http_url + "/v1/balance/request/" + opened.request_id;
    cashu::PaymentRequest asked;
    asked.id = opened.request_id;
    if (order.amount) asked.amount = cashu::to_amount_floor(to_msat(*order.amount), order.unit);
    asked.unit = std::string{cashu::to_text(order.unit)};
    asked.single_use = order.single_use;
    asked.description = description;
    asked.transports = {{"post", url, {}}};
    Json mints = Json::array();
    for (const auto& mint : opened.mints) {
        const std::string shown = context.services.wallet.token_url(mint);
        if (const auto parsed = cashu::MintUrl::parse(shown)) asked.mints.push_back(*parsed);
        mints.push_back(shown);
    }
    const auto creq_b = cashu::write_creq_b(asked);
    return Json{{"request_id", opened.request_id},
                {"creqA", cashu::write_creq_a(asked)},
                {"creqB", creq_b ? Json(*creq_b) : Json()},
                {"amount", asked.amount ? Json(*asked.amount) : Json()},
                {"unit", *asked.unit},
                {"mints", std::move(mints)},
                {"single_use", order.single_use},
                {"url", url},
                {"expires_at", to_unix_seconds(opened.expires_at)}};
}

Answer pay_request(Context& context, const Request& request) {
    const auto payment = cashu::parse_request_payment(request.body);
    if (!payment) {
        return fail(invalid_field("proofs",
                                  "This is no payment as NUT-18 has it: mint, unit and "
                                  "proofs are required."));
    }
    const auto id = request.path_value("request_id");
    if (payment->id && *payment->id != id) {
        return fail(invalid_field("id", "id is another request's"));
    }
    TRY(const auto admitted, admit(context.creates, request));
    VERIFY(admitted);
    TRY(const auto paid, of_cashier(context.services.cashier.pay_request(id, payment->token)));
    return Json{{"status", "paid"}, {"amount_received_msats", paid.credited.raw()}};
}

std::string_view state_of(const RequestStatus& status) {
    if (status.paid) return "paid";
    return status.expired ? "expired" : "pending";
}

Answer request_status(Context& context, const Request& request) {
    TRY(const auto admitted, admit(context.statuses, request));
    VERIFY(admitted);
    TRY(const auto status,
        of_cashier(context.services.cashier.request_status(request.path_value("request_id"))));
    return Json{
        {"status", state_of(status)},
        {"api_key", status.key ? Json(context.services.keyring.text_of(*status.key)) : Json()},
        {"amount_received_msats", status.credited.raw()},
        {"paid_at", status.paid_at ? Json(to_unix_seconds(*status.paid_at)) : Json()},
        {"created_at", to_unix_seconds(status.created_at)},
        {"expires_at", to_unix_seconds(status.expires_at)}};
}

}  // namespace

void add_request_routes(http::Server& server, Context& context, const std::string& prefix) {
    add(server, context, Method::Post, prefix + "/request", open_request);
    add(server, context, Method::Post, prefix + "/request/{request_id}", pay_request);
    add(server, context, Method::Get, prefix + "/request/{request_id}", request_status);
}

}  // namespace nutgate::api
