#include "nutgate/cashu/mint_events.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <pthread.h>
#include <set>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

#include "client/subscription_text.h"
#include "nutgate/base/log.h"
#include "nutgate/http/websocket.h"

namespace nutgate::cashu {
namespace {

// Of all subscriptions at once, with names as long as names may be.
constexpr std::size_t kQueueBytesMax = 2 * 1024 * 1024;

// Hints wait here for a thread that may ask the mint, which that of the sockets may not.
class HintQueue {
public:
    void set(std::function<void(const QuoteId&)> hint) {
        const std::lock_guard lock{mutex_};
        hint_ = std::move(hint);
    }
    // One that waits already says all there is to say.
    void push(const QuoteId& quote) {
        {
            const std::lock_guard lock{mutex_};
            if (std::find(waiting_.begin(), waiting_.end(), quote) != waiting_.end()) return;
            waiting_.push_back(quote);
        }
        changed_.notify_one();
    }
    void stop() {
        thread_.request_stop();
        if (thread_.joinable()) thread_.join();
    }

private:
    void run(const std::stop_token& stop) {
        std::unique_lock lock{mutex_};
        while (changed_.wait(lock, stop, [this] { return !waiting_.empty(); }) &&
               !stop.stop_requested()) {
            const auto quote = std::move(waiting_.front());
            waiting_.pop_front();
            const auto hint = hint_;
            lock.unlock();
            if (hint) hint(quote);
            lock.lock();
        }
    }

    std::mutex mutex_;
    std::condition_variable_any changed_;
    std::function<void(const QuoteId&)> hint_;  // Guarded by mutex_, as is waiting_.
    std::deque<QuoteId> waiting_;
    std::jthread thread_{[this](const std::stop_token& stop) {
        ::pthread_setname_np(::pthread_self(), "watch-mint");
        run(stop);
    }};
};

// Whether that answer to a request to upgrade says that there is no such thing, and not that the
// mint is unwell or wants us to wait.
bool is_no(int status) {
    return status < 500 ? status != 408 && status != 425 && status != 429 : status == 501;
}

class SocketMintEvents final : public MintEvents {
public:
    SocketMintEvents(const MintUrl& mint, http::WebSockets& sockets, MintEventsOptions options,
                     metrics::Registry& metrics);
    ~SocketMintEvents() override { SocketMintEvents::stop(); }

    bool is_usable() const { return socket_ != nullptr; }

    void watch(const QuoteId& quote) override {
        if (!is_stopped_) socket_->run([this, quote] { add(quote); });
    }
    void forget(const QuoteId& quote) override {
        if (!is_stopped_) socket_->run([this, quote] { remove(quote); });
    }
    void on_hint(std::function<void(const QuoteId&)> hint) override { hints_.set(std::move(hint)); }
    void stop() override {
        is_stopped_ = true;
        hints_.stop();
    }

private:
    using Number = std::uint64_t;
    using Socket = http::WebSocket;
    using Quotes = std::set<QuoteId>;
    struct Watched {
        std::optional<Number> subscription;
        std::size_t told = 0;  // A hash of what was said of it last.
    };

    // All on the sockets' thread, and so without a lock.
    void add(const QuoteId& quote);
    void remove(const QuoteId& quote);
    void open(Socket& socket);
    void closed(Socket& socket, const http::WebSocketEnd& end);
    void message(Socket& socket, std::string_view text);
    void notified(const MintMessage& message);
    bool is_worth_joining(const Quotes& with, std::size_t size) const;
    void subscribe(Socket& socket, const Quotes& quotes);
    void unsubscribe(Socket& socket, Number number);
    void rest(Socket& socket, std::string_view why);
    void show();

    const std::string mint_;
    const MintEventsOptions options_;
    metrics::Counter& hinted_;
    metrics::Counter& bad_messages_;
    metrics::Gauge& watched_gauge_;
    metrics::Counter& unwatched_;

