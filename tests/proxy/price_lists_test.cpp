// Lists of prices as their publishers document them; every figure here was written by hand.
#include "nutgate/proxy/price_lists.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>

using namespace nutgate;
using namespace nutgate::proxy;

namespace {

PriceList read(ListFormat format, std::string_view json, ListOptions options = {}) {
    return read_price_list(format, json, options).value();
}

const PriceTable* find(const PriceList& list, std::string_view model) {
    const auto found =
        std::ranges::find_if(list.prices, [&](const auto& price) { return price.model == model; });
    return found == list.prices.end() ? nullptr : &found->table;
}

std::optional<ListRefusal> refusal(const PriceList& list, std::string_view model) {
    const auto found =
        std::ranges::find_if(list.refused, [&](const auto& line) { return line.model == model; });
    if (found == list.refused.end()) return std::nullopt;
    return found->why;
}

// "none" or the price of one.
std::string each(const PriceLines& lines, PriceKind kind) {
    const auto& line = lines[index_of(kind)];
    return line ? to_text(*line) : "none";
}
std::string each(const PriceTable* table, PriceKind kind) {
    REQUIRE(table != nullptr);
    return each(table->lines, kind);
}

constexpr std::string_view kOpenRouter = R"json({"data":[
 {"id":"google/gemini-2.5-flash","canonical_slug":"google/gemini-2.5-flash","name":"Gemini",
  "context_length":1048576,
  "architecture":{"modality":"text+image->text","input_modalities":["text","image"]},
  "pricing":{"prompt":"0.0000003","completion":"0.0000025","request":"0","image":"0.001238",
   "web_search":"0","internal_reasoning":"0","input_cache_read":"0.000000075",
   "input_cache_write":"0.0000003833","audio":"0.000001","discount":0},
  "top_provider":{"context_length":1048576,"max_completion_tokens":65535},
  "per_request_limits":null},
 {"id":"vendor/long","pricing":{"prompt":"0.00000125","completion":"0.00001","web_search":"0.01",
   "internal_reasoning":"0.000012","input_cache_write_1h":"0.000003","image_output":"0.00003",
   "image_token":"0.000002","audio_output":"0.00002","request":"0.001",
   "overrides":[{"min_prompt_tokens":200000,"prompt":"0.0000025","completion":"0.000015"},
                {"utc_start":"1630","utc_end":"0030","prompt":0.0000006}]}},
 {"id":"openrouter/auto","pricing":{"prompt":"-1","completion":"-1"}},
 {"id":"vendor/given:free","pricing":{"prompt":"0","completion":"0"}},
 {"id":"vendor/half","pricing":{"prompt":"0.1e-6"}},
 {"id":"vendor/silent"},
 {"id":"vendor/null","pricing":null},
 {"id":"vendor/words","pricing":{"prompt":"cheap","completion":"0.000001"}},
 {"id":"vendor/gold","pricing":{"prompt":"0.5","completion":"0.000001"}},
 {"id":"vendor/fine","pricing":{"prompt":"1e-27","completion":"0.000001"}},
 {"id":"vendor/window","pricing":{"prompt":"0.000001","completion":"0.000001",
   "overrides":[{"utc_start":"2500","utc_end":"0030","prompt":"0.1"}]}},
 {"id":"vendor/steep","pricing":{"prompt":"0.000001","completion":"0.000001",
   "overrides":[{"min_prompt_tokens":1,"prompt":"0.000002"},
    {"min_prompt_tokens":2,"prompt":"0.000003"},{"min_prompt_tokens":3,"prompt":"0.000004"},
    {"min_prompt_tokens":4,"prompt":"0.000005"}]}},
 {"name":"nameless","pricing":{"prompt":"0.000001","completion":"0.000001"}},
 {"id":"vendor/last","pricing":{"prompt":1.5e-07,"completion":6E-7}}
]})json";

