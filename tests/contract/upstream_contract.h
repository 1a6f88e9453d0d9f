// What every Upstream has to do, whatever lies behind it. Run by the demonstration, by the adapter
// over HTTP, and by the fake that other tests trust.
#pragma once

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <functional>
#include <string>

#include "nutgate/proxy/meter.h"
#include "nutgate/proxy/upstream.h"

namespace nutgate::test {

struct UpstreamRun {
    int status = 0;
    std::string content_type;
    std::string body;
    bool failed = false;
};

// Runs one call to its end.
using RunUpstream = std::function<UpstreamRun(proxy::Upstream&, proxy::UpstreamCall)>;

inline http::Task<void> run_upstream(proxy::Upstream& upstream, proxy::UpstreamCall call,
                                     UpstreamRun& run) {
    const auto answer = co_await upstream.call(std::move(call));
    if (!answer) {
        run.failed = true;
        co_return;
    }
    run.status = (*answer)->status();
    run.content_type = (*answer)->headers().find("content-type").value_or("");
    for (;;) {
        const auto piece = co_await (*answer)->read();
        if (!piece) run.failed = true;
        if (!piece || piece->empty()) co_return;
        run.body += *piece;
    }
}

// What an upstream can't do, it refuses; that it does not have to be able to do it.
struct UpstreamAbilities {
    int choices_max = 2;  // `n`
};

inline void check_upstream_contract(proxy::Upstream& upstream, const RunUpstream& run_call,
                                    UpstreamAbilities can = {}) {
    using nlohmann::json;
    const auto ask = [](const std::string& more) {
        return R"({"model":"demo","messages":[{"role":"user","content":"one two three"}])" + more +
               "}";
    };

    // A whole answer is JSON with choices and usage, within its limit.
    const auto whole = run_call(upstream, {.body = ask(R"(,"max_tokens":4)")});
    CHECK_FALSE(whole.failed);
    CHECK(whole.status == 200);
    CHECK(whole.content_type.starts_with("application/json"));
    const json answer = json::parse(whole.body);
    CHECK(answer["choices"].size() == 1);
    CHECK(answer["choices"][0]["message"]["role"] == "assistant");
    CHECK(answer["usage"]["completion_tokens"] <= 4);
    CHECK(answer["usage"]["prompt_tokens"] > 0);

    // A stream is events, complete, with usage when it is asked for, and none when it is not.
    const std::string choices = R"(,"n":)" + std::to_string(can.choices_max);
    for (const bool usage : {true, false}) {
        const auto stream = run_call(
            upstream, {.body = ask(choices + R"(,"max_tokens":4,"stream":true)" +
                                   (usage ? R"(,"stream_options":{"include_usage":true})" : "")),
                       .stream = true});
        CHECK_FALSE(stream.failed);
        CHECK(stream.status == 200);
        CHECK(stream.content_type.starts_with("text/event-stream"));
        proxy::SseMeter meter{proxy::SseMeter::Options{}};
        std::string out;
        meter.feed(stream.body, out);
        CHECK(meter.done());
        CHECK(meter.finished());
        CHECK_FALSE(meter.failed());
        CHECK(meter.delivered().text_bytes > 0);
        CHECK(meter.usage().has_value() == usage);
        if (usage) CHECK(meter.usage()->complete());
    }

    // Fewer choices than were asked for are no answer.
    if (can.choices_max == 1) {
        const auto two = run_call(upstream, {.body = ask(R"(,"max_tokens":4,"n":2)")});
        CHECK(two.status == 400);
        CHECK(json::parse(two.body)["error"]["param"] == "n");
    }

    // What it can't answer has a status of its own and a body that says why.
    const auto refused = run_call(upstream, {.body = R"({"model":"demo"})"});
    CHECK_FALSE(refused.failed);
    CHECK(refused.status == 400);
    CHECK(json::parse(refused.body).contains("error"));
}

}  // namespace nutgate::test
