// A real listener on a free port, with routes to try things at.
#pragma once

#include <doctest/doctest.h>

#include <atomic>
#include <functional>
#include <string>

#include "nutgate/base/metrics.h"
#include "nutgate/http/server.h"
#include "support/raw_socket.h"

namespace nutgate::test {

inline http::Server::Options small_options() {
    http::Server::Options options;
    options.name = "test";
    options.data_threads = 2;
    options.control_threads = 2;
    return options;
}

// "/echo" answers with what it got, "/path/{name}" with its value, "/stream" in pieces.
class ServerFixture {
public:
    explicit ServerFixture(http::Server::Options options = small_options(),
                           const std::function<void(http::Server&)>& set_up = {})
        : server{std::move(options), metrics} {
        using namespace http;
        server.route({Method::Post, "/echo"}, [](Exchange& exchange) -> Task<void> {
            Response response;
            response.body = exchange.request().body;
            co_await exchange.respond(std::move(response));
        });
        server.route_blocking({Method::Get, "/path/{name}"}, [](const Request& request) {
            Response response;
            response.body = "name=" + std::string{request.path_value("name")};
            return response;
        });
        server.route({Method::Get, "/stream"}, [](Exchange& exchange) -> Task<void> {
            Response response;
            response.body = "one,";
            co_await exchange.begin(std::move(response));
            co_await exchange.write("two,");
            co_await exchange.end("three");
        });
        if (set_up) set_up(server);
        const auto started = server.start();
        REQUIRE_MESSAGE(started, (started ? "" : started.error().detail));
    }

    RawSocket connect(int receive_buffer = 0) {
        return RawSocket::connect(server.port(), receive_buffer);
    }
    // The answer to one request on a connection of its own, which is then read to its end.
    std::string ask(std::string_view request) {
        auto client = connect();
        client.send(request);
        return client.read_answer();
    }

    metrics::Registry metrics;
    http::Server server;
};

inline bool has_status(std::string_view answer, int status) {
    return answer.starts_with("HTTP/1.1 " + std::to_string(status) + " ");
}

inline std::string body_of(const std::string& answer) {
    const auto at = answer.find("\r\n\r\n");
    return at == std::string::npos ? "" : answer.substr(at + 4);
}

}  // namespace nutgate::test
