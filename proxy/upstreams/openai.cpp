// POST {path}/chat/completions and its neighbours, as OpenAI and all who copied it take them.
#include <array>
#include <utility>

#include "dialects/answer_translator.h"
#include "dialects/messages_to_chat.h"
#include "dialects/translated_answer.h"
#include "nutgate/base/verify.h"
#include "nutgate/http/error_envelope.h"
#include "nutgate/proxy/upstream.h"

namespace nutgate::proxy {
namespace {

constexpr std::size_t kBytesPerToken = 4;  // For what is told of a prompt before it is known.

class OpenAiUpstream final : public Upstream {
public:
    OpenAiUpstream(OpenAiOptions options, std::unique_ptr<http::UpstreamClient> owned)
        : speaks_messages_{options.traits.endpoints.contains(Endpoint::Messages)},
          options_{with_messages(std::move(options))},
          owned_{std::move(owned)},
          client_{*VERIFY_PTR(owned_.get())} {}
    OpenAiUpstream(OpenAiOptions options, http::UpstreamClient& client)
        : speaks_messages_{options.traits.endpoints.contains(Endpoint::Messages)},
          options_{with_messages(std::move(options))},
          client_{client} {}

    const UpstreamTraits& traits() const override { return options_.traits; }

    http::Task<Result<std::unique_ptr<http::UpstreamAnswer>, http::UpstreamFailure>> call(
        UpstreamCall call) override {
        if (call.endpoint == Endpoint::Messages && !speaks_messages_) {
            return message(std::move(call));
        }
        return send(std::move(call));
    }

private:
    using Answer = Result<std::unique_ptr<http::UpstreamAnswer>, http::UpstreamFailure>;

    static OpenAiOptions with_messages(OpenAiOptions options) {
        EndpointSet& endpoints = options.traits.endpoints;
        if (endpoints.contains(Endpoint::Chat)) endpoints.add(Endpoint::Messages);
        return options;
    }

    http::Task<Answer> send(UpstreamCall call) {
        http::UpstreamRequest request;
        request.target = targets_[static_cast<std::size_t>(call.endpoint)];
        request.headers = call.stream ? stream_headers_ : whole_headers_;
        if (!call.content_type.empty()) request.headers.set("Content-Type", call.content_type);
        if (call.endpoint == Endpoint::Speech) request.headers.set("Accept", "*/*");
        request.body = std::move(call.body);
        request.rest = call.rest;
        request.rest_bytes = call.rest_bytes;
        request.abandonment = call.abandonment;
        return client_.send(std::move(request));
    }

    http::Task<Answer> message(UpstreamCall call) {
        auto chat = messages_to_chat(call.body, {.limit_field = options_.traits.limit_field});
        if (!chat) {
            co_return ready_answer(
                http::json_response(chat.error().status, http::to_json(chat.error(), {})));
        }
        const std::size_t text_bytes = chat->body.size() - chat->image_bytes;
        const auto input = static_cast<std::int64_t>(text_bytes / kBytesPerToken);
        call.endpoint = Endpoint::Chat;
        call.body = std::move(chat->body);
        call.stream = chat->stream;
        auto answer = co_await send(std::move(call));
        if (!answer) co_return fail(answer.error());
        co_return translated(*std::move(answer),
                             make_to_messages({.input_tokens_estimate = input}));
    }

    // An allow-list by construction: nothing of the client's head is passed on, and no encoding is
    // offered, since what is metered is plain text.
    http::Headers headers(std::string_view accept) const {
        http::Headers headers{{"Content-Type", "application/json"},
                              {"Accept", accept},
                              {"Accept-Encoding", "identity"}};
        if (!options_.api_key.empty()) {
            headers.add(options_.key_header, options_.key_scheme + options_.api_key);
        }
        return headers;
    }

    static std::array<std::string, kEndpoints> targets_below(const http::Url& url) {
        std::array<std::string, kEndpoints> targets;
        for (const Endpoint endpoint : kAllEndpoints) {
            std::string& target = targets[static_cast<std::size_t>(endpoint)];
            target = url.path + std::string{path_of(endpoint)};
            if (!url.query.empty()) target += '?' + url.query;
        }
        return targets;
    }

    const bool speaks_messages_;
    const OpenAiOptions options_;
    const std::array<std::string, kEndpoints> targets_ = targets_below(options_.url);
    const http::Headers whole_headers_ = headers("application/json");
    const http::Headers stream_headers_ = headers("text/event-stream");
    std::unique_ptr<http::UpstreamClient> owned_;
    http::UpstreamClient& client_;
};

}  // namespace

std::unique_ptr<Upstream> make_openai_upstream(OpenAiOptions options, metrics::Registry& metrics) {
    auto client = http::make_upstream_client({.base = options.url,
                                              .head_timeout = options.head_timeout,
                                              .gap_timeout = options.gap_timeout,
                                              .ca_file = options.ca_file},
                                             metrics);
    return std::make_unique<OpenAiUpstream>(std::move(options), std::move(client));
}

std::unique_ptr<Upstream> make_openai_upstream(OpenAiOptions options,
                                               http::UpstreamClient& client) {
    return std::make_unique<OpenAiUpstream>(std::move(options), client);
}

}  // namespace nutgate::proxy
