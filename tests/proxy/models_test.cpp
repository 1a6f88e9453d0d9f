#include "nutgate/proxy/models.h"

#include <nlohmann/json.hpp>

#include "fixture.h"

using namespace nutgate;
using namespace nutgate::proxy;
using nlohmann::json;

namespace {

test::FakeUpstream& upstream() {
    static test::FakeUpstream instance;
    return instance;
}

Model model_of(const char* id) {
    return {.id = *ModelId::parse(id),
            .context = 8192,
            .output_max = 2048,
            .price = Price::make(MsatPrices{.input_per_1k = 1000, .output_per_1k = 1000}).value(),
            .upstreams = {&upstream()}};
}

Models models_of(std::vector<Model> models) {
    return Models::make(std::move(models), parse_decimal("100000")).value();
}

}  // namespace

TEST_CASE("models: found by name, in any case, without vendor or date; nothing else") {
    const Models models = models_of(
        {model_of("openai/GPT-X"), model_of("small"), model_of("a/twin"), model_of("b/twin")});
    const auto id = [&](const char* name) {
        const Model* model = models.find(name);
        return model == nullptr ? std::string{} : model->id.text();
    };
    CHECK(id("small") == "small");
    CHECK(id("SMALL") == "small");
    CHECK(id("vendor/small") == "small");
    CHECK(id("small-20260131") == "small");
    CHECK(id("vendor/small-20260131") == "small");
    CHECK(id("openai/gpt-x") == "openai/GPT-X");
    CHECK(id("gpt-x") == "openai/GPT-X");
    CHECK(id("gpt-x-20260131") == "openai/GPT-X");
    CHECK(id("a/twin") == "a/twin");
    for (const char* name : {"", "twin", "smal", "small-2026013", "small-2026013x", "/", "x/"}) {
        CAPTURE(name);
        CHECK(id(name).empty());
    }
}

TEST_CASE("models: the list has what OpenAI's and Routstr's clients read") {
    const Models models = models_of({model_of("demo")});
    const json list = json::parse(models.list({}).body);
    CHECK(list["object"] == "list");
    const json& model = list["data"].at(0);
    CHECK(model["id"] == "demo");
    CHECK(model["object"] == "model");
    CHECK(model["owned_by"].is_string());
    CHECK(model["name"] == "demo");
    CHECK(model["created"].is_number_integer());
    CHECK(model["context_length"] == 8192);
    CHECK(model["architecture"]["input_modalities"] == json::array({"text"}));
    CHECK(model["top_provider"]["max_completion_tokens"] == 2048);
    // 1000 msat per thousand tokens: a millisat, 0.001 sat; at 100,000 USD 10^-6 USD.
    CHECK(model["sats_pricing"]["prompt"] == 0.001);
    CHECK(model["pricing"]["completion"] == 0.000001);
    CHECK(model["sats_pricing"]["max_cost"] == 10.24);
    CHECK(model["sats_pricing"]["max_prompt_cost"] == 8.192);
    CHECK(model["pricing"]["max_cost"] == 0.01024);
    CHECK(max_cost(models.all().at(0), models.price_now(models.all().at(0), Time{}).value()) ==
          10'240_msat);
    for (const char* field :
         {"description", "per_request_limits", "enabled", "upstream_provider_id", "canonical_slug",
          "alias_ids", "forwarded_model_id"}) {
        CHECK(model.contains(field));
    }
}

TEST_CASE("models: the list is conditional, and one model can be asked for") {
    const Models models = models_of({model_of("demo")});
    http::Request request;
    const auto etag = models.list(request).headers.find("ETag");
    REQUIRE(etag.has_value());
    request.headers.add("If-None-Match", std::string{*models.list({}).headers.find("ETag")});
    CHECK(models.list(request).status == 304);
    CHECK(models.list(request).body.empty());
    CHECK(json::parse(models.one(request, "demo").body)["id"] == "demo");
    const auto missing = models.one(request, "dem");
    CHECK(missing.status == 404);
    CHECK(json::parse(missing.body)["error"]["code"] == "model_not_found");
}

TEST_CASE("models: what can't be sold is refused at once") {
    const auto error_of = [](std::vector<Model> models) {
        return Models::make(std::move(models), std::nullopt).error();
    };
    CHECK(error_of({model_of("a"), model_of("A")}) == ModelsError::Duplicate);
    Model model = model_of("a");
    model.upstreams.clear();
    CHECK(error_of({model}) == ModelsError::NoUpstream);
    model = model_of("a");
    model.output_max = model.context + 1;
    CHECK(error_of({model}) == ModelsError::BadBounds);
    model = model_of("a");
    model.context = 0;
    CHECK(error_of({model}) == ModelsError::BadBounds);
    model = model_of("a");
    model.price =
        Price::make(MsatPrices{.input_per_1k = Msat::kMax / 1000, .output_per_1k = 1}).value();
    model.context = kTokensMax;
    CHECK(error_of({model}) == ModelsError::TooExpensive);
}
