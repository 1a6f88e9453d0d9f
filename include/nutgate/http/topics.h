// Waiting for an event by name without holding a thread: long-polls wait, whoever changes the thing
// publishes. An event published while nobody waits is not kept, so a waiter first takes its ticket,
// then looks at the thing, then waits.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "nutgate/base/clock.h"
#include "nutgate/http/task.h"

namespace nutgate::http {

// Thread-safe. Bounded: beyond `waiters_max` a wait ends at once. Outlives the servers whose routes
// wait.
class Topics {
public:
    explicit Topics(std::size_t waiters_max = 10'000);
    ~Topics();
    Topics(const Topics&) = delete;
    Topics& operator=(const Topics&) = delete;

    using Ticket = std::uint64_t;
    Ticket ticket(const std::string& topic);
    // True once something was published after the ticket was taken, false at the deadline. Seldom
    // true for nothing, so the caller looks again.
    Task<bool> wait_for(std::string topic, Ticket ticket, Milliseconds timeout);
    void publish(const std::string& topic);

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace nutgate::http
