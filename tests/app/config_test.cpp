#include "config.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <iterator>

using namespace nutgate;
using namespace nutgate::app;

namespace {

bool names(const std::vector<Mistake>& mistakes, std::string_view key) {
    return std::any_of(mistakes.begin(), mistakes.end(),
                       [&](const Mistake& mistake) { return mistake.key == key; });
}

constexpr std::string_view kSeller = R"toml(
[node]
name = "My node"
[listen]
public = "127.0.0.1:9402"
public_url = "https://ai.example.com"
[wallet]
mints = ["https://mint.example.com"]
[[upstream]]
name = "local"
url = "http://127.0.0.1:8000/v1"
[[model]]
id = "small"
upstreams = ["local"]
context = 32768
output_max = 8192
price = { input_msat_per_1k = 200, output_msat_per_1k = 600 }
)toml";

std::vector<Mistake> mistakes_of(std::string_view toml, const Environment& environment = {}) {
    Config config;
    auto mistakes = load(toml, environment, config);
    const auto more = check(config, environment);
    mistakes.insert(mistakes.end(), more.begin(), more.end());
    return mistakes;
}

}  // namespace

TEST_CASE("config: a seller's file is read whole") {
    Config config;
    CHECK(load(kSeller, {}, config).empty());
    CHECK(check(config, {}).empty());
    CHECK_EQ(config.node_name, "My node");
    CHECK_EQ(config.public_url, "https://ai.example.com");
    CHECK_EQ(config.upstreams.at(0).url, "http://127.0.0.1:8000/v1");
    CHECK_EQ(config.models.at(0).price.output_msat_per_1k, 600);
}

TEST_CASE("config: all mistakes are named at once, each with its key") {
    const auto mistakes = mistakes_of(R"toml(
        surprise = 1
        [node]
        colour = "blue"
        name = 5
        [listen]
        public = "nowhere"
        [limits]
        control_threads = 100000
        [[upstream]]
        name = "u"
        url = "ftp://x"
        api_key_env = "NOT_SET_ANYWHERE"
        flavour = "odd"
        [[model]]
        id = "m"
        upstreams = ["v"]
        context = 10
        output_max = 20
    )toml");
    for (const auto* key :
         {"surprise", "node.colour", "node.name", "listen.public", "limits.control_threads",
          "upstream[0].url", "upstream[0].api_key_env", "upstream[0].flavour", "model[0].upstreams",
          "model[0].output_max", "model[0].price", "wallet.mints"}) {
        CAPTURE(key);
        CHECK(names(mistakes, key));
    }
}

TEST_CASE("config: the environment wins over the file, and unknown variables are mistakes") {
    Config config;
    const Environment environment{{"NUTGATE_NODE_NAME", "From outside"},
                                  {"NUTGATE_WALLET_MINTS", "https://a.example, https://b.example"},
                                  {"NUTGATE_LIGHTNING_SIMULATED_SETTLE_MS", "7"},
                                  {"PATH", "/bin"}};
    CHECK(load(kSeller, environment, config).empty());
    CHECK_EQ(config.node_name, "From outside");
    CHECK_EQ(config.mints, std::vector<std::string>{"https://a.example", "https://b.example"});
    CHECK_EQ(config.simulated_settle_ms, 7);
    CHECK(names(mistakes_of(kSeller, {{"NUTGATE_NODE_NAEM", "x"}}), "NUTGATE_NODE_NAEM"));
    CHECK(names(mistakes_of(kSeller, {{"NUTGATE_LIMITS_DRAIN_MS", "soon"}}), "limits.drain_ms"));
}

TEST_CASE("config: with --dev nothing real is allowed") {
    Config config;
    config.dev = true;
    CHECK(load(kSeller, {}, config).empty());
    config.public_listen = "0.0.0.0:8402";
    config.upstreams.at(0).url = "https://api.example.com/v1";
    apply_dev_defaults(config);
    const auto mistakes = check(config, {});
    CHECK(names(mistakes, "wallet.mints[0]"));
    CHECK(names(mistakes, "listen.public"));
    CHECK(names(mistakes, "upstream[0].url"));
    config.dev_allow_upstream = true;
    CHECK_FALSE(names(check(config, {}), "upstream[0].url"));
}

TEST_CASE("config: without --dev there is no play money") {
    const auto mistakes =
        mistakes_of(std::string{kSeller} + "[mint]\nenabled = true\nbackend = \"simulated\"\n");
    CHECK(names(mistakes, "mint.backend"));
}

TEST_CASE("config: what --dev leaves out is embedded") {
    Config config;
    config.dev = true;
    apply_dev_defaults(config);
    CHECK(check(config, {}).empty());
    CHECK_EQ(config.data_dir, "nutgate-dev");
    CHECK_EQ(config.mints, std::vector<std::string>{"embedded"});
}

TEST_CASE("config: an upstream that is this node is refused") {
    CHECK(names(mistakes_of(R"toml(
        [wallet]
        mints = ["https://m.example"]
        [[upstream]]
        name = "me"
        url = "http://localhost:8402/v1"
    )toml"),
                "upstream[0].url"));
}

TEST_CASE("config: what is printed reads back as the same") {
    Config config;
    CHECK(load(kSeller, {}, config).empty());
    Config again;
    CHECK(load(to_toml(config), {}, again).empty());
    CHECK_EQ(to_toml(again), to_toml(config));
}

TEST_CASE("config: the reference in docs is the one that the program writes") {
    std::ifstream file{NUTGATE_VECTORS "/../../docs/configuration.md"};
    const std::string text{std::istreambuf_iterator<char>{file}, {}};
    CHECK_EQ(text, reference_markdown());
}

TEST_CASE("config: an address is a host and a port") {
    CHECK_EQ(parse_host_port("[::1]:80")->host, "::1");
    CHECK_EQ(parse_host_port("127.0.0.1:0")->port, 0);
    CHECK_FALSE(parse_host_port("127.0.0.1").has_value());
    CHECK_FALSE(parse_host_port(":80").has_value());
    CHECK_FALSE(parse_host_port("a:70000").has_value());
    CHECK_FALSE(parse_host_port("a:8x").has_value());
}

TEST_CASE("config: the simulated node receives and pays with --dev only, and one receives") {
    const auto faults = [](const std::string& toml, bool dev) {
        Config config;
        auto mistakes = load(toml, {}, config);
        config.dev = dev;
        if (dev) apply_dev_defaults(config);
        for (const Mistake& mistake : check(config, {})) mistakes.push_back(mistake);
        std::string all;
        for (const Mistake& mistake : mistakes) all += mistake.key + " " + mistake.what + "\n";
        return all;
    };
    const std::string simulated =
        "[lightning]\nreceive = [\"simulated\"]\npay = [\"mint\", \"simulated\"]\n";
    CHECK(faults(simulated, true).empty());
    const auto real = faults(simulated, false);
    CHECK(real.find("lightning.receive names \"simulated\"") != std::string::npos);
    CHECK(real.find("lightning.pay names \"simulated\"") != std::string::npos);
    CHECK(faults("[lightning]\nreceive = [\"mint\", \"simulated\"]\n", true)
              .find("names more than one") != std::string::npos);
    CHECK(faults("[lightning]\npay = [\"lnd\"]\n", true).find("must be one of") !=
          std::string::npos);
}
