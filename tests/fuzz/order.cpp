#include "proxy/order.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <string>
#include <string_view>

#include "nutgate/base/verify.h"

// Whatever path a body comes by: what is taken is bounded, and what an upstream gets is the same
// request under its own name for the model, and never one that is to be stored. The first byte says
// which path; a form's boundary is "xYz".
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace nutgate::proxy;
    using nlohmann::json;
    if (size == 0) return 0;
    const Endpoint endpoint = kAllEndpoints[data[0] % kEndpoints];
    nutgate::http::Request request;
    request.body = std::string{reinterpret_cast<const char*>(data) + 1, size - 1};
    request.headers.add("Content-Type", "multipart/form-data; boundary=xYz");
    const auto order = read_order(endpoint, request);
    if (!order) {
        VERIFY(order.error().status == 400);
        return 0;
    }
    const Model model{
        .id = *nutgate::ModelId::parse("small"),
        .output_max = 1000,
        .price = Price::make(MsatPrices{.input_per_1k = 1, .output_per_1k = 1}).value(),
        .upstream_model = "theirs",
        .tokens_per_image_max = 1000,
    };
    if (!(*order)->check_against(model)) return 0;
    const TokenBounds bounds = (*order)->bounds(request.body.size(), model);
    VERIFY(bounds.input >= 0 && bounds.input <= std::max(model.context, kEmbeddingTokensMax));
    VERIFY(bounds.output >= 0 && bounds.output <= model.output_max);
    const std::string sent =
        (*order)->body_for(request.body, model, {.model = "theirs", .upstream = {}});
    if (!(*order)->content_type().empty()) {
        VERIFY(sent.size() + (*order)->fields().model.size() ==
               request.body.size() + std::string_view{"theirs"}.size());
        return 0;
    }
    // A number beyond a parser's range is an error to it, and none to us: it is passed on.
    const json before = json::parse(request.body, nullptr, false);
    const json after = json::parse(sent, nullptr, false);
    VERIFY(before.is_discarded() == after.is_discarded());
    if (after.is_discarded()) return 0;
    VERIFY(after["model"] == "theirs");
    if (endpoint == Endpoint::Responses) VERIFY(after["store"] == false);
    for (const auto& [key, value] : before.items()) {
        if (key == "model" || key == "stream_options" || key == "store" ||
            key.starts_with("max_")) {
            continue;
        }
        VERIFY(after[key] == value);
    }
    return 0;
}
