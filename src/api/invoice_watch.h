// Whoever waits for an invoice: asked for its state, the node answers once that changes.
//
// A wait holds no thread and asks nobody: the watcher of invoices does, or its backend tells, and
// each of those who wait is woken to read what is stored. What a recovery brought about is told to
// nobody, so each reads again now and then. Bounded for each client and in all.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "nutgate/base/clock.h"
#include "nutgate/base/sync.h"
#include "nutgate/base/work_pool.h"
#include "nutgate/cashier/cashier.h"
#include "nutgate/http/error_envelope.h"
#include "nutgate/http/task.h"
#include "nutgate/http/topics.h"

namespace nutgate::api {

// Thread-safe.
class InvoiceWatch {
public:
    static constexpr std::size_t kThreads = 2;
    static constexpr std::size_t kLooksMax = 4096;  // That wait for a thread; beyond it: 503.
    static constexpr Milliseconds kReadAgain{5'000};

    struct Limits {
        std::size_t per_client_max;
        std::size_t in_all_max;
    };
    // From here on it is who the cashier tells of invoices.
    InvoiceWatch(Cashier& cashier, Limits limits);
    ~InvoiceWatch();
    InvoiceWatch(const InvoiceWatch&) = delete;
    InvoiceWatch& operator=(const InvoiceWatch&) = delete;

    enum class Asks { Backend, Nobody };
    using Seen = Result<InvoiceStatus, http::ApiError>;
    http::Task<Seen> look(std::string invoice_id, Asks asks);

    // The right to wait; given back when it goes.
    class Seat {
    public:
        Seat(InvoiceWatch& watch, std::string client)
            : watch_{&watch}, client_{std::move(client)} {}
        Seat(Seat&& other) noexcept
            : watch_{std::exchange(other.watch_, nullptr)}, client_{std::move(other.client_)} {}
        Seat& operator=(Seat&&) = delete;
        ~Seat() {
            if (watch_ != nullptr) watch_->leave(client_);
        }

    private:
        InvoiceWatch* watch_;
        std::string client_;
    };
    std::optional<Seat> take_seat(std::string_view client_ip);

    // Taken before a look, so that what changes between it and the wait is not missed.
    struct Ticket {
        std::string topic;
        http::Topics::Ticket number;
    };
    Ticket ticket(std::string_view invoice_id);
    // True once something was told of it.
    http::Task<bool> wait(Ticket ticket, Milliseconds most);

private:
    Seen see(const std::string& invoice_id, Asks asks);
    void leave(const std::string& client);

    Cashier& cashier_;
    const Limits limits_;
    http::Topics topics_;

    Mutex seats_mutex_;
    std::map<std::string, std::size_t> seats_ GUARDED_BY(seats_mutex_);  // By client.
    std::size_t seated_ GUARDED_BY(seats_mutex_) = 0;

    WorkPool looks_;
};

}  // namespace nutgate::api
