// Prices that change while a node sells: all at once, never for what runs, and never to something
// that could not be sold.
#include "dialogue.h"
#include "endpoints_test.h"
#include "nutgate/proxy/tariff.h"

using namespace nutgate;
using namespace nutgate::test;
using nlohmann::json;
using proxy::ModelsError;
using proxy::PriceKind;

namespace {

proxy::Price price_of(std::int64_t input, std::int64_t output) {
    return proxy::Price::make(proxy::MsatPrices{.input_per_1k = input, .output_per_1k = output})
        .value();
}

// What the node sells, at other prices.
std::vector<proxy::Model> at_prices(const Node& node, std::int64_t input, std::int64_t output) {
    std::vector<proxy::Model> models = node.models->all();
    for (proxy::Model& model : models) model.price = price_of(input, output);
    return models;
}

Msat ask(Node& node, const KeyId& key) {
    const Msat before = node.balance(key).posted;
    FakeExchange client{node.request(key, kAsk)};
    node.serve(client);
    CHECK(client.status == 200);
    return *subtract(before, node.balance(key).posted);
}

}  // namespace

TEST_CASE("reprice: what begins afterwards costs the new price, and is shown at it") {
    Node node;
    node.upstream.script = json_script(kAnswer);
    const KeyId key = node.make_key(10'000_msat);
    CHECK(ask(node, key) == 16_msat);  // 40 * 0.2 + 12 * 0.6.
    const std::string listed = node.models->list({}).body;
    CHECK(node.models->reprice(at_prices(node, 1'000, 2'000), node.clock.now()));
    CHECK(ask(node, key) == 64_msat);  // 40 * 1 + 12 * 2.
    CHECK(node.models->list({}).body != listed);
    // The same again changes nothing that is shown.
    const std::string now = node.models->list({}).body;
    CHECK(node.models->reprice(at_prices(node, 1'000, 2'000), node.clock.now()));
    CHECK(node.models->list({}).body == now);
}

TEST_CASE("reprice: what runs is charged by the price that it was held by") {
    for (const std::int64_t output : {60, 6'000}) {
        CAPTURE(output);
        Node node;
        const KeyId key = node.make_key(10'000_msat);
        const auto reprice = [&] {
            CHECK(node.models->reprice(at_prices(node, 20, output), node.clock.now()));
        };
        node.upstream.script =
            sse_script({delta("a"), reprice, delta("b"), kFinish, kUsage, kDone});
        FakeExchange client{node.request(key, kAskStream)};
        node.serve(client);
        CHECK(client.status == 200);
        CHECK(node.balance(key).posted == 9'984_msat);
    }
}

TEST_CASE("reprice: a route's own price and cost change with the model's") {
    Node node;
    auto models = node.models->all();
    models[0].upstreams[0].price = price_of(100, 300);
    models[0].upstreams[0].cost = price_of(50, 100);
    CHECK(node.models->reprice(models, node.clock.now()));
    node.upstream.script = json_script(kAnswer);
    const KeyId key = node.make_key(10'000_msat);
    CHECK(ask(node, key) == 8_msat);  // 40 * 0.1 + 12 * 0.3 = 7.6.
    const proxy::Model& sold = node.models->all()[0];
    CHECK(node.models->route_now(sold, 0, node.clock.now()).cost == price_of(50, 100));
    CHECK_FALSE(node.models->route_now(sold, 1, node.clock.now()).cost.has_value());
    CHECK_FALSE(node.models->route_now(sold, 1, node.clock.now()).charged.has_value());
}

TEST_CASE("reprice: what is not the same is refused, and nothing changes, not even a part") {
    Node node;
    node.upstream.script = json_script(kAnswer);
    const KeyId key = node.make_key(10'000_msat);
    auto models = at_prices(node, 1'000, 2'000);
    ModelsError wanted = ModelsError::OtherModels;
    SUBCASE("a model is missing") { models.pop_back(); }
    SUBCASE("models in another order") { std::swap(models.front(), models.back()); }
    SUBCASE("another upstream") { models[1].upstreams.push_back(&node.second); }
    SUBCASE("another kind of work") {
        proxy::PriceTable table{.currency = proxy::Currency::Msat};
        for (const PriceKind kind : {PriceKind::Input, PriceKind::Output, PriceKind::Image}) {
            table.lines[proxy::index_of(kind)] = proxy::Decimal{.units = 1, .places = 0};
        }
        models[1].price = proxy::Tariff::make(table).value();
    }
    SUBCASE("a price that no request could pay") {
        proxy::PriceTable table{.currency = proxy::Currency::Msat};
        for (const PriceKind kind : {PriceKind::Input, PriceKind::Output}) {
            table.lines[proxy::index_of(kind)] =
                proxy::Decimal{.units = 1'000'000'000'000'000U, .places = 0};
        }
        models[1].price = proxy::Tariff::make(table).value();
        wanted = ModelsError::TooExpensive;
    }
    const std::string listed = node.models->list({}).body;
    const auto done = node.models->reprice(models, node.clock.now());
    REQUIRE_FALSE(done.has_value());
    CHECK(done.error() == wanted);
    CHECK(node.models->list({}).body == listed);
    CHECK(ask(node, key) == 16_msat);
}

TEST_CASE("reprice: under requests from several threads each is held and charged by one price") {
    Node node;
    node.upstream.script = json_script(kAnswer);
    const KeyId key = node.make_key(1'000'000_msat);
    std::deque<FakeExchange> clients;
    std::vector<std::function<http::Task<void>()>> tasks;
    for (int i = 0; i < 64; ++i) {
        auto& client = clients.emplace_back(node.request(key, kAsk));
        tasks.emplace_back([&node, &client, i]() -> http::Task<void> {
            const bool dear = i % 2 == 0;
            const auto models = at_prices(node, dear ? 1'000 : 200, dear ? 2'000 : 600);
            CHECK(node.models->reprice(models, node.clock.now()));
            co_await node.gateway->chat_completions(client);
        });
    }
    run_all(std::move(tasks), 4);
    node.settle();
    std::int64_t charged = 0;
    for (const FakeExchange& client : clients) {
        REQUIRE(client.status == 200);
        const std::int64_t cost = json::parse(client.body)["usage"]["cost"]["total_msats"];
        CHECK((cost == 16 || cost == 64));
        charged += cost;
    }
    CHECK(node.balance(key).posted.raw() == 1'000'000 - charged);
}
