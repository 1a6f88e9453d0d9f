#include "nutgate/proxy/models.h"

#include <algorithm>
#include <array>
#include <functional>
#include <utility>

#include "answers.h"
#include "nutgate/base/sync.h"
#include "nutgate/base/verify.h"
#include "nutgate/crypto/hash.h"
#include "nutgate/http/error_envelope.h"

namespace nutgate::proxy {
namespace {

std::string lower(std::string_view text) {
    std::string lowered{text};
    for (char& c : lowered) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return lowered;
}

std::string_view without_vendor(std::string_view name) {
    const std::size_t slash = name.rfind('/');
    return slash == std::string_view::npos ? name : name.substr(slash + 1);
}

// "gpt-x-20260131" is "gpt-x".
std::string_view without_date(std::string_view name) {
    constexpr std::size_t kSize = 9;
    if (name.size() <= kSize || name[name.size() - kSize] != '-') return name;
    const std::string_view date = name.substr(name.size() - kSize + 1);
    if (date.find_first_not_of("0123456789") != std::string_view::npos) return name;
    return name.substr(0, name.size() - kSize);
}

rates::BtcUsd least_rate() {
    return *rates::BtcUsd::from_raw(Models::kBtcUsdMin * rates::BtcUsd::kPerUsd);
}

bool in_range(std::int64_t value) { return value >= 1 && value <= kTokensMax; }

bool has_sane_bounds(const Model& model) {
    return in_range(model.context) && in_range(model.output_max) &&
           model.output_max <= model.context && in_range(model.choices_max) &&
           model.template_tokens >= 0 && model.template_tokens <= kTokensMax &&
           in_range(model.bytes_per_token) && in_range(model.tokens_per_image_max.value_or(1));
}

TokenBounds widest(const Model& model) {
    const EndpointSet& sold = model.endpoints;
    const bool draws =
        sold.contains(Endpoint::ImageGenerations) || sold.contains(Endpoint::ImageEdits);
    const bool listens =
        sold.contains(Endpoint::Transcriptions) || sold.contains(Endpoint::Translations);
    TokenBounds bounds{.input = model.context,
                       .output = model.output_max,
                       .input_image = model.tokens_per_image_max ? model.context : 0};
    if (sold.contains(Endpoint::Embeddings)) {
        bounds.input = std::max(bounds.input, kEmbeddingTokensMax);
    }
    if (draws) {
        bounds.output_image = model.output_max;
        bounds.images = model.choices_max;
    }
    if (sold.contains(Endpoint::Speech)) bounds.characters = kSpeechCharactersMax;
    if (listens) {
        bounds.input_audio = model.context;
        bounds.audio_ms = kAudioBytesMax * 1000 / kAudioBytesPerSecondLeast + 1;
    }
    return bounds;
}

// In the fields of routstr-contract 1.1 and, where there are more kinds than it knows, under
// OpenRouter's names. `text` writes so many of the price's units.
template <class Text>
std::string rates_json(const Price& price, const Price::Rates& rates, Text text) {
    struct Named {
        const char* name;
        PriceKind kind;
    };
    constexpr std::array kNames{Named{"prompt", PriceKind::Input},
                                Named{"completion", PriceKind::Output},
                                Named{"request", PriceKind::Request},
                                Named{"image", PriceKind::Image},
                                Named{"web_search", PriceKind::Search},
                                Named{"internal_reasoning", PriceKind::Reasoning},
                                Named{"input_cache_read", PriceKind::InputCached},
                                Named{"input_cache_write", PriceKind::CacheWrite},
                                Named{"input_cache_write_1h", PriceKind::CacheWrite1h},
                                Named{"audio", PriceKind::InputAudio},
                                Named{"audio_output", PriceKind::OutputAudio},
                                Named{"image_token", PriceKind::InputImage},
                                Named{"image_output", PriceKind::OutputImage},
                                Named{"character", PriceKind::Character}};
    std::string json;
    for (const Named& named : kNames) {
        json += json.empty() ? "\"" : ",\"";
        json += named.name;
        json += "\":" + text(rates[index_of(named.kind)], price.denominator());
    }
    // The rate is that of a millisecond; what is too large for a thousand times as much is shown
    // rounded up.
    const std::uint64_t millisecond = rates[index_of(PriceKind::AudioSecond)];
    const bool fits = millisecond <= UINT64_MAX / 1000;
    return json + ",\"audio_second\":" +
           (fits ? text(millisecond * 1000, price.denominator())
                 : text(millisecond, std::max<std::uint64_t>(1, price.denominator() / 1000)));
}

template <class Text>
std::string pricing_json(const Price& price, Text text) {
    std::string json = '{' + rates_json(price, price.tiers().front().rates, text);
    std::string tiers;
    for (const Price::Tier& tier : price.tiers().subspan(1)) {
        tiers += (tiers.empty() ? "" : ",") + std::string{"{\"min_prompt_tokens\":"} +
                 std::to_string(tier.above_input) + ',' + rates_json(price, tier.rates, text) + '}';
    }
    if (!tiers.empty()) json += ",\"overrides\":[" + tiers + ']';
    return json;
}

// One msat is this in the text's unit, so costs are shown by the function that shows prices.
template <class Text>
std::string maxima_json(const Model& model, const Price& price, Text text) {
    const auto of = [&](TokenBounds bounds) {
        const auto most = cost_ceiling(price, bounds);
        VERIFY(most.has_value());
        return text(static_cast<std::uint64_t>(most->raw()), 1);
    };
    const TokenBounds all = widest(model);
    return R"(,"min_cost":)" + text(static_cast<std::uint64_t>(price.floor().raw()), 1) +
           R"(,"max_prompt_cost":)" + of({.input = all.input, .input_image = all.input_image}) +
           R"(,"max_completion_cost":)" + of({.output = all.output}) + R"(,"max_cost":)" +
           text(static_cast<std::uint64_t>(max_cost(model, price).raw()), 1) + '}';
}

std::string entry_json(const Model& model, const Price& price,
                       const std::optional<Decimal>& btc_usd) {
    const std::string id = http::json_quote(model.id.text());
    const std::string context = std::to_string(model.context);
    const bool images = model.tokens_per_image_max.has_value();
    std::string json = R"({"id":)" + id + R"(,"object":"model","created":)" +
                       std::to_string(model.created) + R"(,"owned_by":"nutgate","name":)" +
                       http::json_quote(model.name.empty() ? model.id.text() : model.name) +
                       R"(,"description":)" + http::json_quote(model.description) +
                       R"(,"context_length":)" + context + R"(,"architecture":{"modality":")" +
                       (images ? "text+image" : "text") + R"(->text","input_modalities":["text")" +
                       (images ? R"(,"image")" : "") +
                       R"(],"output_modalities":["text"],"tokenizer":"","instruct_type":null})";
    json += R"(,"pricing":)";
    if (btc_usd) {
        const auto usd = [&](std::uint64_t over, std::uint64_t under) {
            return usd_text(over, under, *btc_usd);
        };
        json += pricing_json(price, usd) + maxima_json(model, price, usd);
    } else {
        json += "null";
    }
    json += R"(,"sats_pricing":)" + pricing_json(price, sats_text) +
            maxima_json(model, price, sats_text);
    json += R"(,"per_request_limits":{"max_choices":)" + std::to_string(model.choices_max) +
            R"(},"top_provider":{"context_length":)" + context + R"(,"max_completion_tokens":)" +
            std::to_string(model.output_max) +
            R"(,"is_moderated":false},"enabled":true,"upstream_provider_id":null,)"
            R"("canonical_slug":)" +
            id + R"(,"alias_ids":[],"forwarded_model_id":)" + id + '}';
    return json;
}

bool has_upstreams(const Model& model) {
    const auto& routes = model.upstreams;
    return routes.size() <= kUpstreamsMax &&
           std::ranges::any_of(routes, [](const Route& route) { return route.weight > 0; });
}

// Where the price has what is counted there.
EndpointSet priced(const Tariff& price) {
    const auto sells = [&price](PriceKind kind) { return price.sells(kind); };
    const bool pieces = sells(PriceKind::Image) || sells(PriceKind::Search) ||
                        sells(PriceKind::Character) || sells(PriceKind::AudioSecond);
    EndpointSet all;
    if (sells(PriceKind::Input) && sells(PriceKind::Output)) {
        all = all | kTextEndpoints |
              EndpointSet{Endpoint::ImageGenerations, Endpoint::ImageEdits,
                          Endpoint::Transcriptions, Endpoint::Translations};
    }
    if (sells(PriceKind::Input)) all.add(Endpoint::Embeddings);
    if (sells(PriceKind::Image)) {
        all = all | EndpointSet{Endpoint::ImageGenerations, Endpoint::ImageEdits};
    }
    if (sells(PriceKind::AudioSecond)) {
        all = all | EndpointSet{Endpoint::Transcriptions, Endpoint::Translations};
    }
    if (sells(PriceKind::Character)) all.add(Endpoint::Speech);
    // Nothing but requests, or nothing at all: the price was made for them.
    if (sells(PriceKind::Input) || !pieces) all.add(Endpoint::Moderations);
    return all;
}

// Whether it has a price for what decides where a model is sold, and how.
bool sells_the_same(const Tariff& a, const Tariff& b) {
    constexpr std::array kDeciding{PriceKind::Input,      PriceKind::Output, PriceKind::OutputImage,
                                   PriceKind::Image,      PriceKind::Search, PriceKind::Character,
                                   PriceKind::AudioSecond};
    return std::ranges::all_of(kDeciding,
                               [&](PriceKind kind) { return a.sells(kind) == b.sells(kind); });
}

// What the prices that are shown depend on.
struct Market {
    std::optional<rates::BtcUsd> rate;
    int minute = 0;
    std::uint64_t edition = 0;  // Of the prices themselves.

