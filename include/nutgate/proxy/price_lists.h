// Price lists that others publish, read for an operator who sells by them. Pure: text in, prices
// out.
//
// Decimals are taken from the text, never through a binary fraction. A list is foreign: what can't
// be charged by is refused with a reason, model by model, and the others go on.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nutgate/base/result.h"
#include "nutgate/proxy/tariff.h"

namespace nutgate::proxy {

enum class ListFormat {
    OpenRouter,  // GET /api/v1/models there, and of any upstream that lists prices as it does.
    LiteLlm,     // model_prices_and_context_window.json.
    Portkey,     // pricing/<provider>.json: in cents.
};

// In USD, for one of each kind, without a margin.
struct ListedPrice {
    std::string model;  // As the list calls it.
    PriceTable table;
};

enum class ListRefusal {
    Missing,      // No price, or only one side of a conversation has one.
    Variable,     // Negative: "it depends".
    Malformed,    // No number, or one with more digits than can be kept exactly.
    Zero,         // Nothing is given away unless the operator says so.
    OutOfRange,   // Too high to be true, or too fine to be exact.
    Unsupported,  // By what nobody counts here, in another currency, or in too many tiers.
};
struct RefusedPrice {
    std::string model;
    ListRefusal why;
    std::string field = {};  // Of the list, where one is to blame.
};

struct PriceList {
    std::vector<ListedPrice> prices;
    std::vector<RefusedPrice> refused;
};

enum class ListError {
    NotJson,
    OtherForm,  // JSON, but not this list.
    TooMany,    // More than kListModelsMax.
};

constexpr std::size_t kListBytesMax = 32 * 1024 * 1024;  // For whoever fetches one.
constexpr std::size_t kListModelsMax = 20'000;

struct ListOptions {
    bool free_allowed = false;  // A price of zero is meant.
};
Result<PriceList, ListError> read_price_list(ListFormat format, std::string_view json,
                                             ListOptions options);

}  // namespace nutgate::proxy
