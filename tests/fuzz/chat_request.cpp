#include "proxy/chat_request.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <string>
#include <string_view>

#include "nutgate/base/verify.h"

// What the parser takes is JSON to others too, and what is made of it is bounded, asks for usage
// and is the same request but for what had to change.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace nutgate::proxy;
    using nlohmann::json;
    const std::string_view body{reinterpret_cast<const char*>(data), size};
    const auto request = parse_chat_request(body);
    if (!request) {
        VERIFY(request.error().status == 400);
        return 0;
    }
    const Model model{
        .id = *nutgate::ModelId::parse("small"),
        .output_max = 1000,
        .price = Price::make(MsatPrices{.input_per_1k = 1, .output_per_1k = 1}).value(),
        .upstream_model = "theirs",
        .tokens_per_image_max = 1000,
    };
    if (!check_against(*request, model)) return 0;
    const std::string changed = rewrite(body, *request, model, {.model = "theirs", .upstream = {}});
    // A number beyond a parser's range is an error to it, and none to us: it is passed on.
    const json before = json::parse(body, nullptr, false);
    const json after = json::parse(changed, nullptr, false);
    VERIFY(before.is_discarded() == after.is_discarded());
    if (after.is_discarded()) return 0;

    const TokenBounds bounds = bounds_of(*request, body.size(), model);
    VERIFY(bounds.input <= model.context && bounds.output <= model.output_max);
    std::int64_t limit = 0;
    for (const auto* name : {"max_tokens", "max_completion_tokens"}) {
        if (after.contains(name) && after[name].is_number()) {
            limit = std::max(limit, after[name].get<std::int64_t>());
        }
    }
    VERIFY(limit >= 1 && limit * request->choices <= bounds.output);
    VERIFY(after["model"] == "theirs");
    if (request->stream) VERIFY(after["stream_options"]["include_usage"] == true);
    for (const auto& [key, value] : before.items()) {
        if (key == "model" || key == "stream_options" || key.starts_with("max_")) continue;
        VERIFY(after[key] == value);
    }
    return 0;
}
