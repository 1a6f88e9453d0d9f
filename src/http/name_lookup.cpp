#include "name_lookup.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <netdb.h>
#include <netinet/in.h>
#include <optional>
#include <sys/socket.h>
#include <utility>

#include "nutgate/base/work_pool.h"

namespace nutgate::http {
namespace {

std::optional<std::string> text_of(const addrinfo& entry) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (entry.ai_family == AF_INET) {
        const auto* address = reinterpret_cast<const sockaddr_in*>(entry.ai_addr);
        ::inet_ntop(AF_INET, &address->sin_addr, text.data(), text.size());
        return text.data();
    }
    if (entry.ai_family == AF_INET6) {
        const auto* address = reinterpret_cast<const sockaddr_in6*>(entry.ai_addr);
        ::inet_ntop(AF_INET6, &address->sin6_addr, text.data(), text.size());
        return text.data();
    }
    return std::nullopt;
}

class SystemResolver final : public Resolver {
public:
    std::vector<std::string> resolve(const std::string& host) override {
        addrinfo wanted{};
        wanted.ai_family = AF_UNSPEC;
        wanted.ai_socktype = SOCK_STREAM;
        wanted.ai_flags = AI_ADDRCONFIG;
        addrinfo* found = nullptr;
        if (::getaddrinfo(host.c_str(), nullptr, &wanted, &found) != 0) return {};
        std::vector<std::string> addresses;
        for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) {
            auto text = text_of(*entry);
            if (text) addresses.push_back(*std::move(text));
        }
        ::freeaddrinfo(found);
        return addresses;
    }
};

}  // namespace

bool is_address(const std::string& host) {
    std::array<std::byte, 16> bytes{};
    return ::inet_pton(AF_INET, host.c_str(), bytes.data()) == 1 ||
           ::inet_pton(AF_INET6, host.c_str(), bytes.data()) == 1;
}

bool is_odd_address(std::string_view host) {
    if (is_address(std::string{host})) return false;
    if (host.ends_with('.')) host.remove_suffix(1);
    // No top-level domain is a number.
    const auto last = host.substr(host.rfind('.') + 1);
    const bool is_decimal =
        std::all_of(last.begin(), last.end(), [](char c) { return c >= '0' && c <= '9'; });
    return is_decimal || last.starts_with("0x") || last.starts_with("0X") ||
           host.find_first_of("%:") != std::string_view::npos;
}

Result<Addresses, std::string> reachable(Reach reach, const std::string& host, Addresses found,
                                         const ReachRules& rules) {
    if (found.empty()) return fail("no such host: " + host);
    if (reach == Reach::Anywhere) return found;
    for (const std::string& address : found) {
        if (!rules.is_public(address)) {
            return fail(host + " is at " + address + ", which is not a public address");
        }
    }
    return found;
}

NameLookup::NameLookup(const ReachRules& rules)
    : system_{rules.resolver == nullptr ? std::make_unique<SystemResolver>() : nullptr},
      resolver_{rules.resolver == nullptr ? *system_ : *rules.resolver} {}

NameLookup::~NameLookup() {
    {
        const std::lock_guard lock{mutex_};
        is_closing_ = true;
        queue_.clear();
    }
    queued_.notify_all();
    threads_.clear();  // Joins; nobody adds to them now.
}

void NameLookup::start(std::string host, const Done& done) {
    bool is_queued = false;
    {
        const std::lock_guard lock{mutex_};
        if (queue_.size() < kQueueMax) {
            queue_.push_back({std::move(host), done});
            is_queued = true;
            if (idle_ < queue_.size() && threads_.size() < kThreadsMax) {
                threads_.emplace_back([this, name = "resolve-" + std::to_string(threads_.size())] {
                    name_this_thread(name);
                    run();
                });
            }
        }
    }
    if (!is_queued) return done({});
    queued_.notify_one();
}

Addresses NameLookup::wait(const std::string& host,
                           std::chrono::steady_clock::time_point deadline) {
    std::uint64_t ticket = 0;
    {
        const std::lock_guard lock{mutex_};
        ticket = ++last_ticket_;
        waited_for_.emplace(ticket, Addresses{});
    }
    bool is_here = false;
    // Who has left is not in the list any more.
    start(host, [this, ticket, &is_here](Addresses found) {
        const std::lock_guard lock{mutex_};
        const auto waiting = waited_for_.find(ticket);
        if (waiting == waited_for_.end()) return;
        waiting->second = std::move(found);
        is_here = true;
        answered_.notify_all();
    });
    std::unique_lock lock{mutex_};
    answered_.wait_until(lock, deadline, [&is_here] { return is_here; });
    return waited_for_.extract(ticket).mapped();
}

void NameLookup::run() {
    std::unique_lock lock{mutex_};
    for (;;) {
        ++idle_;
        queued_.wait(lock, [this] { return is_closing_ || !queue_.empty(); });
        --idle_;
        if (is_closing_) return;
        const Job job = std::move(queue_.front());
        queue_.pop_front();
        lock.unlock();
        job.done(resolver_.resolve(job.host));
        lock.lock();
    }
}

}  // namespace nutgate::http
