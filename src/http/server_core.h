// What the connections of one server share: all of them, and those of one data thread.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include <array>
#include <atomic>
#include <condition_variable>
#include <ctime>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "body_memory.h"
#include "head_checks.h"
#include "net.h"
#include "nutgate/base/metrics.h"
#include "nutgate/base/work_pool.h"
#include "nutgate/http/server.h"
#include "peer.h"
#include "router.h"

namespace nutgate::http {

class Connection;

// Constant after start(), but for what has a synchronisation of its own.
struct ServerShared {
    ServerShared(Server::Options options, metrics::Registry& metrics);

    Response error_answer(const Request& request, const Refusal& refusal) const;
    void count_answer(int status);
    void count_refusal(std::string_view code);

    // One more or less; the second wakes drain() when it was the last.
    bool take_connection();
    void drop_connection();

    const Server::Options options;
    const HeadLimits head_limits;
    const TrustedProxies trusted_proxies;
    std::vector<std::string> own_hosts;  // "127.0.0.1:8402" and options.hosts.

    Router router;
    ErrorBody error_body;
    HeadFilter head_filter;
    std::optional<WorkPool> control_pool;

    metrics::Registry& metrics;
    std::array<metrics::Counter*, 6> answers{};  // By the status' first digit.
    metrics::Gauge& connections_gauge;
    BodyMemory body_memory;

    std::mutex mutex;
    std::condition_variable all_gone;
    std::size_t connections = 0;  // Guarded by mutex.
};

// One data thread and what belongs to it alone.
class Core {
public:
    Core(ServerShared& server, std::size_t number);
    ~Core();
    Core(const Core&) = delete;
    Core& operator=(const Core&) = delete;

    void start();
    void stop_and_join();

    // From any thread: they are done on this core's own.
    void adopt(Socket socket);
    void end_idle();  // Connections between requests now, the others after theirs.
    void cancel_all();

    // All below: on this core's thread.
    void remove(Connection& connection);
    bool is_draining() const { return is_draining_; }
    std::string_view date();  // "Fri, 20 Nov 2026 15:40:01 GMT"

    ServerShared& server;
    boost::asio::io_context io{1};
    RequestIds request_ids;

private:
    struct Entry {
        std::unique_ptr<Connection> connection;
        boost::asio::cancellation_signal cancel;
    };
    void run_connection(Socket socket);
    void tend_memory();

    const std::size_t number_;
    boost::asio::executor_work_guard<Executor> work_;
    Timer tending_;
    std::map<const Connection*, std::unique_ptr<Entry>> entries_;
    bool is_draining_ = false;
    std::time_t date_of_ = 0;
    std::string date_;
    std::jthread thread_;
};

}  // namespace nutgate::http