constexpr std::string_view kLiteLlm = R"json({
 "sample_spec":{"litellm_provider":"one of …","mode":"one of: chat, embedding",
  "input_cost_per_token":"0.0000","max_tokens":"LEGACY"},
 "gpt-x":{"litellm_provider":"openai","mode":"chat","max_input_tokens":400000,
  "input_cost_per_token":1.25e-06,"output_cost_per_token":1e-05,
  "cache_read_input_token_cost":1.25e-07,"input_cost_per_token_priority":2.5e-06,
  "output_cost_per_token_flex":5e-06,"supports_vision":true,
  "search_context_cost_per_query":{"search_context_size_low":0.01,
   "search_context_size_medium":0.025,"search_context_size_high":0.03}},
 "claude-x":{"litellm_provider":"anthropic","mode":"chat",
  "input_cost_per_token":3e-06,"output_cost_per_token":1.5e-05,
  "cache_creation_input_token_cost":3.75e-06,"cache_creation_input_token_cost_above_1hr":6e-06,
  "cache_read_input_token_cost":3e-07,
  "input_cost_per_token_above_200k_tokens":6e-06,"output_cost_per_token_above_200k_tokens":2.25e-05,
  "cache_creation_input_token_cost_above_1hr_above_200k_tokens":1.2e-05,
  "cache_read_input_token_cost_above_200k_tokens":6e-07},
 "o-audio":{"litellm_provider":"openai","mode":"chat","input_cost_per_token":2.5e-06,
  "output_cost_per_token":1e-05,"input_cost_per_audio_token":4e-05,
  "output_cost_per_audio_token":8e-05,"output_cost_per_reasoning_token":1.1e-05},
 "whisper-x":{"litellm_provider":"openai","mode":"audio_transcription",
  "input_cost_per_second":0.0001,"output_cost_per_second":0.0001},
 "tts-x":{"litellm_provider":"openai","mode":"audio_speech","input_cost_per_character":1.5e-05},
 "embed-x":{"litellm_provider":"openai","mode":"embedding","input_cost_per_token":2e-08,
  "output_cost_per_token":0.0},
 "paint-x":{"litellm_provider":"aiml","mode":"image_generation","output_cost_per_image":0.053},
 "paint-y":{"litellm_provider":"azure","mode":"image_generation","input_cost_per_image":0.04},
 "1024-x-1024/dall-e-x":{"litellm_provider":"openai","mode":"image_generation",
  "input_cost_per_pixel":1.9e-08,"output_cost_per_pixel":0.0},
 "given":{"litellm_provider":"x","mode":"chat","input_cost_per_token":0,"output_cost_per_token":0},
 "debt":{"litellm_provider":"x","mode":"chat","input_cost_per_token":-1e-06,
  "output_cost_per_token":1e-06},
 "odd":{"litellm_provider":"x","mode":"chat","input_cost_per_token":{"a":1}},
 "a list":[1,2,3]
})json";

constexpr std::string_view kPortkey = R"json({
 "default":{"pricing_config":{"pay_as_you_go":{"request_token":{"price":0},
   "response_token":{"price":0}},"calculate":{"request":{"operation":"sum"}},"currency":"USD"}},
 "gpt-x":{"pricing_config":{"pay_as_you_go":{"request_token":{"price":0.00025},
   "response_token":{"price":0.001},"cache_write_input_token":{"price":0},
   "cache_read_input_token":{"price":0.000125},"request_audio_token":{"price":0.004},
   "response_audio_token":{"price":0.008},
   "additional_units":{"web_search":{"price":1},"cache_write_1h":{"price":0.0005},
    "thinking_token":{"price":0.0012}}},"batch_config":{"request_token":{"price":0.000125}},
   "currency":"USD"}},
 "dall-e-x":{"pricing_config":{"pay_as_you_go":{"image":{"standard":{"1024x1024":{"price":4},
   "1024x1792":{"price":8}},"hd":{"1024x1024":{"price":12}}}},"currency":"USD"}},
 "euro":{"pricing_config":{"pay_as_you_go":{"request_token":{"price":0.1},
   "response_token":{"price":0.1}},"currency":"EUR"}},
 "nothing":{"pricing_config":{"pay_as_you_go":{"request_token":{"price":0},
   "response_token":{"price":0}},"currency":"USD"}}
})json";

}  // namespace

