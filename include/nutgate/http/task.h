// The coroutine type of the data plane: the one contract that names Boost.
//
// A coroutine never blocks. It awaits, or hands blocking work to somebody's thread and awaits that
// with completion<T>(). Parameters are taken by value or outlive the coroutine by construction.
// A coroutine that is cancelled (the loser of first_of(), or a server that has drained for long
// enough) unwinds by an exception from its next co_await; what it must give back, it gives back in
// destructors.
#pragma once

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <atomic>
#include <functional>
#include <memory>
#include <thread>
#include <utility>
#include <variant>

#include "nutgate/base/clock.h"

namespace nutgate::http {

// The executor is named, not erased: every resumption goes through it.
using Executor = boost::asio::io_context::executor_type;
template <class T>
using Task = boost::asio::awaitable<T, Executor>;
inline constexpr boost::asio::use_awaitable_t<Executor> use_task;

// The threads that are posting to an io_context. What they post may run, end the loop and with it
// the io_context while they are still on their way out of post(), which signals after it has
// unlocked; so the io_context waits for them before it goes.
class Posters final : public boost::asio::execution_context::service {
public:
    using key_type = Posters;
    // Asio's name, and it wants no const: NOLINTNEXTLINE(*-avoid-non-const-global-variables)
    static inline boost::asio::execution_context::id id;

    explicit Posters(boost::asio::execution_context& owner) : service{owner} {}

    // From any thread.
    template <class Function>
    static void post(const Executor& executor, Function function) {
        auto& posters = boost::asio::use_service<Posters>(executor.context());
        posters.count_.fetch_add(1, std::memory_order_relaxed);
        boost::asio::post(executor, std::move(function));
        posters.count_.fetch_sub(1, std::memory_order_release);
    }

private:
    void shutdown() noexcept override {
        while (count_.load(std::memory_order_acquire) != 0) std::this_thread::yield();
    }

    std::atomic<int> count_ = 0;
};

// Awaits something that ends on another thread. `start` is called at once with a function that must
// be called exactly once, from any thread, with the result; the coroutine goes on where it was. It
// can't be cancelled: a coroutine that awaits it ends when the other thread is done.
//
//     const auto failure = co_await completion<std::optional<StoreFailure>>(
//         [&](auto done) { database.submit(body, std::move(done)); });
template <class T, class Start>
Task<T> completion(Start start) {
    co_return co_await boost::asio::async_initiate<decltype(use_task), void(T)>(
        [&start](auto handler) {
            // std::function wants to copy what it holds, and a handler can only be moved.
            auto owned =
                std::make_shared<decltype(handler)>(std::move(handler));  // style: see above
            start(std::function<void(T)>{[owned](T result) {
                auto executor = boost::asio::get_associated_executor(*owned);
                Posters::post(executor, [owned, result = std::move(result)]() mutable {
                    std::move (*owned)(std::move(result));
                });
            }});
        },
        use_task);
}

// Ends after that time.
Task<void> after(Milliseconds delay);

// Runs both side by side on this thread until one ends, cancels the other, waits for it to unwind,
// and says by the variant's index which one it was (std::monostate for void).
//
//     const auto first = co_await first_of(exchange.client_gone(), answer->read());
template <class A, class B>
auto first_of(Task<A> a, Task<B> b) {
    using boost::asio::experimental::awaitable_operators::operator||;
    return std::move(a) || std::move(b);
}

}  // namespace nutgate::http
