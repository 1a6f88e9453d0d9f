// The coroutine type of the data plane: the one contract that names Boost.
//
// A coroutine never blocks. It awaits, or hands blocking work to somebody's thread and awaits that
// with completion<T>(). Parameters are taken by value or outlive the coroutine by construction.
#pragma once

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <functional>
#include <memory>
#include <utility>

namespace nutgate::http {

template <class T>
using Task = boost::asio::awaitable<T>;

// Awaits something that ends on another thread. `start` is called at once with a function that must
// be called exactly once, from any thread, with the result; the coroutine goes on where it was.
//
//     const auto failure = co_await completion<std::optional<StoreFailure>>(
//         [&](auto done) { database.submit(body, std::move(done)); });
template <class T, class Start>
Task<T> completion(Start start) {
    co_return co_await boost::asio::async_initiate<decltype(boost::asio::use_awaitable), void(T)>(
        [&start](auto handler) {
            // std::function wants to copy what it holds, and a handler can only be moved.
            auto owned = std::make_shared<decltype(handler)>(std::move(handler));  // style: see above
            start(std::function<void(T)>{[owned](T result) {
                auto executor = boost::asio::get_associated_executor(*owned);
                boost::asio::post(executor, [owned, result = std::move(result)]() mutable {
                    std::move (*owned)(std::move(result));
                });
            }});
        },
        boost::asio::use_awaitable);
}

}  // namespace nutgate::http
