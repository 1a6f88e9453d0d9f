#include "sold_models.h"

#include <utility>

#include "cost_config.h"
#include "nutgate/base/verify.h"
#include "price_config.h"

namespace nutgate::app {
namespace {

constexpr std::int64_t kDemoMsatPer1k = 1'000;

// Of names that were checked.
proxy::EndpointSet endpoints_of(const std::vector<std::string>& names) {
    proxy::EndpointSet set;
    for (const std::string& name : names) {
        const auto endpoint = proxy::parse_endpoint(name);
        VERIFY(endpoint.has_value());
        set.add(*endpoint);
        if (*endpoint == proxy::Endpoint::Messages) set.add(proxy::Endpoint::CountTokens);
    }
    return set;
}

// What the configuration says of an upstream, over what is usual with its dialect.
void configure(proxy::UpstreamTraits& traits, const UpstreamConfig& config) {
    traits.name = config.name;
    if (config.on_disconnect == "cancel") traits.client_gone = proxy::ClientGone::Cancel;
    if (config.on_disconnect == "drain") traits.client_gone = proxy::ClientGone::Drain;
    if (config.limit_field == "max_tokens") traits.limit_field = proxy::LimitField::MaxTokens;
    if (config.limit_field == "max_completion_tokens") {
        traits.limit_field = proxy::LimitField::MaxCompletionTokens;
    }
    traits.drain_bytes_max = static_cast<std::size_t>(config.drain_bytes_max);
    traits.drain_time_max = Milliseconds{config.drain_timeout_ms};
    traits.calls_max = static_cast<std::size_t>(config.calls_max);
    traits.failures_max = static_cast<int>(config.failures_max);
    traits.rest_time_min = Milliseconds{config.rest_ms_min};
    traits.rest_time_max = Milliseconds{config.rest_ms_max};
}

std::unique_ptr<proxy::Upstream> open_anthropic(const UpstreamConfig& config, const http::Url& url,
                                                std::string key, metrics::Registry& metrics,
                                                const Clock& clock) {
    proxy::AnthropicOptions options;
    configure(options.traits, config);
    options.traits.endpoints = proxy::kAnthropicEndpoints;
    const proxy::EndpointSet named = endpoints_of(config.endpoints);
    if (!named.empty()) options.traits.endpoints = named;
    // Who serves chats serves what they are made of.
    if (named.contains(proxy::Endpoint::Chat)) {
        options.traits.endpoints.add(proxy::Endpoint::Messages);
    }
    options.url = url;
    options.api_key = std::move(key);
    if (config.thinking == "adaptive") options.thinking = proxy::ThinkingStyle::Adaptive;
    options.head_timeout = Milliseconds{config.head_timeout_ms};
    options.gap_timeout = Milliseconds{config.gap_timeout_ms};
    options.ca_file = config.ca_file;
    return proxy::make_anthropic_upstream(std::move(options), metrics, clock);
}

std::unique_ptr<proxy::Upstream> open_openai(const UpstreamConfig& config, const http::Url& url,
                                             std::string key, metrics::Registry& metrics) {
    auto usual = proxy::openai_options(config.dialect, url);
    VERIFY(usual.has_value());  // The configuration knows no other dialect.
    proxy::OpenAiOptions options = *std::move(usual);
    configure(options.traits, config);
    if (const auto named = endpoints_of(config.endpoints); !named.empty()) {
        options.traits.endpoints = named;
    }
    options.api_key = std::move(key);
    options.head_timeout = Milliseconds{config.head_timeout_ms};
    options.gap_timeout = Milliseconds{config.gap_timeout_ms};
    options.ca_file = config.ca_file;
    return proxy::make_openai_upstream(std::move(options), metrics);
}

std::optional<proxy::Tariff> price_of(const RouteConfig& route, const ModelConfig& model) {
    if (!names_a_price(route.price)) return std::nullopt;
    auto tariff = tariff_of(route, model, "route");
    if (!tariff) return std::nullopt;
    return *std::move(tariff);
}

proxy::Route route_to(const Config& config, const ModelConfig& model, std::size_t place,
                      const NamedUpstream& to) {
    const std::uint32_t weight =
        model.weights.empty() ? 1 : parse_weight(model.weights[place]).value_or(0);
    proxy::Route route{to.upstream, weight, cost_of(config, model, to.name)};
    if (const RouteConfig* own = route_of(config, model, to.name)) {
        route.model = own->upstream_model;
        route.price = price_of(*own, model);
    }
    return route;
}

}  // namespace

std::unique_ptr<proxy::Upstream> open_upstream(const UpstreamConfig& config, const http::Url& url,
                                               std::string key, metrics::Registry& metrics,
                                               const Clock& clock) {
    if (config.dialect == "anthropic") {
        return open_anthropic(config, url, std::move(key), metrics, clock);
    }
    return open_openai(config, url, std::move(key), metrics);
}

std::optional<proxy::Model> sold_model(const Config& config, const ModelConfig& model,
                                       const std::vector<NamedUpstream>& upstreams) {
    const auto price = tariff_of(model.price, "price");
    const auto id = ModelId::parse(model.id);
    if (!price || !id) return std::nullopt;
    proxy::Model sold{.id = *id,
                      .description = model.description,
                      .context = model.context,
                      .output_max = model.output_max,
                      .choices_max = config.choices_max,
                      .price = *price,
                      .upstream_model = model.upstream_model,
                      .endpoints = endpoints_of(model.endpoints),
                      .elastic = model.elastic,
                      .extra_fields = model.extra_fields};
    if (model.tokens_per_image_max > 0) sold.tokens_per_image_max = model.tokens_per_image_max;
    if (!model.weights.empty()) sold.routing = proxy::Routing::Weight;
    for (std::size_t place = 0; place < model.upstreams.size(); ++place) {
        for (const NamedUpstream& known : upstreams) {
            if (known.name != model.upstreams[place]) continue;
            sold.upstreams.push_back(route_to(config, model, place, known));
        }
    }
    return sold;
}

proxy::Model demo_model(proxy::Upstream& demo) {
    const auto price = proxy::Price::make(
        proxy::MsatPrices{.input_per_1k = kDemoMsatPer1k, .output_per_1k = kDemoMsatPer1k});
    VERIFY(price.has_value());
    return {.id = *ModelId::parse("demo"),
            .name = "Demonstration",
            .description = "No model: text derived from the prompt, to try things out.",
            .price = *price,
            .upstreams = {&demo}};
}

}  // namespace nutgate::app
