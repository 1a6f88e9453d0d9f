// /v1/info: the eight fields of the contract, and what a program needs beyond them.
#include "context.h"

namespace nutgate::api {
namespace {

Json methods_of(const payment::PaymentMethods& methods) {
    Json list = Json::array();
    for (const auto& method : methods.all()) {
        const auto can = method->capabilities();
        list.push_back({{"id", method->id()},
                        {"title", method->title()},
                        {"description", method->description()},
                        {"receive", can.takes_text || can.opens},
                        {"refund", can.refunds},
                        {"reversible", can.reversible},
                        {"offers", can.offers},
                        {"min_msats", can.amount_min.raw()},
                        {"max_msats", can.amount_max.raw()}});
    }
    return list;
}

Answer info(Context& context, const http::Request&) {
    const Options& o = context.options;
    return Json{
        {"name", o.name},
        {"description", o.description},
        {"version", o.version},
        {"npub", o.npub.empty() ? Json() : Json(o.npub)},
        {"mints", o.mints()},
        {"foreign_mints", o.foreign_mints},
        {"p2pk_pubkey", o.p2pk_pubkey},
        {"http_url", o.http_url},
        {"onion_url", nullptr},
        {"child_key_cost_msats", o.child_key_cost.raw()},
        {"software", "nutgate"},
        {"units", {"sat", "msat"}},
        {"payment_methods", methods_of(context.services.methods)},
        {"fee_msats", 0},
        {"rips", {1, 3, 5, 8}},
        {"mint_url", context.services.mint == nullptr ? Json() : Json(o.http_url + "/mint")},
        {"limits",
         {{"invoice_sats_min", 1},
          {"invoice_sats_max", 1'000'000},
          {"invoices_per_minute", o.invoices_per_client_per_minute},
          {"creates_per_minute", o.creates_per_client_per_minute},
          {"status_per_minute", o.status_per_client_per_minute}}}};
}

}  // namespace

void add_info_routes(http::Server& server, Context& context) {
    add(server, context, http::Method::Get, "/v1/info", info);
}

}  // namespace nutgate::api
