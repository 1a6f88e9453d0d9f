#include "nutgate/http/websocket.h"

#include <boost/asio/co_spawn.hpp>

#include <algorithm>
#include <exception>
#include <utility>

#include "nutgate/base/log.h"
#include "nutgate/base/verify.h"
#include "nutgate/base/work_pool.h"
#include "tls_client.h"
#include "websocket_hub.h"
#include "websocket_link.h"

namespace nutgate::http {
namespace {

std::optional<Url> parse_websocket_url(std::string_view text) {
    const auto scheme_end = text.find("://");
    if (scheme_end == std::string_view::npos) return std::nullopt;
    const auto scheme = text.substr(0, scheme_end);
    const bool is_plain = equal_without_case(scheme, "ws");
    if (!is_plain && !equal_without_case(scheme, "wss")) return std::nullopt;
    auto url = parse_url((is_plain ? "http" : "https") + std::string{text.substr(scheme_end)});
    if (!url || is_odd_address(url->host)) return std::nullopt;
    return url;
}

bool is_header(const Headers::Entry& entry) {
    return is_header_name(entry.first) && is_header_value(entry.second);
}

}  // namespace

WebSocketHub::WebSocketHub(WebSockets::Options given, metrics::Registry& metrics)
    : options{std::move(given)},
      tls_fault{set_up(tls, options.ca_file)},
      open_links{metrics.gauge("nutgate_websockets_open", "Outgoing WebSockets that are open")},
      chance_{std::random_device{}()},
      work_{io.get_executor()},
      thread_{[this] {
          name_this_thread("websockets");
          io.run();
      }},
      names{options.rules} {
    constexpr std::array<const char*, 5> kNames{"unreachable", "declined", "broken", "closed",
                                                "by_us"};
    for (std::size_t i = 0; i < ends_.size(); ++i) {
        ends_.at(i) =
            &metrics.counter("nutgate_websocket_ends_total",
                             "How attempts at outgoing WebSockets ended", {{"why", kNames.at(i)}});
    }
    if (tls_fault) log::error("websocket_certificates_unreadable", {{"why", tls_fault.message()}});
}

WebSocketHub::~WebSocketHub() {
    stop();
    VERIFY(admitted_.empty());
}

std::optional<WebSocketHub::LinkId> WebSocketHub::admit() {
    const std::lock_guard lock{mutex_};
    if (is_stopped_ || admitted_.size() >= options.connections_max) return std::nullopt;
    admitted_.insert(++last_id_);
    return last_id_;
}

void WebSocketHub::start(WebSocketLink& link) {
    {
        const std::lock_guard lock{mutex_};
        if (is_stopped_) return;
        running_.insert(link.id());
    }
    Posters::post(io.get_executor(), [this, &link] { run(link); });
}

void WebSocketHub::run(WebSocketLink& link) {
    if (is_ending_) link.end();
    live_.emplace(link.id(), &link);
    boost::asio::co_spawn(io, link.live(), [this, id = link.id()](const std::exception_ptr& error) {
        VERIFY(!error);
        live_.erase(id);
        const std::lock_guard lock{mutex_};
        running_.erase(id);
        changed_.notify_all();
    });
}

void WebSocketHub::end(LinkId id) {
    VERIFY(!is_this_thread());
    post(id, [](WebSocketLink& link) { link.end(); });
    std::unique_lock lock{mutex_};
    changed_.wait(lock, [this, id] { return !running_.contains(id); });
}

void WebSocketHub::release(LinkId id) {
    const std::lock_guard lock{mutex_};
    admitted_.erase(id);
}

void WebSocketHub::stop() {
    VERIFY(!is_this_thread());
    {
        const std::lock_guard lock{mutex_};
        is_stopped_ = true;
    }
    Posters::post(io.get_executor(), [this] {
        is_ending_ = true;
        for (const auto& [id, link] : live_) link->end();
    });
    {
        std::unique_lock lock{mutex_};
        changed_.wait(lock, [this] { return running_.empty(); });
    }
    io.stop();
    if (thread_.joinable()) thread_.join();
}

void WebSocketHub::post(LinkId id, std::function<void(WebSocketLink&)> action) {
    Posters::post(io.get_executor(), [this, id, action = std::move(action)] {
        const auto link = live_.find(id);
        if (link != live_.end() && !link->second->is_ending()) action(*link->second);
    });
}

Milliseconds WebSocketHub::by_chance(Milliseconds most) {
    return Milliseconds{std::uniform_int_distribution<Milliseconds::rep>{0, most.count()}(chance_)};
}

void WebSocketHub::count(WebSocketEnd::Kind kind) {
    ends_.at(static_cast<std::size_t>(kind))->add();
}

struct WebSockets::Impl {
    WebSocketHub hub;
};

WebSockets::WebSockets(Options options, metrics::Registry& metrics)
    : impl_{new Impl{.hub = {std::move(options), metrics}}} {}

WebSockets::~WebSockets() = default;

Result<std::unique_ptr<WebSocket>, WebSocketError> WebSockets::open(WebSocketOptions options,
                                                                    WebSocketEvents events) {
    auto url = parse_websocket_url(options.url);
    if (!url) return fail(WebSocketError{"malformed URL"});
    const auto& headers = options.headers.entries();
    if (!std::all_of(headers.begin(), headers.end(), is_header)) {
        return fail(WebSocketError{"malformed header"});
    }
    const auto id = impl_->hub.admit();
    if (!id) return fail(WebSocketError{"stopped, or too many connections"});
    auto link = std::make_unique<WebSocketLink>(impl_->hub, *id, *std::move(url),
                                                std::move(options), std::move(events));
    impl_->hub.start(*link);
    return std::unique_ptr<WebSocket>{std::move(link)};
}

void WebSockets::stop() { impl_->hub.stop(); }

}  // namespace nutgate::http
