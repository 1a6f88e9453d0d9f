// The file of prices that `nutgate prices apply` writes and `nutgate serve` reads: TOML, an entry
// for each model, in USD as a list has them, with the seller's margin and floor beside them.
#pragma once

#include <string>
#include <vector>

#include "config.h"
#include "nutgate/base/result.h"

namespace nutgate::app {

// Where it lies.
std::string prices_path(const Config& config);

// What is in it; nothing, if there is none. `named` says that there must be one.
struct PriceFile {
    std::vector<PriceEntry> entries;
    std::vector<Mistake> mistakes;  // Each with the file's name before its key.
};
PriceFile read_price_file(const std::string& path, bool named);

// That each can be sold by: a model once, a price that is one.
std::vector<Mistake> check_entries(const std::vector<PriceEntry>& entries);

// Those of `changes` in the place of those of the same model, or after them.
std::vector<PriceEntry> merged(std::vector<PriceEntry> entries,
                               const std::vector<PriceEntry>& changes);

struct PriceChange {
    std::string model;
    std::string key;     // "input_usd", "margin"
    std::string before;  // As typed; empty: was not there.
    std::string after;   // Empty: is gone.
};
// By model, in the order of `after`; those that are not in it do not change.
std::vector<PriceChange> changes(const std::vector<PriceEntry>& before,
                                 const std::vector<PriceEntry>& after);

}  // namespace nutgate::app
