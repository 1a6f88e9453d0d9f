// The embedded mint for outside wallets, at /mint/v1/…: its own error shape, no envelope of ours.
#include "context.h"

namespace nutgate::api {

void add_mint_routes(http::Server& server, Context& context) {
    cashu::Mint* mint = context.services.mint;
    if (mint == nullptr) return;
    const auto serve = [&](http::Method method, cashu::MintMethod mint_method) {
        server.route_blocking(
            {.method = method, .pattern = "/mint/v1/{rest*}"},
            [mint, mint_method](const http::Request& request) {
                const auto answer = mint->handle(
                    mint_method,
                    std::string_view{request.path}.substr(std::string_view{"/mint"}.size()),
                    request.body);
                auto response = http::json_response(answer.status, answer.body);
                response.headers.set("Cache-Control", "no-store");
                if (answer.status == 503) response.headers.set("Retry-After", "2");
                return response;
            });
    };
    serve(http::Method::Get, cashu::MintMethod::Get);
    serve(http::Method::Post, cashu::MintMethod::Post);
}

}  // namespace nutgate::api
