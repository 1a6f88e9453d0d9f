#include "quick_start.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "nutgate/base/json_depth.h"
#include "nutgate/http/client.h"
#include "nutgate/http/message.h"
#include "nutgate/http/url.h"

namespace nutgate::app {
namespace {

constexpr std::int64_t kContextAssumed = 32'768;  // Where the upstream does not say.
constexpr std::int64_t kOutputMaxAssumed = 4'096;
constexpr std::size_t kModelsMax = 1'000;

std::int64_t context_of(const nlohmann::json& model) {
    for (const auto* field : {"context_length", "max_model_len", "context_window"}) {
        const auto found = model.find(field);
        if (found != model.end() && found->is_number_unsigned()) {
            const auto value = found->get<std::uint64_t>();
            if (value > 0 && value < 100'000'000) return static_cast<std::int64_t>(value);
        }
    }
    return kContextAssumed;
}

Result<std::vector<ModelConfig>, std::string> listed_models(const UpstreamConfig& upstream,
                                                            const std::string& key,
                                                            const PriceConfig& price) {
    const auto client = http::make_client({.ca_file = upstream.ca_file});
    http::ClientRequest request;
    request.url = list_url(upstream);
    request.timeout = Milliseconds{15'000};
    if (!key.empty()) request.headers.set("Authorization", "Bearer " + key);
    const auto answer = client->call(request);
    if (!answer) return fail("does not list its models: " + answer.error().detail);
    nlohmann::json body;
    if (!nests_too_deep(answer->body)) body = nlohmann::json::parse(answer->body, nullptr, false);
    if (answer->status != 200 || !body.is_object() || !body.contains("data") ||
        !body["data"].is_array()) {
        return fail("does not list its models: it answered " + std::to_string(answer->status));
    }
    std::vector<ModelConfig> models;
    for (const auto& model : body["data"]) {
        if (!model.is_object() || !model.contains("id") || !model["id"].is_string()) continue;
        ModelConfig& sold = models.emplace_back();
        sold.id = model["id"].get<std::string>();
        sold.upstreams = {upstream.name};
        sold.context = context_of(model);
        sold.output_max = std::min(sold.context, kOutputMaxAssumed);
        sold.price = price;
        if (models.size() >= kModelsMax) break;
    }
    if (models.empty()) return fail(std::string{"lists no models"});
    return models;
}

}  // namespace

std::vector<Mistake> add_quick_start(const ServeArguments& arguments,
                                     const Environment& environment, Config& config) {
    const bool priced =
        arguments.price_input_msat_per_1k >= 0 && arguments.price_output_msat_per_1k >= 0;
    if (arguments.upstream_url.empty()) {
        if (arguments.price_input_msat_per_1k < 0 && arguments.price_output_msat_per_1k < 0 &&
            arguments.upstream_key_env.empty()) {
            return {};
        }
        return {{"--upstream-url", "is required by --upstream-key-env and --price-…"}};
    }
    if (!priced) {
        return {{"--upstream-url",
                 "sells nothing without --price-input-msat-per-1k and --price-output-msat-per-1k"}};
    }
    // Before it is asked what it sells: to ask is to use it.
    const auto url = http::parse_url(arguments.upstream_url);
    if (!url) {
        return {{"--upstream-url", "must be a URL of http or https, up to and with /v1"}};
    }
    if (config.dev && !config.dev_allow_upstream && !http::is_loopback_host(url->host)) {
        return {{"--upstream-url", "is not on this machine: --dev needs --dev-allow-upstream"}};
    }
    UpstreamConfig upstream;
    upstream.name = "upstream";
    upstream.url = arguments.upstream_url;
    upstream.api_key_env = arguments.upstream_key_env;
    const auto key = read_api_key(upstream, environment);
    if (!key) return {{"--upstream-key-env", key.error()}};
    PriceConfig price;
    price.lines.msat[index_of(proxy::PriceKind::Input)] = arguments.price_input_msat_per_1k;
    price.lines.msat[index_of(proxy::PriceKind::Output)] = arguments.price_output_msat_per_1k;
    const auto models = listed_models(upstream, *key, price);
    if (!models) return {{"--upstream-url", models.error()}};
    config.upstreams.push_back(upstream);
    config.models.insert(config.models.end(), models->begin(), models->end());
    return {};
}

std::optional<std::string> resolve_port(const std::string& address) {
    const auto parsed = parse_host_port(address);
    if (!parsed) return std::nullopt;
    if (parsed->port != 0) return address;
    const bool v6 = parsed->host.find(':') != std::string::npos;
    const int probe = ::socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (probe < 0) return std::nullopt;
    sockaddr_storage storage{};
    socklen_t size = sizeof storage;
    int bound = -1;
    if (v6) {
        auto* name = reinterpret_cast<sockaddr_in6*>(&storage);
        name->sin6_family = AF_INET6;
        name->sin6_addr = in6addr_loopback;
        bound = ::bind(probe, reinterpret_cast<sockaddr*>(name), sizeof *name);
    } else {
        auto* name = reinterpret_cast<sockaddr_in*>(&storage);
        name->sin_family = AF_INET;
        name->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        bound = ::bind(probe, reinterpret_cast<sockaddr*>(name), sizeof *name);
    }
    const bool known =
        bound == 0 && ::getsockname(probe, reinterpret_cast<sockaddr*>(&storage), &size) == 0;
    ::close(probe);
    if (!known) return std::nullopt;
    const auto port = v6 ? reinterpret_cast<sockaddr_in6*>(&storage)->sin6_port
                         : reinterpret_cast<sockaddr_in*>(&storage)->sin_port;
    return address.substr(0, address.rfind(':') + 1) + std::to_string(ntohs(port));
}

}  // namespace nutgate::app
