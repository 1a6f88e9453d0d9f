#include "chat_request.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

using namespace nutgate;
using namespace nutgate::proxy;
using nlohmann::json;

namespace {

Model test_model() {
    return {.id = *ModelId::parse("small"),
            .context = 4096,
            .output_max = 1000,
            .price = Price::make(MsatPrices{.input_per_1k = 1, .output_per_1k = 1}).value(),
            .template_tokens = 100};
}

// A request with these members besides model and messages.
std::string with(const std::string& members) {
    return R"({"model":"small","messages":[{"role":"user","content":"Hi"}])" +
           (members.empty() ? "" : "," + members) + "}";
}

std::string code_of(const std::string& body, const Model& model = test_model()) {
    const auto parsed = parse_chat_request(body);
    if (!parsed) return parsed.error().code;
    const auto fits = check_against(*parsed, model);
    return fits ? "ok" : fits.error().code;
}

std::string rewritten(const std::string& body, const Model& model = test_model(),
                      LimitField field = LimitField::MaxTokens) {
    const auto parsed = parse_chat_request(body);
    REQUIRE(parsed);
    REQUIRE(check_against(*parsed, model));
    UpstreamTraits traits;
    traits.limit_field = field;
    const std::string& name = model.upstream_model.empty() ? model.id.text() : model.upstream_model;
    return rewrite(body, *parsed, model, {.model = name, .upstream = traits});
}

TokenBounds bounds(const std::string& body, const Model& model = test_model()) {
    return bounds_of(parse_chat_request(body).value(), body.size(), model);
}

}  // namespace

TEST_CASE("request: what is not one JSON object in UTF-8 is refused") {
    for (const std::string body :
         {"", "[]", "null", "{", R"({"model":"small"}x)", "{\"model\":\"\xff\"}", "{'model':1}"}) {
        CAPTURE(body);
        CHECK(code_of(body) == "invalid_json");
    }
    CHECK(code_of(R"({"messages":[]})") == "invalid_value");
    CHECK(code_of(R"({"model":"small"})") == "invalid_value");
    CHECK(code_of(R"({"model":7,"messages":[]})") == "invalid_value");
    CHECK(code_of(R"({"model":"small","messages":{}})") == "invalid_value");
    CHECK(code_of(R"({"model":"small","messages":["x"]})") == "invalid_value");
}

TEST_CASE("request: a field that is there twice is refused, however it is spelt") {
    for (const char* twice :
         {R"("model":"large")", R"("m\u006fdel":"large")", R"("max_tokens":1,"max_tokens":2)",
          R"("n":1,"n":8)", R"("stream":true,"stream":false)",
          R"("stream_options":{},"stream_options":{})",
          R"("max_completion_tokens":1,"max_completion_tokens":9)",
          R"("temperature":1,"temperature":1)",
          R"("stream_options":{"include_usage":true,"include_usage":false})"}) {
        CAPTURE(twice);
        CHECK(code_of(with(twice)) == "duplicate_field");
    }
    // To an upstream that does not care for case these are limits.
    CHECK(code_of(with(R"("Max_Tokens":9)")) == "unsupported_parameter");
    CHECK(code_of(with(R"("max_tokens":1,"MAX_TOKENS":9)")) == "duplicate_field");
    CHECK(code_of(with("\"max_to\xe2\x84\xaa"
                       "ens\":9")) == "unsupported_parameter");
    CHECK(code_of(with(R"("stream_options":{"Include_Usage":false})")) == "unsupported_parameter");
}

TEST_CASE("request: limits are integers of at least 1, or null, which is absent") {
    for (const char* name : {"max_tokens", "max_completion_tokens", "n"}) {
        for (const char* value : {"10.0", "1e3", "-1", "0", "\"10\"", "true", "[1]",
                                  "9223372036854775808", "1000000000001"}) {
            CAPTURE(name);
            CAPTURE(value);
            CHECK(code_of(with('"' + std::string{name} + "\":" + value)) == "invalid_value");
        }
        CHECK(code_of(with('"' + std::string{name} + "\":null")) == "ok");
    }
    CHECK(code_of(with(R"("n":8)")) == "ok");
    CHECK(code_of(with(R"("n":9)")) == "invalid_value");
    CHECK(code_of(with(R"("stream":1)")) == "invalid_value");
    CHECK(code_of(with(R"("stream_options":[])")) == "invalid_value");
}

