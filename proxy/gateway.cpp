#include "nutgate/proxy/gateway.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <bitset>
#include <deque>
#include <limits>
#include <memory>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "answers.h"
#include "anthropic_betas.h"
#include "flight.h"
#include "nutgate/base/log.h"
#include "order.h"
#include "paid_exchange.h"
#include "plan.h"
#include "relay.h"
#include "retry.h"
#include "upstream_gate.h"
#include "upstream_order.h"

namespace nutgate::proxy {
namespace {

constexpr std::size_t kErrorBytesMax = 64 * 1024;

using Served = Relayed;
using Answer = Result<std::unique_ptr<http::UpstreamAnswer>, http::UpstreamFailure>;

// What follows "Bearer " in Authorization; empty if there is none.
std::string_view bearer_of(const http::Request& request) {
    const auto header = request.headers.find("authorization");
    if (!header) return {};
    constexpr std::string_view kScheme = "bearer ";
    if (header->size() < kScheme.size()) return {};
    for (std::size_t i = 0; i < kScheme.size(); ++i) {
        const char c = (*header)[i];
        if ((c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c) != kScheme[i]) return {};
    }
    std::string_view credential = header->substr(kScheme.size());
    while (credential.starts_with(' ')) credential.remove_prefix(1);
    while (credential.ends_with(' ')) credential.remove_suffix(1);
    return credential;
}

// Anthropic's clients have a header of their own for it.
std::string_view credential_of(Endpoint endpoint, const http::Request& request) {
    const std::string_view bearer = bearer_of(request);
    const bool is_anthropic = endpoint == Endpoint::Messages || endpoint == Endpoint::CountTokens;
    if (!bearer.empty() || !is_anthropic) return bearer;
    return request.headers.find("x-api-key").value_or("");
}

// How far ahead of its output a request is held for; zero: all of it, from the start. An answer
// that has no meaning before its end can't end where the balance does, and an upstream that charges
// for what nobody awaits has charged by then.
std::int64_t slice_of(const Order& order, const Model& model, std::int64_t tokens) {
    const bool stops = std::ranges::all_of(model.upstreams, [](const Route& route) {
        return route.upstream->traits().client_gone == ClientGone::Cancel;
    });
    return model.elastic && stops ? tokens * order.stream_choices() : 0;
}

// How long a call is worth going on with when nobody reads its answer any more. A buffered one has
// no meaning before its end, so it is awaited whatever the upstream charges for.
Milliseconds patience_of(const Order& order, const UpstreamTraits& traits) {
    const bool is_cancelled = order.is_stream() && traits.client_gone == ClientGone::Cancel;
    return is_cancelled ? Milliseconds{} : traits.drain_time_max;
}

bool is_of_type(const http::Headers& headers, std::string_view wanted) {
    const auto type = headers.find("content-type");
    return type && type->starts_with(wanted);
}

}  // namespace

struct Gateway::Impl {
    // A model in the rows of what it sold, and its upstreams in the order of its routes.
    struct RowNames {
        std::int64_t model;
        std::vector<std::int64_t> upstreams;
    };

    Impl(Services given, Options chosen) : services{std::move(given)}, options{std::move(chosen)} {
        const UsageRowNames& names = services.row_names;
        for (const Model& model : services.models.all()) {
            metrics.emplace_back(services.metrics, model.id.text());
            auto& of_model = model_gates.emplace_back();
            auto& in_rows = row_names.emplace_back(RowNames{names.number(model.id.text()), {}});
            for (const Route& route : model.upstreams) {
                of_model.push_back(&gate_of(*route.upstream));
                in_rows.upstreams.push_back(names.number(route.upstream->traits().name));
            }
        }
        for (const Endpoint endpoint : kAllEndpoints) {
            endpoint_names[static_cast<std::size_t>(endpoint)] =
                names.number(name_in_rows(endpoint));
        }
    }

    UsageRow row_for(const Model& model, Endpoint endpoint) const {
        return {.model = row_names[index_of(model)].model,
                .endpoint = endpoint_names[static_cast<std::size_t>(endpoint)]};
    }

