#include "nutgate/proxy/meter.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "chunk.h"

using namespace nutgate::proxy;

namespace {

std::string read(const std::filesystem::path& path) {
    std::ifstream file{path, std::ios::binary};
    REQUIRE(file.good());
    return {std::istreambuf_iterator<char>{file}, {}};
}

std::vector<std::filesystem::path> corpus() {
    std::vector<std::filesystem::path> streams;
    for (const auto& entry : std::filesystem::directory_iterator{NUTGATE_PROXY_CORPUS}) {
        if (entry.path().extension() == ".sse") streams.push_back(entry.path());
    }
    std::sort(streams.begin(), streams.end());
    return streams;
}

struct Relayed {
    std::string out;
    SseMeter meter{SseMeter::Options{}};
};

// Regular end: whoever cuts a stream does not call finish().
Relayed relay(std::string_view stream, const std::vector<std::size_t>& cuts, bool regular_end) {
    Relayed relayed;
    std::size_t at = 0;
    for (const std::size_t cut : cuts) {
        relayed.meter.feed(stream.substr(at, cut - at), relayed.out);
        at = cut;
    }
    relayed.meter.feed(stream.substr(at), relayed.out);
    if (regular_end) relayed.meter.finish(relayed.out);
    return relayed;
}

void check_count(const nlohmann::json& expected, const char* name,
                 const std::optional<std::int64_t>& count) {
    CAPTURE(name);
    if (expected.contains(name) && !expected[name].is_null()) {
        REQUIRE(count.has_value());
        CHECK(*count == expected[name].get<std::int64_t>());
    } else {
        CHECK_FALSE(count.has_value());
    }
}

void check_state(const nlohmann::json& expected, const SseMeter& meter) {
    const UsageFields usage = meter.usage().value_or(UsageFields{});
    check_count(expected, "prompt", usage.prompt_tokens);
    check_count(expected, "completion", usage.completion_tokens);
    check_count(expected, "total", usage.total_tokens);
    check_count(expected, "cached", usage.cached_tokens);
    check_count(expected, "reasoning", usage.reasoning_tokens);
    CHECK(meter.done() == expected["done"].get<bool>());
    CHECK(meter.failed() == expected["failed"].get<bool>());
    CHECK(meter.finished() == expected["finished"].get<bool>());
    CHECK(meter.delivered().text_bytes == expected["text_bytes"].get<std::uint64_t>());
    CHECK(meter.delivered().text_deltas == expected["text_deltas"].get<std::uint64_t>());
    CHECK_FALSE(meter.overrun());
}

// The stream without what is withheld, or without the piece of a frame at its end.
std::string passed(const nlohmann::json& expected, const std::string& stream) {
    const std::string withheld = expected["withheld"];
    REQUIRE(stream.ends_with(withheld));
    std::string kept = stream.substr(0, stream.size() - withheld.size());
    if (expected.value("dropped_tail", false)) kept.resize(kept.rfind("\n\n") + 2);
    return kept;
}

}  // namespace

TEST_CASE("meter: there is a corpus") { CHECK(corpus().size() >= 20); }

TEST_CASE("meter: a stream cut anywhere in two passes byte for byte and counts the same") {
    for (const auto& path : corpus()) {
        CAPTURE(path.filename().string());
        const std::string stream = read(path);
        auto json_path = path;
        const auto expected = nlohmann::json::parse(read(json_path.replace_extension(".json")));
        const std::string kept = passed(expected, stream);
        for (std::size_t cut = 0; cut <= stream.size(); ++cut) {
            CAPTURE(cut);
            const Relayed relayed = relay(stream, {cut}, true);
            REQUIRE(relayed.out == kept);
            if (cut % 16 == 0) check_state(expected, relayed.meter);
        }
    }
}

TEST_CASE("meter: a stream that comes byte by byte passes byte for byte and counts the same") {
    for (const auto& path : corpus()) {
        CAPTURE(path.filename().string());
        const std::string stream = read(path);
        auto json_path = path;
        const auto expected = nlohmann::json::parse(read(json_path.replace_extension(".json")));
        std::vector<std::size_t> cuts(stream.size());
        for (std::size_t i = 0; i < cuts.size(); ++i) cuts[i] = i;
        const Relayed relayed = relay(stream, cuts, true);
        CHECK(relayed.out == passed(expected, stream));
        check_state(expected, relayed.meter);
    }
}

