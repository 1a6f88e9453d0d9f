// Clients that leave, and requests that are cancelled: who pays what, and that nothing stays held.
#include "dialogue.h"
#include "fixture.h"

using namespace nutgate;
using namespace nutgate::test;

TEST_CASE("contract A2: who leaves a stream pays for what came, and the upstream is cancelled") {
    Node node;
    node.upstream.script = sse_script(
        {delta("Hello world, how"), delta(" are you?"), delta("never"), kFinish, kUsage, kDone});
    const KeyId key = node.make_key(10'000_msat);
    FakeExchange client{node.request(key, kAskStream)};
    client.leave_after_bytes = 1;
    node.serve(client);
    CHECK_FALSE(client.ended);
    CHECK(node.upstream.steps_done < 4);
    CHECK(node.balance(key).posted < 10'000_msat);
    // 3 tokens of prompt and 4 of answer: 0.6 + 2.4.
    CHECK(node.balance(key).posted == 9997_msat);
    CHECK(node.balance(key).held == 0_msat);
}

TEST_CASE("gateway: who leaves while the upstream is silent pays for the prompt") {
    Node node;
    const KeyId key = node.make_key(10'000_msat);
    FakeExchange client{node.request(key, kAskStream)};
    node.upstream.script = sse_script({[&] { client.leave(); }, delta("late")});
    SUBCASE("in the stream") {}
    SUBCASE("before the head") {
        node.upstream.script.before_head = [&] { client.leave(); };
        node.upstream.script.failure = http::UpstreamFailure::Broken;
    }
    node.serve(client);
    CHECK(node.balance(key).posted == 9999_msat);
    CHECK_FALSE(client.answered);
}

TEST_CASE("gateway: where the upstream is drained, who leaves pays what the upstream says") {
    Node node;
    node.upstream.traits().client_gone = proxy::ClientGone::Drain;
    node.upstream.script = sse_script({delta("Hello"), delta(" world"), kFinish, kUsage, kDone});
    const KeyId key = node.make_key(10'000_msat);
    FakeExchange client{node.request(key, kAskStream)};
    client.leave_after_bytes = 1;
    SUBCASE("to the end") {
        node.serve(client);
        CHECK(node.balance(key).posted == 9984_msat);
    }
    SUBCASE("within its bound") {
        node.upstream.traits().drain_bytes_max = 1;
        node.serve(client);
        // One more piece was read: 3 tokens of prompt, 3 of answer: 0.6 + 1.8.
        CHECK(node.balance(key).posted == 9997_msat);
    }
}

TEST_CASE("gateway: who leaves a buffered call pays its usage") {
    Node node;
    const KeyId key = node.make_key(10'000_msat);
    FakeExchange client{node.request(key, kAsk)};
    node.upstream.script = json_script(kAnswer);
    node.upstream.script.before_head = [&] { client.leave(); };
    node.serve(client);
    CHECK(node.balance(key).posted == 9984_msat);
}

TEST_CASE("gateway: who leaves a buffered call to a silent upstream holds nothing beyond a bound") {
    Node node;
    const KeyId key = node.make_key(10'000_msat);
    FakeExchange client{node.request(key, kAsk)};
    node.upstream.traits().drain_time_max = Milliseconds{7'000};
    const auto leave = [&] {
        client.leave();
        client.ring();  // The connection is looked at once the answer is late.
    };
    const auto leave_for_good = [&] {
        leave();
        CHECK(client.alarm == Milliseconds{7'000});
        client.ring();
    };
    // The prompt was sent: 3 tokens, 0.6. Of half an answer nothing can be read.
    Msat left = 9999_msat;
    SUBCASE("before the head") {
        node.upstream.script.before_head = leave_for_good;
        node.upstream.script.silent_head = true;
    }
    SUBCASE("before the body") { node.upstream.script.steps = {leave_for_good, Silence{}}; }
    SUBCASE("within the body") {
        node.upstream.script.steps = {std::string{kAnswer}.substr(0, 80), leave_for_good,
                                      Silence{}};
    }
    SUBCASE("within a body beyond the bound of its bytes") {
        node.upstream.traits().drain_bytes_max = 79;
        node.upstream.script.steps = {leave, std::string{kAnswer}.substr(0, 80), Silence{}};
    }
    SUBCASE("whose failure is its own: no answer, no charge") {
        node.upstream.script.before_head = leave;
        node.upstream.script.failure = http::UpstreamFailure::Timeout;
        left = 10'000_msat;
    }
    node.serve(client);
    CHECK(node.balance(key).posted == left);
    CHECK(node.balance(key).held == 0_msat);
    CHECK(node.second.bodies().empty());
}

TEST_CASE("gateway: a stream that is drained is given up beyond a bound, silent or not") {
    Node node;
    node.upstream.traits().client_gone = proxy::ClientGone::Drain;
    const KeyId key = node.make_key(10'000_msat);
    FakeExchange client{node.request(key, kAskStream)};
    const auto leave_for_good = [&] {
        client.leave();
        client.ring();
        CHECK(client.alarm == node.upstream.traits().drain_time_max);
        client.ring();
    };
    Msat left;
    SUBCASE("before the head") {
        node.upstream.script.before_head = leave_for_good;
        node.upstream.script.silent_head = true;
        left = 9999_msat;
    }
    SUBCASE("between two frames") {
        node.upstream.script =
            sse_script({delta("Hello world, how"), leave_for_good, Silence{}, kUsage});
        left = 9997_msat;  // 3 tokens of prompt and 4 of answer: 0.6 + 2.4.
    }
    SUBCASE("while it is drained") {
        client.leave_after_bytes = 1;
        node.upstream.script = sse_script(
            {delta("Hello world, how"), delta(" are you?"), [&] { client.ring(); }, Silence{}});
        left = 9995_msat;  // 7 tokens of answer: 0.6 + 4.2.
    }
    node.serve(client);
    CHECK(node.balance(key).posted == left);
    CHECK(node.balance(key).held == 0_msat);
}

TEST_CASE(
    "gateway: who left before anything was asked for pays nothing, and nothing is asked for") {
    Node node;
    node.upstream.script = json_script(kAnswer);
    node.second.script = json_script(kAnswer);
    const KeyId key = node.make_key(10'000_msat);
    std::size_t asked = 0;
    FakeExchange streamed{node.request(key, kAskStream)};
    FakeExchange buffered{node.request(key, kAsk)};
    FakeExchange* client = &streamed;
    SUBCASE("the first upstream") { streamed.leave(); }
    SUBCASE("another upstream, in place of one that can't be reached") {
        asked = 1;
        node.upstream.script.before_head = [&] { streamed.leave(); };
        node.upstream.script.failure = http::UpstreamFailure::Unreachable;
    }
    SUBCASE("another upstream, in place of one that is busy") {
        asked = 1;
        client = &buffered;
        node.upstream.script = json_script("{}", 503);
        node.upstream.script.before_head = [&] {
            buffered.leave();
            buffered.ring();
        };
    }
    node.serve(*client);
    CHECK(node.upstream.bodies().size() == asked);
    CHECK(node.second.bodies().empty());
    CHECK(node.balance(key).posted == 10'000_msat);
    CHECK(node.balance(key).held == 0_msat);
}

TEST_CASE("gateway: a request that is cancelled settles what was metered, wherever it waits") {
    Node node;
    const KeyId key = node.make_key(10'000_msat);
    FakeExchange client{node.request(key, kAskStream)};
    node.upstream.traits().client_gone = proxy::ClientGone::Drain;
    Msat left;
    SUBCASE("for the head") {
        node.upstream.script.silent_head = true;
        left = 9999_msat;  // The prompt was sent: 3 tokens, 0.6.
    }
    SUBCASE("in the stream") {
        node.upstream.script = sse_script({delta("Hello world, how"), Silence{}});
        left = 9997_msat;
    }
    const auto cancelled = [&]() -> http::Task<void> {
        // As a server does with what is left when it has drained for long enough.
        const auto first = co_await http::first_of(node.gateway->chat_completions(client),
                                                   http::after(Milliseconds{20}));
        CHECK(first.index() == 1);
    };
    run_all({cancelled});
    node.settle();
    CHECK(node.balance(key).posted == left);
    CHECK(node.balance(key).held == 0_msat);
}
