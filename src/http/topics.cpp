#include "nutgate/http/topics.h"

#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>

#include <array>
#include <functional>
#include <map>

#include "net.h"
#include "nutgate/base/sync.h"

namespace nutgate::http {

struct Topics::Impl {
    using WaiterId = std::uint64_t;
    struct Waiter {
        Executor executor;
        Timer timer;  // Both are touched on the executor's thread only.
        bool is_published = false;
    };
    // What was published is remembered by a hash of its name: so the memory is bounded whatever the
    // names, and a collision costs a waiter one look for nothing.
    static constexpr std::size_t kBuckets = 4096;

    explicit Impl(std::size_t max) : waiters_max{max} {}

    std::size_t bucket_of(const std::string& topic) const {
        return std::hash<std::string>{}(topic) % kBuckets;
    }
    // Empty: something was published since, or there are too many waiters.
    enum class Entered { Waiting, Published, Full };
    Entered enter(Waiter& waiter, const std::string& topic, Ticket ticket, WaiterId& id);
    void leave(const std::string& topic, WaiterId id);
    void wake(WaiterId id);

    const std::size_t waiters_max;
    Mutex mutex;
    Ticket last GUARDED_BY(mutex) = 0;
    WaiterId last_waiter GUARDED_BY(mutex) = 0;
    std::array<Ticket, kBuckets> published GUARDED_BY(mutex){};
    std::multimap<std::string, WaiterId> by_topic GUARDED_BY(mutex);
    // A waiter leaves on its own thread, so on that thread what is found here is alive.
    std::map<WaiterId, Waiter*> waiters GUARDED_BY(mutex);
};

Topics::Topics(std::size_t waiters_max) : impl_{std::make_unique<Impl>(waiters_max)} {}
Topics::~Topics() = default;

Topics::Ticket Topics::ticket(const std::string&) {
    const Lock lock{impl_->mutex};
    return impl_->last;
}

Topics::Impl::Entered Topics::Impl::enter(Waiter& waiter, const std::string& topic, Ticket ticket,
                                          WaiterId& id) {
    const Lock lock{mutex};
    if (published.at(bucket_of(topic)) > ticket) return Entered::Published;
    if (waiters.size() >= waiters_max) return Entered::Full;
    id = ++last_waiter;
    waiters.emplace(id, &waiter);
    by_topic.emplace(topic, id);
    return Entered::Waiting;
}

void Topics::Impl::leave(const std::string& topic, WaiterId id) {
    const Lock lock{mutex};
    waiters.erase(id);
    const auto [begin, end] = by_topic.equal_range(topic);
    for (auto entry = begin; entry != end; ++entry) {
        if (entry->second == id) {
            by_topic.erase(entry);
            return;
        }
    }
}

void Topics::Impl::wake(WaiterId id) {
    const Lock lock{mutex};
    const auto found = waiters.find(id);
    if (found == waiters.end()) return;
    found->second->is_published = true;
    found->second->timer.cancel();
}

Task<bool> Topics::wait_for(std::string topic, Ticket ticket, Milliseconds timeout) {
    const Executor executor = co_await boost::asio::this_coro::executor;
    Impl::Waiter waiter{executor, Timer{executor}};
    Impl::WaiterId id = 0;
    const auto entered = impl_->enter(waiter, topic, ticket, id);
    if (entered != Impl::Entered::Waiting) co_return entered == Impl::Entered::Published;

    struct Leave {  // However the coroutine ends.
        Impl& impl;
        const std::string& topic;
        Impl::WaiterId id;
        ~Leave() { impl.leave(topic, id); }
    } const leave{*impl_, topic, id};
    waiter.timer.expires_after(timeout);
    co_await waiter.timer.async_wait(as_result);
    co_return waiter.is_published;
}

void Topics::publish(const std::string& topic) {
    const Lock lock{impl_->mutex};
    impl_->published.at(impl_->bucket_of(topic)) = ++impl_->last;
    const auto [begin, end] = impl_->by_topic.equal_range(topic);
    for (auto entry = begin; entry != end; ++entry) {
        boost::asio::post(impl_->waiters.at(entry->second)->executor,
                          [impl = impl_.get(), id = entry->second] { impl->wake(id); });
    }
}

}  // namespace nutgate::http
