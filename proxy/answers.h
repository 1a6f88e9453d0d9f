// What a client is told when there is no answer: each function says how one neighbour's failure
// looks from outside.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "nutgate/base/amount.h"
#include "nutgate/base/clock.h"
#include "nutgate/http/error_envelope.h"
#include "nutgate/http/message.h"
#include "nutgate/http/upstream_client.h"
#include "nutgate/proxy/endpoint.h"
#include "nutgate/proxy/gateway.h"
#include "nutgate/proxy/till.h"
#include "upstream_gate.h"

namespace nutgate::proxy {

http::ApiError missing_key();
http::ApiError invalid_key();
http::ApiError unsupported_payment();
http::ApiError unknown_model(std::string_view name);
// The model does not sell that, or nothing behind it serves it.
http::ApiError unsupported_endpoint(Endpoint endpoint, std::string_view model);
// What it could cost at most is more than there is.
http::ApiError beyond_all_money();
// Priced in USD, and nobody knows what a bitcoin is worth.
http::ApiError rate_unavailable();
http::ApiError refused_draw(const DrawRefusal& refusal, std::string_view model, Msat needed,
                            const Gateway::Options& options);

// The same in a word, for a stream that could not be covered any further.
std::string_view stop_code(DrawRefusal::Why why);

http::ApiError upstream_failed(http::UpstreamFailure failure);
http::ApiError upstream_unreachable();
// None of them is worth asking now.
http::ApiError upstream_away(const UpstreamGate::Away& away);
// Of an answer that is no answer: not JSON, or an error under a 200.
http::ApiError upstream_nonsense();
// An answer with another status than 2xx, and the beginning of its body. What it says of our
// account there (401, 402, 403, 404) stays here.
http::ApiError upstream_refused(int status, const http::Headers& headers, std::string_view body);
// Retry-After, where it is a number of seconds.
std::optional<Seconds> retry_after_of(const http::Headers& headers);
// Whether another upstream may do better: nothing was done for this one's answer.
bool is_worth_another_try(int status);

// Without keys, tokens and names of accounts.
std::string without_names(std::string_view text);
// The same of an error's words, and no more of them than such words are long.
std::string redacted(std::string_view text);

// Of tokens in a message, by our own rule, and said to be such.
http::Response estimated_count(std::int64_t tokens);

// The last words of a stream that broke off, as an event of the path's own.
std::string broken_stream_event(Endpoint endpoint, std::string_view request_id);

// An error as clients of that path read it: Anthropic's have an envelope of their own around ours.
std::string error_json(Endpoint endpoint, const http::ApiError& error, std::string_view request_id);
http::Response error_response(Endpoint endpoint, const http::ApiError& error,
                              std::string_view request_id);

}  // namespace nutgate::proxy