TEST_CASE("request: what tokens do not pay for is refused by name") {
    for (const char* members :
         {R"("web_search_options":{})", R"("audio":{"voice":"a"})",
          R"("modalities":["text","audio"])", R"("prediction":{"type":"content","content":"x"})",
          R"("plugins":[{"id":"web"}])", R"("models":["dear"])", R"("store":true)",
          R"("service_tier":"priority")", R"("best_of":8)", R"("tools":[{"type":"web_search"}])",
          R"("tools":[{}])", R"("tools":[{"type":"function","type":"web_search"}])",
          R"("never_heard_of":1)"}) {
        CAPTURE(members);
        CHECK(code_of(with(members)) == "unsupported_parameter");
    }
    for (const char* members :
         {R"("modalities":["text"])", R"("store":false)", R"("store":null)",
          R"("service_tier":"auto")",
          R"("tools":[{"type":"function","function":{"name":"f","parameters":{}}}])",
          R"("tools":null)",
          R"("temperature":0.5,"top_p":1,"seed":7,"stop":["x"],"logit_bias":{},"user":"u")",
          R"("response_format":{"type":"json_object"},"reasoning_effort":"low")"}) {
        CAPTURE(members);
        CHECK(code_of(with(members)) == "ok");
    }
    Model model = test_model();
    model.extra_fields = {"never_heard_of"};
    CHECK(code_of(with(R"("never_heard_of":{"a":[1]})"), model) == "ok");
}

