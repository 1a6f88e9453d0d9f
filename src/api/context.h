// What the route files share: the services, the limits per client, and one way to answer.
#pragma once

#include <nlohmann/json.hpp>

#include <functional>
#include <string>

#include "client_limit.h"
#include "errors.h"
#include "fields.h"
#include "invoice_watch.h"
#include "nutgate/api/api.h"

namespace nutgate::api {

using Json = nlohmann::ordered_json;
using Answer = Result<Json, http::ApiError>;

struct Context {
    Context(Services s, Options o)
        : services{s},
          options{std::move(o)},
          invoices{options.invoices_per_client_per_minute, s.clock},
          creates{options.creates_per_client_per_minute, s.clock},
          statuses{options.status_per_client_per_minute, s.clock},
          refunds{options.refunds_per_client_per_minute, s.clock},
          watch{s.cashier,
                {.per_client_max = static_cast<std::size_t>(options.waits_per_client_max),
                 .in_all_max = static_cast<std::size_t>(options.waits_max)}} {}

    Services services;
    Options options;
    ClientLimit invoices;
    ClientLimit creates;
    ClientLimit statuses;
    ClientLimit refunds;  // Over Lightning: each asks and pays somebody.
    InvoiceWatch watch;
};

// Registers a handler that answers with JSON or with an error of the envelope.
using JsonHandler = std::function<Answer(Context&, const http::Request&)>;
void add(http::Server& server, Context& context, http::Method method, std::string pattern,
         JsonHandler handler);
http::Response to_response(const Answer& answer, const http::Request& request);

// Unwraps the cashier's Result into this API's errors.
template <class T>
Result<T, http::ApiError> of_cashier(Result<T, CashierError> result) {
    if (!result) return fail(to_api_error(result.error()));
    return *std::move(result);
}

// Refuses a client that has used up its share.
Result<bool, http::ApiError> admit(ClientLimit& limit, const http::Request& request);

// Whose request it is. A token that was never seen becomes a key on the spot where `fresh` says so.
enum class FreshToken { Deposit, Refuse };
Result<KeyId, http::ApiError> identify(Context& context, const http::Request& request,
                                       FreshToken fresh);

// Of an order for an invoice or an offer: the key that it tops up; empty, it makes one.
Result<std::optional<KeyId>, http::ApiError> paid_for(Context& context,
                                                      const http::Request& request,
                                                      const Fields& fields);
http::ApiError never_paid_key();  // Or one that this node never made: 404.

void add_balance_routes(http::Server& server, Context& context, const std::string& prefix);
void add_usage_routes(http::Server& server, Context& context, const std::string& prefix);
void add_lightning_routes(http::Server& server, Context& context, const std::string& prefix);
void add_offer_routes(http::Server& server, Context& context, const std::string& prefix);
void add_invoice_waits(http::Server& server, Context& context, const std::string& prefix);
void add_request_routes(http::Server& server, Context& context, const std::string& prefix);
void add_info_routes(http::Server& server, Context& context);
void add_mint_routes(http::Server& server, Context& context);

}  // namespace nutgate::api
