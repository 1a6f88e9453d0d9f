// POST {path}/chat/completions, as OpenAI and all who copied it take it.
#include <utility>

#include "nutgate/base/verify.h"
#include "nutgate/proxy/upstream.h"

namespace nutgate::proxy {
namespace {

class OpenAiUpstream final : public Upstream {
public:
    OpenAiUpstream(OpenAiOptions options, std::unique_ptr<http::UpstreamClient> owned)
        : options_{std::move(options)},
          owned_{std::move(owned)},
          client_{*VERIFY_PTR(owned_.get())} {}
    OpenAiUpstream(OpenAiOptions options, http::UpstreamClient& client)
        : options_{std::move(options)}, client_{client} {}

    const UpstreamTraits& traits() const override { return options_.traits; }

    http::Task<Result<std::unique_ptr<http::UpstreamAnswer>, http::UpstreamFailure>>
    chat_completion(UpstreamCall call) override {
        // An allow-list by construction: nothing of the client's head is passed on, and no
        // encoding is offered, since what is metered is plain text.
        http::UpstreamRequest request;
        request.target = options_.url.path + "/chat/completions";
        request.headers.add("Content-Type", "application/json");
        request.headers.add("Accept", call.stream ? "text/event-stream" : "application/json");
        request.headers.add("Accept-Encoding", "identity");
        if (!options_.api_key.empty()) {
            request.headers.add("Authorization", "Bearer " + options_.api_key);
        }
        request.body = std::move(call.body);
        request.abandonment = call.abandonment;
        co_return co_await client_.send(std::move(request));
    }

private:
    const OpenAiOptions options_;
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
