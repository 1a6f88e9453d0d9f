// POST {path}/messages and its count of tokens, as Anthropic takes them. A chat completion goes
// there and comes back in translation (dialects/).
#include <utility>

#include "dialects/answer_translator.h"
#include "dialects/chat_to_messages.h"
#include "dialects/translated_answer.h"
#include "nutgate/base/verify.h"
#include "nutgate/http/error_envelope.h"
#include "nutgate/proxy/upstream.h"

namespace nutgate::proxy {
namespace {

// The version of the wire format that this file and its translators were written for.
constexpr const char* kVersion = "2023-06-01";

using Answer = Result<std::unique_ptr<http::UpstreamAnswer>, http::UpstreamFailure>;

class AnthropicUpstream final : public Upstream {
public:
    AnthropicUpstream(AnthropicOptions options, std::unique_ptr<http::UpstreamClient> owned,
                      const Clock& clock)
        : options_{std::move(options)},
          owned_{std::move(owned)},
          client_{*VERIFY_PTR(owned_.get())},
          clock_{clock} {}
    AnthropicUpstream(AnthropicOptions options, http::UpstreamClient& client, const Clock& clock)
        : options_{std::move(options)}, client_{client}, clock_{clock} {}

    const UpstreamTraits& traits() const override { return options_.traits; }

    http::Task<Answer> call(UpstreamCall call) override {
        if (call.endpoint == Endpoint::Chat) return chat(std::move(call));
        VERIFY(call.endpoint == Endpoint::Messages || call.endpoint == Endpoint::CountTokens);
        auto request =
            request_of(call.endpoint, std::move(call.body), call.stream, call.abandonment);
        if (!call.betas.empty()) request.headers.add("anthropic-beta", call.betas);
        return client_.send(std::move(request));
    }

private:
    http::Task<Answer> chat(UpstreamCall call) {
        auto asked = chat_to_messages(call.body,
                                      {.max_tokens = std::nullopt, .thinking = options_.thinking});
        if (!asked) {
            co_return ready_answer(
                http::json_response(asked.error().status, http::to_json(asked.error(), {})));
        }
        auto answer = co_await client_.send(request_of(Endpoint::Messages, std::move(asked->body),
                                                       asked->stream, call.abandonment));
        if (!answer) co_return fail(answer.error());
        co_return translated(*std::move(answer),
                             make_to_chat({.created = to_unix_seconds(clock_.now()),
                                           .usage_asked = asked->usage_asked}));
    }

    // An allow-list by construction: nothing of the client's head is passed on but the betas that
    // were picked from it, and no encoding is offered, since what is translated and metered is
    // plain text.
    http::UpstreamRequest request_of(Endpoint endpoint, std::string body, bool stream,
                                     http::Abandonment* abandonment) const {
        http::UpstreamRequest request;
        request.target = options_.url.path + std::string{path_of(endpoint)};
        if (!options_.url.query.empty()) request.target += '?' + options_.url.query;
        request.headers.add("Content-Type", "application/json");
        request.headers.add("Accept", stream ? "text/event-stream" : "application/json");
        request.headers.add("Accept-Encoding", "identity");
        request.headers.add("anthropic-version", kVersion);
        if (!options_.api_key.empty()) request.headers.add("x-api-key", options_.api_key);
        request.body = std::move(body);
        request.abandonment = abandonment;
        return request;
    }

    const AnthropicOptions options_;
    std::unique_ptr<http::UpstreamClient> owned_;
    http::UpstreamClient& client_;
    const Clock& clock_;
};

}  // namespace

std::unique_ptr<Upstream> make_anthropic_upstream(AnthropicOptions options,
                                                  metrics::Registry& metrics, const Clock& clock) {
    options.traits.endpoints = options.traits.endpoints & kAnthropicEndpoints;
    auto client = http::make_upstream_client({.base = options.url,
                                              .head_timeout = options.head_timeout,
                                              .gap_timeout = options.gap_timeout,
                                              .ca_file = options.ca_file},
                                             metrics);
    return std::make_unique<AnthropicUpstream>(std::move(options), std::move(client), clock);
}

std::unique_ptr<Upstream> make_anthropic_upstream(AnthropicOptions options,
                                                  http::UpstreamClient& client,
                                                  const Clock& clock) {
    options.traits.endpoints = options.traits.endpoints & kAnthropicEndpoints;
    return std::make_unique<AnthropicUpstream>(std::move(options), client, clock);
}

}  // namespace nutgate::proxy