    friend bool operator==(const Market&, const Market&) = default;
};

// The prices of a model as they are now.
struct Tag {
    struct OfRoute {
        std::optional<Tariff> cost;
        std::optional<Tariff> price;
    };
    explicit Tag(const Model& model) : price{model.price} {
        for (const Route& route : model.upstreams) routes.push_back({route.cost, route.price});
    }
    Tariff price;
    std::vector<OfRoute> routes;
};

struct Listing {
    Market market;
    std::vector<std::string> entries = {};  // JSON, one per model; empty: not for sale now.
    std::string body = {};
    std::string etag = {};
};

}  // namespace

struct Models::Shelf {
    Mutex mutex;
    std::vector<Tag> tags GUARDED_BY(mutex);  // In the order of the models.
    std::uint64_t edition GUARDED_BY(mutex) = 0;
    Listing listing GUARDED_BY(mutex);
};

Models::Models() : shelf_{std::make_unique<Shelf>()} {}
Models::Models(Models&&) noexcept = default;
Models& Models::operator=(Models&&) noexcept = default;
Models::~Models() = default;

Msat max_cost(const Model& model, const Price& price) {
    const auto most = cost_ceiling(price, widest(model));
    VERIFY(most.has_value());  // Models::make refused it otherwise.
    return *most;
}

