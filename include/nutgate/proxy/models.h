// What is sold: the models, their bounds and prices, and the list that clients read, built once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nutgate/base/amount.h"
#include "nutgate/base/id.h"
#include "nutgate/base/result.h"
#include "nutgate/http/message.h"
#include "nutgate/proxy/pricing.h"
#include "nutgate/proxy/upstream.h"

namespace nutgate::proxy {

struct Model {
    ModelId id;
    std::string name = {};  // Empty: the id.
    std::string description = {};
    std::int64_t created = 0;        // Unix seconds.
    std::int64_t context = 8192;     // Tokens, prompt and answer.
    std::int64_t output_max = 2048;  // Of one request, over all its choices.
    std::int64_t choices_max = 8;    // `n`.
    Price price;
    std::vector<Upstream*> upstreams = {};  // In the order in which they are tried.
    std::string upstream_model = {};        // What they call it. Empty: the id.
    // What a template adds to the text of a prompt, at most: special tokens, a default system
    // message, the framing of tools.
    std::int64_t template_tokens = 512;
    std::int64_t bytes_per_token = 4;  // For estimates.
    // Images are taken only where it is known what one can cost at most.
    std::optional<std::int64_t> tokens_per_image_max = std::nullopt;
    // Fields of a request, beyond those known to add nothing that tokens do not cover, which the
    // operator lets pass.
    std::vector<std::string> extra_fields = {};
};

enum class ModelsError {
    Duplicate,  // Two models answer to one name.
    NoUpstream,
    BadBounds,     // A bound that is zero, negative or beyond kTokensMax, or output beyond context.
    TooExpensive,  // Its max_cost is more money than there is.
};

// Immutable, so thread-safe.
class Models {
public:
    // `btc_usd` makes the list show USD too.
    static Result<Models, ModelsError> make(std::vector<Model> models,
                                            std::optional<Decimal> btc_usd);

    // As it is named; in lower case; without a vendor's prefix ("openai/…"); without a trailing
    // date ("-20260131"). Null if it is not sold.
    const Model* find(std::string_view name) const;

    // GET /v1/models, conditional; GET /v1/models/{id}.
    http::Response list(const http::Request& request) const;
    http::Response one(const http::Request& request, std::string_view name) const;

    const std::vector<Model>& all() const { return models_; }

private:
    Models() = default;

    std::vector<Model> models_;
    std::map<std::string, std::size_t, std::less<>> by_name_;  // Lower case.
    std::vector<std::string> entries_;                         // JSON, one per model.
    std::string list_body_;
    std::string etag_;
};

// The advertised maximum: no request to this model costs more.
Msat max_cost(const Model& model);

}  // namespace nutgate::proxy
