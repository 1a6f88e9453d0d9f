#include "nutgate/api/api.h"

#include <utility>

#include "context.h"
#include "nutgate/cashu/token.h"
#include "page.h"
#include "readiness.h"

namespace nutgate::api {
namespace {

http::Response not_acceptable(const http::Request& request, int status, std::string_view code,
                              std::string_view message) {
    http::ApiError error{.status = status,
                         .type = status >= 500 ? "api_error" : "invalid_request_error",
                         .code = std::string{code},
                         .message = std::string{message}};
    if (status == 404) {
        error.type = "not_found";
        error.message = "Path '" + request.path + "' not found";
    }
    return http::to_response(error, request.request_id);
}

// What every answer of the public face carries. Browsers may call from other origins, but bring no
// credentials of their own: keys are bearers (routstr-contract S8). What only they ask for is not
// said to others.
void complete_head(const std::string& origin, const http::Request& request,
                   http::Headers& headers) {
    headers.set("x-routstr-request-id", request.request_id);
    const bool is_mint = request.path.starts_with("/mint/");
    headers.set("Access-Control-Allow-Origin", is_mint ? "*" : origin);
    if (!is_mint && origin != "*") headers.add("Vary", "Origin");
    if (!request.headers.find("origin")) return;
    headers.set("Access-Control-Expose-Headers",
                "x-routstr-request-id, x-cashu, x-routstr-cost-msats, x-routstr-cost-usd, "
                "x-routstr-input-cost-msats, x-routstr-output-cost-msats");
    if (request.method == http::Method::Options) {
        headers.set("Access-Control-Allow-Methods", "GET, POST, OPTIONS");
        headers.set("Access-Control-Allow-Headers",
                    std::string{request.headers.find("access-control-request-headers")
                                    .value_or("authorization, content-type, x-cashu")});
        headers.set("Access-Control-Max-Age", "86400");
    }
}

http::Response healthz() { return http::json_response(200, R"({"status":"ok"})"); }

// One that is away makes the node no less ready: what is new goes to the others.
Json lines_of(const Options& options) {
    Json lines = Json::array();
    if (!options.lightning_nodes) return lines;
    for (const auto& [name, up] : options.lightning_nodes()) {
        lines.push_back({{"backend", name}, {"up", up}});
    }
    return lines;
}

http::Task<void> readyz(const Options& options, Readiness& readiness, http::Exchange& exchange) {
    Json body{{"status", "ready"}};
    int status = 200;
    std::optional<std::string> reason;
    if (options.not_ready.empty()) {
        reason = co_await readiness.fault();
    } else {
        reason = options.not_ready;
    }
    if (reason) {
        status = 503;
        body = {{"status", "not ready"}, {"reasons", Json::array({*reason})}};
    }
    if (auto lines = lines_of(options); !lines.empty()) body["lightning"] = std::move(lines);
    http::Response response = http::json_response(status, body.dump());
    (void)co_await exchange.respond(std::move(response));
}

// On the data plane: while all of the pool's threads wait for the database, it is asked whether
// this node is well.
void route_health(http::Server& server, const Options& options, Readiness& readiness) {
    server.route({.method = http::Method::Get, .pattern = "/healthz"},
                 [](http::Exchange& exchange) -> http::Task<void> {
                     http::Response response = healthz();
                     (void)co_await exchange.respond(std::move(response));
                 });
    server.route({.method = http::Method::Get, .pattern = "/readyz"},
                 [&options, &readiness](http::Exchange& exchange) {
                     return readyz(options, readiness, exchange);
                 });
}

}  // namespace

void add(http::Server& server, Context& context, http::Method method, std::string pattern,
         JsonHandler handler) {
    server.route_blocking({.method = method, .pattern = std::move(pattern)},
                          [&context, handler = std::move(handler)](const http::Request& request) {
                              return to_response(handler(context, request), request);
                          });
}

http::Response to_response(const Answer& answer, const http::Request& request) {
    if (!answer) return http::to_response(answer.error(), request.request_id);
    auto response = http::json_response(
        200, answer->dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
    response.headers.set("Cache-Control", "no-store");
    return response;
}

Result<bool, http::ApiError> admit(ClientLimit& limit, const http::Request& request) {
    const Seconds wait = limit.admit(request.client_ip);
    if (wait > Seconds{0}) return fail(too_many_requests(wait));
    return true;
}

Result<KeyId, http::ApiError> identify(Context& context, const http::Request& request,
                                       FreshToken fresh) {
    const auto credential = bearer_of(request);
    if (!credential) return fail(missing_key());
    if (const auto key = context.services.keyring.authenticate(*credential)) return *key;
    if (!cashu::looks_like_token(*credential)) {
        // Meant as a token and damaged: the taxonomy's word for it, as on every other path.
        if (fresh == FreshToken::Deposit && credential->starts_with("cashu")) {
            return fail(to_api_error(CashierError{CashierError::Code::TokenInvalid}));
        }
        return fail(malformed_key());
    }

    if (const auto known = context.services.cashier.key_of_token(*credential)) return *known;
    if (fresh == FreshToken::Refuse) return fail(unknown_bearer());
    TRY(const auto admitted, admit(context.creates, request));
    VERIFY(admitted);
    TRY(const auto deposit,
        of_cashier(context.services.cashier.deposit_token(*credential, Bearer{})));
    return deposit.key;
}

struct Api::Impl : Context {
    Impl(Services s, Options o)
        : Context{s, std::move(o)}, readiness{s.database, s.clock, options.touch} {}

    Readiness readiness;
};

Api::Api(Services services, Options options)
    : impl_{std::make_unique<Impl>(services, std::move(options))} {}
Api::~Api() = default;

Result<void, http::ApiError> Api::admit_token(std::string_view client_ip) {
    const Seconds wait = impl_->creates.admit(client_ip);
    if (wait > Seconds{0}) return fail(too_many_requests(wait));
    return {};
}

void Api::add_routes(http::Server& server) {
    add_balance_routes(server, *impl_, "/v1/balance");
    add_balance_routes(server, *impl_, "/v1/wallet");
    add_usage_routes(server, *impl_, "/v1/balance");
    add_usage_routes(server, *impl_, "/v1/wallet");
    add_request_routes(server, *impl_, "/v1/balance");
    add_request_routes(server, *impl_, "/v1/wallet");
    add_lightning_routes(server, *impl_, "/lightning");
    add_lightning_routes(server, *impl_, "/v1/balance/lightning");
    add_offer_routes(server, *impl_, "/lightning");
    add_offer_routes(server, *impl_, "/v1/balance/lightning");
    add_info_routes(server, *impl_);
    add_mint_routes(server, *impl_);
    add_page_routes(server);
    route_health(server, impl_->options, impl_->readiness);
    server.set_error_body(not_acceptable);
    server.set_head_filter([this](const http::Request& request, int, http::Headers& headers) {
        complete_head(impl_->options.cors_origin, request, headers);
    });
}

void Api::add_health_routes(http::Server& server) {
    route_health(server, impl_->options, impl_->readiness);
    server.set_error_body([](const http::Request& request, int status, std::string_view code,
                             std::string_view message) {
        if (status != 404) return not_acceptable(request, status, code, message);
        return http::to_response({.status = 503,
                                  .type = "api_error",
                                  .code = "read_only",
                                  .message = "This node serves nothing until its operator has "
                                             "looked at its books."},
                                 request.request_id);
    });
    server.set_head_filter([this](const http::Request& request, int, http::Headers& headers) {
        complete_head(impl_->options.cors_origin, request, headers);
    });
}

}  // namespace nutgate::api
