// What a client is told when there is no answer: each function says how one neighbour's failure
// looks from outside.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "nutgate/base/amount.h"
#include "nutgate/http/error_envelope.h"
#include "nutgate/http/message.h"
#include "nutgate/http/upstream_client.h"
#include "nutgate/proxy/gateway.h"
#include "nutgate/proxy/till.h"

namespace nutgate::proxy {

http::ApiError missing_key();
http::ApiError invalid_key();
http::ApiError unsupported_payment();
http::ApiError unknown_model(std::string_view name);
http::ApiError refused_draw(const DrawRefusal& refusal, std::string_view model, Msat needed,
                            const Gateway::Options& options);

http::ApiError upstream_failed(http::UpstreamFailure failure);
// Of an answer that is no answer: not JSON, or an error under a 200.
http::ApiError upstream_nonsense();
// An answer with another status than 2xx, and the beginning of its body. What it says of our
// account there (401, 402, 403, 404) stays here.
http::ApiError upstream_refused(int status, const http::Headers& headers, std::string_view body);
// Whether another upstream may do better: nothing was done for this one's answer.
bool is_worth_another_try(int status);

// Without keys, tokens and names of accounts.
std::string redacted(std::string_view text);

// The last words of a stream that broke off, as an event.
std::string broken_stream_event(std::string_view request_id);

}  // namespace nutgate::proxy
