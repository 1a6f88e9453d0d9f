// Both clients against a server whose certificate nobody but us knows.
#include <doctest/doctest.h>
#include <httplib.h>

#include <optional>
#include <string>
#include <thread>

#include "nutgate/base/metrics.h"
#include "nutgate/http/client.h"
#include "nutgate/http/upstream_client.h"
#include "support/certificate.h"
#include "support/fake_resolver.h"
#include "support/run_task.h"

using namespace nutgate;
using namespace nutgate::http;
using namespace nutgate::test;

namespace {

// Answers "/x" with "secret" over TLS, as `names` say it is ("DNS:localhost,IP:127.0.0.1").
class TlsServer {
public:
    explicit TlsServer(const std::string& names) : certificate_{names} {
        server_.emplace(certificate_.file.c_str(), certificate_.key.c_str());
        REQUIRE(server_->is_valid());
        server_->Post("/x", [](const httplib::Request& request, httplib::Response& response) {
            response.set_content("secret " + request.body, "text/plain");
        });
        port = server_->bind_to_any_port("127.0.0.1");
        thread_ = std::jthread{[this] { server_->listen_after_bind(); }};
        while (!server_->is_running()) std::this_thread::yield();
    }
    ~TlsServer() { server_->stop(); }

    const std::string& certificate() const { return certificate_.file; }
    int port = 0;

private:
    const Certificate certificate_;
    std::optional<httplib::SSLServer> server_;
    std::jthread thread_;
};

std::optional<std::string> ask_blocking(const TlsServer& server, const std::string& host,
                                        const std::string& ca_file) {
    const auto client = make_client({.ca_file = ca_file});
    ClientRequest request;
    request.method = Method::Post;
    request.url = "https://" + host + ":" + std::to_string(server.port) + "/x";
    request.body = "body";
    for (int i = 0; i < 2; ++i) {  // The second time over the same connection.
        const auto response = client->call(request);
        if (!response) {
            CHECK(response.error().kind == ClientError::Kind::NotSent);
            return std::nullopt;
        }
        CHECK(response->body == "secret body");
    }
    return "secret body";
}

Task<std::optional<std::string>> ask_once(UpstreamClient& client, BodySource* rest = nullptr,
                                          std::optional<std::uint64_t> bytes = std::nullopt) {
    UpstreamRequest request;
    request.target = "/x";
    request.body = "body";
    request.rest = rest;
    request.rest_bytes = bytes;
    auto answer = co_await client.send(std::move(request));
    if (!answer) {
        CHECK(answer.error() == UpstreamFailure::Unreachable);
        co_return std::nullopt;
    }
    std::string body;
    for (;;) {
        const auto piece = co_await (*answer)->read();
        if (!piece) co_return std::nullopt;
        if (piece->empty()) co_return body;
        body += *piece;
    }
}

std::optional<std::string> ask_upstream(const TlsServer& server, const std::string& host,
                                        const std::string& ca_file) {
    metrics::Registry metrics;
    UpstreamClient::Options options;
    options.base = *parse_url("https://" + host + ":" + std::to_string(server.port));
    options.ca_file = ca_file;
    const auto client = make_upstream_client(options, metrics);
    Loop loop;
    const auto first = loop.run(ask_once(*client));
    if (first) CHECK(loop.run(ask_once(*client)) == first);
    return first;
}

// So many letters, with a pause before each hundred thousand of them.
class SlowLetters final : public BodySource {
public:
    explicit SlowLetters(int hundreds_of_thousands) : left_{hundreds_of_thousands} {}
    Task<std::optional<std::string_view>> read() override {
        co_await after(Milliseconds{5});
        if (left_-- <= 0) co_return std::string_view{};
        co_return std::string_view{piece_};
    }
    bool rewind() override { return false; }

private:
    const std::string piece_ = std::string(100'000, 'x');
    int left_;
};

}  // namespace

TEST_CASE("tls: a request is sent while it comes, and its answer is read behind it") {
    const TlsServer server{"DNS:localhost"};
    metrics::Registry metrics;
    UpstreamClient::Options options;
    options.base = *parse_url("https://localhost:" + std::to_string(server.port));
    options.ca_file = server.certificate();
    const auto client = make_upstream_client(options, metrics);
    Loop loop;
    for (const std::optional<std::uint64_t> bytes :
         {std::optional<std::uint64_t>{300'000}, std::optional<std::uint64_t>{}}) {
        SlowLetters rest{3};
        const auto body = loop.run(ask_once(*client, &rest, bytes));
        CHECK(body == "secret body" + std::string(300'000, 'x'));
    }
}

TEST_CASE("tls: a certificate of our own is believed if we say so, by name and by address") {
    const TlsServer server{"DNS:localhost,IP:127.0.0.1"};
    for (const std::string host : {"localhost", "127.0.0.1"}) {
        CAPTURE(host);
        CHECK(ask_blocking(server, host, server.certificate()) == "secret body");
        CHECK(ask_upstream(server, host, server.certificate()) == "secret body");
    }
}

TEST_CASE("tls: a certificate that nobody vouches for is refused, and nothing is sent") {
    const TlsServer server{"DNS:localhost,IP:127.0.0.1"};
    CHECK_FALSE(ask_blocking(server, "localhost", ""));
    CHECK_FALSE(ask_upstream(server, "localhost", ""));
}

TEST_CASE("tls: a good certificate of another host is refused, and nothing is sent") {
    const TlsServer server{"DNS:other.example"};
    for (const std::string host : {"localhost", "127.0.0.1"}) {
        CAPTURE(host);
        CHECK_FALSE(ask_blocking(server, host, server.certificate()));
        CHECK_FALSE(ask_upstream(server, host, server.certificate()));
    }
}

TEST_CASE("tls: a call to a checked address still wants the certificate of the name") {
    FakeResolver names;
    names.set("mint.example", {"127.0.0.1"});
    for (const bool is_of_the_name : {true, false}) {
        const TlsServer server{is_of_the_name ? "DNS:mint.example" : "DNS:localhost,IP:127.0.0.1"};
        const auto client = make_client(
            {.ca_file = server.certificate(),
             .rules = {.resolver = &names, .is_public = [](std::string_view) { return true; }}});
        ClientRequest request;
        request.method = Method::Post;
        request.url = "https://mint.example:" + std::to_string(server.port) + "/x";
        request.reach = Reach::PublicOnly;
        const auto response = client->call(request);
        CHECK(response.has_value() == is_of_the_name);
        if (!response) CHECK(response.error().kind == ClientError::Kind::NotSent);
    }
}

TEST_CASE("tls: certificates that can't be read make every call fail, not every call pass") {
    const TlsServer server{"DNS:localhost"};
    CHECK_FALSE(ask_blocking(server, "localhost", "/nonexistent.crt"));
    CHECK_FALSE(ask_upstream(server, "localhost", "/nonexistent.crt"));
}

TEST_CASE("tls: who answers an https client in plain text was sent nothing") {
    httplib::Server server;
    const int port = server.bind_to_any_port("127.0.0.1");
    const std::jthread thread{[&server] { server.listen_after_bind(); }};
    while (!server.is_running()) std::this_thread::yield();
    const auto client = make_client({});
    ClientRequest request;
    request.url = "https://127.0.0.1:" + std::to_string(port) + "/x";
    const auto response = client->call(request);
    REQUIRE_FALSE(response);
    CHECK(response.error().kind == ClientError::Kind::NotSent);
    server.stop();
}
