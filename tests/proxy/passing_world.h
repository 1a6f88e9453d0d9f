// A whole node on the wire: clients and upstreams are bytes on sockets, books and till are real.
#pragma once

#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fixture.h"
#include "nutgate/http/server.h"
#include "nutgate/proxy/routes.h"
#include "support/raw_server.h"
#include "support/raw_socket.h"

namespace nutgate::test {

// Opened by one thread, awaited by others. What was said when it opened is there to be read.
class Told {
public:
    void tell(std::string what = {}) {
        const std::lock_guard lock{mutex_};
        what_ = std::move(what);
        is_told_ = true;
        told_.notify_all();
    }
    // Empty if that takes too long.
    std::optional<std::string> wait() {
        std::unique_lock lock{mutex_};
        const bool came = told_.wait_for(lock, RawSocket::kPatience, [this] { return is_told_; });
        return came ? std::optional{what_} : std::nullopt;
    }

private:
    std::mutex mutex_;
    std::condition_variable told_;
    bool is_told_ = false;
    std::string what_;
};

inline std::string header_of(const std::string& head, const std::string& name) {
    const auto at = head.find("\r\n" + name + ": ");
    if (at == std::string::npos) return {};
    const auto begin = at + 2 + name.size() + 2;
    return head.substr(begin, head.find("\r\n", begin) - begin);
}

inline std::string dechunked(std::string_view framed) {
    std::string body;
    while (!framed.empty()) {
        const auto size = std::strtoul(std::string{framed.substr(0, 16)}.c_str(), nullptr, 16);
        if (size == 0) break;
        const auto begin = framed.find("\r\n") + 2;
        body += framed.substr(begin, size);
        framed.remove_prefix(begin + size + 2);
    }
    return body;
}

class PassingWorld {
public:
    static constexpr std::int64_t kBalance = 10'000'000;

    explicit PassingWorld(std::vector<RawServer::Script> scripts, proxy::Tariff price,
                          http::Server::Options options = small(),
                          Msat balance = *Msat::from_raw(kBalance))
        : upstreams_{upstreams_for(std::move(scripts))},
          node{Node::default_price(), {model_of(std::move(price))}},
          key{node.make_key(balance)},
          face_{std::move(options), node.metrics} {
        proxy::add_routes(face_, *node.gateway);
        REQUIRE(face_.start());
    }

    static http::Server::Options small() {
        http::Server::Options options;
        options.data_threads = 1;
        options.control_threads = 1;
        return options;
    }

    RawSocket connect() const { return RawSocket::connect(face_.port()); }

    // The head of a form; `bytes` of its body, or chunked.
    std::string head(std::string_view path, std::optional<std::size_t> bytes) const {
        return head_with(path, bytes, "Bearer " + node.keyring.text_of(key));
    }
    static std::string head_with(std::string_view path, std::optional<std::size_t> bytes,
                                 const std::string& authorization, const std::string& more = {}) {
        std::string text = "POST /v1" + std::string{path} + " HTTP/1.1\r\nHost: a\r\n" + more;
        if (!authorization.empty()) text += "Authorization: " + authorization + "\r\n";
        text += "Content-Type: multipart/form-data; boundary=xYz\r\n";
        text += bytes ? "Content-Length: " + std::to_string(*bytes) : "Transfer-Encoding: chunked";
        return text + "\r\n\r\n";
    }

    std::int64_t bytes_held() {
        return node.metrics
            .gauge("nutgate_http_body_bytes", "Bytes of bodies held in memory",
                   {{"server", "public"}})
            .value();
    }

    // What was charged, once all requests have ended and their charges are in the books. Nothing
    // is held by then; Node checks that.
    std::int64_t charged(Milliseconds patience = Milliseconds{20'000}) {
        face_.drain(patience);
        node.settle();
        const auto after = node.balance(key);
        CHECK(node.audit().faults == std::vector<std::string>{});
        return kBalance - after.posted.raw();
    }
    std::size_t calls(std::size_t upstream) const { return servers_.at(upstream)->accepted(); }

private:
    proxy::Model model_of(proxy::Tariff price) {
        proxy::Model model{.id = *ModelId::parse("media"), .price = std::move(price)};
        for (const auto& upstream : upstreams_) model.upstreams.emplace_back(upstream.get());
        model.upstream_model = "Vendor/Media";
        model.tokens_per_image_max = 1'000;
        for (const proxy::Endpoint endpoint : proxy::kAllEndpoints) model.endpoints.add(endpoint);
        return model;
    }

    std::vector<std::unique_ptr<proxy::Upstream>> upstreams_for(
        std::vector<RawServer::Script> scripts) {
        std::vector<std::unique_ptr<proxy::Upstream>> made;
        for (auto& script : scripts) {
            // None: nobody listens there.
            const bool is_dead = !script;
            auto server = std::make_unique<RawServer>(std::move(script));
            proxy::OpenAiOptions options;
            options.url = *http::parse_url(server->url());
            options.traits.name = "upstream-" + std::to_string(made.size());
            options.head_timeout = options.gap_timeout = Milliseconds{20'000};
            made.push_back(proxy::make_openai_upstream(std::move(options), upstream_metrics_));
            if (is_dead) server.reset();
            servers_.push_back(std::move(server));
        }
        return made;
    }

    metrics::Registry upstream_metrics_;
    std::vector<std::unique_ptr<RawServer>> servers_;
    std::vector<std::unique_ptr<proxy::Upstream>> upstreams_;

public:
    Node node;
    KeyId key;

private:
    http::Server face_;
};

}  // namespace nutgate::test
