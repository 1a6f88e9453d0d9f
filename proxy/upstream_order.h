// In which order a request tries the upstreams of its model.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "nutgate/proxy/models.h"

namespace nutgate::proxy {

// Places in Model::upstreams, each once. No memory is taken for it.
class UpstreamOrder {
public:
    // `turn` is the number of the request: the same one gives the same order.
    UpstreamOrder(const Model& model, std::uint64_t turn);

    std::span<const std::size_t> places() const { return {places_.data(), count_}; }

private:
    void put_first(std::size_t at);

    std::array<std::size_t, kUpstreamsMax> places_{};
    std::size_t count_;
};

}  // namespace nutgate::proxy
