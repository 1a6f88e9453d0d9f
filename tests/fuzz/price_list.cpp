#include <cstdint>
#include <string_view>

#include "nutgate/base/verify.h"
#include "nutgate/proxy/price_lists.h"

// Whatever a list says, what is taken from it can be charged by, costs nothing only where that is
// meant, and no more than its ceiling.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace nutgate;
    using namespace nutgate::proxy;
    if (size == 0) return 0;
    const std::string_view text{reinterpret_cast<const char*>(data) + 1, size - 1};
    const auto format = static_cast<ListFormat>(data[0] % 3);
    const bool free_allowed = data[0] % 2 == 1;
    if (const auto number = parse_number(text)) {
        VERIFY(parse_number(to_text(number->value))->value == number->value);
    }
    const auto list = read_price_list(format, text, {.free_allowed = free_allowed});
    if (!list) return 0;
    for (const ListedPrice& listed : list->prices) {
        VERIFY(free_allowed || !listed.table.free);
        const auto tariff = Tariff::make(listed.table);
        VERIFY(tariff.has_value());
        for (const Price& price : tariff->all(*rates::BtcUsd::from_raw(1'000'000'000))) {
            const TokenBounds bounds{.input = 1'000, .output = 1'000, .images = 3};
            const auto ceiling = cost_ceiling(price, bounds);
            const auto cost = cost_of(price, {.in_uncached = 1'000, .out_text = 500, .images = 3});
            VERIFY(ceiling.has_value() && cost.has_value() && cost->total <= *ceiling);
        }
    }
    return 0;
}
