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
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <functional>
#include <memory>
#include <utility>
#include <variant>

#include "nutgate/base/clock.h"

namespace nutgate::http {

// The executor is named, not erased: every resumption goes through it.
using Executor = boost::asio::io_context::executor_type;
template <class T>
using Task = boost::asio::awaitable<T, Executor>;
inline constexpr boost::asio::use_awaitable_t<Executor> use_task;

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
                boost::asio::post(executor, [owned, result = std::move(result)]() mutable {
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
