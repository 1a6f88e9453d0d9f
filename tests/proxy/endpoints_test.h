// What the tests of all sold paths ask of an answer.
#pragma once

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <string>
#include <utility>
#include <vector>

#include "fixture.h"
#include "order.h"

namespace nutgate::test {

struct SseEvent {
    std::string name;  // Of its `event:` line.
    std::string data;
};

inline std::vector<SseEvent> sse_events(const std::string& body) {
    std::vector<SseEvent> events;
    for (std::size_t at = 0; at < body.size();) {
        const std::size_t end = body.find("\n\n", at);
        REQUIRE(end != std::string::npos);
        SseEvent event;
        for (std::size_t line = at; line < end;) {
            const std::size_t stop = std::min(body.find('\n', line), end);
            const std::string text = body.substr(line, stop - line);
            if (text.starts_with("event: ")) event.name = text.substr(7);
            if (text.starts_with("data: ")) event.data = text.substr(6);
            line = stop + 1;
        }
        events.push_back(std::move(event));
        at = end + 2;
    }
    return events;
}

// "ok", or the code of the refusal that a body meets before any money is touched.
inline std::string verdict(proxy::Endpoint endpoint, const std::string& body,
                           const proxy::Model& model) {
    http::Request request;
    request.body = body;
    const auto order = proxy::read_order(endpoint, request);
    if (!order) return order.error().code;
    const auto fits = (*order)->check_against(model);
    return fits ? "ok" : fits.error().code;
}

inline proxy::Model order_model() {
    return {
        .id = *ModelId::parse("small"),
        .context = 4096,
        .output_max = 1000,
        .price = proxy::Price::make(proxy::MsatPrices{.input_per_1k = 200, .output_per_1k = 600})
                     .value(),
        .template_tokens = 100};
}

// What an upstream would get of a body.
inline std::string body_for(proxy::Endpoint endpoint, const std::string& body,
                            const proxy::Model& model = order_model()) {
    http::Request request;
    request.body = body;
    const auto order = proxy::read_order(endpoint, request);
    REQUIRE(order);
    REQUIRE((*order)->check_against(model));
    const proxy::UpstreamTraits traits;
    return (*order)->body_for(body, model, {.model = model.id.text(), .upstream = traits});
}

inline proxy::TokenBounds bounds_for(proxy::Endpoint endpoint, const std::string& body,
                                     const proxy::Model& model = order_model()) {
    http::Request request;
    request.body = body;
    const auto order = proxy::read_order(endpoint, request);
    REQUIRE(order);
    return (*order)->bounds(body.size(), model);
}

}  // namespace nutgate::test