TEST_CASE("meter: a frame is passed on as soon as its blank line is there") {
    SseMeter meter{SseMeter::Options{}};
    std::string out;
    meter.feed("data: {\"choices\":[]}\n", out);
    CHECK(out.empty());
    meter.feed("\n", out);
    CHECK(out == "data: {\"choices\":[]}\n\n");
    meter.feed(": ping\r\n\r", out);
    CHECK(out == "data: {\"choices\":[]}\n\n: ping\r\n\r");
    meter.feed("\n", out);
    CHECK(out == "data: {\"choices\":[]}\n\n: ping\r\n\r\n");
}

TEST_CASE("meter: a line of a megabyte is metered like any other") {
    const std::string text(1 << 20, 'a');
    const std::string frame = R"(data: {"choices":[{"delta":{"content":")" + text +
                              R"("}}],"usage":{"prompt_tokens":1,"completion_tokens":2}})"
                              "\n\n";
    const Relayed relayed = relay(frame + "data: [DONE]\n\n", {7, 4096, 100'000, 1'000'000}, true);
    CHECK(relayed.out == frame);
    CHECK(relayed.meter.delivered().text_bytes == text.size());
    CHECK(relayed.meter.usage()->completion_tokens == 2);
    CHECK(relayed.meter.done());
}

TEST_CASE("meter: a frame beyond the bound passes unseen, counts as text, and the next is seen") {
    SseMeter meter{SseMeter::Options{.frame_bytes_max = 64}};
    const std::string long_frame = "data: " + std::string(500, 'x') + "\n\n";
    std::string out;
    for (const char c : long_frame) meter.feed({&c, 1}, out);
    meter.feed("data: {\"choices\":[]}\n\ndata: [DONE]\n\n", out);
    CHECK(out == long_frame + "data: {\"choices\":[]}\n\n");
    CHECK(meter.overrun());
    CHECK(meter.done());
    CHECK(meter.delivered().text_bytes == long_frame.size());
}

TEST_CASE("meter: nothing passes behind [DONE], and there is one") {
    const Relayed relayed =
        relay("data: [DONE]\n\ndata: [DONE]\n\ndata: {\"choices\":[{\"delta\":{}}]}\n\n", {}, true);
    CHECK(relayed.out.empty());
    CHECK(relayed.meter.done());
}

TEST_CASE("meter: thoughts that a delta or a message says under several names are counted once") {
    const auto text_of = [](const std::string& members) {
        return read_chunk(R"({"choices":[{"index":0,"delta":{)" + members + "}}]}")->text_bytes;
    };
    CHECK(text_of(R"("reasoning":"12345678")") == 8);
    CHECK(text_of(R"("reasoning":"12345678","reasoning_content":"12345678")") == 8);
    CHECK(text_of(R"("reasoning_content":"1234","reasoning":"12345678","content":"12")") == 10);
    CHECK(text_of(R"("reasoning":"1234","reasoning_details":[{"type":"reasoning.text",)"
                  R"("text":"1234"}])") == 4);
    CHECK(text_of(R"("thinking_blocks":[{"type":"thinking","thinking":"1234","signature":"s"}],)"
                  R"("reasoning_content":"1234","content":"Hello")") == 9);
    // Where they are told in no other way, they count there.
    CHECK(text_of(R"("reasoning":"","reasoning_details":[{"text":"1234"}])") == 4);
    CHECK(text_of(R"("content":"Hello","thinking_blocks":[{"thinking":"1234"}])") == 9);
    CHECK(text_of(R"("content":[{"type":"thinking","thinking":[{"text":"1234"}]}])") == 4);
}

TEST_CASE("meter: blocks at a stream's end that repeat the thoughts of its deltas are no text") {
    const auto delta = [](const std::string& members) {
        return R"(data: {"choices":[{"index":0,"delta":{)" + members + "}}]}\n\n";
    };
    const std::string blocks = delta(R"("thinking_blocks":[{"type":"thinking","thinking":)"
                                     R"("12345678","signature":"abc"}])");
    const Relayed repeated =
        relay(delta(R"("reasoning_content":"1234")") + delta(R"("reasoning_content":"5678")") +
                  delta(R"("content":"Hi")") + blocks,
              {}, true);
    CHECK(repeated.meter.delivered().text_bytes == 10);
    CHECK(repeated.meter.delivered().text_deltas == 3);
    const Relayed only = relay(delta(R"("content":"Hi")") + blocks, {}, true);
    CHECK(only.meter.delivered().text_bytes == 10);
}

TEST_CASE("meter: a prompt that was told before anything was said is nothing to owe for") {
    const std::string told = R"(data: {"choices":[],"usage":{"prompt_tokens":40}})"
                             "\n\n";
    CHECK(relay(told, {}, true).meter.is_empty());
    CHECK_FALSE(relay(R"(data: {"choices":[{"delta":{"content":"Hi"}}]})"
                      "\n\n" +
                          told,
                      {}, true)
                    .meter.is_empty());
    CHECK_FALSE(relay(R"(data: {"choices":[],"usage":{"prompt_tokens":4,"completion_tokens":2}})"
                      "\n\n",
                      {}, true)
                    .meter.is_empty());
}

TEST_CASE("meter: an error's words pass without the names of the seller's accounts") {
    const auto passed = [](StreamForm form, const std::string& stream) {
        std::string first;
        for (std::size_t cut = 0; cut <= stream.size(); ++cut) {
            SseMeter meter{SseMeter::Options{.form = form}};
            std::string out;
            meter.feed(std::string_view{stream}.substr(0, cut), out);
            meter.feed(std::string_view{stream}.substr(cut), out);
            meter.finish(out);
            CHECK(meter.failed());
            if (cut == 0) first = out;
            REQUIRE(out == first);
        }
        return first;
    };
    const auto limit = [](const std::string& org) {
        return "\"message\": \"Rate limit of " + org + " on \\u0022tokens\\u0022\"";
    };
    const std::string full = limit("org-abcdef123456");
    const std::string shown = R"("message": "Rate limit of org-[…] on \"tokens\"")";
    const auto chunk = [](const std::string& words) {
        return ": hi\r\nid: 7\r\ndata: {\"error\": {" + words + ", \"code\":\"x\" }}\r\n\r\n";
    };
    CHECK(passed(StreamForm::Chunks, chunk(full)) == chunk(shown));
    // What names nobody passes byte for byte.
    CHECK(passed(StreamForm::Chunks, chunk(limit("you"))) == chunk(limit("you")));
    CHECK(passed(StreamForm::Chunks, "\xef\xbb\xbf" + chunk(full).substr(6)) ==
          "\xef\xbb\xbf" + chunk(shown).substr(6));
    CHECK(passed(StreamForm::Chunks, "data: {\"object\":\"error\",\ndata: " + full + "}\n\n") ==
          "data: {\"object\":\"error\", " + shown + "}\n\n");
    CHECK(passed(StreamForm::Chunks, R"(data: {"error":"proj_abcdef123456 is closed"})"
                                     "\n\n") == R"(data: {"error":"proj_[…] is closed"})"
                                                "\n\n");
    CHECK(passed(StreamForm::Chunks,
                 R"(data: {"error":{"message":"no","metadata":{"raw":"sk-abcdefghijklmnop"}}})"
                 "\n\n") == R"(data: {"error":{"message":"no","metadata":{"raw":"sk-[…]"}}})"
                            "\n\n");
    // Lines stay lines.
    CHECK(passed(StreamForm::Chunks, "data:{\"error\":\"a\\norg-abcdef123456\\n\"}\n\n") ==
          "data:{\"error\":\"a\\norg-[…]\\n\"}\n\n");
    CHECK(passed(StreamForm::Chunks, "data: {\"error\":\"a\\nb\"}\n\n") ==
          "data: {\"error\":\"a\\nb\"}\n\n");
    CHECK(passed(StreamForm::Chunks, "event: error\ndata: \"of org-abcdef123456\"\n\n") ==
          "event: error\ndata: \"of org-[…]\"\n\n");
    const std::string long_words = chunk(R"("message": ")" + std::string(2500, 'x') + '"');
    CHECK(passed(StreamForm::Chunks, long_words) == long_words);
    CHECK(passed(StreamForm::Chunks, "event: error\ndata: org-abcdef123456 has no money\n\n") ==
          "event: error\ndata: org-[…] has no money\n\n");
    const auto event = [](const std::string& words) {
        return "event: error\ndata: {\"type\":\"error\",\"error\":{" + words + "}}\n\n";
    };
    CHECK(passed(StreamForm::Messages, event(full)) == event(shown));
    CHECK(passed(StreamForm::LastEvent, event(full)) == event(shown));
}