TEST_CASE("request: images, sounds and files are refused where nobody knows what they cost") {
    const auto parts = [](const std::string& part) {
        return R"({"model":"small","messages":[{"role":"user","content":[{"type":"text","text":"a"},)" +
               part + "]}]}";
    };
    Model seeing = test_model();
    seeing.tokens_per_image_max = 1000;
    const std::string image =
        parts(R"({"type":"image_url","image_url":{"url":"data:image/png;base64,AA"}})");
    const std::string remote =
        parts(R"({"type":"image_url","image_url":{"url":"http://10.0.0.1/"}})");
    CHECK(code_of(image) == "unsupported_parameter");
    CHECK(code_of(image, seeing) == "ok");
    CHECK(code_of(remote, seeing) == "unsupported_parameter");
    // Whatever type it claims and however its key is spelt, an image is one.
    CHECK(code_of(parts(R"({"type":"text","image_url":"data:,"})")) == "unsupported_parameter");
    CHECK(code_of(parts(R"({"type":"image_url","Image_Url":{"url":"data:,"}})")) ==
          "unsupported_parameter");
    for (const char* part :
         {R"({"type":"input_audio","input_audio":{"data":""}})",
          R"({"type":"file","file":{"file_id":"f"}})", R"({"type":"text","file":{}})",
          R"({"type":"video_url","video_url":{}})", R"({"text":"no type"})"}) {
        CHECK(code_of(parts(part), seeing) == "unsupported_parameter");
    }
    CHECK(bounds(image, seeing).input == static_cast<std::int64_t>(image.size()) + 100 + 1000);
}

TEST_CASE(
    "request: bounds: bytes and the template in, the limit times n out, never beyond the model") {
    const auto input_of = [](const std::string& body) {
        return static_cast<std::int64_t>(body.size()) + 100;
    };
    const std::string plain = with("");
    CHECK(bounds(plain).input == input_of(plain));
    CHECK(bounds(plain).output == 1000);
    CHECK(bounds(with(R"("max_tokens":10)")).output == 10);
    CHECK(bounds(with(R"("max_completion_tokens":20)")).output == 20);
    CHECK(bounds(with(R"("max_tokens":10,"max_completion_tokens":20)")).output == 20);
    CHECK(bounds(with(R"("max_tokens":10,"n":4)")).output == 40);
    CHECK(bounds(with(R"("max_tokens":5000)")).output == 1000);
    CHECK(bounds(with(R"("max_tokens":5000,"n":3)")).output == 999);
    CHECK(bounds(with(R"("user":")" + std::string(10'000, 'x') + '"')).input == 4096);
}

TEST_CASE("request: nothing costs more than what is advertised") {
    const Model model = test_model();
    for (const std::string members :
         {"", R"("n":8)", R"("n":8,"max_tokens":999999)", R"("max_tokens":1)"}) {
        const std::string body = with(members + (members.empty() ? "" : ",") + R"("user":")" +
                                      std::string(9000, 'x') + '"');
        const Price price = model.price.at(Time{}, std::nullopt).value();
        CHECK(cost_ceiling(price, bounds(body)).value() <= max_cost(model, price));
    }
}

TEST_CASE("request: only what must change is changed") {
    const std::string spaced =
        "{ \"max_tokens\" : 5 ,\n\"model\" : \"small\", \"messages\":[ ] }  ";
    CHECK(rewritten(spaced) == spaced);
    CHECK(rewritten(with("")) == with(R"("max_tokens":1000)"));
    CHECK(rewritten(with(""), test_model(), LimitField::MaxCompletionTokens) ==
          with(R"("max_completion_tokens":1000)"));
    CHECK(rewritten(with(R"("max_tokens":null)")) == with(R"("max_tokens":1000)"));
    CHECK(rewritten(with(R"("max_tokens":5000)")) == with(R"("max_tokens":1000)"));
    CHECK(rewritten(with(R"("n":4,"max_tokens":300)")) == with(R"("n":4,"max_tokens":250)"));

    Model named = test_model();
    named.upstream_model = "Vendor/\"Small\"";
    CHECK(rewritten(spaced, named) ==
          "{ \"max_tokens\" : 5 ,\n\"model\" : \"Vendor/\\\"Small\\\"\", \"messages\":[ ] }  ");
}

TEST_CASE("request: an upstream is limited by the name that it obeys, whatever the client's is") {
    CHECK(rewritten(with(R"("max_completion_tokens":5)")) == with(R"("max_tokens":5)"));
    CHECK(rewritten(with(R"("max_completion_tokens" : 5000)")) == with(R"("max_tokens" : 1000)"));
    CHECK(rewritten(with(R"("max\u005fcompletion_tokens":5)")) == with(R"("max_tokens":5)"));
    CHECK(rewritten(with(R"("max_completion_tokens":5,"max_tokens":null)")) ==
          with(R"("max_completion_tokens":null,"max_tokens":5)"));
    CHECK(rewritten(with(R"("max_completion_tokens":7,"max_tokens":5000)")) ==
          with(R"("max_completion_tokens":7,"max_tokens":1000)"));
    const auto by_new = [](const std::string& members) {
        return rewritten(with(members), test_model(), LimitField::MaxCompletionTokens);
    };
    CHECK(by_new(R"("max_tokens":5)") == with(R"("max_completion_tokens":5)"));
    CHECK(by_new(R"("max_completion_tokens":5000)") == with(R"("max_completion_tokens":1000)"));
    CHECK(by_new(R"("n":4,"max_tokens":300)") == with(R"("n":4,"max_completion_tokens":250)"));
}

TEST_CASE("request: a stream's usage is always asked for") {
    const std::string limit = R"("max_tokens":5)";
    const auto stream = [&](const std::string& members) {
        return with(limit + R"(,"stream":true)" + (members.empty() ? "" : "," + members));
    };
    CHECK(rewritten(stream("")) == stream(R"("stream_options":{"include_usage":true})"));
    CHECK(rewritten(stream(R"("stream_options":null)")) ==
          stream(R"("stream_options":{"include_usage":true})"));
    CHECK(rewritten(stream(R"("stream_options":{})")) ==
          stream(R"("stream_options":{"include_usage":true})"));
    CHECK(rewritten(stream(R"("stream_options":{ "x":1})")) ==
          stream(R"("stream_options":{"include_usage":true, "x":1})"));
    CHECK(rewritten(stream(R"("stream_options":{"x":1,"include_usage":false})")) ==
          stream(R"("stream_options":{"x":1,"include_usage":true})"));
    CHECK(rewritten(stream(R"("stream_options":{"include_usage":null})")) ==
          stream(R"("stream_options":{"include_usage":true})"));
    const std::string asked = stream(R"("stream_options":{"include_usage":true})");
    CHECK(rewritten(asked) == asked);
    CHECK(parse_chat_request(asked)->usage_asked);
    const std::string whole = with(limit + R"(,"stream":false)");
    CHECK(rewritten(whole) == whole);
}
