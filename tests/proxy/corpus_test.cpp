// Every file of the corpus is a test case of its own: what a provider's document says an answer
// looks like goes through the meter, cut in every way, and through the gateway onto the books, and
// has to come to what was worked out by hand.
#include <deque>
#include <map>
#include <set>

#include "answer_form.h"
#include "chunk.h"
#include "corpus_case.h"
#include "fixture.h"
#include "nutgate/proxy/meter.h"

using namespace nutgate;
using namespace nutgate::proxy;
using namespace nutgate::test;
using nlohmann::json;

namespace {

constexpr std::size_t kBigPiece = 7;

const std::vector<CorpusCase>& all_cases() {
    static const std::vector<CorpusCase> cases = corpus_cases();
    return cases;
}

// The path that answers of this dialect come by.
Endpoint endpoint_of(const CorpusCase& one) {
    const std::map<std::string, Endpoint> paths{{"anthropic_messages", Endpoint::Messages},
                                                {"audio_transcription", Endpoint::Transcriptions},
                                                {"openai_completions", Endpoint::Completions},
                                                {"openai_embeddings", Endpoint::Embeddings},
                                                {"openai_images", Endpoint::ImageGenerations},
                                                {"openai_responses", Endpoint::Responses}};
    const auto path = paths.find(one.name.substr(0, one.name.find('/')));
    return path == paths.end() ? Endpoint::Chat : path->second;
}

SseMeter::Options options_of(const CorpusCase& one) {
    return {.form = form_of(endpoint_of(one)).stream};
}

// A request of 12 bytes of text, which estimates have as 3 tokens; empty where what is sold is not
// text, whose paths have tests of their own.
std::string request_of(const CorpusCase& one) {
    const std::string stream = one.stream ? R"(,"stream":true})" : "}";
    const std::string messages = R"("messages":[{"role":"user","content":"Hi there"}])";
    switch (endpoint_of(one)) {
        case Endpoint::Chat:
            return R"({"model":"corpus",)" + messages + stream;
        case Endpoint::Completions:
            return R"({"model":"corpus","prompt":"Hi there you")" + stream;
        case Endpoint::Responses:
            return R"({"model":"corpus","input":"Hi there you")" + stream;
        case Endpoint::Messages:
            return R"({"model":"corpus","max_tokens":1000,)" + messages + stream;
        case Endpoint::CountTokens:
        case Endpoint::Embeddings:
        case Endpoint::Moderations:
        case Endpoint::ImageGenerations:
        case Endpoint::ImageEdits:
        case Endpoint::Speech:
        case Endpoint::Transcriptions:
        case Endpoint::Translations:
            break;
    }
    return {};
}

void check_usage(const CorpusCase& one, const std::optional<UsageFields>& told) {
    const std::string source = one.told()["source"];
    const bool counted = source == "final" || source == "partial";
    REQUIRE((told && told->complete()) == counted);
    if (!counted) return;
    const Usage usage = told->usage();
    const Usage truth = one.usage();
    // Where nobody says which of its tokens are sound or pictures, the path that was asked knows.
    CHECK(usage.in_uncached + usage.in_audio + usage.in_image ==
          truth.in_uncached + truth.in_audio + truth.in_image);
    if (usage.in_audio > 0) CHECK(usage.in_audio == truth.in_audio);
    if (usage.in_image > 0) CHECK(usage.in_image == truth.in_image);
    CHECK(usage.in_cached == truth.in_cached);
    CHECK(usage.cache_write_5m == truth.cache_write_5m);
    CHECK(usage.cache_write_1h == truth.cache_write_1h);
    CHECK(usage.out_text + usage.out_audio + usage.out_image ==
          truth.out_text + truth.out_audio + truth.out_image);
    if (usage.out_audio > 0) CHECK(usage.out_audio == truth.out_audio);
    if (usage.out_image > 0) CHECK(usage.out_image == truth.out_image);
    CHECK(usage.out_reasoning == truth.out_reasoning);
    CHECK(usage.searches == truth.searches);
    CHECK(cost_of(one.price(), usage)->total.raw() == one.told()["msat"].get<std::int64_t>());
}

void check_ending(const CorpusCase& one, const SseMeter& meter) {
    const std::string ending = one.truth["ending"];
    CHECK(meter.failed() == (ending == "error"));
    if (ending == "complete") CHECK((meter.done() || meter.finished()));
    if (ending == "cut") CHECK_FALSE((meter.done() || meter.finished()));
    CHECK_FALSE(meter.overrun());
}

void check_delivered(const CorpusCase& one, const Delivered& delivered) {
    if (!one.truth.contains("delivered")) return;
    CHECK(delivered.text_bytes == one.truth["delivered"]["text_bytes"].get<std::uint64_t>());
    CHECK(delivered.text_deltas == one.truth["delivered"]["text_deltas"].get<std::uint64_t>());
}

// A stream that was cut is not finished: its upstream died.
void end(const CorpusCase& one, SseMeter& meter, std::string& out) {
    if (one.truth["ending"] != "cut") meter.finish(out);
}

void check_in_pieces(const CorpusCase& one, const std::string& stream, std::size_t piece) {
    CAPTURE(piece);
    SseMeter meter{options_of(one)};
    std::string out;
    for (std::size_t at = 0; at < stream.size(); at += piece) {
        meter.feed(std::string_view{stream}.substr(at, piece), out);
    }
    end(one, meter, out);
    CHECK((out == one.passed()));  // Not shown: it may be a megabyte.
    check_usage(one, meter.usage());
    check_ending(one, meter);
    check_delivered(one, meter.delivered());
}

void check_cut_in_two(const CorpusCase& one, const std::string& stream) {
    const std::string passed = one.passed();
    std::string out;
    for (std::size_t cut = 1; cut < stream.size(); ++cut) {
        CAPTURE(cut);
        SseMeter meter{options_of(one)};
        out.clear();
        meter.feed(std::string_view{stream}.substr(0, cut), out);
        REQUIRE(passed.starts_with(out));
        meter.feed(std::string_view{stream}.substr(cut), out);
        end(one, meter, out);
        REQUIRE(out == passed);
        if (cut % 32 == 0) check_usage(one, meter.usage());
    }
}

void check_meter(const CorpusCase& one) {
    const std::string text = one.text();
    if (!one.stream) {
        check_usage(one, find_usage(text));
        const auto answer = read_chunk(text, form_of(endpoint_of(one)).made_in);
        const std::uint64_t bytes = answer ? answer->text_bytes : 0;
        check_delivered(one, {.text_bytes = bytes, .text_deltas = 0, .bytes = text.size()});
        return;
    }
    check_in_pieces(one, text, text.size());
    if (one.is_big()) {
        check_in_pieces(one, text, kBigPiece);
    } else {
        check_in_pieces(one, text, 1);
        check_cut_in_two(one, text);
    }
}

// A node that sells one model at the case's price, with room for whatever an upstream may claim.
void sell(Node& node, const Price& price) {
    Model model{.id = *ModelId::parse("corpus"), .price = price, .upstreams = {&node.upstream}};
    model.context = 4'000'000;
    model.output_max = 1'000'000;
    model.template_tokens = 1'000'000;
    std::vector<Model> models;
    models.push_back(std::move(model));
    node.close();
    node.models.emplace(Models::make(std::move(models), std::nullopt).value());
    node.open();
}

std::vector<Step> steps_of(const CorpusCase& one, std::size_t piece) {
    const std::string text = one.text();
    std::vector<Step> steps;
    for (std::size_t at = 0; at < text.size(); at += piece) {
        steps.emplace_back(text.substr(at, piece));
    }
    if (one.truth["ending"] == "cut") steps.emplace_back(http::UpstreamFailure::Broken);
    return steps;
}

// Where it says its source, however deep: each dialect has a place of its own for it.
const json* find_cost(const json& tree) {
    if (!tree.is_structured()) return nullptr;
    if (tree.is_object() && tree.contains("usage_source")) return &tree;
    for (const json& branch : tree) {
        if (const json* found = find_cost(branch)) return found;
    }
    return nullptr;
}

void check_receipt(const CorpusCase& one, const json& answer) {
    const std::map<std::string, std::string> sources{
        {"final", "upstream_final"}, {"partial", "upstream_partial"}, {"estimate", "estimate"}};
    const Usage truth = one.usage();
    const json* found = find_cost(answer);
    REQUIRE(found != nullptr);
    const json& cost = *found;
    CHECK(cost["usage_source"] == sources.at(one.told()["source"]));
    CHECK(cost["total_msats"] == one.told()["msat"]);
    CHECK(cost["cache_read_input_tokens"] == truth.in_cached);
    CHECK(cost["cache_creation_input_tokens"] == truth.cache_write_5m + truth.cache_write_1h);
    if (one.told()["source"] != "estimate" || endpoint_of(one) != Endpoint::Chat) return;
    CHECK(answer["usage"]["prompt_tokens"] == truth.input());
    CHECK(answer["usage"]["completion_tokens"] == truth.output());
}

json last_event(const std::string& stream) {
    const std::size_t at = stream.rfind("data: {\"", stream.rfind("\"usage_source\""));
    REQUIRE(at != std::string::npos);
    return json::parse(stream.substr(at + 6, stream.find("\n\n", at) - at - 6));
}

// What is not about the charge is what the upstream said. Its usage is, too, unless nobody could
// charge by it: then the estimate stands in its place.
void check_unchanged(const CorpusCase& one, const std::string& received) {
    const json body = json::parse(received);
    const json original = json::parse(one.text());
    const bool is_replaced = one.told()["source"] == "estimate";
    for (const auto& [key, value] : original.items()) {
        if (key == "metadata" || key == "provider") continue;
        if (key == "usage" && is_replaced) continue;
        if (key != "usage" || !value.is_object()) {
            if (key != "usage") CHECK(body.at(key) == value);
            continue;
        }
        for (const auto& [count, said] : value.items()) {
            if (count != "cost") CHECK(body.at("usage").at(count) == said);
        }
    }
}

void check_gateway(const CorpusCase& one, std::size_t piece) {
    CAPTURE(piece);
    Node node;
    sell(node, one.price());
    node.upstream.script = one.stream ? sse_script(steps_of(one, piece)) : json_script("");
    if (!one.stream) node.upstream.script.steps = steps_of(one, piece);
    constexpr Msat kBalance = 1'000'000'000'000_msat;
    const KeyId key = node.make_key(kBalance);
    FakeExchange client{node.request(key, request_of(one))};
    node.serve(client, endpoint_of(one));

    const Msat charged = *Msat::from_raw(one.told()["msat"].get<std::int64_t>());
    CHECK(node.balance(key).posted == *subtract(kBalance, charged));
    CHECK(node.balance(key).held == 0_msat);
    const bool answered = one.told()["source"] != "none";
    if (!one.stream) {
        CHECK(client.status == (answered ? 200 : 502));
        if (!answered) return;
        check_unchanged(one, client.body);
        check_receipt(one, json::parse(client.body));
        return;
    }
    const std::string passed = one.passed();
    CHECK(client.body.starts_with(passed));
    if (answered) check_receipt(one, last_event(client.body));
}

void run_case() {
    std::string name = doctest::getContextOptions()->currentTest->m_name;
    name.erase(0, name.find(' ') + 1);
    std::ranges::replace(name, ' ', '/');
    const auto one = std::ranges::find(all_cases(), name, &CorpusCase::name);
    REQUIRE(one != all_cases().end());
    REQUIRE(one->truth.is_object());
    INFO(one->truth.dump(1));
    check_meter(*one);
    if (request_of(*one).empty()) return;
    check_gateway(*one, one->text().size());
    if (!one->is_big()) check_gateway(*one, kBigPiece);
}

// doctest keeps pointers to the names.
[[maybe_unused]] const bool kRegistered = [] {
    static std::deque<std::string> names;
    for (const CorpusCase& one : all_cases()) {
        std::string name = "corpus: " + one.name;
        std::ranges::replace(name, '/', ' ');
        names.push_back(std::move(name));
        doctest::detail::regTest(
            doctest::detail::TestCase(run_case, __FILE__, __LINE__,
                                      doctest_detail_test_suite_ns::getCurrentTestSuite()) *
            names.back().c_str());
    }
    return true;
}();

}  // namespace

