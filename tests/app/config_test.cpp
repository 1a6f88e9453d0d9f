#include "config.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>

#include "lightning_config.h"
#include "support/temp_dir.h"

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
    CHECK_EQ(config.models.at(0).price.lines.msat[index_of(proxy::PriceKind::Output)], 600);
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

TEST_CASE("config: an upstream speaks a dialect that is known, and thinks in a way that is known") {
    const auto with = [](const std::string& line) {
        std::string toml{kSeller};
        toml.insert(toml.find("[[model]]"), line + "\n");
        return mistakes_of(toml);
    };
    CHECK(with(R"(dialect = "openai")").empty());
    CHECK(with("dialect = \"anthropic\"\nthinking = \"adaptive\"").empty());
    for (const char* dialect :
         {"openai", "anthropic", "azure", "gemini", "llama.cpp", "ollama", "openrouter", "vllm"}) {
        const std::string line = std::string{"dialect = \""} + dialect + '"';
        CHECK_FALSE(names(with(line), "upstream[0].dialect"));
    }
    CHECK(names(with(R"(dialect = "latin")"), "upstream[0].dialect"));
    CHECK(names(with(R"(limit_field = "n_predict")"), "upstream[0].limit_field"));
    CHECK(names(with(R"(on_disconnect = "hope")"), "upstream[0].on_disconnect"));
    CHECK(names(with(R"(thinking = "hard")"), "upstream[0].thinking"));
}

TEST_CASE("config: weights are whole numbers, as many as upstreams, and not all zero") {
    const auto with_weights = [](const std::string& weights) {
        std::string toml{kSeller};
        const std::string_view one = R"(upstreams = ["local"])";
        toml.replace(toml.find(one), one.size(),
                     "upstreams = [\"local\", \"local\"]\nweights = " + weights);
        return mistakes_of(toml);
    };
    CHECK(with_weights(R"(["3", "1"])").empty());
    CHECK(with_weights(R"(["3", "0"])").empty());
    for (const auto* bad : {R"(["3"])", R"(["3", "-1"])", R"(["3", "1.5"])", R"(["3", ""])",
                            R"(["3", "1001"])", R"(["0", "0"])"}) {
        CAPTURE(bad);
        const auto mistakes = with_weights(bad);
        REQUIRE(mistakes.size() == 1);
        CHECK(mistakes[0].key == "model[0].weights");
    }
}

TEST_CASE("config: all bodies together may be no less than one") {
    const auto with = [](const std::string& lines) {
        return mistakes_of(std::string{kSeller} + "\n[limits]\n" + lines);
    };
    CHECK(with("upload_bytes_max = 2097152\nbody_bytes_max = 2097152\n"
               "bodies_bytes_max = 2097152")
              .empty());
    CHECK(names(with("bodies_bytes_max = 27262975"), "limits.bodies_bytes_max"));
}

TEST_CASE("config: nobody is refused for a charge's age before he waits for it") {
    const auto with = [](const std::string& line) {
        return mistakes_of(std::string{kSeller} + "\n[limits]\nunposted_wait_ms = 70\n" + line);
    };
    CHECK(with("unposted_age_max_ms = 70").empty());
    CHECK(names(with("unposted_age_max_ms = 69"), "limits.unposted_age_max_ms"));
}

TEST_CASE("config: an upstream's URL may have a query, which its list of models keeps") {
    std::string toml{kSeller};
    const std::string_view plain = "http://127.0.0.1:8000/v1";
    toml.replace(toml.find(plain), plain.size(),
                 "http://127.0.0.1:8000/openai/deployments/d/?api-version=2024-10-21");
    Config config;
    CHECK(load(toml, {}, config).empty());
    CHECK(check(config, {}).empty());
    CHECK_EQ(list_url(config.upstreams.at(0)),
             "http://127.0.0.1:8000/openai/deployments/d/models?api-version=2024-10-21");
}

TEST_CASE("config: what others put paths behind ends without a slash or a query") {
    const auto with_url = [](const std::string& url) {
        std::string toml{kSeller};
        const std::string_view one = "https://ai.example.com";
        toml.replace(toml.find(one), one.size(), url);
        return mistakes_of(toml);
    };
    CHECK(with_url("https://ai.example.com/node").empty());
    CHECK(names(with_url("https://ai.example.com/"), "listen.public_url"));
    CHECK(names(with_url("https://ai.example.com?a=b"), "listen.public_url"));
}

