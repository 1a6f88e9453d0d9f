#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "commands.h"
#include "data_dir.h"
#include "price_config.h"
#include "price_file.h"
#include "support/temp_dir.h"

using namespace nutgate;
using namespace nutgate::app;
using proxy::PriceKind;

namespace {

constexpr std::string_view kSeller = R"toml(
[wallet]
mints = ["https://mint.example.com"]
[[upstream]]
name = "u"
url = "http://127.0.0.1:8000/v1"
[[model]]
id = "m"
upstreams = ["u"]
context = 400000
output_max = 8192
)toml";

std::string faults(const std::string& price) {
    Config config;
    auto mistakes = load(std::string{kSeller} + price, {}, config);
    for (const Mistake& mistake : check(config, {})) mistakes.push_back(mistake);
    std::string all;
    for (const Mistake& mistake : mistakes) all += mistake.key + " " + mistake.what + "\n";
    return all;
}

PriceConfig price_in(const std::string& price) {
    Config config;
    CHECK(load(std::string{kSeller} + price, {}, config).empty());
    return config.models.at(0).price;
}

// For so many of that kind, at noon, at 100,000 USD.
std::int64_t cost(const PriceConfig& price, const proxy::Usage& usage) {
    const Time noon =
        Time{std::chrono::sys_days{std::chrono::year{2026} / 11 / 20}} + std::chrono::hours{12};
    const auto tariff = tariff_of(price, "price");
    const auto at_noon = tariff.value().at(noon, rates::BtcUsd::parse("100000"));
    return cost_of(at_noon.value(), usage)->total.raw();
}

PriceEntry entry(std::string model, std::string input, std::string output) {
    PriceEntry made{.model = std::move(model), .source = "test", .price = {}};
    made.price.lines.usd[index_of(PriceKind::Input)] = std::move(input);
    made.price.lines.usd[index_of(PriceKind::Output)] = std::move(output);
    return made;
}

void write(const std::filesystem::path& path, std::string_view text) {
    std::ofstream{path, std::ios::binary} << text;
}
std::string read(const std::filesystem::path& path) {
    std::ifstream file{path, std::ios::binary};
    return {std::istreambuf_iterator<char>{file}, {}};
}

constexpr const char* kList = R"json({"data":[
  {"id":"vendor/m","pricing":{"prompt":"0.00000125","completion":"0.00001",
   "input_cache_read":"1.25e-07",
   "overrides":[{"min_prompt_tokens":200000,"prompt":"0.0000025"},
                {"utc_start":"1630","utc_end":"0030","completion":"0.000005"}]}},
  {"id":"vendor/auto","pricing":{"prompt":"-1","completion":"-1"}}]})json";

}  // namespace

