#include "server_core.h"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>

#include <exception>
#include <utility>

#include "nutgate/base/log.h"
#include "nutgate/base/memory.h"
#include "server_connection.h"

namespace nutgate::http {
namespace {

// An envelope for servers that were given none. The words are ours and need no escaping.
Response plain_error(const Request&, int status, std::string_view code, std::string_view message) {
    std::string body = R"({"error":{"code":")";
    body.append(code).append(R"(","message":")").append(message).append("\"}}");
    return json_response(status, std::move(body));
}

}  // namespace

ServerShared::ServerShared(Server::Options given, metrics::Registry& registry)
    : options{std::move(given)},
      head_limits{.header_count_max = options.header_count_max,
                  .target_bytes_max = options.target_bytes_max,
                  .chunk_extension_bytes_max = options.chunk_extension_bytes_max},
      trusted_proxies{options.trusted_proxies},
      error_body{plain_error},
      metrics{registry},
      connections_gauge{registry.gauge("nutgate_http_connections", "Open client connections",
                                       {{"server", options.name}})},
      body_memory{options.bodies_bytes_max,
                  registry.gauge("nutgate_http_body_bytes", "Bytes of bodies held in memory",
                                 {{"server", options.name}})} {
    for (std::size_t digit = 1; digit < answers.size(); ++digit) {
        answers.at(digit) =
            &registry.counter("nutgate_http_requests_total", "Answered requests",
                              {{"server", options.name}, {"status", std::to_string(digit) + "xx"}});
    }
}

Response ServerShared::error_answer(const Request& request, const Refusal& refusal) const {
    auto response = error_body(request, refusal.status, refusal.code, refusal.message);
    if (refusal.status == 503) response.headers.set("retry-after", "1");
    return response;
}

void ServerShared::count_answer(int status) {
    const auto digit = static_cast<std::size_t>(status / 100);
    if (digit >= 1 && digit < answers.size()) answers.at(digit)->add();
}

void ServerShared::count_refusal(std::string_view code) {
    // The codes are this module's own words, so the labels are bounded.
    metrics
        .counter("nutgate_http_refusals_total", "Requests refused before any route saw them",
                 {{"server", options.name}, {"code", std::string{code}}})
        .add();
}

bool ServerShared::take_connection() {
    const std::lock_guard lock{mutex};
    if (connections >= options.connections_max) return false;
    ++connections;
    connections_gauge.add(1);
    return true;
}

void ServerShared::drop_connection() {
    const std::lock_guard lock{mutex};
    --connections;
    connections_gauge.add(-1);
    if (connections == 0) all_gone.notify_all();
}

Core::Core(ServerShared& shared, std::size_t number)
    : server{shared}, number_{number}, work_{io.get_executor()}, tending_{io} {}

Core::~Core() { stop_and_join(); }

void Core::start() {
    thread_ = std::jthread{[this] {
        name_this_thread("data-" + server.options.name + "-" + std::to_string(number_));
        if (server.options.on_data_thread_start) server.options.on_data_thread_start();
        tend_memory();
        io.run();
    }};
}

// What thousands of streams have left does not stay until there are as many again.
void Core::tend_memory() {
    constexpr std::chrono::seconds kEvery{1};
    tending_.expires_after(kEvery);
    tending_.async_wait([this](const NetError& error) {
        if (error) return;
        give_back_free_memory();
        tend_memory();
    });
}

void Core::stop_and_join() {
    io.stop();
    if (thread_.joinable()) thread_.join();
}

void Core::adopt(Socket socket) {
    boost::asio::post(
        io, [this, socket = std::move(socket)]() mutable { run_connection(std::move(socket)); });
}

void Core::run_connection(Socket socket) {
    auto entry = std::make_unique<Entry>();
    entry->connection = std::make_unique<Connection>(*this, std::move(socket));
    auto& connection = *entry->connection;
    auto slot = entry->cancel.slot();
    entries_.emplace(&connection, std::move(entry));
    boost::asio::co_spawn(
        io.get_executor(), connection.run(),
        boost::asio::bind_cancellation_slot(slot, [&connection](const std::exception_ptr&) {
            // An exception here is the cancellation's: those of routes end in dispatch().
            connection.finished();
        }));
}

void Core::remove(Connection& connection) {
    entries_.erase(&connection);
    server.drop_connection();
}

void Core::end_idle() {
    boost::asio::post(io, [this] {
        is_draining_ = true;
        for (auto& [connection, entry] : entries_) entry->connection->end_if_idle();
    });
}

void Core::cancel_all() {
    boost::asio::post(io, [this] {
        for (auto& [connection, entry] : entries_) {
            entry->connection->close();
            entry->cancel.emit(boost::asio::cancellation_type::terminal);
        }
    });
}

std::string_view Core::date() {
    const std::time_t now = std::time(nullptr);
    if (now != date_of_) {
        std::tm parts{};
        ::gmtime_r(&now, &parts);
        std::array<char, 40> text{};
        const auto size =
            std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
        date_.assign(text.data(), size);
        date_of_ = now;
    }
    return date_;
}

}  // namespace nutgate::http
