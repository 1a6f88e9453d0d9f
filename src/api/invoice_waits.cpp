// The state of an invoice: at once, once it changes (?wait=seconds), or as events.
#include <algorithm>

#include "context.h"
#include "invoice_json.h"

namespace nutgate::api {
namespace {

using http::Exchange;
using http::Request;
using Asks = InvoiceWatch::Asks;

constexpr std::int64_t kWaitSecondsMax = 60;
constexpr Milliseconds kEventsMax{3'600'000};  // Then the stream ends; its reader comes again.
constexpr Milliseconds kHeartbeat{15'000};     // A comment, so that proxies keep the connection.

// Nothing more is to be waited for. Late money comes to an expired one, too, but who knows when.
bool is_over(InvoiceState state) {
    switch (state) {
        case InvoiceState::Opening:
        case InvoiceState::Pending:
        case InvoiceState::SettlementPending:
            return false;
        case InvoiceState::Paid:
        case InvoiceState::Expired:
        case InvoiceState::Cancelled:
            return true;
    }
    return true;
}

http::ApiError too_many_waits() {
    auto error = too_many_requests(Seconds{2});
    error.code = "too_many_waits";
    error.message = "Too many requests wait for invoices already. Ask without waiting.";
    return error;
}

Parsed<Milliseconds> wait_of(const Request& request) {
    TRY(const auto asked, Fields::of_query(request).integer("wait"));
    const auto seconds = asked.value_or(0);
    if (seconds < 0 || seconds > kWaitSecondsMax) {
        return fail(invalid_field("wait", "wait must be from 0 to 60 seconds"));
    }
    return Milliseconds{seconds * 1000};
}

http::Response to_response(const Answer& answer, const Request& request) {
    auto response = answer ? http::json_response(200, answer->dump())
                           : http::to_response(answer.error(), request.request_id);
    response.headers.set("Cache-Control", "no-store");
    return response;
}

// What of `left` one wait may take; less of it is left afterwards, unless something was told.
// False: the client is gone.
http::Task<bool> wait_a_while(Context& context, Exchange& exchange, InvoiceWatch::Ticket ticket,
                              Milliseconds& left) {
    const Milliseconds slice = std::min(left, InvoiceWatch::kReadAgain);
    http::Task<void> gone = exchange.client_gone();
    http::Task<bool> told = context.watch.wait(std::move(ticket), slice);
    const auto first = co_await http::first_of(std::move(gone), std::move(told));
    if (first.index() == 0) co_return false;
    // Told for nothing, which is seldom, must not make it endless.
    left -= std::get<1>(first) ? Milliseconds{1} : slice;
    co_return true;
}

http::Task<Answer> status_in_time(Context& context, Exchange& exchange, Milliseconds left) {
    const std::string id{exchange.request().path_value("invoice_id")};
    const bool waits = left > Milliseconds{0};
    const auto seat = waits ? context.watch.take_seat(exchange.request().client_ip)
                            : std::optional<InvoiceWatch::Seat>{};
    if (waits && !seat) {
        Answer refused = fail(too_many_waits());
        co_return refused;
    }
    Asks asks = Asks::Backend;
    while (true) {
        InvoiceWatch::Ticket ticket = context.watch.ticket(id);
        InvoiceWatch::Seen seen = co_await context.watch.look(id, asks);
        asks = Asks::Nobody;
        if (!seen) {
            Answer error = fail(seen.error());
            co_return error;
        }
        Answer answer = invoice_json(context, *seen);
        if (is_over(seen->state) || left <= Milliseconds{0}) co_return answer;
        const bool stays = co_await wait_a_while(context, exchange, std::move(ticket), left);
        if (!stays) co_return answer;
    }
}

http::Task<void> answer_status(Context& context, Exchange& exchange) {
    const Request& request = exchange.request();
    const auto wait = wait_of(request);
    const auto admitted = admit(context.statuses, request);
    Answer answer = Json::object();
    if (!wait) {
        answer = fail(wait.error());
    } else if (!admitted) {
        answer = fail(admitted.error());
    } else {
        answer = co_await status_in_time(context, exchange, *wait);
    }
    http::Response response = to_response(answer, request);
    (void)co_await exchange.respond(std::move(response));
}

std::string event_of(const Json& state) { return "event: status\ndata: " + state.dump() + "\n\n"; }

// Each state that it comes to, from the present one on.
http::Task<void> stream_states(Context& context, Exchange& exchange, InvoiceStatus first) {
    const std::string id{exchange.request().path_value("invoice_id")};
    InvoiceState shown = first.state;
    Json state = invoice_json(context, first);
    http::Response head;
    head.headers = {{"Content-Type", "text/event-stream; charset=utf-8"},
                    {"Cache-Control", "no-store"},
                    {"X-Accel-Buffering", "no"}};
    head.body = event_of(state);
    bool stays = co_await exchange.begin(std::move(head));
    Milliseconds left = kEventsMax;
    Milliseconds silent{0};
    while (stays && !is_over(shown) && left > Milliseconds{0}) {
        InvoiceWatch::Ticket ticket = context.watch.ticket(id);
        InvoiceWatch::Seen seen = co_await context.watch.look(id, Asks::Nobody);
        if (seen && seen->state != shown) {
            shown = seen->state;
            state = invoice_json(context, *seen);
            const std::string event = event_of(state);
            stays = co_await exchange.write(event);
            silent = Milliseconds{0};
            continue;
        }
        const Milliseconds before = left;
        stays = co_await wait_a_while(context, exchange, std::move(ticket), left);
        silent += before - left;
        if (stays && silent >= kHeartbeat) {
            stays = co_await exchange.write(": waiting\n\n");
            silent = Milliseconds{0};
        }
    }
    if (stays) (void)co_await exchange.end(std::string_view{});
}

http::Task<void> answer_events(Context& context, Exchange& exchange) {
    const Request& request = exchange.request();
    const std::string id{request.path_value("invoice_id")};
    Answer refused = Json::object();
    const auto admitted = admit(context.statuses, request);
    const auto seat = context.watch.take_seat(request.client_ip);
    if (!admitted) {
        refused = fail(admitted.error());
    } else if (!seat) {
        refused = fail(too_many_waits());
    } else {
        InvoiceWatch::Seen seen = co_await context.watch.look(id, Asks::Backend);
        if (seen) {
            co_await stream_states(context, exchange, *seen);
            co_return;
        }
        refused = fail(seen.error());
    }
    http::Response response = to_response(refused, request);
    (void)co_await exchange.respond(std::move(response));
}

}  // namespace

void add_invoice_waits(http::Server& server, Context& context, const std::string& prefix) {
    const std::string invoice = prefix + "/invoice/{invoice_id}";
    server.route({.method = http::Method::Get, .pattern = invoice + "/status"},
                 [&context](Exchange& exchange) { return answer_status(context, exchange); });
    server.route({.method = http::Method::Get, .pattern = invoice + "/events"},
                 [&context](Exchange& exchange) { return answer_events(context, exchange); });
}

}  // namespace nutgate::api
