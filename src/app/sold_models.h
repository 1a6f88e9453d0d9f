// What is sold, and by whom: the configuration's upstreams and models as the proxy has them.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config.h"
#include "nutgate/base/clock.h"
#include "nutgate/base/metrics.h"
#include "nutgate/http/url.h"
#include "nutgate/proxy/models.h"
#include "nutgate/proxy/upstream.h"

namespace nutgate::app {

// Of a configuration that was checked.
std::unique_ptr<proxy::Upstream> open_upstream(const UpstreamConfig& config, const http::Url& url,
                                               std::string key, metrics::Registry& metrics,
                                               const Clock& clock);

struct NamedUpstream {
    std::string name;
    proxy::Upstream* upstream;  // Outlives the models.
};
// Empty if it has no valid price.
std::optional<proxy::Model> sold_model(const Config& config, const ModelConfig& model,
                                       const std::vector<NamedUpstream>& upstreams);
proxy::Model demo_model(proxy::Upstream& demo);

}  // namespace nutgate::app
