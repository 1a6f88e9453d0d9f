// One case of the corpus: what an upstream says, and what it has to come to. corpus/README.md says
// how the files are written.
#pragma once

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "nutgate/proxy/pricing.h"
#include "nutgate/proxy/tariff.h"
#include "nutgate/proxy/usage.h"

namespace nutgate::test {

struct CorpusCase {
    std::string name;  // "openai_chat/complete"
    bool stream = false;
    std::filesystem::path data;
    nlohmann::json truth;

    bool is_big() const { return truth.contains("fill"); }
    // What the node can tell today, where a kind of work is not counted yet.
    const nlohmann::json& told() const {
        return truth.contains("until_sold") ? truth["until_sold"] : truth;
    }

    std::string text() const {
        std::ifstream file{data, std::ios::binary};
        REQUIRE(file.good());
        std::string all{std::istreambuf_iterator<char>{file}, {}};
        if (!is_big()) return all;
        const auto& fill = truth["fill"];
        const std::string place = fill["place"];
        const std::string with = fill["with"];
        REQUIRE(with.size() == 1);
        const std::size_t at = all.find(place);
        REQUIRE(at != std::string::npos);
        return all.replace(at, place.size(), std::string(fill["bytes"], with[0]));
    }

    // The stream as its client gets it: without what is withheld, and without a frame's beginning
    // at the end of a stream that was cut.
    std::string passed() const {
        const std::string all = text();
        std::vector<std::string> frames;
        std::size_t at = 0;
        for (std::size_t end = 0; (end = all.find("\n\n", at)) != std::string::npos; at = end + 2) {
            frames.push_back(all.substr(at, end + 2 - at));
        }
        // Counted from the end; the last is -1.
        for (const int place : truth.value("withheld", std::vector<int>{})) {
            REQUIRE(place < 0);
            frames.at(frames.size() - static_cast<std::size_t>(-place)).clear();
        }
        std::string kept;
        for (const std::string& frame : frames) kept += frame;
        return kept;
    }

    proxy::Price price() const {
        const std::vector<std::pair<const char*, proxy::PriceKind>> places{
            {"input", proxy::PriceKind::Input},
            {"output", proxy::PriceKind::Output},
            {"cached", proxy::PriceKind::InputCached},
            {"cache_write", proxy::PriceKind::CacheWrite},
            {"cache_write_1h", proxy::PriceKind::CacheWrite1h}};
        proxy::PriceTable table{.currency = proxy::Currency::Msat};
        for (const auto& [kind, per_1k] : truth["price"].items()) {
            const auto place = std::find_if(places.begin(), places.end(),
                                            [&](const auto& known) { return known.first == kind; });
            REQUIRE_MESSAGE(place != places.end(), kind);
            table.lines[proxy::index_of(place->second)] =
                proxy::Decimal{.units = per_1k.get<std::uint64_t>(), .places = 3};
        }
        return proxy::Tariff::make(table).value().at(Time{}, std::nullopt).value();
    }

    // Of what was told.
    proxy::Usage usage() const {
        proxy::Usage usage;
        const std::vector<std::pair<const char*, std::int64_t*>> places{
            {"in_uncached", &usage.in_uncached},
            {"in_cached", &usage.in_cached},
            {"cache_write_5m", &usage.cache_write_5m},
            {"cache_write_1h", &usage.cache_write_1h},
            {"out_text", &usage.out_text},
            {"out_reasoning", &usage.out_reasoning},
            {"in_audio", &usage.in_audio},
            {"in_image", &usage.in_image},
            {"out_audio", &usage.out_audio},
            {"out_image", &usage.out_image},
            {"searches", &usage.searches},
            {"audio_ms", &usage.audio_ms}};
        for (const auto& [kind, count] : told()["usage"].items()) {
            const auto place = std::find_if(places.begin(), places.end(),
                                            [&](const auto& known) { return known.first == kind; });
            REQUIRE_MESSAGE(place != places.end(), kind);
            *place->second += count.get<std::int64_t>();
        }
        return usage;
    }
};

inline std::vector<CorpusCase> corpus_cases() {
    std::vector<CorpusCase> cases;
    const std::filesystem::path root{NUTGATE_PROXY_CORPUS};
    for (const auto& entry : std::filesystem::recursive_directory_iterator{root}) {
        const std::filesystem::path& path = entry.path();
        const bool stream = path.extension() == ".sse";
        // The streams beside the folders belong to the meter's own test.
        if ((!stream && path.extension() != ".body") || path.parent_path() == root) continue;
        std::filesystem::path truth_path = path;
        std::ifstream truth{truth_path.replace_extension(".json")};
        cases.push_back({path.parent_path().filename().string() + "/" + path.stem().string(),
                         stream, path, nlohmann::json::parse(truth, nullptr, false)});
    }
    std::ranges::sort(cases, {}, &CorpusCase::name);
    return cases;
}

}  // namespace nutgate::test
