#include <cstdint>
#include <string_view>

#include "nutgate/base/verify.h"
#include "nutgate/rates/source.h"

// Whatever a ticker says, a quote is a rate that there can be, and reads back as the same.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace nutgate::rates;
    const std::string_view text{reinterpret_cast<const char*>(data), size};
    for (const Ticker& ticker : tickers()) {
        const auto quote = ticker.parse(text);
        if (!quote) continue;
        VERIFY(quote->rate.raw() >= 1 && quote->rate.raw() <= BtcUsd::kMax);
        VERIFY(BtcUsd::parse(quote->rate.text()) == quote->rate);
    }
    if (const auto rate = BtcUsd::parse(text)) VERIFY(BtcUsd::parse(rate->text()) == rate);
    if (const auto source = parse_source(text)) VERIFY(!source->url.empty());
    return 0;
}
