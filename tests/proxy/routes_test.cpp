#include "nutgate/proxy/routes.h"

#include <string>

#include "endpoints_test.h"
#include "nutgate/http/server.h"
#include "support/raw_socket.h"

using namespace nutgate;
using namespace nutgate::test;
using proxy::Endpoint;

namespace {

struct Face {
    Face() {
        proxy::add_routes(server, *node.gateway);
        REQUIRE(server.start());
    }
    // The head of the answer; each question has a connection of its own.
    std::string ask(const std::string& method, const std::string& path) {
        auto client = RawSocket::connect(server.port());
        client.send(method + " " + path +
                    " HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}");
        return client.read_until("\r\n\r\n");
    }

    static http::Server::Options small() {
        http::Server::Options options;
        options.data_threads = 1;
        options.control_threads = 1;
        return options;
    }

    Node node;
    http::Server server{small(), node.metrics};
};

bool has_status(const std::string& head, int status) {
    return head.starts_with("HTTP/1.1 " + std::to_string(status) + " ");
}

}  // namespace

TEST_CASE("routes: every path that is sold asks for a key, with and without v1") {
    Face face;
    for (const Endpoint endpoint : proxy::kAllEndpoints) {
        for (const std::string prefix : {"/v1", ""}) {
            const std::string path = prefix + std::string{proxy::path_of(endpoint)};
            CAPTURE(path);
            CHECK(has_status(face.ask("POST", path), 401));
            CHECK(has_status(face.ask("GET", path), 405));
        }
    }
    CHECK(has_status(face.ask("GET", "/v1/models"), 200));
    CHECK(has_status(face.ask("GET", "/models/small"), 200));
    CHECK(has_status(face.ask("GET", "/v1/models/none"), 404));
}

TEST_CASE("contract A4: what nobody can meter is not there, nor what others have stored") {
    Face face;
    for (const std::string prefix : {"/v1", ""}) {
        for (const std::string path : {"/files",
                                       "/files/file_1/content",
                                       "/uploads",
                                       "/batches",
                                       "/vector_stores",
                                       "/conversations",
                                       "/containers",
                                       "/fine_tuning/jobs",
                                       "/evals",
                                       "/assistants",
                                       "/threads",
                                       "/realtime",
                                       "/realtime/client_secrets",
                                       "/rerank",
                                       "/videos",
                                       "/images/variations",
                                       "/responses/resp_1",
                                       "/responses/resp_1/cancel",
                                       "/responses/compact",
                                       "/chat/completions/chatcmpl_1",
                                       "/messages/batches",
                                       "/organization/usage",
                                       "/edits",
                                       "/engines"}) {
            CAPTURE(prefix + path);
            for (const std::string method : {"GET", "POST", "DELETE"}) {
                CHECK(has_status(face.ask(method, prefix + path), 404));
            }
        }
    }
    CHECK(face.node.upstream.bodies().empty());
}
