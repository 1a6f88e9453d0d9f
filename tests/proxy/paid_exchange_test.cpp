// Requests that are paid for by themselves, with a token in X-Cashu (routstr-contract 1.6).
#include "paid_exchange.h"

#include <nlohmann/json.hpp>

#include <thread>

#include "dialogue.h"
#include "fixture.h"

using namespace nutgate;
using namespace nutgate::test;
using nlohmann::json;
using proxy::Endpoint;

namespace {

const std::string kToken = "cashuBo2F0";

http::ApiError refusal_of(int status, std::string code) {
    return {.status = status, .code = std::move(code), .message = "No."};
}

// What a cashier does of it, without a mint: the token is a key's, and change is paid out of its
// balance, once nothing is open on it.
class Redeemer final : public proxy::TokenRedeemer {
public:
    explicit Redeemer(Node& node) : node_{node} {}

    void redeem(std::string token, std::string, proxy::TokenUse use, Redeemed done) override {
        CHECK(use == proxy::TokenUse::Once);
        seen = std::move(token);
        thread_ = std::jthread{[done = std::move(done), this] { done(answer()); }};
    }
    void give_change(KeyId key, Changed done) override {
        ++asked;
        thread_ = std::jthread{[done = std::move(done), key, this] { done(pay_out(key)); }};
    }

    std::function<Result<KeyId, http::ApiError>()> answer;
    std::optional<http::ApiError> withholds;
    std::string gives;  // Where it is not what was paid out.
    std::string seen;
    int asked = 0;

private:
    Result<std::string, http::ApiError> pay_out(const KeyId& key) {
        if (withholds) return fail(*withholds);
        const auto pause = node_.till->pause(key);
        if (!pause || pause->open() > Msat{}) {
            return fail(refusal_of(400, "requests_in_flight"));
        }
        const Sat sats = to_sat_floor(node_.balance(key).posted);
        if (sats == Sat{}) return std::string{};
        const auto paid =
            node_.database->transact([&](store::Tx& tx) -> Result<bool, Node::LedgerOrStore> {
                TRY(const auto applied,
                    node_.ledger.transfer(tx, {.id = TransferId{node_.random.bytes<32>()},
                                               .debit = key_account(key),
                                               .credit = {AccountKind::Ecash, "test:sat"},
                                               .amount = to_msat(sats)}));
                return applied == Applied::Now;
            });
        if (!paid) return fail(refusal_of(500, "internal_error"));
        return gives.empty() ? "cashuB-" + std::to_string(sats.raw()) : gives;
    }

    Node& node_;
    std::jthread thread_;
};

struct World {
    explicit World(std::vector<proxy::Model> more = {})
        : node{Node::default_price(), std::move(more)} {
        node.redeemer = &redeemer;
        node.settle();
        redeemer.answer = [this] { return key; };
    }
    ~World() { node.close(); }

    http::Request request(std::string body) {
        http::Request made = node.anonymous(std::move(body));
        made.headers.add("X-Cashu", kToken);
        return made;
    }
    std::uint64_t withheld() {
        return node.metrics.counter("nutgate_proxy_change_withheld_total", "").value();
    }

