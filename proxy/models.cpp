#include "nutgate/proxy/models.h"

#include <algorithm>
#include <functional>
#include <utility>

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

bool in_range(std::int64_t value) { return value >= 1 && value <= kTokensMax; }

bool has_sane_bounds(const Model& model) {
    return in_range(model.context) && in_range(model.output_max) &&
           model.output_max <= model.context && in_range(model.choices_max) &&
           model.template_tokens >= 0 && model.template_tokens <= kTokensMax &&
           in_range(model.bytes_per_token) && in_range(model.tokens_per_image_max.value_or(1));
}

TokenBounds widest(const Model& model) {
    return {.input = model.context, .output = model.output_max};
}

// In the fields of routstr-contract 1.1. `text` writes so many of the price's units.
template <class Text>
std::string pricing_json(const Model& model, Text text) {
    const Price& price = model.price;
    return R"({"prompt":)" + text(price.input(), price.denominator()) + R"(,"completion":)" +
           text(price.output(), price.denominator()) +
           R"(,"request":0,"image":0,"web_search":0,"internal_reasoning":)" +
           text(price.output(), price.denominator()) + R"(,"input_cache_read":)" +
           text(price.input_cached(), price.denominator()) + R"(,"input_cache_write":)" +
           text(price.input(), price.denominator());
}

// One msat is this in the text's unit, so costs are shown by the function that shows prices.
template <class Text>
std::string maxima_json(const Model& model, Text text) {
    const auto of = [&](std::int64_t input, std::int64_t output) {
        const auto most = cost_ceiling(model.price, {.input = input, .output = output});
        VERIFY(most.has_value());
        return text(static_cast<std::uint64_t>(most->raw()), 1);
    };
    return R"(,"max_prompt_cost":)" + of(model.context, 0) + R"(,"max_completion_cost":)" +
           of(0, model.output_max) + R"(,"max_cost":)" + of(model.context, model.output_max) + '}';
}

std::string entry_json(const Model& model, const std::optional<Decimal>& btc_usd) {
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
        json += pricing_json(model, usd) + maxima_json(model, usd);
    } else {
        json += "null";
    }
    json += R"(,"sats_pricing":)" + pricing_json(model, sats_text) + maxima_json(model, sats_text);
    json += R"(,"per_request_limits":{"max_choices":)" + std::to_string(model.choices_max) +
            R"(},"top_provider":{"context_length":)" + context + R"(,"max_completion_tokens":)" +
            std::to_string(model.output_max) +
            R"(,"is_moderated":false},"enabled":true,"upstream_provider_id":null,)"
            R"("canonical_slug":)" +
            id + R"(,"alias_ids":[],"forwarded_model_id":)" + id + '}';
    return json;
}

}  // namespace

Msat max_cost(const Model& model) {
    const auto most = cost_ceiling(model.price, widest(model));
    VERIFY(most.has_value());  // Models::make refused it otherwise.
    return *most;
}

Result<Models, ModelsError> Models::make(std::vector<Model> models,
                                         std::optional<Decimal> btc_usd) {
    Models made;
    made.models_ = std::move(models);
    std::string list;
    for (std::size_t i = 0; i < made.models_.size(); ++i) {
        const Model& model = made.models_[i];
        if (model.upstreams.empty()) return fail(ModelsError::NoUpstream);
        if (!has_sane_bounds(model)) return fail(ModelsError::BadBounds);
        if (!cost_ceiling(model.price, widest(model))) return fail(ModelsError::TooExpensive);
        if (!made.by_name_.emplace(lower(model.id.text()), i).second) {
            return fail(ModelsError::Duplicate);
        }
        made.entries_.push_back(entry_json(model, btc_usd));
        list += (list.empty() ? "" : ",") + made.entries_.back();
    }
    made.list_body_ = R"({"object":"list","data":[)" + list + "]}";
    const auto digest = crypto::sha256(as_bytes(made.list_body_));
    made.etag_ = '"' + to_hex(BytesView{digest}.first(8)) + '"';
    return made;
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
    http::Response response = http::json_response(200, list_body_);
    const auto known = request.headers.find("if-none-match");
    if (known && (*known == etag_ || *known == "*" || *known == "W/" + etag_)) {
        response = {.status = 304, .headers = {}, .body = {}};
    }
    response.headers.set("ETag", etag_);
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
    return http::json_response(200, entries_[static_cast<std::size_t>(model - models_.data())]);
}

}  // namespace nutgate::proxy