    std::size_t index_of(const Model& model) const {
        return static_cast<std::size_t>(&model - services.models.all().data());
    }
    // One for each upstream, however many models it has.
    UpstreamGate& gate_of(const Upstream& upstream) {
        for (auto& [known, gate] : gates) {
            if (known == &upstream) return gate;
        }
        return gates
            .emplace_back(
                std::piecewise_construct, std::forward_as_tuple(&upstream),
                std::forward_as_tuple(upstream.traits(), services.clock, services.metrics))
            .second;
    }

    ModelMetrics& metrics_of(const Model& model) { return metrics[index_of(model)]; }

    using Identified = Result<KeyId, Refused>;

    bool is_token(std::string_view credential) const {
        return credential.starts_with("cashu") && services.redeemer != nullptr;
    }

    // By value, all of it: what was authenticated is what is charged.
    http::Task<Identified> redeem(std::string_view token, std::string_view client_ip,
                                  TokenUse use) {
        const auto redeemed = co_await http::completion<Result<KeyId, http::ApiError>>(
            [this, token, client_ip, use](auto done) {
                services.redeemer->redeem(std::string{token}, std::string{client_ip}, use,
                                          std::move(done));
            });
        if (!redeemed) {
            Refused why{redeemed.error()};
            co_return fail(std::move(why));
        }
        co_return *redeemed;
    }

    Identified authenticate(std::string_view credential) const {
        if (credential.empty()) return fail(missing_key());
        const auto key = services.keyring.authenticate(credential);
        if (!key) return fail(invalid_key());
        return *key;
    }

    // Empty: it is a token, which is redeemed before anything else.
    std::optional<Identified> identify(http::Exchange& client, Endpoint endpoint) const {
        const std::string_view credential = credential_of(endpoint, client.request());
        if (is_token(credential)) return std::nullopt;
        return authenticate(credential);
    }

    http::Task<Served> serve_token(http::Exchange& client, Endpoint endpoint) {
        Identified redeemed = co_await redeem(credential_of(endpoint, client.request()),
                                              client.request().client_ip, TokenUse::AsKey);
        if (!redeemed) co_return fail(std::move(redeemed).error());
        co_return co_await serve(client, endpoint, *redeemed);
    }

    // What is refused whoever pays for it, while a token is still whole. Of a body that is to come
    // nothing is known, and it comes to who can pay.
    std::optional<Refused> refused_for_free(const http::Exchange& client, Endpoint endpoint) const {
        if (services.redeemer == nullptr) return Refused{unsupported_payment()};
        if (!client.has_whole_body()) return std::nullopt;
        auto plan =
            make_plan(services.models, endpoint, client.request(), nullptr, services.clock.now());
        if (plan) return std::nullopt;
        return std::move(plan).error();
    }

    // Paid for by itself: what it did not cost goes back with whatever it is answered.
    http::Task<void> serve_paid(http::Exchange& client, Endpoint endpoint, std::string token) {
        const http::Request& request = client.request();
        if (const auto refused = refused_for_free(client, endpoint)) {
            http::ApiError error = refused->why();
            error.headers.set(kPaymentHeader, token);
            (void)co_await client.respond(error_response(endpoint, error, request.request_id));
            co_return;
        }
        const Identified redeemed = co_await redeem(token, request.client_ip, TokenUse::Once);
        if (!redeemed) {
            http::ApiError error = redeemed.error().why();
            if (leaves_token(error)) error.headers.set(kPaymentHeader, token);
            (void)co_await client.respond(error_response(endpoint, error, request.request_id));
            co_return;
        }
        PaidExchange paid{client, endpoint, *services.redeemer, *redeemed, change_withheld};
        const Served served = co_await serve(paid, endpoint, *redeemed);
        if (served) co_return;
        http::ApiError error = served.error().why();
        const std::string change = co_await paid.change();
        add_change(error, change);
        (void)co_await client.respond(error_response(endpoint, error, request.request_id));
    }