TEST_CASE("meter: of sound and images any event that is no error is something to owe for") {
    const auto is_empty = [](bool sells_pieces, const std::string& data) {
        SseMeter meter{
            SseMeter::Options{.form = StreamForm::LastEvent, .sells_pieces = sells_pieces}};
        std::string out;
        meter.feed(data + "\n\n", out);
        return meter.is_empty();
    };
    const std::string sound = R"(data: {"type":"speech.audio.delta","audio":"AAAA"})";
    CHECK_FALSE(is_empty(true, sound));
    CHECK(is_empty(false, sound));
    CHECK(is_empty(true, ": ping"));
    CHECK(is_empty(true, R"(data: {"type":"error","message":"no"})"));
    CHECK(is_empty(true, "event: error\ndata: {\"message\":\"no\"}"));
}

TEST_CASE("usage: parts never exceed their whole, and thoughts are billed") {
    const auto usage_of = [](const char* text) { return find_usage(text).value().usage(); };
    CHECK(usage_of(R"({"usage":{"prompt_tokens":5,"completion_tokens":2,
                      "prompt_tokens_details":{"cached_tokens":9}}})") ==
          Usage{.in_uncached = 0, .in_cached = 5, .out_text = 2});
    // The total includes thoughts that the completion count leaves out.
    CHECK(usage_of(R"({"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":107}})") ==
          Usage{.in_uncached = 5, .out_text = 2, .out_reasoning = 100});
    CHECK(usage_of(R"({"usageMetadata":{"promptTokenCount":10,"toolUsePromptTokenCount":3,
                      "candidatesTokenCount":4,"thoughtsTokenCount":90,"totalTokenCount":107,
                      "cachedContentTokenCount":2}})") ==
          Usage{.in_uncached = 11, .in_cached = 2, .out_text = 4, .out_reasoning = 90});
    CHECK(usage_of(R"({"response":{"usage":{"input_tokens":8,"output_tokens":3,
                      "input_tokens_details":{"cached_tokens":8}}}})") ==
          Usage{.in_cached = 8, .out_text = 3});
    CHECK(usage_of(R"({"usage":{"prompt_tokens":5,"total_tokens":3}})") == Usage{.in_uncached = 5});
}

TEST_CASE("usage: what is no count is absent; one count alone is not enough to charge by") {
    CHECK_FALSE(find_usage(R"({"usage":null})").has_value());
    CHECK_FALSE(find_usage(R"({"usage":{"prompt_tokens":true,"completion_tokens":"3"}})"));
    CHECK_FALSE(find_usage("[]").has_value());
    CHECK_FALSE(find_usage("{\"usage\":{\"prompt_tokens\":1").has_value());
    CHECK_FALSE(find_usage(R"({"usage":{"completion_tokens":3}})")->complete());
    CHECK(find_usage(R"({"usage":{"completion_tokens":3.0,"prompt_tokens":0}})")->complete());
}

TEST_CASE("usage: an estimate counts deltas or bytes, whichever is more") {
    CHECK(estimate_tokens({.text_bytes = 41, .text_deltas = 3}, 4) == 11);
    CHECK(estimate_tokens({.text_bytes = 12, .text_deltas = 9}, 4) == 9);
    CHECK(estimate_tokens({}, 4) == 0);
}
