// Runs coroutines of the data plane on the calling thread.
#pragma once

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

#include "nutgate/http/task.h"

namespace nutgate::test {

// One loop keeps what belongs to an io_context, pooled connections for instance, between runs.
class Loop {
public:
    template <class T>
    T run(http::Task<T> task) {
        bool is_done = false;
        std::exception_ptr error;
        if constexpr (std::is_void_v<T>) {
            boost::asio::co_spawn(io, std::move(task), [&](std::exception_ptr e) {
                error = std::move(e);
                is_done = true;
            });
            while (!is_done) io.run_one();
            if (error) std::rethrow_exception(error);
        } else {
            std::optional<T> result;
            boost::asio::co_spawn(io, wrap(std::move(task), result), [&](std::exception_ptr e) {
                error = std::move(e);
                is_done = true;
            });
            while (!is_done) io.run_one();
            if (error) std::rethrow_exception(error);
            return std::move(*result);
        }
    }

    boost::asio::io_context io{1};

private:
    // Without work in hand it would count as stopped between two runs.
    boost::asio::executor_work_guard<http::Executor> work_{io.get_executor()};

    // co_spawn wants a type with a default value, which not every result has.
    template <class T>
    static http::Task<void> wrap(http::Task<T> task, std::optional<T>& result) {
        result.emplace(co_await std::move(task));
    }
};

template <class T>
T run_task(http::Task<T> task) {
    return Loop{}.run(std::move(task));
}

}  // namespace nutgate::test
