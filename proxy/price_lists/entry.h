// One model of a list: its fields as text, and the prices that are made of them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "../json_scan.h"
#include "nutgate/proxy/price_lists.h"

namespace nutgate::proxy {

// A value that is neither an object nor an array.
struct ListField {
    std::string path;  // "pricing.overrides.0.prompt"
    std::string text;  // Of a string, decoded; of anything else, as it stands.
    bool is_null = false;
};

// Flattens the value that `first` begins. Empty if it is malformed or has more than kFieldsMax.
constexpr std::size_t kFieldsMax = 2'000;
std::optional<std::vector<ListField>> flatten(JsonReader& reader, JsonToken first);

// The value at that path; null if there is none, or if it is null.
const ListField* find_field(const std::vector<ListField>& fields, std::string_view path);

// Collects the prices of one model, or the first reason against it.
class EntryPrices {
public:
    // Each figure of the list is divided by that power of ten: 2 for cents.
    explicit EntryPrices(int power = 0) : power_{power} {}

    // Takes the price of one into these lines. What is zero and only a part of something else, or
    // counted by the piece, says nothing of its own and is left out.
    void take(PriceLines& lines, PriceKind kind, const ListField& field);
    // The same, if it is more than what is there.
    void take_higher(PriceLines& lines, PriceKind kind, const ListField& field);
    void refuse(ListRefusal why, std::string field);

    PriceLines& lines() { return table_.lines; }
    void add_override(const PriceOverride& change) { table_.overrides.push_back(change); }

    // Into the list: as a price, or among the refused.
    void finish(std::string model, ListOptions options, PriceList& list) &&;

private:
    std::optional<Decimal> read(const ListField& field);

    int power_;
    PriceTable table_;
    std::optional<RefusedPrice> refused_;
};

// One reader for each format.
Result<PriceList, ListError> read_openrouter(std::string_view json, ListOptions options);
Result<PriceList, ListError> read_litellm(std::string_view json, ListOptions options);
Result<PriceList, ListError> read_portkey(std::string_view json, ListOptions options);

}  // namespace nutgate::proxy