    Node node;
    Redeemer redeemer{node};
    KeyId key = node.make_key(10'500_msat);
};

std::vector<std::string> data_events(const std::string& body) {
    std::vector<std::string> found;
    for (std::size_t at = 0; (at = body.find("data: ", at)) != std::string::npos; ++at) {
        found.push_back(body.substr(at + 6, body.find("\n\n", at) - at - 6));
    }
    return found;
}

// The change is in the head and in the error, and the request has cost nothing.
void check_all_back(World& world, const FakeExchange& client, int status, const char* code) {
    CAPTURE(client.body);
    CHECK(client.status == status);
    const json body = json::parse(client.body);
    CHECK(body["error"]["code"] == code);
    CHECK(body["error"]["refund_token"] == "cashuB-10");
    CHECK(body["detail"]["error"] == body["error"]);
    CHECK(client.headers.find("X-Cashu") == "cashuB-10");
    CHECK(world.node.balance(world.key).posted == 500_msat);
}

}  // namespace

TEST_CASE("paid by itself: a JSON answer brings its change in its head, and no msat is lost") {
    World world;
    world.node.upstream.script = json_script(kAnswer);
    http::Request request = world.request(kAsk);
    SUBCASE("alone") {}
    SUBCASE("before any key") {
        const KeyId other = world.node.make_key(50'000_msat);
        request.headers.add("Authorization", "Bearer " + world.node.keyring.text_of(other));
    }
    FakeExchange client{request};
    world.node.serve(client);
    CHECK(client.status == 200);
    CHECK(world.redeemer.seen == kToken);
    CHECK(client.headers.find("X-Cashu") == "cashuB-10");
    CHECK(client.headers.find("X-Routstr-Cost-Msats") == "16");
    CHECK(json::parse(client.body)["usage"]["cost"]["total_msats"] == 16);
    // 10,500 - 16 = 10,484, of which what makes no sat stays.
    CHECK(world.node.balance(world.key).posted == 484_msat);
}

TEST_CASE("paid by itself: a stream comes as ever, and its change between the charge and [DONE]") {
    const std::string frames = delta("Hel") + delta("lo") + kFinish;
    World world;
    SUBCASE("in pieces") {
        world.node.upstream.script =
            sse_script({frames.substr(0, 30), frames.substr(30), kUsage, kDone});
    }
    SUBCASE("at once") { world.node.upstream.script = sse_script({frames + kUsage + kDone}); }
    FakeExchange client{world.request(kAskStream)};
    world.node.serve(client);
    CHECK(client.status == 200);
    CHECK(client.ended);
    REQUIRE(client.body.starts_with(frames));
    CHECK_FALSE(client.headers.find("X-Cashu"));
    const auto events = data_events(client.body);
    REQUIRE(events.size() == 6);
    CHECK(json::parse(events[3])["usage"]["cost"]["total_msats"] == 16);
    const json change = json::parse(events[4]);
    CHECK(change["object"] == "chat.completion.chunk");
    CHECK(change["choices"] == json::array());
    CHECK(change["refund_token"] == "cashuB-10");
    CHECK(events[5] == "[DONE]");
    CHECK(world.node.balance(world.key).posted == 484_msat);
}

TEST_CASE("paid by itself: a stream of another dialect ends with an event of its own") {
    World world;
    world.node.upstream.script = sse_script(
        {"event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\","
         "\"type\":\"message\",\"role\":\"assistant\",\"content\":[],\"usage\":{\"input_tokens\":"
         "40,"
         "\"output_tokens\":1}}}\n\n",
         "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":"
         "\"end_turn\"},\"usage\":{\"output_tokens\":12}}\n\n",
         "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"});
    FakeExchange client{world.request(
        R"({"model":"small","max_tokens":50,"stream":true,"messages":[{"role":"user","content":"Hi"}]})")};
    world.node.serve(client, Endpoint::Messages);
    CHECK(client.status == 200);
    CHECK(client.body.ends_with(
        "event: change\ndata: {\"type\":\"change\",\"refund_token\":\"cashuB-10\"}\n\n"));
    CHECK(world.node.balance(world.key).posted == 484_msat);
}

TEST_CASE("paid by itself: sound has its change in its head, before the first byte") {
    FakeUpstream upstream{"voice"};
    upstream.script = json_script("ID3 sound");
    upstream.script.headers.set("Content-Type", "audio/mpeg");
    proxy::PriceTable table{.currency = proxy::Currency::Msat};
    table.lines[index_of(proxy::PriceKind::Character)] = proxy::parse_decimal("10");
    proxy::Model voice{.id = *ModelId::parse("voice"),
                       .price = proxy::Tariff::make(table).value(),
                       .upstreams = {&upstream}};
    voice.endpoints.add(Endpoint::Speech);
    World world{{voice}};
    FakeExchange client{world.request(R"({"model":"voice","input":"Hi there","voice":"alloy"})")};
    world.node.serve(client, Endpoint::Speech);
    REQUIRE(client.status == 200);
    CHECK(client.body == "ID3 sound");
    CHECK(client.headers.find("X-Cashu") == "cashuB-10");
    CHECK(world.node.balance(world.key).posted == 420_msat);
}

TEST_CASE("paid by itself: what is free is, and all of it comes back") {
    World world;
    world.node.upstream.script = json_script(R"({"input_tokens":7})");
    FakeExchange client{
        world.request(R"({"model":"small","messages":[{"role":"user","content":"Hi"}]})")};
    world.node.serve(client, Endpoint::CountTokens);
    CHECK(client.status == 200);
    CHECK(client.headers.find("X-Cashu") == "cashuB-10");
    CHECK(world.node.balance(world.key).posted == 500_msat);
}

TEST_CASE("contract C1, C5, C6: each refusal of what was redeemed gives all of it back") {
    World world;
    SUBCASE("an upstream that is away") {
        world.node.upstream.script.failure = http::UpstreamFailure::Unreachable;
        world.node.second.script.failure = http::UpstreamFailure::Unreachable;
        FakeExchange client{world.request(kAsk)};
        world.node.serve(client);
        check_all_back(world, client, 502, "upstream_unreachable");
    }
    SUBCASE("an upstream that says nonsense") {
        world.node.upstream.script = json_script("no JSON");
        FakeExchange client{world.request(kAsk)};
        world.node.serve(client);
        check_all_back(world, client, 502, "upstream_error");
    }
    SUBCASE("a stream that says nothing") {
        world.node.upstream.script = sse_script({http::UpstreamFailure::Broken});
        FakeExchange client{world.request(kAskStream)};
        world.node.serve(client);
        check_all_back(world, client, 502, "upstream_broken");
    }
}

TEST_CASE("contract C1: who paid too little gets it back, and is asked for all that it needs") {
    World world;
    world.node.options.payment_request = [](Msat amount) {
        return "creqA-" + std::to_string(amount.raw());
    };
    world.node.settle();
    const KeyId poor = world.node.make_key(1'050_msat);
    world.redeemer.answer = [&] { return poor; };
    const std::string words(8000, 'a');
    FakeExchange client{world.request(R"({"model":"small","messages":[{"role":"user","content":")" +
                                      words + R"("}]})")};
    world.node.serve(client);
    CHECK(client.status == 402);
    const json body = json::parse(client.body);
    CHECK(body["error"]["code"] == "insufficient_balance");
    CHECK(body["error"]["refund_token"] == "cashuB-1");
    CHECK(client.headers.find("X-Cashu") == "cashuB-1");
    CHECK(body["detail"]["available_msat"] == 1050);
    CHECK(body["detail"]["amount_required_msat"] == 1127);
    CHECK(body["detail"]["payment_request"] == "creqA-1127");
    CHECK(world.node.balance(poor).posted == 50_msat);
    CHECK(world.node.upstream.bodies().empty());
}

