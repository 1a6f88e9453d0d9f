// Sales at prices that move: with what a bitcoin is worth, and with the hour.
#include <nlohmann/json.hpp>

#include "dialogue.h"
#include "fixture.h"

using namespace nutgate;
using namespace nutgate::test;
using nlohmann::json;

namespace {

rates::BtcUsd rate(std::string_view text) { return rates::BtcUsd::parse(text).value(); }

// A node that also sells "dear" by a board, at 2 and 6 USD per million tokens, between midnight and
// six at half of it. At 100,000 USD that is 2 and 6 msat for a token.
struct MovingNode : Node {
    MovingNode() {
        close();
        proxy::PriceLines day, night;
        const auto put = [](proxy::PriceLines& lines, proxy::PriceKind kind, std::uint64_t usd) {
            lines[index_of(kind)] = proxy::Decimal{.units = usd, .places = 6};
        };
        put(day, proxy::PriceKind::Input, 2);
        put(day, proxy::PriceKind::Output, 6);
        put(night, proxy::PriceKind::Input, 1);
        put(night, proxy::PriceKind::Output, 3);
        const auto tariff = proxy::Tariff::make(
            {.currency = proxy::Currency::Usd,
             .lines = day,
             .overrides = {
                 {.window = proxy::DayWindow{.from = 0, .until = 6 * 60}, .lines = night}}});
        proxy::Model cheap = models->all().at(0);
        proxy::Model dear{.id = *ModelId::parse("dear"),
                          .context = 4096,
                          .output_max = 512,
                          .price = tariff.value(),
                          .upstreams = {&upstream}};
        clock.set(Time{std::chrono::sys_days{std::chrono::year{2026} / 11 / 20}} +
                  std::chrono::hours{12});
        models.emplace(
            proxy::Models::make({std::move(cheap), std::move(dear)}, board, clock.now()).value());
        open();
    }