Destination destination(const Model& model, const Route& route) {
    const std::string& usual =
        model.upstream_model.empty() ? model.id.text() : model.upstream_model;
    return {.model = route.model.empty() ? usual : route.model,
            .upstream = route.upstream->traits()};
}

EndpointSet served(const Model& model) {
    EndpointSet all;
    for (const Route& route : model.upstreams) all = all | route.upstream->traits().endpoints;
    return all & priced(model.price);
}

Result<Models, ModelsError> Models::make(std::vector<Model> models,
                                         std::optional<Decimal> btc_usd) {
    const auto rate = btc_usd ? rates::BtcUsd::parse(to_text(*btc_usd)) : std::nullopt;
    Models made;
    made.fixed_ =
        rate ? std::make_unique<rates::RateBoard>(*rate) : std::make_unique<rates::RateBoard>();
    made.board_ = made.fixed_.get();
    TRY_VOID(made.take(std::move(models), rate.value_or(least_rate())));
    made.refresh(Time{});
    return made;
}

Result<Models, ModelsError> Models::make(std::vector<Model> models, const rates::RateBoard& btc_usd,
                                         Time now) {
    Models made;
    made.board_ = &btc_usd;
    TRY_VOID(made.take(std::move(models), least_rate()));
    made.refresh(now);
    return made;
}

