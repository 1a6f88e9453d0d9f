// What upstreams take of the seller, as the configuration has it.
#include <doctest/doctest.h>

#include <string>

#include "cost_config.h"
#include "nutgate/proxy/pricing.h"

using namespace nutgate;
using namespace nutgate::app;

namespace {

constexpr std::string_view kSeller = R"toml(
[wallet]
mints = ["https://mint.example.com"]
[[upstream]]
name = "near"
url = "http://127.0.0.1:8000/v1"
[[upstream]]
name = "far"
url = "http://127.0.0.1:8001/v1"
[[model]]
id = "small"
upstreams = ["near", "far"]
context = 4000
output_max = 1000
price = { input_msat_per_1k = 200, output_msat_per_1k = 600 }
[[model]]
id = "large"
upstreams = ["far"]
context = 4000
output_max = 1000
price = { input_usd = "10", output_usd = "30", margin = "1.10", floor_msat = 500 }
)toml";

std::string faults(const std::string& more) {
    Config config;
    auto mistakes = load(std::string{kSeller} + more, {}, config);
    for (const Mistake& mistake : check(config, {})) mistakes.push_back(mistake);
    std::string all;
    for (const Mistake& mistake : mistakes) all += mistake.key + " " + mistake.what + "\n";
    return all;
}

// Of a thousand tokens in and a thousand out, at 100,000 USD; -1 if nobody said.
std::int64_t cost(const std::string& more, std::size_t model, std::string_view upstream) {
    Config config;
    CHECK(load(std::string{kSeller} + more, {}, config).empty());
    CHECK(check(config, {}).empty());
    const auto tariff = cost_of(config, config.models.at(model), upstream);
    if (!tariff) return -1;
    const auto price = tariff->at(Time{}, rates::BtcUsd::parse("100000"));
    return proxy::cost_of(price.value(), {.in_uncached = 1000, .out_text = 1000})->total.raw();
}

constexpr std::size_t kSmall = 0;
constexpr std::size_t kLarge = 1;

}  // namespace

TEST_CASE("costs: what an upstream takes is known where a table fits, and the first one counts") {
    const std::string costs = R"toml(
[[cost]]
upstream = "far"
model = "small"
input_msat_per_1k = 100
output_msat_per_1k = 300
[[cost]]
upstream = "far"
input_msat_per_1k = 1000
output_msat_per_1k = 2000
)toml";
    CHECK(cost(costs, kSmall, "far") == 400);
    CHECK(cost(costs, kLarge, "far") == 3000);
    CHECK(cost(costs, kSmall, "near") == -1);
    CHECK(cost("", kSmall, "far") == -1);
}

TEST_CASE("costs: a price with a margin says what the upstream takes, without margin and floor") {
    CHECK(cost("", kLarge, "far") == 40'000);
    CHECK(cost("[[cost]]\nmodel = \"large\"\ninput_usd = \"1\"\noutput_usd = \"2\"\n", kLarge,
               "far") == 3'000);
}

TEST_CASE("costs: one of zero is meant, and one in USD needs a rate") {
    CHECK(cost("[[cost]]\ninput_msat_per_1k = 0\noutput_msat_per_1k = 0\n", kSmall, "near") == 0);
    Config config;
    CHECK_FALSE(costs_usd(config));
    CHECK(load("[[cost]]\ninput_usd = \"1\"\noutput_usd = \"2\"\n", {}, config).empty());
    CHECK(costs_usd(config));
}

TEST_CASE("costs: mistakes are named, each with its key") {
    const auto found = faults(R"toml(
[[cost]]
upstream = "nowhere"
model = "none"
input_usd = "1,5"
output_usd = "2"
[[cost]]
upstream = "near"
[[cost]]
input_usd = "1"
output_msat_per_1k = 5
[[cost]]
input_msat_per_1k = 5
[[cost]]
input_msat_per_1k = 5
output_msat_per_1k = 5
margin = "2"
)toml");
    for (const auto* fault : {
             R"(cost[0].upstream names "nowhere")",
             R"(cost[0].model names "none")",
             "cost[0].input_usd is \"1,5\"",
             "cost[1] names no price",
             "cost[2] is given both in USD and in msat",
             "cost[3] needs both",
             "cost[4].margin is an unknown key",
         }) {
        CAPTURE(found);
        CHECK(found.find(fault) != std::string::npos);
    }
}

TEST_CASE("routes: an upstream of a model has its own name for it, and its own price") {
    Config config;
    const std::string given =
        "[[route]]\nmodel = \"small\"\nupstream = \"far\"\nupstream_model = \"vendor/small\"\n"
        "input_msat_per_1k = 100\noutput_msat_per_1k = 0\n";
    CHECK(faults(given).empty());
    CHECK(load(std::string{kSeller} + given, {}, config).empty());
    const RouteConfig* route = route_of(config, config.models.at(kSmall), "far");
    REQUIRE(route != nullptr);
    CHECK(route->upstream_model == "vendor/small");
    CHECK(tariff_of(*route, config.models.at(kSmall), "route[0]").has_value());
    CHECK(route_of(config, config.models.at(kSmall), "near") == nullptr);
    CHECK(route_of(config, config.models.at(kLarge), "far") == nullptr);
    Config again;
    CHECK(load(to_toml(config), {}, again).empty());
    REQUIRE(again.routes.size() == 1);
    CHECK(again.routes[0].upstream_model == "vendor/small");
    CHECK(again.routes[0].price.lines.msat == config.routes[0].price.lines.msat);
}

TEST_CASE("routes: mistakes are named, each with its key") {
    const auto found = faults(R"toml(
[[route]]
model = "none"
upstream = "near"
upstream_model = "x"
[[route]]
model = "large"
upstream = "near"
upstream_model = "x"
[[route]]
model = "small"
upstream = "near"
[[route]]
model = "small"
upstream = "near"
input_usd = "1"
output_msat_per_1k = 5
[[route]]
model = "small"
upstream = "far"
input_msat_per_1k = 5
)toml");
    for (const auto* fault : {
             R"(route[0].model names "none")",
             R"(route[1].upstream names "near")",
             "route[2] says nothing",
             "route[3] is given both in USD and in msat",
             "route[3] is there twice",
             "route[4] needs both",
         }) {
        CAPTURE(found);
        CHECK(found.find(fault) != std::string::npos);
    }
}

TEST_CASE("costs: what is in effect is printed as it can be read again") {
    Config config;
    const std::string given =
        "[[cost]]\nupstream = \"far\"\nmodel = \"small\"\ninput_usd = \"1.5\"\noutput_usd = \"2\"\n"
        "overrides = [{ above_input_tokens = 100, input_usd = \"3\" }]\n";
    CHECK(load(std::string{kSeller} + given, {}, config).empty());
    Config again;
    CHECK(load(to_toml(config), {}, again).empty());
    REQUIRE(again.costs.size() == 1);
    CHECK(again.costs[0].upstream == "far");
    CHECK(again.costs[0].price.lines.usd == config.costs[0].price.lines.usd);
    CHECK(again.costs[0].price.overrides.size() == 1);
}
