// A provider of models: one adapter per wire format, one contract test for all of them
// (tests/contract/upstream_contract.h). An adapter carries; it knows nothing of keys, prices or
// balances.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "nutgate/base/clock.h"
#include "nutgate/base/metrics.h"
#include "nutgate/base/result.h"
#include "nutgate/http/task.h"
#include "nutgate/http/upstream_client.h"
#include "nutgate/http/url.h"
#include "nutgate/proxy/endpoint.h"

namespace nutgate::proxy {

// What becomes of an answer whose reader has left.
enum class ClientGone {
    Cancel,  // The upstream stops working, and charges for no more, when its connection closes.
    Drain,   // It charges us anyway, so its own count is worth waiting for, within bounds.
};

// The name under which an upstream obeys a limit, whichever the client gave.
enum class LimitField { MaxTokens, MaxCompletionTokens };

struct UpstreamTraits {
    std::string name;  // From the configuration: for logs, metrics and `provider`.
    ClientGone client_gone = ClientGone::Cancel;
    std::size_t drain_bytes_max = 8 * 1024 * 1024;
    Milliseconds drain_time_max{60'000};
    LimitField limit_field = LimitField::MaxTokens;
    std::size_t calls_max = 4'096;  // At a time; more are served elsewhere, or told to come back.
    // After so many failures in a row it is left alone, for the shorter time at first and twice as
    // long each time that it fails again.
    int failures_max = 5;
    Milliseconds rest_time_min{1'000};
    Milliseconds rest_time_max{60'000};
    // What it is asked for; an adapter that translates one path into another serves both.
    EndpointSet endpoints = kOpenAiEndpoints;
};

// A request as the upstream is to see it: rewritten already, to be sent as it is.
struct UpstreamCall {
    Endpoint endpoint = Endpoint::Chat;
    std::string body;
    std::string content_type = {};  // Of the body. Empty: JSON.
    // What follows `body`, if that is not all, and how much it is where that is known: of a form
    // that passes through, whose answer may come before it was sent.
    http::BodySource* rest = nullptr;
    std::optional<std::uint64_t> rest_bytes = std::nullopt;
    std::string betas = {};  // For `anthropic-beta`, of those who speak Anthropic's dialect.
    bool stream = false;
    http::Abandonment* abandonment = nullptr;  // If given, it outlives the call and its answer.
};

// Thread-safe.
class Upstream {
public:
    virtual ~Upstream() = default;
    virtual const UpstreamTraits& traits() const = 0;

    // Awaits the head of the answer, whatever its status. Dropping the answer cancels the work.
    virtual http::Task<Result<std::unique_ptr<http::UpstreamAnswer>, http::UpstreamFailure>> call(
        UpstreamCall call) = 0;
};

// Anything that speaks POST {path}/chat/completions and its neighbours as OpenAI does, over HTTP or
// HTTPS. Where its endpoints name messages, it speaks them as Anthropic does. Where they only name
// chats it serves messages all the same: they go there as chats, and come back in translation.
struct OpenAiOptions {
    UpstreamTraits traits;
    http::Url url;        // "https://host/v1": the routes are below its path, before its query.
    std::string api_key;  // Empty: none is sent.
    std::string key_header = "Authorization";
    std::string key_scheme = "Bearer ";  // Stands before the key.
    Milliseconds head_timeout{600'000};
    Milliseconds gap_timeout{120'000};
    std::string ca_file;  // Empty: the system's.
};
// What is particular to those who speak it, by the names of the configuration: "openai" (itself and
// who has no name here), "azure", "gemini", "llama.cpp", "ollama", "openrouter", "vllm". proxy/
// upstreams/ has what is known of each. Empty for others.
std::optional<OpenAiOptions> openai_options(std::string_view dialect, http::Url url);
std::unique_ptr<Upstream> make_openai_upstream(OpenAiOptions options, metrics::Registry& metrics);
// The same over a client that the caller made, which outlives it.
std::unique_ptr<Upstream> make_openai_upstream(OpenAiOptions options, http::UpstreamClient& client);

// Anything that speaks POST {path}/messages as Anthropic does. A chat completion is translated on
// its way there, and its answer on its way back; what can't be carried is refused with a 400 before
// anything is sent, several choices among it.
enum class ThinkingStyle {
    Budget,    // "enabled" with budget_tokens: models up to 2025.
    Adaptive,  // "adaptive" with an effort: models from 2026 on.
};
struct AnthropicOptions {
    UpstreamTraits traits;
    http::Url url;                                   // As above.
    std::string api_key;                             // Empty: none is sent.
    ThinkingStyle thinking = ThinkingStyle::Budget;  // What becomes of `reasoning_effort`.
    Milliseconds head_timeout{600'000};
    Milliseconds gap_timeout{120'000};
    std::string ca_file;  // Empty: the system's.
};
std::unique_ptr<Upstream> make_anthropic_upstream(AnthropicOptions options,
                                                  metrics::Registry& metrics, const Clock& clock);
// The same over a client that the caller made, which outlives it.
std::unique_ptr<Upstream> make_anthropic_upstream(AnthropicOptions options,
                                                  http::UpstreamClient& client, const Clock& clock);

// The demonstration: no model, no network. Its text is a function of the prompt and says what it
// is; one token per word in both directions; it obeys max_tokens, n, stream and stream_options.
struct DemoOptions {
    UpstreamTraits traits{.name = "demo", .endpoints = {Endpoint::Chat}};
    Milliseconds token_time{5};  // Between two words of a stream.
    std::size_t context = 8192;  // Words of a prompt; more are refused as a model would.
};
std::unique_ptr<Upstream> make_demo_upstream(DemoOptions options, const Clock& clock);

}  // namespace nutgate::proxy
