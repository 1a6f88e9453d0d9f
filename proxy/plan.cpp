#include "plan.h"

#include <utility>

#include "answers.h"

namespace nutgate::proxy {

Result<Plan, Refused> make_plan(const Models& models, Endpoint endpoint,
                                const http::Request& request, const FormPassage* passage,
                                Time now) {
    if (request.headers.find("content-encoding")) {
        return fail(http::ApiError{.status = 415,
                                   .type = "invalid_request_error",
                                   .code = "unsupported_encoding",
                                   .message = "Send the body as it is, without Content-Encoding."});
    }
    TRY(auto order, read_order(endpoint, request, passage));
    const std::string& name = order->fields().model;
    const Model* model = models.find(name);
    if (model == nullptr) return fail(unknown_model(name));
    if (!model->endpoints.contains(endpoint)) {
        return fail(unsupported_endpoint(endpoint, model->id.text()));
    }
    TRY_VOID(order->check_against(*model));
    const TokenBounds bounds = order->bounds(request.body.size(), *model);
    const auto price = models.price_now(*model, now);
    if (!price) return fail(rate_unavailable());
    if (!cost_ceiling(*price, bounds)) return fail(beyond_all_money());
    return Plan{model, std::move(order), bounds, *price};
}

}  // namespace nutgate::proxy
