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
    : cashier_{cashier}, limits_{limits}, topics_{limits.in_all_max} {
    cashier_.on_invoice([this](const std::string& topic) { topics_.publish(topic); });
    for (std::size_t i = 0; i < kThreads; ++i) {
        threads_.emplace_back([this](const std::stop_token& stop) { run(stop); });
    }
}

InvoiceWatch::~InvoiceWatch() {
    cashier_.on_invoice({});
    for (std::jthread& thread : threads_) thread.request_stop();
    threads_.clear();
    for (Job& job : waiting_) job.done(fail(busy()));
}

void InvoiceWatch::submit(Job job) {
    {
        const std::lock_guard lock{mutex_};
        if (waiting_.size() < kLooksMax) {
            waiting_.push_back(std::move(job));
            changed_.notify_one();
            return;
        }
    }
    job.done(fail(busy()));
}

void InvoiceWatch::run(const std::stop_token& stop) {
    while (true) {
        Job job;
        {
            std::unique_lock lock{mutex_};
            if (!changed_.wait(lock, stop, [&] { return !waiting_.empty(); })) return;
            if (stop.stop_requested()) return;
            job = std::move(waiting_.front());
            waiting_.pop_front();
        }
        auto seen = job.asks == Asks::Backend ? cashier_.invoice_status(job.invoice_id)
                                              : cashier_.invoice_seen(job.invoice_id);
        if (seen) {
            job.done(*std::move(seen));
        } else {
            job.done(fail(to_api_error(seen.error())));
        }
    }
}

http::Task<InvoiceWatch::Seen> InvoiceWatch::look(std::string invoice_id, Asks asks) {
    Seen seen = co_await http::completion<Seen>([&](std::function<void(Seen)> done) {
        submit({.invoice_id = std::move(invoice_id), .asks = asks, .done = std::move(done)});
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