    std::atomic<bool> is_stopped_ = false;
    HintQueue hints_;
    // The sockets' thread's.
    std::map<QuoteId, Watched> watched_;
    std::map<Number, Quotes> subscriptions_;
    Number last_number_ = 0;
    std::uint64_t last_request_ = 0;
    int failures_ = 0;
    bool is_open_ = false;
    bool was_taken_ = false;  // A request of ours, since it opened.

    std::unique_ptr<http::WebSocket> socket_;  // Last: its callbacks use all above.
};

SocketMintEvents::SocketMintEvents(const MintUrl& mint, http::WebSockets& sockets,
                                   MintEventsOptions options, metrics::Registry& metrics)
    : mint_{mint.text()},
      options_{options},
      hinted_{metrics.counter("nutgate_mint_hints_total", "Quotes that a mint pushed something of",
                              {{"mint", mint_}})},
      bad_messages_{metrics.counter("nutgate_mint_events_bad_total",
                                    "Messages pushed by a mint that could not be read",
                                    {{"mint", mint_}})},
      watched_gauge_{
          metrics.gauge("nutgate_mint_events_watched", "Quotes listened for", {{"mint", mint_}})},
      unwatched_{metrics.counter("nutgate_mint_events_unwatched_total",
                                 "Quotes that were too many to be listened for",
                                 {{"mint", mint_}})} {
    http::WebSocketOptions where;
    if (!mint_.starts_with("http")) return;
    where.url = "ws" + mint_.substr(std::string_view{"http"}.size()) + "/v1/ws";
    where.queue_bytes_max = kQueueBytesMax;
    where.backoff_first = options_.backoff_first;
    where.backoff_max = options_.backoff_max;
    auto opened = sockets.open(
        std::move(where),
        {.on_open = [this](Socket& socket) { open(socket); },
         .on_message = [this](Socket& socket, std::string_view text) { message(socket, text); },
         .on_closed = [this](Socket& socket,
                             const http::WebSocketEnd& end) { closed(socket, end); }});
    if (opened) {
        socket_ = *std::move(opened);
    } else {
        log::warn("mint_events_not_opened", {{"mint", mint_}, {"why", opened.error().detail}});
    }
}

void SocketMintEvents::add(const QuoteId& quote) {
    if (watched_.contains(quote)) return;
    if (watched_.size() >= options_.filters_max * options_.subscriptions_max) {
        return unwatched_.add();
    }
    watched_.emplace(quote, Watched{});
    show();
    if (!is_open_) return;
    // A subscription can't be added to. The new quote is joined with the smallest ones as long as
    // they are no larger than what they are joined with, so that a quote changes its subscription
    // a few times at most, and there are few subscriptions.
    Quotes quotes{quote};
    std::vector<Number> joined;
    while (!subscriptions_.empty()) {
        const auto smallest = std::min_element(
            subscriptions_.begin(), subscriptions_.end(),
            [](const auto& a, const auto& b) { return a.second.size() < b.second.size(); });
        if (!is_worth_joining(smallest->second, quotes.size())) break;
        quotes.insert(smallest->second.begin(), smallest->second.end());
        joined.push_back(smallest->first);
        // Out of the list now, and out of the mint's once the new one is in it.
        subscriptions_.erase(smallest);
    }
    if (subscriptions_.size() >= options_.subscriptions_max) {
        watched_.erase(quote);
        show();
        return unwatched_.add();
    }
    subscribe(*socket_, quotes);
    for (const Number number : joined) unsubscribe(*socket_, number);
}

bool SocketMintEvents::is_worth_joining(const Quotes& with, std::size_t size) const {
    if (with.size() + size > options_.filters_max) return false;
    return with.size() <= size || subscriptions_.size() >= options_.subscriptions_max;
}

void SocketMintEvents::remove(const QuoteId& quote) {
    const auto found = watched_.find(quote);
    if (found == watched_.end()) return;
    const auto number = found->second.subscription;
    watched_.erase(found);
    show();
    const auto subscription = number ? subscriptions_.find(*number) : subscriptions_.end();
    if (subscription == subscriptions_.end()) return;
    subscription->second.erase(quote);
    if (!subscription->second.empty()) return;
    subscriptions_.erase(subscription);
    unsubscribe(*socket_, *number);
}

void SocketMintEvents::open(Socket& socket) {
    is_open_ = true;
    was_taken_ = false;
    subscriptions_.clear();
    Quotes quotes;
    for (auto& [quote, watched] : watched_) {
        quotes.insert(quote);
        if (quotes.size() < options_.filters_max) continue;
        subscribe(socket, std::exchange(quotes, {}));
    }
    if (!quotes.empty()) subscribe(socket, quotes);
}

void SocketMintEvents::subscribe(Socket& socket, const Quotes& quotes) {
    const Number number = ++last_number_;
    std::vector<std::string> filters;
    for (const auto& quote : quotes) {
        filters.push_back(quote.text());
        watched_.at(quote).subscription = number;
    }
    subscriptions_.emplace(number, quotes);
    // A queue that is full is that of a mint which takes nothing: it is begun anew.
    if (!socket.send(write_subscribe(++last_request_, number, filters))) {
        socket.close_for(Milliseconds{0});
    }
}

void SocketMintEvents::unsubscribe(Socket& socket, Number number) {
    if (is_open_) (void)socket.send(write_unsubscribe(++last_request_, number));
}

void SocketMintEvents::closed(Socket& socket, const http::WebSocketEnd& end) {
    using Kind = http::WebSocketEnd::Kind;
    is_open_ = false;
    if (end.kind == Kind::ByUs) return;
    log::info("mint_events_closed", {{"mint", mint_}, {"why", end.detail}});
    if (end.kind == Kind::Declined && is_no(end.status))
        return rest(socket, "it has no such thing");
    if (++failures_ >= options_.failures_max) rest(socket, "it fails again and again");
}

void SocketMintEvents::rest(Socket& socket, std::string_view why) {
    failures_ = 0;
    log::info("mint_events_rest", {{"mint", mint_}, {"why", why}, {"ms", options_.rest.count()}});
    socket.close_for(options_.rest);
}

void SocketMintEvents::message(Socket& socket, std::string_view text) {
    const auto message = parse_mint_message(text);
    if (!message) return bad_messages_.add();
    switch (message->kind) {
        case MintMessage::Kind::Taken:
            was_taken_ = true;
            failures_ = 0;
            return;
        case MintMessage::Kind::Refused:
            // Of many that were taken, one too many; the first of all is one that it does not know.
            if (!was_taken_) rest(socket, "it takes no subscription");
            return;
        case MintMessage::Kind::Notification:
            failures_ = 0;
            return notified(*message);
    }
}

void SocketMintEvents::notified(const MintMessage& message) {
    const auto quote = QuoteId::parse(message.quote);
    const auto found = quote ? watched_.find(*quote) : watched_.end();
    if (found == watched_.end()) return;
    // A new subscription tells what the old one told.
    const auto told = std::hash<std::string>{}(message.payload);
    if (std::exchange(found->second.told, told) == told) return;
    hinted_.add();
    hints_.push(found->first);
}

void SocketMintEvents::show() { watched_gauge_.set(static_cast<std::int64_t>(watched_.size())); }

}  // namespace

std::unique_ptr<MintEvents> make_mint_events(const MintUrl& mint, http::WebSockets& sockets,
                                             MintEventsOptions options,
                                             metrics::Registry& metrics) {
    auto made = std::make_unique<SocketMintEvents>(mint, sockets, options, metrics);
    if (!made->is_usable()) return nullptr;
    return made;
}

}  // namespace nutgate::cashu
