#include "nutgate/proxy/routes.h"

#include <array>
#include <string>

namespace nutgate::proxy {

void add_routes(http::Server& server, Gateway& gateway, RouteOptions options) {
    for (const auto* path : {"/v1/chat/completions", "/chat/completions"}) {
        server.route({http::Method::Post, path, options.request_bytes_max},
                     [&gateway](http::Exchange& exchange) -> http::Task<void> {
                         return gateway.chat_completions(exchange);
                     });
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