    http::Task<Served> serve(http::Exchange& client, Endpoint endpoint, KeyId key) {
        // It outlives the flight, whose order asks it how much has passed.
        std::unique_ptr<FormPassage> passage;
        if (!client.has_whole_body()) {
            auto begun = co_await read_body(client, endpoint, key);
            if (!begun) co_return fail(std::move(begun).error());
            if (begun->is_lost) co_return Served{};
            passage = std::move(begun->passage);
        }
        auto plan = make_plan(services.models, endpoint, client.request(), passage.get(),
                              services.clock.now());
        if (!plan) co_return fail(std::move(plan).error());
        if (endpoint == Endpoint::CountTokens) co_return co_await count(client, key, *plan);
        const Model& model = *plan->model;
        const auto slice = slice_of(*plan->order, model, options.first_slice_tokens);
        const Msat needed = ElasticHold::first(plan->price, plan->bounds, slice);
        auto draw = services.till.draw_at_once(key, needed);
        if (!draw) draw.emplace(co_await services.till.draw_of_books(key, needed));
        if (!*draw) {
            co_return fail(refused_draw(draw->error(), model.id.text(), needed, options));
        }
        Flight flight{model,
                      std::move(plan->order),
                      plan->bounds,
                      slice,
                      plan->price,
                      **std::move(draw),
                      metrics_of(model),
                      options.provider,
                      row_for(model, endpoint)};
        flight.set_passage(passage.get());
        co_return co_await forward(client, flight);
    }

    // A body that did not come with its head: read only for a key that may buy, and, of a form
    // whose file can pass through, only up to that.
    http::Task<Result<FormBeginning, Refused>> read_body(http::Exchange& client, Endpoint endpoint,
                                                         const KeyId& key) {
        const Msat least = *Msat::from_raw(1);
        auto draw = services.till.draw_at_once(key, least);
        if (!draw) draw.emplace(co_await services.till.draw_of_books(key, least));
        // Who has too little is told how much is missing, which is known only then.
        if (!*draw && draw->error().why != DrawRefusal::Why::BalanceShort &&
            draw->error().why != DrawRefusal::Why::LimitExceeded) {
            Refused why{refused_draw(draw->error(), {}, least, options)};
            co_return fail(std::move(why));
        }
        draw.reset();
        FormBeginning begun;
        if (const FormRules* rules = form_rules(endpoint)) {
            begun = co_await begin_form(client, *rules);
        } else {
            const auto all = co_await client.read_body(std::numeric_limits<std::size_t>::max());
            begun.is_lost = !all;
        }
        if (begun.refusal) {
            Refused why{*std::move(begun.refusal)};
            co_return fail(std::move(why));
        }
        co_return std::move(begun);
    }

    // What came of one call, where it was not passed on.
    struct Refusal {
        Refused why;
        bool goes_on;                                      // Another one may be asked for the same.
        std::optional<Milliseconds> again = std::nullopt;  // This one too, after that time.
        bool has_ended = false;                            // So has the flight.
        bool is_our_own = false;                           // No upstream was asked.
    };

    // The first upstream that answers. Another one is tried only while nothing was done by the
    // last, and the same ones again only when none of them took it.
    http::Task<Served> forward(http::Exchange& client, Flight& flight) {
        const Model& model = flight.model();
        const UpstreamOrder order{model, turns.fetch_add(1, std::memory_order_relaxed)};
        std::bitset<kUpstreamsMax> is_out;
        std::optional<Refused> last;
        std::optional<Refused> our_own;
        std::optional<UpstreamGate::Away> away;
        bool goes_on = true;
        for (int repeats = 0; goes_on; ++repeats) {
            std::optional<Milliseconds> again;
            for (const std::size_t place : order.places()) {
                const Upstream& upstream = *model.upstreams[place].upstream;
                if (!upstream.traits().endpoints.contains(flight.order().endpoint())) continue;
                if (is_out.test(place)) continue;
                ClientWatch watch{client, patience_of(flight.order(), upstream.traits())};
                // Nobody is there to answer, and nothing was asked for yet.
                goes_on = !watch.has_left();
                if (!goes_on) break;
                auto gate = model_gates[index_of(model)][place]->enter();
                if (!gate) {
                    if (!away || gate.error().wait < away->wait) away = gate.error();
                    continue;
                }
                if (repeats > 0) flight.metrics().retries.add();
                auto refusal = co_await ask(client, flight, place, *gate, watch);
                if (!refusal) co_return Served{};
                (refusal->is_our_own ? our_own : last).emplace(std::move(refusal->why));
                if (refusal->has_ended) co_return fail(*std::move(last));
                goes_on = refusal->goes_on && !watch.has_left();
                if (!goes_on) break;
                is_out.set(place, !refusal->again);
                if (refusal->again)
                    again = std::min(again.value_or(*refusal->again), *refusal->again);
            }
            if (!goes_on || !again || repeats == options.retries_max) break;
            goes_on = co_await pause(client, retry_wait(repeats, options.retry_wait, *again));
        }
        flight.let_go();
        // Who could have served it comes before who could not.
        if (!last && away) last = Refused{upstream_away(*away)};
        if (!last) last = our_own ? std::move(our_own) : Refused{upstream_unreachable()};
        co_return fail(*std::move(last));
    }