TEST_CASE("corpus: every dialect is cut, incomplete, in error and at zero") {
    const std::set<std::string> streamed{"azure",
                                         "deepseek",
                                         "gemini",
                                         "groq",
                                         "llama_cpp",
                                         "mistral",
                                         "ollama",
                                         "openai_chat",
                                         "openai_completions",
                                         "openrouter",
                                         "vllm",
                                         "anthropic_messages",
                                         "openai_responses"};
    std::set<std::string> names;
    for (const CorpusCase& one : all_cases()) names.insert(one.name);
    CHECK(names.size() >= 80);
    for (const std::string& dialect : streamed) {
        for (const char* way : {"cut", "incomplete", "error_event", "zero_usage"}) {
            CAPTURE(dialect);
            CAPTURE(way);
            CHECK(names.contains(dialect + "/" + way));
        }
    }
}

TEST_CASE("corpus: every case says what it is and what it comes to") {
    for (const CorpusCase& one : all_cases()) {
        CAPTURE(one.name);
        REQUIRE(one.truth.is_object());
        for (const char* field :
             {"dialect", "shape", "ending", "source", "usage", "price", "msat", "sum"}) {
            CHECK(one.truth.contains(field));
        }
        const std::string ending = one.truth["ending"];
        CHECK((ending == "complete" || ending == "cut" || ending == "error"));
        const std::string source = one.truth["source"];
        CHECK(
            (source == "final" || source == "partial" || source == "estimate" || source == "none"));
        CHECK((source == "none") ==
              (one.truth["msat"] == 0 && one.truth["usage"].empty() && ending != "complete"));
    }
}
