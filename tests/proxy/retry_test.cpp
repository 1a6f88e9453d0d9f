// An upstream that did not take a request is asked again for the same: when, how often, and never
// at anybody's cost.
#include "retry.h"

#include "dialogue.h"
#include "endpoints_test.h"

using namespace nutgate;
using namespace nutgate::test;
using nlohmann::json;

namespace {

constexpr Milliseconds kFirst{250};

// A node that asks again, and whose time passes as it waits.
struct World {
    explicit World(int retries = 2) {
        node.options.retries_max = retries;
        node.options.wait = [this](Milliseconds time) -> http::Task<void> {
            const Milliseconds waited = time;
            waits.push_back(waited);
            node.clock.advance(waited);
            if (while_waiting) while_waiting();
            co_return;
        };
        node.settle();
        key = node.make_key(10'000_msat);
    }
    // Refuses so often, and answers then.
    void refuse(FakeUpstream& upstream, int times, Script refusal) {
        upstream.script = std::move(refusal);
        upstream.script.before_head = [&upstream, left = times]() mutable {
            if (left-- > 0) return;
            upstream.script.failure.reset();
            upstream.script.status = 200;
            upstream.script.steps = {std::string{kAnswer}};
        };
    }
    int ask(const char* body = kAsk) {
        FakeExchange client{node.request(key, body)};
        node.serve(client);
        last = client.body;
        return client.status;
    }
    std::size_t asked(const FakeUpstream& upstream) const { return upstream.bodies().size(); }
    Msat paid() { return *subtract(10'000_msat, node.balance(key).posted); }

    Node node;
    KeyId key = Keyring::random_id(node.random);
    std::vector<Milliseconds> waits;
    std::function<void()> while_waiting;
    std::string last;
};

Script unreachable() {
    Script script;
    script.failure = http::UpstreamFailure::Unreachable;
    return script;
}
Script status(int code, const char* retry_after = nullptr) {
    Script script = json_script("{}", code);
    if (retry_after != nullptr) script.headers.set("Retry-After", retry_after);
    return script;
}

}  // namespace

TEST_CASE("retry: what passes by itself is worth another try, what says that it does not is not") {
    const auto worth = [](int code, const char* after = nullptr) {
        http::Headers headers;
        if (after != nullptr) headers.set("Retry-After", after);
        return proxy::worth_repeating(code, headers, Milliseconds{2'000});
    };
    for (const int code : {502, 503, 504, 529}) {
        CAPTURE(code);
        CHECK(worth(code) == Milliseconds{0});
        CHECK(worth(code, "2") == Milliseconds{2'000});
        CHECK_FALSE(worth(code, "3").has_value());
    }
    CHECK(worth(429, "1") == Milliseconds{1'000});
    CHECK_FALSE(worth(429).has_value());
    CHECK_FALSE(worth(429, "60").has_value());
    for (const int code : {400, 401, 402, 403, 404, 408, 422, 500, 501}) {
        CAPTURE(code);
        CHECK_FALSE(worth(code, "1").has_value());
    }
    CHECK(proxy::retry_wait(0, kFirst, Milliseconds{}) == kFirst);
    CHECK(proxy::retry_wait(2, kFirst, Milliseconds{}) == 4 * kFirst);
    CHECK(proxy::retry_wait(0, kFirst, Milliseconds{2'000}) == Milliseconds{2'000});
}

TEST_CASE(
    "retry: another upstream goes first, and only when none took it the same is asked again") {
    World world;
    world.node.upstream.script = unreachable();
    world.refuse(world.node.second, 1, status(503));
    CHECK(world.ask() == 200);
    CHECK(world.waits == std::vector{kFirst});
    CHECK(world.asked(world.node.upstream) == 2);
    CHECK(world.asked(world.node.second) == 2);
    CHECK(world.paid() == 16_msat);

    World other;
    other.node.upstream.script = status(503);
    other.node.second.script = json_script(kAnswer);
    CHECK(other.ask() == 200);
    CHECK(other.waits.empty());
    CHECK(other.asked(other.node.upstream) == 1);
    CHECK(other.paid() == 16_msat);
}

TEST_CASE("retry: it is bounded, waits longer each time, and costs nothing where nobody answers") {
    World world;
    for (FakeUpstream* upstream : {&world.node.upstream, &world.node.second}) {
        upstream->script = status(502);
    }
    CHECK(world.ask() == 502);
    CHECK(world.waits == std::vector{kFirst, 2 * kFirst});
    CHECK(world.asked(world.node.upstream) == 3);
    CHECK(world.asked(world.node.second) == 3);
    CHECK(world.paid() == 0_msat);
    CHECK(world.node.metrics.counter("nutgate_proxy_retries_total", "", {{"model", "small"}})
              .value() == 4);

    World none{0};
    none.node.upstream.script = none.node.second.script = status(503);
    CHECK(none.ask() == 502);
    CHECK(none.waits.empty());
    CHECK(none.asked(none.node.upstream) == 1);
}

TEST_CASE("retry: a short Retry-After is waited for, a long one is passed on") {
    World world{3};
    world.refuse(world.node.upstream, 1, status(429, "1"));
    world.node.second.script = unreachable();
    CHECK(world.ask() == 200);
    // The second one may be asked sooner; the first one is when its time has come.
    CHECK(world.waits == std::vector{kFirst, 2 * kFirst, 4 * kFirst});
    CHECK(world.asked(world.node.upstream) == 2);
    CHECK(world.asked(world.node.second) == 3);
    CHECK(world.paid() == 16_msat);

    World alone;
    alone.refuse(alone.node.upstream, 1, status(429, "2"));
    alone.node.second.script = status(404);
    CHECK(alone.ask() == 200);
    CHECK(alone.waits == std::vector{Milliseconds{2'000}});
    CHECK(alone.asked(alone.node.second) == 1);

    World busy;
    busy.node.upstream.script = busy.node.second.script = status(429, "3");
    CHECK(busy.ask() == 429);
    CHECK(busy.waits.empty());
    CHECK(busy.paid() == 0_msat);
}

TEST_CASE("retry: what may have been received is not sent again") {
    for (const auto failure : {http::UpstreamFailure::Timeout, http::UpstreamFailure::Broken}) {
        World world;
        world.node.upstream.script.failure = failure;
        world.node.second.script = json_script(kAnswer);
        CHECK(world.ask() >= 500);
        CHECK(world.waits.empty());
        CHECK(world.asked(world.node.upstream) == 1);
        CHECK(world.asked(world.node.second) == 0);
        CHECK(world.paid() == 0_msat);
    }
}

TEST_CASE("retry: nothing is sent again behind the first byte, and what came is charged once") {
    World world;
    world.node.upstream.script =
        sse_script({delta("abcd"), delta("efgh"), http::UpstreamFailure::Broken});
    CHECK(world.ask(kAskStream) == 200);
    CHECK(world.waits.empty());
    CHECK(world.asked(world.node.upstream) == 1);
    CHECK(world.paid() == 2_msat);  // 3 * 0.2 + 2 * 0.6.
}

TEST_CASE("retry: who leaves while it waits is not served any more, and pays nothing") {
    World world;
    world.node.upstream.script = world.node.second.script = status(503);
    FakeExchange client{world.node.request(world.key, kAsk)};
    world.while_waiting = [&] { client.leave(); };
    world.node.serve(client);
    CHECK(world.waits.size() == 1);
    CHECK(world.asked(world.node.upstream) == 1);
    CHECK(world.paid() == 0_msat);
}

TEST_CASE("retry: an upstream that rests by then is not asked, however often one may") {
    World world{5};
    for (FakeUpstream* upstream : {&world.node.upstream, &world.node.second}) {
        upstream->traits().failures_max = 2;
        upstream->traits().rest_time_min = Milliseconds{60'000};
        upstream->script = unreachable();
    }
    world.node.settle();
    CHECK(world.ask() >= 500);
    CHECK(world.asked(world.node.upstream) == 2);
    CHECK(world.asked(world.node.second) == 2);
    CHECK(world.waits.size() == 2);
}

TEST_CASE("retry: what a dialect has no words for says nothing of its upstream, and another may") {
    Node node;
    node.upstream.script = json_script(kAnswer);
    node.second.script = json_script(kAnswer);
    const KeyId key = node.make_key(10'000_msat);
    const auto ask = [&] {
        FakeExchange client{node.request(key, kAsk)};
        node.serve_on(client);
        CHECK(client.status == 200);
    };
    const auto most = static_cast<std::size_t>(node.upstream.traits().failures_max);
    for (std::size_t i = 0; i < most; ++i) {
        node.upstream.script = json_script(kAnswer);
        node.upstream.script.failure = http::UpstreamFailure::Unreachable;
        ask();
        // In between, one that is never sent to it.
        node.upstream.script = json_script(R"({"error":{"message":"No logprobs."}})", 400);
        node.upstream.script.is_our_own = true;
        ask();
    }
    const auto asked = node.upstream.bodies().size();
    ask();
    CHECK(node.upstream.bodies().size() == asked);  // It rests.
    CHECK(node.till->pause(key).has_value());       // No charge waits while time passes.
    node.clock.advance(Seconds{3600});
    node.second.script = json_script("{}", 500);
    FakeExchange client{node.request(key, kAsk)};
    node.serve_on(client);
    CHECK(client.status == 502);  // Who could have served it has the word.
    const auto answers = static_cast<std::int64_t>(2 * most + 1);
    CHECK(node.balance(key).posted == Msat::from_raw(10'000 - 16 * answers));
}
