#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "nutgate/base/log.h"
#include "nutgate/http/server.h"
#include "support/raw_socket.h"

namespace {

using namespace nutgate;
using namespace nutgate::http;

// Bounds that a short input can reach.
Server::Options small_options() {
    Server::Options options;
    options.data_threads = 1;
    options.control_threads = 1;
    options.head_bytes_max = 1024;
    options.header_count_max = 20;
    options.target_bytes_max = 256;
    options.chunk_extension_bytes_max = 64;
    options.body_bytes_max = 512;
    options.trusted_proxies = {"127.0.0.1"};
    return options;
}

// What a route is told of its request is what it answers with, so that nothing read differently
// goes unseen.
std::string told(const Request& request) {
    std::string text{to_text(request.method)};
    text.append(" ").append(request.path).append("?").append(request.query);
    text.append(" ").append(request.client_ip).append("\n");
    for (const auto& [name, value] : request.headers.entries()) {
        text.append(name).append(":").append(value).append("\n");
    }
    return text + request.body;
}

class Listener {
public:
    Listener() : server_{small_options(), metrics_} {
        log::set_level(log::Level::Error);
        server_.route({Method::Post, "/told"}, [](Exchange& exchange) -> Task<void> {
            Response response;
            response.body = told(exchange.request());
            co_await exchange.respond(std::move(response));
        });
        // The same of a body that is read by its handler, who keeps none of it.
        server_.route({.method = Method::Post, .pattern = "/asked", .reading = Reading::AsAsked},
                      [](Exchange& exchange) -> Task<void> {
                          Response response;
                          response.body = told(exchange.request());
                          while (!exchange.has_whole_body()) {
                              exchange.shed_body();
                              const auto more = co_await exchange.read_body(1);
                              if (!more) co_return;
                              response.body += exchange.request().body;
                          }
                          co_await exchange.respond(std::move(response));
                      });
        server_.route({Method::Get, "/stream/{rest*}"}, [](Exchange& exchange) -> Task<void> {
            Response response;
            response.body = "one,";
            co_await exchange.begin(std::move(response));
            co_await exchange.write(exchange.request().path_value("rest"));
            co_await exchange.end("three");
        });
        server_.route_blocking({Method::Get, "/{name}"}, [](const Request& request) {
            Response response;
            response.body = told(request);
            return response;
        });
        VERIFY(server_.start());
    }

    // All that is answered to these bytes, sent in pieces of this size, until the server closes.
    std::string answers_to(std::string_view bytes, std::size_t step) {
        auto client = test::RawSocket::connect(server_.port());
        const int now = 1;
        ::setsockopt(client.fd(), IPPROTO_TCP, TCP_NODELAY, &now, sizeof now);
        for (std::size_t at = 0; at < bytes.size(); at += step) {
            if (!client.send(bytes.substr(at, step))) break;
        }
        client.finish_sending();
        std::string answers = client.read_to_end();
        VERIFY(client.was_closed());
        VERIFY(!client.was_reset());
        return answers;
    }

private:
    metrics::Registry metrics_;
    Server server_;
};

// Of two runs these lines differ by nature.
std::string without_date_and_id(std::string_view answers) {
    std::string kept;
    while (answers.size() >= 2) {
        const auto end = std::min(answers.find("\r\n"), answers.size() - 2) + 2;
        const auto line = answers.substr(0, end);
        if (!line.starts_with("date: ") && !line.starts_with("x-request-id: ")) kept += line;
        answers.remove_prefix(end);
    }
    return kept.append(answers);
}

}  // namespace

// Whatever comes on a connection, and in whatever pieces, is answered the same; and the connection
// ends, with no reset that could overtake an answer. The first byte says where to cut.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0 || size > 4096) return 0;
    static Listener listener;
    const std::string_view bytes{reinterpret_cast<const char*>(data) + 1, size - 1};
    const std::string whole = listener.answers_to(bytes, bytes.size() + 1);
    const std::string cut = listener.answers_to(bytes, data[0] + std::size_t{1});
    VERIFY(whole.empty() || whole.starts_with("HTTP/1.1 "));
    VERIFY(without_date_and_id(whole) == without_date_and_id(cut));
    return 0;
}
