#include "answers.h"
#include "nutgate/admin/admin.h"

namespace nutgate::admin {

void add_routes(http::Server& server, Services services) {
    server.route_blocking(
        {.method = http::Method::Get, .pattern = "/metrics"}, [services](const http::Request&) {
            if (services.refresh_metrics) services.refresh_metrics();
            http::Response response;
            response.headers.set("Content-Type", "text/plain; version=0.0.4; charset=utf-8");
            response.body = services.metrics.text();
            return response;
        });
    add(server, services, {.method = http::Method::Post, .pattern = "/admin/prices/reload"},
        Effect::Writes, [](const Services& with, const http::Request&) -> Answer {
            const auto taken = with.take_prices();
            if (!taken) return fail(refusal(409, "prices_refused", taken.error()));
            return Json{{"models", *taken}};
        });
    add_wallet_routes(server, services);
    add_payout_routes(server, services);
    add_mint_routes(server, services);
}

}  // namespace nutgate::admin
