// What a request is, before any money is touched.
#pragma once

#include <memory>

#include "nutgate/base/clock.h"
#include "nutgate/base/result.h"
#include "nutgate/http/message.h"
#include "nutgate/proxy/endpoint.h"
#include "nutgate/proxy/models.h"
#include "nutgate/proxy/pricing.h"
#include "order.h"
#include "relay.h"

namespace nutgate::proxy {

struct Plan {
    const Model* model;
    std::unique_ptr<const Order> order;
    TokenBounds bounds;
    Price price;  // Of this moment: what is held by it is charged by it.
};

// Refuses what is malformed, what is not sold, and what nobody knows the price of just now.
// `passage`: of a form that is sent on while it comes; null, the request has all of its body.
Result<Plan, Refused> make_plan(const Models& models, Endpoint endpoint,
                                const http::Request& request, const FormPassage* passage, Time now);

}  // namespace nutgate::proxy