TEST_CASE("config: what the node would refuse to start with is said before") {
    const auto with = [](const std::string& line, const std::string& before) {
        std::string toml{kSeller};
        return mistakes_of(toml.insert(toml.find(before), line + "\n"));
    };
    CHECK(with(R"(trusted_proxies = ["10.0.0.0/8", "::1"])", "public_url").empty());
    CHECK(names(with(R"(trusted_proxies = ["::1", "10.0.0.0/33"])", "public_url"),
                "listen.trusted_proxies[1]"));
    const std::string same =
        "[[model]]\nid = \"SMALL\"\nupstreams = [\"local\"]\ncontext = 10\n"
        "output_max = 10\nprice = { input_msat_per_1k = 1 }\n";
    CHECK(names(with(same, "[[model]]"), "model[1].id"));
}

TEST_CASE("config: a variable that holds a secret may begin as ours do") {
    std::string toml{kSeller};
    toml +=
        "\n[lightning]\nreceive = [\"lnd\"]\npay = [\"lnd\"]\n[lightning.lnd]\n"
        "url = \"https://127.0.0.1:8080\"\ninvoice_macaroon_env = \"NUTGATE_LND\"\n";
    Config config;
    CHECK(load(toml, {{"NUTGATE_LND", "00"}}, config).empty());
    CHECK(names(load(toml, {{"NUTGATE_LNX", "00"}}, config), "NUTGATE_LNX"));
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
    CHECK(faults("[lightning]\npay = [\"eclair\"]\n", true).find("must be one of") !=
          std::string::npos);
}

namespace {

constexpr std::string_view kNodes = R"toml(
[lightning]
receive = ["lnd", "phoenixd"]
pay = ["lnd"]
[lightning.lnd]
url = "https://127.0.0.1:8080"
invoice_macaroon_env = "LND_INVOICE"
pay_macaroon_env = "LND_PAY"
[lightning.phoenixd]
url = "http://127.0.0.1:9740"
limited_password_env = "PHOENIX"
)toml";

const Environment kNodeSecrets{{"LND_INVOICE", "0201"}, {"LND_PAY", "0202"}, {"PHOENIX", "x"}};

}  // namespace

TEST_CASE("config: Lightning nodes are taken in their order, with a credential for each use") {
    const std::string file = std::string{kSeller} + std::string{kNodes};
    CHECK(mistakes_of(file, kNodeSecrets).empty());
    Config config;
    CHECK(load(file, kNodeSecrets, config).empty());
    const auto used = used_nodes(config);
    REQUIRE_EQ(used.size(), 2);
    CHECK_EQ(used.at(0)->name, "lnd");
    CHECK_EQ(used.at(1)->name, "phoenixd");
    const auto secrets = read_node_secrets(config, *used.at(0), kNodeSecrets);
    REQUIRE(secrets.has_value());
    CHECK_EQ(as_text(secrets->receive.reveal()), "0201");
    CHECK_EQ(as_text(secrets->pay.reveal()), "0202");
    CHECK_EQ(to_toml(config).find("0202"), std::string::npos);
}

TEST_CASE("config: a node without what its use needs is a mistake, each with its key") {
    const std::string file = std::string{kSeller} + std::string{kNodes};
    CHECK(names(mistakes_of(file), "lightning.lnd.invoice_macaroon_env"));
    const auto with = [&](std::string_view from, std::string_view to) {
        std::string changed = file;
        const auto at = changed.find(from);
        REQUIRE_NE(at, std::string::npos);
        changed.replace(at, from.size(), to);
        return mistakes_of(changed, kNodeSecrets);
    };
    CHECK(
        names(with("pay = [\"lnd\"]", "pay = [\"phoenixd\"]"), "lightning.phoenixd.password_file"));
    CHECK(names(with("https://127.0.0.1:8080", "http://node.example:8080"), "lightning.lnd.url"));
    CHECK(names(with("https://127.0.0.1:8080", ""), "lightning.lnd.url"));
    CHECK(names(with("limited_password_env = \"PHOENIX\"", ""),
                "lightning.phoenixd.limited_password_file"));
    CHECK(names(with("[lightning.phoenixd]", "cert_file = \"nowhere.pem\"\n[lightning.phoenixd]"),
                "lightning.lnd.cert_file"));
    CHECK(names(with("[\"lnd\", \"phoenixd\"]", "[\"lnd\", \"lnd\"]"), "lightning.receive"));
    CHECK(names(with("[\"lnd\", \"phoenixd\"]", "[\"mint\", \"phoenixd\"]"), "lightning.receive"));
}

