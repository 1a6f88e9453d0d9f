#include "report.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

using namespace nutgate;
using namespace nutgate::proxy;
using nlohmann::json;

namespace {

constexpr ChunkHead kHead{"chat.completion.chunk", "small"};

Receipt receipt(UsageSource source = UsageSource::UpstreamFinal) {
    return {
        .cost = {.total = 1016_msat, .input = 8_msat, .input_cached = 1000_msat, .output = 8_msat},
        .metered =
            {.usage = {.in_uncached = 30, .in_cached = 10, .out_text = 8, .out_reasoning = 4},
             .source = source},
        .remaining = 500_msat,
        .provider = "node"};
}

// The text without what was put in, if that is all that changed.
std::string without(std::string text, const std::string& part) {
    const std::size_t at = text.find(part);
    REQUIRE(at != std::string::npos);
    return text.erase(at, part.size());
}

}  // namespace

TEST_CASE("report: the charge goes into usage, and every other byte stays") {
    const std::string answer =
        "{ \"a\" : 1.50, \"usage\" : { \"prompt_tokens\":40,\"completion_tokens\" :12 },\n "
        "\"z\":\"\\u00e9\" }";
    const std::string spliced = splice_receipt(answer, receipt());
    const json body = json::parse(spliced);
    CHECK(body["usage"]["prompt_tokens"] == 40);
    CHECK(body["usage"]["cost"] ==
          json::parse(R"({"base_msats":0,"input_msats":8,"output_msats":8,"total_msats":1016,
                          "cache_read_input_tokens":10,"cache_creation_input_tokens":0,
                          "cache_read_msats":1000,"cache_creation_msats":0,
                          "usage_source":"upstream_final"})"));
    CHECK(body["usage"]["cost_sats"] == 1);
    CHECK(body["usage"]["remaining_balance_msats"] == 500);
    CHECK(body["metadata"]["routstr"]["sats_cost"] == 1);
    CHECK(body["provider"] == "node");

    std::string rest = spliced;
    const std::size_t cost = rest.find(",\"cost\":");
    const std::size_t cost_end = rest.find("500", cost) + 3;
    rest = without(rest, rest.substr(cost, cost_end - cost));
    const std::size_t added = rest.find(",\"metadata\":");
    rest = without(rest, rest.substr(added, rest.rfind('}') - added));
    CHECK(rest == answer);
}

TEST_CASE("report: usage that is missing, null or not enough is written whole") {
    for (const char* answer : {R"({"id":"x"})", R"({"usage":null})", R"({"usage":7})", "{}",
                               " { } ", R"({"usage":{"completion_tokens":3}})"}) {
        CAPTURE(answer);
        const json body = json::parse(splice_receipt(answer, receipt(UsageSource::Estimate)));
        CHECK(body["usage"]["prompt_tokens"] == 40);
        CHECK(body["usage"]["completion_tokens"] == 12);
        CHECK(body["usage"]["total_tokens"] == 52);
        CHECK(body["usage"]["prompt_tokens_details"]["cached_tokens"] == 10);
        CHECK(body["usage"]["completion_tokens_details"]["reasoning_tokens"] == 4);
        CHECK(body["usage"]["cost"]["usage_source"] == "estimate");
    }
}

TEST_CASE("report: what the upstream says under our names is kept under others") {
    const json body = json::parse(splice_receipt(
        R"({"usage":{"cost":0.25,"c\u006fst_sats":3,"prompt_tokens":1,"completion_tokens":1},)"
        R"("metadata":{"a":"b"},"provider":"them"})",
        receipt()));
    CHECK(body["usage"]["upstream_cost"] == 0.25);
    CHECK(body["usage"]["upstream_cost_sats"] == 3);
    CHECK(body["usage"]["cost"]["total_msats"] == 1016);
    CHECK(body["metadata"]["a"] == "b");
    CHECK(body["metadata"]["routstr"]["cost"]["total_msats"] == 1016);
    CHECK(body["provider"] == "them");
    CHECK(json::parse(splice_receipt(R"({"usage":{},"metadata":{}})", receipt()))["metadata"]
              .contains("routstr"));
    CHECK(json::parse(splice_receipt(R"({"metadata":null})", receipt()))["metadata"].contains(
        "routstr"));
    CHECK(json::parse(splice_receipt(R"({"metadata":"text"})", receipt()))["metadata"] == "text");
}