Result<void, ModelsError> Models::take(std::vector<Model> models, rates::BtcUsd least) {
    models_ = std::move(models);
    for (std::size_t i = 0; i < models_.size(); ++i) {
        Model& model = models_[i];
        if (!has_upstreams(model)) return fail(ModelsError::NoUpstream);
        const EndpointSet chosen = model.endpoints.empty() ? kTextEndpoints : model.endpoints;
        model.endpoints = chosen & served(model);
        if (model.endpoints.empty()) return fail(ModelsError::NoEndpoint);
        // Where messages are sold their tokens are counted, by whomever.
        if (model.endpoints.contains(Endpoint::Messages))
            model.endpoints.add(Endpoint::CountTokens);
        if (!has_sane_bounds(model)) return fail(ModelsError::BadBounds);
        for (const Price& price : model.price.all(least)) {
            if (!cost_ceiling(price, widest(model))) return fail(ModelsError::TooExpensive);
        }
        if (!by_name_.emplace(lower(model.id.text()), i).second) {
            return fail(ModelsError::Duplicate);
        }
    }
    const Lock lock{shelf_->mutex};
    for (const Model& model : models_) shelf_->tags.emplace_back(model);
    return {};
}

Result<void, ModelsError> Models::reprice(const std::vector<Model>& models, Time now) {
    if (models.size() != models_.size()) return fail(ModelsError::OtherModels);
    std::vector<Tag> tags;
    for (std::size_t i = 0; i < models.size(); ++i) {
        const Model& known = models_[i];
        const Model& given = models[i];
        if (given.id.text() != known.id.text() ||
            given.upstreams.size() != known.upstreams.size() ||
            !sells_the_same(given.price, known.price)) {
            return fail(ModelsError::OtherModels);
        }
        for (const Price& price : given.price.all(least_rate())) {
            if (!cost_ceiling(price, widest(known))) return fail(ModelsError::TooExpensive);
        }
        tags.emplace_back(given);
    }
    {
        const Lock lock{shelf_->mutex};
        shelf_->tags.swap(tags);
        ++shelf_->edition;
    }
    refresh(now);
    return {};
}

std::size_t Models::index_of(const Model& model) const {
    const auto index = static_cast<std::size_t>(&model - models_.data());
    VERIFY(index < models_.size());
    return index;
}

std::optional<rates::BtcUsd> Models::rate_at(Time now) const {
    const auto rate = board_->at(now);
    if (!fixed_ && rate && *rate < least_rate()) return std::nullopt;
    return rate;
}

std::optional<Price> Models::price_now(const Model& model, Time now) const {
    const auto rate = rate_at(now);
    Shelf& shelf = *shelf_;
    const Lock lock{shelf.mutex};
    return shelf.tags[index_of(model)].price.at(now, rate);
}

