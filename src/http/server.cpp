#include "nutgate/http/server.h"

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <thread>
#include <utility>
#include <vector>

#include "nutgate/base/log.h"
#include "nutgate/base/verify.h"
#include "server_core.h"

namespace nutgate::http {
namespace {

using Acceptor = boost::asio::basic_socket_acceptor<Tcp, Executor>;

std::string authority(const std::string& host, std::uint16_t port) {
    const bool is_v6 = host.find(':') != std::string::npos;
    return (is_v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

// Beyond the cap a connection costs one write and no reading.
void turn_away(Socket socket, const ServerShared& shared) {
    Request nobody;
    auto response =
        shared.error_answer(nobody, {503, "overloaded", "Too many connections; try again soon."});
    std::string text = "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\n";
    for (const auto& [name, value] : response.headers.entries()) {
        if (is_header_value(value)) text.append(name).append(": ").append(value).append("\r\n");
    }
    text.append("content-length: ").append(std::to_string(response.body.size())).append("\r\n\r\n");
    text.append(response.body);
    NetError ignored;
    socket.non_blocking(true, ignored);
    socket.write_some(boost::asio::buffer(text), ignored);
    socket.shutdown(Tcp::socket::shutdown_send, ignored);
}

}  // namespace

struct Server::Impl {
    Impl(Options options, metrics::Registry& metrics) : shared{std::move(options), metrics} {}

    Result<void, ServerError> listen();
    Task<void> accept_all();

    ServerShared shared;
    std::vector<std::unique_ptr<Core>> cores;
    // One listener, whose connections go to the cores in turn. With a listener for each core
    // (SO_REUSEPORT) the kernel's hash gives one core twice the connections of the other now and
    // then, and they stay for long.
    std::unique_ptr<Acceptor> acceptor;
    std::size_t next_core = 0;
    std::uint16_t port = 0;
    bool is_started = false;
    bool is_drained = false;
};

Server::Server(Options options, metrics::Registry& metrics)
    : impl_{std::make_unique<Impl>(std::move(options), metrics)} {}

Server::~Server() { drain(Milliseconds{0}); }

void Server::route(Route route, AsyncHandler handler) {
    VERIFY(!impl_->is_started);
    impl_->shared.router.add({std::move(route), std::move(handler), nullptr, {}});
}

void Server::route_blocking(Route route, BlockingHandler handler) {
    VERIFY(!impl_->is_started);
    impl_->shared.router.add({std::move(route), nullptr, std::move(handler), {}});
}

void Server::set_error_body(ErrorBody error_body) {
    impl_->shared.error_body = std::move(error_body);
}

void Server::set_head_filter(HeadFilter filter) { impl_->shared.head_filter = std::move(filter); }

std::uint16_t Server::port() const { return impl_->port; }
std::size_t Server::data_threads() const { return impl_->cores.size(); }

Result<void, ServerError> Server::Impl::listen() {
    const auto& options = shared.options;
    const auto where = authority(options.host, options.port);
    if (!shared.trusted_proxies.malformed().empty()) {
        return fail(
            ServerError{"trusted proxy is no address: " + shared.trusted_proxies.malformed()});
    }
    auto& io = cores.front()->io;
    boost::asio::ip::basic_resolver<Tcp, Executor> resolver{io.get_executor()};
    NetError error;
    const auto found = resolver.resolve(options.host, std::to_string(options.port),
                                        boost::asio::ip::resolver_base::passive, error);
    if (error || found.empty()) return fail(ServerError{where + ": " + error.message()});
    const Tcp::endpoint endpoint = *found.begin();

    acceptor = std::make_unique<Acceptor>(io.get_executor());
    const auto try_each = [&](auto&&... steps) { return ((steps(), !error) && ...); };
    const bool is_open =
        try_each([&] { acceptor->open(endpoint.protocol(), error); },
                 [&] { acceptor->set_option(Acceptor::reuse_address{true}, error); },
                 [&] { acceptor->bind(endpoint, error); },
                 [&] { acceptor->listen(Acceptor::max_listen_connections, error); },
                 [&] { port = acceptor->local_endpoint(error).port(); });
    if (!is_open) return fail(ServerError{where + ": " + error.message()});
    shared.own_hosts = options.hosts;
    shared.own_hosts.push_back(authority(options.host, port));
    return {};
}

Result<void, ServerError> Server::start() {
    VERIFY(!impl_->is_started);
    const auto& options = impl_->shared.options;
    const auto asked = options.data_threads;
    const auto threads = asked > 0 ? asked : std::max(1U, std::jthread::hardware_concurrency());
    for (std::size_t i = 0; i < threads; ++i) {
        impl_->cores.push_back(std::make_unique<Core>(impl_->shared, i));
    }
    if (auto listening = impl_->listen(); !listening) {
        impl_->acceptor.reset();  // Before the loop that it belongs to.
        impl_->cores.clear();
        return listening;
    }
    impl_->shared.control_pool.emplace("control-" + options.name,
                                       std::max<std::size_t>(1, options.control_threads),
                                       options.control_queue_max);
    impl_->is_started = true;
    boost::asio::co_spawn(impl_->cores.front()->io.get_executor(), impl_->accept_all(),
                          boost::asio::detached);
    for (auto& core : impl_->cores) core->start();
    return {};
}

Task<void> Server::Impl::accept_all() {
    while (acceptor->is_open()) {
        auto& core = *cores[next_core++ % cores.size()];
        auto [error, socket] = co_await acceptor->async_accept(core.io.get_executor(), as_result);
        if (error == boost::asio::error::operation_aborted) co_return;
        if (error) {
            // Mostly that the process is out of descriptors; the client is still in the backlog.
            constexpr Milliseconds kPause{50};
            log::warn("http_accept_failed",
                      {{"server", shared.options.name}, {"why", error.message()}});
            co_await after(kPause);
            continue;
        }
        if (shared.take_connection()) {
            core.adopt(std::move(socket));
        } else {
            shared.count_refusal("connections");
            turn_away(std::move(socket), shared);
        }
    }
}

void Server::drain(Milliseconds deadline) {
    if (!impl_->is_started || std::exchange(impl_->is_drained, true)) return;
    boost::asio::post(impl_->cores.front()->io, [this] {
        NetError ignored;
        impl_->acceptor->close(ignored);
    });
    for (auto& core : impl_->cores) core->end_idle();
    {
        auto& shared = impl_->shared;
        std::unique_lock lock{shared.mutex};
        const auto is_empty = [&shared] { return shared.connections == 0; };
        if (!shared.all_gone.wait_for(lock, deadline, is_empty)) {
            lock.unlock();
            for (auto& core : impl_->cores) core->cancel_all();
            lock.lock();
            shared.all_gone.wait(lock, is_empty);
        }
    }
    for (auto& core : impl_->cores) core->stop_and_join();
    impl_->shared.control_pool.reset();
    impl_->acceptor.reset();
    impl_->cores.clear();
}

}  // namespace nutgate::http