    // False if the client left meanwhile.
    http::Task<bool> pause(http::Exchange& client, Milliseconds time) const {
        const ClientWatch watch{client, Milliseconds{}};
        co_await options.wait(time);
        co_return !watch.has_left();
    }

    // Empty: the client has all it gets, and the flight has ended.
    http::Task<std::optional<Refusal>> ask(http::Exchange& client, Flight& flight,
                                           std::size_t place, UpstreamGate::Call& gate,
                                           ClientWatch& watch) {
        const Model& model = flight.model();
        const Upstream& upstream = *model.upstreams[place].upstream;
        const auto prices = services.models.route_now(model, place, services.clock.now());
        flight.upstream_called(row_names[index_of(model)].upstreams[place], prices.cost,
                               prices.charged);
        FormPassage* const passage = flight.passage();
        if (passage != nullptr) {
            // What has not got all of a request does no work.
            flight.upstream_not_reached();
            passage->when_whole([&flight] { flight.upstream_reached(); });
        }
        const Answer answer = co_await call(client, flight, model.upstreams[place], watch);
        if (passage != nullptr && !passage->is_through()) {
            co_return co_await cut_short(flight, upstream, gate, watch, answer);
        }
        if (!answer) {
            const bool was_sent = answer.error() != http::UpstreamFailure::Unreachable;
            if (watch.has_given_up() && was_sent) {
                leave(flight);
                co_return std::nullopt;
            }
            gate.failed();
            log::warn("upstream_failed", {{"upstream", upstream.traits().name},
                                          {"failure", static_cast<int>(answer.error())}});
            flight.upstream_not_reached();
            Refusal refusal{Refused{upstream_failed(answer.error())}, !was_sent};
            if (!was_sent) refusal.again = Milliseconds{};
            co_return std::move(refusal);
        }
        http::UpstreamAnswer& found = **answer;
        // What this upstream's dialect has no words for says nothing about it, and another may
        // have.
        const bool is_our_own = found.is_our_own();
        if (!is_our_own) judge(gate, found);
        if (found.status() >= 200 && found.status() < 300) {
            const Leg leg{client, watch, found, upstream.traits()};
            Served served = co_await relay(leg, flight);
            if (served) co_return std::nullopt;
            Refusal refusal{std::move(served).error(), false};
            refusal.has_ended = true;
            co_return std::move(refusal);
        }
        flight.upstream_not_reached();
        Refused why = co_await refused(found, upstream);
        Refusal refusal{std::move(why), is_our_own || is_worth_another_try(found.status())};
        refusal.is_our_own = is_our_own;
        refusal.again = worth_repeating(found.status(), found.headers(), options.retry_after_max);
        bound_by(passage, refusal);
        co_return std::move(refusal);
    }

    // What has passed through and is no longer here, nobody else can be asked for.
    static void bound_by(const FormPassage* passage, Refusal& refusal) {
        if (passage == nullptr || !passage->is_spent()) return;
        refusal.goes_on = false;
        refusal.again.reset();
    }