TEST_CASE("report: the largest numbers and long words have their room, in each dialect") {
    constexpr std::int64_t kLarge = 4'000'000'000'000'000'000;
    const Msat most = *Msat::from_raw(Msat::kMax);
    const std::string word(300, 'w');
    Receipt large{.cost = {.total = most, .input = most, .input_cached = most, .output = most},
                  .metered = {.usage = {.in_uncached = kLarge, .out_text = kLarge},
                              .source = UsageSource::UpstreamPartial},
                  .remaining = most,
                  .provider = std::string(300, '"')};
    large.cost.base = large.cost.cache_writes = most;
    large.stopped = word;
    for (const UsageNames names :
         {UsageNames::Prompt, UsageNames::Input, UsageNames::Image, UsageNames::Message}) {
        large.names = names;
        for (const char* answer : {"{}", R"({"usage":null,"metadata":null})",
                                   R"({"metadata":{},"usage":{"prompt_tokens":1}})",
                                   R"({"usage":{"cost":1,"cost_sats":2},"provider":"p"})"}) {
            const json body = json::parse(splice_receipt(answer, large));
            CHECK(body["usage"]["cost"]["total_msats"] == most.raw());
            CHECK(body["metadata"]["routstr"]["stopped"] == word);
        }
        const std::string event = receipt_event(SseMeter{SseMeter::Options{}}, large);
        CHECK(event.find("remaining_balance_msats") != std::string::npos);
    }
}

TEST_CASE("report: what is no JSON object stays as it is") {
    for (const std::string text : {"", "[]", "{\"a\":", "hello", "{} {}"}) {
        CHECK(splice_receipt(text, receipt()) == text);
    }
}

TEST_CASE("report: a stream's last event is one data line, whatever the upstream's chunk was") {
    SseMeter meter{SseMeter::Options{}};
    std::string out;
    meter.feed(
        "data: {\"choices\":[],\r\ndata: "
        "\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\r\n\r\n",
        out);
    CHECK(out.empty());
    const std::string event = receipt_event(meter, kHead, receipt());
    CHECK(event.ends_with("\n\n"));
    CHECK(event.find('\n') == event.size() - 2);
    const json chunk = json::parse(event.substr(6));
    CHECK(chunk["usage"]["prompt_tokens"] == 1);
    CHECK(chunk["usage"]["cost"]["total_msats"] == 1016);

    SseMeter silent{SseMeter::Options{}};
    silent.feed("data: {\"id\":\"c\",\"model\":\"M\",\"created\":5,\"choices\":[{}]}\n\n", out);
    const json made = json::parse(receipt_event(silent, kHead, receipt()).substr(6));
    CHECK(made["id"] == "c");
    CHECK(made["model"] == "M");
    CHECK(made["created"] == 5);
    CHECK(made["object"] == "chat.completion.chunk");
    CHECK(made["choices"] == json::array());
    CHECK(made["usage"]["total_tokens"] == 52);
}

TEST_CASE("report: a response that failed is told without the seller's accounts, paid or not") {
    const auto told = [](const std::string& words) {
        SseMeter meter{SseMeter::Options{.form = StreamForm::LastEvent}};
        std::string out;
        meter.feed(
            "event: response.failed\ndata: {\"type\":\"response.failed\",\"response\":"
            "{\"id\":\"r\",\"error\":{\"code\":\"x\",\"message\":\"" +
                words + "\"},\"usage\":null}}\n\n",
            out);
        CHECK(out.empty());
        CHECK(meter.failed());
        const std::string paid = receipt_event(meter, receipt());
        CHECK(json::parse(paid.substr(paid.find('{')))["response"]["error"]["message"] ==
              words.substr(0, 4) + "[…]");
        return last_event(meter);
    };
    CHECK(told("org-abcdef123456") ==
          "event: response.failed\ndata: {\"type\":\"response.failed\",\"response\":{\"id\":\"r\","
          "\"error\":{\"code\":\"x\",\"message\":\"org-[…]\"},\"usage\":null}}\n\n");
}
