// Images, sound and moderations: what is counted by the piece, and forms with files.
#include <string>

#include "endpoints_test.h"

using namespace nutgate;
using namespace nutgate::test;
using nlohmann::json;
using proxy::Endpoint;
using proxy::PriceKind;

namespace {

// In msat for one.
proxy::Tariff tariff(std::initializer_list<std::pair<PriceKind, const char*>> lines) {
    proxy::PriceTable table{.currency = proxy::Currency::Msat};
    for (const auto& [kind, price] : lines) {
        table.lines[index_of(kind)] = proxy::parse_decimal(price);
    }
    return proxy::Tariff::make(table).value();
}

proxy::Model model_of(proxy::Tariff price, proxy::Upstream* upstream = nullptr) {
    proxy::Model model{.id = *ModelId::parse("media"), .price = std::move(price)};
    if (upstream != nullptr) model.upstreams = {upstream};
    model.upstream_model = "Vendor/Media";
    for (const Endpoint endpoint : proxy::kAllEndpoints) model.endpoints.add(endpoint);
    return model;
}

struct World {
    explicit World(proxy::Tariff price)
        : node{Node::default_price(), {model_of(std::move(price), &upstream)}},
          key{node.make_key(100'000_msat)} {}

    FakeExchange& ask(Endpoint endpoint, std::string body, const std::string& type = {}) {
        http::Request request = node.request(key, std::move(body));
        if (!type.empty()) request.headers.set("Content-Type", type);
        client.emplace(std::move(request));
        node.serve(*client, endpoint);
        return *client;
    }
    std::int64_t charged() { return (*subtract(100'000_msat, node.balance(key).posted)).raw(); }

    FakeUpstream upstream{"media"};
    Node node;
    KeyId key;
    std::optional<FakeExchange> client;
};

const std::string kType = "multipart/form-data; boundary=xYz";

std::string part(const std::string& name, const std::string& content, bool file = false) {
    return "--xYz\r\nContent-Disposition: form-data; name=\"" + name + '"' +
           (file ? "; filename=\"a.bin\"\r\nContent-Type: application/octet-stream" : "") +
           "\r\n\r\n" + content + "\r\n";
}
std::string form(const std::string& parts) { return parts + "--xYz--\r\n"; }

std::string verdict_of_form(Endpoint endpoint, const std::string& body,
                            const std::string& type = kType,
                            const proxy::Model& model = model_of(tariff(
                                {{PriceKind::AudioSecond, "10"}, {PriceKind::Image, "10"}}))) {
    http::Request request;
    request.headers.add("Content-Type", type);
    request.body = body;
    const auto order = proxy::read_order(endpoint, request);
    if (!order) return order.error().code;
    const auto fits = (*order)->check_against(model);
    return fits ? "ok" : fits.error().code;
}

const std::string kImages = R"({"created":1,"data":[{"b64_json":"AAAA"},{"b64_json":"BBBB"}]})";

}  // namespace

TEST_CASE("contract A4: images are charged one by one, as many as came") {
    World world{tariff({{PriceKind::Image, "40"}})};
    world.upstream.script = json_script(kImages);
    const auto& client = world.ask(Endpoint::ImageGenerations,
                                   R"({"model":"media","prompt":"a cat","n":3,"size":"512x512"})");
    CHECK(client.status == 200);
    CHECK(world.charged() == 80);
    CHECK(client.headers.find("X-Routstr-Cost-Msats") == "80");
    const json body = json::parse(client.body);
    CHECK(body["usage"]["cost"]["total_msats"] == 80);
    CHECK(body["usage"]["cost"]["base_msats"] == 80);
    CHECK(body["usage"]["cost"]["usage_source"] == "upstream_final");
    // Clients that check what they get want all of these, though nobody told a token.
    CHECK(body["usage"]["input_tokens_details"] == json{{"text_tokens", 0}, {"image_tokens", 0}});
    CHECK(body["usage"]["output_tokens_details"] == json{{"text_tokens", 0}, {"image_tokens", 0}});
    CHECK(body["usage"]["input_tokens"] == 0);
    CHECK(body["usage"]["total_tokens"] == 0);
    CHECK(client.body.starts_with(kImages.substr(0, kImages.size() - 1)));
    CHECK(world.upstream.bodies().at(0) ==
          R"({"model":"Vendor/Media","prompt":"a cat","n":3,"size":"512x512"})");
}

TEST_CASE("images: where tokens have the price, those that the upstream tells are charged") {
    World world{tariff({{PriceKind::Input, "1"},
                        {PriceKind::InputImage, "2"},
                        {PriceKind::Output, "0"},
                        {PriceKind::OutputImage, "3"}})};
    world.upstream.script = json_script(
        R"({"data":[{"b64_json":"AAAA"}],"usage":{"total_tokens":100,"input_tokens":50,)"
        R"("output_tokens":50,"input_tokens_details":{"text_tokens":10,"image_tokens":40}}})");
    world.ask(Endpoint::ImageGenerations, R"({"model":"media","prompt":"a cat","quality":"high"})");
    CHECK(world.charged() == 10 + 80 + 150);
}

TEST_CASE("messages: what a cache was written for costs its own price, and the parts add up") {
    World world{tariff({{PriceKind::Input, "1"},
                        {PriceKind::InputCached, "0.1"},
                        {PriceKind::CacheWrite, "1.25"},
                        {PriceKind::CacheWrite1h, "2"},
                        {PriceKind::Output, "5"},
                        {PriceKind::Request, "3"}})};
    world.upstream.script = json_script(
        R"({"type":"message","content":[],"usage":{"input_tokens":40,)"
        R"("cache_creation_input_tokens":200,"cache_read_input_tokens":900,"cache_creation":)"
        R"({"ephemeral_5m_input_tokens":120,"ephemeral_1h_input_tokens":80},"output_tokens":12}})");
    const auto& client =
        world.ask(Endpoint::Messages, R"({"model":"media","max_tokens":20,"messages":[]})");
    const json cost = json::parse(client.body)["usage"]["cost"];
    CHECK(cost["base_msats"] == 3);
    CHECK(cost["input_msats"] == 40);
    CHECK(cost["cache_read_msats"] == 90);
    CHECK(cost["cache_creation_msats"] == 310);  // 120 * 1.25 + 80 * 2
    CHECK(cost["output_msats"] == 60);
    CHECK(cost["total_msats"] == 503);
    CHECK(client.headers.find("X-Routstr-Input-Cost-Msats") == "440");
    CHECK(world.charged() == 503);
}

TEST_CASE("images: a stream tells its charge in the event that completes it") {
    World world{tariff({{PriceKind::Image, "40"}})};
    const std::string partial =
        "event: image_generation.partial_image\n"
        "data: {\"type\":\"image_generation.partial_image\",\"b64_json\":\"AA\"}\n\n";
    world.upstream.script =
        sse_script({partial,
                    "event: image_generation.completed\n"
                    "data: {\"type\":\"image_generation.completed\",\"b64_json\":\"AAAA\"}\n\n"});
    const auto& client = world.ask(Endpoint::ImageGenerations,
                                   R"({"model":"media","prompt":"a cat","stream":true})");
    REQUIRE(client.body.starts_with(partial));
    const auto events = sse_events(client.body);
    REQUIRE(events.size() == 2);
    CHECK(events[1].name == "image_generation.completed");
    const json last = json::parse(events[1].data);
    CHECK(last["b64_json"] == "AAAA");
    CHECK(last["usage"]["cost"]["total_msats"] == 40);
    CHECK(world.charged() == 40);
}

TEST_CASE("images: what makes one dearer than its price is refused") {
    const auto by_image = model_of(tariff({{PriceKind::Image, "40"}}));
    const auto is = [&](const std::string& members, const proxy::Model& model) {
        return verdict(
            Endpoint::ImageGenerations,
            R"({"model":"media","prompt":"a cat")" + (members.empty() ? "" : "," + members) + "}",
            model);
    };
    CHECK(is("", by_image) == "ok");
    CHECK(is(R"("size":"1024x1024","quality":"standard")", by_image) == "ok");
    CHECK(is(R"("size":"1792x1024")", by_image) == "unsupported_parameter");
    CHECK(is(R"("size":"huge")", by_image) == "unsupported_parameter");
    CHECK(is(R"("quality":"hd")", by_image) == "unsupported_parameter");
    CHECK(is(R"("quality":"auto")", by_image) == "unsupported_parameter");
    auto lenient = by_image;
    lenient.extra_fields = {"quality"};
    CHECK(is(R"("quality":"hd")", lenient) == "ok");
    CHECK(is(R"("n":9)", by_image) == "invalid_value");
    CHECK(is(R"("n":2,"stream":true)", by_image) == "unsupported_parameter");
    CHECK(is(R"("image":"https://example.com/x.png")", by_image) == "unsupported_parameter");
    CHECK(is(R"("prompt":"b")", by_image) == "duplicate_field");
    CHECK(is(R"("quality":"hd")",
             model_of(tariff({{PriceKind::Input, "1"}, {PriceKind::Output, "1"}}))) == "ok");
}

TEST_CASE("images: an edit is a form, of which an upstream sees its own name for the model only") {
    World world{tariff({{PriceKind::Image, "40"}})};
    world.upstream.script = json_script(R"({"data":[{"b64_json":"AAAA"}]})");
    const std::string png = "\x89PNG\r\n\x1a\n\r\n--xY\r\n--xY_\0--";
    const std::string body = form(part("image[]", png, true) + part("image[]", "two", true) +
                                  part("model", "media") + part("prompt", "a hat"));
    const auto& client = world.ask(Endpoint::ImageEdits, body, kType);
    CHECK(client.status == 200);
    CHECK(world.charged() == 40);
    CHECK(world.upstream.bodies().at(0) ==
          form(part("image[]", png, true) + part("image[]", "two", true) +
               part("model", "Vendor/Media") + part("prompt", "a hat")));
    CHECK(world.upstream.calls().at(0).content_type == "multipart/form-data; boundary=\"xYz\"");
}

TEST_CASE("contract A4: speech is charged by its characters, and says so before it is heard") {
    World world{tariff({{PriceKind::Character, "0.5"}})};
    world.upstream.script.headers.set("Content-Type", "audio/mpeg");
    const std::string sound{"\xff\xfb\0\x01ID3", 7};
    world.upstream.script.steps = {sound, sound};
    const auto& client = world.ask(
        Endpoint::Speech, R"({"model":"media","input":"Gr\u00fc\u00dfe, du","voice":"alloy"})");
    CHECK(client.status == 200);
    CHECK(client.body == sound + sound);
    CHECK(client.ended);
    CHECK(client.headers.find("Content-Type") == "audio/mpeg");
    CHECK(client.headers.find("X-Routstr-Cost-Msats") == "5");  // 9 characters.
    CHECK(world.charged() == 5);
}

TEST_CASE("speech: what breaks off does not look whole, and what never began costs nothing") {
    World world{tariff({{PriceKind::Character, "1"}})};
    const std::string ask = R"({"model":"media","input":"123456789","voice":"alloy"})";
    world.upstream.script.headers.set("Content-Type", "audio/mpeg");
    world.upstream.script.steps = {std::string{"abc"}, http::UpstreamFailure::Broken};
    CHECK_FALSE(world.ask(Endpoint::Speech, ask).ended);
    CHECK(world.charged() == 9);
    world.upstream.script.steps = {http::UpstreamFailure::Broken};
    CHECK(world.ask(Endpoint::Speech, ask).status == 502);
    CHECK(world.charged() == 9);
}

TEST_CASE("speech: a stream that breaks off costs its characters, once there was any sound") {
    const std::string ask =
        R"({"model":"media","input":"123456789","voice":"alloy","stream_format":"sse"})";
    const std::string sound = "data: {\"type\":\"speech.audio.delta\",\"audio\":\"AAAA\"}\n\n";
    const std::string error = "data: {\"type\":\"error\",\"message\":\"busy\"}\n\n";
    const auto charged = [&](std::vector<Step> steps) {
        World world{tariff({{PriceKind::Character, "1"}})};
        world.upstream.script = sse_script(std::move(steps));
        const auto& client = world.ask(Endpoint::Speech, ask);
        CHECK(client.ended);
        if (world.charged() > 0) {
            CHECK(client.body.starts_with(sound + "event: cost\n"));
            CHECK(client.body.find("event: error\n") != std::string::npos);
        }
        return world.charged();
    };
    CHECK(charged({sound, http::UpstreamFailure::Broken}) == 9);
    CHECK(charged({sound}) == 9);
    CHECK(charged({error}) == 0);
    CHECK(charged({http::UpstreamFailure::Broken}) == 0);
}

TEST_CASE("images: a stream that breaks off behind a picture costs one, flagged as an estimate") {
    World world{tariff({{PriceKind::Image, "40"}})};
    world.upstream.script =
        sse_script({"data: {\"type\":\"image_generation.partial_image\",\"b64_json\":\"AA\"}\n\n",
                    http::UpstreamFailure::Broken});
    const auto& client = world.ask(Endpoint::ImageGenerations,
                                   R"({"model":"media","prompt":"a cat","stream":true})");
    const auto events = sse_events(client.body);
    REQUIRE(events.size() == 3);
    CHECK(events[1].name == "cost");
    CHECK(json::parse(events[1].data)["cost"]["usage_source"] == "estimate");
    CHECK(events[2].name == "error");
    CHECK(world.charged() == 40);
}

TEST_CASE("speech: a voice of somebody's account is refused, and what nobody counts") {
    const auto model = model_of(tariff({{PriceKind::Character, "1"}}));
    const auto is = [&](const std::string& members) {
        return verdict(Endpoint::Speech, R"({"model":"media",)" + members + "}", model);
    };
    CHECK(is(R"("input":"x","voice":"alloy","stream_format":"sse")") == "ok");
    CHECK(is(R"("input":"x","voice":{"id":"voice_1"})") == "unsupported_parameter");
    CHECK(is(R"("voice":"alloy")") == "invalid_value");
    CHECK(is(R"("input":["x"],"voice":"alloy")") == "invalid_value");
    CHECK(is(R"("input":"x","Input":"y")") == "duplicate_field");
    CHECK(is(R"("input":"x","clone_from":"y")") == "unsupported_parameter");
}

TEST_CASE("contract A4: a transcription is charged by the seconds that the upstream tells") {
    for (const auto& [answer, charge] :
         {std::pair{R"({"text":"Hi","usage":{"type":"duration","seconds":9}})", 90},
          std::pair{R"({"text":"Hi","usage":{"type":"duration","seconds":8.47}})", 85},
          std::pair{R"({"text":"Hi","duration":8.47,"segments":[]})", 85},
          std::pair{R"({"text":"Hi","duration":"8.47"})", 85}}) {
        CAPTURE(answer);
        World world{tariff({{PriceKind::AudioSecond, "10"}})};
        world.upstream.script = json_script(answer);
        const auto& client = world.ask(
            Endpoint::Transcriptions,
            form(part("file", std::string(10'000, 'x'), true) + part("model", "media")), kType);
        CHECK(client.status == 200);
        CHECK(world.charged() == charge);
        CHECK(json::parse(client.body)["usage"]["cost"]["usage_source"] == "upstream_final");
    }
}

TEST_CASE(
    "transcriptions: where tokens have the price, those that the upstream tells are charged") {
    World world{
        tariff({{PriceKind::Input, "1"}, {PriceKind::InputAudio, "3"}, {PriceKind::Output, "2"}})};
    world.upstream.script = json_script(
        R"({"text":"Hi","usage":{"type":"tokens","input_tokens":14,"input_token_details":)"
        R"({"text_tokens":10,"audio_tokens":4},"output_tokens":101,"total_tokens":115}})");
    world.ask(Endpoint::Transcriptions, form(part("file", "abc", true) + part("model", "media")),
              kType);
    CHECK(world.charged() == 10 + 12 + 202);
}

TEST_CASE("transcriptions: subtitles tell their seconds, and text is an estimate within the hold") {
    const std::string file(40'000, 'x');
    const auto ask = [&](World& world, const std::string& format) -> FakeExchange& {
        return world.ask(Endpoint::Transcriptions,
                         form(part("response_format", format) + part("file", file, true) +
                              part("model", "media")),
                         kType);
    };
    World srt{tariff({{PriceKind::AudioSecond, "10"}})};
    srt.upstream.script = json_script("1\n00:00:00,000 --> 00:00:09,500\nHi\n");
    srt.upstream.script.headers.set("Content-Type", "text/plain");
    const auto& subtitles = ask(srt, "srt");
    CHECK(subtitles.body == "1\n00:00:00,000 --> 00:00:09,500\nHi\n");
    CHECK(subtitles.headers.find("Content-Type") == "text/plain");
    CHECK(subtitles.headers.find("X-Routstr-Cost-Msats") == "95");
    CHECK(srt.charged() == 95);

    World text{tariff({{PriceKind::AudioSecond, "10"}})};
    text.upstream.script = json_script("Hi\n");
    CHECK(ask(text, "text").body == "Hi\n");
    CHECK(text.charged() == 100);  // 40,000 bytes at 4,000 a second.
}

TEST_CASE("transcriptions: a stream tells its charge in the event that completes it") {
    World world{tariff({{PriceKind::AudioSecond, "10"}})};
    const std::string delta = "data: {\"type\":\"transcript.text.delta\",\"delta\":\"Hi\"}\n\n";
    world.upstream.script =
        sse_script({delta + "data: {\"type\":\"transcript.text.done\",\"text\":\"Hi\",\"usage\":"
                            "{\"type\":\"duration\",\"seconds\":9}}\n\n"});
    const auto& client = world.ask(Endpoint::Transcriptions,
                                   form(part("file", std::string(10'000, 'x'), true) +
                                        part("model", "media") + part("stream", "true")),
                                   kType);
    REQUIRE(client.body.starts_with(delta));
    const json last = json::parse(sse_events(client.body).back().data);
    CHECK(last["type"] == "transcript.text.done");
    CHECK(last["usage"]["cost"]["total_msats"] == 90);
    CHECK(world.charged() == 90);
}

TEST_CASE("forms: what two readers could read differently is refused") {
    const std::string file = part("file", "abc", true);
    const std::string model = part("model", "media");
    const auto is = [](const std::string& body, const std::string& type = kType) {
        return verdict_of_form(Endpoint::Transcriptions, body, type);
    };
    CHECK(is(form(file + model)) == "ok");
    CHECK(is(form(model + file), "Multipart/Form-Data; boundary=\"xYz\"; charset=utf-8") == "ok");
    CHECK(is(form(file + model + part("timestamp_granularities[]", "word") +
                  part("timestamp_granularities[]", "segment"))) == "ok");
    CHECK(is(form(file + model), "application/json") == "unsupported_media_type");
    CHECK(is(form(file + model), "multipart/form-data") == "invalid_form");
    CHECK(is(form(file + model), "multipart/form-data; boundary=\"x Y\"") == "invalid_form");
    CHECK(is(form(file + model), kType + "; boundary=other") == "invalid_form");
    CHECK(is("preamble\r\n" + form(file + model)) == "invalid_form");
    CHECK(is(form(file + model) + "more") == "invalid_form");
    CHECK(is(file + model) == "invalid_form");
    CHECK(is("--xYz--\r\n") == "invalid_form");
    CHECK(is("--xYz\nContent-Disposition: form-data; name=\"model\"\n\nmedia\n--xYz--\n") ==
          "invalid_form");
    CHECK(is(form("--xYz\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n--xYz\r\n" +
                  file)) == "invalid_form");
    CHECK(is(form("--xYz\r\nContent-Disposition: form-data; name=model; name=file\r\n\r\nx\r\n")) ==
          "invalid_form");
    CHECK(is(form("--xYz\r\nContent-Disposition: form-data; name=\"mo\\\"del\"\r\n\r\nx\r\n")) ==
          "invalid_form");
    CHECK(is(form("--xYz\r\nContent-Disposition: attachment; name=\"model\"\r\n\r\nx\r\n")) ==
          "invalid_form");
    CHECK(is(form("--xYz\r\nContent-Type: text/plain\r\n\r\nx\r\n")) == "invalid_form");
    CHECK(is(form("--xYz\r\nContent-Disposition: form-data; name=\"model\"\r\n"
                  "Content-Transfer-Encoding: base64\r\n\r\nbWVkaWE=\r\n" +
                  file)) == "invalid_form");
    CHECK(is(form(file + model + model)) == "duplicate_field");
    CHECK(is(form(file + model + part("Model", "other"))) == "duplicate_field");
    CHECK(is(form(file + part("Model", "other"))) == "unsupported_parameter");
    CHECK(is(form(file + model + part("known_speaker_references[]", "x"))) ==
          "unsupported_parameter");
    CHECK(is(form(file + model + part("response_format", "diarized_json"))) ==
          "unsupported_parameter");
    CHECK(is(form(part("file", "abc") + model)) == "invalid_value");
    CHECK(is(form(file + part("model", "media", true))) == "invalid_value");
    CHECK(is(form(model)) == "invalid_value");
    CHECK(is(form(file)) == "invalid_value");
    CHECK(is(form(file + model + part("stream", "maybe"))) == "invalid_value");
    std::string many;
    for (int i = 0; i < 64; ++i) many += part("include[]", "x");
    CHECK(is(form(file + model + many)) == "invalid_form");
}

TEST_CASE("contract A4: a moderation is charged by the request, or free where its price says so") {
    for (const bool free : {false, true}) {
        proxy::PriceTable table{.currency = proxy::Currency::Msat, .free = free};
        table.lines[index_of(PriceKind::Request)] = proxy::parse_decimal(free ? "0" : "7");
        World world{proxy::Tariff::make(table).value()};
        world.upstream.script = json_script(R"({"id":"modr-1","results":[{"flagged":false}]})");
        const auto& client = world.ask(Endpoint::Moderations, R"({"model":"media","input":"x"})");
        CHECK(client.status == 200);
        CHECK(json::parse(client.body)["usage"]["cost"]["total_msats"] == (free ? 0 : 7));
        CHECK(json::parse(client.body)["usage"]["cost"]["usage_source"] == "upstream_final");
        CHECK(world.charged() == (free ? 0 : 7));
    }
}

TEST_CASE("endpoints: where the price lacks what is counted, nothing is sold") {
    World world{tariff({{PriceKind::Image, "40"}})};
    for (const auto& [endpoint, body] :
         {std::pair{Endpoint::Chat, R"({"model":"media","messages":[]})"},
          std::pair{Endpoint::Responses, R"({"model":"media","input":"x"})"},
          std::pair{Endpoint::Messages, R"({"model":"media","max_tokens":5,"messages":[]})"},
          std::pair{Endpoint::Completions, R"({"model":"media","prompt":"x"})"},
          std::pair{Endpoint::Embeddings, R"({"model":"media","input":"x"})"},
          std::pair{Endpoint::Speech, R"({"model":"media","input":"x","voice":"alloy"})"},
          std::pair{Endpoint::Moderations, R"({"model":"media","input":"x"})"}}) {
        const auto& client = world.ask(endpoint, body);
        CHECK(client.status == 400);
        CHECK(json::parse(client.body)["error"]["code"] == "unsupported_endpoint");
    }
    const auto& client = world.ask(Endpoint::Transcriptions,
                                   form(part("file", "abc", true) + part("model", "media")), kType);
    CHECK(json::parse(client.body)["error"]["code"] == "unsupported_endpoint");
    CHECK(world.upstream.bodies().empty());
    CHECK(world.charged() == 0);
}
