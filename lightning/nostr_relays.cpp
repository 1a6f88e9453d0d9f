#include "nostr_relays.h"

#include <algorithm>
#include <utility>

#include "nutgate/base/log.h"
#include "nutgate/base/verify.h"
#include "nutgate/http/url.h"

namespace nutgate::lightning {
namespace {

constexpr std::string_view kProfile = "profile";
constexpr std::string_view kNotes = "notes";
constexpr std::string_view kAsk = "ask-";
constexpr std::size_t kAskDigits = 32;  // Of the request's id; relays take names of 64 bytes.
constexpr int kAuthenticationKind = 22'242;
constexpr std::size_t kQueueBytesMax = 4 * 1024 * 1024;

// Without what may be secret in a path.
std::string host_of(const std::string& url) {
    const auto begin = url.find("://");
    if (begin == std::string::npos) return {};
    const auto end = url.find_first_of("/?", begin + 3);
    return url.substr(begin + 3, end == std::string::npos ? end : end - begin - 3);
}

}  // namespace

NostrRelays::NostrRelays(RelayOptions options, const crypto::Scalar& key, http::WebSockets& sockets,
                         const Clock& clock, crypto::Random& random,
                         std::function<void(const NostrEvent&)> on_note)
    : options_{std::move(options)},
      key_{key},
      us_{to_hex(crypto::generator_times(key).x_only())},
      clock_{clock},
      random_{random},
      on_note_{std::move(on_note)} {
    for (const std::string& url : options_.urls) {
        relays_.push_back({.url = url,
                           .host = host_of(url),
                           .stored = {},
                           .authentication = {},
                           .period_began = Steady::now()});
    }
    for (std::size_t i = 0; i < options_.urls.size(); ++i) {
        auto opened = sockets.open(socket_options(options_.urls[i]), socket_events(i));
        if (!opened) {
            log::warn("relay_not_opened",
                      {{"backend", options_.name}, {"why", opened.error().detail}});
            const std::lock_guard lock{mutex_};
            relays_[i].reach = Reach::Away;
        }
        sockets_.push_back(opened ? *std::move(opened) : nullptr);
    }
}

NostrRelays::~NostrRelays() { cease(); }

http::WebSocketOptions NostrRelays::socket_options(const std::string& url) const {
    http::WebSocketOptions wanted;
    wanted.url = url;
    wanted.message_bytes_max = kRelayMessageMax;
    wanted.queue_bytes_max = kQueueBytesMax;
    wanted.backoff_first = options_.backoff_first;
    wanted.backoff_max = options_.backoff_max;
    return wanted;
}

http::WebSocketEvents NostrRelays::socket_events(std::size_t number) {
    http::WebSocketEvents events;
    events.on_open = [this, number](http::WebSocket& socket) { opened(number, socket); };
    events.on_closed = [this, number](http::WebSocket&, const http::WebSocketEnd& end) {
        closed(number, end);
    };
    events.on_message = [this, number](http::WebSocket& socket, std::string_view text) {
        message(number, socket, text);
        changed_.notify_all();  // Whoever waits looks at the time anew, too.
    };
    return events;
}

void NostrRelays::cease() {
    {
        const std::lock_guard lock{mutex_};
        has_ceased_ = true;
    }
    changed_.notify_all();
}

std::size_t NostrRelays::ready() const {
    const std::lock_guard lock{mutex_};
    return static_cast<std::size_t>(std::ranges::count(relays_, Reach::Ready, &Relay::reach));
}

bool NostrRelays::is_any(Reach reach) const {
    return std::ranges::find(relays_, reach, &Relay::reach) != relays_.end();
}

bool NostrRelays::wait(std::unique_lock<std::mutex>& lock, const Deadline& deadline,
                       const std::function<bool()>& done) {
    while (!done()) {
        const bool all_away =
            !is_any(Reach::Ready) && !is_any(Reach::Open) && !is_any(Reach::Connecting);
        const auto until =
            all_away ? std::min(deadline.steady, away_since_ + options_.patience) : deadline.steady;
        if (has_ceased_ || clock_.now() >= deadline.time || Steady::now() >= until) return false;
        changed_.wait_until(lock, until);
    }
    return true;
}

Result<NostrEvent, RelayError> NostrRelays::profile(Milliseconds timeout) {
    const auto deadline = after(timeout);
    std::unique_lock lock{mutex_};
    // Known, or nobody who could still show one.
    const bool over = wait(lock, deadline, [this] {
        return profile_ ||
               (is_any(Reach::Ready) && !is_any(Reach::Open) && !is_any(Reach::Connecting));
    });
    if (profile_) return *profile_;
    return fail(over ? RelayError::NoAnswer : RelayError::NotSent);
}

Result<NostrEvent, RelayError> NostrRelays::ask(const NostrEvent& request, Repeat repeat,
                                                Milliseconds timeout) {
    const auto deadline = after(timeout);
    std::unique_lock lock{mutex_};
    if (!wait(lock, deadline, [this] { return is_any(Reach::Ready); }) || has_ceased_ ||
        asked_.size() >= kAsksMax || asked_.contains(request.id)) {
        return fail(RelayError::NotSent);
    }
    Asked& asked = asked_[request.id];
    asked.subscription = kAsk;
    asked.subscription += to_hex(request.id).substr(0, kAskDigits);
    asked.subscribe = write_subscribe(asked.subscription, {{"kinds", {options_.answer_kind}},
                                                           {"authors", {to_hex(options_.peer)}},
                                                           {"#e", {to_hex(request.id)}}});
    asked.publish = write_event(request);
    asked.repeat = repeat;
    for (std::size_t i = 0; i < relays_.size(); ++i) {
        if (relays_[i].reach == Reach::Ready) asked.tried.insert(i);
    }
    const auto tried = asked.tried;
    lock.unlock();
    for (const std::size_t i : tried) {
        // One that is just going is not waited for; it may come back.
        if (!sockets_[i]->send(asked.subscribe)) drop(request.id, i);
    }
    lock.lock();
    wait(lock, deadline, [&] { return asked.answer || asked.is_refused(); });
    const Asked over = std::move(asked);
    asked_.erase(request.id);
    lock.unlock();
    auto subscribed = over.tried;
    subscribed.insert(tried.begin(), tried.end());
    for (const std::size_t i : subscribed) {
        (void)sockets_[i]->send(write_close(over.subscription));
    }
    if (over.answer) return *over.answer;
    if (over.given.empty()) return fail(RelayError::NotSent);
    return fail(over.is_refused() ? RelayError::NotTaken : RelayError::NoAnswer);
}

void NostrRelays::drop(const NostrId& request, std::size_t number) {
    const std::lock_guard lock{mutex_};
    asked_.at(request).tried.erase(number);
}

NostrRelays::Asked* NostrRelays::find(std::string_view subscription) {
    for (auto& [id, asked] : asked_) {
        if (asked.subscription == subscription) return &asked;
    }
    return nullptr;
}

bool NostrRelays::is_ours(const std::string& subscription) {
    return subscription == kProfile || subscription == kNotes || subscription.starts_with(kAsk);
}

void NostrRelays::opened(std::size_t number, http::WebSocket& socket) {
    {
        const std::lock_guard lock{mutex_};
        Relay& relay = relays_[number];
        relay.reach = Reach::Open;
        relay.stored.clear();
        relay.authentication.reset();
        relay.is_authenticated = false;
        relay.challenges = 0;
        relay.bad_frames = 0;
        relay.frames = 0;
        relay.period_began = Steady::now();
    }
    subscribe(socket);
    changed_.notify_all();
}

void NostrRelays::subscribe(http::WebSocket& socket) {
    const std::string peer = to_hex(options_.peer);
    const std::vector<int> kinds{options_.note_kinds.begin(), options_.note_kinds.end()};
    const bool sent =
        socket.send(write_subscribe(
            kProfile, {{"kinds", {options_.profile_kind}}, {"authors", {peer}}, {"limit", 1}})) &&
        socket.send(
            write_subscribe(kNotes, {{"kinds", kinds},
                                     {"authors", {peer}},
                                     {"#p", {us_}},
                                     {"since", to_unix_seconds(clock_.now() - kClockSkewMax)}}));
    if (!sent) socket.close_for(Milliseconds{0});
}

void NostrRelays::closed(std::size_t number, const http::WebSocketEnd& end) {
    std::string host;
    bool was_ready = false;
    {
        const std::lock_guard lock{mutex_};
        Relay& relay = relays_[number];
        was_ready = relay.reach == Reach::Ready;
        const bool was_away = relay.reach == Reach::Away;
        relay.reach = Reach::Away;
        host = relay.host;
        if (!was_away) away_since_ = Steady::now();
    }
    if (was_ready) {
        log::info("relay_closed",
                  {{"backend", options_.name}, {"host", host}, {"why", end.detail}});
    }
    changed_.notify_all();
}

void NostrRelays::message(std::size_t number, http::WebSocket& socket, std::string_view text) {
    switch (admit(number)) {
        case Admission::Taken:
            break;
        case Admission::PassedOver:
            return;
        case Admission::TooMuch:
            return rest(number, socket, "it sends too much");
    }
    const auto message = parse_relay_message(text);
    if (!message) return bad_frame(number, socket);
    std::visit([&](const auto& one) { take(number, socket, one); }, *message);
}

NostrRelays::Admission NostrRelays::admit(std::size_t number) {
    const std::lock_guard lock{mutex_};
    Relay& relay = relays_[number];
    // It rests: this was in its pipe when we had enough of it.
    if (relay.reach == Reach::Away) return Admission::PassedOver;
    const auto now = Steady::now();
    if (now - relay.period_began > kFramesPeriod) {
        relay.period_began = now;
        relay.frames = 0;
    }
    return ++relay.frames > kFramesMax ? Admission::TooMuch : Admission::Taken;
}

void NostrRelays::bad_frame(std::size_t number, http::WebSocket& socket) {
    {
        const std::lock_guard lock{mutex_};
        if (++relays_[number].bad_frames <= kBadFramesMax) return;
    }
    rest(number, socket, "what it sends is wrong");
}

void NostrRelays::rest(std::size_t number, http::WebSocket& socket, std::string_view why) {
    std::string host;
    {
        const std::lock_guard lock{mutex_};
        relays_[number].reach = Reach::Away;
        away_since_ = Steady::now();
        host = relays_[number].host;
    }
    log::warn("relay_rests", {{"backend", options_.name}, {"host", host}, {"why", why}});
    socket.close_for(kRelayRest);
}

bool NostrRelays::is_wanted(const NostrEvent& event) const {
    if (event.kind == options_.profile_kind) {
        return !profile_ || event.created_at > profile_->created_at;
    }
    if (options_.note_kinds.contains(event.kind)) {
        return event.tag("p") == us_ && !notes_.contains(event.id);
    }
    // Not every service says whom it answers; the request that it names says it.
    if (event.kind != options_.answer_kind || event.tag("p").value_or(us_) != us_) return false;
    const auto request = array_from_hex<32>(event.tag("e").value_or(""));
    const auto found = request ? asked_.find(*request) : asked_.end();
    return found != asked_.end() && !found->second.answer;
}

bool NostrRelays::keep(const NostrEvent& event) {
    if (event.kind == options_.profile_kind) {
        profile_ = event;
        return false;
    }
    if (event.kind == options_.answer_kind) {
        asked_.at(*array_from_hex<32>(*event.tag("e"))).answer = event;
        return false;
    }
    // Only what was verified is remembered: a forged one may not make us deaf for the true one.
    notes_.insert(event.id);
    notes_in_order_.push_back(event.id);
    if (notes_in_order_.size() > kNotesRememberedMax) {
        notes_.erase(notes_in_order_.front());
        notes_in_order_.pop_front();
    }
    return true;
}

void NostrRelays::take(std::size_t number, http::WebSocket& socket, const RelayEvent& message) {
    const NostrEvent& event = message.event;
    if (!is_ours(message.subscription) || event.author != options_.peer)
        return bad_frame(number, socket);
    {
        const std::lock_guard lock{mutex_};
        if (!is_wanted(event)) return;
    }
    if (!verify_event(event)) return bad_frame(number, socket);
    bool is_note = false;
    {
        const std::lock_guard lock{mutex_};
        relays_[number].bad_frames = 0;
        if (!is_wanted(event)) return;  // Who asked may have gone meanwhile.
        is_note = keep(event);
    }
    if (is_note && on_note_) on_note_(event);
}

void NostrRelays::take(std::size_t number, http::WebSocket& socket, const RelayAnswer& message) {
    bool is_us = false;
    std::string again;
    {
        const std::lock_guard lock{mutex_};
        Relay& relay = relays_[number];
        is_us = relay.authentication == message.event && message.accepted;
        const auto found = asked_.find(message.event);
        if (found != asked_.end() && !message.accepted) {
            Asked& asked = found->second;
            const bool is_locked = asks_for_authentication(message.reason);
            if (asked.given.contains(number) && is_locked && asked.locked.insert(number).second) {
                if (relay.is_authenticated) again = asked.publish;
            } else if (asked.given.contains(number)) {
                asked.refused.insert(number);
            }
        }
    }
    if (is_us) return authenticated(number, socket);
    if (!again.empty()) (void)socket.send(again);
}

void NostrRelays::authenticated(std::size_t number, http::WebSocket& socket) {
    std::vector<std::string> again;
    bool is_ready = false;
    {
        const std::lock_guard lock{mutex_};
        relays_[number].is_authenticated = true;
        is_ready = relays_[number].reach == Reach::Ready;
        for (const auto& [id, asked] : asked_) {
            if (!asked.locked.contains(number) || asked.refused.contains(number)) continue;
            again.push_back(asked.given.contains(number) ? asked.publish : asked.subscribe);
        }
    }
    if (!is_ready) subscribe(socket);
    for (std::string& text : again) (void)socket.send(std::move(text));
}

void NostrRelays::take(std::size_t number, http::WebSocket& socket, const RelayStored& message) {
    if (message.subscription.starts_with(kAsk)) {
        return publish(number, socket, message.subscription);
    }
    if (!is_ours(message.subscription)) return;
    std::vector<std::string> texts;
    {
        const std::lock_guard lock{mutex_};
        Relay& relay = relays_[number];
        if (relay.reach != Reach::Open) return;
        relay.stored.insert(message.subscription);
        if (relay.stored.size() < 2) return;
        relay.reach = Reach::Ready;
        for (auto& [id, asked] : asked_) {
            const bool may_be = asked.repeat == Repeat::Yes || asked.given.empty();
            if (!may_be || asked.answer) continue;
            asked.tried.insert(number);
            asked.given.erase(number);
            asked.refused.erase(number);
            asked.locked.erase(number);
            texts.push_back(asked.subscribe);
        }
    }
    for (std::string& text : texts) (void)socket.send(std::move(text));
}

void NostrRelays::publish(std::size_t number, http::WebSocket& socket,
                          const std::string& subscription) {
    std::string text;
    {
        const std::lock_guard lock{mutex_};
        Asked* const asked = find(subscription);
        if (asked == nullptr || !asked->tried.contains(number) || asked->answer ||
            (asked->repeat == Repeat::No && !asked->given.empty()) ||
            !asked->given.insert(number).second) {
            return;
        }
        // Through one relay alone: who hears of it through two may do it twice.
        if (asked->repeat == Repeat::No) {
            asked->tried = {number};
            asked->refused.clear();
        }
        text = asked->publish;
        relays_[number].frames -= kFramesPerRequest;
    }
    if (socket.send(std::move(text))) return;
    const std::lock_guard lock{mutex_};
    if (Asked* const asked = find(subscription)) asked->given.erase(number);
}

void NostrRelays::take(std::size_t number, http::WebSocket& socket, const RelayClosed& message) {
    if (!is_ours(message.subscription)) return;
    bool may_come_back = false;
    {
        const std::lock_guard lock{mutex_};
        Relay& relay = relays_[number];
        may_come_back = asks_for_authentication(message.reason) && !relay.is_authenticated;
        if (message.subscription.starts_with(kAsk)) {
            Asked* const asked = find(message.subscription);
            if (asked == nullptr || !asked->tried.contains(number)) return;
            (may_come_back ? asked->locked : asked->refused).insert(number);
            return;
        }
        relay.stored.erase(message.subscription);
        if (may_come_back && relay.reach == Reach::Ready) relay.reach = Reach::Open;
    }
    if (!may_come_back) rest(number, socket, "it takes no subscription");
}

void NostrRelays::take(std::size_t number, http::WebSocket&, const RelayNotice& message) {
    std::string host;
    {
        const std::lock_guard lock{mutex_};
        host = relays_[number].host;
    }
    log::debug("relay_notice", {{"host", host}, {"text", message.text}});
}

void NostrRelays::take(std::size_t number, http::WebSocket& socket, const RelayChallenge& message) {
    std::string url;
    {
        const std::lock_guard lock{mutex_};
        Relay& relay = relays_[number];
        if (++relay.challenges > kChallengesMax) return;
        url = relay.url;
    }
    const auto event = sign_event({.created_at = to_unix_seconds(clock_.now()),
                                   .kind = kAuthenticationKind,
                                   .tags = {{"relay", url}, {"challenge", message.challenge}},
                                   .content = {}},
                                  key_, random_);
    {
        const std::lock_guard lock{mutex_};
        relays_[number].authentication = event.id;
        relays_[number].is_authenticated = false;
    }
    (void)socket.send(write_authentication(event));
}

}  // namespace nutgate::lightning
