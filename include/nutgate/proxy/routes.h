// Where what is sold lies: a POST for each Endpoint, GET /v1/models, GET /v1/models/{id}, each with
// and without "v1/", the list with and without a slash at its end. Every other path that others
// sell is not taken, and so answered 404: what is stored there would be in the operator's account,
// for every buyer to see.
//
// A body that did not come with its head is read only once its key is known to be one, and of a
// form whose file can pass through it is read as it is sent on.
#pragma once

#include <cstddef>

#include "nutgate/http/server.h"
#include "nutgate/proxy/gateway.h"

namespace nutgate::proxy {

struct RouteOptions {
    std::size_t request_bytes_max = 10 * 1024 * 1024;
    // Of a form with files: what OpenAI takes of audio, and the form around it.
    std::size_t upload_bytes_max = 26 * 1024 * 1024;
};

// The gateway outlives the server.
void add_routes(http::Server& server, Gateway& gateway, RouteOptions options = {});

}  // namespace nutgate::proxy
