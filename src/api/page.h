// The page at "/": what is sold, at what price, top up with a QR code, check and refund a key.
// Plain files embedded at build time; nothing is loaded from elsewhere, and the policy says so.
#pragma once

#include "nutgate/http/server.h"

namespace nutgate {
class Clock;
}

namespace nutgate::api {

void add_page_routes(http::Server& server);

}  // namespace nutgate::api