TEST_CASE("config: a wallet service is named by an address, which is looked at and never shown") {
    const std::string file = std::string{kSeller} +
                             "\n[lightning]\nreceive = [\"nwc\"]\npay = [\"nwc\"]\n"
                             "[lightning.nwc]\nreceive_uri_env = \"NWC\"\npay_uri_env = \"NWC\"\n";
    const std::string secret = "71a8c14c1407c113601079c4302dab36460f0ccd0ad506f1f2dc73b5100e4f3c";
    const std::string service =
        "nostr+walletconnect://b889ff5b1513b641e2a139f661a661364979c5beee91842f8f0ef42ab558e9d4";
    const auto with = [&](const std::string& rest) {
        const auto mistakes = mistakes_of(file, Environment{{"NWC", service + rest}});
        for (const auto& mistake : mistakes) {
            CHECK_EQ(mistake.what.find(secret), std::string::npos);
        }
        return mistakes;
    };
    CHECK(with("?relay=wss%3A%2F%2Frelay.example%2Fv1&secret=" + secret).empty());
    CHECK(with("?relay=ws%3A%2F%2F127.0.0.1%3A7000&secret=" + secret).empty());
    for (const std::string& rest :
         {"?relay=ws%3A%2F%2Frelay.example&secret=" + secret,  // For everybody to see.
          "?secret=" + secret, "?relay=relay.example&secret=" + secret,
          std::string{"?relay=wss%3A%2F%2Frelay.example"}}) {
        CAPTURE(rest);
        const auto mistakes = with(rest);
        CHECK(names(mistakes, "lightning.nwc.receive_uri_env"));
        CHECK(names(mistakes, "lightning.nwc.pay_uri_env"));
    }
    CHECK(names(mistakes_of(file), "lightning.nwc.receive_uri_env"));
}

TEST_CASE("config: the node behind our own mint receives by the mint, since none pays itself") {
    Config config;
    CHECK(load(kNodes, kNodeSecrets, config).empty());
    config.mint_enabled = true;
    config.mint_backend = "lnd";
    const auto is_refused = [&](std::vector<std::string> receive, std::vector<std::string> mints) {
        config.lightning_receive = std::move(receive);
        config.mints = std::move(mints);
        return names(check(config, kNodeSecrets), "lightning.receive");
    };
    CHECK(is_refused({"lnd"}, {"embedded"}));
    CHECK_FALSE(is_refused({"mint"}, {"embedded"}));
    CHECK_FALSE(is_refused({"lnd", "phoenixd"}, {"embedded"}));
    CHECK_FALSE(is_refused({"phoenixd"}, {"embedded"}));
    CHECK_FALSE(is_refused({"lnd"}, {"https://mint.example.com", "embedded"}));
}

TEST_CASE("config: with --dev no node is asked: real money is not for playing") {
    Config config;
    CHECK(load(kNodes, kNodeSecrets, config).empty());
    config.dev = true;
    apply_dev_defaults(config);
    const auto mistakes = check(config, kNodeSecrets);
    CHECK(names(mistakes, "lightning.receive"));
    CHECK(names(mistakes, "lightning.pay"));
    config.lightning_receive = {"mint"};
    config.lightning_pay = {"mint"};
    config.mint_backend = "lnd";
    CHECK(names(check(config, kNodeSecrets), "mint.backend"));
}

TEST_CASE("config: a macaroon's file is bytes or hex, and told to the node in hex") {
    const test::TempDir folder;
    Config config;
    CHECK(load(kNodes, kNodeSecrets, config).empty());
    config.lnd.receive_env.clear();
    config.lnd.receive_file = folder.file("invoice.macaroon");
    for (const std::string& written : {std::string{"\x02\x01\n"}, std::string{"02010a\n"}}) {
        std::ofstream{config.lnd.receive_file, std::ios::binary} << written;
        const auto secrets = read_node_secrets(config, *find_node_kind("lnd"), kNodeSecrets);
        REQUIRE(secrets.has_value());
        CHECK_EQ(as_text(secrets->receive.reveal()), "02010a");
    }
}