    void publish(std::string_view usd, Milliseconds good_for = Milliseconds{300'000}) {
        board.publish(rate(usd), clock.now() + good_for);
    }
    // Asks for 40 tokens in and 12 out.
    std::string ask(const std::string& more = "") const {
        return R"({"model":"dear","messages":[{"role":"user","content":"Hi"}],"max_tokens":12)" +
               more + "}";
    }
    json listed() {
        models->refresh(clock.now());
        const json list = json::parse(models->list({}).body);
        json by_id;
        for (const json& model : list["data"]) {
            by_id[model["id"].get<std::string>()] = model;
        }
        return by_id;
    }

    rates::RateBoard board;
    const KeyId key = make_key(10'000'000_msat);
};

}  // namespace

TEST_CASE("rates: without a fresh one nothing in USD is sold, and all else is") {
    MovingNode node;
    node.upstream.script = json_script(kAnswer);
    const auto status_of = [&](const std::string& body) {
        FakeExchange client{node.request(node.key, body)};
        node.serve(client);
        if (client.status == 503) {
            CHECK(json::parse(client.body)["error"]["code"] == "rate_unavailable");
            CHECK(client.headers.find("Retry-After").has_value());
        }
        return client.status;
    };
    CHECK(status_of(node.ask()) == 503);
    CHECK(status_of(kAsk) == 200);
    CHECK(node.balance(node.key).posted == 9'999'984_msat);
    CHECK(node.upstream.bodies().size() == 1);
    node.publish("100000");
    CHECK(status_of(node.ask()) == 200);
    // 40 * 2 + 12 * 6.
    CHECK(node.balance(node.key).posted == 9'999'832_msat);
    node.clock.advance(Milliseconds{300'000});
    CHECK(status_of(node.ask()) == 503);
    // One at which a maximum might be more money than there is.
    node.publish("99.9999");
    CHECK(status_of(node.ask()) == 503);
    node.publish("100");
    CHECK(status_of(node.ask()) == 200);
}

TEST_CASE("rates: a request ends at the price it was held at, whatever the rate and the hour do") {
    MovingNode node;
    node.publish("100000");
    node.upstream.script = sse_script({delta("Hel"),
                                       [&] {
                                           // Tomorrow, when it is night, a bitcoin is worth less,
                                           // and nobody knows how much.
                                           node.publish("50000", Milliseconds{0});
                                           node.clock.advance(Milliseconds{13 * 3'600'000});
                                       },
                                       delta("lo") + kFinish + kUsage, kDone});
    FakeExchange client{node.request(node.key, node.ask(R"(,"stream":true)"))};
    node.serve(client);
    CHECK(client.status == 200);
    CHECK(client.body.ends_with(kDone));
    CHECK(node.balance(node.key).posted == 9'999'848_msat);
}

TEST_CASE("rates: the hour is decided when money is held") {
    MovingNode node;
    node.upstream.script = json_script(kAnswer);
    node.clock.advance(Milliseconds{12 * 3'600'000 - 1});  // A millisecond before midnight.
    node.publish("100000");
    FakeExchange late{node.request(node.key, node.ask())};
    node.upstream.script.before_head = [&] { node.clock.advance(Milliseconds{1}); };
    node.serve(late);
    CHECK(node.balance(node.key).posted == 9'999'848_msat);
    node.upstream.script.before_head = nullptr;
    FakeExchange early{node.request(node.key, node.ask())};
    node.serve(early);
    CHECK(node.balance(node.key).posted == 9'999'772_msat);
}

TEST_CASE("rates: the list shows the price of the hour and of the rate, and what is for sale") {
    MovingNode node;
    json models = node.listed();
    CHECK_FALSE(models.contains("dear"));
    CHECK(models["small"]["pricing"].is_null());
    http::Request request;
    CHECK(node.models->one(request, "dear").status == 503);
    CHECK(node.models->one(request, "small").status == 200);

    node.publish("100000");
    models = node.listed();
    CHECK(models["dear"]["sats_pricing"]["prompt"] == 0.002);
    CHECK(models["dear"]["pricing"]["completion"] == 0.000006);
    CHECK(models["small"]["pricing"]["prompt"] == 0.0000002);
    // (4096 * 2 + 512 * 6) msat.
    CHECK(models["dear"]["sats_pricing"]["max_cost"] == 11.264);
    CHECK(node.models->one(request, "dear").status == 200);
    const std::string etag{*node.models->list({}).headers.find("ETag")};

    node.publish("200000");
    models = node.listed();
    CHECK(models["dear"]["sats_pricing"]["prompt"] == 0.001);
    CHECK(models["dear"]["pricing"]["prompt"] == 0.000002);
    CHECK(*node.models->list({}).headers.find("ETag") != etag);

    node.clock.advance(Milliseconds{12 * 3'600'000});
    node.publish("100000");
    models = node.listed();
    CHECK(models["dear"]["sats_pricing"]["prompt"] == 0.001);
    CHECK(models["dear"]["pricing"]["prompt"] == 0.000001);
}

TEST_CASE("models: the list shows every kind's price, and those of long prompts") {
    proxy::PriceTable table{.currency = proxy::Currency::Msat};
    for (const proxy::PriceKind kind : proxy::kAllPriceKinds) {
        table.lines[index_of(kind)] =
            proxy::Decimal{.units = 1'000 * (index_of(kind) + 1), .places = 0};
    }
    proxy::PriceLines dearer;
    dearer[index_of(proxy::PriceKind::Input)] = proxy::Decimal{.units = 9'000, .places = 0};
    table.overrides.push_back({.above_input = 200'000, .lines = dearer});
    table.floor = 500_msat;
    FakeUpstream upstream;
    proxy::Model model{.id = *ModelId::parse("all"),
                       .context = 300'000,
                       .output_max = 100,
                       .price = proxy::Tariff::make(table).value(),
                       .upstreams = {&upstream}};
    const auto models = proxy::Models::make({model}, std::nullopt);
    const json listed = json::parse(models.value().list({}).body)["data"][0]["sats_pricing"];
    const std::map<std::string, double> shown{
        {"prompt", 1},        {"input_cache_read", 2}, {"input_cache_write", 3},
        {"audio", 5},         {"image_token", 6},      {"input_cache_write_1h", 4},
        {"completion", 7},    {"audio_output", 9},     {"internal_reasoning", 8},
        {"image_output", 10}, {"request", 11},         {"image", 12},
        {"web_search", 13},   {"character", 14},       {"audio_second", 15},
        {"min_cost", 0.5}};
    for (const auto& [name, value] : shown) {
        CAPTURE(name);
        CHECK(listed[name] == value);
    }
    REQUIRE(listed["overrides"].size() == 1);
    CHECK(listed["overrides"][0]["min_prompt_tokens"] == 200'000);
    CHECK(listed["overrides"][0]["prompt"] == 9);
    CHECK(listed["overrides"][0]["completion"] == 7);
}

TEST_CASE("gateway: a model without a price for conversations has none") {
    proxy::PriceTable table{.currency = proxy::Currency::Msat};
    table.lines[index_of(proxy::PriceKind::Image)] = proxy::Decimal{.units = 5, .places = 0};
    FakeUpstream upstream;
    proxy::Model painter{.id = *ModelId::parse("painter"),
                         .price = proxy::Tariff::make(table).value(),
                         .upstreams = {&upstream},
                         .endpoints = {proxy::Endpoint::ImageGenerations}};
    Node node{Node::default_price(), {painter}};
    const KeyId key = node.make_key(10'000_msat);
    FakeExchange client{
        node.request(key, R"({"model":"painter","messages":[{"role":"user","content":"Hi"}]})")};
    node.serve(client);
    CHECK(client.status == 400);
    CHECK(upstream.bodies().empty());
    CHECK(node.balance(key).posted == 10'000_msat);
}

TEST_CASE("report: the parts that are shown add up, those by the piece and the floor among them") {
    proxy::PriceTable table{.currency = proxy::Currency::Msat};
    const auto put = [&table](proxy::PriceKind kind, std::uint64_t thousandths) {
        table.lines[index_of(kind)] =
            proxy::divided_by_power({.units = thousandths, .places = 0}, 3);
    };
    put(proxy::PriceKind::Input, 200);
    put(proxy::PriceKind::Output, 600);
    put(proxy::PriceKind::Request, 5'000);
    const auto cost_at = [&](Msat floor) {
        table.floor = floor;
        FakeUpstream upstream;
        upstream.script = json_script(kAnswer);
        proxy::Model model{.id = *ModelId::parse("flat"),
                           .context = 4096,
                           .output_max = 512,
                           .price = proxy::Tariff::make(table).value(),
                           .upstreams = {&upstream}};
        Node node{Node::default_price(), {model}};
        const KeyId key = node.make_key(10'000_msat);
        FakeExchange client{
            node.request(key, R"({"model":"flat","messages":[{"role":"user","content":"Hi"}]})")};
        node.serve(client);
        CHECK(node.balance(key).posted.raw() ==
              10'000 - json::parse(client.body)["usage"]["cost"]["total_msats"].get<int>());
        return json::parse(client.body)["usage"]["cost"];
    };
    // 40 * 0.2 + 12 * 0.6 + 5 = 20.2.
    const json exact = cost_at(0_msat);
    CHECK(exact["total_msats"] == 21);
    CHECK(exact["base_msats"] == 5);
    CHECK(exact["input_msats"] == 8);
    CHECK(exact["output_msats"] == 8);
    const json least = cost_at(100_msat);
    CHECK(least["total_msats"] == 100);
    CHECK(least["base_msats"] == 84);
    CHECK(least["cache_creation_msats"] == 0);
}
