#pragma once

#include "context.h"

namespace nutgate::api {

// As each route that tells of an invoice tells it.
Json invoice_json(const Context& context, const InvoiceStatus& status);

}  // namespace nutgate::api
