// What a stream that is held for ahead costs and covers, at the fixture's prices.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "fixture.h"

namespace nutgate::test {

inline constexpr std::int64_t kSlice = 16;

// What covers the prompt of such a request and so many tokens of output.
inline Msat covering(std::string_view ask, std::int64_t output) {
    const auto bytes = static_cast<std::int64_t>(ask.size());
    return proxy::cost_ceiling(Node::default_price(), {.input = bytes + 512, .output = output})
        .value();
}
// How many tokens that covers: a msat is more than one.
inline std::int64_t covered_by(std::string_view ask, Msat amount) {
    std::int64_t output = 0;
    while (covering(ask, output + 1) <= amount) ++output;
    return output;
}

inline std::int64_t count(const std::string& text, const std::string& what) {
    std::int64_t n = 0;
    for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; ++at) ++n;
    return n;
}

inline std::int64_t stopped(Node& node) {
    return static_cast<std::int64_t>(
        node.metrics.counter("nutgate_proxy_stopped_streams_total", "", {{"model", "small"}})
            .value());
}
inline std::int64_t loss(Node& node) {
    return static_cast<std::int64_t>(
        node.metrics.counter("nutgate_proxy_loss_msat_total", "", {{"model", "small"}}).value());
}

inline void set_slice(Node& node) {
    node.options.first_slice_tokens = kSlice;
    node.settle();
}

}  // namespace nutgate::test