Models::RoutePrices Models::route_now(const Model& model, std::size_t place, Time now) const {
    const auto rate = rate_at(now);
    Shelf& shelf = *shelf_;
    const Lock lock{shelf.mutex};
    const auto& route = shelf.tags[index_of(model)].routes[place];
    RoutePrices now_prices;
    if (route.cost) now_prices.cost = route.cost->at(now, rate);
    if (route.price) now_prices.charged = route.price->at(now, rate);
    return now_prices;
}

void Models::refresh(Time now) {
    Listing made{.market = {.rate = rate_at(now)}};
    std::vector<Tag> tags;
    {
        Shelf& shelf = *shelf_;
        const Lock lock{shelf.mutex};
        const bool hourly = std::ranges::any_of(
            shelf.tags, [](const Tag& tag) { return tag.price.changes_with_the_hour(); });
        made.market.minute = hourly ? minute_of_day(now) : 0;
        made.market.edition = shelf.edition;
        if (!shelf.listing.body.empty() && shelf.listing.market == made.market) return;
        tags = shelf.tags;
    }
    std::optional<Decimal> btc_usd;
    if (made.market.rate) {
        btc_usd = Decimal{.units = static_cast<std::uint64_t>(made.market.rate->raw()),
                          .places = rates::BtcUsd::kPlaces};
    }
    std::string list;
    for (std::size_t i = 0; i < models_.size(); ++i) {
        const Model& model = models_[i];
        std::string& entry = made.entries.emplace_back();
        const auto price = tags[i].price.at(now, made.market.rate);
        if (!price) continue;
        entry = entry_json(model, *price, btc_usd);
        list += (list.empty() ? "" : ",") + entry;
    }
    made.body = R"({"object":"list","data":[)" + list + "]}";
    const auto digest = crypto::sha256(as_bytes(made.body));
    made.etag = '"' + to_hex(BytesView{digest}.first(8)) + '"';
    const Lock lock{shelf_->mutex};
    std::swap(shelf_->listing, made);
}

const Model* Models::find(std::string_view name) const {
    const std::string whole = lower(name);
    const std::string_view bare = without_vendor(whole);
    for (const std::string_view tried :
         {std::string_view{whole}, bare, without_date(whole), without_date(bare)}) {
        if (const auto found = by_name_.find(tried); found != by_name_.end()) {
            return &models_[found->second];
        }
    }
    // A client may leave out the vendor that the configuration names.
    const Model* only = nullptr;
    for (const auto& [known, index] : by_name_) {
        if (without_vendor(known) != whole && without_vendor(known) != without_date(whole))
            continue;
        if (only != nullptr) return nullptr;  // Two vendors have one of that name.
        only = &models_[index];
    }
    return only;
}

http::Response Models::list(const http::Request& request) const {
    http::Response response;
    std::string etag;
    const auto known = request.headers.find("if-none-match");
    {
        Shelf& shelf = *shelf_;
        const Lock lock{shelf.mutex};
        etag = shelf.listing.etag;
        if (known && (*known == etag || *known == "*" || *known == "W/" + etag)) {
            response = {.status = 304, .headers = {}, .body = {}};
        } else {
            response = http::json_response(200, shelf.listing.body);
        }
    }
    response.headers.set("ETag", etag);
    response.headers.set("Cache-Control", "public, max-age=60");
    return response;
}

http::Response Models::one(const http::Request& request, std::string_view name) const {
    const Model* model = find(name);
    if (model == nullptr) {
        return http::to_response({.status = 404,
                                  .type = "invalid_request_error",
                                  .code = "model_not_found",
                                  .message = "Model '" + std::string{name} + "' not found",
                                  .param = "model"},
                                 request.request_id);
    }
    std::string entry;
    {
        Shelf& shelf = *shelf_;
        const Lock lock{shelf.mutex};
        entry = shelf.listing.entries[static_cast<std::size_t>(model - models_.data())];
    }
    if (entry.empty()) return http::to_response(rate_unavailable(), request.request_id);
    return http::json_response(200, std::move(entry));
}

}  // namespace nutgate::proxy
