#include "flight.h"

#include <algorithm>

#include "nutgate/base/log.h"
#include "nutgate/base/verify.h"

namespace nutgate::proxy {

ModelMetrics::ModelMetrics(metrics::Registry& registry, const std::string& model)
    : requests{registry.counter("nutgate_proxy_requests_total", "Requests that money was held for.",
                                {{"model", model}})},
      charged_msat{registry.counter("nutgate_proxy_charged_msat_total", "Charged for answers.",
                                    {{"model", model}})},
      uncharged{registry.counter("nutgate_proxy_uncharged_total",
                                 "Requests that got no answer and paid nothing.",
                                 {{"model", model}})},
      usage_missing{registry.counter("nutgate_proxy_usage_missing_total",
                                     "Answers settled at an estimate.", {{"model", model}})},
      clients_gone{registry.counter("nutgate_proxy_clients_gone_total",
                                    "Clients that left before the end.", {{"model", model}})},
      loss_msat{registry.counter("nutgate_proxy_loss_msat_total",
                                 "Cost beyond the hold, which nobody paid.", {{"model", model}})},
      frames_unseen{registry.counter("nutgate_proxy_unmetered_streams_total",
                                     "Streams with a frame beyond the meter's bound.",
                                     {{"model", model}})} {}

Flight::Flight(const Model& model, ChatRequest request, TokenBounds bounds, Draw draw,
               ModelMetrics& metrics, std::string provider)
    : model_{model},
      request_{std::move(request)},
      bounds_{bounds},
      draw_{std::move(draw)},
      metrics_{metrics},
      provider_{std::move(provider)} {
    metrics_.requests.add();
}

Flight::~Flight() {
    if (ended_) return;
    if (called_) {
        (void)settle_stream(End::Cut);
    } else {
        let_go();
    }
}

MeteredUsage Flight::metered(End end, const std::optional<UsageFields>& usage,
                             const Delivered& delivered) const {
    if (usage && usage->complete()) {
        return {usage->usage(),
                end == End::Complete ? UsageSource::UpstreamFinal : UsageSource::UpstreamPartial};
    }
    // What one half of a usage says is better than a guess at it.
    const Delivered prompt{.text_bytes = request_.text_bytes};
    const std::int64_t input =
        std::clamp<std::int64_t>(estimate_tokens(prompt, model_.bytes_per_token), 1, bounds_.input);
    const std::int64_t output =
        std::min(estimate_tokens(delivered, model_.bytes_per_token), bounds_.output);
    UsageFields fields = usage.value_or(UsageFields{});
    if (!fields.prompt_tokens) fields.prompt_tokens = input;
    if (!fields.completion_tokens) fields.completion_tokens = output;
    return {fields.usage(), UsageSource::Estimate};
}

Receipt Flight::settle(End end, const std::optional<UsageFields>& usage,
                       const Delivered& delivered) {
    VERIFY(!ended_);
    ended_ = true;
    const MeteredUsage found = metered(end, usage, delivered);
    if (found.source == UsageSource::Estimate) metrics_.usage_missing.add();
    if (meter_.overrun()) metrics_.frames_unseen.add();

    // What an answer costs beyond its hold is the seller's loss, never the customer's surprise. It
    // is counted and not booked: a transfer from losses to revenue would let the owner withdraw
    // money that nobody paid.
    const Msat most = draw_.amount();
    const auto exact = cost_of(model_.price, found.usage);
    const Cost cost = exact ? capped(*exact, most) : Cost{most, most, {}, {}};
    if (exact && exact->total > most) {
        const Msat loss = *subtract(exact->total, most);
        metrics_.loss_msat.add(static_cast<std::uint64_t>(loss.raw()));
        log::warn("cost_beyond_hold", {{"model", model_.id.text()}, {"loss_msat", loss}});
    }
    metrics_.charged_msat.add(static_cast<std::uint64_t>(cost.total.raw()));
    return {.cost = cost,
            .metered = found,
            .remaining = draw_.settle(cost.total),
            .provider = provider_};
}

void Flight::let_go() {
    VERIFY(!ended_);
    ended_ = true;
    metrics_.uncharged.add();
    (void)draw_.settle(Msat{});
}

}  // namespace nutgate::proxy
