#include "nutgate/proxy/gateway.h"

#include <algorithm>
#include <deque>
#include <utility>
#include <variant>

#include "answers.h"
#include "chat_request.h"
#include "flight.h"
#include "nutgate/base/log.h"
#include "nutgate/base/verify.h"
#include "relay.h"

namespace nutgate::proxy {
namespace {

constexpr std::size_t kErrorBytesMax = 64 * 1024;

using Served = Result<void, http::ApiError>;
using Answer = Result<std::unique_ptr<http::UpstreamAnswer>, http::UpstreamFailure>;

// What follows "Bearer " in Authorization; empty if there is none.
std::string_view bearer_of(const http::Request& request) {
    const auto header = request.headers.find("authorization");
    if (!header) return {};
    constexpr std::string_view kScheme = "bearer ";
    if (header->size() < kScheme.size()) return {};
    for (std::size_t i = 0; i < kScheme.size(); ++i) {
        const char c = (*header)[i];
        if ((c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c) != kScheme[i]) return {};
    }
    std::string_view credential = header->substr(kScheme.size());
    while (credential.starts_with(' ')) credential.remove_prefix(1);
    while (credential.ends_with(' ')) credential.remove_suffix(1);
    return credential;
}

// What a request is, before any money is touched.
struct Plan {
    const Model* model;
    ChatRequest request;
    TokenBounds bounds;
    Msat most;
};

Result<Plan, http::ApiError> make_plan(const Models& models, const http::Request& request) {
    if (request.headers.find("content-encoding")) {
        return fail(http::ApiError{.status = 415,
                                   .type = "invalid_request_error",
                                   .code = "unsupported_encoding",
                                   .message = "Send the body as it is, without Content-Encoding."});
    }
    TRY(auto parsed, parse_chat_request(request.body));
    const Model* model = models.find(parsed.model);
    if (model == nullptr) return fail(unknown_model(parsed.model));
    TRY_VOID(check_against(parsed, *model));
    const TokenBounds bounds = bounds_of(parsed, request.body.size(), *model);
    const auto most = cost_ceiling(model->price, bounds);
    VERIFY(most.has_value());  // Within the model's own bounds, which Models::make has priced.
    return Plan{model, std::move(parsed), bounds, *most};
}

// How long a call is worth going on with when nobody reads its answer any more. A buffered one has
// no meaning before its end, so it is awaited whatever the upstream charges for.
Milliseconds patience_of(const ChatRequest& request, const UpstreamTraits& traits) {
    const bool is_cancelled = request.stream && traits.client_gone == ClientGone::Cancel;
    return is_cancelled ? Milliseconds{} : traits.drain_time_max;
}

bool is_event_stream(const http::Headers& headers) {
    const auto type = headers.find("content-type");
    return type && type->starts_with("text/event-stream");
}

}  // namespace

struct Gateway::Impl {
    Impl(Services given, Options chosen) : services{given}, options{std::move(chosen)} {
        for (const Model& model : services.models.all()) {
            metrics.emplace_back(services.metrics, model.id.text());
        }
    }

    ModelMetrics& metrics_of(const Model& model) {
        return metrics[static_cast<std::size_t>(&model - services.models.all().data())];
    }

    // By value, all of it: what was authenticated is what is charged.
    http::Task<Result<KeyId, http::ApiError>> identify(const http::Request& request) {
        if (request.headers.find("x-cashu")) {
            co_return fail(unsupported_payment());
        }
        const std::string_view credential = bearer_of(request);
        if (credential.empty()) co_return fail(missing_key());
        if (credential.starts_with("cashu") && services.redeemer != nullptr) {
            co_return co_await http::completion<Result<KeyId, http::ApiError>>([&](auto done) {
                services.redeemer->redeem(std::string{credential}, std::move(done));
            });
        }
        const auto key = services.keyring.authenticate(credential);
        if (!key) co_return fail(invalid_key());
        co_return *key;
    }