TEST_CASE("paid by itself: what is wrong with a request costs not even a mint's fee") {
    World world;
    const char* code = "invalid_json";
    std::string body = "{";
    SUBCASE("a body that is none") {}
    SUBCASE("a model that is not there") {
        body = R"({"model":"large","messages":[]})";
        code = "invalid_model";
    }
    FakeExchange client{world.request(body)};
    world.node.serve(client);
    CHECK(client.status == 400);
    CHECK(json::parse(client.body)["error"]["code"] == code);
    CHECK(client.headers.find("X-Cashu") == kToken);
    CHECK(world.redeemer.seen.empty());
    CHECK(world.redeemer.asked == 0);
}

TEST_CASE("paid by itself: of two requests with one token the last to end brings the change") {
    World world;
    world.node.upstream.script = json_script(kAnswer);
    {
        // The other one, under way.
        auto other = world.node.till->draw_at_once(world.key, 1_msat);
        if (!other) {
            run_all({[&]() -> http::Task<void> {
                other.emplace(co_await world.node.till->draw_of_books(world.key, 100_msat));
            }});
        }
        REQUIRE(other->has_value());
        FakeExchange client{world.request(kAsk)};
        world.node.serve_on(client);
        CHECK(client.status == 200);
        CHECK_FALSE(client.headers.find("X-Cashu"));
        CHECK(world.withheld() == 1);
    }
    FakeExchange client{world.request(kAsk)};
    world.node.serve(client);
    CHECK(client.headers.find("X-Cashu") == "cashuB-10");
    CHECK(world.node.balance(world.key).posted == 468_msat);
}

