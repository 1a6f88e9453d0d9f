// One of several upstreams of a model: what it is asked for, and what is charged where it serves.
#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "dialogue.h"
#include "fixture.h"

using namespace nutgate;
using namespace nutgate::test;
using namespace nutgate::literals;
using nlohmann::json;

namespace {

proxy::Price price_of(std::int64_t input, std::int64_t output) {
    return proxy::Price::make(proxy::MsatPrices{.input_per_1k = input, .output_per_1k = output})
        .value();
}

// The second upstream of the model "small", which costs 200 and 600 msat, is particular.
void make_second(Node& node, std::string name, std::optional<proxy::Price> price) {
    std::vector<proxy::Model> all = node.models->all();
    proxy::Route& second = all[0].upstreams[1];
    second.model = std::move(name);
    if (price) second.price = *price;
    node.close();
    node.models.emplace(proxy::Models::make(std::move(all), std::nullopt).value());
    node.keep_usage();
}

std::vector<proxy::UsageEntry> rows_of(Node& node) {
    return node.database
        ->read([](store::Reader& reader) -> Result<proxy::UsagePage, store::StoreFailure> {
            return proxy::list_usage(reader, {});
        })
        .value()
        .entries;
}

}  // namespace

TEST_CASE("route: each upstream is asked for the model by the name that it has for it") {
    Node node;
    make_second(node, "theirs/small", std::nullopt);
    node.upstream.script.failure = http::UpstreamFailure::Unreachable;
    node.second.script = json_script(kAnswer);
    const KeyId key = node.make_key(10'000_msat);
    FakeExchange client{node.request(key, kAsk)};
    node.serve(client);
    CHECK(client.status == 200);
    CHECK(json::parse(node.upstream.bodies().at(0))["model"] == "Vendor/Small-1B");
    CHECK(json::parse(node.second.bodies().at(0))["model"] == "theirs/small");
    CHECK(node.balance(key).posted == 9'984_msat);
}

TEST_CASE("route: the price of the upstream that served is charged, and stands in the row") {
    Node node;
    make_second(node, "", price_of(100, 300));
    node.second.script = json_script(kAnswer);
    const KeyId key = node.make_key(10'000_msat);

    SUBCASE("the one that has its own") {
        node.upstream.script.failure = http::UpstreamFailure::Unreachable;
        FakeExchange client{node.request(key, kAsk)};
        node.serve(client);
        // 40 * 0.1 + 12 * 0.3 = 7.6, so 8 msat.
        CHECK(json::parse(client.body)["usage"]["cost"]["total_msats"] == 8);
        CHECK(node.balance(key).posted == 9'992_msat);
        const auto rows = rows_of(node);
        REQUIRE(rows.size() == 1);
        CHECK(rows[0].upstream == "second");
        CHECK(rows[0].charged == 8_msat);
        const std::vector<proxy::UsageItem> items{{"input", 40, 100'000}, {"output", 12, 300'000}};
        CHECK(rows[0].items == items);
    }
    SUBCASE("the one that has none") {
        node.upstream.script = json_script(kAnswer);
        FakeExchange client{node.request(key, kAsk)};
        node.serve(client);
        CHECK(node.balance(key).posted == 9'984_msat);
        CHECK(rows_of(node).at(0).upstream == "fake");
    }
    SUBCASE("a stream of it") {
        node.upstream.script.failure = http::UpstreamFailure::Unreachable;
        node.second.script = sse_script({delta("Hello"), kFinish + kUsage + kDone});
        FakeExchange client{node.request(key, kAskStream)};
        node.serve(client);
        CHECK(client.body.find("\"total_msats\":8") != std::string::npos);
        CHECK(node.balance(key).posted == 9'992_msat);
    }
}

TEST_CASE("route: no more is charged than the model's price, whatever an upstream's own comes to") {
    Node node;
    make_second(node, "", price_of(1'000, 9'000));
    node.upstream.script.failure = http::UpstreamFailure::Unreachable;
    node.second.script = json_script(kAnswer);
    const KeyId key = node.make_key(10'000_msat);
    FakeExchange client{node.request(key, kAsk)};
    node.serve(client);
    CHECK(node.balance(key).posted == 9'984_msat);
    const std::vector<proxy::UsageItem> items{{"input", 40, 200'000}, {"output", 12, 600'000}};
    CHECK(rows_of(node).at(0).items == items);
}
