#include <nlohmann/json.hpp>

#include <cstdint>
#include <string>
#include <string_view>

#include "nutgate/base/verify.h"
#include "proxy/report.h"

// An answer with the receipt in it is JSON if it was, says the charge, and says all else as before.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace nutgate;
    using namespace nutgate::proxy;
    using nlohmann::json;
    if (size == 0) return 0;
    const std::string_view answer{reinterpret_cast<const char*>(data) + 1, size - 1};
    const Msat total = *Msat::from_raw(77);
    const Receipt receipt{
        .cost = {.total = total, .input = {}, .input_cached = {}, .output = total},
        .metered = {.usage = {},
                    .source =
                        data[0] % 2 == 0 ? UsageSource::Estimate : UsageSource::UpstreamFinal},
        .remaining = {},
        .provider = "node"};
    const std::string spliced = splice_receipt(answer, receipt);
    const json before = json::parse(answer, nullptr, false);
    if (before.is_discarded() || !before.is_object()) return 0;
    if (spliced == answer) return 0;  // Deeper than our reader goes.
    const json after = json::parse(spliced, nullptr, false);
    VERIFY(after.is_object());
    VERIFY(after["usage"]["cost"]["total_msats"] == 77);
    for (const auto& [key, value] : before.items()) {
        if (key != "usage" && key != "metadata") VERIFY(after[key] == value);
    }
    return 0;
}