TEST_CASE("paid by itself: change that is too long for a head is asked for") {
    World world;
    world.redeemer.gives = std::string(proxy::kPaymentHeaderBytesMax + 1, 'x');
    SUBCASE("an answer") {
        world.node.upstream.script = json_script(kAnswer);
        FakeExchange client{world.request(kAsk)};
        world.node.serve(client);
        CHECK(client.status == 200);
        CHECK_FALSE(client.headers.find("X-Cashu"));
    }
    SUBCASE("an error has it in its body") {
        world.node.upstream.script = json_script("no JSON");
        FakeExchange client{world.request(kAsk)};
        world.node.serve(client);
        CHECK_FALSE(client.headers.find("X-Cashu"));
        CHECK(json::parse(client.body)["error"]["refund_token"] == world.redeemer.gives);
    }
}

TEST_CASE("paid by itself: a stream that breaks off has the change behind its error") {
    World world;
    world.node.upstream.script = sse_script({delta("Hel"), http::UpstreamFailure::Broken});
    FakeExchange client{world.request(kAskStream)};
    world.node.serve(client);
    CHECK(client.ended);
    const auto events = data_events(client.body);
    REQUIRE(events.size() == 4);
    CHECK(json::parse(events[2])["error"]["code"] == "upstream_broken");
    CHECK(json::parse(events[3])["refund_token"] == "cashuB-10");
}

TEST_CASE("paid by itself: a token that was not touched comes back as it came") {
    World world;
    http::ApiError refusal = refusal_of(400, "invalid_cashu_token");
    bool is_back = true;
    SUBCASE("invalid") {}
    SUBCASE("its mint is away") { refusal = refusal_of(503, "cashu_source_mint_unreachable"); }
    SUBCASE("a stranger's mint did not pay ours") { refusal = refusal_of(502, "payment_failed"); }
    SUBCASE("the node is busy, and has not looked") {
        refusal = refusal_of(503, "overloaded");
        is_back = false;
    }
    SUBCASE("spent") {
        refusal.code = "cashu_token_already_spent";
        is_back = false;
    }
    SUBCASE("under way") {
        refusal = refusal_of(503, "cashu_mint_timeout");
        is_back = false;
    }
    world.redeemer.answer = [&] { return Result<KeyId, http::ApiError>{fail(refusal)}; };
    FakeExchange client{world.request(kAsk)};
    world.node.serve(client);
    CHECK(client.status == refusal.status);
    CHECK(json::parse(client.body)["error"]["code"] == refusal.code);
    CHECK(client.headers.find("X-Cashu").has_value() == is_back);
    CHECK(client.headers.find("X-Cashu").value_or(kToken) == kToken);
    CHECK(world.redeemer.asked == 0);
    CHECK(world.node.upstream.bodies().empty());
}

TEST_CASE("paid by itself: change that is not at hand stays on the balance, and the answer comes") {
    World world;
    world.redeemer.withholds = refusal_of(503, "mint_insufficient");
    SUBCASE("a JSON answer") {
        world.node.upstream.script = json_script(kAnswer);
        FakeExchange client{world.request(kAsk)};
        world.node.serve(client);
        CHECK(client.status == 200);
        CHECK_FALSE(client.headers.find("X-Cashu"));
    }
    SUBCASE("a stream") {
        world.node.upstream.script = sse_script({delta("Hi") + kFinish + kUsage + kDone});
        FakeExchange client{world.request(kAskStream)};
        world.node.serve(client);
        CHECK(client.body.ends_with(kDone));
        CHECK(client.body.find("refund_token") == std::string::npos);
    }
    CHECK(world.withheld() == 1);
    CHECK(world.node.balance(world.key).posted == 10'484_msat);
}

TEST_CASE("paid by itself: who leaves a stream finds the change on the balance") {
    World world;
    world.node.upstream.traits().client_gone = proxy::ClientGone::Cancel;
    world.node.upstream.script = sse_script({delta("Hel"), delta("lo") + kFinish + kUsage, kDone});
    FakeExchange client{world.request(kAskStream)};
    client.leave_after_bytes = 1;
    world.node.serve(client);
    CHECK(world.redeemer.asked == 0);
    const Msat left = world.node.balance(world.key).posted;
    CHECK(left < 10'500_msat);
    CHECK(left > 10'000_msat);
}

TEST_CASE("paid by itself: a node that takes no tokens says so") {
    Node node;
    http::Request request = node.anonymous(kAsk);
    request.headers.add("X-Cashu", kToken);
    FakeExchange client{request};
    node.serve(client);
    CHECK(client.status == 400);
    CHECK(json::parse(client.body)["error"]["code"] == "unsupported_payment");
    CHECK(client.headers.find("X-Cashu") == kToken);
}