TEST_CASE("price lists: OpenRouter's, USD for one in quotes or as numbers") {
    const PriceList list = read(ListFormat::OpenRouter, kOpenRouter);
    const PriceTable* flash = find(list, "google/gemini-2.5-flash");
    CHECK(each(flash, PriceKind::Input) == "0.0000003");
    CHECK(each(flash, PriceKind::Output) == "0.0000025");
    CHECK(each(flash, PriceKind::InputCached) == "0.000000075");
    CHECK(each(flash, PriceKind::CacheWrite) == "0.0000003833");
    CHECK(each(flash, PriceKind::InputAudio) == "0.000001");
    // Zero: of its own it costs nothing, as a token of the answer what that costs.
    CHECK(each(flash, PriceKind::Reasoning) == "none");
    CHECK(each(flash, PriceKind::Request) == "none");
    CHECK(each(flash, PriceKind::Search) == "none");

    const PriceTable* wide = find(list, "vendor/long");
    CHECK(each(wide, PriceKind::Search) == "0.01");
    CHECK(each(wide, PriceKind::Request) == "0.001");
    CHECK(each(wide, PriceKind::Reasoning) == "0.000012");
    CHECK(each(wide, PriceKind::CacheWrite1h) == "0.000003");
    CHECK(each(wide, PriceKind::OutputImage) == "0.00003");
    CHECK(each(wide, PriceKind::InputImage) == "0.000002");
    CHECK(each(wide, PriceKind::OutputAudio) == "0.00002");
    REQUIRE(wide->overrides.size() == 2);
    CHECK(wide->overrides[0].above_input == 200'000);
    CHECK_FALSE(wide->overrides[0].window.has_value());
    CHECK(each(wide->overrides[0].lines, PriceKind::Output) == "0.000015");
    CHECK(wide->overrides[1].window == DayWindow{.from = 16 * 60 + 30, .until = 30});
    CHECK(each(wide->overrides[1].lines, PriceKind::Input) == "0.0000006");
    CHECK(each(find(list, "vendor/last"), PriceKind::Input) == "0.00000015");
    CHECK(each(find(list, "vendor/last"), PriceKind::Output) == "0.0000006");
}

TEST_CASE(
    "price lists: what OpenRouter's list does not price is refused by name, the rest goes on") {
    const PriceList list = read(ListFormat::OpenRouter, kOpenRouter);
    CHECK(refusal(list, "openrouter/auto") == ListRefusal::Variable);
    CHECK(refusal(list, "vendor/given:free") == ListRefusal::Zero);
    CHECK(refusal(list, "vendor/half") == ListRefusal::Missing);
    CHECK(refusal(list, "vendor/silent") == ListRefusal::Missing);
    CHECK(refusal(list, "vendor/null") == ListRefusal::Missing);
    CHECK(refusal(list, "vendor/words") == ListRefusal::Malformed);
    CHECK(refusal(list, "vendor/gold") == ListRefusal::OutOfRange);
    CHECK(refusal(list, "vendor/fine") == ListRefusal::OutOfRange);
    CHECK(refusal(list, "vendor/window") == ListRefusal::Malformed);
    CHECK(refusal(list, "vendor/steep") == ListRefusal::Unsupported);
    CHECK(list.prices.size() == 3);
    CHECK(list.refused.size() == 10);
    // Free is what the operator calls free; a price that varies is none all the same.
    const PriceList free = read(ListFormat::OpenRouter, kOpenRouter, {.free_allowed = true});
    REQUIRE(find(free, "vendor/given:free") != nullptr);
    CHECK(find(free, "vendor/given:free")->free);
    CHECK_FALSE(find(free, "vendor/last")->free);
    CHECK(refusal(free, "openrouter/auto") == ListRefusal::Variable);
}

TEST_CASE("price lists: LiteLLM's, numbers with exponents, tiers by their names") {
    const PriceList list = read(ListFormat::LiteLlm, kLiteLlm);
    const PriceTable* gpt = find(list, "gpt-x");
    CHECK(each(gpt, PriceKind::Input) == "0.00000125");
    CHECK(each(gpt, PriceKind::Output) == "0.00001");
    CHECK(each(gpt, PriceKind::InputCached) == "0.000000125");
    CHECK(each(gpt, PriceKind::Search) == "0.03");
    CHECK(gpt->overrides.empty());

    const PriceTable* claude = find(list, "claude-x");
    CHECK(each(claude, PriceKind::CacheWrite) == "0.00000375");
    CHECK(each(claude, PriceKind::CacheWrite1h) == "0.000006");
    REQUIRE(claude->overrides.size() == 1);
    CHECK(claude->overrides[0].above_input == 200'000);
    CHECK(each(claude->overrides[0].lines, PriceKind::Input) == "0.000006");
    CHECK(each(claude->overrides[0].lines, PriceKind::Output) == "0.0000225");
    CHECK(each(claude->overrides[0].lines, PriceKind::CacheWrite1h) == "0.000012");
    CHECK(each(claude->overrides[0].lines, PriceKind::CacheWrite) == "none");

    const PriceTable* audio = find(list, "o-audio");
    CHECK(each(audio, PriceKind::InputAudio) == "0.00004");
    CHECK(each(audio, PriceKind::OutputAudio) == "0.00008");
    CHECK(each(audio, PriceKind::Reasoning) == "0.000011");
    CHECK(each(find(list, "whisper-x"), PriceKind::AudioSecond) == "0.0001");
    CHECK(each(find(list, "tts-x"), PriceKind::Character) == "0.000015");
    CHECK(each(find(list, "embed-x"), PriceKind::Input) == "0.00000002");
    CHECK(each(find(list, "paint-x"), PriceKind::Image) == "0.053");
    CHECK(each(find(list, "paint-y"), PriceKind::Image) == "0.04");
}

TEST_CASE(
    "price lists: what LiteLLM's list does not price is refused by name; its sample is no model") {
    const PriceList list = read(ListFormat::LiteLlm, kLiteLlm);
    CHECK(refusal(list, "1024-x-1024/dall-e-x") == ListRefusal::Unsupported);
    CHECK(refusal(list, "given") == ListRefusal::Zero);
    CHECK(refusal(list, "debt") == ListRefusal::Variable);
    CHECK(refusal(list, "odd") == ListRefusal::Missing);
    CHECK(list.prices.size() == 8);
    CHECK(list.refused.size() == 4);
}

TEST_CASE("price lists: Portkey's, in cents") {
    const PriceList list = read(ListFormat::Portkey, kPortkey);
    const PriceTable* gpt = find(list, "gpt-x");
    // 0.00025 cents for a token: 2.50 USD for a million.
    CHECK(each(gpt, PriceKind::Input) == "0.0000025");
    CHECK(each(gpt, PriceKind::Output) == "0.00001");
    CHECK(each(gpt, PriceKind::InputCached) == "0.00000125");
    CHECK(each(gpt, PriceKind::CacheWrite) == "none");
    CHECK(each(gpt, PriceKind::CacheWrite1h) == "0.000005");
    CHECK(each(gpt, PriceKind::InputAudio) == "0.00004");
    CHECK(each(gpt, PriceKind::OutputAudio) == "0.00008");
    CHECK(each(gpt, PriceKind::Reasoning) == "0.000012");
    CHECK(each(gpt, PriceKind::Search) == "0.01");
    CHECK(each(find(list, "dall-e-x"), PriceKind::Image) == "0.12");
    CHECK(refusal(list, "euro") == ListRefusal::Unsupported);
    CHECK(refusal(list, "nothing") == ListRefusal::Zero);
    CHECK_FALSE(refusal(list, "default").has_value());
    CHECK(list.prices.size() == 2);
}

TEST_CASE("price lists: a document of another form is none, whatever it is") {
    const auto error_of = [](ListFormat format, std::string_view text) {
        return read_price_list(format, text, {}).error();
    };
    for (const ListFormat format :
         {ListFormat::OpenRouter, ListFormat::LiteLlm, ListFormat::Portkey}) {
        CHECK(error_of(format, "") == ListError::NotJson);
        CHECK(error_of(format, "{\"data\":[") == ListError::NotJson);
        CHECK(error_of(format, "<html>") == ListError::NotJson);
        CHECK(error_of(format, "[]") == ListError::OtherForm);
        CHECK(error_of(format, "{}") == ListError::OtherForm);
        CHECK(error_of(format, "3") == ListError::OtherForm);
    }
    CHECK(error_of(ListFormat::OpenRouter, kLiteLlm) == ListError::OtherForm);
    CHECK(error_of(ListFormat::OpenRouter, kPortkey) == ListError::OtherForm);
    CHECK(error_of(ListFormat::LiteLlm, kOpenRouter) == ListError::OtherForm);
    CHECK(error_of(ListFormat::LiteLlm, kPortkey) == ListError::OtherForm);
    CHECK(error_of(ListFormat::Portkey, kLiteLlm) == ListError::OtherForm);
}

TEST_CASE("price lists: a list is as long as a list can be, and no longer") {
    std::string many = R"({"data":[)";
    for (std::size_t i = 0; i <= kListModelsMax; ++i) {
        many += (i == 0 ? "" : ",") + std::string{R"({"id":"m"})"};
    }
    CHECK(read_price_list(ListFormat::OpenRouter, many + "]}", {}).error() == ListError::TooMany);
    std::string wide = R"({"data":[{"id":"m","x":[0)";
    for (std::size_t i = 0; i < 3'000; ++i) wide += ",0";
    CHECK(read_price_list(ListFormat::OpenRouter, wide + "]}]}", {}).error() ==
          ListError::OtherForm);
}