    http::Task<Served> serve(http::Exchange& client) {
        const auto key = co_await identify(client.request());
        if (!key) co_return fail(key.error());
        auto plan = make_plan(services.models, client.request());
        if (!plan) co_return fail(plan.error());
        auto draw = co_await services.till.draw(*key, plan->most);
        if (!draw) {
            co_return fail(refused_draw(draw.error(), plan->model->id.text(), plan->most, options));
        }
        Flight flight{*plan->model,     std::move(plan->request), plan->bounds,
                      *std::move(draw), metrics_of(*plan->model), options.provider};
        co_return co_await forward(client, flight);
    }

    // The first upstream that answers. Another one is tried only while nothing was done by the
    // last.
    http::Task<Served> forward(http::Exchange& client, Flight& flight) {
        const auto& upstreams = flight.model().upstreams;
        http::ApiError last = upstream_failed(http::UpstreamFailure::Unreachable);
        for (Upstream* upstream : upstreams) {
            ClientWatch watch{client, patience_of(flight.request(), upstream->traits())};
            // Nobody is there to answer, and nothing was asked for yet.
            if (watch.has_left()) break;
            flight.upstream_called();
            const Answer answer = co_await call(client, flight, *upstream, watch);
            if (!answer) {
                const bool was_sent = answer.error() != http::UpstreamFailure::Unreachable;
                if (watch.has_given_up() && was_sent) co_return leave(flight);
                log::warn("upstream_failed", {{"upstream", upstream->traits().name},
                                              {"failure", static_cast<int>(answer.error())}});
                flight.upstream_not_reached();
                last = upstream_failed(answer.error());
                if (was_sent || watch.has_left()) break;
                continue;
            }
            http::UpstreamAnswer& found = **answer;
            if (found.status() >= 200 && found.status() < 300) {
                const Leg leg{client, watch, found, upstream->traits()};
                co_return co_await relay(leg, flight);
            }
            flight.upstream_not_reached();
            last = co_await refused(found, *upstream);
            if (!is_worth_another_try(found.status()) || watch.has_left()) break;
        }
        flight.let_go();
        co_return fail(std::move(last));
    }

    http::Task<Answer> call(http::Exchange& client, const Flight& flight, Upstream& upstream,
                            ClientWatch& watch) {
        return upstream.chat_completion({.body = rewrite(client.request().body, flight.request(),
                                                         flight.model(), upstream.traits()),
                                         .stream = flight.request().stream,
                                         .abandonment = watch.abandonment()});
    }

    static Served leave(Flight& flight) {
        flight.metrics().clients_gone.add();
        (void)flight.settle_stream(Flight::End::Cut);
        return {};
    }

    http::Task<http::ApiError> refused(http::UpstreamAnswer& answer, const Upstream& upstream) {
        // The words of an error are worth a moment, not the patience that an answer is worth.
        const auto first = co_await http::first_of(read_beginning(answer, kErrorBytesMax),
                                                   http::after(options.error_time_max));
        const std::string body = first.index() == 0 ? std::get<0>(first) : std::string{};
        // Not its body: it may repeat the prompt.
        log::warn("upstream_refused",
                  {{"upstream", upstream.traits().name}, {"status", answer.status()}});
        co_return upstream_refused(answer.status(), answer.headers(), body);
    }

    http::Task<Served> relay(Leg leg, Flight& flight) {
        if (is_event_stream(leg.upstream.headers())) {
            co_return co_await relay_stream(leg, flight);
        }
        co_return co_await relay_whole(leg, flight, options.answer_bytes_max);
    }

    const Services services;
    const Options options;
    std::deque<ModelMetrics> metrics;  // In the order of the models.
};

Gateway::Gateway(Services services, Options options)
    : impl_{std::make_unique<Impl>(services, std::move(options))} {}
Gateway::~Gateway() = default;

http::Task<void> Gateway::chat_completions(http::Exchange& exchange) {
    auto served = co_await impl_->serve(exchange);
    if (served) co_return;
    (void)co_await exchange.respond(
        http::to_response(served.error(), exchange.request().request_id));
}

const Models& Gateway::models() const { return impl_->services.models; }

}  // namespace nutgate::proxy
