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
                                     {{"model", model}})},
      stopped{registry.counter("nutgate_proxy_stopped_streams_total",
                               "Streams that ended because no more could be held for them.",
                               {{"model", model}})},
      retries{registry.counter("nutgate_proxy_retries_total",
                               "Calls of upstreams that had been asked for the same before.",
                               {{"model", model}})} {}

Flight::Flight(const Model& model, std::unique_ptr<const Order> order, TokenBounds bounds,
               std::int64_t slice, const Price& price, Draw draw, ModelMetrics& metrics,
               std::string provider, const UsageRow& row)
    : model_{model},
      order_{std::move(order)},
      bounds_{bounds},
      price_{price},
      hold_{price_, bounds_, slice, std::move(draw)},
      metrics_{metrics},
      provider_{std::move(provider)},
      row_{row} {
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

SseMeter::Options Flight::meter_options() const {
    const Pieces pieces = order_->pieces_of_stream(false);
    return {.form = form_of(order_->endpoint()).stream,
            .may_end_early = !hold_.holds_all(),
            .sells_pieces = pieces.characters > 0 || pieces.images > 0};
}

// What would be charged for it if the stream ended now.
std::int64_t Flight::output_so_far() const {
    std::int64_t tokens = estimate_tokens(meter_->delivered(), model_.bytes_per_token);
    if (const auto& said = meter_->usage()) {
        tokens = std::max(tokens, said->completion_tokens.value_or(0));
    }
    return std::min(tokens, bounds_.output);
}

http::Task<void> Flight::reach(End end, std::optional<UsageFields> usage, Delivered delivered) {
    const auto exact = charge_for(metered(end, usage, delivered).usage).cost;
    const Msat cost = exact ? exact->total : *Msat::from_raw(Msat::kMax);
    co_await hold_.reach(cost);
}

MeteredUsage Flight::tokens(End end, const std::optional<UsageFields>& usage,
                            const Delivered& delivered) const {
    // Seconds are enough where they are what is sold, and nothing anywhere else.
    const bool is_timed = usage && usage->audio_ms && price_.sells(PriceKind::AudioSecond);
    if (usage && (usage->complete() || is_timed)) {
        return {usage->usage(),
                end == End::Complete ? UsageSource::UpstreamFinal : UsageSource::UpstreamPartial};
    }
    // Where none of them costs anything there is nothing to guess at.
    if (!price_.sells(PriceKind::Input) && !price_.sells(PriceKind::Output)) {
        return {{}, UsageSource::UpstreamFinal};
    }
    // What one half of a usage says is better than a guess at it.
    const Delivered prompt{.text_bytes = order_->fields().text_bytes};
    const Pieces& pieces = delivered.pieces;
    const std::int64_t input = std::clamp<std::int64_t>(
        std::max(estimate_tokens(prompt, model_.bytes_per_token), pieces.input_tokens), 1,
        std::max<std::int64_t>(bounds_.input, 1));
    const std::int64_t output =
        std::min(std::max(estimate_tokens(delivered, model_.bytes_per_token), pieces.output_tokens),
                 bounds_.output);
    UsageFields fields = usage.value_or(UsageFields{});
    if (!fields.prompt_tokens) fields.prompt_tokens = input;
    if (!fields.completion_tokens) fields.completion_tokens = output;
    return {fields.usage(), UsageSource::Estimate};
}

MeteredUsage Flight::metered(End end, const std::optional<UsageFields>& usage,
                             const Delivered& delivered) const {
    MeteredUsage found = tokens(end, usage, delivered);
    order_->sort_tokens(found.usage);
    const Pieces& pieces = delivered.pieces;
    found.usage.images = pieces.images;
    found.usage.characters = pieces.characters;
    const bool is_told = found.usage.audio_ms > 0;
    if (!is_told) found.usage.audio_ms = std::min(pieces.audio_ms, bounds_.audio_ms);
    const bool counts =
        price_.rate(PriceKind::Image) > 0 || (price_.rate(PriceKind::AudioSecond) > 0 && !is_told);
    if (pieces.is_estimate && counts) found.source = UsageSource::Estimate;
    return found;
}

// The price of the upstream that served, but never more than what was advertised and held by.
Flight::Charge Flight::charge_for(const Usage& usage) const {
    const auto advertised = cost_of(price_, usage);
    if (!upstream_price_ || !advertised) return {advertised, price_};
    const auto own = cost_of(*upstream_price_, usage);
    if (!own || own->total >= advertised->total) return {advertised, price_};
    return {own, *upstream_price_};
}

const UsageRow& Flight::row_of(const MeteredUsage& found, const Price& price) {
    row_.metered = found;
    row_.rates = price.rates_for(found.usage.input());
    row_.denominator = price.denominator();
    if (upstream_cost_) {
        const auto cost = cost_of(*upstream_cost_, found.usage);
        if (cost) row_.upstream_cost = cost->total;
    }
    return row_;
}

Receipt Flight::settle(End end, const std::optional<UsageFields>& usage,
                       const Delivered& delivered) {
    VERIFY(!ended_);
    ended_ = true;
    const MeteredUsage found = metered(end, usage, delivered);
    if (found.source == UsageSource::Estimate) metrics_.usage_missing.add();
    if (meter_ && meter_->overrun()) metrics_.frames_unseen.add();

    // What an answer costs beyond its hold is the seller's loss, never the customer's surprise. It
    // is counted and not booked: a transfer from losses to revenue would let the owner withdraw
    // money that nobody paid.
    const auto [exact, price] = charge_for(found.usage);
    if (exact) hold_.reach_at_once(exact->total);
    const Msat most = hold_.amount();
    const Cost cost = exact ? capped(*exact, most) : Cost{most, most, {}, {}};
    if (exact && exact->total > most) {
        const Msat loss = *subtract(exact->total, most);
        metrics_.loss_msat.add(static_cast<std::uint64_t>(loss.raw()));
        log::warn("cost_beyond_hold", {{"model", model_.id.text()}, {"loss_msat", loss}});
    }
    metrics_.charged_msat.add(static_cast<std::uint64_t>(cost.total.raw()));
    return {.cost = cost,
            .metered = found,
            .remaining = hold_.settle(cost.total, row_of(found, price)),
            .provider = provider_,
            .names = form_of(order_->endpoint()).names};
}

Receipt Flight::settle_stream(End end) {
    Delivered delivered = meter().delivered();
    delivered.pieces = order_->pieces_of_stream(end == End::Complete);
    return settle(end, meter().usage(), delivered);
}

void Flight::let_go() {
    VERIFY(!ended_);
    ended_ = true;
    metrics_.uncharged.add();
    hold_.let_go();
}

}  // namespace nutgate::proxy
