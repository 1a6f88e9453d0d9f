#include "nutgate/proxy/routes.h"

#include <array>
#include <string>

#include "order.h"

namespace nutgate::proxy {

namespace {

bool takes_files(Endpoint endpoint) { return form_rules(endpoint) != nullptr; }

}  // namespace

void add_routes(http::Server& server, Gateway& gateway, RouteOptions options) {
    for (const Endpoint endpoint : kAllEndpoints) {
        for (const auto* prefix : {"/v1", ""}) {
            server.route({.method = http::Method::Post,
                          .pattern = prefix + std::string{path_of(endpoint)},
                          .body_bytes_max = takes_files(endpoint) ? options.upload_bytes_max
                                                                  : options.request_bytes_max,
                          .reading = http::Reading::AsAsked},
                         [&gateway, endpoint](http::Exchange& exchange) -> http::Task<void> {
                             return gateway.serve(exchange, endpoint);
                         });
        }
    }
    const Models& models = gateway.models();
    for (const auto* path : {"/v1/models", "/v1/models/", "/models", "/models/"}) {
        server.route({http::Method::Get, path},
                     [&models](http::Exchange& exchange) -> http::Task<void> {
                         (void)co_await exchange.respond(models.list(exchange.request()));
                     });
    }
    // The rest of the path: ids may have a vendor's prefix, with its slash.
    for (const auto* path : {"/v1/models/{id*}", "/models/{id*}"}) {
        server.route(
            {http::Method::Get, path}, [&models](http::Exchange& exchange) -> http::Task<void> {
                const http::Request& request = exchange.request();
                (void)co_await exchange.respond(models.one(request, request.path_value("id")));
            });
    }
}

}  // namespace nutgate::proxy
