#include "price_file.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <string_view>
#include <system_error>

#include "price_config.h"

namespace nutgate::app {
namespace {

constexpr std::string_view kPrefix = "price.";

const PriceEntry* find_entry(const std::vector<PriceEntry>& entries, const std::string& model) {
    const auto found =
        std::ranges::find_if(entries, [&](const PriceEntry& e) { return e.model == model; });
    return found == entries.end() ? nullptr : &*found;
}

// What is typed for it, key by key.
std::map<std::string, std::string> lines_of(const PriceEntry& entry) {
    std::map<std::string, std::string> lines;
    const std::string toml = prices_to_toml({entry});
    for (std::size_t begin = 0; begin < toml.size();) {
        const std::size_t end = std::min(toml.find('\n', begin), toml.size());
        const std::string_view line = std::string_view{toml}.substr(begin, end - begin);
        const std::size_t equals = line.find(" = ");
        if (line.starts_with(kPrefix) && equals != std::string_view::npos) {
            lines.emplace(line.substr(kPrefix.size(), equals - kPrefix.size()),
                          line.substr(equals + 3));
        }
        begin = end + 1;
    }
    return lines;
}

}  // namespace

std::string prices_path(const Config& config) {
    if (!config.prices_file.empty()) return config.prices_file;
    return (std::filesystem::path{config.data_dir} / "prices.toml").string();
}

PriceFile read_price_file(const std::string& path, bool named) {
    PriceFile read;
    std::error_code unknown;
    const bool folder = std::filesystem::is_directory(path, unknown);
    std::ifstream file{path, std::ios::binary};
    if (!file || folder) {
        if (named || std::filesystem::exists(path, unknown)) {
            read.mistakes.push_back({path, "can't be read"});
        }
        return read;
    }
    const std::string text{std::istreambuf_iterator<char>{file}, {}};
    read.mistakes = load_prices(text, read.entries);
    for (const Mistake& mistake : check_entries(read.entries)) read.mistakes.push_back(mistake);
    for (Mistake& mistake : read.mistakes) mistake.key.insert(0, path + ": ");
    return read;
}

std::vector<Mistake> check_entries(const std::vector<PriceEntry>& entries) {
    std::vector<Mistake> mistakes;
    std::set<std::string> models;
    for (std::size_t i = 0; i < entries.size(); ++i) {
        const std::string key = "price[" + std::to_string(i) + "].";
        if (entries[i].model.empty()) mistakes.push_back({key + "model", "is required"});
        if (!models.insert(entries[i].model).second) {
            mistakes.push_back({key + "model", "names \"" + entries[i].model + "\" again"});
        }
        if (const auto tariff = tariff_of(entries[i].price, key + "price"); !tariff) {
            mistakes.insert(mistakes.end(), tariff.error().begin(), tariff.error().end());
        }
    }
    return mistakes;
}

std::vector<PriceEntry> merged(std::vector<PriceEntry> entries,
                               const std::vector<PriceEntry>& changes) {
    for (const PriceEntry& change : changes) {
        const auto found = std::ranges::find_if(
            entries, [&](const PriceEntry& e) { return e.model == change.model; });
        if (found == entries.end()) {
            entries.push_back(change);
        } else {
            *found = change;
        }
    }
    return entries;
}

std::vector<PriceChange> changes(const std::vector<PriceEntry>& before,
                                 const std::vector<PriceEntry>& after) {
    std::vector<PriceChange> all;
    for (const PriceEntry& entry : after) {
        const PriceEntry* known = find_entry(before, entry.model);
        auto old = known == nullptr ? std::map<std::string, std::string>{} : lines_of(*known);
        for (auto& [key, value] : lines_of(entry)) {
            const auto found = old.find(key);
            const std::string was = found == old.end() ? std::string{} : found->second;
            if (was != value) {
                all.push_back({.model = entry.model, .key = key, .before = was, .after = value});
            }
            if (found != old.end()) old.erase(found);
        }
        for (const auto& [key, value] : old) {
            all.push_back({.model = entry.model, .key = key, .before = value, .after = {}});
        }
    }
    return all;
}

}  // namespace nutgate::app
