// A provider of models: one adapter per wire format, one contract test for all of them
// (tests/contract/upstream_contract.h). An adapter carries; it knows nothing of keys, prices or
// balances.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "nutgate/base/clock.h"
#include "nutgate/base/metrics.h"
#include "nutgate/base/result.h"
#include "nutgate/http/task.h"
#include "nutgate/http/upstream_client.h"
#include "nutgate/http/url.h"

namespace nutgate::proxy {

// What becomes of an answer whose reader has left.
enum class ClientGone {
    Cancel,  // The upstream stops working, and charges for no more, when its connection closes.
    Drain,   // It charges us anyway, so its own count is worth waiting for, within bounds.
};

// The name under which an upstream obeys a limit that the client did not give.
enum class LimitField { MaxTokens, MaxCompletionTokens };

struct UpstreamTraits {
    std::string name;  // From the configuration: for logs, metrics and `provider`.
    ClientGone client_gone = ClientGone::Cancel;
    std::size_t drain_bytes_max = 8 * 1024 * 1024;
    Milliseconds drain_time_max{60'000};
    LimitField limit_field = LimitField::MaxTokens;
};

// A request as the upstream is to see it: rewritten already, to be sent as it is.
struct UpstreamCall {
    std::string body;  // JSON.
    bool stream = false;
    http::Abandonment* abandonment = nullptr;  // If given, it outlives the call and its answer.
};

// Thread-safe.
class Upstream {
public:
    virtual ~Upstream() = default;
    virtual const UpstreamTraits& traits() const = 0;

    // Awaits the head of the answer, whatever its status. Dropping the answer cancels the work.
    virtual http::Task<Result<std::unique_ptr<http::UpstreamAnswer>, http::UpstreamFailure>>
    chat_completion(UpstreamCall call) = 0;
};

// Anything that speaks POST {path}/chat/completions as OpenAI does, over HTTP or HTTPS.
struct OpenAiOptions {
    UpstreamTraits traits;
    http::Url url;        // "https://host/v1": its path is what the routes are below.
    std::string api_key;  // Empty: none is sent.
    Milliseconds head_timeout{600'000};
    Milliseconds gap_timeout{120'000};
    std::string ca_file;  // Empty: the system's.
};
std::unique_ptr<Upstream> make_openai_upstream(OpenAiOptions options, metrics::Registry& metrics);
// The same over a client that the caller made, which outlives it.
std::unique_ptr<Upstream> make_openai_upstream(OpenAiOptions options, http::UpstreamClient& client);

// The demonstration: no model, no network. Its text is a function of the prompt and says what it
// is; one token per word in both directions; it obeys max_tokens, n, stream and stream_options.
struct DemoOptions {
    UpstreamTraits traits{.name = "demo"};
    Milliseconds token_time{5};  // Between two words of a stream.
    std::size_t context = 8192;  // Words of a prompt; more are refused as a model would.
};
std::unique_ptr<Upstream> make_demo_upstream(DemoOptions options, const Clock& clock);

}  // namespace nutgate::proxy
