#include "invoice_watch.h"

#include "client_limit.h"
#include "nutgate/api/api.h"

namespace nutgate::api {
namespace {

http::ApiError busy() {
    return {.status = 503,
            .type = "api_error",
            .code = "overloaded",
            .message = "Too many invoices are being asked about. Try again.",
            .headers = {{"Retry-After", "2"}}};
}

}  // namespace

InvoiceWatch::InvoiceWatch(Cashier& cashier, Limits limits)
    : cashier_{cashier},
      limits_{limits},
      topics_{limits.in_all_max},
      looks_{"invoices", kThreads, kLooksMax} {
    cashier_.on_invoice([this](const std::string& topic) { topics_.publish(topic); });
}

InvoiceWatch::~InvoiceWatch() { cashier_.on_invoice({}); }

InvoiceWatch::Seen InvoiceWatch::see(const std::string& invoice_id, Asks asks) {
    auto seen = asks == Asks::Backend ? cashier_.invoice_status(invoice_id)
                                      : cashier_.invoice_seen(invoice_id);
    if (!seen) return fail(to_api_error(seen.error()));
    return *std::move(seen);
}

http::Task<InvoiceWatch::Seen> InvoiceWatch::look(std::string invoice_id, Asks asks) {
    Seen seen = co_await http::completion<Seen>([&](std::function<void(Seen)> done) {
        const bool taken = looks_.submit([this, invoice_id, asks, done](WorkPool::Turn turn) {
            done(turn == WorkPool::Turn::Run ? see(invoice_id, asks) : Seen{fail(busy())});
        });
        if (!taken) done(fail(busy()));
    });
    co_return seen;
}

std::optional<InvoiceWatch::Seat> InvoiceWatch::take_seat(std::string_view client_ip) {
    std::string client = client_group(client_ip);
    const Lock lock{seats_mutex_};
    if (seated_ >= limits_.in_all_max) return std::nullopt;
    std::size_t& taken = seats_[client];
    if (taken >= limits_.per_client_max) return std::nullopt;
    ++taken;
    ++seated_;
    return std::optional<Seat>{std::in_place, *this, std::move(client)};
}

void InvoiceWatch::leave(const std::string& client) {
    const Lock lock{seats_mutex_};
    --seated_;
    const auto entry = seats_.find(client);
    if (--entry->second == 0) seats_.erase(entry);
}

InvoiceWatch::Ticket InvoiceWatch::ticket(std::string_view invoice_id) {
    std::string topic = cashier_.invoice_topic(invoice_id);
    const auto number = topics_.ticket(topic);
    return {.topic = std::move(topic), .number = number};
}

http::Task<bool> InvoiceWatch::wait(Ticket ticket, Milliseconds most) {
    const bool told = co_await topics_.wait_for(ticket.topic, ticket.number, most);
    co_return told;
}

}  // namespace nutgate::api
