// What is sold: the models, their bounds and prices, and the list that clients read, built anew
// only when a price has changed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nutgate/base/amount.h"
#include "nutgate/base/clock.h"
#include "nutgate/base/id.h"
#include "nutgate/base/result.h"
#include "nutgate/http/message.h"
#include "nutgate/proxy/endpoint.h"
#include "nutgate/proxy/pricing.h"
#include "nutgate/proxy/tariff.h"
#include "nutgate/proxy/upstream.h"
#include "nutgate/rates/board.h"

namespace nutgate::proxy {

// Of all texts of a request for embeddings together, each byte taken for a token: of usual text
// that is what 300,000 tokens are.
constexpr std::int64_t kEmbeddingTokensMax = 1'200'000;
// Of a file with audio, which is what OpenAI takes. No encoding of speech that is in use needs less
// than 6 kbit/s, so it is at most so many seconds long.
constexpr std::int64_t kAudioBytesMax = 25 * 1024 * 1024;
constexpr std::int64_t kAudioBytesPerSecondLeast = 750;
// Of a text that is to be spoken.
constexpr std::int64_t kSpeechCharactersMax = 16'384;

constexpr std::size_t kUpstreamsMax = 16;  // Of one model.

// One upstream of a model.
struct Route {
    // Implicit: most models have one upstream, and nothing to say of it.
    Route(Upstream* of, std::uint32_t share = 1, std::optional<Tariff> takes = {})
        : upstream{of}, weight{share}, cost{std::move(takes)} {}

    Upstream* upstream;
    std::uint32_t weight;        // Its share of the requests, where they are shared out by weight.
    std::optional<Tariff> cost;  // What it takes of the seller, where that is known.
    std::string model = {};      // What it calls the model. Empty: as the model says.
    // What is charged for what it served. It may say more than the model's price, which is what is
    // advertised and held by: of the two the lower cost is charged. Empty: the model's.
    std::optional<Tariff> price = std::nullopt;
};

// Which upstream a request tries first. The others follow in the order of the list, while nothing
// was done for it yet.
enum class Routing { Order, Weight };

struct Model {
    ModelId id;
    std::string name = {};  // Empty: the id.
    std::string description = {};
    std::int64_t created = 0;        // Unix seconds.
    std::int64_t context = 8192;     // Tokens, prompt and answer.
    std::int64_t output_max = 2048;  // Of one request, over all its choices.
    std::int64_t choices_max = 8;    // `n`.
    Tariff price;
    std::vector<Route> upstreams = {};
    Routing routing = Routing::Order;
    std::string upstream_model =
        {};  // What they call it, where a route says nothing. Empty: the id.
    // Where it is sold, as far as its upstreams serve that and its price covers what is counted
    // there. Empty: kTextEndpoints.
    EndpointSet endpoints = {};
    // What a template adds to the text of a prompt, at most: special tokens, a default system
    // message, the framing of tools.
    std::int64_t template_tokens = 512;
    std::int64_t bytes_per_token = 4;  // For estimates.
    // Its streams may begin before all that they can cost is held. Not for a model that thinks
    // unseen: what it costs by then shows at the end only.
    bool elastic = true;
    // Images are taken only where it is known what one can cost at most.
    std::optional<std::int64_t> tokens_per_image_max = std::nullopt;
    // Fields of a request, beyond those known to add nothing that tokens do not cover, which the
    // operator lets pass.
    std::vector<std::string> extra_fields = {};
};

enum class ModelsError {
    Duplicate,     // Two models answer to one name.
    NoUpstream,    // Or more than kUpstreamsMax, or none with a weight.
    NoEndpoint,    // It is sold nowhere: nothing serves it there, or nothing is its price there.
    BadBounds,     // A bound that is zero, negative or beyond kTokensMax, or output beyond context.
    TooExpensive,  // Its max_cost is more money than there is.
    OtherModels,   // New prices are for other models than there are, or for other kinds of work.
};

// Thread-safe: the models do not change but for their prices, and what a bitcoin is worth hangs on
// a board.
class Models {
public:
    // Below it nothing that is priced in USD is sold: a maximum could be more than there is.
    static constexpr std::int64_t kBtcUsdMin = 100;

    // At a rate that stays as it is; without one nothing is sold that is priced in USD. With one
    // the list shows USD too.
    static Result<Models, ModelsError> make(std::vector<Model> models,
                                            std::optional<Decimal> btc_usd);
    // At the rate on a board, which outlives this.
    static Result<Models, ModelsError> make(std::vector<Model> models,
                                            const rates::RateBoard& btc_usd, Time now);
    Models(Models&&) noexcept;
    Models& operator=(Models&&) noexcept;
    ~Models();

    // As it is named; in lower case; without a vendor's prefix ("openai/…"); without a trailing
    // date ("-20260131"). Null if it is not sold.
    const Model* find(std::string_view name) const;

    // What a request costs that money is held for now: to be kept until it is charged. No
    // allocation, and a lock for no longer than that takes. Empty if the model is priced in USD and
    // no rate is known that is fresh enough. `model` is one of all(), whose own price is the one
    // that it began with.
    std::optional<Price> price_now(const Model& model, Time now) const;
    // Of the upstream at this place of the model's, as price_now().
    struct RoutePrices {
        std::optional<Price> cost;     // What it takes. Empty if that is not known.
        std::optional<Price> charged;  // Where that one serves, if it is not the model's price.
    };
    RoutePrices route_now(const Model& model, std::size_t place, Time now) const;

    // From here on these prices, of the models and of their routes, all at once: requests that
    // money is held for keep theirs. They are the same models in the same order, priced for the
    // same kinds of work; of what else they say nothing is taken. Where it fails nothing has
    // changed.
    Result<void, ModelsError> reprice(const std::vector<Model>& models, Time now);

    // GET /v1/models, conditional; GET /v1/models/{id}. A model that can't be sold at the moment,
    // for want of a rate, is not listed.
    http::Response list(const http::Request& request) const;
    http::Response one(const http::Request& request, std::string_view name) const;

    // Every second or so: shows other prices where they have changed. Where nothing has, cheap.
    void refresh(Time now);

    const std::vector<Model>& all() const { return models_; }

private:
    struct Shelf;
    Models();
    Result<void, ModelsError> take(std::vector<Model> models, rates::BtcUsd least);
    std::size_t index_of(const Model& model) const;
    std::optional<rates::BtcUsd> rate_at(Time now) const;

    std::vector<Model> models_;
    std::map<std::string, std::size_t, std::less<>> by_name_;  // Lower case.
    std::unique_ptr<const rates::RateBoard> fixed_;            // Null: somebody else's board.
    const rates::RateBoard* board_ = nullptr;
    std::unique_ptr<Shelf> shelf_;  // What is shown.
};

// Where a request goes, and what the model is called there.
struct Destination {
    std::string_view model;
    const UpstreamTraits& upstream;
};
Destination destination(const Model& model, const Route& route);

// Where a model can be sold: what its upstreams serve, of what its price has the units for.
EndpointSet served(const Model& model);

// The advertised maximum: no request to this model at this price costs more.
Msat max_cost(const Model& model, const Price& price);

}  // namespace nutgate::proxy