    // A call that ended before the upstream had all of a form: so it did no work, whatever it says.
    http::Task<std::optional<Refusal>> cut_short(Flight& flight, const Upstream& upstream,
                                                 UpstreamGate::Call& gate, const ClientWatch& watch,
                                                 const Answer& answer) {
        const FormPassage& passage = *flight.passage();
        if (passage.lost() || watch.has_given_up()) {
            // Of a client that stays the server knows what to say.
            if (passage.lost().value_or(http::BodyFailure::Gone) == http::BodyFailure::Gone) {
                flight.metrics().clients_gone.add();
            }
            flight.let_go();
            co_return std::nullopt;
        }
        if (passage.refusal()) {
            Refusal refusal{Refused{*passage.refusal()}, false};
            co_return std::move(refusal);
        }
        if (!answer) {
            gate.failed();
            log::warn("upstream_failed", {{"upstream", upstream.traits().name},
                                          {"failure", static_cast<int>(answer.error())}});
            Refusal refusal{Refused{upstream_failed(answer.error())}, true};
            if (answer.error() == http::UpstreamFailure::Unreachable)
                refusal.again = Milliseconds{};
            bound_by(&passage, refusal);
            co_return std::move(refusal);
        }
        http::UpstreamAnswer& found = **answer;
        if (found.status() >= 200 && found.status() < 300) {
            gate.failed();
            Refusal refusal{Refused{upstream_nonsense()}, false};
            co_return std::move(refusal);
        }
        judge(gate, found);
        Refused why = co_await refused(found, upstream);
        Refusal refusal{std::move(why), is_worth_another_try(found.status())};
        refusal.again = worth_repeating(found.status(), found.headers(), options.retry_after_max);
        bound_by(&passage, refusal);
        co_return std::move(refusal);
    }

    // What an answer's head says of its upstream. Refusals that are about the request, or about a
    // model that it does not have, say that it works.
    static void judge(UpstreamGate::Call& call, const http::UpstreamAnswer& answer) {
        const int status = answer.status();
        if (status == 429) {
            const auto wait = retry_after_of(answer.headers());
            return wait ? call.asked_to_wait(*wait) : call.answered();
        }
        const bool is_ours_to_mend = status == 401 || status == 402 || status == 403;
        if (is_ours_to_mend || status >= 500) return call.failed();
        call.answered();
    }

    http::Task<Answer> call(http::Exchange& client, const Flight& flight, const Route& route,
                            ClientWatch& watch) {
        FormPassage* const passage = flight.passage();
        const std::string_view body =
            passage != nullptr ? passage->start() : std::string_view{client.request().body};
        UpstreamCall call = call_for(client, flight.order(), flight.model(), route, watch, body);
        if (passage != nullptr) {
            call.rest = passage;
            call.rest_bytes = passage->rest_bytes();
        }
        return route.upstream->call(std::move(call));
    }

    static UpstreamCall call_for(http::Exchange& client, const Order& order, const Model& model,
                                 const Route& route, ClientWatch& watch, std::string_view body) {
        return {.endpoint = order.endpoint(),
                .body = order.body_for(body, model, destination(model, route)),
                .content_type = std::string{order.content_type()},
                .betas = passed_betas(client.request().headers),
                .stream = order.is_stream(),
                .abandonment = watch.abandonment()};
    }

    // Free, but for those who have something to spend: an upstream does it for us, or we guess.
    http::Task<Served> count(http::Exchange& client, const KeyId& key, const Plan& plan) {
        const Msat least = *Msat::from_raw(1);
        auto draw = services.till.draw_at_once(key, least);
        if (!draw) draw.emplace(co_await services.till.draw_of_books(key, least));
        if (!*draw) {
            co_return fail(refused_draw(draw->error(), plan.model->id.text(), least, options));
        }
        draw.reset();  // What is free holds nothing: neither balance nor change.
        const Model& model = *plan.model;
        for (std::size_t place = 0; place < model.upstreams.size(); ++place) {
            const Route& route = model.upstreams[place];
            if (!route.upstream->traits().endpoints.contains(Endpoint::CountTokens)) continue;
            // What is free is no reason to ask more of an upstream than it may be asked.
            const auto gate = model_gates[index_of(model)][place]->enter();
            if (!gate) continue;
            ClientWatch watch{client, Milliseconds{}};
            const auto answer = co_await http::first_of(
                counted_by(
                    client, *route.upstream,
                    call_for(client, *plan.order, model, route, watch, client.request().body)),
                http::after(options.count_time_max));
            if (watch.has_left()) co_return Served{};
            if (answer.index() != 0 || !std::get<0>(answer)) continue;
            (void)co_await client.respond(*std::get<0>(answer));
            co_return Served{};
        }
        const Delivered prompt{.text_bytes = plan.order->fields().text_bytes};
        (void)co_await client.respond(
            estimated_count(estimate_tokens(prompt, model.bytes_per_token)));
        co_return Served{};
    }