TEST_CASE("prices: each key has its unit") {
    const PriceConfig usd = price_in(R"toml(
price.input_usd = "1"
price.cached_input_usd = "0.1"
price.cache_write_usd = "1.25"
price.cache_write_1h_usd = "2"
price.audio_input_usd = "3"
price.image_input_usd = "4"
price.output_usd = "5"
price.reasoning_usd = "6"
price.audio_output_usd = "7"
price.image_output_usd = "8"
price.request_usd = "0.001"
price.image_usd = "0.04"
price.search_usd = "0.01"
price.characters_usd = "15"
price.audio_second_usd = "0.0001"
price.margin = "1.1"
)toml");
    CHECK(cost(usd, {}) == 1'100);
    CHECK(cost(usd, {.in_uncached = 1000}) == 2'200);
    CHECK(cost(usd, {.in_cached = 1000}) == 1'210);
    CHECK(cost(usd, {.cache_write_5m = 1000}) == 2'475);
    CHECK(cost(usd, {.cache_write_1h = 1000}) == 3'300);
    CHECK(cost(usd, {.in_audio = 1000}) == 4'400);
    CHECK(cost(usd, {.in_image = 1000}) == 5'500);
    CHECK(cost(usd, {.out_text = 1000}) == 6'600);
    CHECK(cost(usd, {.out_reasoning = 1000}) == 7'700);
    CHECK(cost(usd, {.out_audio = 1000}) == 8'800);
    CHECK(cost(usd, {.out_image = 1000}) == 9'900);
    CHECK(cost(usd, {.images = 1}) == 45'100);
    CHECK(cost(usd, {.searches = 1}) == 12'100);
    CHECK(cost(usd, {.characters = 1000}) == 17'600);
    CHECK(cost(usd, {.audio_ms = 10'000}) == 2'200);

    const PriceConfig msat = price_in(R"toml(
price.input_msat_per_1k = 200
price.output_msat_per_1k = 600
price.cache_write_1h_msat_per_1k = 400
price.request_msat = 7
price.image_msat = 40000
price.search_msat = 10000
price.characters_msat_per_1k = 15
price.audio_second_msat = 100
price.floor_msat = 20
)toml");
    CHECK(cost(msat, {}) == 20);
    CHECK(cost(msat, {.in_uncached = 40, .out_text = 12}) == 23);  // 8 + 7.2 + 7
    CHECK(cost(msat, {.cache_write_1h = 1000}) == 407);
    CHECK(cost(msat, {.images = 1}) == 40'007);
    CHECK(cost(msat, {.searches = 1}) == 10'007);
    CHECK(cost(msat, {.characters = 2000}) == 37);
    CHECK(cost(msat, {.audio_ms = 1'500}) == 157);
}

TEST_CASE("prices: long prompts and cheap hours are tables of their own") {
    const std::string text = R"toml(
price.input_usd = "1"
price.output_usd = "5"
price.overrides = [ { above_input_tokens = 200000, input_usd = "2" },
                    { from_utc = "11:00", until_utc = "13:00", output_usd = "4" } ]
)toml";
    const PriceConfig price = price_in(text);
    CHECK(cost(price, {.in_uncached = 200'000}) == 200'000);
    CHECK(cost(price, {.in_uncached = 200'001}) == 400'002);
    CHECK(cost(price, {.out_text = 1000}) == 4'000);
    CHECK(faults(text).empty());
    // What is printed reads back as the same.
    Config config;
    CHECK(load(std::string{kSeller} + text, {}, config).empty());
    Config again;
    CHECK(load(to_toml(config), {}, again).empty());
    CHECK(to_toml(again) == to_toml(config));
    CHECK(cost(again.models.at(0).price, {.in_uncached = 200'001}) == 400'002);
}

TEST_CASE("prices: all mistakes of all models are named at once, each with its key") {
    const std::string all = faults(R"toml(
price.input_usd = "cheap"
price.output_usd = "1e3"
price.reasoning_usd = "-1"
price.margin = "ten"
price.colour = "blue"
price.overrides = [ { above_input_tokens = 5 }, { from_utc = "25:00", until_utc = "13:00", input_usd = "x" },
                    { input_usd = "1", surprise = 1 }, 7 ]
[[model]]
id = "n"
upstreams = ["u"]
context = 1
output_max = 1
[[model]]
id = "o"
upstreams = ["u"]
context = 1
output_max = 1
price = { input_usd = "1", output_msat_per_1k = 3 }
[[model]]
id = "p"
upstreams = ["u"]
context = 1
output_max = 1
price = { input_msat_per_1k = 1, output_msat_per_1k = 1, margin = "1.1" }
[[model]]
id = "q"
upstreams = ["u"]
context = 1
output_max = 1
price = { input_usd = "10000", output_usd = "1" }
)toml");
    CAPTURE(all);
    for (const char* key :
         {"model[0].price.input_usd ", "model[0].price.output_usd ",
          "model[0].price.reasoning_usd ", "model[0].price.margin ", "model[0].price.colour ",
          "model[0].price.overrides[0] names no price", "model[0].price.overrides[1].from_utc ",
          "model[0].price.overrides[1].input_usd ",
          "model[0].price.overrides[2] needs above_input_tokens",
          "model[0].price.overrides[2].surprise is an unknown key",
          "model[0].price.overrides[3] must be a table",
          "model[1].price is missing: without a price the model is not sold",
          "model[2].price is given both in USD and in msat",
          "model[3].price.margin is a factor on prices in USD", "model[4].price is too high"}) {
        CAPTURE(key);
        CHECK(all.find(key) != std::string::npos);
    }
}

TEST_CASE("prices: what may be given away must be meant") {
    CHECK(faults("price = { input_usd = \"0\", output_usd = \"0.0\" }").find("is zero") !=
          std::string::npos);
    CHECK(faults("price = { input_msat_per_1k = 0, output_msat_per_1k = 0 }").find("is zero") !=
          std::string::npos);
    CHECK(faults("price = { input_usd = \"0\", output_usd = \"0\", free = true }").empty());
    CHECK(faults("price = { input_usd = \"1\" }").find("needs both input_usd and output_usd") !=
          std::string::npos);
}

TEST_CASE("rates: keys are checked, and a model in USD needs no fixed rate") {
    const std::string usd = "price = { input_usd = \"1\", output_usd = \"1\" }\n[rates]\n";
    CHECK(faults(usd).empty());
    CHECK(faults(usd + "btc_usd = \"100000\"").empty());
    for (const char* bad : {"btc_usd = \"0\"", "btc_usd = \"lots\"", "btc_usd = \"10000001\"",
                            "btc_usd = \"99.9999\""}) {
        CHECK(faults(usd + bad).find("rates.btc_usd") != std::string::npos);
    }
    CHECK(faults(usd + "sources = [\"kraken\", \"mtgox\", \"kraken=http://x/\"]")
              .find("rates.sources[1]") != std::string::npos);
    CHECK(faults(usd + "sources = [\"kraken\", \"kraken=http://x/\"]").find("kraken again") !=
          std::string::npos);
    CHECK(faults(usd + "sources = [\"kraken\"]").find("rates.sources_min") != std::string::npos);
    CHECK(faults(usd + "age_max_s = 30").find("rates.age_max_s") != std::string::npos);
}

TEST_CASE(
    "prices: a model without a price of its own has the file's, with its own margin and floor") {
    Config config;
    REQUIRE(load(std::string{kSeller} + "price = { margin = \"1.5\" }\n" + R"toml(
[[model]]
id = "own"
upstreams = ["u"]
context = 1
output_max = 1
price = { input_msat_per_1k = 1, output_msat_per_1k = 1 }
)toml",
                 {}, config)
                .empty());
    PriceEntry listed = entry("m", "1", "2");
    listed.price.margin = "1.1";
    listed.price.floor_msat = 30;
    lay_prices({listed, entry("own", "9", "9"), entry("unknown", "9", "9")}, config);
    CHECK(cost(config.models[0].price, {.in_uncached = 1000}) == 1'500);
    CHECK(cost(config.models[0].price, {}) == 30);
    CHECK(cost(config.models[1].price, {.in_uncached = 1000}) == 1);

    // The file as it is later takes the place of what it was, with what was typed before it still.
    lay_prices({entry("m", "3", "4"), entry("own", "9", "9")}, config);
    CHECK(cost(config.models[0].price, {.in_uncached = 1000}) == 4'500);
    CHECK(cost(config.models[0].price, {}) == 0);
    CHECK(cost(config.models[1].price, {.in_uncached = 1000}) == 1);
    lay_prices({}, config);
    CHECK_FALSE(names_a_price(config.models[0].price));
    CHECK(config.models[0].price.margin == "1.5");
}

TEST_CASE("prices: a file of prices is read back as it was written, and a bad one is not read") {
    const test::TempDir dir;
    const auto path = (dir.path() / "prices.toml").string();
    CHECK(read_price_file(path, false).mistakes.empty());
    CHECK(read_price_file(path, true).mistakes.size() == 1);
    PriceEntry first = entry("a \"quoted\" model", "0.15", "0.6");
    first.price.overrides.push_back(
        {.above_input_tokens = 9, .lines = entry("", "1", "2").price.lines});
    first.price.margin = "1.07";
    first.price.floor_msat = 5;
    REQUIRE(replace_file(path, prices_to_toml({first, entry("b", "1", "1")})));
    const PriceFile file = read_price_file(path, true);
    CHECK(file.mistakes.empty());
    REQUIRE(file.entries.size() == 2);
    CHECK(prices_to_toml(file.entries) == prices_to_toml({first, entry("b", "1", "1")}));

    write(path, prices_to_toml({entry("a", "x", "1"), entry("a", "1", "")}) + "colour = 1\n");
    std::string all;
    for (const Mistake& mistake : read_price_file(path, true).mistakes) {
        all += mistake.key + " " + mistake.what + "\n";
    }
    for (const char* fault : {"price[0].price.input_usd", "price[1].model names \"a\" again",
                              "price[1].price needs both", "price[1].colour is an unknown key"}) {
        CAPTURE(fault);
        CHECK(all.find(path + ": " + fault) != std::string::npos);
    }
}

TEST_CASE("prices: what changes is told kind by kind, old and new") {
    const std::vector<PriceEntry> before{entry("a", "1", "2"), entry("stays", "1", "1")};
    PriceEntry dearer = entry("a", "1.5", "2");
    dearer.price.margin = "1.1";
    const auto all = changes(before, {dearer, entry("new", "3", "4")});
    std::string text;
    for (const PriceChange& change : all) {
        text += change.model + " " + change.key + " " + change.before + ">" + change.after + "\n";
    }
    CHECK(text ==
          "a input_usd \"1\">\"1.5\"\na margin >\"1.1\"\n"
          "new free >false\nnew input_usd >\"3\"\nnew output_usd >\"4\"\n");
    CHECK(changes(before, before).empty());
    const auto both = merged(before, {dearer, entry("new", "3", "4")});
    REQUIRE(both.size() == 3);
    CHECK(both[0].price.margin == "1.1");
    CHECK(both[1].model == "stays");
    CHECK(both[2].model == "new");
}

TEST_CASE("prices: imported, looked at and applied, a list is what the node sells by") {
    const test::TempDir dir;
    const std::string list = (dir.path() / "list.json").string();
    const std::string candidate = (dir.path() / "candidate.toml").string();
    const auto applied = dir.path() / "prices.toml";
    write(list, kList);
    PricesArguments arguments{.data_dir = dir.path().string(),
                              .source = list,
                              .format = "openrouter",
                              .models = {"m=vendor/m"},
                              .margin = "1.10",
                              .floor_msat = 25,
                              .output_file = candidate};
    CHECK(prices_import(arguments) == kDone);
    const std::string imported = read(candidate);
    for (const char* line :
         {"model = \"m\"", "source = \"openrouter vendor/m\"", "price.input_usd = \"1.25\"",
          "price.output_usd = \"10\"", "price.cached_input_usd = \"0.125\"",
          "price.margin = \"1.10\"", "price.floor_msat = 25", "above_input_tokens = 200000",
          "from_utc = \"16:30\""}) {
        CAPTURE(line);
        CHECK(imported.find(line) != std::string::npos);
    }
    arguments.source = candidate;
    CHECK(prices_diff(arguments) == kDone);
    CHECK_FALSE(std::filesystem::exists(applied));
    CHECK(prices_apply(arguments) == kDone);
    Config config;
    REQUIRE(load(kSeller, {}, config).empty());
    config.data_dir = dir.path().string();
    const PriceFile file = read_price_file(prices_path(config), true);
    CHECK(file.mistakes.empty());
    lay_prices(file.entries, config);
    CHECK(check(config, {}).empty());
    // 1.25 and 10 USD per million, 10 % on top: 1.375 and 11 msat for a token.
    CHECK(cost(config.models[0].price, {.in_uncached = 1000, .out_text = 100}) == 2'475);
    CHECK(cost(config.models[0].price, {.in_uncached = 1}) == 25);

    // A candidate with a mistake changes nothing.
    write(candidate, prices_to_toml({entry("m", "0.5", "free")}));
    const std::string before = read(applied);
    CHECK(prices_apply(arguments) == kMisused);
    CHECK(prices_diff(arguments) == kMisused);
    CHECK(read(applied) == before);
    CHECK_FALSE(std::filesystem::exists(applied.string() + ".new"));
}

TEST_CASE("prices: a model that can't be sold by a list is named, and the others go on") {
    const test::TempDir dir;
    const std::string list = (dir.path() / "list.json").string();
    const std::string candidate = (dir.path() / "candidate.toml").string();
    write(list, kList);
    PricesArguments arguments{.source = list,
                              .format = "openrouter",
                              .models = {"m=vendor/m", "auto=vendor/auto", "gone=vendor/gone"},
                              .output_file = candidate};
    CHECK(prices_import(arguments) == kFailed);
    CHECK(read(candidate).find("model = \"m\"") != std::string::npos);
    CHECK(read(candidate).find("auto") == std::string::npos);
    arguments.models = {};
    arguments.all = true;
    CHECK(prices_import(arguments) == kDone);
    arguments.format = "litellm";
    CHECK(prices_import(arguments) == kFailed);
    arguments.format = "csv";
    CHECK(prices_import(arguments) == kMisused);
    arguments.format = "openrouter";
    arguments.source = (dir.path() / "nowhere.json").string();
    CHECK(prices_import(arguments) == kFailed);
}