    // Its count, or its refusal; empty if it has neither.
    http::Task<std::optional<http::Response>> counted_by(http::Exchange& client, Upstream& upstream,
                                                         UpstreamCall call) {
        const Answer answer = co_await upstream.call(std::move(call));
        if (!answer) co_return std::nullopt;
        http::UpstreamAnswer& found = **answer;
        std::string body = co_await read_beginning(found, kErrorBytesMax);
        if (found.status() == 200) {
            const bool is_count = find_usage(R"({"usage":)" + body + '}').has_value();
            if (!is_count) co_return std::nullopt;
            co_return http::json_response(200, std::move(body));
        }
        if (is_worth_another_try(found.status())) co_return std::nullopt;
        co_return error_response(Endpoint::CountTokens,
                                 upstream_refused(found.status(), found.headers(), body),
                                 client.request().request_id);
    }

    static void leave(Flight& flight) {
        flight.metrics().clients_gone.add();
        (void)flight.settle_stream(Flight::End::Cut);
    }

    http::Task<Refused> refused(http::UpstreamAnswer& answer, const Upstream& upstream) {
        // The words of an error are worth a moment, not the patience that an answer is worth.
        const auto first = co_await http::first_of(read_beginning(answer, kErrorBytesMax),
                                                   http::after(options.error_time_max));
        const std::string body = first.index() == 0 ? std::get<0>(first) : std::string{};
        // Not its body: it may repeat the prompt.
        log::warn("upstream_refused",
                  {{"upstream", upstream.traits().name}, {"status", answer.status()}});
        co_return Refused{upstream_refused(answer.status(), answer.headers(), body)};
    }

    http::Task<Served> relay(Leg leg, Flight& flight) const {
        const http::Headers& headers = leg.upstream.headers();
        if (is_of_type(headers, "text/event-stream")) return relay_stream(leg, flight);
        const bool is_sound = flight.order().whole_form() == WholeForm::Bytes;
        if (is_sound && !is_of_type(headers, "application/json")) return relay_bytes(leg, flight);
        return relay_whole(leg, flight, options.answer_bytes_max);
    }

    const Services services;
    const Options options;
    metrics::Counter& change_withheld{services.metrics.counter(
        "nutgate_proxy_change_withheld_total",
        "Answers without the change that was due with them; it stays on the balance.")};
    std::deque<ModelMetrics> metrics;  // In the order of the models.
    std::deque<std::pair<const Upstream*, UpstreamGate>> gates;
    std::vector<std::vector<UpstreamGate*>> model_gates;  // By model, and the order of its routes.
    std::vector<RowNames> row_names;                      // In the order of the models.
    std::array<std::int64_t, kEndpoints> endpoint_names{};
    std::atomic<std::uint64_t> turns = 0;
};

Gateway::Gateway(Services services, Options options)
    : impl_{std::make_unique<Impl>(std::move(services), std::move(options))} {}
Gateway::~Gateway() = default;

http::Task<void> Gateway::serve(http::Exchange& exchange, Endpoint endpoint) {
    if (const auto token = exchange.request().headers.find(kPaymentHeader)) {
        co_return co_await impl_->serve_paid(exchange, endpoint, std::string{*token});
    }
    auto key = impl_->identify(exchange, endpoint);
    Served served;
    if (!key) {
        served = co_await impl_->serve_token(exchange, endpoint);
    } else if (*key) {
        served = co_await impl_->serve(exchange, endpoint, **key);
    } else {
        served = fail(std::move(*key).error());
    }
    if (served) co_return;
    (void)co_await exchange.respond(
        error_response(endpoint, served.error().why(), exchange.request().request_id));
}

const Models& Gateway::models() const { return impl_->services.models; }

}  // namespace nutgate::proxy
